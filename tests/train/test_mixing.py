"""The desk: levels, panning, filters, compressors and a master that keeps the sum."""

import numpy as np
import pytest

from stemwright.train.mixing import amps, desk
from stemwright.train.mixing.effects import ABOVE_GROUND_DB, EFFECTS, ground, insert
from tests.train.examples import above_ground_db

RATE = desk.RATE


def noise(seed: int, seconds: float = 1.0, level: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((int(seconds * RATE), 2))).astype(np.float32)


def test_the_master_is_one_gain_for_all_stems():
    stems = {"drums": noise(1), "bass": noise(2, level=0.3)}
    done = desk.master(stems, loudness_dbfs=-10.0, glue=0.7)
    gains = [np.abs(done[stem]).max(1) / np.abs(stems[stem]).max(1) for stem in stems]
    assert np.allclose(gains[0], gains[1], rtol=1e-3)
    assert np.abs(done["drums"] + done["bass"]).max() <= 0.98


def test_a_level_is_reached_and_silence_stays_silent():
    assert desk.loudness_db(desk.to_level(noise(3), -20.0)) == pytest.approx(-20.0, abs=0.05)
    assert not desk.to_level(np.zeros((RATE, 2), np.float32), -20.0).any()


def test_a_low_pass_takes_the_highs():
    spectrum = np.abs(np.fft.rfft(desk.equalise(noise(4), [desk.biquad("lowpass", 500.0)])[:, 0]))
    assert spectrum[5000:].mean() < 0.05 * spectrum[:400].mean()


def test_a_side_chain_presses_only_where_the_key_is_loud():
    key = noise(5, level=0.5)
    key[RATE // 2 :] = 0
    pressed = desk.compress(noise(6), threshold_db=-30, ratio=8, attack_s=0.001, release_s=0.05, key=key)
    assert np.abs(pressed[: RATE // 2]).mean() < 0.5 * np.abs(pressed[-RATE // 5 :]).mean()


def test_hard_panning_empties_one_side():
    placed = desk.place(noise(7), -1.0, 0.0)
    assert np.abs(placed[:, 1]).max() < 1e-6 < np.abs(placed[:, 0]).max()


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_an_effect_keeps_length_and_stays_finite(name):
    out = EFFECTS[name](np.random.default_rng(8), noise(9))
    assert out.shape == (RATE, 2)
    assert np.isfinite(out).all()
    assert np.array_equal(out, EFFECTS[name](np.random.default_rng(8), noise(9)))


@pytest.mark.parametrize("seed", range(8))
def test_a_bass_carries_its_song(seed):
    hum = 0.02 * np.sin(2 * np.pi * 55 * np.arange(RATE) / RATE)[:, None].astype(np.float32)
    assert above_ground_db(hum + noise(seed)) > 10
    grounded = ground(np.random.default_rng(seed), hum + noise(seed))
    assert above_ground_db(grounded) < ABOVE_GROUND_DB[1] + 3  # the shelf is not a wall
    assert np.array_equal(ground(np.random.default_rng(seed), hum), hum)


def test_a_cabinet_takes_what_lies_above_the_loudspeaker():
    response = np.abs(np.fft.rfft(amps.cabinet(np.random.default_rng(10)), 4096))
    hz = np.fft.rfftfreq(4096, 1 / RATE)
    assert response[hz > 12000].max() < 0.1 * response[(hz > 100) & (hz < 4000)].max()


def test_a_sung_part_passes_untouched():
    sound = noise(11)
    assert insert(np.random.default_rng(0), sound, "sung") is sound

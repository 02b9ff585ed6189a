"""The vocoder, the contour and the vocal chain, each by what it promises."""

import numpy as np
import pytest

from stemwright.train.singing import contour, vocal_effects, vocoder
from stemwright.train.singing.vocoder import BANDS, RATE, Frames, Throat
from tests.train.singers import tune


def flat(seconds: float, pitch: float, *, noise: float) -> Frames:
    n = vocoder.frames_of(seconds)
    return Frames(
        np.full(n, pitch), np.ones(n), np.zeros((n, BANDS), np.float32), np.full((n, BANDS), noise, np.float32)
    )


@pytest.mark.parametrize("noise", [0.0, 0.6, 1.0])
def test_pulses_and_noise_have_the_same_power_under_a_flat_filter(noise: float) -> None:
    sound = vocoder.synthesize(np.random.default_rng(0), flat(1.0, 57, noise=noise), Throat(pulsed=0))
    assert np.square(sound[4410:-4410]).mean() == pytest.approx(1, rel=0.12)


def test_a_steady_voice_has_its_energy_on_the_harmonics() -> None:
    sound = vocoder.synthesize(np.random.default_rng(0), flat(1.2, 69, noise=0.0), Throat(jitter=0, shimmer=0))
    power = np.abs(np.fft.rfft(sound[2205 : 2205 + RATE] * np.hanning(RATE))) ** 2
    near = np.abs((np.arange(len(power)) + 220) % 440 - 220) < 6
    assert power[near].sum() > 0.98 * power.sum()


def test_a_subharmonic_voice_has_energy_between_them() -> None:
    sound = vocoder.synthesize(np.random.default_rng(0), flat(1.2, 69, noise=0.0), Throat(0, 0, subharmonic=0.8))
    power = np.abs(np.fft.rfft(sound[2205 : 2205 + RATE])) ** 2
    assert power[210:230].max() > 0.02 * power[430:450].max()


def test_a_tuned_contour_rests_on_semitones() -> None:
    motion = contour.Motion(tuned=1, tuning_seconds=0.001, flutter_cents=0)
    path = contour.draw(np.random.default_rng(1), tune(4.0), vocoder.frames_of(4.0), motion)
    away = np.abs(path.pitch - np.round(path.pitch))[path.note != contour.UNSUNG]
    assert np.median(away) < 0.02


def test_a_contour_is_silent_between_notes_and_glides_between_pitches() -> None:
    path = contour.draw(np.random.default_rng(1), tune(4.0), vocoder.frames_of(4.0), contour.Motion())
    assert path.loudness[:30].max() == 0
    assert np.abs(np.diff(path.pitch)).max() < 0.7


def test_a_compressor_brings_loud_and_quiet_together() -> None:
    sound = np.sin(np.arange(RATE)[:, None] * 0.1) * np.where(np.arange(RATE) < RATE // 2, 0.05, 0.8)[:, None]
    pressed = vocal_effects.compress(sound * np.ones((1, 2)), -30, 6)
    before, after = (np.abs(x[-5000:]).max() / np.abs(x[10000:15000]).max() for x in (sound, pressed))
    assert after < 0.4 * before


def test_a_limiter_holds_its_ceiling() -> None:
    loud = np.random.default_rng(0).standard_normal((RATE, 2)).astype(np.float32)
    assert np.abs(vocal_effects.limit(loud, -12)).max() <= 10 ** (-12 / 20) + 1e-6


def test_a_deesser_takes_only_the_top() -> None:
    time = np.arange(RATE)[:, None] / RATE
    low, high = (np.sin(2 * np.pi * hz * time) * np.ones((1, 2)) * 0.3 for hz in (300, 9000))
    assert np.abs(vocal_effects.deess(low, -30)[RATE // 2 :]).max() > 0.28
    assert np.abs(vocal_effects.deess(high, -30)[RATE // 2 :]).max() < 0.2


def test_a_reverb_dies_away_by_its_time() -> None:
    click = np.zeros((RATE * 2, 2), np.float32)
    click[0] = 1
    tail = np.square(vocal_effects.reverb(click, 0.8)).sum(1)
    early, late = tail[4410:8820].sum(), tail[RATE : RATE + 4410].sum()
    assert 10 * np.log10(early / late) == pytest.approx(60 * 0.9 / 0.8, abs=14)


def test_tonal_balance_moves_the_spectrum_towards_its_target() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    hz = np.geomspace(60, 21000, 60)
    bent = vocal_effects.tonal_balance(noise, -6 * np.log2(hz / 700), hz)
    power = np.abs(np.fft.rfft(bent)) ** 2
    slope_db = 10 * np.log10(power[900:1100].mean() / power[3600:4400].mean())
    assert slope_db == pytest.approx(12, abs=3)

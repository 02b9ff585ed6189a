"""Basses, skins, bent instruments, treated drums: in tune, finite, the same from the same seed; nothing new in test."""

import ctypes
import math
from itertools import combinations

import numpy as np
import pytest

from stemwright.errors import SoundSourceMissing
from stemwright.train.composing.notes import Note
from stemwright.train.composing.plan import write_plan
from stemwright.train.instruments import basses, drumkits, heavy, keys, kits, skins, sonivox, sources, voicing
from stemwright.train.instruments.physical import pitch_of
from stemwright.train.instruments.soundfonts import soundfont
from stemwright.train.instruments.studio import Studio
from stemwright.train.mixing.desk import loudness_db, to_level
from stemwright.train.mixing.effects import insert
from tests.train.examples import needs_sounds

RATE = 44100
NOTES = [Note(0.05 + 0.6 * i, 0.55, pitch, 96.0) for i, pitch in enumerate((33.0, 40.0, 47.0))]
SAMPLES = 2 * RATE


def cents_off(sound: np.ndarray, note: Note) -> float:
    first, hz = int((note.start_seconds + 0.15) * RATE), basses.hz_of(note.pitch)
    found = pitch_of(sound[first : first + int(0.38 * RATE), 0].astype(float), hz)
    return 1200 * math.log2(found / hz) if found else math.inf


@pytest.mark.parametrize("hand", sorted(set(basses.HANDS) - {"muted"}))
def test_a_string_bass_is_in_tune(hand):
    sound = basses.play_string_bass(np.random.default_rng(1), NOTES, SAMPLES, hand)
    assert all(abs(cents_off(sound, note)) < 20 for note in NOTES)


@pytest.mark.parametrize("kind", sorted(basses.VOICES))
def test_a_synthesized_bass_is_in_tune(kind):
    sound = basses.play_synth_bass(np.random.default_rng(2), NOTES, SAMPLES, kind)
    assert np.median([abs(cents_off(sound, note)) for note in NOTES]) < 40


@pytest.mark.parametrize("kind", [*basses.HANDS, *basses.VOICES])
def test_a_bass_repeats_itself_exactly_and_no_song_has_that_of_another(kind):
    play = basses.play_string_bass if kind in basses.HANDS else basses.play_synth_bass
    one, two, other = (play(np.random.default_rng(seed), NOTES, SAMPLES, kind) for seed in (3, 3, 4))
    assert np.isfinite(one).all()
    assert 0.02 < np.abs(one).max() < 4
    assert np.array_equal(one, two)
    assert not np.allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("play", [keys.play_electric_piano, keys.play_tonewheels, keys.play_clavinet])
def test_a_keyboard_sounds_each_key_and_repeats_itself(play):
    one, two = (play(np.random.default_rng(10), NOTES, SAMPLES) for _ in range(2))
    assert np.isfinite(one).all()
    assert np.array_equal(one, two)
    for note in NOTES:
        first = int((note.start_seconds + 0.1) * RATE)
        spectrum = np.abs(np.fft.rfft(one[first : first + RATE // 2, 0] * np.hanning(RATE // 2)))
        place = basses.hz_of(note.pitch) / 2
        assert spectrum[round(place) - 1 : round(place) + 2].max() > 20 * np.median(spectrum)


def test_one_voice_slides_to_the_next_note_and_holds_one_at_a_time():
    notes = [Note(0.0, 0.9, 36.0, 127.0), Note(0.5, 0.4, 48.0, 127.0)]
    line = basses.one_voice(notes, RATE, glide_seconds=0.05, knobs=(0.002, 1.0, 1.0, 0.02))
    assert line.hz[int(0.45 * RATE)] == pytest.approx(basses.hz_of(36))
    assert basses.hz_of(36) < line.hz[int(0.55 * RATE)] < basses.hz_of(48)
    assert line.hz[int(0.8 * RATE)] == pytest.approx(basses.hz_of(48))
    assert line.age[int(0.6 * RATE)] == pytest.approx(0.1, abs=0.01)


def test_an_acoustic_kit_plays_every_key_and_repeats_itself():
    keys = (36, 38, 37, 39, 42, 44, 46, 49, 51, 53, 55, 41, 45, 50, 54, 56)
    notes = [Note(0.4 * i, 0.1, float(key), 100.0) for i, key in enumerate(keys)]
    one, two = (skins.play_skins(np.random.default_rng(5), notes, 7 * RATE) for _ in range(2))
    assert np.isfinite(one).all()
    assert np.array_equal(one, two)
    for note in notes:
        first = int(note.start_seconds * RATE)
        assert np.abs(one[first : first + RATE // 4]).max() > 1e-3


def test_an_open_hi_hat_ends_where_it_is_closed():
    notes = [Note(0.0, 0.1, 46.0, 100.0), Note(0.1, 0.1, 42.0, 1.0)]
    left_open = skins.play_skins(np.random.default_rng(6), notes[:1], RATE)
    closed = skins.play_skins(np.random.default_rng(6), notes, RATE)
    late = slice(int(0.25 * RATE), int(0.4 * RATE))
    assert np.abs(closed[late]).max() < 0.7 * np.abs(left_open[late]).max()


@pytest.mark.parametrize("effect", [drumkits.treat, *(getattr(drumkits, name) for name in (
    "_transients", "_squash", "_tape", "_sampler", "_gate", "_bleed"))])  # fmt: skip
def test_a_treatment_keeps_the_shape_and_some_sound(effect):
    noise = np.random.default_rng(7).standard_normal((RATE, 2)).astype(np.float32)
    drums = 0.3 * noise * np.exp(-np.arange(RATE) % 11025 / 2000)[:, None].astype(np.float32)
    treated = effect(np.random.default_rng(8), drums)
    assert treated.shape == drums.shape
    assert np.isfinite(treated).all()
    assert np.abs(treated).max() > 1e-3


def test_no_drum_is_in_two_groups():
    assert not [a & b for (a, _, _), (b, _, _) in combinations(drumkits.GROUPS, 2) if a & b]


@pytest.mark.parametrize("tone", ["electric bass", "string section"])
def test_a_shifted_body_leaves_the_pitch_where_it_was(tone):
    for seed in range(30):
        bent = voicing.draw_voicing(np.random.default_rng(seed), tone)
        assert bent.body + dict(bent.generators).get(voicing.COARSE, 0) == 0
        velocities = [
            note.velocity for note in bent.touched([n._replace(velocity=v) for n in NOTES for v in (1.0, 127.0)])
        ]
        assert 0 <= min(velocities) < max(velocities) <= 127.5


@needs_sounds
@pytest.mark.parametrize("tone", ["electric bass", "sax"])
def test_a_bent_instrument_is_in_tune(tone):
    font = soundfont(str(sources.by_name("FluidR3 GM").file()))
    for seed in range(4):
        bent = voicing.draw_voicing(np.random.default_rng(seed), tone)
        sound = font.render(NOTES, SAMPLES, 33 if tone == "electric bass" else 66, voicing=bent)
        assert np.median([abs(cents_off(sound, note)) for note in NOTES]) < 60


@needs_sounds
def test_heavy_guitars_play_one_riff_from_far_sides_and_repeat_it():
    studio, playing = Studio(write_plan(np.random.default_rng(0), 2.0), "train", SAMPLES), np.ones(9, bool)
    takes = [heavy.heavy_guitars(np.random.default_rng(seed), studio, playing) for seed in (*range(6), 0)]
    assert {len(parts) for parts in takes} <= {1, 2, 4}
    for parts in takes:
        assert abs(sum(part.pan for part in parts)) < 0.5
        for part in parts:
            amplified = insert(np.random.default_rng(1), to_level(part.sound, -20), part.effects)
            assert np.isfinite(amplified).all()
            assert loudness_db(amplified) > -60
    for one, two in zip(takes[0], takes[-1], strict=True):
        assert np.array_equal(one.sound, two.sound)


@needs_sounds
def test_test_hears_its_soundfont_as_it_is():
    studio = Studio(write_plan(np.random.default_rng(0), 2.0), "test", SAMPLES)
    font = soundfont(str(sources.by_name("TimGM6mb").file()))
    assert np.array_equal(studio.soundfont_part(np.random.default_rng(1), NOTES, "pizzicato"),
                          font.render(NOTES, SAMPLES, 45))  # fmt: skip
    assert studio.noise_part(np.random.default_rng(1), NOTES) is None


@needs_sounds
def test_a_telephone_is_in_tune_and_its_drums_sound():
    sound = sonivox.play_sonivox(NOTES, SAMPLES, 33)
    assert sound.shape == (SAMPLES, 2)
    assert all(abs(cents_off(sound, note)) < 20 for note in NOTES)
    assert np.abs(sonivox.play_sonivox([Note(0.0, 0.2, 38.0, 100.0)], RATE, 0, drums=True)).max() > 0.05


def test_a_missing_telephone_names_its_package(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: (_ for _ in ()).throw(OSError(name)))
    with pytest.raises(SoundSourceMissing, match="libsonivox3"):
        sonivox._library.__wrapped__()


def test_bare_samples_make_a_kit(tmp_path):
    samples = (10000 * np.sin(np.arange(4000) / 20)).astype(">i2")
    (tmp_path / "bassdrum.raw").write_bytes(samples.tobytes())
    kit = kits.raw_kit(tmp_path)
    assert set(kit) == {36}
    sound = kits.play_kit(np.random.default_rng(9), kit, [Note(0.0, 0.2, 36.0, 100.0)], RATE)
    assert 0.2 < np.abs(sound).max() < 2

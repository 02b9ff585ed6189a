"""Engines of our own: in tune, finite, the same from the same seed."""

import math

import numpy as np
import pytest

from stemwright.train.composing.notes import Note
from stemwright.train.instruments import additive, drumsynth, physical, synths

RATE = 44100
NOTES = [Note(0.4 * i, 0.38, pitch, 96.0) for i, pitch in enumerate((57, 62, 69))]
SAMPLES = int(1.4 * RATE)


def cents_off(sound: np.ndarray, note: Note) -> float:
    first, hz = int((note.start_seconds + 0.12) * RATE), 440 * 2 ** ((note.pitch - 69) / 12)
    found = physical.pitch_of(sound[first : first + int(0.22 * RATE), 0].astype(float), hz)
    return 1200 * math.log2(found / hz) if found else math.inf


@pytest.mark.parametrize("body", sorted(physical.BODIES))
def test_a_plucked_string_is_in_tune(body):
    sound = physical.play_plucked(np.random.default_rng(1), NOTES, SAMPLES, body=body, decay=(3.0, 4.0))
    assert all(abs(cents_off(sound, note)) < 30 for note in NOTES)


@pytest.mark.parametrize("kind", ["clarinet", "cone", "bow"])
def test_a_bore_or_bow_is_in_tune(kind):
    sound = physical.play_blown(np.random.default_rng(2), NOTES, SAMPLES, kind)
    assert all(abs(cents_off(sound, note)) < 40 for note in NOTES)


@pytest.mark.parametrize("kind", ["brass", "flute", "reed", "sax", "strings", "wavetable"])
def test_harmonics_are_in_tune(kind):
    sound = additive.play_harmonics(np.random.default_rng(3), NOTES, SAMPLES, kind)
    assert all(abs(cents_off(sound, note)) < 60 for note in NOTES)


@pytest.mark.parametrize("play", [synths.play_subtractive, synths.play_fm])
@pytest.mark.parametrize("role", sorted(synths.ROLES))
def test_a_synthesizer_repeats_itself_exactly(play, role):
    one, two = (play(np.random.default_rng(4), NOTES, SAMPLES, role) for _ in range(2))
    assert np.isfinite(one).all()
    assert np.abs(one).max() > 1e-3
    assert np.array_equal(one, two)


def test_a_drum_machine_plays_every_key_it_is_given():
    keys = (36, 38, 39, 42, 46, 49, 51, 45, 54, 56, 60, 70, 75, 81)
    for key in keys:
        sound = drumsynth.play_drums(np.random.default_rng(5), [Note(0.0, 0.2, float(key), 100.0)], RATE)
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() > 0.05


def test_a_pad_is_wide():
    sound = additive.play_pad(np.random.default_rng(6), NOTES, SAMPLES)
    assert np.abs(sound[:, 0] - sound[:, 1]).max() > 0.1 * np.abs(sound).max()

"""Tempo and key of sounds whose tempo and key are known."""

import tracemalloc

import numpy as np
import pytest

from stemwright.audio.key import TONICS, Harmony, key
from stemwright.audio.signal import Samples
from stemwright.audio.tempo import Rhythm, tempo
from tests.audio.sounds import RATE, noise

SCALES = {"major": (0, 4, 7), "minor": (0, 3, 7)}
CHORDS = {"major": ((0, "major"), (5, "major"), (7, "major"), (0, "major")),
          "minor": ((0, "minor"), (5, "minor"), (7, "minor"), (0, "minor"))}  # fmt: skip


def drums(bpm: float, seconds: float = 16.0, rate: int = RATE) -> Samples:
    """Kick on one and three, snare on two and four, hats on the eighths."""
    t = np.arange(round(seconds * rate)) / rate
    beat, since = np.floor(t * bpm / 60).astype(int), t % (60 / bpm)
    hiss = np.random.default_rng(1).standard_normal(len(t))
    kick = (beat % 2 == 0) * np.sin(2 * np.pi * 60 * since) * np.exp(-since * 18)
    snare = (beat % 2 == 1) * hiss * np.exp(-since * 25) * 0.5
    hats = hiss * np.exp(-(t % (30 / bpm)) * 90) * 0.15
    return np.stack([kick + snare + hats] * 2).astype(np.float32) * 0.5


def progression(tonic: int, mode: str, cents: float = 0.0) -> Samples:
    """I, IV, V, I in a key, a second and a half each, every note with its overtones."""
    t = np.arange(round(1.5 * RATE)) / RATE
    chords = []
    for degree, kind in CHORDS[mode]:
        notes = [60 + (tonic + degree) % 12 + step for step in SCALES[kind]]
        hertz = [440 * 2 ** ((note - 69 + cents / 100) / 12) for note in notes]
        chords.append(sum(np.sin(2 * np.pi * f * n * t) / n**2 for f in hertz for n in (1, 2, 3)))
    sound = np.concatenate(chords) * 0.1
    return np.stack([sound, sound]).astype(np.float32)


def tempo_of(sound: Samples, rate: int = RATE, block: int = 1 << 15) -> float:
    heard = Rhythm(rate)
    for start in range(0, sound.shape[1], block):
        heard.add(sound[:, start : start + block])
    found = tempo(heard)
    assert found is not None
    return found.bpm


def heard(sound: Samples) -> Harmony:
    listening = Harmony(RATE)
    listening.add(sound)
    return listening


@pytest.mark.parametrize("bpm", [72.0, 93.7, 120.0, 141.3])
def test_the_tempo_of_drums_is_found_to_half_a_percent(bpm: float) -> None:
    assert tempo_of(drums(bpm)) == pytest.approx(bpm, rel=0.005)


def test_it_depends_neither_on_the_blocks_nor_on_the_rate() -> None:
    sound = drums(100.0)
    assert tempo_of(sound, block=7001) == tempo_of(sound)
    assert tempo_of(drums(100.0, rate=22050), rate=22050) == pytest.approx(100, rel=0.005)


def test_the_tempo_of_an_hour_takes_little_memory() -> None:
    hour = Rhythm(1000)
    for _ in range(60):
        hour.add(drums(120.0, 60.0, rate=1000))
    tracemalloc.start()
    found = tempo(hour)
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()
    assert found is not None
    assert found.bpm == pytest.approx(120, rel=0.005)


def test_drums_are_surer_than_noise() -> None:
    steady, rushing = Rhythm(RATE), Rhythm(RATE)
    steady.add(drums(120.0))
    rushing.add(noise(16 * RATE))
    sure, unsure = tempo(steady), tempo(rushing)
    assert sure is not None
    assert sure.confidence > 0.5
    assert unsure is None or unsure.confidence < 0.3


def test_silence_and_a_short_sound_have_no_tempo_and_no_key() -> None:
    nothing, short = Rhythm(RATE), Rhythm(RATE)
    nothing.add(np.zeros((2, 8 * RATE), np.float32))
    short.add(drums(120.0, 2.0))
    assert tempo(nothing) is None
    assert tempo(short) is None
    assert tempo() is None
    assert key(heard(np.zeros((2, RATE), np.float32))) is None


@pytest.mark.parametrize("mode", ["major", "minor"])
def test_every_key_is_found(mode: str) -> None:
    found = [key(heard(progression(tonic, mode))) for tonic in range(12)]
    assert [str(each) for each in found] == [f"{tonic} {mode}" for tonic in TONICS[mode]]
    assert not {"Gb minor", "Db minor", "Ab minor"} & {str(each) for each in found}


@pytest.mark.parametrize("cents", [-35.0, 30.0])
def test_an_instrument_out_of_tune_is_in_its_key_all_the_same(cents: float) -> None:
    assert str(key(heard(progression(2, "major", cents)))) == "D major"


def test_the_bass_counts() -> None:
    t = np.arange(4 * RATE) / RATE
    low = np.stack([np.sin(2 * np.pi * 110 * t)] * 2).astype(np.float32) * 0.3
    both = np.sum([np.sin(2 * np.pi * hz * t) for hz in (261.63, 329.63, 440.0)], axis=0) * 0.1  # A minor, or C6
    assert str(key(heard(np.stack([both, both]).astype(np.float32)), heard(low))) == "A minor"

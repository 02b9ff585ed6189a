"""A voice library of two small voices: the tract reads aloud, and its speech is analysed like anyone's."""

import importlib.util
import wave
from pathlib import Path

import numpy as np
import pytest

from stemwright.train.composing.notes import Note
from stemwright.train.singing import contour, tract, vocoder
from stemwright.train.singing.speakers import Speaker
from stemwright.train.singing.voices import build


def tune(seconds: float, *, pitch: float = 60.0, step: float = 0.4) -> list[Note]:
    """Notes up and down a scale with a rest after every fourth."""
    moves = (0, 2, 4, 5, 7, 5, 4, 2)
    starts = np.arange(0.2, seconds - step, step)
    return [Note(float(t), step * 0.9, pitch + moves[i % 8], 90.0) for i, t in enumerate(starts) if i % 5 != 4]


def read_aloud(seed: int, seconds: float = 3.0) -> np.ndarray:
    """A few seconds of the tract's speech, float32 [n]."""
    rng = np.random.default_rng(seed)
    notes = tune(seconds, pitch=50, step=0.3)
    path = contour.draw(rng, notes, vocoder.frames_of(seconds), contour.Motion(spoken=0.8))
    return vocoder.synthesize(rng, tract.articulate(rng, path, tract.random_words(rng, len(notes)), tract.Body()))


def write_recordings(folder: Path, count: int = 2) -> Path:
    """Speech as 16-bit wave files."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        sound = read_aloud(i)
        with wave.open(str(folder / f"{i}.wav"), "wb") as file:
            file.setparams((1, 2, 44100, 0, "NONE", ""))
            file.writeframes((sound / np.abs(sound).max() * 30000).astype("<i2").tobytes())
    return folder


def speaker(name: str, split: str, recordings: str) -> Speaker:
    """A speaker heard from recordings."""
    return Speaker(name, "acted", "en", "CC0-1.0", "the-tests", split, 4, recordings=recordings)


def build_library(folder: Path) -> list[str]:
    """A train and a test voice in folder/voices; without pyworld, which needs a C compiler, the test is skipped."""
    if importlib.util.find_spec("pyworld") is None:
        pytest.skip("needs stemwright[voices]")
    sounds = write_recordings(folder / "sounds")
    speakers = [speaker(f"{split}-voice", split, f"{sounds}/*.wav") for split in ("train", "test")]
    return list(build(folder / "voices", speakers=speakers, workers=1))

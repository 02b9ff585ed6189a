"""A real steel-string guitar: recorded strums of whole chords, moved to the chord that the song wants."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from stemwright.train.composing.parts import Touch
from stemwright.train.composing.score import Chord, Plan
from stemwright.train.instruments.samples import RATE, add_resampled, read_sound

LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True)
class Strum:
    """One recording: its chord, the direction of the hand and how hard it was played (0 hardest)."""

    file: Path
    root: int
    minor: bool
    direction: str
    softness: int


@lru_cache(maxsize=2)
def strum_library(folder: Path) -> tuple[Strum, ...]:
    """The major and minor chords of the folder, by file name."""
    found = []
    for file in sorted(folder.glob("*.flac")):
        match = re.match(r"([A-G])(sharp|flat)? ?(major|minor)(_DOWN|_UP)?_0(\d)", file.stem, re.IGNORECASE)
        if match:
            letter, accidental, quality, direction, layer = match.groups()
            root = (LETTERS[letter] + {"sharp": 1, "flat": -1, None: 0}[accidental]) % 12
            found.append(Strum(file, root, quality == "minor", (direction or "").upper(), int(layer)))
    return tuple(found)


def play_strums(rng: np.random.Generator, plan: Plan, playing: np.ndarray, folder: Path) -> np.ndarray:
    """A strummed part over the plan's chords, float32 [samples, 2]; a recording moves three semitones at most."""
    library, touch = strum_library(folder), Touch(rng, plan)
    out = np.zeros((round(plan.seconds * RATE), 2), np.float32)
    tuning, steps = rng.normal(0, 0.1), plan.steps_per_bar
    pattern = [s for s in range(0, steps, 2) if s == 0 or rng.random() < rng.choice([0.4, 0.7])]
    for bar in np.flatnonzero(playing):
        for first, last in zip(pattern, [*pattern[1:], steps], strict=True):
            note = touch.note((int(bar), first), last - first, 60, -8.0 * (first % 4 > 0))
            shift, strum = _nearest(
                library, plan.chord_at(int(bar), first), ("_UP" if first % 4 else "_DOWN", note.velocity)
            )
            begin = round(note.start_seconds * RATE)
            if begin < len(out):
                gains = np.full(2, (note.velocity / 110) ** 1.2, np.float32)
                length = int(note.seconds * rng.uniform(0.95, 1.05) * RATE)
                add_resampled(
                    out, begin, read_sound(strum.file, 4.0), 2 ** ((shift + tuning) / 12), gains, length, 2500
                )
    return out


def _nearest(library: Sequence[Strum], chord: Chord, hand: tuple[str, float]) -> tuple[int, Strum]:
    direction, velocity = hand
    minor = len(chord.pitches) > 1 and (chord.pitches[1] - chord.pitches[0]) % 12 == 3
    softness = 0 if velocity > 108 else 1 if velocity > 88 else 2 if velocity > 60 else 3

    def distance(strum: Strum) -> tuple:
        shift = (chord.root - strum.root + 6) % 12 - 6
        return strum.minor != minor, abs(shift), strum.direction != direction, abs(strum.softness - softness)

    best = min(library, key=distance)
    return (chord.root - best.root + 6) % 12 - 6, best

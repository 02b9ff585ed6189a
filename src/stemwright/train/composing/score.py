"""The written song: notes, sections, chords and the clock that turns beats into seconds; no sound yet."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from stemwright.train.composing.notes import Note

__all__ = ["SCALES", "Chord", "Note", "Plan", "Section"]

STEPS_PER_BEAT = 4

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "blues": (0, 3, 5, 6, 7, 10, 12),
}
TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


class Chord(NamedTuple):
    """Pitch classes above the tonic of the moment, root first, written as MIDI pitches of the lowest octave."""

    pitches: tuple[int, ...]

    @property
    def root(self) -> int:
        """MIDI pitch of the root, lowest octave."""
        return self.pitches[0]


@dataclass(frozen=True)
class Section:
    """A stretch of bars with one character: a verse, a chorus, a break."""

    kind: str
    first_bar: int
    bars: int
    energy: float
    theme: int

    @property
    def last_bar(self) -> int:
        """The section's final bar."""
        return self.first_bar + self.bars - 1


@dataclass(frozen=True)
class Plan:
    """Everything about a song that all its players share."""

    genre: str
    seconds: float
    bpm: float
    beats_per_bar: int
    swing: float
    tonic: int
    scale_name: str
    sections: tuple[Section, ...]
    chords: tuple[tuple[Chord, ...], ...]
    scales: tuple[frozenset[int], ...]
    beat_seconds: np.ndarray = field(repr=False)
    tightness: float = 1.0

    @property
    def bars(self) -> int:
        """Bars in the song."""
        return len(self.chords)

    @property
    def steps_per_bar(self) -> int:
        """Sixteenth notes in a bar."""
        return self.beats_per_bar * STEPS_PER_BEAT

    @property
    def key(self) -> str:
        """The key in words, as `D minor`."""
        return f"{TONICS[self.tonic]} {self.scale_name}"

    def section_of(self, bar: int) -> Section:
        """The section that a bar lies in."""
        return next(s for s in reversed(self.sections) if s.first_bar <= bar)

    def chord_at(self, bar: int, step: float = 0) -> Chord:
        """The chord that sounds at a sixteenth of a bar."""
        bar = min(bar, self.bars - 1)
        chords = self.chords[bar]
        return chords[min(int(step * len(chords) / self.steps_per_bar), len(chords) - 1)]

    def time_of(self, bar: int, step: float = 0.0) -> float:
        """Seconds at which a sixteenth of a bar falls, swung and with the tempo's drift."""
        swung = step + (self.swing if int(step) % 2 and step == int(step) else 0.0)
        beat = bar * self.beats_per_bar + swung / STEPS_PER_BEAT
        return float(np.interp(beat, np.arange(len(self.beat_seconds)), self.beat_seconds))

    def length_of(self, bar: int, step: float, steps: float) -> float:
        """Seconds that `steps` sixteenths last from a place in the song."""
        return self.time_of(bar, step + steps) - self.time_of(bar, step)

"""A soundfont's instrument made into another one for a song: other filter, envelope, attack, body and touch.

A net that hears an instrument always the same way learns the recording and not the instrument.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stemwright.train.composing.score import Note

# Generators of the SoundFont format (2.04, 8.1.2) whose values a channel may move.
START, CUTOFF, RESONANCE, SWEEP = 0, 8, 9, 11
SWEEP_DECAY, SWEEP_SUSTAIN = 28, 29
ATTACK, DECAY, SUSTAIN, RELEASE = 34, 36, 37, 38
COARSE, FINE = 51, 52

# Banks beside the first that hold more of a tone; a soundfont that lacks one plays the program of its first bank.
MORE: dict[str, tuple[tuple[int, int], ...]] = {
    "piano": ((8, 0), (12, 0)), "electric piano": ((8, 4), (8, 5), (11, 4), (12, 4)),
    "organ": ((8, 16), (8, 17), (8, 19)), "clavi": ((8, 6),), "accordion": ((8, 21),),
    "acoustic guitar": ((8, 24), (8, 25), (16, 25)), "clean guitar": ((8, 26), (8, 27), (8, 28), (12, 27)),
    "driven guitar": ((8, 30),), "synth bass": ((8, 38), (8, 39), (1, 38), (11, 38), (11, 39), (12, 38)),
    "solo strings": ((8, 40),), "string section": ((1, 48), (20, 48), (20, 49), (25, 49), (30, 49), (1, 49), (11, 49)),
    "pizzicato": ((20, 45), (25, 45), (30, 45), (40, 45), (50, 45)), "low strings": ((40, 48), (40, 49), (50, 48)),
    "synth strings": ((8, 50), (11, 50), (11, 51)), "solo brass": ((1, 56), (1, 57), (1, 59), (1, 60)),
    "brass section": ((1, 61), (8, 61), (8, 62), (8, 63), (11, 61)),
    "synth lead": ((1, 80), (1, 81), (8, 80), (20, 81), (11, 81), (12, 80), (12, 81), (13, 80), (13, 81)),
    "synth pad": ((11, 88), (11, 89), (12, 88)),
}  # fmt: skip
# Kits in the Roland order but for the orchestra's, whose timpani would be told to be toms and cymbals.
MORE_KITS = (*range(20), 24, 25, 26, *range(32, 37), *range(40, 43))
SOFT = ("synth pad", "string section", "synth strings", "organ", "accordion")


@dataclass(frozen=True)
class Voicing:
    """How a part's instrument is bent: its bank, semitones to shift its body, generators' offsets, a curve of touch."""

    bank: int | None = None
    body: int = 0
    generators: tuple[tuple[int, float], ...] = ()
    curve: float = 1.0
    floor: float = 0.0

    def touched(self, notes: Sequence[Note]) -> list[Note]:
        """The notes as the instrument's keyboard hears them: moved by `body` keys, other velocities."""
        top = 127 - self.floor
        return [
            n._replace(pitch=n.pitch + self.body, velocity=self.floor + top * max(n.velocity / 127, 0.01) ** self.curve)
            for n in notes
        ]


def draw_voicing(rng: np.random.Generator, tone: str, bank: int | None = None) -> Voicing:
    """Bends the instrument of a tone: body up to seven semitones (a recording of another key, played slower or faster),
    filter and its envelope, attack, length, release, touch."""
    body = int(np.clip(round(rng.normal(0, 3)), -7, 7)) if rng.random() < 0.6 else 0
    moved: dict[int, float] = {FINE: rng.normal(0, 6), RELEASE: rng.normal(0, 900)}
    if body:
        moved[COARSE] = -float(body)
    low = "bass" in tone or tone == "upright"
    if rng.random() < 0.45:
        moved[CUTOFF] = -rng.uniform(200, 5200 if low else 3600)
        moved[RESONANCE] = rng.uniform(0, 90) if rng.random() < 0.4 else 0.0
        if rng.random() < 0.5:
            moved |= {SWEEP: rng.uniform(300, 3600), SWEEP_SUSTAIN: 1000.0, SWEEP_DECAY: rng.uniform(8500, 12500)}
    if rng.random() < 0.35:
        moved[ATTACK] = rng.uniform(500, 9500 if tone in SOFT else 4500)
    if rng.random() < 0.2 and tone not in SOFT:
        moved |= {SUSTAIN: rng.uniform(60, 400), DECAY: rng.uniform(9000, 12500)}
    if rng.random() < 0.25:
        moved[START] = float(rng.integers(1, 700))
    return Voicing(bank, body, tuple(moved.items()), float(rng.lognormal(0, 0.35)), float(rng.uniform(0, 40)))


def draw_kit_voicing(rng: np.random.Generator) -> Voicing:
    """Bends a soundfont's drum kit: tuning, damping, brightness and touch."""
    moved: dict[int, float] = {COARSE: float(round(rng.normal(0, 2))), FINE: rng.uniform(-50, 50)}
    if rng.random() < 0.35:
        moved[CUTOFF] = -rng.uniform(200, 2200)
    if rng.random() < 0.35:
        moved |= {SUSTAIN: rng.uniform(100, 900), DECAY: rng.uniform(8000, 11500)}
    if rng.random() < 0.2:
        moved[START] = float(rng.integers(1, 160))
    return Voicing(None, 0, tuple(moved.items()), float(rng.lognormal(0, 0.3)), float(rng.uniform(0, 30)))

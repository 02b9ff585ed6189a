"""Heavy guitars: the same riff played twice or four times, far to the sides, through amplifiers turned up."""

from __future__ import annotations

import numpy as np

from stemwright.train.composing.riffs import write_riffs
from stemwright.train.composing.score import Note
from stemwright.train.instruments.engines import play_tone
from stemwright.train.instruments.physical import play_plucked
from stemwright.train.instruments.studio import Part, Studio
from stemwright.train.mixing.desk import loudness_db, to_level

LOWEST = (31, 41)  # tuned down to G1, or as guitars are
DAMPED_DECAY = (0.06, 0.25)  # seconds


def heavy_guitars(rng: np.random.Generator, studio: Studio, playing: np.ndarray) -> list[Part]:
    """The takes of one riff: most often one to either side, sometimes two, sometimes one in the middle."""
    damped, ringing = write_riffs(rng, studio.plan, playing, low=int(rng.integers(*LOWEST)))
    places = _places(rng)
    balance = np.float32(10 ** (rng.normal(0, 3) / 20))
    parts = []
    for place in places:
        sound = np.zeros((studio.samples, 2), np.float32)
        if ringing:
            tone = "clean guitar" if rng.random() < 0.5 else "driven guitar"
            sound += _at_level(play_tone(rng, studio, another_take(rng, ringing), tone))
        if damped:
            plucked = play_plucked(rng, another_take(rng, damped), studio.samples, body="solid", decay=DAMPED_DECAY)
            sound += balance * _at_level(plucked)
        parts.append(Part(sound, "high gain", 0.0, place, 0.0))
    return parts


def _places(rng: np.random.Generator) -> list[float]:
    if rng.random() < 0.2:
        return [float(rng.normal(0, 0.15))]
    side = 1.0 if rng.random() < 0.6 else float(rng.uniform(0.6, 1.0))
    inner = float(rng.uniform(0.4, 0.9)) * side
    return [-side, side, *((-inner, inner) if rng.random() < 0.2 else ())]


def another_take(rng: np.random.Generator, notes: list[Note]) -> list[Note]:
    """The same notes as another take has them."""
    return [n._replace(start_seconds=max(0.0, n.start_seconds + rng.normal(0, 0.006))) for n in notes]


def _at_level(sound: np.ndarray) -> np.ndarray:
    return to_level(sound, -20) if loudness_db(sound) > -75 else sound

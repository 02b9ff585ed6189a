"""Riffs of heavy guitars: low strings that a hand damps, and chords that ring between."""

from __future__ import annotations

import numpy as np

from stemwright.train.composing.parts import Touch
from stemwright.train.composing.score import Note, Plan

# Strokes in sixteenths of a bar of sixteen.
FEELS = {
    "gallop": (2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1, 1),
    "sixteenths": (1,) * 16,
    "eighths": (2,) * 8,
    "stomp": (3, 3, 2, 3, 3, 2),
    "chords": (4, 4, 8),
    "broken": (2, 1, 1, 4, 1, 1, 2, 4),
    "held": (16,),
}
DAMPED = {"gallop": 0.75, "sixteenths": 0.8, "eighths": 0.5, "stomp": 0.45, "chords": 0.1, "broken": 0.6, "held": 0.0}
STEPS_UP = (0, 0, 0, 0, 0, 1, 3, 5, 6, 7, 10)
DAMPED_SECONDS = (0.04, 0.11)


def write_riffs(
    rng: np.random.Generator, plan: Plan, playing: np.ndarray, *, low: int
) -> tuple[list[Note], list[Note]]:
    """Damped and ringing notes in the bars that are played; every section has one of three riffs that come back."""
    touch, riffs = Touch(rng, plan, loudness=100.0), [_riff(rng) for _ in range(3)]
    damped: list[Note] = []
    ringing: list[Note] = []
    for number, section in enumerate(plan.sections):
        for bar in range(section.first_bar, section.last_bar + 1):
            if playing[bar]:
                riff = riffs[number % len(riffs)][bar % 2]
                _play_bar(rng, plan, bar, (touch, riff, low), (damped, ringing))
    return damped, ringing


Stroke = tuple[int, int, bool, int]
"""First sixteenth and length of a stroke, whether it is damped, and semitones above the root."""


def _riff(rng: np.random.Generator) -> tuple[list[Stroke], list[Stroke]]:
    """Two bars, the second like the first but for its end."""
    feel = str(rng.choice(list(FEELS)))
    first, at, step_up = [], 0, 0
    for length in FEELS[feel]:
        step_up = int(rng.choice(STEPS_UP)) if at % 4 == 0 or rng.random() < 0.15 else step_up
        first.append((at, length, bool(rng.random() < DAMPED[feel] and at > 0), step_up))
        at += length
    second = [(at, n, damped, int(rng.choice(STEPS_UP)) if at >= 12 else up) for at, n, damped, up in first]
    return first, second


def _play_bar(
    rng: np.random.Generator, plan: Plan, bar: int, how: tuple[Touch, list[Stroke], int],
    out: tuple[list[Note], list[Note]],
) -> None:  # fmt: skip
    touch, riff, low = how
    scale = plan.steps_per_bar / 16
    for at, length, is_damped, step_up in riff:
        root = low + (plan.chord_at(bar, at * scale).root - low) % 12 + step_up
        if is_damped:
            note = touch.note((bar, at * scale), length * scale, root, -3.0)
            out[0].append(note._replace(seconds=min(note.seconds, float(rng.uniform(*DAMPED_SECONDS)))))
            continue
        for pitch in (root, root + 7, root + 12):
            out[1].append(touch.note((bar, at * scale), length * scale * 0.95, pitch))

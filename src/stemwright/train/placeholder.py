"""A plain vowel singer that stands in until the voices proper are there."""

import numpy as np

from stemwright.train.mixing import biquad, equalise
from stemwright.train.score import Note
from stemwright.train.synths import play_subtractive

FORMANTS = ((800, 1150, 2900), (400, 800, 2600), (350, 2000, 2800), (450, 1750, 2600), (325, 700, 2530))


def sing(rng: np.random.Generator, notes: list[Note], samples: int) -> np.ndarray:
    """A few vowels over a bright saw, float32 [samples, 2]."""
    out = np.zeros((samples, 2), np.float32)
    for vowel in range(3):
        own = [n for i, n in enumerate(notes) if i % 3 == vowel]
        formants = FORMANTS[rng.integers(len(FORMANTS))]
        dry = play_subtractive(rng, own, samples, "lead")
        for i, hz in enumerate(formants):
            out += 0.5**i * equalise(dry, [biquad("lowpass", hz, q=6), biquad("highpass", hz, q=2)])
    return out

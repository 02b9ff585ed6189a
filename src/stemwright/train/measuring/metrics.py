"""How good an estimate of a stem is, in dB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.signal import Samples

FLOOR = 1e-10
NOTHING_FOUND = float(10 * np.log10(FLOOR))
"""The SI-SDR that stands for minus infinity."""
QUIET = 1e-5  # mean power below which a second counts as silent, and 30 dB below the stem's loudest second


def sdr_of_seconds(true: Samples, estimate: Samples, rate: int) -> NDArray[np.float64]:
    """SDR 10·log10(|s|²/|s − e|²) of every second in which the stem sounds (SiSEC's frames, without its filter)."""
    signal, error = _seconds(true, rate), _seconds(true - estimate, rate)
    sounding = (signal > signal.max(initial=0) * 1e-3) & (signal > QUIET * rate * 2)
    return 10 * np.log10(signal[sounding] / (error[sounding] + FLOOR))


def usdr(true: Samples, estimate: Samples) -> float:
    """SDR of the whole song, as in the Music Demixing Challenge 2021."""
    return float(10 * np.log10((energy(true) + FLOOR) / (energy(true - estimate) + FLOOR)))


def si_sdr(true: Samples, estimate: Samples) -> float:
    """Scale-invariant SDR of the whole song (arXiv 1811.02508): the level of the estimate does not count.

    An estimate in which nothing of the stem is, such as silence, has NOTHING_FOUND.
    """
    reference, found = true.astype(np.float64).ravel(), estimate.astype(np.float64).ravel()
    target = reference * (reference @ found / (reference @ reference + FLOOR))
    ratio = (target @ target) / (np.sum((found - target) ** 2) + FLOOR)
    return float(10 * np.log10(max(ratio, FLOOR)))


def level_db(part: Samples, whole: Samples) -> float:
    """Level of a part below the whole."""
    return float(10 * np.log10((energy(part) + FLOOR) / (energy(whole) + FLOOR)))


def energy(samples: Samples) -> float:
    """Sum of squares, in double precision."""
    return float(np.sum(np.square(samples, dtype=np.float64)))


def _seconds(samples: Samples, rate: int) -> NDArray[np.float64]:
    whole = max(samples.shape[1] // rate, 0) * rate
    return np.square(samples[:, :whole], dtype=np.float64).reshape(len(samples), -1, rate).sum((0, 2))

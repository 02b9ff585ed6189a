"""What a net hears of channels that differ in level, time or polarity: ones that match. See docs/decisions/0052."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stemwright.engine.spectrum import Spectrum

REACH = 48
"""Samples that a channel may be late at most: a tape head that stands askew is less."""
FINENESS = 4
"""Steps of a sample in which lateness is found."""
COHERENT, CLEARLY = 0.1, 1.2
"""How much of one channel must be in the other, and how far what is found must stand out of no difference at all."""
MISSING_DB = 30
"""A channel fainter than the other by more says nothing: the other is heard in its place."""
LEVEL_DB = 1.0
"""Smaller differences stay: the middle of a few seconds is not known better."""
HERTZ = (50.0, 4300.0)
"""Where sources in the middle are loud."""
STEP_DB = 0.25
LEVELS = np.arange(-MISSING_DB, MISSING_DB + STEP_DB / 2, STEP_DB)
NEAR = np.hanning(27)[1:-1]  # 3 dB to each side
TINY = 1e-20


def matched(spectrum: Spectrum, rate: int) -> Spectrum:
    """Mixes [batch, 2, frames, bins] whose channels are as loud, as early and of the same polarity, or near it.

    The masks of songs whose channels match, as those of finished music do, are made of them as they are.
    """
    heard = [_matched(mix[0], mix[1], rate) for mix in spectrum]
    if all(each is None for each in heard):
        return spectrum
    return np.stack([mix if each is None else each for mix, each in zip(spectrum, heard, strict=True)])


def _matched(left: Spectrum, right: Spectrum, rate: int) -> Spectrum | None:
    """The channels [2, frames, bins] with the right one brought to the left; None where nothing is to be done."""
    below = left.shape[1] // 2  # of a codec's highs often one channel is left
    lows = left[:, :below], right[:, :below]
    powers = [_inner(each, each).real for each in lows]
    loudness = [10 * np.log10(power.sum() + TINY) for power in powers]
    if max(loudness) - min(loudness) > MISSING_DB:
        return np.stack([left if loudness[0] > loudness[1] else right] * 2)
    n_fft = 2 * (left.shape[1] - 1)
    peak, late = _common(_inner(*lows) / np.sqrt(powers[0] * powers[1] + TINY), n_fft)
    if abs(peak) < COHERENT:
        return None
    if late or peak < 0:
        turn = np.sign(peak) * np.exp(np.arange(left.shape[1]) * (-2j * np.pi * late / n_fft))
        right = right * turn.astype(np.complex64)
    level = _level(left, right, round(HERTZ[0] * n_fft / rate), round(HERTZ[1] * n_fft / rate))
    if not level and not late and peak > 0:
        return None
    gain = np.float32(10 ** (level / 40))
    return np.stack([left * gain, right / gain])


def _inner(first: Spectrum, second: Spectrum) -> NDArray[np.complex128]:
    return np.einsum("tf,tf->f", first, second.conj()).astype(np.complex128)


def _common(coherence: NDArray[np.complex128], n_fft: int) -> tuple[float, float]:
    """How much of the channels is the same, negative where turned over, and by how many samples the right one is late.

    It is the highest peak of the generalised cross-correlation with the smoothed coherence transform (Knapp & Carter,
    IEEE Trans. ASSP 24(4), 1976).
    """
    reach = REACH * FINENESS
    found = np.fft.irfft(coherence, n_fft * FINENESS, norm="forward") / (2 * len(coherence))
    found = np.concatenate([found[-reach:], found[: reach + 1]])
    best = int(np.argmax(np.abs(found)))
    if abs(found[best]) < CLEARLY * abs(found[reach]):
        best = reach
    return float(found[best]), (best - reach) / FINENESS


def _level(left: Spectrum, right: Spectrum, low: int, high: int) -> float:
    """By how many dB the right channel is louder in the middle of the mix; 0 where that is next to none.

    The middle is where most of the power lies that both channels have in phase.
    """
    left, right = left[::2, low:high], right[::2, low:high]
    powers = [each.real**2 + each.imag**2 for each in (left, right)]
    both = np.sqrt(powers[0] * powers[1])
    in_phase = (left * right.conj()).real > 0.95 * both
    levels = 10 * np.log10((powers[1][in_phase] + TINY) / (powers[0][in_phase] + TINY))
    found, _ = np.histogram(levels, LEVELS, weights=both[in_phase])
    likely = np.convolve(found, NEAR, mode="same")
    best, none = int(np.argmax(likely)), slice(len(likely) // 2 - 1, len(likely) // 2 + 1)
    level = float(LEVELS[best]) + STEP_DB / 2
    return level if abs(level) >= LEVEL_DB and likely[best] > CLEARLY * likely[none].mean() else 0.0

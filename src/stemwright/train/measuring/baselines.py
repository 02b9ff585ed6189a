"""What needs no training: the mix itself, its best constant share, classical separation, and the oracle mask."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from stemwright.audio.signal import Samples
from stemwright.engine.spectrum import Spectrum, Stft

STFT = Stft(4096, 1024)
LOWPASS_HZ = 160.0
VOICE_HZ = (150.0, 9000.0)
MEDIAN = 31  # frames or bins


class Rivals:
    """The estimates that a separator is compared with, for one mix [2, samples]; each is made once."""

    def __init__(self, mix: Samples, rate: int) -> None:
        self.mix, self.rate = mix, rate

    @cached_property
    def spectrum(self) -> Spectrum:
        """The mix's spectrum [2, frames, bins]."""
        return forward(self.mix)

    def constant(self, true: Samples) -> Samples:
        """The mix at the one gain that is best for this stem: what a method must beat that claims to separate."""
        share = np.vdot(self.mix, true) / (np.vdot(self.mix, self.mix) + 1e-9)
        return (share * self.mix).astype(np.float32)

    def oracle(self, true: Samples) -> Samples:
        """The magnitude ratio mask |S| / (|S| + |X − S|) made with the true stem: the reach of real masks."""
        spectrum = forward(true)
        own, rest = np.abs(spectrum), np.abs(self.spectrum - spectrum)
        return self._masked(own / (own + rest + 1e-9))

    @cached_property
    def percussive(self) -> Samples:
        """Harmonic–percussive separation by median filters (FitzGerald 2010): its percussive part, softly masked."""
        magnitude = np.abs(self.spectrum).mean(0)
        harmonic = scipy.ndimage.median_filter(magnitude, (MEDIAN, 1))
        struck = scipy.ndimage.median_filter(magnitude, (1, MEDIAN))
        return self._masked(struck**2 / (struck**2 + harmonic**2 + 1e-9))

    @cached_property
    def low_passed(self) -> Samples:
        """All below 160 Hz."""
        return self._masked((self._hertz < LOWPASS_HZ).astype(np.float32))

    @cached_property
    def centre(self) -> Samples:
        """What both channels share, in the voice's range: likeness of magnitude and phase, to the fourth power."""
        left, right = self.spectrum
        cross = left * np.conj(right)
        alike = 2 * np.maximum(cross.real, 0) / (np.abs(left) ** 2 + np.abs(right) ** 2 + 1e-9)
        mask = alike**4 * ((self._hertz > VOICE_HZ[0]) & (self._hertz < VOICE_HZ[1]))
        return backward(np.broadcast_to((left + right) / 2 * mask, self.spectrum.shape), self.mix.shape[1])

    @property
    def _hertz(self) -> NDArray[np.floating]:
        return np.arange(STFT.bins) * (self.rate / STFT.n_fft)

    def _masked(self, mask: NDArray[np.floating]) -> Samples:
        return backward(self.spectrum * mask, self.mix.shape[1])


def forward(samples: Samples) -> Spectrum:
    """Spectrum [2, frames, bins] of samples [2, n] of any length."""
    return STFT.forward(np.pad(samples, ((0, 0), (0, -samples.shape[1] % STFT.hop))))


def backward(spectrum: NDArray[np.complexfloating], samples: int) -> Samples:
    """Samples [2, n] of a spectrum [2, frames, bins]."""
    frames = spectrum.shape[1]
    out = np.zeros((2, samples), np.float32)
    for channel, rows in enumerate(np.asarray(spectrum, np.complex64)):
        signal = np.zeros(STFT.span(frames), np.float32)
        STFT.added(signal, STFT.inverse(rows, np.empty((frames, STFT.n_fft), np.float32)), 0)
        out[channel] = (STFT.trimmed(signal) / STFT.weight(frames))[:samples]
    return out

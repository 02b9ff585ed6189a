"""What needs no training: the mix itself, its best constant share, classical separation, and the oracle mask."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from stemwright.audio.signal import Samples
from stemwright.engine.spectrum import Spectrum, Stft

STFT = Stft(4096, 1024)
LOWPASS_HZ = 160.0
VOICE_HZ = (150.0, 9000.0)


def best_constant(true: Samples, mix: Samples) -> Samples:
    """The mix at the one gain that is best for this stem: what a method must beat that claims to separate."""
    share = np.vdot(mix, true) / (np.vdot(mix, mix) + 1e-9)
    return (share * mix).astype(np.float32)


def oracle(true: Samples, mix: Samples) -> Samples:
    """The magnitude ratio mask |S| / (|S| + |X − S|) made with the true stem: the reach of real masks."""
    own, rest = np.abs(_forward(true)), np.abs(_forward(mix - true))
    return _masked(mix, own / (own + rest + 1e-9))


def percussive(mix: Samples) -> Samples:
    """Harmonic–percussive separation by median filters (FitzGerald 2010): its percussive part, softly masked."""
    magnitude = np.abs(_forward(mix))
    harmonic = scipy.ndimage.median_filter(magnitude, (1, 31, 1))
    struck = scipy.ndimage.median_filter(magnitude, (1, 1, 31))
    return _masked(mix, struck**2 / (struck**2 + harmonic**2 + 1e-9))


def low_passed(mix: Samples, rate: int) -> Samples:
    """All below 160 Hz."""
    return _masked(mix, (_hertz(rate) < LOWPASS_HZ).astype(np.float32))


def centre(mix: Samples, rate: int) -> Samples:
    """What both channels share, in the voice's range: likeness of magnitude and phase, to the fourth power."""
    left, right = _forward(mix)
    cross = left * np.conj(right)
    alike = 2 * np.maximum(cross.real, 0) / (np.abs(left) ** 2 + np.abs(right) ** 2 + 1e-9)
    hertz = _hertz(rate)
    mask = alike**4 * ((hertz > VOICE_HZ[0]) & (hertz < VOICE_HZ[1]))
    middle = np.broadcast_to(mix.mean(0), mix.shape)
    return _masked(middle, mask[None])


def _hertz(rate: int) -> NDArray[np.floating]:
    return np.arange(STFT.bins) * (rate / STFT.n_fft)


def _forward(samples: Samples) -> Spectrum:
    return STFT.forward(np.pad(samples, ((0, 0), (0, -samples.shape[1] % STFT.hop))))


def _masked(mix: Samples, mask: NDArray[np.floating]) -> Samples:
    """The mix through a mask that can be broadcast to [2, frames, bins]."""
    spectrum = _forward(mix) * mask
    frames = spectrum.shape[1]
    out = np.zeros_like(mix)
    for channel, rows in enumerate(np.asarray(spectrum, np.complex64)):
        signal = np.zeros(STFT.span(frames), np.float32)
        STFT.added(signal, STFT.inverse(rows, np.empty((frames, STFT.n_fft), np.float32)), 0)
        out[channel] = (STFT.trimmed(signal) / STFT.weight(frames))[: mix.shape[1]]
    return out

"""Frames of pitch, spectral envelope and noisiness to a voice: irregular pulses and noise through a moving filter."""

from dataclasses import dataclass
from functools import cache

import numba
import numpy as np
import scipy.fft

RATE = 44100
HOP = 220  # samples per frame: 5 ms
BANDS = 128
_FFT = 2048
_BLOCK = 256  # frames filtered at once: fits the cache
_SILENT = -9.0  # natural log of amplitude below which a frame is skipped


def _mel(hz: np.ndarray) -> np.ndarray:
    return 2595 * np.log10(1 + hz / 700)


BAND_HZ = (700 * (10 ** (np.linspace(0, _mel(np.array(RATE / 2)), BANDS) / 2595) - 1)).astype(np.float32)


@dataclass
class Frames:
    """A voice at 5 ms steps: MIDI pitch [n], voicing 0-1 [n], ln amplitude [n, BANDS], noise share 0-1 [n, BANDS]."""

    pitch: np.ndarray
    voiced: np.ndarray
    envelope: np.ndarray
    noise: np.ndarray


@dataclass(frozen=True)
class Throat:
    """How irregularly the folds swing.

    jitter and shimmer: relative deviation per cycle; subharmonic: how much every other cycle is weaker (0-1);
    growl: depth of a slow flutter of the false folds (0-1) at growl_hz; pulsed: how far breath noise follows the cycle.
    """

    jitter: float = 0.004
    shimmer: float = 0.03
    subharmonic: float = 0.0
    growl: float = 0.0
    growl_hz: float = 40.0
    pulsed: float = 0.5


def frames_of(seconds: float) -> int:
    """Number of frames that cover a length."""
    return max(int(np.ceil(seconds * RATE / HOP)), 1)


def band_weights(points_hz: np.ndarray, targets_hz: np.ndarray) -> np.ndarray:
    """Linear interpolation as a matrix [points, targets]: values at points_hz to values at targets_hz, ends held."""
    position = np.interp(targets_hz, points_hz, np.arange(len(points_hz)))
    low = np.minimum(position.astype(int), len(points_hz) - 2)
    weights = np.zeros((len(points_hz), len(targets_hz)), np.float32)
    columns = np.arange(len(targets_hz))
    weights[low, columns] = 1 - (position - low)
    weights[low + 1, columns] = position - low
    return weights


@cache
def _to_bins() -> np.ndarray:
    return band_weights(BAND_HZ, np.arange(_FFT // 2 + 1) * RATE / _FFT)


@cache
def _kernels() -> np.ndarray:
    """Windowed sinc at 64 sub-sample shifts: a pulse that falls between two samples."""
    offsets = np.arange(-7, 9)[None] - np.arange(64)[:, None] / 64
    return (np.sinc(offsets * 0.97) * (0.5 + 0.5 * np.cos(np.pi * np.clip(offsets / 8.5, -1, 1)))).astype(np.float32)


@numba.njit(cache=True)
def _pulses(
    period: np.ndarray, gain: np.ndarray, deviates: np.ndarray, kernels: np.ndarray, throat: tuple, hop: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pulses of unit power per sample, and the glottal phase 0-1 of every sample."""
    jitter, shimmer, subharmonic, growl, growl_hz = throat
    n = len(period) * hop
    out = np.zeros(n + 32, np.float32)
    phase = np.zeros(n, np.float32)
    at, count, flutter = 0.0, 0, 0.0
    while at < n - 1:
        frame = min(int(at / hop), len(period) - 1)
        length = period[frame]
        if gain[frame] <= 0:
            at = (frame + 1.0) * hop
            continue
        a, b = deviates[count % len(deviates), 0], deviates[count % len(deviates), 1]
        flutter += length / 44100.0 * growl_hz * (1 + 0.3 * b)
        flap = 0.5 + 0.5 * np.sin(2 * np.pi * flutter)
        odd = count % 2
        step = length * (1 + jitter * a) * (1 + 0.06 * subharmonic * (2 * odd - 1)) * (1 + 0.05 * growl * (flap - 0.5))
        step = max(step, 20.0)
        strength = np.sqrt(length) * gain[frame] * max(1 + shimmer * b, 0.1) * (1 - 0.7 * subharmonic * odd)
        strength *= 1 - 0.85 * growl * flap
        start = int(at)
        shift = int((at - start) * 64)
        for k in range(16):
            if start + k - 7 >= 0:
                out[start + k - 7] += strength * kernels[shift, k]
        for k in range(int(step) + 1):
            if start + k < n:
                phase[start + k] = k / step
        at += step
        count += 1
    return out[:n], phase


@numba.njit(cache=True)
def _overlap_add(out: np.ndarray, pieces: np.ndarray, first: np.ndarray) -> None:
    for i in range(len(pieces)):
        at = first[i]
        for k in range(pieces.shape[1]):
            out[at + k] += pieces[i, k]


@numba.njit(cache=True, fastmath=True)
def _filtered(pulses: np.ndarray, hiss: np.ndarray, noise: np.ndarray, log_filter: np.ndarray) -> np.ndarray:
    """Spectra [n, bins] of pulses and noise in their shares, through filters given as complex logarithms."""
    out = np.empty_like(pulses)
    for i in range(pulses.shape[0]):
        for k in range(pulses.shape[1]):
            share = min(max(noise[i, k], np.float32(0)), np.float32(1))
            tone = np.sqrt(np.float32(1) - share * share)
            size, turn = np.exp(log_filter[i, k].real), log_filter[i, k].imag
            out[i, k] = (pulses[i, k] * tone + hiss[i, k] * share) * complex(size * np.cos(turn), size * np.sin(turn))
    return out


def _minimum_phase(log_amplitude: np.ndarray) -> np.ndarray:
    """Logarithms of complex spectra [n, bins] of least delay with these ln amplitudes (folded cepstrum)."""
    cepstrum = np.asarray(scipy.fft.irfft(log_amplitude, _FFT, axis=1))
    cepstrum[:, 1 : _FFT // 2] *= 2
    cepstrum[:, _FFT // 2 + 1 :] = 0
    return np.asarray(scipy.fft.rfft(cepstrum, axis=1))


def _sources(rng: np.random.Generator, frames: Frames, throat: Throat) -> tuple[np.ndarray, np.ndarray]:
    hz = 440 * 2 ** ((frames.pitch.astype(np.float64) - 69) / 12)
    deviates = rng.standard_normal((4096, 2)).clip(-3, 3)
    settings = (throat.jitter, throat.shimmer, throat.subharmonic, throat.growl, throat.growl_hz)
    period = RATE / hz.clip(30, 2000)
    pulses, phase = _pulses(period, frames.voiced.astype(np.float64), deviates, _kernels(), settings, HOP)
    hiss = rng.standard_normal(len(pulses), np.float32)
    swell = 1 + throat.pulsed * (np.cos(2 * np.pi * (phase - 0.75)) * (phase > 0)).astype(np.float32)
    return pulses, hiss * swell


def synthesize(rng: np.random.Generator, frames: Frames, throat: Throat = Throat()) -> np.ndarray:
    """Render frames to float32 [n * HOP].

    Every 10 ms piece of the source passes the minimum-phase filter of its frame and is added back, so the filter may
    move as fast as the frames; pulses and noise share each frequency by the noise share (after WORLD, Morise 2016).
    """
    n = len(frames.pitch)
    sources = [np.pad(source, HOP) for source in _sources(rng, frames, throat)]
    window = np.hanning(2 * HOP + 1)[: 2 * HOP].astype(np.float32)
    out = np.zeros((n + 1) * HOP + _FFT, np.float32)
    loud = np.nonzero(frames.envelope.max(1) > _SILENT)[0]
    for block in np.split(loud, range(_BLOCK, len(loud), _BLOCK)):
        if len(block):
            first = block * HOP
            index = first[:, None] + np.arange(2 * HOP)
            pulses, hiss = (np.asarray(scipy.fft.rfft(source[index] * window, _FFT, axis=1)) for source in sources)
            noise = (frames.noise[block] @ _to_bins()).astype(np.float32)
            shape = (frames.envelope[block] @ _to_bins()).astype(np.float32)
            spectrum = _filtered(pulses, hiss, noise, _minimum_phase(shape))
            _overlap_add(out, np.asarray(scipy.fft.irfft(spectrum, _FFT, axis=1), np.float32), first)
    return out[HOP : (n + 1) * HOP]

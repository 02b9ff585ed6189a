"""What a lossy codec does to a mix, done to its stems alike, so that they still sum to what is heard."""

import numpy as np

from stemwright.engine.spectrum import Stft
from stemwright.train.mixing.desk import RATE, under_ceiling

STFT = Stft(2048, 512)
BANDS = 24  # about as many as the ear has, equally wide in Bark


def damage(rng: np.random.Generator, stems: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The stems [n, 2] as a codec short of bits leaves them: cut off on top, with holes where the mix masks itself.

    A codec decides by the mix alone. Its gain of every bin and frame is given to every stem, so sums stay sums.
    """
    samples = len(next(iter(stems.values())))
    padding = ((0, 0), (0, -samples % STFT.hop))
    spectra = {name: STFT.forward(np.pad(sound.T, padding)) for name, sound in stems.items()}
    gains = _gains(rng, np.asarray(sum(spectra.values())))
    damaged = {name: _samples(spectrum * gains)[:, :samples].T for name, spectrum in spectra.items()}
    return under_ceiling(damaged, np.asarray(sum(damaged.values())))


def _gains(rng: np.random.Generator, mix: np.ndarray) -> np.ndarray:
    """0 or 1 for [2, frames, bins]: what is too soft beside its band, or beside its frame, is not coded."""
    hertz = np.arange(STFT.bins) * RATE / STFT.n_fft
    bark = 13 * np.arctan(0.00076 * hertz) + 3.5 * np.arctan((hertz / 7500) ** 2)
    edges = np.searchsorted(bark, np.linspace(0, bark[-1], BANDS + 1)[:-1])
    level = 20 * np.log10(np.abs(mix) + 1e-7)
    loudest = np.maximum.reduceat(level, edges, axis=-1)
    widths = np.diff([*edges, STFT.bins])
    # Bits are spent below; on top whole bands are left out from one frame to the next.
    spared = np.linspace(rng.uniform(20, 40), rng.uniform(4, 16), BANDS)
    kept = level > np.repeat(loudest - spared, widths, axis=-1)
    kept &= np.repeat(loudest > level.max(-1, keepdims=True) - rng.uniform(40, 65), widths, axis=-1)
    kept &= hertz < rng.uniform(10500, 19000)
    return kept.astype(np.float32)


def _samples(spectrum: np.ndarray) -> np.ndarray:
    frames = spectrum.shape[1]
    out = np.empty((2, (frames - 1) * STFT.hop), np.float32)
    for channel, rows in enumerate(spectrum.astype(np.complex64)):
        signal = np.zeros(STFT.span(frames), np.float32)
        STFT.added(signal, STFT.inverse(rows, np.empty((frames, STFT.n_fft), np.float32)), 0)
        out[channel] = STFT.trimmed(signal) / STFT.weight(frames)
    return out

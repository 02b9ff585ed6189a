"""Short-time spectra in torch: the centred STFT and its inverse."""

from __future__ import annotations

import torch
from torch import Tensor


def stft(samples: Tensor, n_fft: int, hop: int) -> Tensor:
    """Spectrum of [..., n] as complex [..., frames, bins]; periodic Hann window, centred on zeros beyond both ends."""
    window = torch.hann_window(n_fft, device=samples.device, dtype=samples.dtype)
    flat = samples.reshape(-1, samples.shape[-1])
    spectrum = torch.stft(flat, n_fft, hop, window=window, pad_mode="constant", return_complex=True)
    return spectrum.transpose(-1, -2).unflatten(0, samples.shape[:-1])


def istft(spectrum: Tensor, hop: int, length: int) -> Tensor:
    """Samples [..., length] of a centred spectrum [..., frames, bins]: the inverse of `stft`."""
    n_fft = 2 * (spectrum.shape[-1] - 1)
    window = torch.hann_window(n_fft, device=spectrum.device)
    flat = spectrum.reshape(-1, *spectrum.shape[-2:]).transpose(-1, -2)
    samples = torch.istft(flat, n_fft, hop, window=window, length=length)
    return samples.unflatten(0, spectrum.shape[:-2])

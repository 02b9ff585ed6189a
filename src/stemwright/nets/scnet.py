"""SCNet (arXiv 2401.13276): sparse compression of three bands, with a dual-path recurrent net between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stemwright.nets.precision import Dense


@dataclass(frozen=True)
class ScnetConfig:
    """Sizes of an SCNet; the three bands are low, middle and high.

    `shares` are the low and middle bands' parts of the bins. `window` is the STFT's: the published weights were
    trained with none ("boxcar"). `masked` is the variant that ends in a bounded mask instead of a spectrum.
    `standardised` is what the authors' own code does with the spectrum and ZFTurbo's leaves to the caller.
    """

    stems: int = 4
    channels: int = 2
    dims: tuple[int, ...] = (4, 32, 64, 128)
    shares: tuple[float, float] = (0.175, 0.392)
    strides: tuple[int, int, int] = (1, 4, 16)
    kernels: tuple[int, int, int] = (3, 4, 16)
    conv_depths: tuple[int, int, int] = (3, 2, 1)
    compress: int = 4
    conv_kernel: int = 3
    dual_paths: int = 6
    expand: int = 1
    n_fft: int = 4096
    hop: int = 1024
    normalized: bool = True
    window: str = "boxcar"
    standardised: bool = False
    masked: bool = False
    mask_hidden: int = 64


class ConvModule(nn.Module):
    """Residual gated convolutions along time: [b, channels, frames] → the same."""

    def __init__(self, channels: int, depth: int, config: ScnetConfig) -> None:
        super().__init__()
        hidden, kernel = channels // config.compress, config.conv_kernel
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(1, channels),
                nn.Conv1d(channels, 2 * hidden, kernel, padding=kernel // 2),
                nn.GLU(1),
                nn.Conv1d(hidden, hidden, kernel, padding=kernel // 2, groups=hidden),
                nn.GroupNorm(1, hidden),
                nn.SiLU(),
                nn.Conv1d(hidden, channels, 1),
            )
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x)
        return x


class Encoder(nn.Module):
    """One sparse-down block: each band strided by its own factor, convolved along time, then mixed globally."""

    def __init__(self, before: int, after: int, config: ScnetConfig) -> None:
        super().__init__()
        self.config = config
        sizes = zip(config.kernels, config.strides, strict=True)
        self.down = nn.ModuleList(nn.Conv2d(before, after, (k, 1), (s, 1)) for k, s in sizes)
        self.modules_by_band = nn.ModuleList(ConvModule(after, depth, config) for depth in config.conv_depths)
        self.mix = nn.Conv2d(after, after, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, list[int]]:
        """Returns the block's output, its skip and the bands' sizes after striding; x is [b, c, bins, frames]."""
        parts = x.split(band_sizes(x.shape[2], self.config), dim=2)
        bands = [self._band(part, index) for index, part in enumerate(parts)]
        skip = torch.cat(bands, dim=2)
        return self.mix(skip), skip, [band.shape[2] for band in bands]

    def _band(self, x: Tensor, index: int) -> Tensor:
        kernel, stride = self.config.kernels[index], self.config.strides[index]
        padding = kernel - 1 if stride == 1 else -x.shape[2] % stride
        x = self.down[index](F.pad(x, (0, 0, padding // 2, padding - padding // 2)))
        b, c, bins, frames = x.shape
        rows = self.modules_by_band[index](x.transpose(1, 2).reshape(b * bins, c, frames))
        return F.gelu(rows.view(b, bins, c, frames).transpose(1, 2))


def band_sizes(bins: int, config: ScnetConfig) -> list[int]:
    """Bins of the low, middle and high band; the parts are rounded up as upstream rounds them."""
    low = math.ceil(bins * config.shares[0])
    middle = math.ceil(bins * (config.shares[0] + config.shares[1]))
    return [low, middle - low, bins - middle]


class Decoder(nn.Module):
    """Gated fusion with the skip, then one sparse-up block back to the sizes before striding."""

    def __init__(self, before: int, after: int, config: ScnetConfig) -> None:
        super().__init__()
        self.fuse = nn.Conv2d(2 * before, 2 * before, 3, padding=1)
        sizes = zip(config.kernels, config.strides, strict=True)
        self.up = nn.ModuleList(nn.ConvTranspose2d(before, after, (k, 1), (s, 1)) for k, s in sizes)

    def forward(self, x: Tensor, skip: Tensor, sizes: list[int], wanted: list[int]) -> Tensor:
        # Upstream lays the sum upon itself: once, through the sum of both halves of the weights, is half the work.
        first, second = self.fuse.weight.chunk(2, dim=1)
        x = F.glu(F.conv2d((x + skip).to(first.dtype), first + second, self.fuse.bias, padding=1), dim=1)
        bands = [up(part) for up, part in zip(self.up, x.split(sizes, dim=2), strict=True)]
        return torch.cat([_middle(band, size) for band, size in zip(bands, wanted, strict=True)], dim=2)


def _middle(x: Tensor, size: int) -> Tensor:
    return x.narrow(2, abs(x.shape[2] - size) // 2, size)


class DualPath(nn.Module):
    """An LSTM over the bins of every frame, then one over the frames of every bin: [b, c, bins, frames]."""

    def __init__(self, channels: int, expand: int) -> None:
        super().__init__()
        hidden = channels * expand
        self.norms = nn.ModuleList(nn.GroupNorm(1, channels) for _ in range(2))
        self.lstms = nn.ModuleList(nn.LSTM(channels, hidden, batch_first=True, bidirectional=True) for _ in range(2))
        self.linears = nn.ModuleList(Dense(2 * hidden, channels) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._path(self.norms[0](x).permute(0, 3, 2, 1), 0).permute(0, 3, 2, 1)
        return x + self._path(self.norms[1](x).permute(0, 2, 3, 1), 1).permute(0, 3, 1, 2)

    def _path(self, x: Tensor, index: int) -> Tensor:
        rows, _ = self.lstms[index](x.flatten(0, 1))
        return self.linears[index](rows).view(x.shape)


class Scnet(nn.Module):
    """mix [b, channels, n] → stems [b, stems, channels, n]; follows ZFTurbo's copy of starrytong's code."""

    def __init__(self, config: ScnetConfig) -> None:
        super().__init__()
        self.config = config
        steps = list(zip(config.dims[:-1], config.dims[1:], strict=True))
        self.encoders = nn.ModuleList(Encoder(before, after, config) for before, after in steps)
        self.paths = nn.ModuleList(
            DualPath(config.dims[-1] * (1 + index % 2), config.expand) for index in range(config.dual_paths)
        )
        ends = [config.dims[0] * config.stems] + [before for before, _ in steps[1:]]
        self.decoders = nn.ModuleList(
            Decoder(after, end, config) for (_, after), end in zip(reversed(steps), reversed(ends), strict=True)
        )
        if config.masked:
            spectra = 2 * config.channels * config.stems
            self.positions = nn.Parameter(torch.zeros(1, config.dims[0], config.n_fft // 2 + 1, 1))
            self.mask = nn.Sequential(
                nn.Conv2d(spectra, config.mask_hidden, 3, padding=1),
                nn.GELU(),
                nn.Conv2d(config.mask_hidden, spectra, 1),
                nn.Tanh(),
            )

    def forward(self, mix: Tensor) -> Tensor:
        config, spectrum = self.config, self._spectrum(mix)
        x = torch.view_as_real(spectrum).permute(0, 1, 4, 2, 3).flatten(1, 2)  # [b, (channel, re/im), bins, frames]
        if config.standardised:
            mean, std = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), keepdim=True)
            x = self._net((x - mean) / (1e-5 + std)) * std + mean
        else:
            x = self.mask(self._net(x + self.positions)) if config.masked else self._net(x)
        planes = x.float().view(x.shape[0], config.stems, config.channels, 2, *x.shape[2:])
        stems = torch.view_as_complex(planes.permute(0, 1, 2, 4, 5, 3).contiguous())
        return self._audio(stems * spectrum.unsqueeze(1) if config.masked else stems)[..., : mix.shape[-1]]

    def _net(self, x: Tensor) -> Tensor:
        kept: list[tuple[Tensor, list[int], list[int]]] = []
        for encoder in self.encoders:
            wanted = band_sizes(x.shape[2], self.config)
            x, skip, sizes = encoder(x)
            kept.append((skip, sizes, wanted))
        for index, path in enumerate(self.paths):
            x = path(x)
            x = _to_modulation(x) if index % 2 == 0 else _from_modulation(x)
        for decoder in self.decoders:
            x = cast(Decoder, decoder)(x, *kept.pop())
        return x

    def _window(self, like: Tensor) -> Tensor:
        draw = torch.hann_window if self.config.window == "hann" else torch.ones
        return draw(self.config.n_fft, device=like.device)

    def _spectrum(self, mix: Tensor) -> Tensor:
        """Padded so that the frames are even in number: a real FFT runs along them."""
        config = self.config
        padding = config.hop - mix.shape[-1] % config.hop
        if (mix.shape[-1] + padding) // config.hop % 2 == 0:
            padding += config.hop
        padded = F.pad(mix, (0, padding))
        flat = torch.stft(
            padded.flatten(0, 1),
            config.n_fft,
            config.hop,
            window=self._window(mix),
            normalized=config.normalized,
            return_complex=True,
        )
        return flat.view(*mix.shape[:2], *flat.shape[1:])

    def _audio(self, spectra: Tensor) -> Tensor:
        config = self.config
        flat = torch.istft(
            spectra.flatten(0, 2), config.n_fft, config.hop, window=self._window(spectra), normalized=config.normalized
        )
        return flat.view(*spectra.shape[:3], -1)


def _to_modulation(x: Tensor) -> Tensor:
    turned = torch.fft.rfft(x.float(), dim=3, norm="ortho")
    return torch.cat([turned.real, turned.imag], dim=1)


def _from_modulation(x: Tensor) -> Tensor:
    real, imaginary = x.chunk(2, dim=1)
    return torch.fft.irfft(torch.complex(real, imaginary), dim=3, norm="ortho")

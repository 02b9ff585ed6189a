"""BS-RoFormer (arXiv 2309.02612) and Mel-Band RoFormer (arXiv 2310.01809): one trunk over bands and frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stemwright.nets.precision import Dense, attend, let_go

FRAMES = 16
"""Frames that a CPU works on at once where it goes over the bands."""


@dataclass(frozen=True)
class RoformerConfig:
    """Sizes of a RoFormer; `bands` are half-open ranges of STFT bins: a partition (BS) or overlapping (Mel).

    `norm` says where the residual stream is normalised: after every transformer (Mel) or once, at the end (BS).
    `mask_hidden` counts the hidden layers of a mask head. `skip` feeds every block the sum of all earlier ones.
    """

    dim: int
    depth: int
    bands: tuple[tuple[int, int], ...]
    stems: int = 1
    channels: int = 2
    heads: int = 8
    dim_head: int = 64
    time_depth: int = 1
    band_depth: int = 1
    feedforward: int = 4
    mask_hidden: int = 1
    mask_expansion: int = 4
    norm: str = "final"
    skip: bool = False
    n_fft: int = 2048
    hop: int = 441
    normalized: bool = False
    zero_dc: bool = True


class RMSNorm(nn.Module):
    """Scales a vector to length √dim, then by `gamma` (arXiv 1910.07467, without its mean)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1) * self.gamma.numel() ** 0.5 * self.gamma


class Attention(nn.Module):
    """Multi-head attention with rotary positions and a sigmoid gate per head: [b, n, dim] → [b, n, dim]."""

    def __init__(self, dim: int, heads: int, dim_head: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = RMSNorm(dim)
        self.qkv = Dense(dim, 3 * heads * dim_head, bias=False)
        self.gates = Dense(dim, heads)
        self.out = Dense(heads * dim_head, dim, bias=False)

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        x = self.norm(x).to(self.qkv.dtype)
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        heard = attend(rotated(q, rotation), rotated(k, rotation), v)
        gated = heard.transpose(1, 2) * self.gates(x).sigmoid().unsqueeze(-1)
        return self.out(gated.flatten(-2))


def rotated(x: Tensor, rotation: Tensor) -> Tensor:
    """Neighbouring pairs of the last axis turned by their position's angle, in fp32 (RoFormer, arXiv 2104.09864)."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rotation).flatten(-2)


class FeedForward(nn.Module):
    """Norm, widen, GELU, narrow: [..., dim] → [..., dim]."""

    def __init__(self, dim: int, expansion: int) -> None:
        super().__init__()
        self.norm = RMSNorm(dim)
        self.up = Dense(dim, dim * expansion, activation="gelu")
        self.down = Dense(dim * expansion, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.up(self.norm(x)))


class Transformer(nn.Module):
    """Pre-norm transformer along one axis: [b, n, dim] → [b, n, dim]."""

    def __init__(self, config: RoformerConfig, depth: int) -> None:
        super().__init__()
        self.attention = nn.ModuleList(Attention(config.dim, config.heads, config.dim_head) for _ in range(depth))
        self.feedforward = nn.ModuleList(FeedForward(config.dim, config.feedforward) for _ in range(depth))
        self.norm = RMSNorm(config.dim) if config.norm == "each" else nn.Identity()

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        for attention, feedforward in zip(self.attention, self.feedforward, strict=True):
            x = x + attention(x, rotation)
            x = x + feedforward(x)
        return self.norm(x)


class Block(nn.Module):
    """One transformer over time in every band, one over the bands in every frame: [b, bands, frames, dim], in place.

    On a CPU a band, then a few frames at a time: what happens between two products stays in the cache of a core.
    """

    def __init__(self, config: RoformerConfig) -> None:
        super().__init__()
        self.time = Transformer(config, config.time_depth)
        self.band = Transformer(config, config.band_depth)

    def forward(self, x: Tensor, over_time: Tensor, over_bands: Tensor) -> Tensor:
        for song in x:
            for bands in song.split(1 if x.device.type == "cpu" else len(song)):
                bands.copy_(self.time(bands, over_time))
            columns = song.transpose(0, 1)
            for frames in columns.split(FRAMES if x.device.type == "cpu" else len(columns)):
                frames.copy_(self.band(frames.contiguous(), over_bands))
        let_go(self)
        return x


class Band(nn.Module):
    """One band of the spectrum as a vector: [..., bins * channels * 2] → [..., dim]."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.norm = RMSNorm(width)
        self.linear = nn.Linear(width, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.norm(x))


class MaskHead(nn.Module):
    """The complex masks of one stem, an MLP for every band: [b, bands, frames, dim] → each [b, frames, width]."""

    def __init__(self, config: RoformerConfig, widths: list[int]) -> None:
        super().__init__()
        hidden = [config.dim * config.mask_expansion] * config.mask_hidden
        self.bands = nn.ModuleList(_mlp([config.dim, *hidden, 2 * width]) for width in widths)

    def forward(self, x: Tensor) -> Iterator[Tensor]:
        for band, mlp in enumerate(self.bands):
            yield F.glu(mlp(x[:, band]), dim=-1)
            let_go(mlp)


def _mlp(sizes: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes[:-1]):
        layers += [
            Dense(before, after, activation="tanh"),
            nn.Identity(),
        ]  # which keeps the numbers of the last's names
    return nn.Sequential(*layers, Dense(*sizes[-2:]))


class Roformer(nn.Module):
    """mix [b, channels, n] → stems [b, stems, channels, n]; follows ZFTurbo's code, itself from lucidrains'."""

    def __init__(self, config: RoformerConfig) -> None:
        super().__init__()
        self.config = config
        widths = [2 * config.channels * (stop - start) for start, stop in config.bands]
        self.bands = nn.ModuleList(Band(width, config.dim) for width in widths)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = RMSNorm(config.dim) if config.norm == "final" else nn.Identity()
        self.masks = nn.ModuleList(MaskHead(config, widths) for _ in range(config.stems))
        # A checkpoint brings its own copy: one saved in half precision was trained, then run, with rounded angles.
        angles = 10000 ** -(torch.arange(0, config.dim_head, 2).float() / config.dim_head)
        self.time_angles = nn.Buffer(angles)
        self.band_angles = nn.Buffer(angles.clone())

    def forward(self, mix: Tensor) -> Tensor:
        spectrum = self._spectrum(mix)
        features = torch.view_as_real(spectrum).permute(0, 3, 2, 1, 4)  # [b, frames, bins, channels, 2]
        x = features.new_empty(len(mix), len(self.bands), features.shape[1], self.config.dim)
        for number, (band, (start, stop)) in enumerate(zip(self.bands, self.config.bands, strict=True)):
            x[:, number] = band(features[:, :, start:stop].flatten(2))
        x = self._trunk(x)
        for band in x.unbind(1):
            band.copy_(self.norm(band))
        masks = (self._mask(cast(MaskHead, head)(x), features) for head in self.masks)
        return torch.stack([self._audio(spectrum * mask, mix.shape[-1]) for mask in masks], 1)

    def _trunk(self, x: Tensor) -> Tensor:
        over_time, over_bands = _rotation(self.time_angles, x.shape[2]), _rotation(self.band_angles, x.shape[1])
        earlier: list[Tensor] = []
        for block in self.blocks:
            for before in earlier:
                x = x + before
            x = block(x, over_time, over_bands)
            if self.config.skip:
                earlier.append(x.clone())
        return x

    def _mask(self, bands: Iterator[Tensor], like: Tensor) -> Tensor:
        """Bands to one complex mask [b, channels, bins, frames]: the mean where bands overlap."""
        total = torch.zeros_like(like)
        count = total.new_zeros(like.shape[2], 1, 1)
        for mask, (start, stop) in zip(bands, self.config.bands, strict=True):
            total[:, :, start:stop] += mask.unflatten(-1, (stop - start, *like.shape[3:]))
            count[start:stop] += 1
        return torch.view_as_complex((total / count).permute(0, 3, 2, 1, 4).contiguous())

    def _spectrum(self, mix: Tensor) -> Tensor:
        config, window = self.config, torch.hann_window(self.config.n_fft, device=mix.device)
        flat = torch.stft(
            mix.flatten(0, 1), config.n_fft, config.hop, None, window, normalized=config.normalized, return_complex=True
        )
        return flat.view(*mix.shape[:2], *flat.shape[1:])

    def _audio(self, spectra: Tensor, length: int) -> Tensor:
        config = self.config
        if config.zero_dc:
            spectra[:, :, 0] = 0
        window = torch.hann_window(config.n_fft, device=spectra.device)
        flat = torch.istft(
            spectra.flatten(0, 1), config.n_fft, config.hop, window=window, normalized=config.normalized, length=length
        )
        return flat.view(*spectra.shape[:2], length)


def _rotation(angles: Tensor, positions: int) -> Tensor:
    turned = torch.arange(positions, device=angles.device, dtype=angles.dtype)[:, None] * angles
    return torch.polar(torch.ones_like(turned), turned)

"""The net we train and ship: bands of the spectrum, LSTM over time, two-level softmax masks that sum to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stemwright.nets.layers import BandLinear, GlobalBlock, LocalBlock

STEMS = (
    "vocals", "backing_vocals", "drums", "bass", "guitar", "keyboard",
    "strings", "brass", "woodwinds", "percussion", "synth", "fx",
)  # fmt: skip
# Softmax over the families first, then inside each: the coarse split is learned first and carries the rare stems.
FAMILIES = (
    ("vocals", "backing_vocals"), ("drums", "percussion"), ("bass",),
    ("guitar", "keyboard", "strings", "brass", "woodwinds", "synth", "fx"),
)  # fmt: skip
VIEWS = 4  # left, right, mid, side
EPSILON = 1e-4


@dataclass(frozen=True)
class Zone:
    """`bands` neighbouring bands of `bins` STFT bins each; `pool` bins share one column of features and of masks."""

    first_bin: int
    bins: int
    bands: int
    pool: int

    @property
    def columns(self) -> int:
        """Columns of one band."""
        return self.bins // self.pool

    @property
    def end_bin(self) -> int:
        """The first bin above the zone."""
        return self.first_bin + self.bins * self.bands


ZONES = (Zone(0, 8, 16, 1), Zone(128, 16, 16, 1), Zone(384, 64, 6, 4), Zone(768, 128, 6, 8), Zone(1536, 512, 1, 32))


@dataclass(frozen=True)
class BandSplitConfig:
    """Sizes: `embed` and `head` per frame, `width` per pair of frames, `squeezed` × bands into LSTMs of `hidden`."""

    rate: int = 44100
    n_fft: int = 4096
    hop: int = 1024
    zones: tuple[Zone, ...] = ZONES
    embed: int = 64
    width: int = 128
    head: int = 96
    expansion: int = 3
    squeezed: int = 12
    hidden: int = 192
    dilations: tuple[int, ...] = (1, 2, 4, 1)

    @property
    def bands(self) -> int:
        """Bands of all zones."""
        return sum(zone.bands for zone in self.zones)

    @property
    def first_bins(self) -> tuple[int, ...]:
        """The first STFT bin of every mask column, in order."""
        return tuple(b for zone in self.zones for b in range(zone.first_bin, zone.end_bin, zone.pool))


def loudness_slope(config: BandSplitConfig) -> Tensor:
    """Weight [bins] that lifts the highs as music falls off towards them, so that every band has a like level."""
    hertz = torch.arange(config.n_fft // 2) * (config.rate / config.n_fft)
    return ((hertz + 60) / 1000).pow(0.75).clamp(max=6.0)


def family_of(stem: str) -> int:
    """The place of a stem's family in FAMILIES."""
    return next(i for i, family in enumerate(FAMILIES) if stem in family)


# A logit per family, then one per stem that shares its family, in the order of STEMS.
SHARING = tuple(stem for stem in STEMS if len(FAMILIES[family_of(stem)]) > 1)
LOGITS = len(FAMILIES) + len(SHARING)


def two_level_softmax(logits: Tensor, dim: int = -1) -> Tensor:
    """Masks of the twelve stems from LOGITS logits along an axis; they sum to one."""
    families, members = logits.split([len(FAMILIES), len(SHARING)], dim)
    families = families.softmax(dim)
    masks: dict[str, Tensor] = {}
    for i, family in enumerate(FAMILIES):
        share = families.narrow(dim, i, 1)
        if len(family) > 1:
            places = torch.tensor([SHARING.index(stem) for stem in family], device=logits.device)
            share = share * members.index_select(dim, places).softmax(dim)
        masks |= dict(zip(family, share.split(1, dim), strict=True))
    return torch.cat([masks[stem] for stem in STEMS], dim)


class BandSplit(nn.Module):
    """Spectrum of a mix → masks of twelve stems; its inner clock ticks once in two frames."""

    def __init__(self, config: BandSplitConfig) -> None:
        super().__init__()
        self.config = config
        zones, c = config.zones, config
        self.embed = nn.ModuleList(BandLinear(z.bands, z.columns * VIEWS, c.embed) for z in zones)
        self.enter = nn.LayerNorm(2 * c.embed)
        self.widen = nn.Linear(2 * c.embed, c.width)
        self.local = nn.ModuleList(LocalBlock(c.width, c.expansion, step) for step in c.dilations)
        self.whole = nn.ModuleList(GlobalBlock(c.bands, c.width, c.squeezed, c.hidden) for _ in c.dilations)
        self.leave = nn.LayerNorm(c.width)
        self.unpair = nn.Linear(c.width, 2 * c.head)
        self.skip = nn.Linear(c.embed, c.head)
        self.heads = nn.ModuleList(BandLinear(z.bands, c.head, 2 * LOGITS * z.columns, gain=0.2) for z in zones)
        self.register_buffer("slope", loudness_slope(config), persistent=False)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Masks [batch, 12, 2, frames, columns] of a spectrum [batch, 2, frames, bins, (re, im)] at any level."""
        frames = spectrum.shape[2]
        masks = [two_level_softmax(logits.float(), 4) for logits in self.logits(self.features(spectrum))]
        flat = [m.permute(1, 4, 3, 2, 0, 5).flatten(4) for m in masks]
        return torch.cat(flat, -1)[..., :frames, :]

    def features(self, spectrum: Tensor) -> list[Tensor]:
        """Per zone [bands, batch, frames (made even), columns × 4]: compressed magnitudes of left, right, mid, side."""
        level = spectrum.square().sum(-1).mean((1, 2, 3), keepdim=True).sqrt() + EPSILON
        x = spectrum[..., :-1, :] / level.unsqueeze(-1) * cast(Tensor, self.slope)[:, None]
        x = F.pad(x, (0, 0, 0, 0, 0, x.shape[2] % 2))
        left, right = x.unbind(1)
        views = torch.stack((left, right, (left + right) / 2, (left - right) / 2), -2)
        roots = (views.square().sum(-1) + 1e-10).sqrt().sqrt().sqrt()
        return [self._pooled(roots, zone) for zone in self.config.zones]

    @staticmethod
    def _pooled(roots: Tensor, zone: Zone) -> Tensor:
        batch, frames = roots.shape[:2]
        part = roots[:, :, zone.first_bin : zone.end_bin].reshape(
            batch, frames, zone.bands, zone.columns, zone.pool, VIEWS
        )
        return part.mean(4).permute(2, 0, 1, 3, 4).flatten(3)

    def logits(self, features: list[Tensor], only: int | None = None) -> list[Tensor]:
        """Per zone [bands, batch, frames, 2, LOGITS, columns] of features with an even number of frames.

        `only` 0 or 1 gives one frame of each pair: in training neighbours, which overlap by 75 %, teach the same.
        """
        e = torch.cat([embed(f) for embed, f in zip(self.embed, features, strict=True)])
        pairs = e.reshape(*e.shape[:2], -1, 2 * self.config.embed)
        x = self.widen(self.enter(pairs))
        for local, whole in zip(self.local, self.whole, strict=True):
            x = whole(local(x))
        y = self.unpair(self.leave(x)).unflatten(-1, (2, -1))
        e = e.unflatten(2, (-1, 2))
        if only is not None:
            y, e = y[..., only : only + 1, :], e[..., only : only + 1, :]
        y = F.relu(y + self.skip(e)).flatten(2, 3).split([zone.bands for zone in self.config.zones])
        outs = [head(part) for head, part in zip(self.heads, y, strict=True)]
        return [o.unflatten(-1, (2, LOGITS, -1)) for o in outs]

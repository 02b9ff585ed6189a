"""The net we train and ship: bands of the spectrum, LSTM over time, two-level softmax masks that sum to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stemwright.nets.layers import BandLinear, Details, GlobalBlock, LocalBlock

STEMS = (
    "vocals", "backing_vocals", "drums", "bass", "guitar", "keyboard",
    "strings", "brass", "woodwinds", "percussion", "synth", "fx",
)  # fmt: skip
# Softmax over the families first, then inside each: the coarse split is learned first and carries the rare stems.
FAMILIES = (
    ("vocals", "backing_vocals"), ("drums", "percussion"), ("bass",),
    ("guitar", "keyboard", "strings", "brass", "woodwinds", "synth", "fx"),
)  # fmt: skip
VIEWS = 3  # level, balance, width
CUES = 6  # balance, its square, width; how far a column stands out of its band and of its time; how it rises
HEARD = CUES + 2  # what the convolutions over columns hear: level, width and the cues
EPSILON = 1e-4
TINY = 1e-10


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
    """Sizes: `width` and `head` per band and frame, `squeezed` × bands into LSTMs of `hidden`.

    `details` is the width of the convolutions over columns that find `learned` more cues; with 0 there are none.
    """

    rate: int = 44100
    n_fft: int = 4096
    hop: int = 2048
    zones: tuple[Zone, ...] = ZONES
    width: int = 128
    head: int = 96
    expansion: int = 3
    squeezed: int = 12
    hidden: int = 192
    dilations: tuple[int, ...] = (1, 2, 4, 1)
    details: int = 0
    learned: int = 0

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
    """Spectrum of a mix → masks of twelve stems."""

    def __init__(self, config: BandSplitConfig) -> None:
        super().__init__()
        self.config = config
        zones, c = config.zones, config
        self.embed = nn.ModuleList(BandLinear(z.bands, z.columns * VIEWS, c.width) for z in zones)
        self.enter = nn.LayerNorm(c.width)
        self.local = nn.ModuleList(LocalBlock(c.width, c.expansion, step) for step in c.dilations)
        self.whole = nn.ModuleList(GlobalBlock(c.bands, c.width, c.squeezed, c.hidden) for _ in c.dilations)
        self.leave = nn.LayerNorm(c.width)
        self.last = nn.Linear(c.width, c.head)
        self.skip = nn.Linear(c.width, c.head)
        self.heads = nn.ModuleList(BandLinear(z.bands, c.head, 2 * LOGITS * z.columns, gain=0.2) for z in zones)
        self.cues = BandLinear(c.bands, c.head, LOGITS * CUES, gain=0.2)
        if c.details:
            self.details = Details(HEARD, c.details, c.learned)
            self.learned = BandLinear(c.bands, c.head, LOGITS * c.learned, gain=0.0)
        self.presence = nn.Linear(2 * c.hidden, LOGITS)
        nn.init.zeros_(self.presence.weight)
        self.register_buffer("slope", loudness_slope(config), persistent=False)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Masks [batch, 12, 2, frames, columns] of a spectrum [batch, 2, frames, bins, (re, im)] at any level."""
        masks = [two_level_softmax(logits.float(), 4) for logits in self.logits(self.features(spectrum))]
        return torch.cat([m.permute(1, 4, 3, 2, 0, 5).flatten(4) for m in masks], -1)

    def features(self, spectrum: Tensor) -> list[Tensor]:
        """Per zone [bands, batch, frames, columns, 3]: level (eighth root of the power), balance, width.

        Balance is (right − left) / all of the power, width the fourth root of the side's share of it.
        """
        level = spectrum.square().sum(-1).mean((1, 2, 3), keepdim=True).sqrt() + EPSILON
        x = spectrum[..., :-1, :] / level.unsqueeze(-1) * cast(Tensor, self.slope)[:, None]
        left, right = x.unbind(1)
        powers = torch.stack((left.square().sum(-1), right.square().sum(-1), (left * right).sum(-1)), -1)
        return [self._views(powers, zone) for zone in self.config.zones]

    @staticmethod
    def _views(powers: Tensor, zone: Zone) -> Tensor:
        batch, frames = powers.shape[:2]
        part = powers[:, :, zone.first_bin : zone.end_bin].reshape(
            batch, frames, zone.bands, zone.columns, zone.pool, 3
        )
        left, right, both = part.mean(4).permute(2, 0, 1, 3, 4).unbind(-1)
        whole = left + right + TINY
        width = ((whole - 2 * both).clamp(min=0) / (2 * whole)).sqrt().sqrt()
        return torch.stack((whole.sqrt().sqrt().sqrt(), (right - left) / whole, width), -1)

    def logits(self, features: list[Tensor]) -> list[Tensor]:
        """Per zone [bands, batch, frames, 2, LOGITS, columns] of features."""
        e = torch.cat([embed(f.flatten(3)) for embed, f in zip(self.embed, features, strict=True)])
        x = self.enter(e)
        heard = x
        for local, whole in zip(self.local, self.whole, strict=True):
            x, heard = whole(local(x))
        y = F.relu(self.last(self.leave(x)) + self.skip(e))
        bands = [zone.bands for zone in self.config.zones]
        present = self.presence(heard).transpose(0, 1)[None, :, :, None, :, None]
        cues = [self.cue(f) for f in features]
        weights = self.cues(y).unflatten(-1, (LOGITS, CUES))
        if self.config.details:
            weights = torch.cat((weights, self.learned(y).unflatten(-1, (LOGITS, self.config.learned))), -1)
            cues = [torch.cat(pair, 3) for pair in zip(cues, self._learned_cues(features, cues), strict=True)]
        parts = zip(self.heads, y.split(bands), weights.split(bands), cues, strict=True)
        return [
            head(part).unflatten(-1, (2, LOGITS, -1)) + (present + (w @ c.to(w.dtype)).unsqueeze(3))
            for head, part, w, c in parts
        ]

    def _learned_cues(self, features: list[Tensor], cues: list[Tensor]) -> list[Tensor]:
        """Per zone [bands, batch, frames, learned, columns], found where all columns lie side by side."""
        heard = [torch.cat((f.movedim(-1, 3)[:, :, :, ::2], c), 3) for f, c in zip(features, cues, strict=True)]
        found = self.details(torch.cat([h.permute(1, 3, 2, 0, 4).flatten(3) for h in heard], -1))
        shapes = [(zone.bands, zone.columns) for zone in self.config.zones]
        zones = zip(found.split([bands * columns for bands, columns in shapes], 3), shapes, strict=True)
        return [part.unflatten(3, shape).permute(3, 0, 2, 1, 4).float() for part, shape in zones]

    @staticmethod
    def cue(features: Tensor) -> Tensor:
        """[bands, batch, frames, CUES, columns]: where in the stereo field a column lies, how far it stands out."""
        level, balance, width = features.unbind(-1)
        before = torch.cat((level[:, :, :1], level[:, :, :-1]), 2)
        after = torch.cat((level[:, :, 1:], level[:, :, -1:]), 2)
        out_of_band, out_of_time = level - level.mean(-1, keepdim=True), level - (before + after) / 2
        return torch.stack((balance, balance.square(), width - 0.5, out_of_band, out_of_time, after - before), -2)

"""From the spectra of stems to what a step needs: the net's features, and per mask column the parabola of the loss.

Inside a column the error of a real mask m is Σ|mX − S|² = A·((m − centre)² + C/A − centre²) with A = Σ|X|²,
centre = Σ Re(X* S) / A and C = Σ|S|². Two numbers per stem and column replace its spectrum, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemwright.nets.bandsplit import EPSILON, FAMILIES, STEMS, VIEWS, BandSplitConfig, family_of, loudness_slope
from stemwright.train.learning.batches import Example, Sizes, spectra
from stemwright.train.learning.kernels import SOFTNESS, SPREAD_SCALE, mix_parts, target_columns, write_features
from stemwright.train.learning.songs import PARTS, SUMS, WHOLE

# Families of one stem need no target of their own.
SHARED_FAMILIES = tuple(i for i, family in enumerate(FAMILIES) if len(family) > 1)
SOURCES = len(STEMS) + len(SHARED_FAMILIES)
VOICES = (*map(STEMS.index, SUMS["all_vocals"]), len(STEMS) + [*SUMS].index("all_vocals"))
ABSENT_WEIGHT = 0.25  # of a stem that is not in the mix
MIX_FLOOR = 0.12  # share of the mix's level in a stem's loss scale: quiet stems are not blown up


@dataclass(frozen=True)
class Targets:
    """Arrays of one batch; `centre` and `spread` are int16 in units of their scales."""

    features: NDArray[np.float32]  # [batch, frames, columns, VIEWS]
    centre: NDArray[np.int16]  # [batch, frames, 2, SOURCES, columns]
    spread: NDArray[np.int16]  # [batch, frames, 2, SOURCES, columns]
    weight: NDArray[np.float32]  # [batch, frames, 2, columns]
    source_weight: NDArray[np.float32]  # [batch, SOURCES]; 0 for a stem that nobody told from its family

    @staticmethod
    def shapes(sizes: Sizes, config: BandSplitConfig) -> dict[str, tuple[tuple[int, ...], type]]:
        """Shape and type of every array."""
        batch, frames, columns = sizes.batch, sizes.frames, len(config.first_bins)
        per_source = (batch, frames, 2, SOURCES, columns)
        return {
            "features": ((batch, frames, columns, VIEWS), np.float32),
            "centre": (per_source, np.int16),
            "spread": (per_source, np.int16),
            "weight": ((batch, frames, 2, columns), np.float32),
            "source_weight": ((batch, SOURCES), np.float32),
        }

    @classmethod
    def empty(cls, sizes: Sizes, config: BandSplitConfig) -> Targets:
        """Targets to be filled."""
        return cls(**{name: np.zeros(shape, kind) for name, (shape, kind) in cls.shapes(sizes, config).items()})


class TargetMaker:
    """Fills targets from examples."""

    def __init__(self, sizes: Sizes, config: BandSplitConfig) -> None:
        self.sizes = sizes
        self.edges = np.array([*config.first_bins, config.n_fft // 2], np.int64)
        self.slope = loudness_slope(config).numpy()
        middle = (self.edges[:-1] + self.edges[1:] - 1) / 2 * (config.rate / config.n_fft)
        # Ears and songs care less for the highs than their number of bins would say, and energy more for the lows.
        width = np.sqrt(np.diff(self.edges))
        self.emphasis = (((middle + 50) / 1000) ** 0.35 * width).astype(np.float32)

    def fill(self, examples: Sequence[Example], out: Targets) -> None:
        """Writes the targets of a batch in place."""
        for i, example in enumerate(examples):
            levels = self._fill_one(example, out, i)
            mix_level = levels[-1]
            scale = np.where(levels[:-1] > 0, 1.0, ABSENT_WEIGHT) / (levels[:-1] + MIX_FLOOR * mix_level + 1e-9)
            for part in example.parts:
                scale[list(part.untold)] = 0  # its family alone is known; the loss takes a weight of 0 for that
                if part.stem == PARTS.index(WHOLE):
                    scale[[source for source in range(SOURCES) if source not in VOICES]] = 0
            out.source_weight[i] = scale

    def _fill_one(self, example: Example, out: Targets, i: int) -> NDArray[np.float64]:
        places = [part.stem for part in example.parts]
        stems = np.array([place if place < len(STEMS) else -1 for place in places], np.int64)
        families = np.array([_shared_family(place) for place in places], np.int64)
        parts = spectra(example.parts, self.sizes)
        gains = np.stack([part.gains for part in example.parts])
        mix, power = mix_parts(parts, gains, example.frame_gains)
        scale = np.float32(1 / (np.sqrt(power) + EPSILON))
        write_features(mix, self.slope * scale, self.edges, out.features[i])
        levels = np.zeros(SOURCES + 1)
        out.centre[i] = 0
        out.spread[i] = int(SOFTNESS * SPREAD_SCALE)
        frame_gains = (example.frame_gains * scale).astype(np.float32)
        goals = (out.centre[i], out.spread[i], out.weight[i])
        grid = (self.edges, self.emphasis)
        target_columns(parts, (stems, families), frame_gains, grid, goals, levels)
        return levels / (self.sizes.frames * len(self.emphasis))


def _shared_family(place: int) -> int:
    """The place of a part's family among the SOURCES, or −1; a part that is a sum has the place of its family."""
    if place >= len(STEMS):
        return place if place < SOURCES else -1
    family = family_of(STEMS[place])
    return len(STEMS) + SHARED_FAMILIES.index(family) if family in SHARED_FAMILIES else -1

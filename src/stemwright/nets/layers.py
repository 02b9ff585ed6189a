"""Layers on a field of bands [bands, batch, time, width]: one weight per band, local shifts, a path over all bands.

Beside them `Details`, which sees the columns themselves.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BandLinear(nn.Module):
    """A separate affine map for every band: [bands, batch, time, width_in] → [bands, batch, time, width_out]."""

    def __init__(self, bands: int, width_in: int, width_out: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(bands, width_in, width_out) * gain * width_in**-0.5)
        self.bias = nn.Parameter(torch.zeros(bands, 1, width_out))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.baddbmm(self.bias.to(x.dtype), x.flatten(1, 2), self.weight.to(x.dtype))
        return y.unflatten(1, x.shape[1:3])


def shift(x: Tensor, dim: int, steps: int) -> Tensor:
    """Moves x along an axis by `steps` places and fills with zeros."""
    size = x.shape[dim]
    edge = x.new_zeros(()).expand(*x.shape[:dim], min(abs(steps), size), *x.shape[dim + 1 :])
    kept = max(size - abs(steps), 0)
    if steps > 0:
        return torch.cat((edge, x.narrow(dim, 0, kept)), dim)
    return torch.cat((x.narrow(dim, size - kept, kept), edge), dim)


class LocalBlock(nn.Module):
    """Feed-forward layer that sees its neighbours: eighths of its channels come from ±dilation frames, ±1 band.

    Shifted channels replace convolutions (TSM, arXiv 1811.08383): the same matrix products, no extra arithmetic.
    """

    def __init__(self, width: int, expansion: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)
        self.dilation, self.part = dilation, width // 8
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def forward(self, x: Tensor) -> Tensor:
        part, step = self.part, self.dilation
        y = self.norm(x)
        past, future, below, above, here = y.split((part, part, part, part, y.shape[-1] - 4 * part), -1)
        moved = (shift(past, 2, step), shift(future, 2, -step), shift(below, 0, 1), shift(above, 0, -1), here)
        return x + self.narrow(F.relu(self.widen(torch.cat(moved, -1))))


class GlobalBlock(nn.Module):
    """A path over all bands and all time: every band is squeezed, all are read together by a bidirectional LSTM.

    Returns the field and what the LSTM heard [time, batch, 2 · hidden].
    """

    def __init__(self, bands: int, width: int, squeezed: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.squeeze = nn.Linear(width, squeezed)
        self.level = nn.LayerNorm(bands * squeezed)  # else growing weights saturate the LSTM's gates
        self.lstm = nn.LSTM(bands * squeezed, hidden, bidirectional=True)
        self.spread = nn.Linear(2 * hidden, bands * squeezed)
        self.unsqueeze = nn.Linear(squeezed, width)
        nn.init.zeros_(self.unsqueeze.weight)
        nn.init.zeros_(self.unsqueeze.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        bands, batch, time, _ = x.shape
        y = self.squeeze(self.norm(x)).permute(2, 1, 0, 3).reshape(time, batch, -1)
        heard = self.lstm(self.level(y))[0]
        y = F.relu(self.spread(heard))
        return x + self.unsqueeze(y.view(time, batch, bands, -1).permute(2, 1, 0, 3)), heard


class Details(nn.Module):
    """Convolutions over time and columns: [batch, heard, time, columns] → [batch, learned, time, columns]."""

    def __init__(self, heard: int, width: int, learned: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(heard, width, 3, padding=1)
        steps = ((2, 1), (4, 2))  # in time and columns
        self.deeper = nn.ModuleList(nn.Conv2d(width, width, 3, padding=step, dilation=step) for step in steps)
        self.leave = nn.Conv2d(width, learned, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x.contiguous(memory_format=torch.channels_last)))
        for convolution in self.deeper:
            x = x + F.relu(convolution(x))
        return self.leave(x)

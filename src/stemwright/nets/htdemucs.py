"""Hybrid Transformer Demucs (arXiv 2211.08553): U-Nets on spectrum and waveform, joined by a transformer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stemwright.nets.precision import Dense, attend

VALUES = 1 << 19
"""Values that a CPU works on at once, for them and what is made of them to stay in its caches."""

COLUMNS = 1 << 12
"""Samples of a signal, all channels of it, that are gated at once."""


@dataclass(frozen=True)
class HTDemucsConfig:
    """Sizes of an HTDemucs; `segment` is the training length in samples, the only one the net was made for.

    `bottom` is the transformer's width where the U-Nets' last is brought to it (0: it is that).
    """

    stems: int = 4
    channels: int = 2
    width: int = 48
    growth: int = 2
    depth: int = 4
    kernel: int = 8
    stride: int = 4
    context: int = 1
    residual_depth: int = 2
    residual_compress: int = 8
    residual_in_decoder: bool = True
    bottom: int = 512
    layers: int = 5
    heads: int = 8
    expansion: int = 4
    frequency_embedding: float = 0.2
    embedding_scale: float = 10.0
    max_period: float = 10000.0
    n_fft: int = 4096
    subbands: int = 1
    segment: int = 343980

    @property
    def hop(self) -> int:
        return self.n_fft // 4


class Scale(nn.Module):
    """A learned gain per channel on axis `axis` (LayerScale, arXiv 2103.17239)."""

    def __init__(self, channels: int, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.gain = nn.Parameter(torch.full((channels,), 1e-4))

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.gain if self.axis == -1 else self.gain[:, None])


class Residual(nn.Module):
    """Dilated convolutions along time, added to their input in place: [b, channels, (rows,) n] → the same (DConv).

    Every row of a spectrum is a signal of its own. The narrow convolutions are products of matrices here, and the wide
    norm is folded into the product before it: its mean and variance follow from those of the few hidden channels.
    """

    def __init__(self, channels: int, config: HTDemucsConfig) -> None:
        super().__init__()
        hidden = channels // config.residual_compress
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(channels, hidden, 3, dilation=2**level, padding=2**level),
                nn.GroupNorm(1, hidden),
                nn.GELU(),
                nn.Conv1d(hidden, 2 * channels, 1),
                nn.GroupNorm(1, 2 * channels),
                nn.GLU(1),
                Scale(channels, axis=-2),
            )
            for level in range(config.residual_depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        signals = x[:, None] if x.dim() == 3 else x.transpose(1, 2)
        layers: Any = self.layers
        for narrow, norm, activation, widen, wide_norm, gate, scale in layers:
            heard = activation(norm(_dilated(narrow, signals.flatten(0, 1))))
            weight = _normed(widen, wide_norm, heard)
            weight[:, : len(scale.gain)] *= scale.gain[:, None]  # the other half is the gate
            heard = F.pad(heard, (0, 0, 0, 1), value=1.0)  # what the bias weighs
            for some, part in zip(signals.split(COLUMNS, -1), heard.split(COLUMNS, -1), strict=True):
                some.add_(gate(torch.bmm(weight, part)).view(some.shape))
        return x


def _dilated(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution of three taps: [n, channels, time] → [n, hidden, time]."""
    assert conv.bias is not None
    step = conv.dilation[0]
    taps = conv.weight.permute(2, 0, 1).flatten(0, 1)
    before, here, after = torch.bmm(taps.expand(len(x), -1, -1), x).chunk(3, dim=1)
    here = here + conv.bias[:, None]
    here[..., step:] += before[..., :-step]
    here[..., :-step] += after[..., step:]
    return here


def _normed(conv: nn.Conv1d, norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """Weights and, as last column, bias [n, channels, hidden + 1] of a pointwise convolution of x with its norm."""
    assert conv.bias is not None
    weight = conv.weight[..., 0]
    mean = x.mean(-1, keepdim=True)
    around = x - mean
    spread = torch.bmm(around, around.transpose(1, 2)) / x.shape[-1]
    means = weight @ mean + conv.bias[:, None]
    centre = means.mean(1, keepdim=True)
    variances = ((weight @ spread) * weight).sum(-1, keepdim=True) + (means - centre).square()
    gains = norm.weight[:, None] * (variances.mean(1, keepdim=True) + norm.eps).rsqrt()
    return torch.cat([gains * weight, gains * (conv.bias[:, None] - centre) + norm.bias[:, None]], -1)


def _parts(x: Tensor) -> tuple[Tensor, ...]:
    """Pieces of axis 2 that stay in a CPU's caches; on other devices all of it."""
    row = x[:, :, :1].numel()
    return x.split(max(1, VALUES // row) if x.device.type == "cpu" else x.shape[2], dim=2)


def _gated(conv: nn.Conv1d | nn.Conv2d, x: Tensor) -> None:
    """A pointwise convolution and its gate, in place: [b, channels, …] → the same."""
    assert conv.bias is not None
    weight = conv.weight.flatten(1).expand(len(x), -1, -1)
    for part in _parts(x):
        heard = part.flatten(2).to(weight.dtype)
        part.copy_(F.glu(torch.baddbmm(conv.bias[:, None], weight, heard), dim=1).view(part.shape))


def _spread_out(conv: nn.ConvTranspose1d | nn.ConvTranspose2d, x: Tensor, then: Callable[[Tensor], Tensor]) -> Tensor:
    """A transposed convolution over axis 2, and what follows it: [b, before, rows, n] → [b, after, more rows, n].

    Written as one product per tap that reaches a row: torch's own goes through a matrix of all taps in main memory.
    """
    assert conv.bias is not None
    stride, (b, before, rows, n) = conv.stride[0], x.shape
    taps = conv.weight.view(before, -1, conv.kernel_size[0] // stride, stride).permute(2, 1, 3, 0).flatten(1, 2)
    out = taps.new_empty(b, conv.out_channels, rows + len(taps) - 1, stride, n)
    bias = conv.bias.repeat_interleave(stride)[:, None, None]
    x, first = x.to(taps.dtype), 0
    for part in _parts(out):
        last = first + part.shape[2]
        some = bias.expand(b, -1, last - first, n).contiguous()
        for late, tap in enumerate(taps):
            low, high = max(first - late, 0), min(last - late, rows)
            reached = some[:, :, low + late - first : high + late - first].flatten(2)
            reached.baddbmm_(tap.expand(b, -1, -1), x[:, :, low:high].flatten(2))
        part.copy_(then(some).unflatten(1, (-1, stride)).transpose(2, 3))
        first = last
    return out.flatten(2, 3)


class SpectrumEncoder(nn.Module):
    """Strides over bins: [b, before, bins, frames] → [b, after, bins / stride, frames]."""

    def __init__(self, before: int, after: int, config: HTDemucsConfig) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, (config.kernel, 1), (config.stride, 1), (config.kernel // 4, 0))
        self.residual = Residual(after, config)
        self.rewrite = nn.Conv2d(after, 2 * after, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.conv(x)).float()
        for rows in _parts(x):
            _gated(self.rewrite, self.residual(rows))
        return x


class WaveEncoder(nn.Module):
    """Strides over samples: [b, before, n] → [b, after, ceil(n / stride)]."""

    def __init__(self, before: int, after: int, config: HTDemucsConfig) -> None:
        super().__init__()
        self.stride = config.stride
        self.conv = nn.Conv1d(before, after, config.kernel, config.stride, config.kernel // 4)
        self.residual = Residual(after, config)
        self.rewrite = nn.Conv1d(after, 2 * after, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.residual(F.gelu(self.conv(F.pad(x, (0, -x.shape[-1] % self.stride)))).float())
        _gated(self.rewrite, x)
        return x


class SpectrumDecoder(nn.Module):
    """Adds the skip and undoes one SpectrumEncoder; the outermost one ends without an activation."""

    def __init__(self, before: int, after: int, config: HTDemucsConfig, *, outermost: bool) -> None:
        super().__init__()
        self.outermost, self.edge = outermost, config.kernel // 4
        context = config.context
        self.rewrite = nn.Conv2d(before, 2 * before, 1 + 2 * context, padding=context)
        self.residual = Residual(before, config) if config.residual_in_decoder else nn.Identity()
        self.conv = nn.ConvTranspose2d(before, after, (config.kernel, 1), (config.stride, 1))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.glu(self.rewrite(x + skip), dim=1).float()
        for rows in _parts(x):
            self.residual(rows)
        return _spread_out(self.conv, x, _same if self.outermost else F.gelu)[:, :, self.edge : -self.edge]


class WaveDecoder(nn.Module):
    """Adds the skip and undoes one WaveEncoder, to exactly `length` samples."""

    def __init__(self, before: int, after: int, config: HTDemucsConfig, *, outermost: bool) -> None:
        super().__init__()
        self.outermost, self.edge = outermost, config.kernel // 4
        context = config.context
        self.rewrite = nn.Conv1d(before, 2 * before, 1 + 2 * context, padding=context)
        self.residual = Residual(before, config) if config.residual_in_decoder else nn.Identity()
        self.conv = nn.ConvTranspose1d(before, after, config.kernel, config.stride)

    def forward(self, x: Tensor, skip: Tensor, length: int) -> Tensor:
        x = self.residual(F.glu(self.rewrite(x + skip), dim=1).float())
        x = _spread_out(self.conv, x[..., None], _same if self.outermost else F.gelu)[..., 0]
        return x[..., self.edge : self.edge + length]


def _same(x: Tensor) -> Tensor:
    return x


class Attention(nn.Module):
    """Multi-head attention of `x` on `heard`: [b, n, dim] and [b, m, dim] → [b, n, dim]."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Dense(dim, 3 * dim, parts=(dim, 2 * dim))
        self.out = Dense(dim, dim)

    def forward(self, x: Tensor, heard: Tensor) -> Tensor:
        parts = (self.qkv(x), *self.qkv(heard, 1).chunk(2, dim=-1))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        return self.out(attend(q, k, v).transpose(1, 2).flatten(-2))


class Layer(nn.Module):
    """One pre-norm transformer layer; a crossing one listens to the other branch: [b, n, dim] → [b, n, dim]."""

    def __init__(self, dim: int, config: HTDemucsConfig, *, crossing: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.norm_heard = nn.LayerNorm(dim) if crossing else None
        self.attention = Attention(dim, config.heads)
        self.attention_scale = Scale(dim, axis=-1)
        self.norm_feedforward = nn.LayerNorm(dim)
        self.up = Dense(dim, dim * config.expansion, activation="gelu")
        self.down = Dense(dim * config.expansion, dim)
        self.feedforward_scale = Scale(dim, axis=-1)
        self.norm_out = nn.GroupNorm(1, dim)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        asked = self.norm(x)
        heard = asked if self.norm_heard is None else self.norm_heard(other)
        x = x + self.attention_scale(self.attention(asked, heard))
        x += self.feedforward_scale(self.down(self.up(self.norm_feedforward(x))))
        # One group of all channels: normed where they are, without a transposed copy there and back.
        level = F.layer_norm(x, x.shape[1:], eps=self.norm_out.eps)
        return torch.addcmul(self.norm_out.bias, level, self.norm_out.weight)


class CrossTransformer(nn.Module):
    """Spectrum [b, dim, bins, frames] and wave [b, dim, n], by turns alone and listening to each other."""

    def __init__(self, dim: int, config: HTDemucsConfig) -> None:
        super().__init__()
        self.max_period = config.max_period
        self.norm_spectrum, self.norm_wave = nn.LayerNorm(dim), nn.LayerNorm(dim)
        odd = [bool(index % 2) for index in range(config.layers)]
        self.spectrum = nn.ModuleList(Layer(dim, config, crossing=crossing) for crossing in odd)
        self.wave = nn.ModuleList(Layer(dim, config, crossing=crossing) for crossing in odd)

    def forward(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        b, dim, bins, frames = x.shape
        grid = grid_positions(dim, bins, frames, self.max_period, x)
        x = self.norm_spectrum(x.permute(0, 3, 2, 1).flatten(1, 2)) + grid
        xt = self.norm_wave(xt.transpose(1, 2)) + line_positions(xt.shape[-1], dim, self.max_period, xt)
        for spectrum, wave in zip(self.spectrum, self.wave, strict=True):
            x, xt = spectrum(x, xt), wave(xt, x)
        return x.view(b, frames, bins, dim).permute(0, 3, 2, 1), xt.transpose(1, 2)


def line_positions(length: int, dim: int, max_period: float, like: Tensor) -> Tensor:
    """Sinusoidal positions [length, dim]: cosines, then sines."""
    order = torch.arange(dim // 2, device=like.device)
    phase = torch.arange(length, device=like.device)[:, None] / max_period ** (order / (dim // 2 - 1))
    return torch.cat([phase.cos(), phase.sin()], dim=-1).to(like)


def grid_positions(dim: int, bins: int, frames: int, max_period: float, like: Tensor) -> Tensor:
    """Positions [frames * bins, dim]: the first half tells the frame, the second the bin; sine and cosine alternate."""
    rate = torch.exp(torch.arange(0, dim // 2, 2, device=like.device) * -(math.log(max_period) / (dim // 2)))

    def along(count: int) -> Tensor:
        phase = torch.arange(count, device=like.device)[:, None] * rate
        return torch.stack([phase.sin(), phase.cos()], dim=-1).flatten(1)

    frame, bin_ = along(frames)[:, None].expand(-1, bins, -1), along(bins).expand(frames, -1, -1)
    return torch.cat([frame, bin_], dim=-1).flatten(0, 1).to(like)


class HTDemucs(nn.Module):
    """mix [b, channels, n ≤ segment] → stems [b, stems, channels, n]; follows Meta's demucs 4."""

    # Convolutions whose weights give each of them an output of unit variance keep 45 dB with these parts in bf16; the
    # others, most of all those of the wave, cost more than they save.
    lowers = r"transformer|(wave_)?decoders\.\d\.rewrite|decoders\.[012]\.conv|encoders\.[123]\.(conv|rewrite)"

    def __init__(self, config: HTDemucsConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.width * config.growth**level for level in range(config.depth)]
        planes = config.channels * 2 * config.subbands
        pairs = list(zip([0, *widths[:-1]], widths, strict=True))
        self.encoders = nn.ModuleList(SpectrumEncoder(a or planes, b, config) for a, b in pairs)
        self.wave_encoders = nn.ModuleList(WaveEncoder(a or config.channels, b, config) for a, b in pairs)
        back = [(b, a, a == 0) for a, b in reversed(pairs)]
        self.decoders = nn.ModuleList(
            SpectrumDecoder(b, a or planes * config.stems, config, outermost=last) for b, a, last in back
        )
        self.wave_decoders = nn.ModuleList(
            WaveDecoder(b, a or config.channels * config.stems, config, outermost=last) for b, a, last in back
        )
        self.frequencies = nn.Embedding(config.n_fft // 2 // config.subbands // config.stride, widths[0])
        top, dim = widths[-1], config.bottom or widths[-1]
        resized = partial(nn.Conv1d, kernel_size=1) if config.bottom else nn.Identity
        self.widen, self.widen_wave = resized(top, dim), resized(top, dim)
        self.narrow, self.narrow_wave = resized(dim, top), resized(dim, top)
        self.transformer = CrossTransformer(dim, config)

    def forward(self, mix: Tensor) -> Tensor:
        config, length = self.config, mix.shape[-1]
        mix = F.pad(mix, (0, max(0, config.segment - length)))
        planes = self._planes(mix)
        x, mean, std = _standardised(planes)
        xt, wave_mean, wave_std = _standardised(mix)
        x, xt = self._net(x, xt)
        x = torch.addcmul(mean[:, None], x.reshape(-1, config.stems, *planes.shape[1:]), std[:, None])
        x = torch.stack([self._audio(stem, mix.shape[-1]) for stem in x.unbind(1)], 1)
        xt = xt.reshape(-1, config.stems, *mix.shape[1:]).mul_(wave_std[:, None]).add_(wave_mean[:, None])
        return xt.add_(x)[..., :length]

    def _net(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        skips: list[tuple[Tensor, Tensor, int]] = []
        for level, (encoder, wave_encoder) in enumerate(zip(self.encoders, self.wave_encoders, strict=True)):
            length, xt, x = xt.shape[-1], wave_encoder(xt), encoder(x)
            if level == 0:
                weight = self.config.frequency_embedding * self.config.embedding_scale
                x = x + weight * self.frequencies.weight.t()[:, :, None]
            skips.append((x, xt, length))
        x, xt = self._join(x, xt)
        for decoder, wave_decoder in zip(self.decoders, self.wave_decoders, strict=True):
            skip, wave_skip, length = skips.pop()
            x = decoder(x, skip)
            del skip  # as large as what the other branch needs
            xt = wave_decoder(xt, wave_skip, length)
        return x, xt

    def _join(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        shape = x.shape[2:]
        x, xt = self.transformer(self.widen(x.flatten(2)).unflatten(2, shape), self.widen_wave(xt))
        return self.narrow(x.flatten(2)).unflatten(2, shape), self.narrow_wave(xt)

    def _planes(self, mix: Tensor) -> Tensor:
        """[b, channels, n] → [b, (channel, re/im, subband), bins, ceil(n / hop)], without the Nyquist bin."""
        config, (b, channels, n) = self.config, mix.shape
        frames, edge = math.ceil(n / config.hop), config.hop // 2 * 3
        padded = F.pad(mix, (edge, edge + frames * config.hop - n), mode="reflect")
        window = torch.hann_window(config.n_fft, device=mix.device)
        spectrum = torch.stft(
            padded.flatten(0, 1), config.n_fft, config.hop, window=window, normalized=True, return_complex=True
        )
        real = torch.view_as_real(spectrum[:, :-1, 2 : 2 + frames]).permute(0, 3, 1, 2)
        return real.reshape(b, channels * 2 * config.subbands, -1, frames)

    def _audio(self, planes: Tensor, length: int) -> Tensor:
        """[b, (channel, re/im, subband), bins, frames] → [b, channels, length]."""
        config, (b, _, _, frames) = self.config, planes.shape
        real = planes.reshape(b * config.channels, 2, -1, frames).permute(0, 2, 3, 1)
        spectra = F.pad(torch.view_as_complex(real.contiguous()), (2, 2, 0, 1))
        edge = config.hop // 2 * 3
        window = torch.hann_window(config.n_fft, device=planes.device)
        total = frames * config.hop + 2 * edge
        audio = torch.istft(spectra, config.n_fft, config.hop, window=window, normalized=True, length=total)
        return audio[:, edge : edge + length].view(b, config.channels, length)


def _standardised(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    axes = tuple(range(1, x.dim()))
    mean, std = x.mean(axes, keepdim=True), x.std(axes, keepdim=True)
    return (x - mean) / (1e-5 + std), mean, std

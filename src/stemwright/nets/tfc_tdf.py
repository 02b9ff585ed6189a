"""TFC-TDF-UNet v3 (arXiv 2306.09382), known as MDX23C: time-frequency convolutions with dense layers over frequency."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stemwright.nets.precision import Dense


@dataclass(frozen=True)
class TfcTdfConfig:
    """Sizes of a TFC-TDF v3; `bins` is how many of the STFT's are used, `scale` a level's (time, frequency) stride."""

    stems: int
    width: int = 128
    growth: int = 128
    levels: int = 5
    blocks: int = 2
    bottleneck: int = 4
    subbands: int = 4
    scale: tuple[int, int] = (2, 2)
    norm: str = "instance"
    activation: str = "gelu"
    channels: int = 2
    n_fft: int = 8192
    hop: int = 1024
    bins: int = 4096


def _norm(config: TfcTdfConfig, channels: int) -> nn.Module:
    if config.norm == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if config.norm == "batch":
        return nn.BatchNorm2d(channels)
    if config.norm.startswith("group"):
        return nn.GroupNorm(int(config.norm.removeprefix("group")), channels)
    return nn.Identity()


def _activation(config: TfcTdfConfig) -> nn.Module:
    if config.activation.startswith("elu"):
        return nn.ELU(float(config.activation.removeprefix("elu") or 1.0))
    return nn.ReLU() if config.activation == "relu" else nn.GELU()


def _step(config: TfcTdfConfig, channels: int, layer: nn.Module) -> list[nn.Module]:
    """Norm, activation, layer: the order of every step in this net."""
    return [_norm(config, channels), _activation(config), layer]


class Block(nn.Module):
    """Convolution, dense layers over frequency, convolution, and a shortcut: [b, before, frames, bins] → after."""

    def __init__(self, config: TfcTdfConfig, before: int, after: int, bins: int) -> None:
        super().__init__()
        narrow = bins // config.bottleneck
        self.tfc1 = nn.Sequential(*_step(config, before, nn.Conv2d(before, after, 3, padding=1, bias=False)))
        self.tdf = nn.Sequential(
            *_step(config, after, Dense(bins, narrow, bias=False)),
            *_step(config, after, Dense(narrow, bins, bias=False)),
        )
        self.tfc2 = nn.Sequential(*_step(config, after, nn.Conv2d(after, after, 3, padding=1, bias=False)))
        self.shortcut = nn.Conv2d(before, after, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.tfc1(x)
        inner += self.tdf(inner)
        return self.tfc2(inner).add_(self.shortcut(x))


def _level(config: TfcTdfConfig, before: int, after: int, bins: int) -> nn.Sequential:
    return nn.Sequential(*(Block(config, before if i == 0 else after, after, bins) for i in range(config.blocks)))


class TfcTdf(nn.Module):
    """mix [b, channels, n] → stems [b, stems, channels, n], n a multiple of hop; after ZFTurbo's copy of kuielab's."""

    # What an encoder loses is made several times larger by all that follows: on random weights all of the net in bf16
    # keeps 30 dB, with the innermost encoder 38, these 41, and they are more than half of its work.
    lowers = "bottom|ups|decoders"

    def __init__(self, config: TfcTdfConfig) -> None:
        super().__init__()
        self.config = config
        planes, width, scale = 2 * config.channels * config.subbands, config.width, config.scale
        bins = config.bins // config.subbands
        self.first = nn.Conv2d(planes, width, 1, bias=False)
        self.encoders, self.downs = nn.ModuleList(), nn.ModuleList()
        self.ups, self.decoders = nn.ModuleList(), nn.ModuleList()
        for _ in range(config.levels):
            wider = width + config.growth
            self.encoders.append(_level(config, width, width, bins))
            self.downs.append(nn.Sequential(*_step(config, width, nn.Conv2d(width, wider, scale, scale, bias=False))))
            up = nn.ConvTranspose2d(wider, width, scale, scale, bias=False)
            self.ups.insert(0, nn.Sequential(*_step(config, wider, up)))
            self.decoders.insert(0, _level(config, 2 * width, width, bins))
            width, bins = wider, bins // scale[1]
        self.bottom = _level(config, width, width, bins)
        self.last = nn.Sequential(
            nn.Conv2d(config.width + planes, config.width, 1, bias=False),
            _activation(config),
            nn.Conv2d(config.width, config.stems * planes, 1, bias=False),
        )

    def forward(self, mix: Tensor) -> Tensor:
        planes = self._planes(mix)
        first = self.first(planes)
        x = first.transpose(-1, -2)  # dense layers act on the last axis: frequency
        skips: list[Tensor] = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.bottom(x)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = decoder(torch.cat([up(x), skips.pop()], 1))
        x = self.last(torch.cat([planes, x.transpose(-1, -2) * first], 1)).float()
        return self._audio(x)

    def _planes(self, mix: Tensor) -> Tensor:
        """[b, channels, n] → [b, (channel, re/im, subband), bins of a subband, frames]."""
        config, (b, channels, n) = self.config, mix.shape
        window = torch.hann_window(config.n_fft, device=mix.device)
        spectrum = torch.stft(mix.reshape(-1, n), config.n_fft, config.hop, window=window, return_complex=True)
        real = torch.view_as_real(spectrum[:, : config.bins]).permute(0, 3, 1, 2)
        return real.reshape(b, channels * 2 * config.subbands, config.bins // config.subbands, -1)

    def _audio(self, planes: Tensor) -> Tensor:
        config, (b, _, _, frames) = self.config, planes.shape
        real = planes.reshape(b * config.stems * config.channels, 2, config.bins, frames).permute(0, 2, 3, 1)
        spectra = torch.view_as_complex(real.contiguous())
        missing = config.n_fft // 2 + 1 - config.bins
        spectra = torch.nn.functional.pad(spectra, (0, 0, 0, missing))
        window = torch.hann_window(config.n_fft, device=planes.device)
        audio = torch.istft(spectra, config.n_fft, config.hop, window=window)
        return audio.view(b, config.stems, config.channels, -1)

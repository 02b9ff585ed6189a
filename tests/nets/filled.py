"""Nets with closed-form weights and a closed-form mix, shared by the suite and by bench/parity.py."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace

import torch
from torch import Tensor, nn

from stemwright.nets.htdemucs import HTDemucs, HTDemucsConfig
from stemwright.nets.roformer import Roformer, RoformerConfig
from stemwright.nets.scnet import Scnet, ScnetConfig
from stemwright.nets.tfc_tdf import TfcTdf, TfcTdfConfig
from stemwright.zoo.bands import mel_bands, split_bands

torch.set_num_threads(1)  # two threads on a busy machine wait for each other: a tenth of the speed

BS = RoformerConfig(dim=32, depth=2, bands=split_bands(), stems=2, heads=2, dim_head=16)
MEL = replace(BS, bands=mel_bands(60), mask_hidden=2, norm="each")
SCNET = ScnetConfig(dims=(4, 8, 12, 16), dual_paths=4)
TDF = TfcTdfConfig(stems=2, width=8, growth=4, levels=3, n_fft=2048, hop=512, bins=1024)
DEMUCS = HTDemucsConfig(width=8, bottom=32, layers=3, segment=44100, residual_compress=4)

CASES = {
    "BS-RoFormer": (BS, 441 * 100),
    "BS-RoFormer, skips, 2 deep": (replace(BS, stems=1, time_depth=2, band_depth=2, skip=True, hop=512), 512 * 90),
    "Mel-Band RoFormer": (MEL, 441 * 100),
    "Mel-Band RoFormer, 64 bands": (replace(MEL, stems=1, bands=mel_bands(64), hop=512, zero_dc=False), 512 * 90),
    "SCNet": (SCNET, 44100),
    "SCNet, large's shares": (
        replace(SCNET, shares=(0.225, 0.372), expand=2, conv_depths=(2, 1, 1), compress=2),
        50000,
    ),
    "SCNet, its authors' code": (replace(SCNET, standardised=True), 44100),
    "SCNet masked": (replace(SCNET, masked=True, window="hann"), 44100),
    "TFC-TDF v3": (TDF, 512 * 63),
    "HTDemucs": (DEMUCS, 44100),
    "HTDemucs, 6 stems, short": (replace(DEMUCS, stems=6, bottom=0), 30000),
    "HTDemucs, plain decoder": (replace(DEMUCS, residual_in_decoder=False), 44100),
}

_NETS = {RoformerConfig: Roformer, ScnetConfig: Scnet, TfcTdfConfig: TfcTdf, HTDemucsConfig: HTDemucs}


def filled(config: object) -> nn.Module:
    """Every parameter counts: each is a wave of its own, scaled by its fan-in; norms and gains stay near one."""
    net = _NETS[type(config)](config)  # type: ignore[index]
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            phase = zlib.crc32(name.encode()) % 1000
            wave = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64) * 1.618 + phase).view(parameter.shape)
            if parameter.dim() > 1:
                parameter.copy_(wave * math.sqrt(2 / parameter[0].numel()))
            else:
                parameter.copy_(1 + 0.3 * wave if name.endswith(("gamma", "gain", "norm.weight")) else 0.2 * wave)
    return net.eval()


def tones(samples: int, batch: int = 1) -> Tensor:
    """[batch, 2, samples] with something in every band at all times: tones, a sweep, clicks and noise.

    A band of silence would be an FFT's rounding, which a net that norms every band makes as loud as the others: the
    answer would hang on the processor.
    """
    time = torch.arange(samples, dtype=torch.float64) / 44100
    sweep = torch.sin(2 * math.pi * (20 * time + 11000 * time**2))
    left = 0.3 * torch.sin(2 * math.pi * 220 * time) + 0.2 * sweep
    right = 0.3 * torch.sin(2 * math.pi * 1760 * time) - 0.1 * sweep
    right[::4410] += 0.5
    noise = torch.frac(torch.sin(torch.arange(2 * samples, dtype=torch.float64) * 12.9898) * 43758.5453).view(2, -1)
    both = torch.stack([left, right]) + 0.05 * noise
    return torch.stack([both * (1 - 0.3 * index) for index in range(batch)]).float()

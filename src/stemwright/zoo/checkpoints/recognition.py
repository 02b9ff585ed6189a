"""Which architecture a checkpoint is, and all sizes that its tensors' names and shapes tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count as counting
from typing import Any

from stemwright.errors import UnknownArchitecture
from stemwright.zoo.bands import Bands, mel_bands, split_bands

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Recognised:
    """An architecture with its sizes; `assumed` names those that no tensor shows: a yaml should confirm them."""

    architecture: str
    sizes: dict[str, Any]
    stems: int
    segment: int
    assumed: tuple[str, ...]
    kind: str = ""


def recognise(shapes: Shapes) -> Recognised:
    """The architecture whose tensors these are, upstream's names; raises UnknownArchitecture with what was seen."""
    for mark, family in _FAMILIES.items():
        if mark in shapes:
            try:
                return family(shapes)
            except (KeyError, IndexError, ZeroDivisionError) as error:
                raise UnknownArchitecture(reason=f"it looks like {family.__name__[1:]} but lacks {error}") from error
            except ValueError as error:  # a shape of another length than it has there
                raise UnknownArchitecture(reason=f"it looks like {family.__name__[1:]}, but {error}") from error
    seen = ", ".join(sorted({".".join(name.split(".")[:2]) for name in shapes})[:6])
    raise UnknownArchitecture(reason=f"its tensors are named {seen} …")


def prefixes(names: Iterable[str]) -> list[str]:
    """What stands before the names of each net in a file (`module.`, `ema_model.`): whose weights to take first.

    >>> prefixes(["ema_model.first_conv.weight", "model.first_conv.weight", "model.loss.window"])
    ['model.', 'ema_model.']
    """
    found = {name.removesuffix(mark): None for name in names for mark in _FAMILIES if f".{name}".endswith(f".{mark}")}
    return sorted(found, key=lambda prefix: (prefix != "", "ema" in prefix))


def count(shapes: Shapes, pattern: str) -> int:
    """How many i there are, from 0, with a tensor whose name begins with pattern.format(i)."""
    before, after = pattern.split("{}")
    rests = (name.removeprefix(before) for name in shapes if name.startswith(before))
    found = {rest.split(after, 1)[0] for rest in rests}
    return next(i for i in counting() if str(i) not in found)


def _roformer(shapes: Shapes) -> Recognised:
    if "layers.0.2.layers.0.0.norm.gamma" in shapes:
        raise UnknownArchitecture(reason="it is a RoFormer with linear attention, which no published model uses")
    dim = shapes["band_split.to_features.0.1.weight"][0]
    widths = [
        shapes[f"band_split.to_features.{i}.0.gamma"][0] for i in range(count(shapes, "band_split.to_features.{}."))
    ]
    bands, kind, channels, n_fft = _bands(widths)
    heads = shapes["layers.0.0.layers.0.0.to_gates.weight"][0]
    linears = [i for i in range(0, 64, 2) if f"mask_estimators.0.to_freqs.0.0.{i}.weight" in shapes]
    hidden = shapes["mask_estimators.0.to_freqs.0.0.0.weight"][0] if len(linears) > 1 else dim
    stems = count(shapes, "mask_estimators.{}.")
    sizes = {
        "dim": dim,
        "depth": count(shapes, "layers.{}."),
        "bands": bands,
        "channels": channels,
        "heads": heads,
        "dim_head": shapes["layers.0.0.layers.0.0.to_qkv.weight"][0] // 3 // heads,
        "time_depth": count(shapes, "layers.0.0.layers.{}."),
        "band_depth": count(shapes, "layers.0.1.layers.{}."),
        "feedforward": shapes["layers.0.0.layers.0.1.net.1.weight"][0] // dim,
        "mask_hidden": len(linears) - 1,
        "mask_expansion": hidden // dim,
        "norm": "final" if "final_norm.gamma" in shapes else "each",
        "n_fft": n_fft,
        "hop": 441 if n_fft == 2048 else n_fft // 4,
        "skip": False,
        "normalized": False,
        "zero_dc": True,
    }
    assumed = ("hop", "skip", "normalized", "zero_dc", "segment")
    return Recognised("roformer", sizes, stems, 352800, assumed, kind)


def _bands(widths: list[int]) -> tuple[Bands, str, int, int]:
    """Bands, their kind, channels and FFT size: those of the known cuts whose widths are these."""
    for channels in (2, 1):
        bins = [width // (2 * channels) for width in widths]
        n_fft = 2 * (sum(bins) - 1)
        if n_fft > 0 and n_fft & (n_fft - 1) == 0:
            return split_bands(tuple(bins)), "bs", channels, n_fft
        for size in (2048, 4096, 1024):
            mel = mel_bands(len(bins), size)
            if [stop - start for start, stop in mel] == bins:
                return mel, "mel", channels, size
    raise UnknownArchitecture(reason=f"it is a RoFormer with {len(widths)} bands of a cut that is not known")


def _scnet(shapes: Shapes) -> Recognised:
    levels = range(count(shapes, "encoder.{}."))
    first = [shapes[f"encoder.{i}.SDlayer.convs.0.weight"] for i in levels]
    dims = (first[0][1], *(shape[0] for shape in first))
    kernels = tuple(shapes[f"encoder.0.SDlayer.convs.{band}.weight"][2] for band in range(3))
    module = "encoder.0.conv_modules.{}.layers."
    masked = "pos_embed_f" in shapes
    stems = shapes[f"decoder.{len(levels) - 1}.1.convtrs.0.weight"][1] // dims[0]
    sizes = {
        "dims": dims,
        "channels": dims[0] // 2,
        "kernels": kernels,
        "strides": (1, *kernels[1:]),
        "conv_depths": tuple(count(shapes, module.format(band) + "{}.") for band in range(3)),
        "compress": dims[1] // shapes[module.format(0) + "0.6.weight"][1],
        "conv_kernel": shapes[module.format(0) + "0.1.weight"][2],
        "dual_paths": count(shapes, "separation_net.dp_modules.{}."),
        "expand": shapes["separation_net.dp_modules.0.lstm_layers.0.weight_hh_l0"][1] // dims[-1],
        "shares": (0.175, 0.392) if dims[1] <= 32 else (0.225, 0.372),
        "n_fft": 2 * (shapes["pos_embed_f"][2] - 1) if masked else 4096,
        "hop": 1024,
        "normalized": True,
        "masked": masked,
        "window": "hann" if masked else "boxcar",
    }
    if masked:
        sizes["mask_hidden"] = shapes["mask_layer.0.weight"][0]
    assumed = ("shares", "strides", "hop", "normalized", "segment") + (() if masked else ("n_fft",))
    return Recognised("scnet", sizes, stems, 485100, assumed)


def _tfc_tdf(shapes: Shapes) -> Recognised:
    planes, width = shapes["first_conv.weight"][1], shapes["first_conv.weight"][0]
    block = "encoder_blocks.0.tfc_tdf.blocks."
    narrow, bins = shapes[block + "0.tdf.2.weight"]
    wider, _, *scale = shapes["encoder_blocks.0.downscale.conv.2.weight"]
    subbands = planes // 4
    norms = {"running_mean": "batch", "weight": "instance"}
    norm = next((found for name, found in norms.items() if f"{block}0.tfc1.0.{name}" in shapes), "none")
    sizes = {
        "width": width,
        "growth": wider - width,
        "levels": count(shapes, "encoder_blocks.{}."),
        "blocks": count(shapes, block + "{}."),
        "bottleneck": bins // narrow,
        "subbands": subbands,
        "scale": tuple(scale),
        "norm": norm,
        "activation": "gelu",
        "bins": bins * subbands,
        "n_fft": 2 * bins * subbands,
        "hop": 1024,
    }
    assumed = ("n_fft", "hop", "norm", "activation", "segment")
    return Recognised("tfc_tdf", sizes, shapes["final_conv.2.weight"][0] // planes, 261120, assumed)


def _htdemucs(shapes: Shapes) -> Recognised:
    if "crosstransformer.norm_in.weight" not in shapes:
        raise UnknownArchitecture(reason="it is a Demucs without a transformer (version 3 or older)")
    width, planes, kernel, _ = shapes["encoder.0.conv.weight"]
    depth = count(shapes, "encoder.{}.")
    audio = shapes["tencoder.0.conv.weight"][1]
    outermost = shapes[f"tdecoder.{depth - 1}.conv_tr.weight"][1]
    subbands = planes // (2 * audio)
    bins = shapes["freq_emb.embedding.weight"][0] * 4 * subbands
    dim = shapes["crosstransformer.norm_in.weight"][0]
    sizes = {
        "channels": audio,
        "width": width,
        "growth": shapes["encoder.1.conv.weight"][0] // width,
        "depth": depth,
        "kernel": kernel,
        "context": shapes["decoder.0.rewrite.weight"][2] // 2,
        "residual_depth": count(shapes, "encoder.0.dconv.layers.{}."),
        "residual_compress": width // shapes["encoder.0.dconv.layers.0.0.weight"][0],
        "residual_in_decoder": "decoder.0.dconv.layers.0.0.weight" in shapes,
        "bottom": dim if "channel_upsampler.weight" in shapes else 0,
        "layers": count(shapes, "crosstransformer.layers.{}."),
        "expansion": shapes["crosstransformer.layers.0.linear1.weight"][0] // dim,
        "n_fft": 2 * bins,
        "subbands": subbands,
        "stride": 4,
        "heads": 8,
        "frequency_embedding": 0.2,
        "embedding_scale": 10.0,
        "max_period": 10000.0,
        "segment": 343980,
    }
    assumed = ("segment", "heads", "stride", "frequency_embedding", "embedding_scale", "max_period")
    return Recognised("htdemucs", sizes, outermost // audio, 343980, assumed)


_FAMILIES: dict[str, Callable[[Shapes], Recognised]] = {
    "band_split.to_features.0.1.weight": _roformer,
    "encoder.0.SDlayer.convs.0.weight": _scnet,
    "first_conv.weight": _tfc_tdf,
    "tencoder.0.conv.weight": _htdemucs,
}

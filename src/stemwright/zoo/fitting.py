"""Whether a net of these sizes can run: by what a configuration says where no tensor shows it, by a file's tensors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stemwright.errors import ExtraMissing


def misfit(architecture: str, sizes: dict[str, Any], segment: int) -> str | None:
    """What keeps a net of these sizes from running over segments of so many samples, in words; None when nothing."""
    return next(_misfits(architecture, sizes, segment), None)


def _misfits(architecture: str, sizes: dict[str, Any], segment: int) -> Iterator[str]:
    n_fft, hop = sizes["n_fft"], sizes.get("hop", sizes["n_fft"] // 4)
    if hop > n_fft // 2:
        yield f"between its frames are {hop} samples, more than half of a frame's {n_fft}"
    if segment <= n_fft:
        yield f"a segment of {segment} samples is shorter than a frame, which has {n_fft}"
    if architecture == "scnet" and any(s > k for s, k in zip(sizes["strides"], sizes["kernels"], strict=True)):
        yield f"the strides {sizes['strides']} are larger than the kernels, {sizes['kernels']}"
    if architecture == "tfc_tdf":
        yield from _misfits_of_tfc_tdf(sizes, segment // hop + 1, rest=segment % hop)
    if architecture == "htdemucs":
        yield from _misfits_of_htdemucs(sizes)


def _misfits_of_tfc_tdf(sizes: dict[str, Any], frames: int, *, rest: int) -> Iterator[str]:
    multiple = sizes["scale"][0] ** sizes["levels"]
    if rest or frames % multiple:
        yield f"a segment is {frames} frames, which have to be a multiple of {multiple}, and {rest} samples"
    if sizes["bins"] > sizes["n_fft"] // 2 + 1:
        yield f"it reads {sizes['bins']} bins, and a frame of {sizes['n_fft']} samples has fewer"
    groups = int(sizes["norm"].removeprefix("group")) if sizes["norm"].startswith("group") else 1
    if sizes["width"] % groups or sizes["growth"] % groups:
        yield f"{sizes['width']} channels, and {sizes['growth']} more a level, cannot be normalised in {groups} groups"


def _misfits_of_htdemucs(sizes: dict[str, Any]) -> Iterator[str]:
    width = sizes["bottom"] or sizes["width"] * sizes["growth"] ** (sizes["depth"] - 1)
    if width % sizes["heads"]:
        yield f"a transformer of width {width} cannot have {sizes['heads']} heads"
    if sizes["stride"] != 4:
        yield f"its strides are {sizes['stride']}, and its tensors are of one with 4"


def incomplete(architecture: str, sizes: dict[str, Any], weights: Path) -> str | None:
    """What keeps the tensors in a file from being a net of these sizes, in words; None when nothing (or no torch)."""
    from safetensors import safe_open

    from stemwright.zoo.networks import build  # not where a file is converted: that process has no net

    with safe_open(str(weights), framework="np") as file:
        here = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  a reader
    if (least := _least(architecture, sizes)) > len(here):
        return f"would have {least} tensors or more, and here are {len(here)}"
    try:
        net = build(architecture, sizes, sizes["stems"]).state_dict()
    except ExtraMissing:
        return None
    except (ArithmeticError, AssertionError, RuntimeError, ValueError) as error:
        return f"cannot be built ({' '.join(str(error).split())[:200]})"
    if lacking := sorted({*net} - {*here}):
        return f"lacks {len(lacking)} of its tensors, such as {lacking[0]}"
    if strange := sorted({*here} - {*net}):
        return f"has {len(strange)} tensors that no net of its sizes has, such as {strange[0]}"
    wrong = (name for name, tensor in net.items() if here[name] != tuple(tensor.shape))
    return next((f"has {name} in the shape {here[name]}, not {tuple(net[name].shape)}" for name in wrong), None)


def _least(architecture: str, sizes: dict[str, Any]) -> int:
    """A net of these sizes has at least so many tensors: names alone can ask for millions, and to build it is dear."""
    match architecture:
        case "roformer":
            return sizes["stems"] * len(sizes["bands"])
        case "scnet":
            return len(sizes["dims"][1:]) * sum(sizes["conv_depths"])
        case "tfc_tdf":
            return sizes["levels"] * sizes["blocks"]
    return sizes["depth"] * sizes["residual_depth"]

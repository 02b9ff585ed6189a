"""Installed models as separators: the net built from its card around memory-mapped weights, run by torch or a graph."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from stemwright.audio.signal import Samples
from stemwright.errors import BadCard, MissingExtra, UnknownStem
from stemwright.zoo.installed import Installed

if TYPE_CHECKING:
    from torch import nn

NETS = {
    "roformer": ("roformer", "Roformer", "RoformerConfig"),
    "scnet": ("scnet", "Scnet", "ScnetConfig"),
    "tfc_tdf": ("tfc_tdf", "TfcTdf", "TfcTdfConfig"),
    "htdemucs": ("htdemucs", "HTDemucs", "HTDemucsConfig"),
}


class NetSeparator:
    """A torch net behind the engine's protocol, always in fp32 on the CPU."""

    def __init__(self, net: nn.Module, stems: tuple[str, ...], *, rate: int, segment: int, hop: int) -> None:
        self.net = net
        self.rate = rate
        self.stems = stems
        self.segment = segment
        self.hop = hop

    def __call__(self, mix: Samples) -> Samples:
        """Mix [batch, 2, segment] → stems [batch, stems, 2, segment]."""
        import torch

        with torch.inference_mode():
            return self.net(torch.from_numpy(np.ascontiguousarray(mix))).numpy()


def open_installed(model: Installed, stems: tuple[str, ...] | None = None) -> NetSeparator:
    """A model's separator; of a RoFormer's many heads only those of `stems` are kept in memory.

    Raises MissingExtra without torch, UnknownStem, and BadCard when the weights do not fit the card's sizes.
    """
    heads = _heads(model, stems)
    net = build(model.facts["architecture"], model.facts["sizes"], len(heads))
    state = _weights(model, heads)
    try:
        net.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise BadCard(path=model.folder / "card.toml", reason=" ".join(str(error).split())[:300]) from error
    segment = model.facts["segment"]
    hop = model.facts.get("hop") or segment // 2
    chosen = tuple(model.facts["stems"][head] for head in heads)
    return NetSeparator(net.eval(), chosen, rate=model.facts.get("rate", 44100), segment=segment, hop=hop)


def build(architecture: str, sizes: dict[str, Any], stems: int) -> nn.Module:
    """A net whose weights are yet to come: their memory is not even touched. Raises MissingExtra without torch."""
    try:
        from torch.overrides import TorchFunctionMode
    except ImportError as error:
        raise MissingExtra(model=architecture) from error

    class Uninitialised(TorchFunctionMode):
        """Skips the random numbers. torch's own way, the meta device, imports its compiler: a second or more."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if getattr(func, "__module__", None) == "torch.nn.init":
                return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
            return func(*args, **(kwargs or {}))

    module, net, config = NETS[architecture]
    nets = import_module(f"stemwright.nets.{module}")
    known = {field.name for field in fields(getattr(nets, config))}
    given = {name: _tuples(value) for name, value in sizes.items() if name in known}
    with Uninitialised():
        return getattr(nets, net)(getattr(nets, config)(**{**given, "stems": stems}))


def _heads(model: Installed, stems: tuple[str, ...] | None) -> list[int]:
    """Which of the net's outputs are wanted; only a RoFormer's can be left out."""
    names = list(model.facts["stems"])
    for stem in stems or ():
        if stem not in names:
            raise UnknownStem(stem=stem, model=model.name, choices=", ".join(names))
    if stems is None or model.facts["architecture"] != "roformer":
        return list(range(len(names)))
    return [names.index(stem) for stem in stems]


def _weights(model: Installed, heads: list[int]) -> dict[str, Any]:
    """Tensors by name, mapped from the file; floats in half precision are widened, heads renumbered."""
    from safetensors import safe_open

    with safe_open(str(model.weights), framework="pt") as file:
        ours = {name: _renumbered(name, heads) for name in file.keys()}  # noqa: SIM118  a reader, not a dict
        tensors = {new: file.get_tensor(name) for name, new in ours.items() if new}
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _renumbered(name: str, heads: list[int]) -> str | None:
    """The name when only these heads exist; None for a tensor of another head."""
    match name.split(".", 2):
        case ["masks", head, rest]:
            return f"masks.{heads.index(int(head))}.{rest}" if int(head) in heads else None
    return name


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list | tuple) else value

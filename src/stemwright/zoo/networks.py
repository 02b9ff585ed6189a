"""Installed models as separators: the net built from its card around memory-mapped weights, run by torch or a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import fields
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stemwright.audio.signal import Samples
from stemwright.engine.onnx import answer, session_of
from stemwright.engine.progress import go_on
from stemwright.engine.separator import Groups, Separator, batch_of
from stemwright.engine.threads import Threads
from stemwright.engine.wrappers import Grouped
from stemwright.errors import BadCard, ExtraMissing, UnknownStem
from stemwright.nets.mdx import MdxConfig, MdxNet
from stemwright.zoo import halving, installed, machine
from stemwright.zoo.installed import Installed
from stemwright.zoo.published import members

if TYPE_CHECKING:
    from torch import nn

OPPOSITES = {"vocals": "instrumental", "instrumental": "vocals"}
MOST_THAT_COVER = 12
"""Nets with more heads than this have heads that overlap: their sum is not the mix."""
_TAKE_LESS = ("roformer", "scnet")
"""Architectures that take a part of a segment as it is; the others fill it up, or cannot."""
NETS = {
    "roformer": ("roformer", "Roformer", "RoformerConfig"),
    "scnet": ("scnet", "Scnet", "ScnetConfig"),
    "tfc_tdf": ("tfc_tdf", "TfcTdf", "TfcTdfConfig"),
    "htdemucs": ("htdemucs", "HTDemucs", "HTDemucsConfig"),
}


class NetSeparator:
    """A torch net behind the engine's protocol; samples go to its device and come back.

    On a CPU every item of a batch has threads of its own: two cores on one product wait for each other at its end.
    Each layer asks `go_on` first.
    `shortest` is what it takes without filling it up to a segment.
    """

    def __init__(
        self,
        net: nn.Module,
        stems: tuple[str, ...],
        *,
        rate: int,
        segment: int,
        hop: int,
        shortest: int | None = None,
        device: str = "cpu",
        channels: int = 2,
    ) -> None:
        self.net, self._channels = net, channels
        self.device = device
        self.rate = rate
        self.stems = stems
        self.segment = segment
        self.hop = hop
        self.shortest = shortest or segment
        self.batch = machine.abreast(device)

    def __call__(self, mix: Samples) -> Samples:
        """Mix [batch, 2, segment] → stems [batch, stems, 2, segment]."""
        mix = np.ascontiguousarray(mix)
        if self.device != "cpu":
            return self._run(mix)
        with Threads(len(mix), "net") as threads:
            own = partial(self._run, threads=max(1, machine.cores() // len(mix)))
            return np.concatenate([*threads.map(own, np.split(mix, len(mix)))])

    def _run(self, mix: Samples, *, threads: int | None = None) -> Samples:
        import torch

        if threads:
            torch.set_num_threads(threads)  # for the thread that calls it
        heard = mix.reshape(-1, self._channels, mix.shape[-1])  # a net of one channel hears each side by itself
        with torch.inference_mode():
            stems = self.net(torch.from_numpy(heard).to(self.device)).cpu().numpy()
        sides = stems.reshape(len(mix), -1, *stems.shape[1:])  # [batch, 2 / channels, stems, channels, segment]
        return sides.swapaxes(1, 2).reshape(len(mix), stems.shape[1], *mix.shape[1:])


def load(name: str, precision: str = "auto") -> Separator:
    """The separator of a model on this machine; where its stems do not cover the mix, what they leave is one more.

    Raises NotPulled for a public model that is not here, UnknownModel for any other, and what opening raises.
    """
    found, stems = members(name), offered(name)
    if len(found) > 1:
        return Bag([open_installed(member, precision=precision) for member in found])
    if stems == tuple(found[0].facts["stems"]):
        return open_installed(found[0], precision=precision)
    return WithRest(partial(open_installed, found[0], precision=precision), stems)


def identity(name: str, precision: str = "auto") -> tuple[str, ...]:
    """What a model's separator depends on: its weights, and what is asked of this machine; raises as `load` does."""
    sums = (model.facts["sha256"] for model in members(name))
    return *sums, machine.asked_device(), machine.precision(precision)


def setup(name: str, precision: str = "auto", ran: Sequence[tuple[str, str]] = ()) -> tuple[str, str]:
    """The device and the precision that a model begins songs in here, or `ran` in; raises as `load` does."""
    found = members(name)
    if found[0].facts["architecture"] == "mdx":
        return "cpu", "fp32"
    told = (each for model in found for each in _ran(model, precision, ran))
    return machine.device(), " + ".join(dict.fromkeys(told))


def _ran(model: Installed, precision: str, ran: Sequence[tuple[str, str]]) -> list[str]:
    return [each for name, each in ran if name == model.name] or [halving.settled(model, precision)]


def offered(name: str) -> tuple[str, ...]:
    """The stems that a model on this machine gives, without opening it; raises as `load` does."""
    first, *others = members(name)
    return tuple(first.facts["stems"]) if others else covering(tuple(first.facts["stems"]))


def covering(stems: tuple[str, ...]) -> tuple[str, ...]:
    """A net's stems, and one for what they leave of the mix where they do not cover it."""
    if 1 < len(stems) <= MOST_THAT_COVER:
        return stems
    rest = OPPOSITES.get(stems[0].casefold(), "other") if len(stems) == 1 else "other"
    return (*stems, f"no_{rest}" if rest in map(str.casefold, stems) else rest)


class WithRest:
    """A net whose stems do not cover the mix, and one stem more: what they leave of it.

    `grouped` opens only the heads that somebody wants to hear by themselves: everything else is in what is left.
    """

    def __init__(self, open_heads: Callable[[tuple[str, ...]], Separator], stems: tuple[str, ...]) -> None:
        self._open, self.stems = lru_cache(maxsize=1)(open_heads), stems  # the next song may want the same
        self._ran: halving.Ran = []
        first = self._open(stems[:1])
        self.rate, self.segment, self.hop, self.batch = first.rate, first.segment, first.hop, batch_of(first)
        self._all: Separator | None = None

    def __call__(self, mix: Samples) -> Samples:
        """Mix [batch, 2, segment] → stems [batch, heads + 1, 2, segment]."""
        self._all = self._all or self.grouped({stem: (stem,) for stem in self.stems})
        return self._all(mix)

    def for_song(self, ran: halving.Ran) -> WithRest:
        """The same net for one song."""
        other = copy(self)
        other._ran, other._all = ran, None
        return other

    def grouped(self, groups: Groups) -> Separator:
        """The same net with these sums as its stems; the group with the rest in it is the mix less all others."""
        rest = next((name for name, members in groups.items() if self.stems[-1] in members), None)
        heads = tuple(dict.fromkeys(head for name, members in groups.items() if name != rest for head in members))
        sums = {name: members for name, members in groups.items() if name != rest}
        return _Less(halving.for_song(self._open(heads), self._ran), sums, list(groups))


class _Less:
    """Sums of a separator's stems, and the mix less all of them under the name that has no sum."""

    def __init__(self, separator: Separator, sums: Groups, order: Sequence[str]) -> None:
        self._heads, self.stems = Grouped(separator, sums), tuple(order)
        self.rate, self.segment, self.hop = separator.rate, separator.segment, separator.hop
        self.batch = batch_of(separator)
        self._places = [order.index(name) for name in sums]

    def __call__(self, mix: Samples) -> Samples:
        """Mix [batch, 2, segment] → stems [batch, stems, 2, segment]."""
        sums = self._heads(mix)
        stems = np.repeat((mix - sums.sum(axis=1))[:, None], len(self.stems), axis=1)
        stems[:, self._places] = sums
        return stems


class Bag:
    """Nets of the same sizes of which each is meant for one stem (HTDemucs, fine-tuned)."""

    def __init__(self, members: Sequence[Separator]) -> None:
        first = members[0]
        self.rate, self.stems, self.segment, self.hop = first.rate, first.stems, first.segment, first.hop
        self.batch = batch_of(first)
        self._members = members

    def for_song(self, ran: halving.Ran) -> Bag:
        """The same nets for one song."""
        return Bag([halving.for_song(member, ran) for member in self._members])

    def __call__(self, mix: Samples) -> Samples:
        """Mix [batch, 2, segment] → stems [batch, stems, 2, segment], the n-th from the n-th member."""
        return np.stack([member(mix)[:, index] for index, member in enumerate(self._members)], axis=1)


def open_installed(model: Installed, stems: tuple[str, ...] | None = None, *, precision: str = "auto") -> Separator:
    """A model's separator; of a RoFormer's many heads only those of `stems` are kept in memory.

    Raises ExtraMissing without torch, UnknownStem, BadWeights, and BadCard when weights do not fit the card's sizes.
    """
    kind = model.facts["architecture"]
    if kind == "mdx":
        return _open_graph(model)
    if kind not in NETS:
        reason = f"this version of Stemwright has no net of the kind {kind!r}, a newer one may have"
        raise BadCard(path=model.folder / "card.toml", reason=reason)
    heads = _heads(model, stems)
    try:
        return halving.opened(model, precision, partial(_open_net, model, heads), heads)
    except (OSError, KeyError, TypeError, ValueError) as error:
        installed.check(model)
        reason = f"{type(error).__name__}: {error}; remove the model, and pull it or take it in again"
        raise BadCard(path=model.folder / "card.toml", reason=reason) from error


def _open_graph(model: Installed) -> GraphSeparator:
    installed.check(model)
    session = session_of(model.weights.read_bytes())
    given = session.get_inputs()[0].name
    net = MdxNet(MdxConfig(**model.facts["sizes"]), lambda planes: answer(session, {given: planes}))
    return GraphSeparator(net, tuple(model.facts["stems"]), hop=model.facts["hop"])


class GraphSeparator:
    """An MDX-Net behind the engine's protocol."""

    def __init__(self, net: MdxNet, stems: tuple[str, ...], *, hop: int) -> None:
        self._net = net
        self.rate, self.stems, self.segment, self.hop = 44100, stems, net.config.segment, hop

    def __call__(self, mix: Samples) -> Samples:
        """Mix [batch, 2, segment] → stem [batch, 1, 2, segment]."""
        return self._net(mix)


def _open_net(model: Installed, heads: list[int], precision: str) -> NetSeparator:
    net = build(model.facts["architecture"], model.facts["sizes"], len(heads))
    state = _weights(model, heads)
    try:
        net.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise BadCard(path=model.folder / "card.toml", reason=" ".join(str(error).split())[:300]) from error
    segment = model.facts["segment"]
    hop = model.facts.get("hop") or (segment * 3 // 4 if model.facts["architecture"] == "htdemucs" else segment // 2)
    chosen = tuple(model.facts["stems"][head] for head in heads)
    shortest = segment // 4 if model.facts["architecture"] in _TAKE_LESS else segment
    device, rate = machine.device(), model.facts.get("rate", 44100)
    machine.keep_pages()
    _told_what_is_mapped(net.eval().to(device), model.weights)
    net = _lowered(net, precision)
    sizes = {"rate": rate, "segment": segment, "hop": hop, "shortest": shortest}
    return NetSeparator(net, chosen, **sizes, device=device, channels=model.facts["sizes"].get("channels", 2))


def _told_what_is_mapped(net: nn.Module, weights: Path) -> None:
    """Marks the layers whose weights are pages of this file, as the system says: those of fp16, widened, are not."""
    from stemwright.nets.precision import Dense

    pages = machine.mapped(weights)
    for module in net.modules():
        if isinstance(module, Dense) and module.weight.device.type == "cpu":
            first, last = module.weight.data_ptr(), module.weight.data_ptr() + module.weight.nbytes - 1
            module.is_mapped = any(first in part and last in part for part in pages)


def _lowered(net: nn.Module, precision: str) -> nn.Module:
    import torch

    from stemwright.nets.precision import lowered

    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16}
    for module in net.modules():
        module.register_forward_pre_hook(lambda *_: go_on())
    return lowered(net, dtypes[precision]) if precision in dtypes else net


def build(architecture: str, sizes: dict[str, Any], stems: int) -> nn.Module:
    """A net whose weights are yet to come: their memory is not even touched. Raises ExtraMissing without torch."""
    try:
        from torch.overrides import TorchFunctionMode
    except ImportError as error:
        raise ExtraMissing(extra="torch", missing="PyTorch") from error

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
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(model.weights), framework="pt") as file:
            ours = {name: _renumbered(name, heads) for name in file.keys()}  # noqa: SIM118  a reader, not a dict
            tensors = {new: file.get_tensor(name) for name, new in ours.items() if new}
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _renumbered(name: str, heads: list[int]) -> str | None:
    """The name when only these heads exist; None for a tensor of another head."""
    match name.split(".", 2):
        case ["masks", head, rest]:
            return f"masks.{heads.index(int(head))}.{rest}" if int(head) in heads else None
    return name


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list | tuple) else value

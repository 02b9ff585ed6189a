"""Writes the band-split net as an ONNX graph, node by node: dynamic batch and frames, weights stored as float16."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from stemwright.errors import BadStart
from stemwright.nets.bandsplit import (
    EPSILON,
    FAMILIES,
    HEARD,
    LOGITS,
    SHARING,
    STEMS,
    TINY,
    VIEWS,
    BandSplit,
    BandSplitConfig,
    Zone,
    family_of,
)  # fmt: skip
from stemwright.nets.layers import BandLinear, GlobalBlock, LocalBlock

OPSET = 17
Names = list[str]


class GraphWriter:
    """Collects nodes and weights; every method names its result and returns the name."""

    def __init__(self, stored: type = np.float16) -> None:
        self.stored = stored
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.trained: list[str] = []
        self._shapes: dict[tuple[int, ...], str] = {}

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Adds a node and returns the name of its first output; further ones end in `.1`, `.2`, …"""
        name = f"{kind.lower()}_{len(self.nodes)}"
        names = [name, *(f"{name}.{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=name, **attributes))
        return name

    def split(self, x: str, sizes: Iterable[int], axis: int) -> Names:
        """The parts of x along an axis."""
        sizes = list(sizes)
        name = self.op("Split", x, self.integers(sizes), outputs=len(sizes), axis=axis)
        return [name, *(f"{name}.{i}" for i in range(1, len(sizes)))]

    def weight(self, tensor: torch.Tensor) -> str:
        """A parameter, stored as float16 and cast to float32 when the graph is loaded (constant folding)."""
        name = self._store(tensor.detach().float().cpu().numpy().astype(self.stored))
        self.trained.append(name)
        return self.op("Cast", name, to=TensorProto.FLOAT)

    def constant(self, value: float | np.ndarray) -> str:
        """A float32 constant."""
        return self._store(np.asarray(value, np.float32))

    def integers(self, values: Iterable[int]) -> str:
        """An int64 vector, stored once."""
        key = tuple(values)
        if key not in self._shapes:
            self._shapes[key] = self._store(np.array(key, np.int64))
        return self._shapes[key]

    def reshape(self, x: str, *shape: int) -> str:
        """Reshape: 0 keeps an axis, one −1 is computed."""
        return self.op("Reshape", x, self.integers(shape))

    def slice(self, x: str, start: int, end: int, axis: int) -> str:
        """x[start:end] along an axis."""
        return self.op("Slice", x, self.integers([start]), self.integers([end]), self.integers([axis]))

    def _store(self, array: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name


def band_split_graph(net: BandSplit) -> onnx.ModelProto:
    """The graph `spectrum` [batch, 2, frames, bins, 2] → `masks` [batch, 12, 2, frames, columns], float32."""
    g = GraphWriter()
    _write(g, net)
    return _model(g, net.config.n_fft // 2 + 1, len(net.config.first_bins))


def read_weights(net: BandSplit, path: Path) -> None:
    """Fills a net with the weights of an exported graph, so that training can go on from what was shipped.

    A graph without learned cues, or with fewer blocks, also begins a net that has more: what is new says nothing yet.
    The last block stays the last. Raises BadStart when the graph is of a net of other sizes, or no graph.
    """
    try:
        stored = [
            numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer if t.data_type == TensorProto.FLOAT16
        ]
    except (OSError, DecodeError) as error:
        raise BadStart(path=path, reason=str(error).rstrip(".") or "it is no graph") from error
    for config in _smaller(net.config):
        read = BandSplit(config)
        if _filled(read, stored):
            net.load_state_dict(
                _placed(read.state_dict(), len(config.dilations), len(net.config.dilations)), strict=False
            )
            return
    raise BadStart(path=path, reason="it is not the graph of a net of these sizes")


def _smaller(config: BandSplitConfig) -> Iterator[BandSplitConfig]:
    """The net, and those that it can have grown from: with fewer blocks, without learned cues."""
    *others, last = config.dilations
    for kept in range(len(others), -1, -1):
        fewer = replace(config, dilations=(*others[:kept], last))
        yield fewer
        yield replace(fewer, details=0, learned=0)


def _placed(state: dict[str, torch.Tensor], before: int, now: int) -> dict[str, torch.Tensor]:
    """The state of a net of `before` blocks under the names of one of `now`: its last block is the last."""
    ends = {f"{kind}.{before - 1}.": f"{kind}.{now - 1}." for kind in ("local", "whole")}
    named = {old: new for old, new in ends.items() if old != new}
    return {
        next((new + k.removeprefix(old) for old, new in named.items() if k.startswith(old)), k): v
        for k, v in state.items()
    }


def _filled(net: BandSplit, stored: list[np.ndarray]) -> bool:
    """Whether these tensors are a graph's of such a net, which then has them.

    The way of every number into the graph is found by writing a net whose parameters are their own places. Older graphs
    were written in another order of their parts: tensors are told apart by shape, and those of one shape by turn.
    """
    places, start = copy.deepcopy(net), 0
    for parameter in places.parameters():
        parameter.data = torch.arange(start, start + parameter.numel(), dtype=torch.float32).view_as(parameter)
        start += parameter.numel()
    g = GraphWriter(np.float32)
    _write(g, places)
    trained = {tensor.name: numpy_helper.to_array(tensor).astype(np.int64) for tensor in g.weights}
    where = sorted((trained[name] for name in g.trained), key=np.shape)
    values = sorted(stored, key=np.shape)
    if [place.shape for place in where] != [value.shape for value in values]:
        return False
    flat = np.empty(start, np.float32)
    for place, value in zip(where, values, strict=True):
        flat[place] = value
    nn.utils.vector_to_parameters(torch.from_numpy(flat), net.parameters())
    return True


def _write(g: GraphWriter, net: BandSplit) -> None:
    zones = net.config.zones
    powers = _powers(g, net)
    views = [_views(g, powers, zone) for zone in zones]
    embedded = [_band_linear(g, m, _stacked(g, v, z)) for m, v, z in zip(_bands(net.embed), views, zones, strict=True)]
    e = g.op("Concat", *embedded, axis=0)
    x = heard = _norm(g, net.enter, e)
    for local, whole in zip(net.local, net.whole, strict=True):
        assert isinstance(local, LocalBlock)
        assert isinstance(whole, GlobalBlock)
        x, heard = _global_block(g, whole, _local_block(g, local, x))
    y = g.op("Add", _linear(g, net.last, _norm(g, net.leave, x)), _linear(g, net.skip, e))
    y = g.op("Relu", y)
    sizes = [zone.bands for zone in zones]
    present = _presence(g, net.presence, heard)
    cues = [_cues(g, view) for view in views]
    added = [g.op("Add", cued, present) for cued in _weighed(g, net, _band_linear(g, net.cues, y), cues)]
    if net.config.details:
        found = _weighed(g, net, _band_linear(g, net.learned, y), _learned_cues(g, net, views, cues))
        added = [g.op("Add", *pair) for pair in zip(added, found, strict=True)]
    parts = zip(zones, _bands(net.heads), g.split(y, sizes, 0), added, strict=True)
    logits = [_logits(g, zone, _band_linear(g, head, part), cued) for zone, head, part, cued in parts]
    _masks(g, g.op("Concat", *logits, axis=4))


def _model(g: GraphWriter, bins: int, columns: int) -> onnx.ModelProto:
    spectrum = helper.make_tensor_value_info("spectrum", TensorProto.FLOAT, ["batch", 2, "frames", bins, 2])
    masks = helper.make_tensor_value_info("masks", TensorProto.FLOAT, ["batch", 12, 2, "frames", columns])
    graph = helper.make_graph(g.nodes, "bandsplit", [spectrum], [masks], g.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="stemwright")
    model.ir_version = 9  # read by every onnxruntime since 1.16
    onnx.checker.check_model(model)
    return model


def _bands(modules: nn.ModuleList) -> list[BandLinear]:
    return [m for m in modules if isinstance(m, BandLinear)]


def _powers(g: GraphWriter, net: BandSplit) -> Names:
    """Power of left, of right, and what they share, at a common level: each [batch, frames, bins − 1]."""
    left, right = g.split("spectrum", [1, 1], 1)
    products = [g.op("Mul", *pair) for pair in ((left, left), (right, right), (left, right))]
    powers = [g.op("ReduceSum", product, g.integers([1, 4]), keepdims=0) for product in products]
    both = g.op("Mul", g.op("Add", powers[0], powers[1]), g.constant(0.5))
    level = g.op("Add", g.op("Sqrt", g.op("ReduceMean", both, axes=[1, 2], keepdims=1)), g.constant(EPSILON))
    assert isinstance(net.slope, torch.Tensor)
    gain = g.op("Div", g.constant(net.slope.square().cpu().numpy()), g.op("Mul", level, level))
    return [g.op("Mul", g.slice(power, 0, net.config.n_fft // 2, 2), gain) for power in powers]


def _views(g: GraphWriter, powers: Names, zone: Zone) -> Names:
    """Level, balance and width of a zone's columns: each [bands, batch, frames, columns]."""
    left, right, both = (_pooled(g, power, zone) for power in powers)
    two = g.constant(2.0)
    whole = g.op("Add", g.op("Add", left, right), g.constant(TINY))
    side = g.op("Max", g.op("Sub", whole, g.op("Mul", both, two)), g.constant(0.0))
    width = g.op("Sqrt", g.op("Sqrt", g.op("Div", side, g.op("Mul", whole, two))))
    level = g.op("Sqrt", g.op("Sqrt", g.op("Sqrt", whole)))
    return [level, g.op("Div", g.op("Sub", right, left), whole), width]


def _pooled(g: GraphWriter, power: str, zone: Zone) -> str:
    part = g.reshape(g.slice(power, zone.first_bin, zone.end_bin, 2), 0, 0, zone.bands * zone.columns, zone.pool)
    if zone.pool > 1:
        part = g.op("ReduceMean", part, axes=[3], keepdims=0)
    return g.op("Transpose", g.reshape(part, 0, 0, zone.bands, zone.columns), perm=[2, 0, 1, 3])


def _stacked(g: GraphWriter, views: Names, zone: Zone) -> str:
    """Views side by side: [bands, batch, frames, columns · VIEWS]."""
    apart = [g.op("Unsqueeze", view, g.integers([4])) for view in views]
    return g.reshape(g.op("Concat", *apart, axis=4), 0, 0, 0, zone.columns * VIEWS)


def _presence(g: GraphWriter, layer: nn.Linear, heard: str) -> str:
    """What the last LSTM [frames, batch, width] says of every stem: [1, batch, frames, LOGITS, 1]."""
    shape = g.op("Concat", g.slice(g.op("Shape", heard), 0, 2, 0), g.integers([LOGITS, 1]), axis=0)
    rows = g.reshape(heard, -1, layer.in_features)
    found = g.op("Gemm", rows, g.weight(layer.weight), g.weight(layer.bias), transB=1)
    present = g.op("Transpose", g.op("Reshape", found, shape), perm=[1, 0, 2, 3])
    return g.op("Unsqueeze", present, g.integers([0]))


def _cues(g: GraphWriter, views: Names) -> str:
    """The cues of every column: [bands, batch, frames, CUES, columns]."""
    level, balance, width = views
    first, last = g.slice(level, 0, 1, 2), g.slice(level, -1, 2**31, 2)
    before = g.op("Concat", first, g.slice(level, 0, -1, 2), axis=2)
    after = g.op("Concat", g.slice(level, 1, 2**31, 2), last, axis=2)
    around = g.op("Mul", g.op("Add", before, after), g.constant(0.5))
    cues = [balance, g.op("Mul", balance, balance), g.op("Sub", width, g.constant(0.5))]
    cues += [g.op("Sub", level, g.op("ReduceMean", level, axes=[3], keepdims=1))]
    cues += [g.op("Sub", level, around), g.op("Sub", after, before)]
    return g.op("Concat", *(g.op("Unsqueeze", cue, g.integers([3])) for cue in cues), axis=3)


def _weighed(g: GraphWriter, net: BandSplit, weights: str, cues: Names) -> Names:
    """What cues add to the logits of their columns, per zone: [bands, batch, frames, LOGITS, columns]."""
    zones = net.config.zones
    lead = g.slice(g.op("Shape", weights), 1, 3, 0)
    parts = zip(zones, g.split(weights, [zone.bands for zone in zones], 0), cues, strict=True)
    found = []
    for zone, part, cue in parts:
        shape = g.op("Concat", g.integers([zone.bands]), lead, g.integers([LOGITS, -1]), axis=0)
        found.append(g.op("MatMul", g.op("Reshape", part, shape), cue))
    return found


def _learned_cues(g: GraphWriter, net: BandSplit, views: list[Names], cues: Names) -> Names:
    """Cues found by convolutions over time and columns, per zone: [bands, batch, frames, learned, columns]."""
    zones, layers, grids = net.config.zones, net.details, []
    for zone, (level, _, width), cue in zip(zones, views, cues, strict=True):
        own = [g.op("Unsqueeze", view, g.integers([3])) for view in (level, width)]
        grid = g.op("Transpose", g.op("Concat", *own, cue, axis=3), perm=[1, 3, 2, 0, 4])
        grids.append(g.reshape(grid, 0, HEARD, 0, zone.bands * zone.columns))
    x = g.op("Relu", _convolution(g, layers.first, g.op("Concat", *grids, axis=3)))
    for layer in layers.deeper:
        assert isinstance(layer, nn.Conv2d)
        x = g.op("Add", x, g.op("Relu", _convolution(g, layer, x)))
    found = g.split(_convolution(g, layers.leave, x), [zone.bands * zone.columns for zone in zones], 3)
    apart = [g.reshape(f, 0, net.config.learned, 0, z.bands, z.columns) for f, z in zip(found, zones, strict=True)]
    return [g.op("Transpose", part, perm=[3, 0, 2, 1, 4]) for part in apart]


def _convolution(g: GraphWriter, layer: nn.Conv2d, x: str) -> str:
    assert layer.bias is not None
    pads = [int(pad) for pad in (*layer.padding, *layer.padding)]
    weights = (g.weight(layer.weight), g.weight(layer.bias))
    return g.op("Conv", x, *weights, pads=pads, dilations=list(layer.dilation), kernel_shape=list(layer.kernel_size))


def _band_linear(g: GraphWriter, layer: BandLinear, x: str) -> str:
    """x [bands, batch, frames, in]: one product per band, over batch × frames rows."""
    bands, width_in, width_out = layer.weight.shape
    shape = g.op("Concat", g.slice(g.op("Shape", x), 0, 3, 0), g.integers([width_out]), axis=0)
    product = g.op("MatMul", g.reshape(x, bands, -1, width_in), g.weight(layer.weight))
    return g.op("Reshape", g.op("Add", product, g.weight(layer.bias)), shape)


def _linear(g: GraphWriter, layer: nn.Linear, x: str) -> str:
    """x [a, b, c, in] as rows, because Gemm takes its bias along and MatMul would not."""
    shape = g.op("Concat", g.slice(g.op("Shape", x), 0, 3, 0), g.integers([layer.out_features]), axis=0)
    rows = g.reshape(x, -1, layer.in_features)
    return g.op("Reshape", g.op("Gemm", rows, g.weight(layer.weight), g.weight(layer.bias), transB=1), shape)


def _norm(g: GraphWriter, layer: nn.LayerNorm, x: str) -> str:
    return g.op("LayerNormalization", x, g.weight(layer.weight), g.weight(layer.bias), axis=-1, epsilon=layer.eps)


def _shift(g: GraphWriter, x: str, axis: int, steps: int) -> str:
    pads = [0] * 8
    pads[axis if steps > 0 else 4 + axis] = abs(steps)
    padded = g.op("Pad", x, g.integers(pads))
    return g.slice(padded, 0, -steps, axis) if steps > 0 else g.slice(padded, -steps, 2**31, axis)


def _local_block(g: GraphWriter, block: LocalBlock, x: str) -> str:
    width, part = block.narrow.out_features, block.part
    past, future, below, above, here = g.split(_norm(g, block.norm, x), [part] * 4 + [width - 4 * part], 3)
    moved = [_shift(g, past, 2, block.dilation), _shift(g, future, 2, -block.dilation)]
    moved += [_shift(g, below, 0, 1), _shift(g, above, 0, -1), here]
    hidden = g.op("Relu", _linear(g, block.widen, g.op("Concat", *moved, axis=3)))
    return g.op("Add", x, _linear(g, block.narrow, hidden))


def _global_block(g: GraphWriter, block: GlobalBlock, x: str) -> tuple[str, str]:
    """The field, and what the LSTM heard [frames, batch, 2 hidden]."""
    squeezed = block.squeeze.out_features
    bands = block.spread.out_features // squeezed
    y = _linear(g, block.squeeze, _norm(g, block.norm, x))
    y = g.reshape(g.op("Transpose", y, perm=[2, 1, 0, 3]), 0, 0, bands * squeezed)
    heard = _lstm(g, block.lstm, _norm(g, block.level, y))
    shape = g.op("Concat", g.slice(g.op("Shape", heard), 0, 2, 0), g.integers([bands, squeezed]), axis=0)
    rows = g.reshape(heard, -1, 2 * block.lstm.hidden_size)
    y = g.op("Relu", g.op("Gemm", rows, g.weight(block.spread.weight), g.weight(block.spread.bias), transB=1))
    y = g.op("Transpose", g.op("Reshape", y, shape), perm=[2, 1, 0, 3])
    return g.op("Add", x, _linear(g, block.unsqueeze, y)), heard


def _lstm(g: GraphWriter, lstm: nn.LSTM, x: str) -> str:
    """x [time, batch, in] → [time, batch, 2 hidden]; ONNX orders the gates i o f c, torch i f c o."""
    hidden = lstm.hidden_size
    order = torch.cat([torch.arange(hidden) + k * hidden for k in (0, 3, 1, 2)])

    def both(name: str) -> torch.Tensor:
        return torch.stack([getattr(lstm, f"{name}_l0{end}").detach().cpu()[order] for end in ("", "_reverse")])

    bias = torch.cat((both("bias_ih"), both("bias_hh")), -1)
    weights = (g.weight(both("weight_ih")), g.weight(both("weight_hh")), g.weight(bias))
    y = g.op("LSTM", x, *weights, hidden_size=hidden, direction="bidirectional")
    return g.reshape(g.op("Transpose", y, perm=[0, 2, 1, 3]), 0, 0, 2 * hidden)


def _logits(g: GraphWriter, zone: Zone, y: str, cued: str) -> str:
    """The logits of one zone: [batch, 2, LOGITS, frames, columns of all its bands]."""
    lead = g.slice(g.op("Shape", y), 0, 3, 0)
    apart = g.op("Concat", lead, g.integers([2, LOGITS, zone.columns]), axis=0)
    y = g.op("Add", g.op("Reshape", y, apart), g.op("Unsqueeze", cued, g.integers([3])))
    joined = g.op("Concat", lead, g.integers([2 * LOGITS, zone.columns]), axis=0)
    y = g.op("Transpose", g.op("Reshape", y, joined), perm=[1, 3, 2, 0, 4])
    return g.reshape(y, 0, 2, LOGITS, -1, zone.bands * zone.columns)


def _masks(g: GraphWriter, logits: str) -> None:
    """The two-level softmax, written out: along an inner axis onnxruntime's Softmax is many times slower than Exp.

    Clipping at ±40 keeps sums of exponentials finite in place of the usual subtraction of the maximum.
    """
    e = g.op("Exp", g.op("Clip", logits, g.constant(-40.0), g.constant(40.0)))
    families, members = g.split(e, [len(FAMILIES), len(SHARING)], 2)
    shares = g.op("Div", families, g.op("ReduceSum", families, g.integers([2]), keepdims=1))
    gains = g.split(shares, [1] * len(FAMILIES), 2)
    runs = _runs()
    parts = iter(g.split(members, [len(run) for run in runs if run[0] in SHARING], 2))
    exps = [next(parts) if run[0] in SHARING else "" for run in runs]
    for i, family in enumerate(FAMILIES):
        if len(family) > 1:
            own = [exp for exp, run in zip(exps, runs, strict=True) if run[0] in family]
            sums = [g.op("ReduceSum", exp, g.integers([2]), keepdims=1) for exp in own]
            gains[i] = g.op("Div", gains[i], sums[0] if len(sums) == 1 else g.op("Add", *sums))
    pieces = [
        g.op("Mul", exp, gains[family_of(run[0])]) if exp else gains[family_of(run[0])]
        for exp, run in zip(exps, runs, strict=True)
    ]
    joined = g.op("Concat", *pieces, axis=2)
    g.nodes.append(helper.make_node("Transpose", [joined], ["masks"], perm=[0, 2, 1, 3, 4]))


def _runs() -> list[tuple[str, ...]]:
    """STEMS cut into runs of neighbours of one family."""
    return [tuple(run) for _, run in itertools.groupby(STEMS, family_of)]

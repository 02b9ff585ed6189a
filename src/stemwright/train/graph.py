"""Writes the band-split net as an ONNX graph, node by node: dynamic batch and frames, weights stored as float16."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from stemwright.errors import BadCheckpoint
from stemwright.nets.bandsplit import EPSILON, FAMILIES, LOGITS, SHARING, STEMS, VIEWS, BandSplit, Zone, family_of
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

    The way of every number into the graph is found by writing a net whose parameters are their own places.
    Raises BadCheckpoint when the graph is of a net of other sizes.
    """
    places, start = copy.deepcopy(net), 0
    for parameter in places.parameters():
        parameter.data = torch.arange(start, start + parameter.numel(), dtype=torch.float32).view_as(parameter)
        start += parameter.numel()
    g = GraphWriter(np.float32)
    _write(g, places)
    where = {
        tensor.name: numpy_helper.to_array(tensor).astype(np.int64) for tensor in g.weights if tensor.name in g.trained
    }
    flat = np.full(start, np.nan, np.float32)
    for tensor in onnx.load(path).graph.initializer:
        value = numpy_helper.to_array(tensor)
        if tensor.name in where and value.shape == where[tensor.name].shape:
            flat[where[tensor.name]] = value
    if np.isnan(flat).any():
        raise BadCheckpoint(path=path, reason="it is not the graph of a net of these sizes")
    nn.utils.vector_to_parameters(torch.from_numpy(flat), net.parameters())


def _write(g: GraphWriter, net: BandSplit) -> None:
    c = net.config
    frames = g.slice(g.op("Shape", "spectrum"), 2, 3, 0)
    roots = _roots(g, net, frames)
    embedded = [_band_linear(g, m, _pooled(g, roots, z)) for m, z in zip(_bands(net.embed), c.zones, strict=True)]
    e = g.op("Concat", *embedded, axis=0)
    x = g.reshape(e, 0, 0, -1, 2 * c.embed)
    x = _linear(g, net.widen, _norm(g, net.enter, x), c.width)
    for local, whole in zip(net.local, net.whole, strict=True):
        assert isinstance(local, LocalBlock)
        assert isinstance(whole, GlobalBlock)
        x = _global_block(g, whole, _local_block(g, local, x))
    y = g.reshape(_linear(g, net.unpair, _norm(g, net.leave, x), 2 * c.head), 0, 0, -1, c.head)
    y = g.op("Relu", g.op("Add", y, _linear(g, net.skip, e, c.head)))
    y = g.op("Slice", y, g.integers([0]), frames, g.integers([2]))  # without the frame that made them even
    parts = g.split(y, [zone.bands for zone in c.zones], 0)
    logits = [_logits(g, m, p, z) for m, p, z in zip(_bands(net.heads), parts, c.zones, strict=True)]
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


def _roots(g: GraphWriter, net: BandSplit, frames: str) -> str:
    """Eighth roots of the power of left, right, mid, side: [batch, 4, frames made even, bins − 1]."""
    left, right = g.split("spectrum", [1, 1], 1)
    half = g.constant(0.5)
    mid, side = (g.op("Mul", g.op(kind, left, right), half) for kind in ("Add", "Sub"))
    views = g.op("Concat", left, right, mid, side, axis=1)
    power = g.op("ReduceSum", g.op("Mul", views, views), g.integers([4]), keepdims=0)
    level = g.op("Sqrt", g.op("ReduceMean", g.slice(power, 0, 2, 1), axes=[1, 2, 3], keepdims=1))
    level = g.op("Add", level, g.constant(EPSILON))
    assert isinstance(net.slope, torch.Tensor)
    gain = g.op("Div", g.constant(net.slope.square().cpu().numpy()), g.op("Mul", level, level))
    power = g.op("Mul", g.slice(power, 0, net.config.n_fft // 2, 3), gain)
    odd = g.op("Mod", frames, g.integers([2]))
    power = g.op("Pad", power, g.op("Concat", g.integers([0] * 6), odd, g.integers([0]), axis=0))
    roots = g.op("Add", power, g.constant(1e-10))
    for _ in range(3):
        roots = g.op("Sqrt", roots)
    return roots


def _pooled(g: GraphWriter, roots: str, zone: Zone) -> str:
    part = g.slice(roots, zone.first_bin, zone.end_bin, 3)
    part = g.reshape(part, 0, VIEWS, -1, zone.bands * zone.columns, zone.pool)
    if zone.pool > 1:
        part = g.op("ReduceMean", part, axes=[4], keepdims=0)
    part = g.reshape(part, 0, VIEWS, -1, zone.bands, zone.columns)
    return g.reshape(g.op("Transpose", part, perm=[3, 0, 2, 4, 1]), zone.bands, 0, 0, zone.columns * VIEWS)


def _band_linear(g: GraphWriter, layer: BandLinear, x: str) -> str:
    """x [bands, batch, frames, in]: one product per band, over batch × frames rows."""
    bands, width_in, width_out = layer.weight.shape
    shape = g.op("Concat", g.slice(g.op("Shape", x), 0, 3, 0), g.integers([width_out]), axis=0)
    product = g.op("MatMul", g.reshape(x, bands, -1, width_in), g.weight(layer.weight))
    return g.op("Reshape", g.op("Add", product, g.weight(layer.bias)), shape)


def _linear(g: GraphWriter, layer: nn.Linear, x: str, width: int) -> str:
    """x [a, b, c, in] as rows, because Gemm takes its bias along and MatMul would not."""
    shape = g.op("Concat", g.slice(g.op("Shape", x), 0, 3, 0), g.integers([width]), axis=0)
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
    hidden = g.op("Relu", _linear(g, block.widen, g.op("Concat", *moved, axis=3), block.widen.out_features))
    return g.op("Add", x, _linear(g, block.narrow, hidden, width))


def _global_block(g: GraphWriter, block: GlobalBlock, x: str) -> str:
    width, squeezed = block.squeeze.in_features, block.squeeze.out_features
    bands = block.spread.out_features // squeezed
    y = _linear(g, block.squeeze, _norm(g, block.norm, x), squeezed)
    y = g.reshape(g.op("Transpose", y, perm=[2, 1, 0, 3]), 0, 0, bands * squeezed)
    y = _lstm(g, block.lstm, y)
    shape = g.op("Concat", g.slice(g.op("Shape", y), 0, 2, 0), g.integers([bands, squeezed]), axis=0)
    rows = g.reshape(y, -1, 2 * block.lstm.hidden_size)
    y = g.op("Relu", g.op("Gemm", rows, g.weight(block.spread.weight), g.weight(block.spread.bias), transB=1))
    y = g.op("Transpose", g.op("Reshape", y, shape), perm=[2, 1, 0, 3])
    return g.op("Add", x, _linear(g, block.unsqueeze, y, width))


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


def _logits(g: GraphWriter, head: BandLinear, x: str, zone: Zone) -> str:
    """The logits of one zone: [batch, 2, LOGITS, frames, columns of all its bands]."""
    y = _band_linear(g, head, x)
    shape = g.op("Concat", g.slice(g.op("Shape", y), 0, 3, 0), g.integers([2 * LOGITS, zone.columns]), axis=0)
    y = g.op("Transpose", g.op("Reshape", y, shape), perm=[1, 3, 2, 0, 4])
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

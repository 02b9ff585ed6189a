"""Writes the band-split net as an ONNX graph, node by node: dynamic batch and frames, weights stored as float16."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from stemwright.nets.bandsplit import EPSILON, FAMILIES, LOGITS, VIEWS, BandSplit, Zone, stem_order
from stemwright.nets.layers import BandLinear, GlobalBlock, LocalBlock

OPSET = 17
Names = list[str]


class GraphWriter:
    """Collects nodes and weights; every method names its result and returns the name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._shapes: dict[tuple[int, ...], str] = {}

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
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
        array = tensor.detach().float().cpu().numpy().astype(np.float16)
        return self.op("Cast", self._store(array), to=TensorProto.FLOAT)

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
    g, c = GraphWriter(), net.config
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
    parts = g.split(y, [zone.bands for zone in c.zones], 0)
    masks = [_masks(g, m, p, z) for m, p, z in zip(_bands(net.heads), parts, c.zones, strict=True)]
    joined = g.op("Gather", g.op("Concat", *masks, axis=4), g.integers(stem_order()), axis=1)
    g.nodes.append(helper.make_node("Slice", [joined, g.integers([0]), frames, g.integers([3])], ["masks"]))
    return _model(g, c.n_fft // 2 + 1, len(c.first_bins))


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
    """Eighth roots of the power of left, right, mid, side: [batch, frames made even, bins − 1, 4]."""
    power = g.op("ReduceSum", g.op("Mul", "spectrum", "spectrum"), g.integers([4]), keepdims=0)
    level = g.op("Sqrt", g.op("ReduceMean", power, axes=[1, 2, 3], keepdims=1))
    level = g.op("Unsqueeze", g.op("Add", level, g.constant(EPSILON)), g.integers([4]))
    slope = g.constant(net.slope.cpu().numpy()[:, None])  # type: ignore[union-attr, operator]
    x = g.op("Mul", g.op("Div", g.slice("spectrum", 0, net.config.n_fft // 2, 3), level), slope)
    odd = g.op("Mod", frames, g.integers([2]))
    x = g.op("Pad", x, g.op("Concat", g.integers([0] * 7), odd, g.integers([0, 0]), axis=0))
    left, right = g.split(x, [1, 1], 1)
    half = g.constant(0.5)
    mid, side = (g.op("Mul", g.op(kind, left, right), half) for kind in ("Add", "Sub"))
    views = g.op("Concat", left, right, mid, side, axis=1)
    power = g.op("ReduceSum", g.op("Mul", views, views), g.integers([4]), keepdims=0)
    roots = g.op("Add", power, g.constant(1e-10))
    for _ in range(3):
        roots = g.op("Sqrt", roots)
    return roots  # [batch, 4, frames, bins − 1]


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


def _masks(g: GraphWriter, head: BandLinear, x: str, zone: Zone) -> str:
    """The two-level softmax of one zone: [batch, 12 in the order of the families, 2, frames, columns]."""
    y = _band_linear(g, head, x)
    shape = g.op("Concat", g.slice(g.op("Shape", y), 0, 3, 0), g.integers([zone.columns, 2, LOGITS]), axis=0)
    y = g.op("Transpose", g.op("Reshape", y, shape), perm=[1, 5, 4, 2, 0, 3])
    y = g.reshape(y, 0, LOGITS, 2, -1, zone.bands * zone.columns)
    sizes = [len(family) for family in FAMILIES if len(family) > 1]
    families, *members = g.split(y, [len(FAMILIES), *sizes], 1)
    families = g.split(g.op("Softmax", families, axis=1), [1] * len(FAMILIES), 1)
    inside = iter(members)
    parts = [
        g.op("Mul", p, g.op("Softmax", next(inside), axis=1)) if len(f) > 1 else p
        for p, f in zip(families, FAMILIES, strict=True)
    ]
    return g.op("Concat", *parts, axis=1)

"""Layers that run in half precision once they are told to; what a net does between them stays in fp32."""

from __future__ import annotations

import ctypes
import mmap
import re
import sys
from functools import partial
from threading import Lock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PACKING = Lock()
_PLAIN = {"none": lambda x: x, "gelu": F.gelu, "tanh": torch.tanh}


def _unmapped(weight: Tensor) -> None:
    """Takes a file's pages out of this process: others' pages of the file stay where they are, and so does the file."""
    if sys.platform != "linux":
        return
    page, first, dont_need = mmap.PAGESIZE, weight.data_ptr(), 4
    start, stop = -(-first // page) * page, (first + weight.nbytes) // page * page
    if stop > start:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), dont_need)


class Dense(nn.Linear):
    """A linear map and the activation that follows it ("none", "gelu", "tanh"): [..., inputs] → [..., outputs].

    In bf16 on a CPU its weights are packed for oneDNN and the activation is done inside the product. `parts` are the
    sizes of pieces of the output that can be had alone. `is_mapped` says that the weights are a file's own pages, which
    may go at any time: they come back when they are read.
    """

    def __init__(
        self, inputs: int, outputs: int, *, bias: bool = True, activation: str = "none", parts: tuple[int, ...] = ()
    ) -> None:
        super().__init__(inputs, outputs, bias=bias)
        self.activation = activation
        self.parts = parts or (outputs,)
        self.dtype = torch.float32
        self._packed: list[Tensor] = []
        self._shall_pack = False
        self.is_mapped = False

    def lower(self, dtype: torch.dtype) -> None:
        """Packing waits for the first use: it reads all weights, and a song may need few of them."""
        self.dtype = dtype
        self._shall_pack = dtype == torch.bfloat16 and self.weight.device.type == "cpu" and _packs()
        if not self._shall_pack and dtype != torch.float32:
            self.to(dtype)
            self.is_mapped = False

    def _pack(self) -> None:
        with _PACKING:
            if not self._shall_pack:
                return  # another thread was here before
            pieces = self.weight.detach().to(self.dtype).split(self.parts)
            self._packed = [torch.ops.mkldnn._reorder_linear_weight(piece) for piece in pieces]
            if self.is_mapped:
                _unmapped(self.weight)
            self.is_mapped = False
            self.weight = nn.Parameter(torch.empty(0, dtype=self.dtype), requires_grad=False)
            self.bias = self.bias if self.bias is None else nn.Parameter(self.bias.to(self.dtype), requires_grad=False)
            self._shall_pack = False

    def forward(self, input: Tensor, part: int = 0) -> Tensor:  # noqa: A002  as torch names it
        x = input.to(self.dtype)
        if self._shall_pack:
            self._pack()
        bias = self.bias if self.bias is None else self.bias.split(self.parts)[part]
        if self._packed:
            return torch.ops.mkldnn._linear_pointwise(x, self._packed[part], bias, self.activation, [], "none")
        return _PLAIN[self.activation](F.linear(x, self.weight.split(self.parts)[part], bias))


def let_go(part: nn.Module) -> None:
    """Gives back the pages of weights that a net has done with for now: of all of them it needs a part at a time."""
    for module in part.modules():
        if isinstance(module, Dense) and module.is_mapped:
            _unmapped(module.weight)


def lowered(net: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The same net with Dense, convolutions and LSTMs in half precision: their weights, and what they give.

    A net says in `lowers`, a pattern of names, which of its parts bear it; without the word, all do.
    """
    for name, module in net.named_modules():
        own = dtype if re.match(getattr(net, "lowers", ""), name) else torch.float32
        if isinstance(module, Dense):
            module.lower(own)
        elif isinstance(module, _CONVOLUTIONS | nn.LSTM):
            module.to(own).register_forward_pre_hook(partial(_converted, own))
    return net


def _converted(dtype: torch.dtype, _: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return given[0].to(dtype), *given[1:]


_CONVOLUTIONS = nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d

SCORES = 1 << 20
"""Scores of an attention that a CPU holds at once: about as many as fit the second cache."""


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q kᵀ / √d) v: q [b, heads, n, d], k and v [b, heads, m, d] → [b, heads, n, d] in the precision of v."""
    if v.dtype == torch.float32 or v.device.type != "cpu":
        return F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v)
    # torch's fused attention has half the rate of plain products where these are in bf16.
    queries = (q * q.shape[-1] ** -0.5).to(v.dtype).flatten(0, 1)
    keys, values = k.to(v.dtype).flatten(0, 1).transpose(1, 2).contiguous(), v.flatten(0, 1).contiguous()
    rows, columns = q.shape[2], v.shape[2]
    at_once = max(1, SCORES // (rows * columns))
    heard = torch.empty_like(queries)
    for first in range(0, len(queries), at_once):
        heads = slice(first, first + at_once)
        for some, out in zip(_rows(queries[heads], columns), _rows(heard[heads], columns), strict=True):
            torch.bmm(_shares(torch.bmm(some, keys[heads])), values[heads], out=out)
    return heard.view(q.shape)


def _rows(x: Tensor, columns: int) -> tuple[Tensor, ...]:
    return x.split(max(1, SCORES // columns), dim=1)


def _shares(scores: Tensor) -> Tensor:
    """Softmax over the last axis; torch's is several times slower on short rows of bf16 than by way of fp32."""
    if scores.shape[-1] < 256:
        return scores.softmax(-1, dtype=torch.float32).to(scores.dtype)
    return scores.softmax(-1)


def _packs() -> bool:
    """Whether torch and the CPU have the oneDNN operators that we call; they are not part of torch's public face."""
    onednn = torch.ops.mkldnn
    has_them = torch.backends.mkldnn.is_available() and hasattr(onednn, "_linear_pointwise")
    return has_them and onednn._is_mkldnn_bf16_supported()

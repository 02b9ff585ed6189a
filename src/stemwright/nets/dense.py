"""Dense layers that can be lowered to half precision: on a CPU packed for oneDNN, with the activation inside."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PLAIN = {"none": lambda x: x, "gelu": F.gelu, "tanh": torch.tanh}


class Dense(nn.Linear):
    """A linear map with the activation that follows it ("none", "gelu", "tanh"): [..., inputs] → [..., outputs]."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, activation: str = "none") -> None:
        super().__init__(inputs, outputs, bias=bias)
        self.activation = activation
        self.dtype = torch.float32
        self._packed: Tensor | None = None

    def lower(self, dtype: torch.dtype) -> None:
        """Holds the weights in `dtype` from now on; the answer is in `dtype` too."""
        self.dtype = dtype
        if dtype == torch.bfloat16 and self.weight.device.type == "cpu" and _packs():
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach().to(dtype))
            self.weight = nn.Parameter(torch.empty(0, dtype=dtype), requires_grad=False)
            self.bias = self.bias if self.bias is None else nn.Parameter(self.bias.to(dtype), requires_grad=False)
        else:
            self.to(dtype)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  as torch names it
        x = input.to(self.dtype)
        if self._packed is None:
            return _PLAIN[self.activation](F.linear(x, self.weight, self.bias))
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, self.activation, [], "none")


def lowered(net: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Every Dense layer of a net in half precision; everything between them stays as it is."""
    for dense in _dense(net):
        dense.lower(dtype)
    return net


def _dense(net: nn.Module) -> Iterable[Dense]:
    return (module for module in net.modules() if isinstance(module, Dense))


def _packs() -> bool:
    """Whether this build of torch has oneDNN with the operators that we call; they are not part of its public face."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")

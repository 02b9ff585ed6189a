"""What this machine runs nets best with: its device, its precision, and an allocator that keeps its pages."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

from stemwright.errors import NoSuchDevice, UnknownPrecision

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
# Architectures whose error in half precision stays 40 dB under their stems: 41 to 53 dB on random weights, the residual
# stream in fp32. Trained weights were not at hand to measure; the others run in fp32.
HALVES_WELL = {"roformer"}


def device() -> str:
    """The torch device: STEMWRIGHT_DEVICE, else a GPU if there is one; raises NoSuchDevice for an unusable one."""
    import torch

    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    asked = os.environ.get("STEMWRIGHT_DEVICE", "auto").lower()
    if asked == "auto":
        return next((name for name in ("cuda", "mps") if usable[name]), "cpu")
    if not usable.get(asked.partition(":")[0]):
        raise NoSuchDevice(device=asked, usable=", ".join(name for name, is_usable in usable.items() if is_usable))
    return asked


def precision(architecture: str, device: str) -> str:
    """fp32, bf16 or fp16: STEMWRIGHT_PRECISION, else the fastest that keeps 40 dB; raises UnknownPrecision."""
    asked = os.environ.get("STEMWRIGHT_PRECISION", "auto").lower()
    if asked not in PRECISIONS:
        raise UnknownPrecision(precision=asked, choices=", ".join(PRECISIONS))
    if architecture not in HALVES_WELL:
        return "fp32"
    if asked != "auto":
        return asked
    return "bf16" if device.startswith("cuda") or (device == "cpu" and _has_fast_bf16()) else "fp32"


def _has_fast_bf16() -> bool:
    """AMX or AVX-512-BF16: without them bf16 is slower than fp32."""
    try:
        return any(flag in Path("/proc/cpuinfo").read_text() for flag in ("amx_bf16", "avx512_bf16"))
    except OSError:
        return False


@cache
def keep_pages() -> bool:
    """Tells glibc to keep freed memory: else every large activation is faulted in anew, a third of the time of a net.

    Bit-identical answers; the price is that a process keeps its peak. Returns whether it could be done.
    """
    if not sys.platform.startswith("linux") or "MALLOC_TRIM_THRESHOLD_" in os.environ:
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another libc
        return False
    max_mmaps, trim_threshold, top_pad = -4, -1, -2
    return bool(mallopt(max_mmaps, 0) and mallopt(trim_threshold, -1) and mallopt(top_pad, 64 << 20))

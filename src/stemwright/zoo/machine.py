"""What this machine runs nets best with: its device, its precision, and an allocator that keeps its pages."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

from stemwright.engine.threads import cores
from stemwright.errors import NoSuchDevice, UnknownPrecision

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
MOST_ABREAST = 4
GPU_FILES = (("/dev", "nvidia[0-9]*"), ("/dev", "kfd"))


def device() -> str:
    """The torch device: STEMWRIGHT_DEVICE, else a GPU if there is one; raises NoSuchDevice for an unusable one."""
    _wait_briefly()
    asked = asked_device()
    if asked == "auto":
        return next((name for name in ("cuda", "mps") if name in _usable()), "cpu")
    refuse(asked, "STEMWRIGHT_DEVICE")
    return asked


def refuse(asked: str, option: str) -> None:
    """Raises NoSuchDevice for a device that PyTorch cannot use here, with what asked for it."""
    if asked.partition(":")[0] not in _usable():
        raise NoSuchDevice(option=option, device=asked, usable=", ".join(_usable()))


def _usable() -> list[str]:
    import torch

    known = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name, is_usable in known.items() if is_usable]


def _wait_briefly() -> None:
    """Before torch is loaded: its threads shall not spin for milliseconds while another process has their core.

    So do those of libgomp itself where they outnumber the cores. On a larger machine a segment has several, kept hot.
    """
    if cores() <= MOST_ABREAST and not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = "1000"


def precision(asked: str = "auto") -> str:
    """The precision asked for, or by STEMWRIGHT_PRECISION where that is "auto"; raises UnknownPrecision."""
    if asked == "auto":
        asked = _said("STEMWRIGHT_PRECISION")
    if asked not in PRECISIONS:
        raise UnknownPrecision(precision=asked, choices=", ".join(PRECISIONS))
    return asked


def fastest(device: str) -> tuple[str, ...]:
    """Precisions, the fastest first; on a GPU fp16 is as fast as bf16 and eight times finer, but may overflow."""
    if device.startswith("cuda"):
        return ("fp16", "bf16", "fp32")
    return ("bf16", "fp32") if device == "cpu" and _has_fast_bf16() else ("fp32",)


def unused_gpu(device: str) -> str | None:
    """What to tell of a GPU that is asked for, or in this machine, while a model ran on the CPU; None if that was."""
    asked = asked_device()
    if device != "cpu" or asked == "cpu":
        return None
    if asked != "auto":
        return (
            f"STEMWRIGHT_DEVICE asks for {asked}, which was NOT USED: the bundled model and MDX-Nets have but the CPU"
        )
    if not _has_gpu():
        return None
    needs = "that takes a public model and a PyTorch that was built for it"
    return f"a GPU of this machine was NOT USED: {needs} (STEMWRIGHT_DEVICE=cpu ends this line)"


def may_use_gpu() -> bool:
    """Whether nets may run on a GPU: one is asked for, or there is one and nothing is."""
    return _has_gpu() if asked_device() == "auto" else asked_device() != "cpu"


def asked_device() -> str:
    """The device that STEMWRIGHT_DEVICE names, or "auto"."""
    return _said("STEMWRIGHT_DEVICE")


def _said(variable: str) -> str:
    """What a variable says; "auto" where it is not there or empty."""
    return os.environ.get(variable, "").strip().lower() or "auto"


def _has_gpu() -> bool:
    return any(any(Path(folder).glob(name)) for folder, name in GPU_FILES)


def _has_fast_bf16() -> bool:
    """AMX or AVX-512-BF16: without them bf16 is slower than fp32."""
    try:
        return any(flag in Path("/proc/cpuinfo").read_text() for flag in ("amx_bf16", "avx512_bf16"))
    except OSError:
        return False


def abreast(device: str) -> int:
    """Segments to run at once: on a CPU one for every core, but not so many that memory follows the machine's size."""
    return min(cores(), MOST_ABREAST) if device == "cpu" else MOST_ABREAST


def mapped(path: Path) -> list[range]:
    """Where in this process's memory pages of a file lie; none where no system tells."""
    try:
        number, lines = str(path.stat().st_ino), Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    found = [line.split(maxsplit=5) for line in lines]
    return [range(*(int(end, 16) for end in line[0].split("-"))) for line in found if line[4] == number]


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
    # One arena for all threads: others' heaps end at 64 MB, and what is larger would be mapped anew each time.
    max_arenas, max_mmaps, trim_threshold, top_pad = -8, -4, -1, -2
    kept = mallopt(max_mmaps, 0) and mallopt(trim_threshold, -1) and mallopt(top_pad, 64 << 20)
    return bool(kept and mallopt(max_arenas, 1))

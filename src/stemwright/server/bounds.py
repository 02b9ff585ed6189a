"""What one task may use of the machine: the worker watches it from outside, the system enforces it from inside.

The worker's watch says why; the system's limits hold even while the worker stands still. Where there is no /proc or no
`resource` (macOS, Windows), the half that is there does the work.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stemwright.errors import ChildDied, LimitExceeded

BEAT_SECONDS = 1.0
GRACE_SECONDS = 30.0  # that the system gives a job beyond its time: the worker's word comes first, and says more
_RESERVED_BYTES = 16 << 30  # address space that runtimes reserve and never touch


@dataclass(frozen=True)
class Limits:
    """What one task may use; the child is killed beyond. `cpu_seconds` are those of all its threads together."""

    memory_bytes: int
    seconds: float
    cpu_seconds: float = math.inf
    silent_seconds: float = 60.0  # without a sign of life
    header_seconds: float = 20.0  # of a processor, for what comes before a song's sound

    @property
    def environment(self) -> dict[str, str]:
        """How the child hears of them."""
        seconds = self.seconds + GRACE_SECONDS
        told = {"MEMORY": self.memory_bytes, "SECONDS": seconds, "CPU_SECONDS": self.cpu_seconds}
        told["HEADER_SECONDS"] = self.header_seconds
        return {f"STEMWRIGHT_CHILD_{name}": str(value) for name, value in told.items()}


# ---- the worker's end -----------------------------------------------------------------------------------------------


class Watch:
    """The limits of one job, from outside."""

    def __init__(self, limits: Limits, process: subprocess.Popen[str] | None) -> None:
        self._limits = limits
        self._pid = process.pid if process else 0
        self._deadline = time.monotonic() + limits.seconds
        self._heard = math.inf  # when it last gave a sign of life; it has to give a first one to be held to it

    def give(self, seconds: float) -> None:
        """Leave the job so much time and no more."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def hear(self) -> None:
        """The child has said something."""
        self._heard = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the job's time is."""
        return time.monotonic() > self._deadline

    def check(self) -> None:
        """Raises LimitExceeded, and ChildDied for one that stands still: stopped, or stuck where nothing else runs."""
        if self.is_over:
            raise LimitExceeded(how=f"{self._limits.seconds:g} s")
        if _memory_bytes(self._pid) > self._limits.memory_bytes:
            raise LimitExceeded(how=f"{self._limits.memory_bytes >> 20} MiB of memory")
        if time.monotonic() - self._heard > self._limits.silent_seconds:
            raise ChildDied(how=f"no sign of life for {self._limits.silent_seconds:g} s")

    def ended(self, code: int) -> ChildDied:
        """What the exit status of the child means."""
        if code == -getattr(signal, "SIGXCPU", 0):
            return LimitExceeded(how=f"{self._limits.cpu_seconds:g} s of processor time")
        if code == -getattr(signal, "SIGPROF", 0):
            return LimitExceeded(how=f"{self._limits.header_seconds:g} s of processor time before the song's sound")
        if code == -getattr(signal, "SIGALRM", 0):
            return LimitExceeded(how=f"{self._limits.seconds:g} s")
        return ChildDied(how=f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}")


def _memory_bytes(pid: int) -> int:
    """Memory that the process holds; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


# ---- the child's end ------------------------------------------------------------------------------------------------


def limit_memory(environment: Mapping[str, str]) -> None:
    """A second line behind the worker's watch: one allocation that is far too large fails here at once."""
    limit_bytes = int(environment.get("STEMWRIGHT_CHILD_MEMORY", "0"))
    if limit_bytes and sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes + _RESERVED_BYTES, limit_bytes + _RESERVED_BYTES))


@contextlib.contextmanager
def one_job(environment: Mapping[str, str], *, beat: Callable[[], None]) -> Iterator[None]:
    """Gives a job its time, of the clock and of the processors, and tells the worker meanwhile that we live."""
    _limit_cpu(float(environment.get("STEMWRIGHT_CHILD_CPU_SECONDS", "inf")))
    _limit_time(float(environment.get("STEMWRIGHT_CHILD_SECONDS", "inf")))
    done = threading.Event()
    beat()
    beating = threading.Thread(target=_beat_until, args=(done, beat), daemon=True)
    beating.start()
    try:
        yield
    finally:
        done.set()
        beating.join()
        _limit_time(math.inf)


@contextlib.contextmanager
def header(environment: Mapping[str, str]) -> Iterator[None]:
    """Gives a song's header its time: FFmpeg compares each tag with all before it, and 4 MB of them take it minutes."""
    _limit_time(float(environment.get("STEMWRIGHT_CHILD_HEADER_SECONDS", "inf")), "ITIMER_PROF")
    try:
        yield
    finally:
        _limit_time(math.inf, "ITIMER_PROF")


def _beat_until(done: threading.Event, beat: Callable[[], None]) -> None:
    while not done.wait(BEAT_SECONDS):
        beat()


def _limit_cpu(seconds: float) -> None:
    """The system ends us with SIGXCPU after so much more processor time."""
    if math.isinf(seconds) or sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # that signal would write one
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = math.ceil(used.ru_utime + used.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _limit_time(seconds: float, timer: str = "ITIMER_REAL") -> None:
    """The system ends us with SIGALRM after so many seconds; by ITIMER_PROF with SIGPROF, of processor time."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(getattr(signal, timer), 0 if math.isinf(seconds) else seconds)

"""Processes and the ones that started them: who must not outlive whom, and who stands still."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# A child that reads strangers' bytes knows no more of us than its job: no address with a password, nobody's key.
_SECRETS = re.compile(
    r"^(PG|AWS|AZURE|GOOGLE|OTEL|STEMWRIGHT_(DATABASE|BLOBS|UPSTREAM))|(^|_)(KEYS?|SECRET|TOKEN|PASSWORD|CREDENTIALS?)(_|$)"
)


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child that touches strangers' bytes."""
    return {name: value for name, value in environment.items() if not _SECRETS.search(name.upper())}


def die_with_parent(parent_pid: int) -> None:
    """Asks the system for a kill when the parent ends; on Linux only, elsewhere the end of input has to do."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent_pid and os.getppid() != parent_pid:
        os._exit(1)  # it ended before we could ask


def exit_at_end_of_input() -> None:
    """Ends this process as soon as its standard input does, which is when the parent ends, however it ends."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()


def is_stopped(pid: int) -> bool:
    """Whether the process was stopped by a signal or a debugger; it neither runs nor ends until it is told to."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    except (OSError, IndexError):
        return False

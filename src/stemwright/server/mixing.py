"""The mix as it sounds in the player, as a file: a child process reads the stems, so that no codec comes in here.

The parent says what it wants in a line of JSON; the child answers with a line, how many bytes follow, and the bytes.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stemwright.errors import ChildDied
from stemwright.server import logs, parentage

COMMAND = (sys.executable, "-m", "stemwright.server.mixing")
PIECE_BYTES = 1 << 16
CLOSING_SECONDS = 1.0  # for the last of what a child complained of


@dataclass(frozen=True)
class Mixdown:
    """What the child is to make of `faders`, each (path, gain, pan), and call `title`; the stems are `seconds` long."""

    faders: Sequence[tuple[str, float, float]]
    format: str
    seconds: float
    title: str = "mix"
    tempo: float = 1.0
    semitones: float = 0.0


class Mixing:
    """A running mixdown: `size` bytes in all, which `pieces` yields; leaving early ends the child.

    `about`: what its complaints in the log are about, `request_id` and so on. Raises ChildDied.
    """

    def __init__(self, wanted: Mixdown, **about: str) -> None:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self._process = subprocess.Popen(COMMAND, **pipes, env=parentage.without_secrets(os.environ))
        self._complaints = io.TextIOWrapper(self._process.stderr, "utf-8", "replace")  # type: ignore[arg-type]
        self._listener = threading.Thread(target=logs.overhear, args=(self._complaints, lambda: about), daemon=True)
        self._listener.start()
        try:
            self.size = self._begin(wanted)
        except BaseException:
            self.close()
            raise

    def pieces(self) -> Iterator[bytes]:
        """The file."""
        assert self._process.stdout is not None
        while piece := self._process.stdout.read(PIECE_BYTES):
            yield piece

    def close(self) -> None:
        """Ends the child, whether it has finished or not."""
        self._process.kill()
        self._process.wait()
        self._listener.join(CLOSING_SECONDS)
        for end in (self._process.stdin, self._process.stdout, self._complaints):
            if end is not None:
                end.close()

    def _begin(self, wanted: Mixdown) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(wanted)).encode() + b"\n")
        self._process.stdin.flush()
        if not (line := self._process.stdout.readline()):
            raise ChildDied(how=f"exit status {self._process.wait()}")
        return int(line)


def main() -> None:
    """The child: one mixdown to standard output, at a lower priority than what serves people and separates."""
    from pathlib import Path

    from stemwright.audio.mixdown import Fader, Speed, mix_down

    wanted: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    parentage.exit_at_end_of_input()
    os.nice(5)
    out = sys.stdout.buffer

    def say(size: int) -> None:
        out.write(b"%d\n" % size)
        out.flush()

    mix_down(
        [Fader(Path(path), gain, pan) for path, gain, pan in wanted["faders"]],
        out,
        format=wanted["format"],
        speed=Speed(wanted["tempo"], wanted["semitones"]),
        seconds=wanted["seconds"],
        title=wanted["title"],
        on_size=say,
    )
    out.flush()


if __name__ == "__main__":
    main()

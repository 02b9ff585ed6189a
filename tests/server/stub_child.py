"""A separation process that does what its input says instead of separating: the real protocol, no model."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from stemwright.errors import Cancelled, NotAudio
from stemwright.server import separating
from stemwright.server.jobs import Job, Outcome, Part
from stemwright.server.stem_names import LABELS, label

TWELVE = [name for name in LABELS if name != "instrumental"]


def act(job: Job, on_progress: Callable[[float], None], cancelled: Callable[[], bool]) -> Outcome:
    """Follows the source's script: {"seconds", "burn", "die", "once", "refuse", "swell", "deaf", "mutter", "tell"}."""
    script = json.loads(Path(job.source).read_text())
    if "tell" in script:
        Path(script["tell"]).write_text(json.dumps(dict(os.environ)))
    burnt = time.process_time() + script.get("burn", 0)
    while time.process_time() < burnt:
        pass
    if "mutter" in script:
        sys.stderr.write(script["mutter"] + "\n")
        sys.stderr.flush()
    seconds, began = script.get("seconds", 0), time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        if cancelled() and not script.get("deaf"):
            raise Cancelled
        on_progress(passed / seconds)
        time.sleep(0.02)
    mark = Path(script["once"]) if "once" in script else None
    if "die" in script and not (mark and mark.exists()):
        if mark:
            mark.touch()
        os.kill(os.getpid(), getattr(signal, script["die"]))
    if "swell" in script:
        held = [bytearray(1 << 20) for _ in range(script["swell"])]
        time.sleep(5)
        del held
    if "refuse" in script:
        raise NotAudio(path=job.source, reason=script["refuse"])
    return _written(job)


def _written(job: Job) -> Outcome:
    names = {"separate_vocal": ["vocals", "instrumental"], "split_stem": TWELVE}.get(job.kind, ["guitar", "rest"])
    parts = []
    for name in names:
        path = Path(job.folder) / f"{name}.{job.format}"
        path.write_bytes(f"{job.task_id} {name}".encode() * 100)
        part = Part(name, label(name), str(path), 1.5, False, False, -20.0)
        parts.append(replace(part, silent=name == "fx", experimental=name == "synth"))
    beside = [Path(job.folder) / name for name in ("player.peaks", "song.mp3")]
    for path in beside:
        path.write_bytes(b"for the player")
    return Outcome(tuple(parts), job.model, "cpu", 1.5, 0.0, peaks=str(beside[0]), mix=str(beside[1]))


if __name__ == "__main__":
    separating._separate = act
    separating.main()

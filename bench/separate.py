"""How fast a song becomes twelve mp3 stems on this machine, decoding and encoding included, and in how much memory.

    python bench/separate.py [--minutes 4 60] [--format mp3] [--two] [--rate 44100]

The song is the demo song over and over, as an mp3. Each length runs in a process of its own, as a user would run it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np

from stemwright.audio.decode import open_song
from stemwright.audio.encode import open_stem

DEMO = Path(__file__).parents[1] / "demo" / "song.mp3"

CHILD = """
import json, resource, sys, time
from stemwright.separation import separate_to
from stemwright.zoo import machine
machine.keep_pages()
stages = {}
started = time.monotonic()
files = separate_to(sys.argv[1], sys.argv[2], format=sys.argv[3], two=sys.argv[4] == "True",
                    on_progress=lambda p: stages.setdefault(p.stage, time.monotonic() - started))
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"cpu": usage.ru_utime + usage.ru_stime, "rss_mb": usage.ru_maxrss / 1024, "seconds": files.seconds,
                  "encoding_from": stages["encoding"], "gain_db": files.gain_db}))
"""


def tiled(minutes: float, rate: int) -> Iterator[np.ndarray]:
    """The demo song's samples over and over, [2, n] at a time."""
    with open_song(DEMO, rate=rate) as song:
        blocks = list(song.blocks())
    left = round(minutes * 60 * rate)
    for block in cycle(blocks):
        yield block[:, :left]
        left -= block.shape[1]
        if left <= 0:
            return


def measure(minutes: float, *, format: str, two: bool, rate: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as scratch:
        song = Path(scratch) / "song.mp3"
        with open_stem(song, rate=rate, format="mp3-192") as writer:
            for block in tiled(minutes, rate):
                writer.write(block)
        started = time.monotonic()
        command = [sys.executable, "-c", CHILD, str(song), str(Path(scratch) / "out"), format, str(two)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout) | {"wall": time.monotonic() - started}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[4, 60])
    parser.add_argument("--format", default="mp3")
    parser.add_argument("--two", action="store_true")
    parser.add_argument("--rate", type=int, default=44100)
    wanted = vars(parser.parse_args())
    cores = os.cpu_count() or 1
    print(f"{cores} cores; load before: {os.getloadavg()[0]:.1f} (the wall times are honest on a quiet machine only)")
    print("minutes   wall s   × real time    CPU s   × at full use   separating s   peak MB")
    for minutes in wanted.pop("minutes"):
        took = measure(minutes, **wanted)
        seconds, wall, cpu = took["seconds"], took["wall"], took["cpu"]
        print(
            f"{minutes:7g} {wall:8.1f} {seconds / wall:13.1f} {cpu:8.1f} {seconds / cpu * cores:15.1f} "
            f"{took['encoding_from']:14.1f} {took['rss_mb']:9.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

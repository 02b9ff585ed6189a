"""Batch throughput: the same songs as one command each, as one batch, and as a batch of several at once.

    python bench/batch.py [--songs 6] [--seconds 30] [--jobs 2 …]

The songs are pieces of the demo song, as mp3. The last row runs the batch again, with everything done already.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stemwright.audio.decode import open_song
from stemwright.audio.encode import open_stem

DEMO = Path(__file__).parents[1] / "demo" / "song.mp3"
COMMAND = [sys.executable, "-m", "stemwright", "separate"]


def songs(folder: Path, count: int, seconds: float) -> list[Path]:
    """Pieces of the demo song, each beginning somewhere else."""
    paths = [folder / f"{number:02}.mp3" for number in range(count)]
    for number, path in enumerate(paths):
        with open_song(DEMO) as song, open_stem(path, rate=song.rate, format="mp3-192") as writer:
            left = round(seconds * song.rate) + number * 4410
            for block in song.blocks():
                writer.write(block[:, :left])
                left -= block.shape[1]
                if left <= 0:
                    break
    return paths


def took(*arguments: str | Path) -> float:
    started = time.perf_counter()
    subprocess.run([*COMMAND, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--jobs", type=int, nargs="+", default=[2])
    asked = parser.parse_args()
    total = asked.songs * asked.seconds
    print(f"{asked.songs} songs of {asked.seconds:g} s, {os.cpu_count()} cores; load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        found = songs(folder, asked.songs, asked.seconds)
        rows = [("one command a song", sum(took(song, "--out", folder / "single") for song in found))]
        rows += [("one batch", took(*found, "--out", folder / "batch"))]
        rows += [
            (f"one batch, --jobs {n}", took(*found, "--out", folder / f"jobs{n}", "--jobs", str(n))) for n in asked.jobs
        ]
        rows += [("the batch again, all done", took(*found, "--out", folder / "batch"))]
    for name, wall in rows:
        print(f"{name:28} {wall:7.1f} s {total / wall:9.1f} × real time")


if __name__ == "__main__":
    main()

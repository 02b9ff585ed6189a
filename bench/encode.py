"""What writing the stems costs: 12 of a song in every format, on as many threads as there are cores; and reading them.

    python bench/encode.py [--seconds 240] [--formats mp3 flac …] [--song FILE]

The stems are twelve copies of the song at falling levels, or of tones and noise. CPU seconds are those of all threads.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from stemwright.audio.decode import open_song
from stemwright.audio.encode import open_stem
from stemwright.audio.formats import FORMATS
from stemwright.audio.signal import Samples

RATE, STEMS = 44100, 12


def sound(song: Path | None) -> Samples:
    """Half a minute [2, n] of the song, or of something like one."""
    if song is None:
        t = np.arange(30 * RATE) / RATE
        tones = sum(
            np.sin(2 * np.pi * f * t) * np.exp(-((t * f / 99) % 3)) for f in (55.0, 220.0, 330.0, 987.0, 4001.0)
        )
        noise = np.random.default_rng(0).standard_normal((2, len(t)))
        return (0.1 * tones + 0.02 * noise).astype(np.float32)
    with open_song(song, rate=RATE) as opened:
        return np.concatenate([block for block, _ in zip(opened.blocks(), range(40), strict=False)], axis=1)[
            :, : 30 * RATE
        ]


def write(path: Path, loop: Samples, level: float, seconds: int) -> None:
    with open_stem(path, rate=RATE, format=path.suffix) as writer:
        for start in range(0, seconds, 5):
            at = start * RATE % (loop.shape[1] - 5 * RATE)
            writer.write(loop[:, at : at + 5 * RATE] * np.float32(level))


def read(path: Path) -> None:
    with open_song(path) as song:
        for _ in song.blocks():
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=240)
    parser.add_argument("--formats", nargs="+", default=list(FORMATS))
    parser.add_argument("--song", type=Path)
    asked = parser.parse_args()
    loop = sound(asked.song)
    table = Table(
        "format", "write 12, wall s", "CPU s", "read one, CPU s", "MB a stem", title=f"{asked.seconds} s of song"
    )
    for name in asked.formats:
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
            paths = [Path(folder) / f"{stem}.{name}" for stem in range(STEMS)]
            wall, cpu = time.perf_counter(), time.process_time()
            list(pool.map(lambda path: write(path, loop, 0.5 ** int(path.stem), asked.seconds), paths))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            reading = time.process_time()
            read(paths[0])
            reading = time.process_time() - reading
            size = paths[0].stat().st_size / 1e6
            table.add_row(name, f"{wall:.1f}", f"{cpu:.1f}", f"{reading:.2f}", f"{size:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()

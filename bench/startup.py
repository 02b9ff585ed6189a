"""How long people wait before anything happens: the command's help, the imports, the first second of sound."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from stemwright.audio.encode import open_stem

STEMWRIGHT = [sys.executable, "-m", "stemwright"]


def best_seconds(command: list[str], runs: int = 5) -> float:
    """The shortest of several runs: start-up is what we measure, not the neighbours."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        song = Path(scratch) / "song.wav"
        with open_stem(song, rate=44100, format="wav") as writer:
            writer.write(np.random.default_rng(0).uniform(-0.1, 0.1, (2, 44100)).astype(np.float32))
        rows = {
            "python itself": [sys.executable, "-c", ""],
            "stemwright --help": [*STEMWRIGHT, "--help"],
            "stemwright separate --help": [*STEMWRIGHT, "separate", "--help"],
            "import stemwright": [sys.executable, "-c", "import stemwright"],
            "stemwright.load()": [sys.executable, "-c", "import stemwright; stemwright.load()"],
            "separate one second, two wavs": [
                *STEMWRIGHT,
                "separate",
                str(song),
                "--two",
                "--format",
                "wav",
                "--out",
                scratch,
            ],
        }
        for name, command in rows.items():
            print(f"{name:32} {best_seconds(command):6.2f} s", flush=True)


if __name__ == "__main__":
    main()

"""How large a default installation is, and how fast its commands start, in a new virtual environment."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from startup import best_seconds

ROOT = Path(__file__).parents[1]


def size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        venv = Path(scratch) / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        empty = size_mb(venv)
        start = time.perf_counter()
        pip = [str(venv / "bin" / "pip"), "install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(ROOT)]
        subprocess.run(pip, check=True)
        seconds, size = time.perf_counter() - start, size_mb(venv) - empty
        print(f"install: {seconds:.0f} s, {size:.0f} MB (plus {empty:.0f} MB of pip itself)")
        packages = venv / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        largest = sorted(((size_mb(p), p.name) for p in packages.iterdir() if p.is_dir()), reverse=True)[:8]
        print("largest: " + ", ".join(f"{name} {size:.0f}" for size, name in largest))
        print(f"torch installed: {(packages / 'torch').exists()}")
        command = str(venv / "bin" / "stemwright")
        print(f"stemwright --help: {best_seconds([command, '--help']):.2f} s")


if __name__ == "__main__":
    main()

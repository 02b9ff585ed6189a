"""Mutated real files against every decoder: crashes, hangs, wrong errors, and the worst time and memory of a case.

    python bench/fuzz.py [--cases 10000] [--first 0]

Every case is made from its number, so a bad one is repeated with `--first N --cases 1`. Exits with 1 when there is one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import fuzzing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        seeds = fuzzing.make_corpus(Path(folder))
        tally = fuzzing.run(range(asked.first, asked.first + asked.cases), seeds, after=tell)
    print(
        f"\n{tally.cases} cases from {len(seeds)} files in {time.monotonic() - started:.0f} s: {dict(tally.outcomes)}"
    )
    print(f"slowest case {tally.slowest_seconds:.2f} s, peak memory of the process {tally.peak_mb:.0f} MB")
    print("\n".join(tally.bad) or "no crash, no hang, no wrong error, no unbounded memory")
    return bool(tally.bad)


def tell(tally: fuzzing.Tally) -> None:
    if tally.cases % 500 == 0:
        print(f"{tally.cases} {dict(tally.outcomes)}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())

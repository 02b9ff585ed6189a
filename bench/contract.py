"""The API under schemathesis with its own contract, all checks, both dialects: what was asked, answered and found.

    python bench/contract.py [--examples 200] [--seed 1] [--postgresql]

Exits with 1 when an answer is not what the contract promises.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import servers
from tests.contract.explorer import explore
from tests.server.http.house import running


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--examples", type=int, default=200, help="of each operation and phase")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgresql", action="store_true", help="with PostgreSQL and S3, started here")
    asked = parser.parse_args()
    bad = False
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "template").mkdir()
        deployment = stack.enter_context(servers.fleet()) if asked.postgresql else servers.alone(folder / "template")
        for dialect in ("apikley", "sunoapi"):
            started = time.monotonic()
            with deployment.new(folder / dialect) as places, running(**places) as house:
                found = explore(house, dialect=dialect, examples=asked.examples, seed=asked.seed)
            took = time.monotonic() - started
            print(f"{dialect}: {found.statuses.total()} requests, {found.checks.total()} checks in {took:.0f} s")
            print("  answers " + " ".join(f"{status}: {count}" for status, count in sorted(found.statuses.items())))
            print("  checks " + " ".join(f"{name}: {count}" for name, count in sorted(found.checks.items())))
            print(found.complaint or "  nothing to complain of", flush=True)
            bad |= bool(found.complaint)
    return bad


if __name__ == "__main__":
    raise SystemExit(main())

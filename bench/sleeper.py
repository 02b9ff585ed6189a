"""A separation process that sleeps for as long as its argument says: the real protocol and real files, no model."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from stemwright.server import separating
from stemwright.server.jobs import Job, Outcome, Part
from stemwright.server.stem_names import LABELS, label

TWELVE = [name for name in LABELS if name != "instrumental"]


def act(job: Job, _progress: Callable[[float], None], _cancelled: Callable[[], bool]) -> Outcome:
    time.sleep(float(sys.argv[1]))
    parts = []
    for name in ["vocals", "instrumental"] if job.kind == "separate_vocal" else TWELVE:
        path = Path(job.folder) / f"{name}.{job.format}"
        path.write_bytes(b"stem")
        parts.append(Part(name, label(name), str(path), 240.0, silent=False, experimental=False, loudness_dbfs=-20.0))
    return Outcome(tuple(parts), job.model, "cpu", 240.0, 0.0)


if __name__ == "__main__":
    separating._separate = act
    separating.main()

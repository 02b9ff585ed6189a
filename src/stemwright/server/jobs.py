"""What a worker and its separation process say to one another: what is asked for, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """One separation for the child: files in, files out. Paths are text, as they cross a pipe.

    `instrument_model` is preferred to `model` for an instrument that it knows, where it is on this machine.
    """

    task_id: str
    kind: str
    stem_name: str | None
    source: str
    folder: str
    format: str
    model: str
    max_seconds: float
    ids: tuple[str, ...] = ()  # of the blobs to be; without them nothing is made for the player
    request_id: str | None = None  # for the logs
    instrument_model: str | None = None
    precision: str = "auto"


@dataclass(frozen=True)
class Part:
    """One file that the child wrote."""

    name: str
    label: str
    file: str
    duration_seconds: float
    silent: bool
    experimental: bool
    loudness_dbfs: float | None
    model: str | None = None

    def blob(self, stem_id: str) -> str:
        """What its file is called among the blobs."""
        return f"{stem_id}_{self.label}{Path(self.file).suffix}"


@dataclass(frozen=True)
class Outcome:
    """What the child says of a finished separation; `peaks` and `mix` are files for the player."""

    parts: tuple[Part, ...]
    model: str
    device: str
    duration_seconds: float
    gain_db: float
    precision: str = "fp32"
    warnings: tuple[str, ...] = ()
    peaks: str | None = None
    mix: str | None = None

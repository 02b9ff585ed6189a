"""What is known of a separation when it is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stemwright.audio.key import Key
    from stemwright.audio.tempo import Tempo


@dataclass(frozen=True)
class Stem:
    """What was found out about one stem, before the gain: its gated level, its highest sample, and more."""

    name: str
    loudness_dbfs: float
    peak_dbfs: float
    silent: bool
    experimental: bool
    model: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """The facts of a separation: `facts` per stem, and the gain that all stems share so that none of them clips.

    `precision` is the one that the models ran in, whatever was asked for.
    """

    model: str
    device: str
    precision: str
    rate: int
    seconds: float
    gain_db: float
    facts: dict[str, Stem]
    warnings: tuple[str, ...] = ()

    @property
    def silent(self) -> list[str]:
        """Names of the stems in which there is nothing to hear."""
        return [stem.name for stem in self.facts.values() if stem.silent]


@dataclass(frozen=True, kw_only=True)
class SeparatedFiles(Outcome):
    """A song's stems as files, with the gain applied; `length` in samples at `rate`.

    `mix` is the song's own file, if one was asked for: at the stems' gain times `mix_factor`, which is less than 1 only
    where the sum of the stems would clip. Silent stems that were to be skipped are among the `facts`, not the `paths`.
    """

    paths: dict[str, Path]
    length: int
    mix: Path | None = None
    mix_factor: float = 1.0
    extras: dict[str, Path] = field(default_factory=dict[str, Path])
    tempo: Tempo | None = None
    key: Key | None = None

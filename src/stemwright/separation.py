"""THE STORY of one separation: decode → load → run over time → derive → encode."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import log10
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from stemwright.audio.decode import NO_LIMITS, Limits, Song, open_song
from stemwright.audio.encode import Sound, StemWriter, format_named, open_stem
from stemwright.audio.signal import Audio, Samples
from stemwright.audio.tags import NO_TAGS, Tags
from stemwright.engine.files import write_files
from stemwright.engine.levels import Level, common_gain, to_db
from stemwright.engine.progress import Clock, IsCancelled, OnProgress
from stemwright.engine.spool import Spool, spools
from stemwright.errors import BadSamples
from stemwright.zoo import catalog
from stemwright.zoo.choice import Choice, choose
from stemwright.zoo.profiles import Run, running

Source = str | os.PathLike[str] | BinaryIO | Audio | Samples
Listen = Callable[[str, Samples], None]

MIX = "mix"
"""What the song itself is called among the files of its stems."""

# Work for a second of sound on one core, in milliseconds: what the net costs, what every stem adds to it, and encoding
# it, with the spool. Only the proportions matter: they say how much of the bar is separating and how much is encoding.
_SEPARATING, _EACH_STEM = 45.0, 3.0
_ENCODING = {"mp3": 6.0, "wav": 2.5, "flac": 4.0, "opus": 9.0, "m4a": 12.0}

# Threads that measure and store stems: made when first used, and there is nothing in them to close.
_THREADS = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="stems")


@dataclass(frozen=True)
class Stem:
    """What was found out about one stem, before the gain: its gated level, its highest sample, and more."""

    name: str
    loudness_dbfs: float
    peak_dbfs: float
    silent: bool
    experimental: bool


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The facts of a separation: `facts` per stem, and the gain that all stems share so that none of them clips."""

    model: str
    device: str
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
class Separation(Outcome):
    """A song's stems as arrays float32 [2, n] at `rate`; they sum to the song. `gain_db` is applied by `save`."""

    stems: dict[str, Samples]

    def save(self, folder: str | os.PathLike[str], *, format: str = "mp3", bits: int | None = None) -> dict[str, Path]:
        """Writes every stem to `folder`/name.format; raises UnknownFormat, CannotWrite, DiskFull."""
        start = partial(_open, Path(folder), rate=self.rate, format=format, bits=bits)
        blocks = {name: iter([stem]) for name, stem in self.stems.items()}
        return write_files(blocks, start, gain=10 ** (self.gain_db / 20))


@dataclass(frozen=True, kw_only=True)
class SeparatedFiles(Outcome):
    """A song's stems as files, with the gain applied; `length` in samples at `rate`.

    `mix` is the song's own file, if one was asked for: at the stems' gain times `mix_factor`, which is less than 1 only
    where the sum of the stems would clip.
    """

    paths: dict[str, Path]
    length: int
    mix: Path | None = None
    mix_factor: float = 1.0


def separate(  # noqa: PLR0913  all but one are keywords, and each stands for itself
    source: Source,
    *,
    stems: Sequence[str] | None = None,
    two: bool = False,
    rest: str | None = None,
    model: str = catalog.BUNDLED,
    rate: int | None = None,
    profile: str = "consistent",
    limits: Limits = NO_LIMITS,
    on_progress: OnProgress | None = None,
    cancelled: IsCancelled | None = None,
) -> Separation:
    """Separates a song in memory: a path, a binary file object, an `Audio`, or an array [channels, n] with its `rate`.

    `stems` names those wanted (default all), `two` makes vocals and instrumental, `rest` names one more stem with
    everything not wanted. `profile` "upstream" gives a public model's stems as its own project does, sum or no sum.
    `rate` is that of the stems, the song's own by default. `on_progress` gets `Progress` and may
    raise; `cancelled` is asked once a segment and ends the work with Cancelled.
    """
    choice = choose(model, {"stems": stems, "two": two, "rest": rest})
    parts: dict[str, list[Samples]] = {name: [] for name in choice.names}
    source = _song(source, rate)
    rate, run = _profile(profile, choice, source, rate)
    with open_song(source, rate=rate, limits=limits) as song:
        work = _Work(choice, song, Clock(on_progress, cancelled), run=run)
        for block in work.blocks():
            for part, stem in zip(parts.values(), block, strict=True):
                part.append(stem.copy())
        joined = {name: np.concatenate(parts.pop(name), axis=1) for name in choice.names}
        return Separation(stems=joined, **work.outcome())


def separate_to(  # noqa: PLR0913  as above
    source: Source,
    folder: str | os.PathLike[str],
    *,
    format: str = "mp3",
    stems: Sequence[str] | None = None,
    two: bool = False,
    rest: str | None = None,
    model: str = catalog.BUNDLED,
    rate: int | None = None,
    profile: str = "consistent",
    mix: bool = False,
    listen: Listen | None = None,
    limits: Limits = NO_LIMITS,
    on_progress: OnProgress | None = None,
    cancelled: IsCancelled | None = None,
) -> SeparatedFiles:
    """Separates a song into `folder`/stem.format, in the memory of a few segments whatever its length.

    Finished stems wait in nameless files on the same disk until the common gain is known, then all are encoded at
    once. At any error, cancellation or interrupt nothing is left behind. `mix` writes the song itself too; `listen`
    gets every file's blocks by name, before the gain, on several threads. The other arguments are those of `separate`.
    """
    format = format_named(format).name
    choice = choose(model, {"stems": stems, "two": two, "rest": rest})
    source = _song(source, rate)
    rate, run = _profile(profile, choice, source, rate)
    with (
        open_song(source, rate=rate, limits=limits) as song,
        spools(Path(folder), [*choice.names, *([MIX] if mix else [])]) as waiting,
    ):
        tap = waiting.get(MIX)
        work = _Work(choice, song, Clock(on_progress, cancelled), run=run, encoding=_ENCODING[format], tap=tap)
        for block in work.blocks():
            work.each(Spool.write, [waiting[name] for name in choice.names], block)
        start = partial(_open, Path(folder), rate=song.rate, format=format, tags=song.tags)
        paths = write_files(
            {
                name: _heard(name, spool, listen, work.mix_factor if name == MIX else 1)
                for name, spool in waiting.items()
            },
            start,
            gain=work.gain,
            on_written=work.encoded,
        )
        song_file = paths.pop(MIX, None) if mix else None
        return SeparatedFiles(
            paths=paths, length=work.samples, mix=song_file, mix_factor=work.mix_factor, **work.outcome()
        )


class _Work:
    """One song on its way through a separator: measured, counted and reported while it streams."""

    def __init__(
        self, choice: Choice, song: Song, clock: Clock, *, run: Run, encoding: float = 0, tap: Spool | None = None
    ) -> None:
        self._choice, self._song, self._clock, self._run = choice, song, clock, run
        self._tap, self._mix_level = tap, Level(song.rate)
        self._levels = [Level(song.rate) for _ in choice.names]
        separating = _SEPARATING + _EACH_STEM * len(choice.names)
        self._files = len(choice.names) + (tap is not None)
        self._share = separating / (separating + encoding * self._files)
        self.samples = 0

    def blocks(self) -> Iterator[Samples]:
        """Finished blocks [stems asked for, 2, n]."""
        self._report()
        for block in self._run(self._choice.separator, self._song_blocks(), self._song.rate):
            asked_for = self._choice.of(block)
            self.each(Level.add, self._levels, asked_for)
            yield asked_for
            self.samples += block.shape[2]
            self._report()

    def each(self, act: Callable[..., None], things: Iterable[object], block: Samples) -> None:
        """Calls act(thing, stem) for the stems of a block, side by side."""
        list(_THREADS.map(act, things, block))

    def encoded(self, samples: int) -> None:
        """Reports how many samples of all stems are in their files."""
        done = samples / max(1, self.samples * self._files)
        self._clock.at("encoding", self._share + (1 - self._share) * done)

    @property
    def gain(self) -> float:
        """The factor for all stems, known when the song has ended."""
        return common_gain([level.peak for level in self._levels])

    @property
    def mix_factor(self) -> float:
        """What keeps the song itself within full scale beside the stems' gain."""
        return common_gain([self._mix_level.peak * self.gain])

    def outcome(self) -> dict[str, Any]:
        """The fields of an Outcome."""
        facts = zip(self._choice.names, self._levels, strict=True)
        return {
            "model": self._choice.model,
            "device": "cpu",
            "rate": self._song.rate,
            "seconds": self.samples / self._song.rate,
            "gain_db": 20 * log10(self.gain),
            "facts": {name: self._stem(name, level) for name, level in facts},
            "warnings": tuple(self._song.warnings),
        }

    def _song_blocks(self) -> Iterator[Samples]:
        """The song on its way to the separator, kept beside where its own file is wanted too."""
        for block in self._song.blocks():
            if self._tap is not None:
                self._mix_level.add(block)
                self._tap.write(block)
            yield block

    def _stem(self, name: str, level: Level) -> Stem:
        return Stem(
            name=name,
            loudness_dbfs=level.loudness_dbfs,
            peak_dbfs=to_db(level.peak),
            silent=level.is_silent,
            experimental=name in self._choice.experimental,
        )

    def _report(self) -> None:
        expected = self._song.length_hint or self._song.rate * (self._song.seconds_hint or 0)
        fraction = min(1.0, self.samples / expected) if expected else 0.0
        self._clock.at("separating", fraction * self._share)


def _heard(name: str, spool: Spool, listen: Listen | None, factor: float) -> Iterator[Samples]:
    """A spool's blocks times `factor`, each told to the listener first."""
    for block in spool.blocks():
        if listen is not None:
            listen(name, block)
        yield block if factor == 1 else block * np.float32(factor)


def _profile(
    profile: str, choice: Choice, source: str | os.PathLike[str] | BinaryIO | Audio, rate: int | None
) -> tuple[int | None, Run]:
    """The rate of the stems and how to run: upstream's are at the model's rate, and it may measure the song first."""

    def measured() -> Iterator[Samples]:
        with open_song(source, rate=choice.separator.rate) as song:
            yield from song.blocks()

    run = running(profile, choice.model, measured)
    return (rate if profile == "consistent" else choice.separator.rate), run


def _song(source: Source, rate: int | None) -> str | os.PathLike[str] | BinaryIO | Audio:
    """The source as the decoder takes it: a bare array becomes an Audio."""
    if not isinstance(source, np.ndarray):
        return source
    samples = np.atleast_2d(source)
    if rate is None or samples.ndim != 2 or not np.issubdtype(samples.dtype, np.floating) or len(samples) > 32:
        raise BadSamples(shape=source.shape, dtype=source.dtype, rate=rate)
    return Audio(samples.astype(np.float32), rate)


def _open(
    folder: Path, name: str, *, rate: int, format: str, bits: int | None = None, tags: Tags = NO_TAGS
) -> StemWriter:
    label = name.replace("_", " ").title()
    return open_stem(
        folder / f"{name}.{format}", rate=rate, format=Sound.of(format, bits=bits), tags=tags.for_stem(label)
    )

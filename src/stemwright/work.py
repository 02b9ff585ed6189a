"""One song on its way through a separator: measured, counted and reported while it streams."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cache
from math import isfinite, log10
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from stemwright.audio.decode import Song
from stemwright.audio.formats import Sound
from stemwright.audio.signal import Samples
from stemwright.engine.levels import Level, common_gain, to_db
from stemwright.engine.progress import Clock
from stemwright.engine.spool import Spool
from stemwright.engine.threads import after_fork, cores
from stemwright.engine.whole import Passing
from stemwright.errors import SpoiledAnswer
from stemwright.outcome import Stem
from stemwright.zoo import machine
from stemwright.zoo.choice import SONG, Choice
from stemwright.zoo.profiles import Run

# Work for a second of sound on one core, in milliseconds: what the net costs, what every stem adds to it, and encoding
# it, with the spool. Only the proportions matter: they say how much of the bar is separating and how much is encoding.
_SEPARATING, _EACH_STEM = 45.0, 3.0
_ENCODING = {"mp3": 6.0, "wav": 2.5, "flac": 4.0, "opus": 9.0, "m4a": 12.0}


@cache
def _threads() -> ThreadPoolExecutor:
    """Threads that measure and store stems: there is nothing in them to close."""
    return ThreadPoolExecutor(cores(), thread_name_prefix="stems")


after_fork(_threads.cache_clear)


class Work:
    """A song, its separator and what is measured of both; `tap` keeps the song, `folder` what waits meanwhile."""

    def __init__(
        self,
        choice: Choice,
        song: Song,
        clock: Clock,
        *,
        run: Run,
        sound: Sound | None = None,
        tap: Spool | None = None,
        folder: Path | None = None,
    ) -> None:
        self._passing, self._passed = Passing(folder or Path(gettempdir()), self._pass), 0.0
        self._choice, self._song, self._clock, self._run = choice, song, clock, run
        self._tap, self._mix_level = tap, Level(song.rate)
        self._levels = {name: Level(song.rate) for name in choice.every}
        separating = _SEPARATING + _EACH_STEM * len(choice.every)
        self._files = len(choice.names) + (tap is not None)
        encoding = _ENCODING[sound.format] * self._files if sound else 0.0
        self._share = separating / (separating + encoding)
        self._is_float = sound is not None and sound.is_float
        self.samples = 0
        self._began = self._separated = time.monotonic()

    def blocks(self) -> Generator[Samples]:
        """Finished blocks [outputs asked for, 2, n]."""
        self._report()
        made = self._run(self._choice.separator, self._song_blocks(), self._song.rate, self._passing)
        with closing(made) as blocks:
            for block in blocks:
                asked_for = self._choice.of(block)
                self.each(Level.add, self._levels.values(), asked_for)
                self._refuse_nonsense()
                yield asked_for
                self.samples += block.shape[2]
                self._report()
        self._separated = time.monotonic()

    def _refuse_nonsense(self) -> None:
        """Raises SpoiledAnswer where a stem holds what is no number: in a file it would be silence."""
        for name, level in self._levels.items():
            if not isfinite(level.peak):
                at = self.samples / self._song.rate
                raise SpoiledAnswer(model=self._choice.makers.get(name, self._choice.model), stem=name, seconds=at)

    def each(self, act: Callable[..., None], things: Iterable[object], block: Samples) -> None:
        """Calls act(thing, stem) for the stems of a block, side by side."""
        list(_threads().map(act, things, block))

    def encoded(self, samples: int) -> None:
        """Reports how many samples of all stems are in their files."""
        done = samples / max(1, self.samples * self._files)
        self._clock.at("encoding", self._share + (1 - self._share) * done)

    def packed(self, fraction: float) -> None:
        """Reports how much of the files of the whole song is made, of the last percents."""
        self._clock.at("packing", 0.97 + 0.03 * fraction)

    @property
    def gain(self) -> float:
        """The factor for all stems, known when the song has ended; nothing clips in files of floats."""
        return 1.0 if self._is_float else common_gain([self._levels[name].peak for name in self._choice.names])

    @property
    def peaks(self) -> dict[str, float]:
        """The highest sample of all that is made, and of the song under SONG, before any gain."""
        return {name: level.peak for name, level in self._levels.items()} | {SONG: self._mix_level.peak}

    @property
    def mix_factor(self) -> float:
        """What keeps the song itself within full scale beside the stems' gain."""
        return 1.0 if self._is_float else common_gain([self._mix_level.peak * self.gain])

    @property
    def seconds_spent(self) -> dict[str, float]:
        """On separating, and on writing up to now."""
        return {"separating": self._separated - self._began, "writing": time.monotonic() - self._separated}

    @property
    def silent(self) -> frozenset[str]:
        """Names of the stems with nothing to hear in them."""
        return frozenset(name for name in self._choice.names if self._levels[name].is_silent)

    def outcome(self, sound: Sound | None = None) -> dict[str, Any]:
        """The fields of an Outcome."""
        rate, notes = self._song.rate, list(self._song.warnings)
        if sound is not None and self._choice.names and (held := sound.kind.rate_for(rate)) != rate:
            notes.append(f"{sound.format} holds no {rate} Hz: the files have {held} Hz")
        device, precision = self._choice.setup
        if unused := machine.unused_gpu(device):
            notes.append(unused)
        return {
            "model": self._choice.model,
            "device": device,
            "precision": precision,
            "rate": rate,
            "seconds": self.samples / rate,
            "gain_db": 20 * log10(self.gain),
            "facts": {name: self._stem(name, self._levels[name]) for name in self._choice.names},
            "warnings": tuple(notes),
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
            model=self._choice.makers[name],
        )

    def _pass(self, fraction: float) -> None:
        """Models of a recipe are so far before the first stem is there."""
        self._passed = fraction
        self._report()

    def _report(self) -> None:
        expected = self._song.length_hint or self._song.rate * (self._song.seconds_hint or 0)
        fraction = min(1.0, self.samples / expected) if expected else 0.0
        self._clock.at("separating", max(fraction, self._passed) * self._share)

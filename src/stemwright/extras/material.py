"""What the files of a whole song are made of: its finished stems, which can be read again, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np

from stemwright.audio.formats import Sound
from stemwright.audio.key import Harmony, Key, key
from stemwright.audio.parts import drop, open_part, publish, settle, sweep, write_error
from stemwright.audio.signal import Samples
from stemwright.audio.tags import Tags
from stemwright.audio.tempo import Rhythm, Tempo, tempo
from stemwright.engine.levels import common_gain
from stemwright.engine.spool import Spool
from stemwright.outcome import SeparatedFiles
from stemwright.outputs import Finished, Names, write_stems
from stemwright.work import Work
from stemwright.zoo.choice import QUARTER

_USUAL_BPM = 120.0


@dataclass(frozen=True)
class Material:
    """A song that is separated and written: `waiting` has all that was made, before any gain, and the song as SONG."""

    files: SeparatedFiles
    waiting: Mapping[str, Spool]
    done: Finished
    sound: Sound
    work: Work
    names: Names

    @property
    def title(self) -> str:
        """What the song is called if its tags do not tell."""
        return self.names.title or self.names.song or ""

    @property
    def gain(self) -> float:
        return self.done.gain

    @property
    def tags(self) -> Tags:
        return self.done.tags

    @property
    def stems(self) -> list[str]:
        """The stems that have files of their own."""
        return list(self.files.paths)

    @property
    def quarters(self) -> dict[str, Spool]:
        """Drums, bass, other and vocals, as far as the model has them."""
        return {name.removeprefix(QUARTER): spool for name, spool in self.waiting.items() if name.startswith(QUARTER)}

    def unclipped(self, *names: str) -> float:
        """The gain with which none of these clips."""
        return common_gain([self.work.peaks[name] for name in names])

    @cached_property
    def tempo(self) -> Tempo | None:
        """By the onsets of the drums, and of everything else that is not sung."""
        parts = [["drums"], ["bass", "other"]]
        found = [[self.quarters[name] for name in part if name in self.quarters] for part in parts]
        return tempo(*(self._rhythm(*spools) for spools in found if spools))

    @property
    def bpm(self) -> float:
        """What a project is set to: what the song's tags tell, or else what is heard, or else what DAWs begin with."""
        return self.tags.bpm or (self.tempo.bpm if self.tempo else _USUAL_BPM)

    @cached_property
    def key(self) -> Key | None:
        """By the harmony and the bass; of a model that tells neither apart, by everything but drums and vocals."""
        heard: dict[str, Harmony] = {}
        for name in ("other", "bass"):
            if name in self.quarters:
                heard[name] = Harmony(self.files.rate)
                for block in self.quarters[name].blocks():
                    heard[name].add(block)
        first, *second = heard.values() or [Harmony(self.files.rate)]
        return key(first, *second)

    @property
    def lossless_format(self) -> str:
        """That of the files of `lossless`, whatever a template calls them."""
        return "flac" if self.sound.kind.is_lossy else self.sound.format

    def lossless(self, media: Mapping[str, Path]) -> dict[str, Path]:
        """A file of every stem that any program reads to the sample: its own, or else one that is made in `media`."""
        if not self.sound.kind.is_lossy:
            return self.files.paths
        blocks = {name: self.waiting[name].blocks() for name in self.stems}
        return write_stems(replace(self.done, blocks=blocks), media, Sound.of("flac"), title=self.title)

    def _rhythm(self, *spools: Spool) -> Rhythm:
        heard = Rhythm(self.files.rate)
        for blocks in zip(*(spool.blocks() for spool in spools), strict=True):
            heard.add(np.asarray(np.sum(blocks, axis=0), np.float32))
        return heard


def times(blocks: Iterator[Samples], gain: float) -> Iterator[Samples]:
    """The blocks at a gain."""
    factor = np.float32(gain)
    return (block * factor for block in blocks)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its name when it is complete, or is gone; raises CannotWrite, DiskFull."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_part(path) as file:
            try:
                yield file
                settle(file)
                publish(file, path)
            except BaseException:
                drop(file, path)
                raise
    except BaseException as error:
        sweep(path)  # an interrupt can come where the file is there, and nobody has it yet
        if isinstance(error, OSError):
            raise write_error(path, error) from error
        raise

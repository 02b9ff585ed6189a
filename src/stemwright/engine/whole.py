"""Separators of whole songs: trees of models that go over the song one after another, so that only one is in memory.

A model's segment, hop and rate are its own business: between two models lies a song's worth of samples on disk, at the
song's rate. Whatever the tree, its stems sum to the song.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from stemwright.audio.blocks import PIECE, even, gathered
from stemwright.audio.signal import Samples
from stemwright.engine.consistency import sum_to_mix
from stemwright.engine.separator import Groups
from stemwright.engine.spool import Spool

Blocks = Callable[[], Iterator[Samples]]
"""Reads a song from its start, as often as it is called: blocks [2, n]."""
Stems = dict[str, Spool]


class Node(Protocol):
    """A song in a spool → its stems in spools, which sum to it."""

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems."""
        ...

    @property
    def passes(self) -> int:
        """How often a model goes over the song."""
        ...

    def __call__(self, song: Spool, room: Room, /) -> Stems:
        """The song's stems; it raises what reading, separating and writing do, and whatever `room` does to stop it."""
        ...


@dataclass(frozen=True)
class Passing:
    """Where what waits between two models lies, and who hears how far they are, from 0 to 1; it may raise."""

    folder: Path
    on_passed: Callable[[float], None]


class Room:
    """Where the spools of one song lie, and who hears how much of the work is done."""

    def __init__(self, passing: Passing, rate: int, *, passes: int) -> None:
        self.rate = rate
        self._folder, self._on_passed, self._passes = passing.folder, passing.on_passed, passes
        self._spools: list[Spool] = []
        self._length = self._passed = 0

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *_: object) -> None:
        for spool in self._spools:
            spool.close()

    def song(self, blocks: Iterable[Samples]) -> Spool:
        """The song that everything is made from, bit by bit: its stems have to sum to it."""
        song = self.spool(exact=True)
        for block in gathered(blocks, PIECE):
            song.write(block)
            self._length += block.shape[1]
            self._on_passed(0.0)
        return song

    def spool(self, *, exact: bool = False) -> Spool:
        """A new one, closed with the room at the latest."""
        self._spools.append(Spool(self._folder, exact=exact))
        return self._spools[-1]

    def kept(self, names: Sequence[str], blocks: Iterable[Samples]) -> Stems:
        """Blocks [names, 2, n] in a spool for each name."""
        stems = {name: self.spool() for name in names}
        for block in blocks:
            for spool, stem in zip(stems.values(), block, strict=True):
                spool.write(stem)
        return stems

    def passing(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """The blocks of one pass [..., n]; each is told."""
        for block in blocks:
            yield block
            self._passed += block.shape[-1]
            self._on_passed(min(1.0, self._passed / max(1, self._length * self._passes)))

    def free(self, *spools: Spool) -> None:
        """Gives their disk back before the room is left."""
        for spool in spools:
            spool.close()
            with suppress(ValueError):
                self._spools.remove(spool)


class Tree:
    """A node whose stems are added up to `groups` and made to sum to the song, at the song's own rate."""

    rate = 44100  # of its models, if one is asked for

    def __init__(self, node: Node, groups: Groups) -> None:
        self._node = node
        self._members = [[node.stems.index(name) for name in members] for members in groups.values()]
        self.stems = tuple(groups)

    def over(self, blocks: Iterable[Samples], rate: int, passing: Passing) -> Generator[Samples]:
        """Blocks of a song [2, n] at `rate` → blocks of its stems [stems, 2, n].

        None comes before the last model has been over the song.
        """
        with Room(passing, rate, passes=self._node.passes) as room:
            song = room.song(blocks)
            found = self._node(song, room)
            own = [found[name] for name in self._node.stems]
            for mix, stems in zip(even(song.blocks()), together(own), strict=True):
                sums = np.stack([stems[members].sum(axis=0) for members in self._members])
                yield sum_to_mix(sums, mix)


class Model:
    """One model over the whole song; `start` opens it, when its turn has come, and it is let go when it is done."""

    passes = 1

    def __init__(self, stems: Sequence[str], start: Callable[[Blocks, int], Generator[Samples]]) -> None:
        self.stems, self._start = tuple(stems), start

    def __call__(self, song: Spool, room: Room) -> Stems:
        with closing(self._start(song.blocks, room.rate)) as blocks:  # else whoever keeps the error keeps its threads
            return room.kept(self.stems, room.passing(blocks))


class Cascade:
    """A node some of whose stems are taken apart further by others."""

    def __init__(self, first: Node, then: Mapping[str, Node]) -> None:
        self._first, self._then = first, then
        self.stems = tuple(part for name in first.stems for part in (then[name].stems if name in then else (name,)))
        self.passes = first.passes + sum(node.passes for node in then.values())
        if len(set(self.stems)) < len(self.stems):
            msg = f"two parts of a tree give a stem of the same name: {', '.join(self.stems)}"
            raise ValueError(msg)

    def __call__(self, song: Spool, room: Room) -> Stems:
        found, parts = self._first(song, room), {}
        for name, node in self._then.items():
            whole = found.pop(name)
            parts |= node(whole, room)
            room.free(whole)
        return found | parts


class Delayed:
    """A node that hears the song `seconds` late; its stems come on time."""

    def __init__(self, node: Node, seconds: float) -> None:
        self._node, self._seconds = node, seconds
        self.stems, self.passes = node.stems, node.passes

    def __call__(self, song: Spool, room: Room) -> Stems:
        delay = round(self._seconds * room.rate)
        late = room.spool(exact=True)
        late.write(np.zeros((2, delay), np.float32))
        for block in song.blocks():
            late.write(block)
        found = self._node(late, room)
        on_time = room.kept(self.stems, _without(together([found[name] for name in self.stems]), delay))
        room.free(late, *found.values())
        return on_time


def together(spools: Iterable[Spool], samples: int = PIECE) -> Iterator[Samples]:
    """Spools of equal length, read side by side: blocks [spools, 2, n]."""
    for pieces in zip(*(even(spool.blocks(), samples) for spool in spools), strict=True):
        yield np.stack(pieces)


def _without(blocks: Iterable[Samples], samples: int) -> Iterator[Samples]:
    """What comes after the first `samples`."""
    for block in blocks:
        yield block[..., samples:]
        samples -= min(samples, block.shape[-1])

"""What is made of a song's finished stems: their files, named by a template, at one gain, all of them or none."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np

from stemwright.audio.encode import StemWriter, open_stem
from stemwright.audio.formats import Sound
from stemwright.audio.naming import STEM_ONLY, Claims, Template, safe, values
from stemwright.audio.signal import Samples
from stemwright.audio.tags import NO_TAGS, Tags, readable
from stemwright.engine.files import write_files
from stemwright.engine.spool import Spool
from stemwright.errors import BadOption

Silent = Literal["write", "skip"]
_ENDING_BYTES = 32


@dataclass(frozen=True)
class Finished:
    """A song's stems before the gain, which is a factor: what every file is made of."""

    blocks: Mapping[str, Iterable[Samples]]
    gain: float
    rate: int
    tags: Tags = NO_TAGS
    silent: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Names:
    """How a song's files are called: a template, what it calls the song, and which paths belong to other songs."""

    template: Template = field(default_factory=lambda: Template(STEM_ONLY))
    song: str | None = None
    owner: str = ""
    claims: Claims = field(default_factory=Claims)
    title: str = ""
    """For songs that have none in their tags."""
    folder: str = ""
    """Where the song was, below the folder that was given."""

    @classmethod
    def of(cls, names: str | Names, source: object) -> Names:
        """Names for one song; its own file is never written over."""
        if isinstance(names, Names):
            return names
        path = _path(source)
        made = cls(Template(names), None if path is None else readable(path.stem))
        if path is not None:
            made.claims.take("the song itself", [path])
        return made

    def paths(self, folder: Path, stems: Iterable[str], tags: Tags, **known: Any) -> dict[str, Path]:
        """The path of each stem in `folder`, no two of them the same; `known` are model, rate and ext."""
        about = values(tags, song=self.song or "song", folder=self.folder, **known)
        stems = list(stems)
        wanted = [
            folder / self.template.path(about | {"stem": name, "index": number})
            for number, name in enumerate(stems, start=1)
        ]
        return dict(zip(stems, self.claims.claim(self.owner, wanted), strict=True))

    def beside(self, folder: Path, endings: Mapping[str, str], tags: Tags, **known: Any) -> dict[str, Path]:
        """Paths for files of the whole song: its name with each ending, in the folder where its stems are."""
        about = values(tags, song=self.song or "song", folder=self.folder, **known)
        place = (folder / self.template.path(about | {"stem": "mix", "index": 1})).parent
        name = safe(self.song or tags.title or "song", room=_ENDING_BYTES)
        wanted = [place / f"{name}{ending}" for ending in endings.values()]
        return dict(zip(endings, self.claims.claim(self.owner, wanted), strict=True))


def write_stems(
    finished: Finished,
    paths: Mapping[str, Path],
    sound: Sound,
    *,
    title: str = "",
    silent: Silent = "write",
    on_written: Callable[[int], None] | None = None,
) -> dict[str, Path]:
    """Writes the stems to their `paths` and returns those that were written; raises CannotWrite, DiskFull.

    The tags are the song's; a title gets the stem's name, and a silent one's says that it is.
    """

    def start(name: str) -> StemWriter:
        mark = f"{label(name)}, silent" if name in finished.silent else label(name)
        tags = finished.tags.for_stem(mark, fallback_title=title)
        return open_stem(paths[name], rate=finished.rate, format=sound, tags=tags, seed=zlib.crc32(name.encode()))

    wanted = {
        name: blocks for name, blocks in finished.blocks.items() if silent == "write" or name not in finished.silent
    }
    return write_files(wanted, start, gain=finished.gain, on_written=on_written)


def sane_silent(silent: str) -> Silent:
    """What to do with stems in which there is nothing to hear; raises BadOption for a word that says neither."""
    if silent not in get_args(Silent):
        raise BadOption(option="silent", text=silent, reason=f"choose {' or '.join(get_args(Silent))}")
    return cast(Silent, silent)


def label(name: str) -> str:
    """A stem's name as people read it.

    >>> label("backing_vocals")
    'Backing Vocals'
    """
    return name.replace("_", " ").title() if name.islower() else name


def told(
    waiting: Mapping[str, Spool], listen: Callable[[str, Samples], None] | None, factors: Mapping[str, float]
) -> dict[str, Iterator[Samples]]:
    """The blocks of the spools, times a factor where there is one, each told to the listener first."""

    def blocks(name: str) -> Iterator[Samples]:
        factor = np.float32(factors.get(name, 1.0))
        for block in waiting[name].blocks():
            if listen is not None:
                listen(name, block)
            yield block if factor == 1 else block * factor

    return {name: blocks(name) for name in waiting}


def _path(source: object) -> Path | None:
    if isinstance(source, str | os.PathLike):
        return Path(os.fspath(source))
    name = getattr(source, "name", None)
    return Path(name) if isinstance(name, str) else None

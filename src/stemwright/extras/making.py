"""Which files of the whole song somebody wants, where they go, and their making: all of them, or none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from stemwright.audio.naming import safe
from stemwright.audio.picture import Picture
from stemwright.audio.tags import Tags
from stemwright.errors import NoPicture, NotFourParts, PartOfFilm, UnknownExtra, UnknownStem
from stemwright.extras.material import Material
from stemwright.outcome import SeparatedFiles
from stemwright.outputs import Names
from stemwright.zoo.choice import QUARTER, Choice
from stemwright.zoo.wanted import each

KINDS = ("stem.mp4", "dawproject", "rpp", "karaoke", "report", "zip")
"""In the order in which they are made: the zip has all the others."""
_ENDINGS = {
    "stem.mp4": ".stem.mp4",
    "dawproject": ".dawproject",
    "rpp": ".rpp",
    "report": " (report).html",
    "zip": ".zip",
}
MEDIA = "audio of "
_MEASURED = {"dawproject", "rpp", "report"}
_PROJECTS, _OF_THE_SONG = {"dawproject", "rpp"}, {"stem.mp4", "karaoke"}
_OF_STEMS = _PROJECTS | {"zip"}


def extras(kinds: str | Iterable[str], *, preview: float | None = None) -> tuple[str, ...]:
    """The kinds in the order of their making.

    Raises UnknownExtra, BadOption, and PartOfFilm for a karaoke video of a preview.
    """
    asked = [str(kind).strip().lower().lstrip(".") for kind in each("also", kinds)]
    for kind in asked:
        if kind not in KINDS:
            raise UnknownExtra(extra=kind, choices=", ".join(KINDS))
    if preview is not None and "karaoke" in asked:
        raise PartOfFilm
    return tuple(kind for kind in KINDS if kind in asked)


def need_no_stems(kinds: Iterable[str]) -> bool:
    """Whether one of them says something without a single stem, and none is a project, which would be empty."""
    return bool(set(kinds) - _OF_STEMS) and not _PROJECTS & set(kinds)


@dataclass(frozen=True)
class Extras:
    """What is wanted of one song; `film` is the video that it came from."""

    kinds: tuple[str, ...] = ()
    film: Path | None = None
    film_ending: str = ""
    paths: dict[str, Path] = field(default_factory=dict[str, Path])

    @classmethod
    def of(cls, kinds: tuple[str, ...], source: object) -> Extras:
        """Those of `extras`; raises NoPicture for a karaoke video, and what opening the film raises."""
        if "karaoke" not in kinds:
            return cls(kinds)
        if not isinstance(source, str | os.PathLike):
            raise NoPicture(path="what is no file")
        film = Path(os.fspath(source))
        with Picture(film) as picture:
            return cls(kinds, film, f" (karaoke).{picture.ending}")

    @property
    def need_quarters(self) -> bool:
        return bool(set(self.kinds) - {"zip"})

    @property
    def need_mix(self) -> bool:
        return bool(_OF_THE_SONG & set(self.kinds))

    @property
    def need_lossless(self) -> bool:
        return bool(_PROJECTS & set(self.kinds))

    def checked(self, choice: Choice) -> Choice:
        """The same; raises NotFourParts, or UnknownStem for voices, where it cannot give those."""
        have = {name.removeprefix(QUARTER) for name in choice.beside}
        if "stem.mp4" in self.kinds and len(have) < 4:
            raise NotFourParts(model=choice.model)
        if "karaoke" in self.kinds and not {"vocals"} < have:
            raise UnknownStem(stem="vocals", model=choice.model, choices=", ".join(choice.names))
        return choice

    def place(self, names: Names, folder: Path, tags: Tags, stems: Iterable[str], **known: str | int) -> list[Path]:
        """Takes a path for each kind, named after the song, beside its stems; and for their lossless files."""
        endings = _ENDINGS | {"karaoke": self.film_ending}
        wanted = {kind: endings[kind] for kind in self.kinds}
        if self.need_lossless:
            wanted |= {MEDIA + stem: f" (audio)/{safe(stem)}.flac" for stem in stems}
        self.paths.update(names.beside(folder, wanted, tags, **known) if wanted else {})
        return list(self.paths.values())

    def make(self, song: Material, made: dict[str, Path]) -> SeparatedFiles:
        """Makes all of them, each in `made` as soon as it is there; raises CannotWrite, DiskFull."""
        song.work.packed(0.0)
        media = {name.removeprefix(MEDIA): path for name, path in self.paths.items() if name.startswith(MEDIA)}
        sounds = song.lossless(media) if self.need_lossless else {}
        made |= {MEDIA + name: path for name, path in sounds.items() if path in media.values()}
        for number, kind in enumerate(self.kinds):
            song.work.packed(number / len(self.kinds))
            if kind == "zip":
                _drop(made, MEDIA, unless="rpp" in self.kinds)
            self._make(kind, song, sounds, list(made.values()))
            made[f"extra {kind}"] = self.paths[kind]
        _drop(made, MEDIA, unless="rpp" in self.kinds)
        measured = set(self.kinds) & _MEASURED
        return replace(
            song.files,
            extras={kind: self.paths[kind] for kind in self.kinds},
            tempo=song.tempo if measured else None,
            key=song.key if measured else None,
        )

    def _make(self, kind: str, song: Material, sounds: Mapping[str, Path], made: Iterable[Path]) -> None:
        from stemwright.extras import archive, dawproject, karaoke, native, page, reaper

        path = self.paths[kind]
        if kind == "stem.mp4":
            native.write_native(song, path)
        elif kind == "dawproject":
            dawproject.write_dawproject(song, path, sounds)
        elif kind == "rpp":
            reaper.write_reaper(song, path, sounds)
        elif kind == "karaoke" and self.film:
            karaoke.write_karaoke(song, path, self.film)
        elif kind == "report":
            page.write_report(song, path)
        elif kind == "zip":
            archive.write_archive(path, made)


def _drop(made: dict[str, Path], prefix: str, *, unless: bool) -> None:
    """Takes away the files that were only packed into another."""
    gone = {} if unless else {name: path for name, path in made.items() if name.startswith(prefix)}
    for name, path in gone.items():
        path.unlink()
        del made[name]
    for folder in {path.parent for path in gone.values()}:
        with suppress(OSError):
            folder.rmdir()

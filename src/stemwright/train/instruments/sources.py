"""Where every sound comes from: Debian package, path, licence, author, and the splits that may use it.

Sounds under permissive terms (MIT, CC0, public domain, CC-BY, Apache, GPL with an exception for music made of them)
train the shipped model; sounds under plain GPL or share-alike terms are kept for the test split, which no weight ever
sees.
"""

from dataclasses import dataclass
from pathlib import Path

from stemwright.errors import SoundSourceMissing

TRAIN, TEST = ("train", "val"), ("test",)


@dataclass(frozen=True)
class Source:
    """A bank of sounds on disk; `kind` says how to read it."""

    name: str
    package: str
    path: str
    licence: str
    splits: tuple[str, ...]
    kind: str

    def file(self) -> Path:
        """The path on this machine; SoundSourceMissing, naming the Debian package, when it is not installed."""
        path = Path(self.path)
        if not path.exists():
            raise SoundSourceMissing(name=self.name, path=self.path, package=self.package)
        return path


_KITS, _SF = "/usr/share/hydrogen/data/drumkits", "/usr/share/sounds"
_HYDROGEN, _UFO = "hydrogen-drumkits", "/usr/share/games/ufoai/base/0music.pk3"

SOURCES = (
    Source("FluidR3 GM", "fluid-soundfont-gm", f"{_SF}/sf2/FluidR3_GM.sf2", "MIT", TRAIN, "soundfont"),
    Source("MuseScore General", "musescore-general-soundfont", f"{_SF}/sf3/MuseScore_General.sf3",
           "MIT, parts public domain and CC0", TRAIN, "soundfont"),
    Source("FluidR3 Mono", "fluidr3mono-gm-soundfont", f"{_SF}/sf3/FluidR3Mono_GM.sf3", "MIT", TRAIN, "soundfont"),
    Source("GeneralUser GS", "minuet-data", "/usr/share/minuet/soundfonts/GeneralUser-v1.47.sf2",
           "GeneralUser GS 2.0, free for all music and software", TRAIN, "soundfont"),
    Source("FluidR3 GS", "fluid-soundfont-gs", f"{_SF}/sf2/FluidR3_GS.sf2", "MIT", TRAIN, "noises"),
    Source("Sonivox", "libsonivox3", "/usr/share/doc/libsonivox3", "Apache-2.0", TRAIN, "wavetable"),
    Source("TimGM6mb", "timgm6mb-soundfont", f"{_SF}/sf2/TimGM6mb.sf2", "GPL-2", TEST, "soundfont"),
    Source("Freepats", "freepats", "/usr/share/midi/freepats", "GPL-2+ with exception for music", TRAIN, "patches"),
    Source("Audiophob", _HYDROGEN, f"{_KITS}/Audiophob", "CC0-1.0", TRAIN, "kit"),
    Source("Colombo Acoustic", _HYDROGEN, f"{_KITS}/ColomboAcousticDrumkit", "GPL-2+ with exception for music", TRAIN,
           "kit"),
    Source("Rumpf Z01", _HYDROGEN, f"{_KITS}/rumpf_kit_z01_h2", "CC-BY-3.0", TRAIN, "kit"),
    Source("Electric Empire", _HYDROGEN, f"{_KITS}/ElectricEmpireKit", "GPL-2+, author grants all rights", TRAIN,
        "kit"),
    Source("Hard Electro", _HYDROGEN, f"{_KITS}/HardElectro1", "GPL-2+, author grants all rights", TRAIN, "kit"),
    Source("VariBreaks", _HYDROGEN, f"{_KITS}/VariBreaks", "GPL-2+, author grants all rights", TRAIN, "kit"),
    Source("Forzee Stereo", _HYDROGEN, f"{_KITS}/ForzeeStereo", "GPL-2", TEST, "kit"),
    Source("The Black Pearl", _HYDROGEN, f"{_KITS}/The Black Pearl 1.0", "GPL-2", TEST, "kit"),
    Source("Millo Drums", _HYDROGEN, f"{_KITS}/Millo-Drums_v.1", "GPL-2", TEST, "kit"),
    Source("Millo MultiLayered 2", _HYDROGEN, f"{_KITS}/Millo_MultiLayered2", "GPL-2", TEST, "kit"),
    Source("BJA Pacific", _HYDROGEN, f"{_KITS}/BJA_Pacific", "CC-BY-SA-3.0-US", TEST, "kit"),
    Source("Gimme A Hand", _HYDROGEN, f"{_KITS}/Gimme A Hand 1.0", "GPL-2", TEST, "percussion kit"),
    Source("circAfrique", _HYDROGEN, f"{_KITS}/circAfrique v4", "CC-BY-SA-3.0", TEST, "percussion kit"),
    Source("STK drums", "stk", "/usr/share/stk/rawwaves", "MIT", TRAIN, "raw kit"),
    Source("belofilms strums", "hydrogen-drumkits-effects", f"{_KITS}/belofilms_GuitarStrums", "CC-BY-3.0", TRAIN,
           "strums"),
    *(Source(f"Music of Naev by {who}", "naev-data", "/usr/share/naev/dat/snd/music", "CC-BY-3.0", TRAIN, "recordings")
      for who in ("Nikola Whallon", "Zeropage")),
    Source("Music of UFO: Alien Invasion by M. Marino, D. Reeves, azrael1322 and K. Macklin", "ufoai-music", _UFO,
           "CC-BY-3.0", TRAIN, "recordings"),
    Source("Music of UFO: Alien Invasion by Golgotha", "ufoai-music", _UFO, "public domain", TRAIN, "recordings"),
    Source("Sonic Pi samples", "sonic-pi-samples", "/usr/share/sonic-pi/samples", "CC0-1.0", TRAIN, "one shots"),
)  # fmt: skip


def refuse_missing(split: str, *, recorded: bool = False) -> None:
    """Raises SoundSourceMissing, naming all banks that songs of a split may want and that are not installed, or all
    recordings that are put beside them.
    """
    wanted = [source for source in SOURCES if split in source.splits and (source.kind == "recordings") == recorded]
    absent = [source for source in wanted if not Path(source.path).exists()]
    if absent:
        names, paths = ", ".join(source.name for source in absent), ", ".join(source.path for source in absent)
        packages = " ".join(dict.fromkeys(source.package for source in absent))
        raise SoundSourceMissing(name=names, path=paths, package=packages)


def usable(split: str, kind: str) -> tuple[Source, ...]:
    """The sources of a kind that a split may use, in the order of the table."""
    return tuple(source for source in SOURCES if split in source.splits and source.kind == kind)


def by_name(name: str) -> Source:
    """The source of a name; KeyError when there is none."""
    return {source.name: source for source in SOURCES}[name]


OWN_ENGINES = {"name": "Stemwright's own engines", "licence": "MIT"}


def facts(names: set[str]) -> list[dict[str, str]]:
    """Name and licence of the sources a song used, as its song.json keeps them."""
    return [OWN_ENGINES] + [{"name": s.name, "licence": s.licence} for s in SOURCES if s.name in names]

"""What kinds of songs there are: tempo, feel, who plays and how, as a table."""

from dataclasses import dataclass, field

from stemwright.errors import UnknownGenre

STEMS = (
    "vocals", "backing_vocals", "drums", "bass", "guitar", "keyboard",
    "strings", "brass", "woodwinds", "percussion", "synth", "fx",
)  # fmt: skip

# How often a family plays when its genre says nothing else. The rare families are asked for more often
# than real music does: a net that hears woodwinds in a fifth of its songs never learns them.
USUAL_CAST = {
    "vocals": 0.85, "backing_vocals": 0.62, "drums": 0.9, "bass": 0.9, "guitar": 0.65, "keyboard": 0.62,
    "strings": 0.45, "brass": 0.42, "woodwinds": 0.44, "percussion": 0.52, "synth": 0.52, "fx": 0.45,
}  # fmt: skip


@dataclass(frozen=True)
class Genre:
    """One row of the table; `cast` overrides how often a family plays."""

    name: str
    weight: float
    bpm: tuple[float, float]
    drums: tuple[str, ...]
    bass: tuple[str, ...]
    swing: tuple[float, ...] = (0.0,)
    cast: dict[str, float] = field(default_factory=dict)
    loops: tuple[str, ...] = ("major", "minor")
    extensions: tuple[float, float, float] = (0.75, 0.2, 0.05)
    tightness: float = 1.0
    loudness_dbfs: tuple[float, float] = (-16.0, -10.0)
    electronic: float = 0.2


GENRES = (
    Genre("rock", 1.5, (120, 22), ("rock", "rock", "punk", "half", "toms"), ("eighths", "root", "sync", "riff"),
          cast={"guitar": 1.0, "drums": 1.0, "bass": 1.0, "synth": 0.3, "percussion": 0.35}, electronic=0.03),
    Genre("metal", 0.6, (140, 28), ("metal", "blast", "half", "rock"), ("eighths", "riff", "unison"),
          cast={"guitar": 1.0, "drums": 1.0, "bass": 1.0, "percussion": 0.15, "woodwinds": 0.2, "brass": 0.25},
          loops=("minor", "phrygian", "harmonic minor"), loudness_dbfs=(-13.0, -8.0), electronic=0.02),
    Genre("pop", 2.0, (112, 16), ("four", "rock", "pop", "half"), ("root", "eighths", "sync", "octaves", "long"),
          cast={"keyboard": 0.8, "synth": 0.65, "backing_vocals": 0.75}, loudness_dbfs=(-14.0, -8.5), electronic=0.45),
    Genre("ballad", 0.9, (74, 9), ("half", "pop", "brushes"), ("long", "root", "walk"),
          cast={"keyboard": 0.95, "strings": 0.75, "vocals": 0.98, "drums": 0.7}, extensions=(0.55, 0.35, 0.1)),
    Genre("hip hop", 1.0, (88, 9), ("boom bap", "trap", "half"), ("sub", "long", "sync"), swing=(0.0, 0.2, 0.35),
          cast={"vocals": 0.97, "drums": 1.0, "guitar": 0.4, "keyboard": 0.7, "synth": 0.6, "fx": 0.6},
          loops=("minor", "dorian"), extensions=(0.4, 0.4, 0.2), electronic=0.65),
    Genre("trap", 0.5, (142, 10), ("trap",), ("sub", "sub", "long"), loops=("minor", "phrygian", "harmonic minor"),
          cast={"vocals": 0.97, "drums": 1.0, "synth": 0.85, "guitar": 0.4, "fx": 0.65}, electronic=0.95,
          loudness_dbfs=(-13.0, -8.0)),
    Genre("house", 1.0, (124, 5), ("four", "house"), ("offbeat", "sync", "octaves"), tightness=0.2,
          cast={"synth": 1.0, "drums": 1.0, "fx": 0.75, "keyboard": 0.7, "guitar": 0.25, "percussion": 0.65},
          extensions=(0.45, 0.4, 0.15), loudness_dbfs=(-13.0, -8.0), electronic=0.95),
    Genre("trance", 0.5, (137, 6), ("four",), ("offbeat", "eighths", "gallop"), loops=("minor",), tightness=0.1,
          cast={"synth": 1.0, "drums": 1.0, "fx": 0.85, "guitar": 0.15, "strings": 0.4}, electronic=1.0,
          loudness_dbfs=(-13.0, -8.0)),
    Genre("drum and bass", 0.5, (172, 5), ("break",), ("reese", "sync", "sub"), loops=("minor", "dorian"),
          cast={"synth": 0.9, "drums": 1.0, "bass": 1.0, "fx": 0.7, "guitar": 0.2}, electronic=0.8, tightness=0.3,
          loudness_dbfs=(-13.0, -8.0)),
    Genre("funk", 0.8, (106, 9), ("funk",), ("slap", "sync", "octaves"), swing=(0.0, 0.1, 0.2),
          cast={"guitar": 0.9, "brass": 0.8, "keyboard": 0.85, "bass": 1.0, "drums": 1.0, "percussion": 0.7},
          loops=("dorian", "mixolydian", "minor"), extensions=(0.2, 0.55, 0.25), electronic=0.08),
    Genre("soul", 0.8, (92, 14), ("pop", "funk", "half"), ("sync", "walk", "root"), swing=(0.0, 0.15, 0.3),
          cast={"brass": 0.75, "keyboard": 0.95, "strings": 0.6, "backing_vocals": 0.85, "woodwinds": 0.5},
          extensions=(0.2, 0.55, 0.25)),
    Genre("jazz", 0.9, (134, 38), ("swing", "brushes", "bossa"), ("walk", "walk", "root"), swing=(0.5, 0.6, 0.66),
          cast={"keyboard": 0.95, "brass": 0.75, "woodwinds": 0.75, "synth": 0.08, "bass": 0.97, "fx": 0.12,
                "vocals": 0.65}, loops=("jazz major", "jazz minor"), extensions=(0.05, 0.6, 0.35),
          loudness_dbfs=(-20.0, -13.0), electronic=0.0),
    Genre("latin", 0.8, (108, 18), ("bossa", "reggaeton", "latin"), ("tumbao", "root", "sync"),
          cast={"percussion": 1.0, "brass": 0.65, "guitar": 0.8, "keyboard": 0.75, "woodwinds": 0.45},
          loops=("minor", "major", "harmonic minor", "jazz minor"), extensions=(0.35, 0.45, 0.2)),
    Genre("reggae", 0.5, (78, 8), ("one drop", "steppers"), ("dub", "dub", "sync"), swing=(0.0, 0.2),
          cast={"guitar": 0.95, "keyboard": 0.9, "percussion": 0.7, "bass": 1.0, "drums": 1.0, "brass": 0.55},
          loops=("minor", "major", "mixolydian")),
    Genre("folk", 0.9, (106, 22), ("brushes", "train", "pop"), ("root", "two beat", "walk"),
          cast={"guitar": 1.0, "drums": 0.45, "synth": 0.08, "woodwinds": 0.6, "strings": 0.6, "percussion": 0.65,
                "bass": 0.75, "fx": 0.15, "brass": 0.2}, loops=("major", "dorian", "mixolydian", "minor"),
          loudness_dbfs=(-20.0, -13.0), electronic=0.0),
    Genre("country", 0.6, (118, 22), ("train", "rock", "pop"), ("two beat", "root", "walk"), swing=(0.0, 0.0, 0.4),
          cast={"guitar": 1.0, "strings": 0.6, "synth": 0.1, "fx": 0.15}, loops=("major", "mixolydian"),
          electronic=0.0),
    Genre("orchestral", 0.9, (98, 28), ("cinematic", "march"), ("long", "root"), tightness=1.6,
          cast={"strings": 1.0, "brass": 0.85, "woodwinds": 0.85, "drums": 0.35, "guitar": 0.12, "bass": 0.5,
                "vocals": 0.4, "percussion": 0.7, "synth": 0.2, "backing_vocals": 0.6, "keyboard": 0.5},
          loops=("minor", "major", "harmonic minor", "lydian"), loudness_dbfs=(-22.0, -14.0), electronic=0.0),
    Genre("synthwave", 0.6, (104, 12), ("four", "rock"), ("eighths", "gallop", "octaves"), loops=("minor", "dorian"),
          cast={"synth": 1.0, "drums": 1.0, "bass": 1.0, "fx": 0.6, "guitar": 0.45}, electronic=1.0, tightness=0.3),
    Genre("ambient", 0.4, (82, 16), ("cinematic", "half", "brushes"), ("long", "sub"),
          cast={"synth": 0.95, "drums": 0.4, "fx": 0.85, "strings": 0.6, "percussion": 0.4, "bass": 0.6,
                "vocals": 0.5, "keyboard": 0.7}, extensions=(0.25, 0.5, 0.25), loops=("lydian", "major", "minor"),
          loudness_dbfs=(-22.0, -14.0), electronic=0.6),
    Genre("disco", 0.5, (117, 6), ("disco", "four"), ("octaves", "sync"),
          cast={"strings": 0.85, "guitar": 0.85, "brass": 0.65, "keyboard": 0.8, "drums": 1.0, "percussion": 0.7},
          extensions=(0.35, 0.45, 0.2), electronic=0.25),
)  # fmt: skip


def by_name(name: str) -> Genre:
    """The genre of a name; raises UnknownGenre."""
    known = {genre.name: genre for genre in GENRES}
    if name not in known:
        raise UnknownGenre(genre=name, choices=", ".join(known))
    return known[name]

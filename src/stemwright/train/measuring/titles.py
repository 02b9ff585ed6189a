"""What a file of a stem is called, and which of the model's stems it is the sum of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stemwright.errors import BadOption, UnknownReference
from stemwright.nets.bandsplit import STEMS

Sum = tuple[str, ...]
"""The model's stems that a true stem is the sum of."""

OTHER, ACCOMPANIMENT = "other", "accompaniment"
"""`other` is what no other file of the song claims, `accompaniment` all but the voices."""

CHOICES = (*STEMS, OTHER, ACCOMPANIMENT)
_KIN = {"backing_vocals": "vocals", "percussion": "drums"}  # who has one, has the other too where nobody else claims it
_SAID = {
    "vocals": "vocal vox voice singer", "backing_vocals": "bv bgv bvox choir harmony harmonie",
    "drums": "drum kit kick snare hat hihat tom cymbal overhead ride crash", "bass": "sub",
    "guitar": "gtr banjo ukulele mandolin", "keyboard": "piano key organ rhodes wurlitzer clavinet",
    "strings": "string violin viola cello", "brass": "horn trumpet trombone tuba",
    "woodwinds": "woodwind sax saxophone flute clarinet oboe bassoon", "synth": "synthesizer pad arp",
    "percussion": "perc conga bongo shaker tambourine cowbell", "fx": "effect sfx riser",
    ACCOMPANIMENT: "instrumental karaoke", OTHER: "rest melody music",
}  # fmt: skip
WORDS = {word: name for name in CHOICES for word in (name, *_SAID.get(name, "").split())}
# Two words that mean another thing together than each by itself; and words that only lean on another one.
_PAIRS = {
    ("bass", "guitar"): "bass", ("synth", "bass"): "bass", ("bass", "synth"): "bass", ("bass", "drum"): "drums",
    ("steel", "drum"): "percussion", ("steel", "drums"): "percussion", ("backing", "track"): ACCOMPANIMENT,
    ("no", "vocals"): ACCOMPANIMENT, ("minus", "one"): ACCOMPANIMENT, ("sound", "effects"): "fx",
}  # fmt: skip
_LEANING = {"lead": "vocals", "backing": "backing_vocals"}


@dataclass(frozen=True)
class Titled:
    """What a title says: `name` is the same for all titles that say so, `stems` its sum in this song."""

    name: str
    stems: Sum


def told(titles: Sequence[str], mapping: Mapping[str, str] | None = None) -> dict[str, Titled]:
    """What each file of a song holds; a part that nobody claims goes to `other`, else to its nearest kin.

    Files that hold the same, or overlap, get one name: together they are what a model gives as one. A file that says
    `accompaniment` beside files of its parts is the sum of those, and left out. Raises UnknownReference, BadOption.

    >>> told(["Lead Vocals", "BassDrums2"])["BassDrums2"]
    Titled(name='drums+bass', stems=('drums', 'bass', 'percussion'))
    """
    said = {title: _said(title, mapping or {}) for title in titles}
    if any(not {ACCOMPANIMENT, "vocals", "backing_vocals"} & set(names) for names in said.values()):
        said = {title: names for title, names in said.items() if names != (ACCOMPANIMENT,)}
    groups = _overlapping(said)
    claimed = {stem for names in groups.values() for stem in names if stem in STEMS}
    return {title: Titled("+".join(names), _sum(names, claimed)) for title, names in groups.items()}


def of_model(stems: Sequence[str]) -> dict[str, Sum]:
    """What each stem of a model holds; nothing for one whose name does not tell."""
    known = [stem for stem in stems if _meant(_words(stem))]
    said = told(known)
    return {stem: said[stem].stems if stem in said else () for stem in stems}


def parsed(entry: str) -> tuple[str, str]:
    """A title and what it holds, from "Take 3=drums+bass"; raises BadOption."""
    title, equals, names = entry.rpartition("=")
    if not (equals and title and all(name.strip().lower() in WORDS for name in names.split("+"))):
        reason = f"write it like 'Take 3=drums+bass', with any of {', '.join(CHOICES)}"
        raise BadOption(option="--stem", text=entry, reason=reason)
    return re.sub(r"\.(wav|flac|mp3|m4a|aac|ogg|opus|aiff?)$", "", title, flags=re.IGNORECASE), names


def _said(title: str, mapping: Mapping[str, str]) -> Sum:
    """The names of CHOICES that a title says, in their order."""
    wanted = mapping.get(title)
    found = _meant(_words(title)) if wanted is None else {WORDS.get(w.strip().lower(), "") for w in wanted.split("+")}
    if not found or "" in found:
        raise UnknownReference(title=title, choices=", ".join(CHOICES))
    return tuple(name for name in CHOICES if name in found)


def _words(title: str) -> list[str]:
    """By capitals and by whatever is not a letter: "BassDrums30", "backing_vocals 2"; "BGVs" is one word."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", title)]
    return words if _meant(words) else ["".join(words)]


def _meant(words: Sequence[str]) -> set[str]:
    found, place = set(), 0
    while place < len(words):
        pair = _PAIRS.get((words[place], words[place + 1] if place + 1 < len(words) else ""))
        name = pair or WORDS.get(words[place]) or WORDS.get(words[place].removesuffix("s"))
        found |= {name} if name else set()
        place += 2 if pair else 1
    leaning = {_LEANING[word] for word in words if word in _LEANING}
    return leaning if leaning and found <= {"vocals"} else found


def _overlapping(said: Mapping[str, Sum]) -> dict[str, Sum]:
    """Titles whose names meet, each with the names of all of them."""
    groups: list[set[str]] = []
    for names in said.values():
        apart = [group for group in groups if not group & set(names)]
        met = set(names).union(*(group for group in groups if group & set(names)))
        groups = [*apart, met]
    whole = {title: next(group for group in groups if group & set(names)) for title, names in said.items()}
    return {title: tuple(name for name in CHOICES if name in group) for title, group in whole.items()}


def _sum(names: Sum, claimed: set[str]) -> Sum:
    found = [stem for stem in names if stem in STEMS]
    if ACCOMPANIMENT in names:
        found += [stem for stem in STEMS if "vocals" not in stem]
    if OTHER in names:
        found += [stem for stem in STEMS if stem not in claimed and _KIN.get(stem) not in claimed]
    found += [kin for kin, own in _KIN.items() if own in found and kin not in claimed]
    return tuple(dict.fromkeys(found))

"""What somebody wants of a song: single stems, sums of several, the song without some, mixes with gains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from math import inf
from numbers import Real
from typing import Any, TypedDict, cast

from stemwright.errors import BadMix, BadOption, MisspeltStem, NothingChosen, NothingLeft, SameNameTwice, UnknownStem

VOICES = ("vocals", "backing_vocals")
OTHERS = "*"
"""In a mix: every stem that it does not name."""

Gains = dict[str, float]
"""A linear factor for each of a model's own stems that is heard in an output."""

QUARTERS = {
    "drums": {"drums", "percussion", "kick", "snare", "toms", "hihat", "hh", "cymbals", "ride", "crash"},
    "bass": {"bass"},
    "vocals": {"vocals", "backing_vocals", "vocal", "lead-vocal", "back-vocal", "lead", "male", "female"},
}
"""Which stems make drums, bass and vocals where four parts are wanted; "other" is everything else."""


class Wanted(TypedDict, total=False):
    """What may be asked for; every field can be left out, or be None.

    `stems` are the single ones (default all; an empty list is none), `two` offers vocals and instrumental instead of
    the model's own. `without` takes stems away and adds the sum of all others, the karaoke track, as "no_vocals".
    `groups` put the sum of several in their place. `mixes` have gains in dB by stem or group; "*" stands for all that
    a mix does not name. `rest` names one more output: the sum of what is in no single stem and no group.
    """

    stems: Sequence[str] | None
    without: Sequence[str]
    two: bool
    rest: str | None
    groups: Mapping[str, Sequence[str]]
    mixes: Mapping[str, Mapping[str, float]]


def each(option: str, names: str | Iterable[str]) -> list[str]:
    """The names that an option has, or the one: its letters are none. Raises BadOption for what is neither."""
    if isinstance(names, str):
        return [names]
    try:
        return list(names)
    except TypeError:
        raise BadOption(option=option, text=names, reason="it is neither a name nor a list of names") from None


def _table(option: str, table: Any) -> Mapping[str, Any]:
    if not isinstance(table, Mapping):
        raise BadOption(option=option, text=table, reason="it is no mapping by names")
    return cast(Mapping[str, Any], table)


def listed(wanted: Wanted) -> Wanted:
    """The same with lists of names, also where there was only one, or what can be gone through only once.

    Raises BadOption for what holds no names, or no gains.
    """
    told = cast(Wanted, {name: value for name, value in wanted.items() if value is not None})
    if (stems := told.get("stems")) is not None:
        told["stems"] = each("stems", stems)
    if "without" in told:
        told["without"] = each("without", told["without"])
    if "groups" in told:
        told["groups"] = {name: each("groups", members) for name, members in _table("groups", told["groups"]).items()}
    if "mixes" in told:
        told["mixes"] = {name: _table("mixes", gains) for name, gains in _table("mixes", told["mixes"]).items()}
    return told


def refuse_strangers(given: Iterable[str], known: Iterable[str]) -> None:
    """Raises TypeError, as Python does, for an option that there is not: misspelled, it would mean nothing."""
    if strange := sorted(set(given) - set(known)):
        raise TypeError(f"there is no option {strange[0]!r}; there are {', '.join(known)}")


def outputs(own: Sequence[str], model: str, wanted: Wanted, *, may_be_none: bool = False) -> dict[str, Gains]:
    """The outputs by name, in the order: single stems as the model has them, groups, rest, without, mixes.

    Raises UnknownStem, SameNameTwice, BadMix, BadOption, NothingLeft, and NothingChosen unless there `may_be_none`;
    TypeError for what is no field of `Wanted`.

    >>> outputs(["vocals", "drums", "bass"], "three", {"groups": {"rhythm": ["drums", "bass"]}})
    {'vocals': {'vocals': 1.0}, 'rhythm': {'drums': 1.0, 'bass': 1.0}}
    """
    refuse_strangers(wanted, Wanted.__annotations__)
    wanted = listed(wanted)
    offered = _offered(own, model, two=wanted.get("two", False))
    model += " in two stems" if wanted.get("two") else ""
    groups = {name: _sum(offered, model, members) for name, members in wanted.get("groups", {}).items()}
    known = offered | groups
    without, mixes = wanted.get("without", ()), wanted.get("mixes", {})
    singles = _singles(offered, model, wanted)
    made = [*singles.items(), *groups.items()]
    if (rest := wanted.get("rest")) is not None:
        heard = {name for gains in [*singles.values(), *groups.values()] for name in gains}
        if not (left := {name: 1.0 for name in own if name not in heard}):
            raise NothingLeft(name=rest)
        made.append((rest, left))
    if without:
        gone = _sum(known, model, without)
        made += [("no_" + "_".join(without), {name: 1.0 for name in own if name not in gone})]
    made += [(name, _mix(known, model, name, gains)) for name, gains in mixes.items()]
    if may_be_none and not made:
        return {}
    return _checked([(name, gains) for name, gains in made if gains or name in mixes])


def quarters(own: Iterable[str]) -> dict[str, Gains]:
    """The four parts that DJ programs know, in their order, as far as a model has them; everything is in one of them.

    >>> list(quarters(["vocals", "drums", "percussion", "bass", "guitar"]))
    ['drums', 'bass', 'other', 'vocals']
    """
    found: dict[str, Gains] = {name: {} for name in (*QUARTERS, "other")}
    for stem in own:
        part = next((name for name, members in QUARTERS.items() if stem in members), "other")
        found[part][stem] = 1.0
    return {name: found[name] for name in ("drums", "bass", "other", "vocals") if found[name]}


def _offered(own: Sequence[str], model: str, *, two: bool) -> dict[str, Gains]:
    if not two:
        return {name: {name: 1.0} for name in own}
    if not set(own) & set(VOICES):
        raise UnknownStem(stem="vocals", model=model, choices=", ".join(own))
    return {
        "vocals": {name: 1.0 for name in own if name in VOICES},
        "instrumental": {name: 1.0 for name in own if name not in VOICES},
    }


def _singles(offered: dict[str, Gains], model: str, wanted: Wanted) -> dict[str, Gains]:
    chosen, without = wanted.get("stems"), wanted.get("without", ())
    grouped = {member for members in wanted.get("groups", {}).values() for member in members}
    _sum(offered, model, chosen or ())  # for its complaint
    return {
        name: gains
        for name, gains in offered.items()
        if name not in without and (name not in grouped if chosen is None else name in chosen)
    }


def _sum(known: dict[str, Gains], model: str, members: Iterable[str]) -> Gains:
    """All that is in at least one of the members."""
    for member in members:
        if member not in known:
            raise _unknown(member, model, list(known))
    return {name: 1.0 for member in members for name in known[member]}


def _unknown(stem: str, model: str, known: Sequence[str]) -> UnknownStem:
    """The error for a stem that there is not, with the name that was probably meant."""
    plain = {name.casefold(): name for name in known}
    near = get_close_matches(str(stem).casefold().replace(" ", "_").replace("-", "_"), plain, 1)
    told = {"stem": stem, "model": model, "choices": ", ".join(known)}
    return MisspeltStem(near=plain[near[0]], **told) if near else UnknownStem(**told)


def _mix(known: dict[str, Gains], model: str, title: str, gains_db: Mapping[str, float]) -> Gains:
    named = _sum(known, model, [name for name in gains_db if name != OTHERS])
    mix = dict.fromkeys(_own(known), _factor(title, gains_db[OTHERS])) if OTHERS in gains_db else {}
    mix = {name: factor for name, factor in mix.items() if name not in named}
    for part, gain_db in gains_db.items():
        for name in known[part] if part != OTHERS else ():
            mix[name] = mix.get(name, 0.0) + _factor(title, gain_db)
    return {name: factor for name, factor in mix.items() if factor}


def _own(known: dict[str, Gains]) -> Iterable[str]:
    return (name for gains in known.values() for name in gains)


def _factor(title: str, gain_db: float) -> float:
    if not isinstance(gain_db, Real) or not -inf <= gain_db <= 40:  # false for NaN too
        raise BadMix(mix=title, reason=f"{gain_db!r} dB is not a gain from -inf to 40")
    return 10 ** (gain_db / 20)


def _checked(made: list[tuple[str, Gains]]) -> dict[str, Gains]:
    chosen = dict(made)
    if not chosen:
        raise NothingChosen
    for name, gains in made:
        if not (isinstance(name, str) and name.strip()):
            raise BadOption(option="the output", text=name, reason="it is no name for a file")
        if [other for other, _ in made].count(name) > 1:
            raise SameNameTwice(name=name)
        if not gains:
            raise BadMix(mix=name, reason="there is nothing to hear in it")
    return chosen

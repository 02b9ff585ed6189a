"""All that can be asked for of one song's files, as typed values or as the text of a command line or manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from stemwright.audio.decode import sane_rate
from stemwright.audio.excerpt import refuse_endless
from stemwright.audio.formats import FLOAT_BITS, Sound, Written
from stemwright.audio.naming import Template
from stemwright.errors import BadOption, StemwrightError
from stemwright.extras.making import extras, need_no_stems
from stemwright.outputs import Silent, sane_silent
from stemwright.zoo import catalog, loading, machine, profiles
from stemwright.zoo.wanted import Gains, Wanted, listed, outputs, refuse_strangers


class Wish(Wanted, Written, total=False):
    """What to hear of a song and how it is written: arguments of `separate_to`."""

    model: str
    profile: str
    precision: str
    rate: int | None
    preview: float | None
    names: str
    silent: Silent
    also: Sequence[str]


def checked(wish: Wish) -> Wish:
    """The same wish, which can be read again and again; raises what is wrong with it, without opening a model."""
    refuse_strangers(wish, Wish.__annotations__)
    wish = cast(Wish, {**wish, **listed(_wanted(wish))})
    if "also" in wish:
        wish["also"] = extras(wish["also"], preview=wish.get("preview"))
    made(wish)
    sound(wish)
    sane_silent(wish.get("silent", "write"))
    profiles.refuse(wish.get("profile", "consistent"), wish.get("model", catalog.BUNDLED))
    machine.precision(wish.get("precision", "auto"))
    if (rate := wish.get("rate")) is not None:
        wish["rate"] = sane_rate(rate)
    if (seconds := wish.get("preview")) is not None:
        refuse_endless(seconds)
    if "names" in wish:
        Template(wish["names"])
    return wish


def made(wish: Wish) -> dict[str, Gains]:
    """The outputs that the wish means, by its model's own stems."""
    model = wish.get("model", catalog.BUNDLED)
    own, _ = loading.offered(model)
    return outputs(own, model, _wanted(wish), may_be_none=need_no_stems(wish.get("also", ())))


def _wanted(wish: Wish) -> Wanted:
    return cast(Wanted, {name: value for name, value in wish.items() if name in Wanted.__annotations__})


def sound(wish: Wish) -> Sound:
    """How its files are written."""
    return Sound.of(**cast(Written, {name: value for name, value in wish.items() if name in Written.__annotations__}))


def from_texts(options: Mapping[str, Any]) -> Wish:
    """A wish from options as people write them; raises BadOption. Empty ones are left out.

    >>> from_texts({"mix": ["practice=vocals:-6,*"], "rate": "keep", "bits": "32f"})
    {'mixes': {'practice': {'vocals': -6.0, '*': 0.0}}, 'rate': None, 'bits': 32}
    """
    wish: dict[str, Any] = {}
    for option, value in options.items():
        if option not in _READERS:
            raise BadOption(
                option=option, text=value, reason=f"there is no such option; there are {', '.join(_READERS)}"
            )
        if value is None or value in ("", []):
            continue
        name, read = _READERS[option]
        try:
            wish[name] = read(value)
        except StemwrightError:
            raise
        except (ValueError, TypeError, AttributeError) as error:
            text = "; ".join(map(str, value)) if isinstance(value, list) else value
            raise BadOption(option=option, text=text, reason=str(error)) from None
    return cast(Wish, wish)


def _names(value: str | Sequence[str]) -> list[str] | None:
    names = [name.strip() for part in _each(value) for name in part.split(",") if name.strip()]
    return None if names == ["all"] else [] if names == ["none"] else names


def _without(value: str | Sequence[str]) -> list[str]:
    names = _names(value)
    if names is None:
        raise ValueError("it would leave nothing")
    return names


def _each(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _kinds(value: str | Sequence[str]) -> list[str]:
    return list(extras(name for part in _each(value) for name in part.replace("+", ",").split(",") if name.strip()))


def _titled(value: str | Sequence[str]) -> dict[str, str]:
    """`NAME=…` texts by their names; those in one text are separated by semicolons."""
    found: dict[str, str] = {}
    for text in (one for part in _each(value) for one in part.split(";") if one.strip()):
        name, sign, rest = text.partition("=")
        if not sign or not name.strip() or not rest.strip():
            raise ValueError(f"{text.strip()!r} is not NAME=…")
        if name.strip() in found:
            raise ValueError(f"{name.strip()!r} is there twice")
        found[name.strip()] = rest
    return found


def _groups(value: str | Sequence[str]) -> dict[str, list[str]]:
    return {name: [part.strip() for part in rest.replace(",", "+").split("+")] for name, rest in _titled(value).items()}


def _mixes(value: str | Sequence[str]) -> dict[str, dict[str, float]]:
    return {name: dict(_gain(part) for part in rest.split(",")) for name, rest in _titled(value).items()}


def _gain(part: str) -> tuple[str, float]:
    stem, _, gain = part.strip().partition(":")
    try:
        return stem.strip(), float(gain.strip().lower().removesuffix("db") or 0)
    except ValueError:
        raise ValueError(f"{gain.strip()!r} is no number of dB") from None


def _rate(value: str | int) -> int | None:
    return None if value == "keep" else _whole(value)


def _whole(value: str | int) -> int:
    try:
        return int(value)
    except ValueError:
        raise ValueError("it is no whole number") from None


def _seconds(value: str | float) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError("it is no number of seconds") from None


def _bits(value: str | int) -> int:
    if str(value) not in ("16", "24", f"{FLOAT_BITS}f"):
        raise ValueError("choose 16, 24 or 32f (float)")
    return int(str(value).removesuffix("f"))


def _flag(value: str | bool) -> bool:  # noqa: FBT001  a value, not a switch
    known = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if str(value).lower() not in known:
        raise ValueError("choose yes or no")
    return known[str(value).lower()]


_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "stems": ("stems", _names),
    "except": ("without", _without),
    "two": ("two", _flag),
    "rest": ("rest", str),
    "group": ("groups", _groups),
    "mix": ("mixes", _mixes),
    "format": ("format", str),
    "rate": ("rate", _rate),
    "bits": ("bits", _bits),
    "bitrate": ("bitrate_kbps", _whole),
    "dither": ("dither", _flag),
    "model": ("model", str),
    "profile": ("profile", str),
    "precision": ("precision", str),
    "preview": ("preview", _seconds),
    "name": ("names", str),
    "silent": ("silent", sane_silent),
    "also": ("also", _kinds),
}
OPTIONS = tuple(_READERS)

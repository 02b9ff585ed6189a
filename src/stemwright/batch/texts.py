"""The options of a separation as people write them: in a command's line, or in a list of songs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from stemwright.audio.formats import FLOAT_BITS
from stemwright.errors import BadOption, StemwrightError
from stemwright.extras.making import extras
from stemwright.outputs import sane_silent
from stemwright.wish import Options


def from_texts(texts: Mapping[str, Any]) -> Options:
    """The options that these texts mean; raises BadOption. Empty ones are left out.

    >>> from_texts({"mix": ["practice=vocals:-6,*"], "rate": "keep", "bits": "32f"})
    {'mixes': {'practice': {'vocals': -6.0, '*': 0.0}}, 'rate': None, 'bits': 32}
    """
    options: dict[str, Any] = {}
    for option, value in texts.items():
        if option not in _READERS:
            raise BadOption(
                option=option, text=value, reason=f"there is no such option; there are {', '.join(_READERS)}"
            )
        if value is None or value in ("", []):
            continue
        name, read = _READERS[option]
        try:
            options[name] = read(value)
        except StemwrightError:
            raise
        except (ValueError, TypeError, AttributeError) as error:
            text = "; ".join(map(str, value)) if isinstance(value, list) else value
            raise BadOption(option=option, text=text, reason=str(error)) from None
    return cast(Options, options)


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

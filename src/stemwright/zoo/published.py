"""Cards of public models: what is known of each, where it can be had and under which licence. Unknown stays unknown."""

from __future__ import annotations

import os
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

from stemwright.errors import BadCard, BadSetting, NotPulled
from stemwright.zoo import files, installed

SAME_SIZE = 1e-3  # of checkpoints: their heads and names differ by less
LICENCE_CLASSES = ("permissive", "copyleft", "noncommercial", "unknown")
"""From the one that asks least of those who use a model to what nobody knows."""
ALLOWED = {"permissive": LICENCE_CLASSES[:1], "noncommercial": LICENCE_CLASSES[:3], "any": LICENCE_CLASSES}
"""The licence classes that each policy allows."""


@dataclass(frozen=True)
class Download:
    """A file at one or more addresses; `bytes` and `sha256` where they are known."""

    file: str
    urls: tuple[str, ...]
    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Score:
    """A published figure with the measure it is in: figures of different measures are not comparable."""

    metric: str
    stem: str
    db: float


@dataclass(frozen=True)
class Measured:
    """Seconds of song for each second of work, and the peak of the process in MB; None is what nobody has measured."""

    real_time: float | None = None
    memory_mb: int | None = None


@dataclass(frozen=True)
class Published:
    """A public model. `licence` is as stated by `licence_stated`; None is what nobody has written down."""

    name: str
    family: str
    architecture: str
    use: str
    by: str
    stems: tuple[str, ...]
    licence: str
    licence_stated: str
    licence_class: str
    notes: str = ""
    segment: int | None = None
    normalised: bool | None = None
    """Whether the songs that it learned from were brought to one level, and so have to be those that it hears."""
    gflop_per_second: int | None = None
    md5_tail: str | None = None
    weights: Download | None = None
    config: Download | None = None
    members: tuple[str, ...] = ()
    scores: tuple[Score, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.licence_class not in LICENCE_CLASSES:
            msg = f"licence_class is {self.licence_class!r}, not one of {', '.join(LICENCE_CLASSES)}"
            raise ValueError(msg)
        if not self.stems:
            msg = "stems are missing"
            raise ValueError(msg)

    @property
    def bytes(self) -> int | None:
        """What has to be fetched; None when it is not known."""
        sizes = [published(member).bytes for member in self.members] or [self.weights.bytes if self.weights else None]
        return sum(size for size in sizes if size) if all(sizes) else None

    @property
    def measured(self) -> Measured:
        """The speed and the peak memory of a net of these sizes; of a bag the speed of all its nets together."""
        if self.members:
            each = [published(member).measured.real_time for member in self.members]
            return Measured(round(1 / sum(1 / one for one in each if one), 2) if all(each) else None)
        for net in _measured():
            if net["architecture"] == self.architecture and abs((self.bytes or 0) / net["bytes"] - 1) < SAME_SIZE:
                return Measured(net["real_time"], net["memory_mb"])
        return Measured()


@cache
def _measured() -> list[dict[str, Any]]:
    return tomllib.loads((files.ZOO / "measured.toml").read_text("utf-8"))["net"]


def published(name: str) -> Published:
    """The card of a public model; raises UnknownModel, BadCard."""
    if name not in files.published():
        raise files.unknown(name)
    return _read(files.CARDS / f"{name}.toml")


@cache
def _read(path: Path) -> Published:
    try:
        facts: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        for key in ("weights", "config"):
            if key in facts:
                facts[key] = Download(**{**facts[key], "urls": tuple(facts[key]["urls"])})
        facts["scores"] = tuple(Score(**score) for score in facts.get("scores", ()))
        facts |= {key: tuple(value) for key, value in facts.items() if isinstance(value, list)}
        return Published(path.stem, **facts)
    except (tomllib.TOMLDecodeError, TypeError, KeyError, ValueError) as error:
        raise BadCard(path=path, reason=error) from error


def here(card: Published) -> bool:
    """Whether the model, or every member of a bag, is on this machine with a card that can be read."""
    with suppress(BadCard):
        return all(map(installed.find, card.members or (card.name,)))
    return False


def members(name: str) -> list[installed.Installed]:
    """The models on this machine that a name stands for: one, or those of a bag; raises NotPulled, UnknownModel."""
    if model := installed.find(name):
        return [model]
    card = published(name)
    found = {part: installed.find(part) for part in card.members or (name,)}
    if missing := [published(part) for part, model in found.items() if model is None]:
        raise NotPulled(model=name, size=total(missing), licence=card.licence, consent=consent(missing))
    return [model for model in found.values() if model]


def total(cards: Sequence[Published]) -> str:
    """How much there is to fetch, for people."""
    known, unknown = sum(card.bytes or 0 for card in cards), sum(card.bytes is None for card in cards)
    if not known:
        return "of unknown size" if unknown else "nothing"
    return f"{known / 1e6:.0f} MB" + (f" and {unknown} of unknown size" if unknown else "")


def policy() -> str:
    """Whose licences are fetched without asking: STEMWRIGHT_LICENCES, else `permissive`; raises BadSetting."""
    asked = os.environ.get("STEMWRIGHT_LICENCES", "").strip().lower() or "permissive"
    if asked not in ALLOWED:
        raise BadSetting(name="STEMWRIGHT_LICENCES", value=asked, reason=f"that is none of {', '.join(ALLOWED)}")
    return asked


def consent(cards: Iterable[Published]) -> str:
    """What `models pull` needs besides, where the policy does not allow all these licences."""
    if all(card.licence_class in ALLOWED[policy()] for card in cards):
        return ""
    return f" --yes (which accepts what the policy {policy()!r} does not)"


_ORDERS: dict[str, Callable[[Published], Any]] = {
    "name": lambda card: card.name,
    "use": lambda card: (card.use, card.name),
    "size": lambda card: (card.bytes is None, card.bytes, card.name),
    "licence": lambda card: (LICENCE_CLASSES.index(card.licence_class), card.name),
}


def measure(cards: Sequence[Published], stem: str | None = None) -> tuple[str, str] | None:
    """The metric and stem in which most of these cards have a score, of `stem` if there is one: only those compare.

    Without one, the average of a model's stems is it where most of those that have a score have that.
    """
    found = [(each.metric, each.stem) for card in cards for each in card.scores]
    counts = Counter([each for each in found if each[1] == stem] or found)
    most = sum(1 for card in cards if card.scores) / 2
    averages = [each for each in counts if each[1] == "average" and counts[each] > most]
    return max(averages or sorted(counts), key=lambda each: (counts[each], each[1] == "vocals"), default=None)


def score(card: Published, chosen: tuple[str, str] | None) -> float | None:
    """A card's score in a metric and stem, in dB."""
    return next((each.db for each in card.scores if (each.metric, each.stem) == chosen), None)


def listing(
    *,
    use: str | None = None,
    stem: str | None = None,
    policy: str = "any",
    only_here: bool = False,
    sort: str = "name",
) -> list[Published]:
    """The cards for a use, with a stem, under a licence policy, on this machine, in the order asked for.

    By `score` is by that in `measure`, and those without one come last.
    """
    kept = [
        card
        for card in map(published, files.published())
        if use in (None, card.use)
        and (stem is None or stem in card.stems)
        and card.licence_class in ALLOWED[policy]
        and (not only_here or here(card))
    ]
    if sort == "score":
        chosen = measure(kept, stem)
        return sorted(kept, key=lambda card: (-(-inf if (db := score(card, chosen)) is None else db), card.name))
    return sorted(kept, key=_ORDERS[sort])

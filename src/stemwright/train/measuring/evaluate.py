"""Measures a separator on songs whose stems are known, beside everything that needs no training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.signal import Audio, Samples
from stemwright.engine.run import run
from stemwright.engine.separator import Separator
from stemwright.errors import NothingMeasured, NotMeasurable, StemwrightError
from stemwright.nets.bandsplit import STEMS
from stemwright.separation import separate
from stemwright.train.learning.songs import RATE
from stemwright.train.measuring import metrics
from stemwright.train.measuring.baselines import Rivals
from stemwright.train.measuring.references import Reference, waiting
from stemwright.train.measuring.report import Line, Report
from stemwright.train.measuring.titles import Sum, of_model
from stemwright.zoo.choice import choose
from stemwright.zoo.wanted import VOICES

SOLO_SECONDS, SOLO_SONGS = 8.0, 4  # how much of a stem is heard alone, in how many songs
Shares = NDArray[np.float64]
RHYTHM = (*VOICES, "drums", "percussion", "bass")


@dataclass(frozen=True)
class Named:
    """A model or a recipe by its name, run as `stemwright separate` runs it."""

    name: str
    stems: tuple[str, ...]
    rate: int = RATE

    @classmethod
    def of(cls, name: str) -> Named:
        """Raises UnknownModel, and what else keeps it from running here."""
        return cls(name, choose(name, {}).names)

    def separated(self, mix: Samples) -> dict[str, Samples]:
        """Its stems of a mix [2, n] at `rate`."""
        return separate(Audio(mix, self.rate), model=self.name).stems


def evaluate(
    separator: Separator | Named,
    folder: Path,
    *,
    mapping: dict[str, str] | None = None,
    limit: int | None = None,
    rivals: bool = True,
    on_song: Callable[[str], None] = lambda _: None,
    on_problem: Callable[[StemwrightError], None] | None = None,
) -> Report:
    """Measures a separator, or a model by name, on the songs of a folder; its `rivals` take most of the time.

    Raises NoReferences, UnknownTitle, and at a song that cannot be measured UnknownReference, UnequalStems, SilentSong,
    ShortSong, NotMeasurable and what decoding raises. Where there are more, `on_problem` may hear of it instead; where
    none is left, NothingMeasured is raised.
    """
    report = Report(separator.stems, separator.name if isinstance(separator, Named) else None)
    songs = waiting(folder, mapping)[:limit]
    for song in songs:
        try:
            add(report, separator, song.read(), rivals=rivals)
        except StemwrightError as error:
            if on_problem is None or len(songs) == 1:
                raise
            report.spoiled += 1
            on_problem(error)
        else:
            on_song(song.name)
    if not report.songs:
        raise NothingMeasured(songs=report.spoiled)
    return report


def add(report: Report, separator: Separator | Named, song: Reference, *, rivals: bool = True) -> None:
    """Measures one song; raises NotMeasurable."""
    sums, views = of_model(separator.stems), _views(song)
    found = {name: _reaching(sums, members, song.sounding) for name, (_, members) in views.items()}
    if not any(found.values()):
        true = ", ".join(song.stems)
        model = getattr(separator, "name", "The model")
        raise NotMeasurable(model=model, stems=", ".join(separator.stems), true=true)
    estimates, shares = _estimates(separator, song.mix), dict(_heard_alone(report, separator, song))
    report.songs += 1  # nothing fails from here on
    others = Rivals(song.mix, separator.rate) if rivals else None
    for name, (true, members) in views.items():
        line = report.lines.setdefault(name, Line())
        line.songs += 1
        own = {"model": np.sum([estimates[stem] for stem in found[name]], axis=0)} if found[name] else {}
        for method, estimate in {**own, **_others(others, true, members)}.items():
            line.add(method, true, np.asarray(estimate), separator.rate)
    for stem in separator.stems:
        if sums[stem] and not set(sums[stem]) & song.sounding:
            report.leakage.setdefault(stem, []).append(metrics.level_db(estimates[stem], song.mix))
    for name, share in shares.items():
        report.confusion.setdefault(name, []).append(share)


def _heard_alone(report: Report, separator: Separator | Named, song: Reference) -> Iterator[tuple[str, Shares]]:
    """Shares of the energy of each true stem by itself in every estimate, of stems that few songs have told of yet."""
    for name, true in song.stems.items():
        if len(report.confusion.get(name, [])) < SOLO_SONGS:
            alone = _loudest(true, round(SOLO_SECONDS * separator.rate))
            energies = np.array([metrics.energy(found) for found in _estimates(separator, alone).values()])
            yield name, energies / (energies.sum() + metrics.FLOOR)


def _reaching(sums: dict[str, Sum], members: Sum, sounding: set[str]) -> tuple[str, ...]:
    """The model's stems whose sum is that of these members, as far as they sound; none where its stems hold more."""
    own = tuple(stem for stem, holds in sums.items() if set(holds) & set(members))
    held = {each for stem in own for each in sums[stem]} & sounding
    return own if held == set(members) & sounding else ()


def _estimates(separator: Separator | Named, mix: Samples) -> dict[str, Samples]:
    if isinstance(separator, Named):
        return separator.separated(mix)
    blocks = np.concatenate(list(run(separator, [mix])), axis=2)
    return dict(zip(separator.stems, blocks, strict=True))


def _views(song: Reference) -> dict[str, tuple[Samples, Sum]]:
    """Every true stem, and the sums that people ask for."""
    views = {name: (song.stems[name], song.sums[name]) for name in song.stems}
    everything = set(song.sums)
    every_stem = tuple(dict.fromkeys(stem for members in song.sums.values() for stem in members))
    wholes = {"all vocals": VOICES, "all drums": ("drums", "percussion")}
    wholes |= {"accompaniment": _without(every_stem, VOICES), "rest": _without(every_stem, RHYTHM)}
    for name, members in wholes.items():
        own = {title for title in everything if set(song.sums[title]) & set(members)}
        # A true stem that holds more than the sum asks for would be counted as an error of the model.
        if own and own != everything and all(set(song.sums[title]) <= set(members) for title in own):
            reach = _without(STEMS, VOICES if name == "accompaniment" else RHYTHM)
            members = reach if name in ("accompaniment", "rest") else members  # noqa: PLW2901
            views[name] = (np.sum([song.stems[title] for title in own], axis=0), members)
    return views


def _without(stems: Sum, others: Sum) -> Sum:
    return tuple(stem for stem in stems if stem not in others)


def _others(rivals: Rivals | None, true: Samples, members: Sum) -> dict[str, Samples]:
    """What the model is compared with; a classical method where there is one for this sum of stems."""
    if rivals is None:
        return {}
    found = {"mixture": rivals.mix, "constant": rivals.constant(true), "oracle": rivals.oracle(true)}
    if "drums" in members and "guitar" not in members:
        found["classical"] = rivals.percussive
    elif members == ("bass",):
        found["classical"] = rivals.low_passed
    elif "vocals" in members:
        found["classical"] = rivals.centre
    return found


def _loudest(samples: Samples, length: int) -> Samples:
    """The loudest stretch of a stem."""
    if samples.shape[1] <= length:
        return samples
    power = np.cumsum(np.square(samples, dtype=np.float64).sum(0))
    starts = np.arange(0, samples.shape[1] - length, 4410)
    start = starts[np.argmax(power[starts + length] - power[starts])]
    return samples[:, start : start + length]

"""Half precision with a proof: in every song a net keeps it while its error is 40 dB below each stem that comes in."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.signal import Samples
from stemwright.engine.separator import Separator, batch_of
from stemwright.zoo import machine
from stemwright.zoo.installed import Installed

LEAST_DB = 40.0
_LOUD = 1e-3
"""RMS of a segment that proves something (-60 dBFS)."""
_OVERFLOWED = -999.0
"""What is noted, in dB, of a precision in which the model gave values that are no numbers."""
_HEARD = 1e-3
"""Power of a stem that counts, as a share of the mix's: rounding what is hardly there is no loss."""

_SANE = 32.0
"""Peak of a segment from which an overflow is the song's own, 30 dB above any that nets are trained on."""

Open = Callable[[str], Separator]
Ran = list[tuple[str, str]]
"""Models and the precisions that they ran in over a song; a model has two where it had to change on the way."""


@runtime_checkable
class PerSong(Protocol):
    """A separator that is another for every song."""

    def for_song(self, ran: Ran) -> Separator:
        """The same net for one song, which tells in `ran` what it runs in."""
        ...


def for_song(separator: Separator, ran: Ran) -> Separator:
    """The separator for one song; `ran` is told the precision of what is in it."""
    return separator.for_song(ran) if isinstance(separator, PerSong) else separator


def settled(model: Installed, asked: str) -> str:
    """The precision that a song begins in when `asked` is wanted: of "auto" the fastest.

    One in which the model has overflowed on this machine, with whatever heads, is not taken again.
    """
    device, chosen = machine.device(), machine.precision(asked)
    wanted = machine.fastest(device) if chosen == "auto" else (chosen, "fp32")
    return next(each for each in wanted if each == "fp32" or not _overflows(model, _label(device, each)))


def opened(model: Installed, asked: str, open_as: Open, heads: Sequence[int] | None = None) -> Separator:
    """The model's separator, `open_as`(precision), in the precision that is settled; raises UnknownPrecision.

    `heads` are those of its net that are opened, if not all: what is found is noted for each choice of them.
    """
    precision = settled(model, asked)
    own = open_as(precision)
    if precision == "fp32":
        return own
    return Halved(own, _How(model, asked, precision, open_as, heads))


@dataclass(frozen=True)
class _How:
    """Whose net runs in which precision, what was asked for, and how it is opened in another."""

    model: Installed
    asked: str
    precision: str
    open_as: Open
    heads: Sequence[int] | None

    @property
    def label(self) -> str:
        """What is found is noted under this."""
        return _label(machine.device(), self.precision, _named(self.model, self.heads))


class Halved:
    """A separator in half precision for one song, and in full precision from where that is too coarse or overflows.

    A stem is proved in the first segment in which it can be heard: what full precision gives there is made too.
    """

    def __init__(self, half: Separator, how: _How, ran: Ran | None = None) -> None:
        self._half = self._own = half
        self._how, self._ran = how, [] if ran is None else ran
        self.rate, self.stems, self.segment, self.hop = half.rate, half.stems, half.segment, half.hop
        self.batch = batch_of(half)
        self._proved = np.full(len(half.stems), machine.precision(how.asked) != "auto")

    def for_song(self, ran: Ran) -> Separator:
        """The same net for another song, which has to prove itself anew; one that has overflowed begins otherwise."""
        how = self._how
        if settled(how.model, how.asked) == how.precision:
            return Halved(self._half, how, ran)
        return for_song(opened(how.model, how.asked, how.open_as, how.heads), ran)

    def __call__(self, mix: Samples) -> Samples:
        """Mix [batch, 2, segment] → stems [batch, stems, 2, segment]."""
        stems = self._own(mix)
        if self._own is self._half and (full := self._wanted_instead(mix, stems)):
            self._own, stems = full, full(mix)
        told = self._how.model.name, self._how.precision if self._own is self._half else "fp32"
        if told not in self._ran:
            self._ran.append(told)
        return stems

    def _wanted_instead(self, mix: Samples, stems: Samples) -> Separator | None:
        """The net in full precision, where a segment's stems show that half does not do."""
        if not np.isfinite(stems).all():
            if np.abs(mix).max() < _SANE:  # false for NaN too: what is wrong with the song is no fault of the net's
                _note(self._how, -np.inf)
            return self._how.open_as("fp32")
        if self._proved.all() or not (new := _heard(stems, mix) & ~self._proved).any():
            return None
        at, full = int(new.sum(axis=1).argmax()), self._how.open_as("fp32")
        return full if self._proof(mix[at], stems[at], new[at], full) < LEAST_DB else None

    def _proof(self, mix: Samples, stems: Samples, new: NDArray[np.bool_], full: Separator) -> float:
        """The SNR in dB of the worst stem [stems, 2, n] of a mix [2, n]; a part of it is enough where a net takes it.

        Of the `new` stems those that can be heard in that part are proved by it, the loudest in any case.
        """
        shortest = getattr(self._half, "shortest", self.segment)
        loudest, first = _loudest(stems[new], shortest)
        if shortest < self.segment:
            mix = mix[:, first : first + shortest]
            stems = self._half(mix[None])[0]
        expected = full(mix[None])[0]
        self._proved |= _heard(expected[None], mix[None])[0]
        self._proved[np.flatnonzero(new)[loudest]] = True
        found = worst_db(stems, expected, mix)
        _note(self._how, found)
        return found


def _heard(stems: Samples, mix: Samples) -> NDArray[np.bool_]:
    """Which stems [batch, stems, 2, n] can be heard in the mix [batch, 2, n], where that is loud: [batch, stems]."""
    power, whole = np.einsum("bscn,bscn->bs", stems, stems), np.einsum("bcn,bcn->b", mix, mix)
    return (power > _HEARD * whole[:, None]) & (whole > _LOUD**2 * mix[0].size)[:, None]


def _loudest(stems: Samples, length: int) -> tuple[int, int]:
    """The loudest of the stems [stems, 2, n], and where `length` samples begin in which it is loudest."""
    loudest = int(np.einsum("scn,scn->s", stems, stems).argmax())
    starts = range(0, stems.shape[-1] - length + 1, length)
    return loudest, max(starts, key=lambda first: float(np.square(stems[loudest, :, first : first + length]).sum()))


def worst_db(found: Samples, expected: Samples, mix: Samples) -> float:
    """SNR of the worst stem [stems, 2, n] that can be heard in the mix [2, n]; infinite when there is none."""
    power = np.square(expected, dtype=np.float64).sum((1, 2))
    error = np.nan_to_num(np.square(found - expected, dtype=np.float64).sum((1, 2)), nan=np.inf)
    counts = power > _HEARD * np.square(mix, dtype=np.float64).sum()
    return float(np.min(10 * np.log10(power[counts] / np.maximum(error[counts], 1e-30)), initial=np.inf))


_FILE = "precision.json"
_HERE: dict[str, dict[str, float]] = {}


def _label(device: str, precision: str, heads: Sequence[str] = ()) -> str:
    return f"{device.partition(':')[0]} {precision}" + (f": {', '.join(heads)}" if heads else "")


def _named(model: Installed, heads: Sequence[int] | None) -> Sequence[str]:
    """The stems of these heads; none when they are all."""
    names = model.facts.get("stems", ())
    return () if heads is None or len(heads) == len(names) else [names[head] for head in sorted(heads)] or ["none"]


def _overflows(model: Installed, label: str) -> bool:
    """Whether values that are no numbers were found, whatever the heads."""
    found = proofs(model).items()
    return any(db <= _OVERFLOWED for key, db in found if key == label or key.startswith(f"{label}: "))


def _note(how: _How, found: float) -> None:
    """Keeps the worst that was found beside the weights."""
    model, told = how.model, proofs(how.model)
    db = round(float(np.clip(found, _OVERFLOWED, 999)), 1)
    if np.isposinf(found) or db >= told.get(how.label, np.inf):
        return
    _HERE[model.folder.as_posix()] = told = {**told, how.label: db}
    with suppress(OSError):  # in a folder that may not be written, every process finds out for itself
        (model.folder / _FILE).write_text(json.dumps(told) + "\n")


def proofs(model: Installed) -> dict[str, float]:
    """The worst that was found on this machine, in dB by device and precision, and heads where those were not all."""
    with suppress(OSError, ValueError):
        return json.loads((model.folder / _FILE).read_text())
    return _HERE.get(model.folder.as_posix(), {})

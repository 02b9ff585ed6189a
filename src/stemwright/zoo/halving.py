"""Half precision with a proof: a net keeps it if its error is 40 dB below the stems of the first loud segment."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

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

Open = Callable[[str], Separator]


def settled(model: Installed, asked: str) -> str:
    """The precision that a model runs in here when `asked` is wanted: of "auto" the fastest not found wanting.

    One that is asked for by name is taken as it is, unless the model is known to overflow in it. What is found wanting
    for some of a model's heads is not taken for any others.
    """
    device = machine.device()
    if (chosen := machine.precision(asked)) != "auto":
        return chosen if _least(model, _label(device, chosen)) > _OVERFLOWED else "fp32"
    return next(each for each in machine.fastest(device) if _least(model, _label(device, each)) >= LEAST_DB)


def opened(model: Installed, asked: str, open_as: Open, heads: Sequence[int] | None = None) -> Separator:
    """The model's separator, `open_as`(precision), in the precision that is settled; raises UnknownPrecision.

    `heads` are those of its net that are opened, if not all: each choice of them has a proof of its own.
    """
    precision = settled(model, asked)
    if precision == "fp32":
        return open_as("fp32")
    label = _label(machine.device(), precision, _named(model, heads))
    is_proven = machine.precision(asked) != "auto" or label in proofs(model)
    return Halved(model, precision, open_as, label=label, is_proven=is_proven)


class Halved:
    """A separator in half precision, and in full precision from where that proves too coarse or overflows."""

    def __init__(self, model: Installed, precision: str, open_as: Open, *, label: str, is_proven: bool) -> None:
        self._model, self._precision, self._open_as, self._is_proven = model, precision, open_as, is_proven
        self._label = label
        self._own = own = open_as(precision)
        self.rate, self.stems, self.segment, self.hop, self.batch = (
            own.rate,
            own.stems,
            own.segment,
            own.hop,
            batch_of(own),
        )

    def __call__(self, mix: Samples) -> Samples:
        """Mix [batch, 2, segment] → stems [batch, stems, 2, segment]."""
        stems = self._own(mix)
        if self._precision == "fp32":
            return stems
        if not np.isfinite(stems).all():
            return self._replaced(mix, -np.inf)
        loudest = int(np.square(mix).mean((1, 2)).argmax())
        if self._is_proven or np.square(mix[loudest]).mean() < _LOUD**2:
            return stems
        full = self._open_as("fp32")
        expected = full(mix[loudest : loudest + 1])[0]
        found = worst_db(stems[loudest], expected, mix[loudest])
        if found < LEAST_DB:
            return self._replaced(mix, found)
        if np.isinf(found):  # none of its stems is in it: the next song may prove something
            self._is_proven = True
        else:
            self._prove(found)
        return stems

    def _replaced(self, mix: Samples, found: float) -> Samples:
        self._prove(found)
        self._precision = "fp32"
        self._own = self._open_as("fp32")
        return self._own(mix)

    def _prove(self, found: float) -> None:
        self._is_proven = True
        told = {**proofs(self._model), self._label: round(float(np.clip(found, _OVERFLOWED, 999)), 1)}
        _HERE[self._model.folder.as_posix()] = told
        with suppress(OSError):  # a folder that may not be written is proved anew by every process
            (self._model.folder / _FILE).write_text(json.dumps(told) + "\n")


def worst_db(found: Samples, expected: Samples, mix: Samples) -> float:
    """SNR of the worst stem [stems, 2, n] that can be heard in the mix [2, n]; infinite when there is none."""
    power = np.square(expected, dtype=np.float64).sum((1, 2))
    error = np.square(found - expected, dtype=np.float64).sum((1, 2))
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


def _least(model: Installed, label: str) -> float:
    """The worst that was found, whatever the heads; enough where nothing was."""
    found = [db for key, db in proofs(model).items() if key == label or key.startswith(f"{label}: ")]
    return min(found, default=LEAST_DB)


def proofs(model: Installed) -> dict[str, float]:
    """What was found on this machine, in dB by device and precision, and heads where those were not all."""
    with suppress(OSError, ValueError):
        return json.loads((model.folder / _FILE).read_text())
    return _HERE.get(model.folder.as_posix(), {})

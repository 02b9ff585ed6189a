"""Half precision with a proof: a net keeps it if its error is 40 dB below the stems of the first loud segment."""

from __future__ import annotations

import json
from collections.abc import Callable
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

    One that is asked for by name is taken as it is, unless the model is known to overflow in it.
    """
    device, found = machine.device(), proofs(model)
    if (chosen := machine.precision(asked)) != "auto":
        return chosen if found.get(_label(device, chosen), 0.0) > _OVERFLOWED else "fp32"
    return next(each for each in machine.fastest(device) if found.get(_label(device, each), LEAST_DB) >= LEAST_DB)


def opened(model: Installed, asked: str, open_as: Open) -> Separator:
    """The model's separator, `open_as`(precision), in the precision that is settled; raises UnknownPrecision."""
    precision = settled(model, asked)
    if precision == "fp32":
        return open_as("fp32")
    is_proven = machine.precision(asked) != "auto" or _label(machine.device(), precision) in proofs(model)
    return Halved(model, precision, open_as, is_proven=is_proven)


class Halved:
    """A separator in half precision, and in full precision from where that proves too coarse or overflows."""

    def __init__(self, model: Installed, precision: str, open_as: Open, *, is_proven: bool) -> None:
        self._model, self._precision, self._open_as, self._is_proven = model, precision, open_as, is_proven
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
        self._prove(found)
        return stems

    def _replaced(self, mix: Samples, found: float) -> Samples:
        self._prove(found)
        self._precision = "fp32"
        self._own = self._open_as("fp32")
        return self._own(mix)

    def _prove(self, found: float) -> None:
        self._is_proven = True
        label = _label(machine.device(), self._precision)
        told = {**proofs(self._model), label: round(float(np.clip(found, _OVERFLOWED, 999)), 1)}
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


def _label(device: str, precision: str) -> str:
    return f"{device.partition(':')[0]} {precision}"


def proofs(model: Installed) -> dict[str, float]:
    """What was found on this machine, in dB by device and precision."""
    with suppress(OSError, ValueError):
        return json.loads((model.folder / _FILE).read_text())
    return _HERE.get(model.folder.as_posix(), {})

"""Half precision is kept only where it is proved on a song to be fine enough."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from stemwright.zoo import halving, machine
from stemwright.zoo.installed import Installed

LOUD = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 2, 400)).astype(np.float32)


class Net:
    """Gives the mix and half of it, with an error that depends on its precision."""

    rate, segment, hop, stems = 44100, 400, 200, ("vocals", "other")
    errors: ClassVar = {"fp32": 0.0, "bf16": 0.001, "fp16": np.inf}

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self.heard = 0

    def __call__(self, mix: np.ndarray) -> np.ndarray:
        self.heard += len(mix)
        return np.stack([mix, mix / 2], axis=1) * np.float32(1 + self.errors[self.precision])


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    monkeypatch.delenv("STEMWRIGHT_PRECISION", raising=False)
    monkeypatch.setattr(machine, "device", lambda: "cpu")
    monkeypatch.setattr(machine, "fastest", lambda _: ("bf16", "fp32"))
    return Installed("net", tmp_path, {})


def proofs(model: Installed) -> dict[str, float]:
    return json.loads((model.folder / "precision.json").read_text())


def test_what_keeps_40_db_is_proved_once(model: Installed) -> None:
    nets: list[Net] = []
    separator = halving.opened(model, "auto", lambda precision: nets.append(Net(precision)) or nets[-1])
    separator(LOUD)
    separator(LOUD)
    assert [(net.precision, net.heard) for net in nets] == [("bf16", 4), ("fp32", 1)]
    assert proofs(model) == {"cpu bf16": 60.0}
    halving.opened(model, "auto", lambda precision: nets.append(Net(precision)) or nets[-1])(LOUD)
    assert len(nets) == 3


def test_what_does_not_is_replaced_from_the_first_segment_on(model: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Net.errors, "bf16", 0.1)
    found = halving.opened(model, "auto", Net)(LOUD)
    assert np.array_equal(found[:, 0], LOUD)
    assert proofs(model) == {"cpu bf16": 20.0}
    assert halving.settled(model, "auto") == "fp32"
    assert halving.settled(model, "bf16") == "bf16"


def test_every_choice_of_heads_is_proved_by_itself(model: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    many = Installed("net", model.folder, {"stems": ["guitar", "violin", "vocals"]})
    halving.opened(many, "auto", Net, [2, 0])(LOUD)
    halving.opened(many, "auto", Net, [0, 1, 2])(LOUD)
    assert proofs(many) == {"cpu bf16: guitar, vocals": 60.0, "cpu bf16": 60.0}
    monkeypatch.setitem(Net.errors, "bf16", 0.1)
    found = halving.opened(many, "auto", Net, [1])(LOUD)
    assert np.array_equal(found[:, 0], LOUD)
    assert proofs(many)["cpu bf16: violin"] == 20.0
    assert halving.settled(many, "auto") == "fp32"  # for the others too: what a result tells holds for all heads


def test_a_segment_without_its_stems_proves_nothing(model: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halving, "worst_db", lambda *_: np.inf)
    halving.opened(model, "auto", Net)(LOUD)
    assert not (model.folder / "precision.json").exists()


def test_silence_proves_nothing(model: Installed) -> None:
    halving.opened(model, "auto", Net)(LOUD * 0)
    assert not (model.folder / "precision.json").exists()


def test_a_value_that_overflows_ends_half_precision_even_where_it_was_asked_for(model: Installed) -> None:
    found = halving.opened(model, "fp16", Net)(LOUD)
    assert np.isfinite(found).all()
    assert proofs(model) == {"cpu fp16": -999.0}
    assert halving.settled(model, "fp16") == "fp32"


def test_a_stem_that_cannot_be_heard_does_not_count() -> None:
    mix, quiet = LOUD[0], LOUD[0] * 1e-4
    stems = np.stack([mix, quiet])
    found = np.stack([mix * 1.001, quiet * 2])
    assert halving.worst_db(found, stems, mix) == pytest.approx(60, abs=0.1)

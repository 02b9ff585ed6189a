"""Half precision is kept only where it is proved on a song to be fine enough."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from stemwright.engine.separator import Separator
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
        self.lengths: list[int] = []
        self.last = LOUD

    def __call__(self, mix: np.ndarray) -> np.ndarray:
        self.heard += len(mix)
        self.lengths.append(mix.shape[-1])
        self.last = mix
        return np.stack([mix, mix / 2], axis=1) * np.float32(1 + self.errors[self.precision])


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    monkeypatch.delenv("STEMWRIGHT_PRECISION", raising=False)
    monkeypatch.setattr(machine, "device", lambda: "cpu")
    monkeypatch.setattr(machine, "fastest", lambda _: ("bf16", "fp32"))
    return Installed("net", tmp_path, {})


def proofs(model: Installed) -> dict[str, float]:
    return json.loads((model.folder / "precision.json").read_text())


def again(separator: Separator) -> tuple[Separator, halving.Ran]:
    ran: halving.Ran = []
    return halving.for_song(separator, ran), ran


def test_what_keeps_40_db_is_proved_once_in_every_song(model: Installed) -> None:
    nets: list[Net] = []
    separator = halving.opened(model, "auto", lambda precision: nets.append(Net(precision)) or nets[-1])
    for _ in range(2):
        song, ran = again(separator)
        song(LOUD)
        song(LOUD)
        assert ran == [("net", "bf16")]
    assert [(net.precision, net.heard) for net in nets] == [("bf16", 8), ("fp32", 1), ("fp32", 1)]
    assert proofs(model) == {"cpu bf16": 60.0}


def test_what_does_not_is_replaced_from_the_first_segment_on(model: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Net.errors, "bf16", 0.1)
    song, ran = again(halving.opened(model, "auto", Net))
    assert np.array_equal(song(LOUD)[:, 0], LOUD)
    assert (ran, proofs(model)) == ([("net", "fp32")], {"cpu bf16": 20.0})


def test_a_song_for_which_half_is_too_coarse_is_made_in_full_and_the_next_one_decides_anew(
    model: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    separator = halving.opened(model, "auto", Net)
    told: list[halving.Ran] = []
    for error in (0.001, 0.1, 0.001):
        monkeypatch.setitem(Net.errors, "bf16", error)
        song, ran = again(separator)
        assert np.array_equal(song(LOUD)[:, 0], LOUD) == (error == 0.1)
        told.append(ran)
    assert [precision for [(_, precision)] in told] == ["bf16", "fp32", "bf16"]
    assert proofs(model) == {"cpu bf16": 20.0}  # the worst of all songs


class Late(Net):
    """In half precision its second stem is coarse."""

    def __call__(self, mix: np.ndarray) -> np.ndarray:
        stems = super().__call__(mix)
        stems[:, 1] = mix * (np.abs(mix).max() > 0.6) * np.float32(0.9 if self.precision == "bf16" else 1)
        return stems


def test_a_stem_that_comes_in_later_is_proved_there(model: Installed) -> None:
    song, ran = again(halving.opened(model, "auto", Late))
    assert not np.array_equal(song(LOUD)[:, 0], LOUD)
    assert ran == [("net", "bf16")]
    assert np.array_equal(song(LOUD * 1.5)[:, 1], LOUD * 1.5)
    assert ran == [("net", "bf16"), ("net", "fp32")]


def test_a_part_of_a_segment_is_enough_where_the_net_takes_it(model: Installed) -> None:
    nets: list[Net] = []
    separator = halving.opened(model, "auto", lambda precision: nets.append(Net(precision)) or nets[-1])
    nets[0].shortest = 100  # type: ignore[attr-defined]
    mix = LOUD.copy()
    mix[:, :, :300] *= 0.1
    separator(mix)
    assert [length for net in nets for length in net.lengths] == [400, 100, 100]
    assert np.array_equal(nets[1].last[0], mix[0, :, 300:])  # the loudest part


def test_the_worst_is_noted_for_every_choice_of_heads(model: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    many = Installed("net", model.folder, {"stems": ["guitar", "violin", "vocals"]})
    halving.opened(many, "auto", Net, [2, 0])(LOUD)
    halving.opened(many, "auto", Net, [0, 1, 2])(LOUD)
    monkeypatch.setitem(Net.errors, "bf16", 0.1)
    halving.opened(many, "auto", Net, [1])(LOUD)
    assert proofs(many) == {"cpu bf16: guitar, vocals": 60.0, "cpu bf16": 60.0, "cpu bf16: violin": 20.0}


def test_a_segment_without_its_stems_proves_nothing(model: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    nets: list[Net] = []
    separator = halving.opened(model, "auto", lambda precision: nets.append(Net(precision)) or nets[-1])
    monkeypatch.setattr(halving, "_HEARD", 2.0)
    separator(LOUD)
    assert [net.precision for net in nets] == ["bf16"]
    assert not (model.folder / "precision.json").exists()


def test_silence_proves_nothing(model: Installed) -> None:
    halving.opened(model, "auto", Net)(LOUD * 0)
    assert not (model.folder / "precision.json").exists()


def test_a_value_that_overflows_ends_half_precision_even_where_it_was_asked_for(model: Installed) -> None:
    found = halving.opened(model, "fp16", Net)(LOUD)
    assert np.isfinite(found).all()
    assert proofs(model) == {"cpu fp16": -999.0}
    assert halving.settled(model, "fp16") == "fp32"


def test_a_song_that_is_no_song_is_not_the_nets_fault(model: Installed) -> None:
    """Far above full scale, or not a number: it is made in full, and the next song begins in half all the same."""
    for odd in (LOUD * 3e4, LOUD * np.float32(np.nan)):
        halving.opened(model, "fp16", Net)(odd)
        assert halving.settled(model, "fp16") == "fp16"


class Overflowing(Net):
    """Gives values that are no numbers where a segment is loud."""

    def __call__(self, mix: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", over="ignore"):
            return super().__call__(mix) * np.float32(np.inf if self.precision == "fp16" and mix.max() > 0.6 else 1)


def test_what_overflows_in_any_segment_is_made_in_full_and_later_songs_begin_in_another(
    model: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "fastest", lambda _: ("fp16", "bf16", "fp32"))
    monkeypatch.setitem(Net.errors, "fp16", 0.0)
    separator = halving.opened(model, "auto", Overflowing)
    song, ran = again(separator)
    for loudness in (1.0, 1.0, 1.5, 1.0):
        assert np.array_equal(song(LOUD * loudness)[:, 0], LOUD * loudness)
    assert ran == [("net", "fp16"), ("net", "fp32")]
    song, ran = again(separator)
    song(LOUD)
    assert ran == [("net", "bf16")]


def test_a_stem_that_cannot_be_heard_does_not_count() -> None:
    mix, quiet = LOUD[0], LOUD[0] * 1e-4
    stems = np.stack([mix, quiet])
    found = np.stack([mix * 1.001, quiet * 2])
    assert halving.worst_db(found, stems, mix) == pytest.approx(60, abs=0.1)

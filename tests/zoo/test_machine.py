"""Which device and precision nets run with."""

from __future__ import annotations

import pytest

from stemwright import errors
from stemwright.zoo import machine

pytest.importorskip("torch")


def test_a_device_that_is_asked_for_and_not_usable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_DEVICE", "tpu")
    with pytest.raises(errors.NoSuchDevice, match=r"'tpu'.*It can use: cpu"):
        machine.device()
    monkeypatch.setenv("STEMWRIGHT_DEVICE", "cpu")
    assert machine.device() == "cpu"


def test_only_nets_that_keep_40_db_run_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_has_fast_bf16", lambda: True)
    assert machine.precision("roformer", "cpu") == "bf16"
    assert machine.precision("htdemucs", "cpu") == "fp32"
    monkeypatch.setenv("STEMWRIGHT_PRECISION", "fp32")
    assert machine.precision("roformer", "cuda") == "fp32"
    monkeypatch.setenv("STEMWRIGHT_PRECISION", "int3")
    with pytest.raises(errors.UnknownPrecision, match="int3"):
        machine.precision("roformer", "cpu")


def test_without_fast_instructions_bf16_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_has_fast_bf16", lambda: False)
    assert machine.precision("roformer", "cpu") == "fp32"

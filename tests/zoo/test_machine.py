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


def test_the_precision_asked_for_comes_before_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEMWRIGHT_PRECISION", raising=False)
    assert machine.precision() == "auto"
    monkeypatch.setenv("STEMWRIGHT_PRECISION", "fp32")
    assert machine.precision() == "fp32"
    assert machine.precision("bf16") == "bf16"
    with pytest.raises(errors.UnknownPrecision, match="int3"):
        machine.precision("int3")


def test_the_fastest_precision_follows_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_has_fast_bf16", lambda: True)
    assert machine.fastest("cpu") == ("bf16", "fp32")
    assert machine.fastest("cuda:1") == ("fp16", "bf16", "fp32")
    assert machine.fastest("mps") == ("fp32",)
    monkeypatch.setattr(machine, "_has_fast_bf16", lambda: False)
    assert machine.fastest("cpu") == ("fp32",)


def test_a_gpu_that_is_there_and_not_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEMWRIGHT_DEVICE", raising=False)
    monkeypatch.setattr(machine, "GPU_FILES", (("/", "dev"),))
    assert "NOT USED" in (machine.unused_gpu("cpu") or "")
    assert machine.unused_gpu("cuda") is None
    monkeypatch.setattr(machine, "GPU_FILES", ())
    assert machine.unused_gpu("cpu") is None
    monkeypatch.setenv("STEMWRIGHT_DEVICE", "cuda:1")  # by a model that torch runs, that would be an error
    assert "asks for cuda:1, which was NOT USED" in (machine.unused_gpu("cpu") or "")
    monkeypatch.setenv("STEMWRIGHT_DEVICE", "cpu")
    assert machine.unused_gpu("cpu") is None


def test_every_core_gets_a_segment_up_to_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 2)
    assert machine.abreast("cpu") == 2
    monkeypatch.setattr(machine, "cores", lambda: 96)
    assert machine.abreast("cpu") == machine.MOST_ABREAST

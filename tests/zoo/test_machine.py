"""Which device and precision nets run with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

import tiny

from stemwright import errors
from stemwright.zoo import machine


def test_a_device_that_is_asked_for_and_not_usable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_DEVICE", "tpu")
    with pytest.raises(errors.NoSuchDevice, match=r"'tpu'.*It can use: cpu"):
        machine.device()
    monkeypatch.setenv("STEMWRIGHT_DEVICE", "cpu")
    assert machine.device() == "cpu"


LOOK = """
import os, sys
from stemwright.zoo import loading, machine

class Finder:
    def find_spec(self, name, *_):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"))

sys.meta_path.insert(0, Finder())
machine.cores = lambda: int(sys.argv[1])
loading.load("net")
"""


@pytest.mark.parametrize(("cores", "asked", "found"), [(2, None, "1000"), (2, "7", "7"), (64, None, "None")])
def test_threads_of_a_small_machine_do_not_spin(
    cores: int, asked: str | None, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMWRIGHT_MODELS", str(tmp_path))
    tiny.install("net", "scnet", ("vocals", "other"))
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command, own = [sys.executable, "-c", LOOK, str(cores)], {"GOMP_SPINCOUNT": asked} if asked else {}
    told = subprocess.run(command, env={**kept, **own}, capture_output=True, text=True, check=True)
    assert told.stdout == f"{found}\n"


def test_the_precision_asked_for_comes_before_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEMWRIGHT_PRECISION", raising=False)
    assert machine.precision() == "auto"
    monkeypatch.setenv("STEMWRIGHT_PRECISION", "fp32")
    assert machine.precision() == "fp32"
    assert machine.precision("bf16") == "bf16"
    with pytest.raises(errors.UnknownPrecision, match="int3"):
        machine.precision("int3")


def test_a_setting_that_is_empty_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for empty in ("", " "):
        monkeypatch.setenv("STEMWRIGHT_PRECISION", empty)
        monkeypatch.setenv("STEMWRIGHT_DEVICE", empty)
        assert (machine.precision(), machine.asked_device()) == ("auto", "auto")
    monkeypatch.setenv("STEMWRIGHT_DEVICE", " CPU")
    assert machine.asked_device() == "cpu"


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

"""A named instrument is a head of the Mega model where that is here, our nearest stem elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
sys.path.append(str(Path(__file__).parents[1] / "zoo"))

from tiny import install

from stemwright.audio.encode import open_stem
from stemwright.errors import NotPulled, UnknownStem
from stemwright.server import separating
from stemwright.server.jobs import Job, Outcome
from stemwright.zoo import networks


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("STEMWRIGHT_PRECISION", "fp32")


@pytest.fixture
def outcome(tmp_path: Path):  # type: ignore[no-untyped-def]
    song = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 60_000)).astype(np.float32)
    with open_stem(tmp_path / "song.wav", rate=44100, format="wav") as writer:
        writer.write(song)

    def run(stem_name: str, model: str = "twelve", prefer: str | None = "mega53") -> Outcome:
        source, out = str(tmp_path / "song.wav"), str(tmp_path / "out")
        job = Job("t", "split_stem_advanced", stem_name, source, out, "wav", model, 60, (), None, prefer)
        return separating._separate(job, lambda _: None, lambda: False)

    return run


def test_without_the_mega_model_our_nearest_stem_stands_for_it(outcome) -> None:  # type: ignore[no-untyped-def]
    done = outcome("Violin")
    assert (done.model, [part.name for part in done.parts]) == ("twelve", ["strings", "rest"])
    assert [part.label for part in done.parts] == ["Violin", "Without_Violin"]


def test_with_it_only_the_head_that_is_asked_for_is_opened(outcome, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    install("mega53", "roformer", ("cello", "violin"))
    monkeypatch.setattr(networks, "MOST_THAT_COVER", 1)
    done = outcome("Violin")
    assert (done.model, [part.name for part in done.parts]) == ("mega53", ["violin", "rest"])


def test_a_model_without_anything_near_says_what_it_has(outcome) -> None:  # type: ignore[no-untyped-def]
    install("beat", "roformer", ("kick", "snare"))
    with pytest.raises(UnknownStem, match=r"no stem 'Tuba' in the model beat\. Choose from: kick, snare"):
        outcome("Tuba", model="beat", prefer=None)
    with pytest.raises(NotPulled, match="mega53"):
        outcome("Tuba", model="mega53", prefer=None)

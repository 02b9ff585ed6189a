"""What Demucs writes beside a net's weights: how it was made, of which tensors' names and shapes show only a part."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")

from upstream_files import state, tones  # noqa: E402

from stemwright import errors  # noqa: E402
from stemwright.zoo import foreign, installed, networks  # noqa: E402


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("STEMWRIGHT_PRECISION", "fp32")


def saved(path: Path, value: Any) -> Path:
    torch.save(value, path)
    return path


def test_what_demucs_wrote_beside_its_weights_is_believed(tmp_path: Path) -> None:
    made = {"klass": Fraction, "args": (), "kwargs": {"sources": list("wxyz"), "segment": Fraction(39, 5)}}
    model = foreign.add(saved(tmp_path / "a.th", {**made, "state": state("HTDemucs")})).model
    assert (model.facts["segment"], model.facts["stems"]) == (343980, ["w", "x", "y", "z"])
    assert "segment" not in model.facts["assumed"]


HIDDEN = {"t_heads": 4, "freq_emb": 0.5, "emb_scale": 5, "t_max_period": 5000.0}


@pytest.mark.parametrize("by_yaml", [True, False])
def test_sizes_of_demucs_that_no_tensor_shows_are_those_that_its_files_state(by_yaml: bool, tmp_path: Path) -> None:
    made = {"klass": Fraction, "args": (), "kwargs": {} if by_yaml else HIDDEN, "state": state("HTDemucs")}
    (tmp_path / "its.yaml").write_text(yaml.safe_dump({"htdemucs": HIDDEN if by_yaml else {}}))
    facts = foreign.add(saved(tmp_path / "a.th", made), config=tmp_path / "its.yaml").model.facts
    net = networks.build("htdemucs", facts["sizes"], 4).config
    assert (net.heads, net.frequency_embedding, net.embedding_scale, net.max_period) == tuple(HIDDEN.values())
    assert not {"heads", "frequency_embedding", "embedding_scale", "max_period"} & set(facts["assumed"])


@pytest.mark.parametrize("other", [{"t_gelu": False}, {"t_group_norm": True}, {"t_emb": "cape"}, {"t_heads": "all"}])
def test_a_demucs_that_says_it_is_of_another_make_is_refused(other: dict[str, Any], tmp_path: Path) -> None:
    made = {"klass": Fraction, "args": (), "state": state("HTDemucs")}
    with pytest.raises(errors.UnreadableCheckpoint, match=f"made with, htdemucs.{next(iter(other))} is"):
        foreign.add(saved(tmp_path / "a.th", {**made, "kwargs": other}))
    (tmp_path / "its.yaml").write_text(yaml.safe_dump({"htdemucs": other}))
    with pytest.raises(errors.BadConfig, match=f"htdemucs.{next(iter(other))} is"):
        foreign.add(saved(tmp_path / "b.th", made), config=tmp_path / "its.yaml")
    assert installed.names() == []


def test_a_transformer_of_demucs_that_is_as_wide_as_the_nets_around_it_may_be_brought_to_it(tmp_path: Path) -> None:
    tensors = state("HTDemucs, 6 stems, short")
    wide = tensors["crosstransformer.norm_in.weight"].numel()
    ends = {f"channel_{way}{side}" for way in ("upsampler", "downsampler") for side in ("", "_t")}
    same = {f"{end}.weight": torch.eye(wide)[..., None] for end in ends} | {
        f"{end}.bias": torch.zeros(wide) for end in ends
    }
    plain, resized = (
        foreign.add(saved(tmp_path / f"{n}.th", each)).model for n, each in enumerate([tensors, tensors | same])
    )
    song = tones(44100).numpy()
    assert np.allclose(networks.open_installed(plain)(song), networks.open_installed(resized)(song), atol=1e-5)


@pytest.mark.parametrize("seconds", [1e-9, Fraction(1, 44100), 0.01])
def test_a_segment_of_demucs_that_no_net_can_hear_is_refused_without_a_yaml(seconds: Any, tmp_path: Path) -> None:
    made = {"klass": Fraction, "args": (), "kwargs": {"segment": seconds}, "state": state("HTDemucs")}
    with pytest.raises(errors.UnreadableCheckpoint, match="is shorter than a frame"):
        foreign.add(saved(tmp_path / "a.th", made))
    assert installed.names() == []


def test_tensors_that_a_net_of_its_sizes_has_not_are_refused_when_they_are_taken_in(tmp_path: Path) -> None:
    normed = state("HTDemucs") | {"encoder.2.norm1.weight": torch.ones(32)}
    with pytest.raises(errors.UnreadableCheckpoint, match=r"has 1 tensors that no net .*, such as encoders\.2\.norm1"):
        foreign.add(saved(tmp_path / "a.th", {"state": normed}))
    assert installed.names() == []

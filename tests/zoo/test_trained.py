"""A model that somebody trained: taken in by its card, and from then on a model like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stemwright.errors import BadCard, BadWeights, NameKept
from stemwright.zoo import catalog, foreign, installed, loading, readiness

pytest.importorskip("onnx", reason="needs stemwright[train]")


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from tests.train.examples import SMALL

    from stemwright.nets.bandsplit import BandSplit
    from stemwright.train.learning.export import Provenance, export

    monkeypatch.setenv("STEMWRIGHT_MODELS", str(tmp_path / "models"))
    graph, card = tmp_path / "mine.onnx", tmp_path / "mine.toml"
    made_by = Provenance(recipe="mine", commit="none", scores={"test": {"vocals": 3.0, "drums": 1.0}})
    export(BandSplit(SMALL), "mine", made_by, graph=graph, card=card)
    return card


def test_it_is_a_model_like_any_other(card: Path) -> None:
    foreign.add(card, name="my-own")
    separator = loading.load("my-own")
    mix = np.random.default_rng(0).standard_normal((1, 2, separator.segment)).astype(np.float32)
    np.testing.assert_allclose(separator(mix).sum(1), mix, atol=1e-3)
    stems, experimental = loading.offered("my-own")
    assert set(stems) - set(experimental) == {"vocals"}
    assert installed.verify("my-own").facts["licence"] == "MIT"
    assert readiness.obstacles(["my-own"]) == {}
    assert loading.setup("my-own") == ("cpu", "fp32")


def test_weights_that_are_not_those_of_the_card_are_refused(card: Path) -> None:
    (card.parent / "mine.onnx").write_bytes(b"another graph")
    with pytest.raises(BadWeights, match="sha256"):
        foreign.add(card)
    (card.parent / "mine.onnx").unlink()
    with pytest.raises(BadWeights, match="missing"):
        foreign.add(card)
    assert installed.names() == []


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        (', "fx"]', ', "fx", "more"]', "masks for 12 stems, and the card has 13"),
        (', "fx"]', "]", "masks for 12 stems, and the card has 11"),
        ("n_fft = 4096", "n_fft = 8192", "does not run with these sizes"),
    ],
)
def test_a_graph_that_does_not_go_with_its_card_is_refused(card: Path, written: str, instead: str, told: str) -> None:
    text = card.read_text()
    assert written in text
    card.write_text(text.replace(written, instead))
    with pytest.raises(BadCard, match=told):
        foreign.add(card)
    assert installed.names() == []


def test_a_card_that_lost_a_stem_since_is_refused(card: Path) -> None:
    kept = foreign.add(card).model.folder / "card.toml"
    kept.write_text(kept.read_text().replace(', "fx"]', "]"))
    with pytest.raises(BadCard, match="masks for 12 stems, and the card has 11"):
        loading.load("mine")


def test_a_card_is_kept_whatever_is_told_on_it(card: Path) -> None:
    card.write_text(card.read_text().replace("vocals = 3.0", "vocals = nan\nmade = 2026-01-02"))
    foreign.add(card)
    assert str(catalog.trained("mine").scores["test"]["made"]) == "2026-01-02"
    assert np.isnan(catalog.trained("mine").scores["test"]["vocals"])


def test_it_does_not_hide_the_bundled_model(card: Path) -> None:
    with pytest.raises(NameKept, match="Choose another name"):
        foreign.add(card, name=catalog.BUNDLED)


def test_a_toml_that_is_no_card_is_refused(card: Path) -> None:
    card.write_text('name = "mine"\nhome = "/etc"\n')
    with pytest.raises(BadCard, match=r"mine\.toml"):
        foreign.add(card)

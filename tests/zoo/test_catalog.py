"""Cards are checked values, and weights are checked against them."""

from dataclasses import replace
from pathlib import Path

import pytest

from stemwright.errors import BadCard, BadWeights, UnknownModel, UnknownPrecision
from stemwright.zoo import catalog, installed, loading


def card_with(tmp_path: Path, old: str, new: str) -> Path:
    text = (catalog.CARDS / "twelve.toml").read_text("utf-8")
    assert old in text
    path = tmp_path / "changed.toml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    return path


def test_every_bundled_card_is_valid_and_its_weights_are_the_right_ones() -> None:
    assert catalog.BUNDLED in catalog.names()
    for name in catalog.names():
        card = catalog.card(name)
        assert card.name == name
        installed.compare(card.weights_path, card.sha256)


def test_the_bundled_model_has_the_twelve_stems_in_order() -> None:
    assert " ".join(catalog.card("twelve").stems) == (
        "vocals backing_vocals drums bass guitar keyboard strings brass woodwinds percussion synth fx"
    )


def test_the_separator_has_the_sizes_of_its_card() -> None:
    card, separator = catalog.card("twelve"), loading.load("twelve")
    assert (separator.rate, separator.stems) == (card.rate, card.stems)
    assert separator.segment / separator.rate == pytest.approx(card.segment_seconds)
    assert 0 < separator.hop <= separator.segment


def test_a_precision_that_there_is_not_is_refused_of_the_bundled_model_too() -> None:
    with pytest.raises(UnknownPrecision, match="nonsense"):
        loading.load("twelve", "nonsense")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rate = 44100", "rate = 0", "rate is not a whole number from 8000"),
        ("rate = 44100", "rate = inf", "rate is not a whole number"),
        ("rate = 44100", "rate = 44100.5", "rate is not a whole number"),
        ("rate = 44100", "rate = 1000000000000", "rate is not a whole number"),
        ("rate = 44100", "rate = 44100\nhome = " + "[" * 9999, "recursion"),
        ("hop_frames = 150", "hop_frames = 0.001", "frames or bins is not a whole number"),
        ("segment_frames = 173", "segment_frames = 60000", "longer than 600 s"),
        ("n_fft = 4096", "n_fft = 1073741824", "n_fft is not a whole number"),
        ('stems = ["vocals",', 'stems = ["../vocals",', "cannot be a file's"),
        ('stems = ["vocals",', 'stems = ["<script>",', "cannot be a file's"),
        ('stems = ["vocals",', "stems = [1,", "cannot be a file's"),
        ('stems = ["vocals",', 'stems = ["Drums",', "named twice"),
        ('weights = "twelve.onnx"', "weights = 3", "is no text"),
        ('licence = "MIT"', "licence = 2026-01-01", "is no text"),
        ('architecture = "bandsplit"', 'architecture = "mdx"', "architecture 'mdx' is not known"),
        ("rate = 44100", "rate = ", "Invalid value"),
        ("rate = 44100", "rate = 44100\ncolour = 1", "unexpected keyword argument 'colour'"),
        ("rate = 44100", "", "missing 1 required"),
        ("hop = 2048", "hop = 1000", "not a multiple"),
        ('window = "sine"', 'window = "hamming"', "neither hann nor sine"),
        ("mask_bins = [0, 1,", "mask_bins = [0, 0,", "does not ascend"),
        ("mask_bins = [0, 1,", "mask_bins = [1,", "does not start at 0"),
        ('stems = ["vocals",', 'stems = ["drums",', "named twice"),
        ('format = "onnx"', 'format = "pickle"', "format 'pickle' is not known"),
    ],
)
def test_a_wrong_card_says_what_is_wrong_and_where(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = card_with(tmp_path, old, new)
    with pytest.raises(BadCard, match=words) as raised:
        catalog.read(path)
    assert str(path) in str(raised.value)


def test_a_model_that_does_not_exist() -> None:
    with pytest.raises(UnknownModel, match="'thirteen'"):
        catalog.card("thirteen")


@pytest.mark.parametrize("content", [None, b"something else"])
def test_weights_that_are_missing_or_changed_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadWeights, match="missing" if content is None else "sha256 is"):
        installed.compare(path, replace(catalog.card("twelve")).sha256)

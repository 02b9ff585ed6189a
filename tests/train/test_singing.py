"""Sung stems: their shape, level and reproducibility, in every manner and on both splits."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stemwright.errors import NoVoices
from stemwright.train.singing import manners, vocals, voices
from tests.train.singers import build_library, tune

CHORDS = [(0.0, 1.5, pitch, 80.0) for pitch in (48, 52, 55)] + [(1.5, 1.5, pitch, 80.0) for pitch in (45, 48, 52)]


@pytest.fixture(scope="module", autouse=True)
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    build_library(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEMWRIGHT_TRAIN_CACHE", str(folder))
        yield folder


@pytest.mark.parametrize("kind", manners.KINDS)
def test_every_manner_sings_to_the_asked_length_and_level(kind: str) -> None:
    sound = vocals.sing(np.random.default_rng(1), tune(2.0), 2.0, style=kind, split="test")
    assert sound.shape == (88200, 2)
    assert sound.dtype == np.float32
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() == pytest.approx(10 ** (-6 / 20), rel=1e-3)


def test_the_same_seed_sings_the_same_and_another_does_not() -> None:
    first, again, other = (vocals.sing(np.random.default_rng(seed), tune(2.0), 2.0) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.05


def test_the_tract_sings_where_no_voice_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocals, "_TRACT_SHARE", 1.0)
    assert np.abs(vocals.sing(np.random.default_rng(2), tune(2.0), 2.0)).max() > 0.4


def test_the_pitch_is_the_melody_s() -> None:
    notes = [vocals.Note(0.1, 1.7, 57.0, 100.0)]
    sound = vocals.sing(np.random.default_rng(3), notes, 2.0, style="robot", split="test").mean(1)[22050:66150]
    lags = np.fft.irfft(np.abs(np.fft.rfft(sound, 2**17)) ** 2)[150:420]
    assert 44100 / (150 + lags.argmax()) == pytest.approx(220, rel=0.02)


@pytest.mark.parametrize("seed", range(6))
def test_backing_has_the_asked_length_and_level_and_two_sides(seed: int) -> None:
    sound = vocals.backing(np.random.default_rng(seed), tune(3.0), CHORDS, 3.0)
    assert sound.shape == (132300, 2)
    assert np.abs(sound).max() == pytest.approx(10 ** (-6 / 20), rel=1e-3)
    assert np.abs(sound[:, 0] - sound[:, 1]).max() > 0.01


def test_nothing_to_sing_is_silence() -> None:
    assert not vocals.backing(np.random.default_rng(0), [], [], 1.0).any()
    quiet = vocals.sing(np.random.default_rng(0), [], 1.0, split="test")
    assert quiet.shape == (44100, 2)
    assert not quiet.any()


def test_overlapping_and_unordered_notes_are_sung_one_at_a_time() -> None:
    notes = [(1.0, 5.0, 62, 90), (0.2, 3.0, 60, 90), (-1.0, 0.5, 60, 90), (9.0, 1.0, 60, 90)]
    assert [note.seconds for note in vocals._clean(notes, 2.0)] == [0.8, 1.0]


def test_a_missing_library_says_how_to_build_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_TRAIN_CACHE", str(tmp_path))
    with pytest.raises(NoVoices, match="stemwright train voices"):
        vocals.sing(np.random.default_rng(0), tune(1.0), 1.0, split="test")
    assert voices.library_folder() == tmp_path / "voices"

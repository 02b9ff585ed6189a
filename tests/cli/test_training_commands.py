"""`stemwright train` and `evaluate` where something is wrong: one line, the right status, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemwright.cli import run

pytest.importorskip("torch", reason="needs stemwright[train]")

from tests.train.examples import needs_sounds


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["compose", "DATA", "--split", "tst"], "--split"),
        (["compose", "DATA", "--songs", "0"], "--songs"),
        (["compose", "DATA", "--seconds", "nan"], "--seconds"),
        (["compose", "DATA", "--seed", "-5"], "--seed"),
        (["compose", "DATA", "--workers", "0"], "--workers"),
        (["run", "DATA", "--until", "0"], "--until"),
        (["run", "DATA", "--start", "thirteen"], "no model 'thirteen'"),
        (["song", "DATA", "--format", "xyz"], "no output format"),
    ],
)
def test_words_that_make_no_sense_are_a_misuse(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    assert run(["train", *(word.replace("DATA", str(folder)) for word in words)]) == 2
    assert told in capsys.readouterr().err
    assert not folder.exists()


def test_a_folder_that_cannot_be_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "stems").mkdir()
    assert run(["evaluate", str(tmp_path / "stems"), "--out", str(tmp_path / "file" / "report")]) == 1
    assert "cannot be used: Not a directory" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--stem", "Take 3"], ["--stem", "a=bass+drms"], ["--limit", "0"]])
def test_a_measurement_that_makes_no_sense(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(tmp_path), *words]) == 2
    assert words[0] in capsys.readouterr().err


@needs_sounds
@pytest.mark.parametrize("format", ["wav", "flac"])
def test_a_song_is_not_written_among_others(format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vocals.wav").write_bytes(b"mine")
    assert run(["train", "song", str(tmp_path), "--format", format, "--seconds", "1"]) == 1
    assert "has sounds already (vocals.wav)" in capsys.readouterr().err
    assert (tmp_path / "vocals.wav").read_bytes() == b"mine"


def test_no_voice_at_all_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyworld", reason="needs stemwright[voices]")
    from stemwright.train.singing import voices
    from stemwright.train.singing.speakers import Speaker

    mute = Speaker("none", "flite", "en", "CMU", "flite", "train", 1, ("no-such-program-here", "{file}", "{wav}"))
    monkeypatch.setattr(voices, "every_speaker", lambda: [mute])
    assert run(["train", "voices", str(tmp_path / "voices")]) == 1
    told = capsys.readouterr().err
    assert "Debian package flite" in told
    assert "0 voices" in told

"""What people read of a finished song."""

from pathlib import Path

import pytest

from stemwright.cli.reports import report
from stemwright.outcome import SeparatedFiles, Stem


def told(capsys: pytest.CaptureFixture[str], song: Path, *stems: str, gain_db: float = 0) -> list[str]:
    files = SeparatedFiles(
        model="twelve",
        device="cpu",
        precision="fp32",
        rate=48000,
        seconds=3,
        gain_db=gain_db,
        facts={name: Stem(name, -10.0, 1.0, silent=False, experimental=False, model="twelve") for name in stems},
        paths={name: song.with_name(name) for name in stems} or {"stem.mp4": song.with_name("stem.mp4")},
        length=144000,
    )
    with report(1, as_json=False) as tables:
        tables.finished(song, files)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_a_long_title_and_a_long_sentence_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    song, stem = Path("music") / f"{'a' * 60} [live].wav", "no_vocals_backing_vocals"
    lines = told(capsys, song, stem, gain_db=-1.69)
    assert lines[0] == f"{song.name}, 0:03, by twelve in fp32 on cpu"
    assert lines[3] == f"All stems were turned down by 1.69 dB: {stem} would have clipped."


def test_where_there_are_no_stems_there_is_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, Path("music/tune.wav"), gain_db=-1)
    assert lines == ["tune.wav, 0:03, by twelve in fp32 on cpu", "1 file in music", ""]


def test_figures_are_whole_in_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "42")
    lines = told(capsys, Path("music/tune.wav"), "vocals", "backing_vocals")
    assert lines[2].split() == ["vocals", "-10.0", "dBFS", "1.0", "dBFS"]

"""The commands on the page about separating run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemwright.cli import run

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "separating.md").read_text("utf-8")
BLOCKS = dict(re.findall(r"```(csv|json)\n(.*?)```", PAGE, re.DOTALL))
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = re.findall(r"^stemwright (separate .*)$", SHELL, re.MULTILINE)
OPTIONS = [option.replace("\\|", "|") for option in re.findall(r"^\| `(--[^`]*)`", PAGE, re.MULTILINE)]


@pytest.fixture
def songs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tone = np.random.default_rng(0).uniform(-0.3, 0.3, (4410, 2))
    for number, name in enumerate(("song", "live", "album/a", "music/b", "music/c", "one", "two", "three")):
        path = tmp_path / f"{name}.flac"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, tone * 0.9**number, 44100)
        path.with_suffix(".mp3").write_bytes(path.read_bytes())  # the decoder looks inside
    (tmp_path / "list.csv").write_text(BLOCKS["csv"])
    (tmp_path / "list.jsonl").write_text(BLOCKS["json"])


@pytest.mark.parametrize("command", [*COMMANDS, "separate --manifest list.jsonl"])
def test_a_command_of_the_page_runs(songs: None, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shlex.split(command, comments=True)) == 0, capsys.readouterr().err


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_of_the_page_runs(songs: None, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, *values = shlex.split(option)
    for value in [value for text in values for value in text.split("|")]:
        extra = {"24": ["--format", "flac"], "32f": ["--format", "wav"], "16": ["--format", "wav"]}.get(value, [])
        extra += ["--stems", "drums"] if name in ("--rest", "--silent", "--format", "--bitrate", "--rate") else []
        assert run(["separate", "song.mp3", name, value, *extra]) == 0, capsys.readouterr().err


def test_the_page_names_every_status_and_every_option() -> None:
    from stemwright.batch.texts import OPTIONS as KNOWN

    assert re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE) == ["0", "1", "2", "70", "130"]
    assert not [
        option
        for option in KNOWN
        if f"--{option}" not in PAGE and option not in ("model", "profile", "precision", "dither")
    ]

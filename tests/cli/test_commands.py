"""The command line around its commands."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from stemwright.batch.journal import Journal
from stemwright.cli import app, run
from stemwright.zoo import catalog


def test_every_command_is_there_and_tells_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    told = capsys.readouterr().out
    names = [name for name in app if not name.startswith("-")]
    assert {"separate", "models", "evaluate", "train", "serve", "worker", "keys", "credits", "maintenance"} <= set(
        names
    )
    assert all(name in told for name in names)


def parameters(of: App, path: str = "stemwright") -> Iterator[tuple[str, str | None]]:
    """Each parameter of a command and of those below it, with what its help says of it."""
    if of.default_command:
        found = of.assemble_argument_collection(parse_docstring=True)
        yield from ((f"{path} {one.name}", one.parameter.help) for one in found if one.show)
    for name in of:
        if not name.startswith("-"):
            yield from parameters(of[name], f"{path} {name}")


def test_help_says_of_every_parameter_what_it_is_for() -> None:
    told = dict(parameters(app))
    assert {"stemwright separate --out", "stemwright keys create --scope", "stemwright serve --port"} <= set(told)
    assert [name for name, help_text in told.items() if not help_text] == []


@pytest.mark.parametrize(
    "words",
    [
        *("separate x --jobs 1.5", "separate x --bitrate 192.5", "accounts share me 1.5", "serve --port 80.5"),
        *("credits ledger me --limit 1.5", "credits grant me 1.5", "models pull x --at-once 1.5"),
        *("train compose f --songs 1.5", "tasks list --limit 1e3"),
    ],
)
def test_no_fraction_is_rounded_to_a_whole_number(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words.split()) == 2
    assert f"Must be a whole number, not '{words.rsplit(maxsplit=1)[-1]}'." in capsys.readouterr().err


def test_help_imports_no_command() -> None:
    heavy = ("numpy", "av", "onnxruntime", "torch", "sqlalchemy", "fastapi", "dbos", "rich.progress")
    code = (
        f"from stemwright.cli import run; import sys; run(['--help']); print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_interrupt_before_the_command_begins_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "cyclopts.py").write_text("import signal; signal.raise_signal(signal.SIGINT)")
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from stemwright.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code, tmp_path, "version"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


def test_an_interrupt_after_the_command_has_ended_is_no_traceback() -> None:
    late = "atexit.register(signal.raise_signal, signal.SIGINT)"
    code = f"import atexit, signal; from stemwright import cli; {late}; cli.main(['version'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


def test_an_unknown_command_is_a_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["seperate"]) == 2
    assert (
        capsys.readouterr().err
        == "stemwright: There is no command 'seperate'. `stemwright --help` shows those that exist.\n"
    )


def test_a_file_in_the_place_of_a_command_or_an_option_is_told_how(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-tune.wav", "tune.wav"):
        Path(name).touch()
    for arguments, told in (
        (["tune.wav"], "There is no command 'tune.wav'. `stemwright separate tune.wav` separates it."),
        (["separate", "-tune.wav"], "-tune.wav was taken for an option. Write ./-tune.wav"),
        (["separate", "-"], "A pipe (-) is not read. Save it to a file, and give that."),
    ):
        assert run(arguments) == 2
        assert capsys.readouterr().err == f"stemwright: {told}\n"


def test_an_error_nobody_foresaw_is_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.command(name="stumble", show=False)
    def stumble() -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.delenv("STEMWRIGHT_TRACEBACK", raising=False)
    try:
        assert run(["stumble"]) == 70
        told = "an unexpected error: ZeroDivisionError: by zero; set STEMWRIGHT_TRACEBACK=1 to see where"
        assert capsys.readouterr().err == f"stemwright: {told}\n"
        monkeypatch.setenv("STEMWRIGHT_TRACEBACK", "1")
        with pytest.raises(ZeroDivisionError):
            run(["stumble"])
    finally:
        del app["stumble"]


def test_models_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["models"]
    assert [model["name"] for model in listed][:1] == catalog.names()
    assert run(["models", "show", "twelve"]) == 0
    assert "backing_vocals" in capsys.readouterr().out
    assert run(["models", "show", "nothing"]) == 2


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert run(["version"]) == 0
    assert capsys.readouterr().out.strip() == version("stemwright")


@pytest.mark.parametrize(
    ("song", "folder"), [("a.mp3", "a"), ("Mr. Blue.mp3", "Mr. Blue"), ("...mp3", "song"), (" x .wav", "x")]
)
def test_a_song_s_folder_never_means_another(tmp_path: Path, song: str, folder: str) -> None:
    assert Journal(tmp_path).name_for(Path(song), "", set()) == folder

"""`stemwright separate` as people and machines run it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

COMMAND = [sys.executable, "-m", "stemwright"]


def wav(path: Path, seconds: float = 0.3, rate: int = 44100, level: int = 8000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = np.sin(2 * np.pi * 220 * np.arange(max(1, round(seconds * rate))) / rate) * level
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(tone.astype("<i2").tobytes())
    return path


def stemwright(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload]
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120, **options
    )


def files_in(folder: Path) -> list[str]:
    """All but the journal, which says what is done."""
    inside = [path for path in folder.rglob("*") if path.is_file() and path.name != ".stemwright.jsonl"]
    return sorted(str(path.relative_to(folder)) for path in inside)


def test_twelve_mp3s_and_a_table(tmp_path: Path) -> None:
    done = stemwright("separate", wav(tmp_path / "A [red] tune.wav"), "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(files_in(tmp_path / "out" / "A [red] tune")) == 12
    assert "A [red] tune/backing_vocals.mp3" in files_in(tmp_path / "out")
    assert "A [red] tune.wav, 0:00" in done.stdout
    assert "backing_vocals" in done.stdout
    assert "dBFS" in done.stdout
    assert done.stderr == ""


def test_a_format_in_a_list_brings_its_own_bits(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        wav(tmp_path / name)
    (tmp_path / "list.csv").write_text("path,format\na.wav,mp3\nb.wav,\n")
    told = ["--out", tmp_path / "out", "--stems", "drums", "--format", "flac", "--bits", "24"]
    done = stemwright("separate", "--manifest", tmp_path / "list.csv", *told)
    assert done.returncode == 0, done.stderr
    assert files_in(tmp_path / "out") == ["a/drums.mp3", "b/drums.flac"]


def test_the_table_says_which_models_of_a_recipe_made_it_and_in_what(tmp_path: Path) -> None:
    done = stemwright(
        "separate", wav(tmp_path / "a.wav"), "--out", tmp_path / "out", "--model", "fast", "--stems", "bass"
    )
    assert "a.wav, 0:00, by fast in fp32 on cpu" in done.stdout
    assert [line.split()[-1] for line in done.stdout.splitlines() if "bass" in line] == ["twelve"]


@pytest.mark.parametrize("format", ["opus", "m4a"])
def test_two_stems_in_another_format(tmp_path: Path, format: str) -> None:
    done = stemwright("separate", wav(tmp_path / "a.wav"), "--out", tmp_path / "out", "--two", "--format", format)
    assert done.returncode == 0, done.stderr
    assert files_in(tmp_path / "out") == [f"a/instrumental.{format}", f"a/vocals.{format}"]


def test_files_and_folders_at_once_and_one_failure_stops_nothing(tmp_path: Path) -> None:
    wav(tmp_path / "album" / "one.wav")
    wav(tmp_path / "album" / "disc 2" / "one.wav")
    wav(tmp_path / "album" / ".hidden" / "no.wav")
    (tmp_path / "album" / "cover.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "text.mp3").write_text("not music")
    (tmp_path / "empty").mkdir()
    songs = [tmp_path / "text.mp3", tmp_path / "album", tmp_path / "missing.mp3", tmp_path / "empty"]
    done = stemwright("separate", *songs, "--out", tmp_path / "out", "--stems", "drums, bass", "--format", "flac")
    assert done.returncode == 1
    stems = ["bass.flac", "drums.flac"]
    assert files_in(tmp_path / "out") == [f"{folder}/{stem}" for folder in ("one (2)", "one") for stem in stems]
    complaints = done.stderr.splitlines()
    assert len(complaints) == 4
    assert complaints[0].startswith(f"stemwright: {tmp_path / 'text.mp3'} is not audio")
    assert "no file" in complaints[1]
    assert "no audio or video file in the folder" in complaints[2]
    assert complaints[3] == "2 of 5 songs separated, 3 failed"


def test_a_second_run_does_not_separate_the_stems_of_the_first(tmp_path: Path) -> None:
    wav(tmp_path / "a.wav")
    for _ in range(2):
        assert stemwright("separate", ".", "--out", "stems", "--two", cwd=tmp_path).returncode == 0
    assert files_in(tmp_path / "stems") == ["a/instrumental.mp3", "a/vocals.mp3"]


def test_json_is_one_event_a_line(tmp_path: Path) -> None:
    song = wav(tmp_path / "a.wav")
    done = stemwright("separate", song, tmp_path / "no.mp3", "--out", tmp_path / "out", "--two", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert (kinds[0], kinds[-3:]) == ("started", ["started", "error", "end"])
    finished = events[kinds.index("finished")]
    assert finished["stems"]["vocals"]["path"] == str(tmp_path / "out" / "a" / "vocals.mp3")
    assert {"loudness_dbfs", "silent", "experimental"} <= finished["stems"]["vocals"].keys()
    assert finished["seconds"] == 0.3
    assert events[-2] == {
        "event": "error", "song": str(tmp_path / "no.mp3"), "error": "FileMissing",
        "message": f"There is no file {tmp_path / 'no.mp3'}. Check the path.",
    }  # fmt: skip
    assert events[-1] == {"event": "end", "separated": 1, "skipped": 0, "failed": 1}
    assert done.returncode == 1


def test_a_song_of_nothing_has_no_folder(tmp_path: Path) -> None:
    silence = wav(tmp_path / "a.wav", level=0)
    asked = ("separate", silence, "--out", tmp_path / "out", "--two", "--silent", "skip")
    events = [json.loads(line) for line in stemwright(*asked, "--json").stdout.splitlines()]
    assert [event["folder"] for event in events if event["event"] == "finished"] == [None]
    assert "done already, all stems are silent (--again" in stemwright(*asked).stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "Give at least one song or folder."),
        (["x.wav", "--wibble"], 2, "Unknown option"),
        (
            ["x.wav", "--stems", "vocals,voclas"],
            2,
            "There is no stem 'voclas' in the model twelve. Is it vocals? Choose from: vocals,",
        ),
        (["x.wav", "--rate", "1"], 2, "There is no sound at 1 samples per second."),
        (["x.wav", "--stems", "none", "--also", "rpp,zip"], 2, "No stem, group or mix is left to write."),
        (["x.wav", "--stems", "none", "--also", "stem.mp4,rpp"], 2, "rpp and zip are made of them too."),
        (["x.wav", "--preview", "0"], 2, "There is no preview of 0.0 s."),
        (["x.wav", "--format", "exe"], 2, "There is no output format 'exe'. Choose one of: mp3"),
        (["x.wav", "--model", "x"], 2, "There is no model 'x'"),
        (["x.wav", "--name", "{stem"], 2, "The name template '{stem' cannot be used"),
        (["x.wav"], 1, "There is no file x.wav"),
        (["set.m3u8"], 2, "set.m3u8 is a list of songs. Give it with --manifest."),
        (
            ["https://example.com/x.mp3"],
            2,
            "https://example.com/x.mp3 is an address, and songs are files here. Download it first.",
        ),
    ],
)
def test_an_error_is_one_clear_line(tmp_path: Path, arguments: list[str], status: int, words: str) -> None:
    done = stemwright("separate", *arguments, cwd=tmp_path)
    assert done.returncode == status
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert files_in(tmp_path) == []


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = stemwright("separate", wav(tmp_path / "a.wav"), "--out", tmp_path / "file")
    assert done.returncode == 1
    assert "file could not be written: File exists" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.wav", "--two", "--out", "locked"], "locked/a could not be written: Permission denied"),
        (["locked/x.mp3"], "locked/x.mp3 could not be read: Permission denied"),
        (["locked"], "locked could not be read: Permission denied"),
        (["album"], "album/locked could not be read: Permission denied"),
    ],
)
def test_a_folder_that_may_not_be_entered(tmp_path: Path, arguments: list[str], words: str) -> None:
    wav(tmp_path / "a.wav")
    (tmp_path / "locked").mkdir(mode=0)
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "locked").mkdir(mode=0)
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    if powerless and not shutil.which("setpriv"):
        pytest.skip("root may enter every folder")
    command = [*powerless, *COMMAND, "separate", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"stemwright: {words}")
    assert done.stderr.count("\n") == 1


def test_a_pipe_is_told_from_a_song(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = stemwright("separate", tmp_path / "pipe")
    assert "pipe could not be read: it is a pipe" in done.stderr
    assert done.returncode == 1


def test_a_limit_on_the_size_of_files_leaves_nothing_behind(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    song = wav(tmp_path / "a.wav", 1.0)
    done = stemwright("separate", song, "--out", tmp_path / "out", "--two", preexec_fn=limit)
    assert done.returncode == 1
    assert "could not be written: File too large" in done.stderr
    assert not (tmp_path / "out" / "a").exists()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, tiny_disk: Path) -> None:
    done = stemwright("separate", wav(tmp_path / "a.wav", 3.0), "--out", tiny_disk / "out")
    assert done.returncode == 1
    assert "The disk is full" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tiny_disk.iterdir()) == []


def test_a_name_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    song = tmp_path / os.fsdecode(b"red\x1b[31m\nand \xff.wav")
    wav(tmp_path / "a.wav", 1.0).rename(song)
    asked = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "utf-8:strict"}
    done, missing = (
        subprocess.run([*COMMAND, "separate", path, "--two", "--out", tmp_path / "out"], env=asked, capture_output=True)  # noqa: PLW1510
        for path in (song, tmp_path / "no\x1b[0m.wav")
    )
    assert done.returncode == 0
    assert done.stdout.startswith(rb"red\x1b[31m\nand \udcff.wav, 0:01")
    assert missing.returncode == 1
    assert b"no\\x1b[0m.wav" in missing.stderr
    assert b"\x1b" not in done.stdout + done.stderr + missing.stderr


@pytest.mark.parametrize(("stop", "stage"), [(signal.SIGINT, "separating"), (signal.SIGTERM, "encoding")])
def test_an_interrupt_leaves_no_half_written_file(tmp_path: Path, stop: signal.Signals, stage: str) -> None:
    song = wav(tmp_path / "a.wav", 20.0)
    command = [*COMMAND, "separate", str(song), "--out", str(tmp_path / "out"), "--json", "--format", "m4a"]
    command += [] if stage == "separating" else ["--two"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            if json.loads(line).get("stage") == stage:
                process.send_signal(stop)
                break
        complaint = process.stderr.read()
        assert process.wait(30) == 130
    assert complaint.startswith("stemwright: stopping")
    assert complaint.endswith("stemwright: interrupted: nothing half-written was left behind\n")
    assert not (tmp_path / "out").exists()


def test_the_bar_is_for_terminals_only(tmp_path: Path) -> None:
    master, slave = os.openpty()
    command = [*COMMAND, "separate", str(wav(tmp_path / "a.wav", 9.0)), "--out", str(tmp_path / "out"), "--two"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    shown = b""
    try:
        while piece := os.read(master, 4096):
            shown += piece
    except OSError:
        pass  # how a terminal says that the other end is gone
    finally:
        os.close(master)
    assert process.wait(30) == 0
    assert b"separating" in shown
    assert b"left" in shown

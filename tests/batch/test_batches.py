"""Batches: what is done is skipped, what fails stops nothing, what is killed goes on where it was."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemwright.audio.encode import open_stem
from stemwright.audio.parts import open_part, part_of
from stemwright.batch import running
from stemwright.batch.estimate import Estimate, Whole
from stemwright.batch.journal import NAME, Journal
from stemwright.batch.journal import digest_of as whole_digest
from stemwright.batch.running import separate_jobs
from stemwright.batch.songs import jobs
from stemwright.engine.progress import Progress
from stemwright.errors import StemwrightError
from stemwright.outcome import SeparatedFiles
from stemwright.wish import Wish

WISH = Wish.of(two=True, format="wav")


class Heard:
    """A report that only remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.wholes: list[Whole] = []
        self.at_once = self.under_way = 0

    def started(self, song: Path) -> None:
        self.under_way += 1
        self.at_once = max(self.at_once, self.under_way)

    def progress(self, song: Path, done: Progress, whole: Whole) -> None:
        self.wholes.append(whole)

    def finished(self, song: Path, files: SeparatedFiles) -> None:
        self._end("finished", song)

    def skipped(self, song: Path, files: list[Path]) -> None:
        assert all(file.exists() for file in files)
        self._end("skipped", song)

    def failed(self, song: Path, error: StemwrightError) -> None:
        self._end(type(error).__name__, song)

    def _end(self, what: str, song: Path) -> None:
        self.under_way -= 1
        self.events.append((what, song.name))


def tone(path: Path, hz: float = 220.0, seconds: float = 0.2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(seconds * 44100)) / 44100
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * hz * t), 44100)
    return path


def separated(paths: list[Path], out: Path, *, wish: Wish = WISH, **how: object) -> list[tuple[str, str]]:
    heard = Heard()
    separate_jobs(jobs([(path, wish) for path in paths], out), out, heard, **how)  # type: ignore[arg-type]
    return heard.events


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_what_is_done_is_skipped_by_content_model_and_options(tmp_path: Path) -> None:
    song, out = tone(tmp_path / "a.wav"), tmp_path / "out"
    assert separated([song], out) == [("finished", "a.wav")]
    assert separated([song], out) == [("skipped", "a.wav")]
    assert separated([song], out, wish=Wish.of(two=True, format="wav-16")) == [("skipped", "a.wav")]
    assert separated([song], out, wish=Wish.of(two=True, format="wav", bits=24)) == [("finished", "a.wav")]
    assert separated([song], out) == [("finished", "a.wav")]  # its files were written over
    assert separated([song], out, again=True) == [("finished", "a.wav")]
    tone(song, hz=330)
    assert separated([song], out) == [("finished", "a.wav")]
    (out / "a" / "vocals.wav").unlink()
    assert separated([song], out) == [("finished", "a.wav")]
    assert files_in(out) == [NAME, "a/instrumental.wav", "a/vocals.wav"]


def test_a_result_that_is_not_as_it_was_written_is_done_again(tmp_path: Path) -> None:
    song, out = tone(tmp_path / "a.wav"), tmp_path / "out"
    separated([song], out)
    cut = out / "a" / "vocals.wav"
    cut.write_bytes(cut.read_bytes()[:-100])
    assert separated([song], out) == [("finished", "a.wav")]


def test_a_song_that_was_moved_is_still_done(tmp_path: Path) -> None:
    tone(tmp_path / "old" / "a.wav")
    assert separated([tmp_path / "old"], tmp_path / "out") == [("finished", "a.wav")]
    (tmp_path / "old").rename(tmp_path / "new")
    assert separated([tmp_path / "new"], tmp_path / "out") == [("skipped", "a.wav")]


def test_another_song_of_the_same_name_never_takes_a_folder(tmp_path: Path) -> None:
    first, second = tone(tmp_path / "x" / "one.wav"), tone(tmp_path / "y" / "one.wav", hz=440)
    separated([first], tmp_path / "out")
    kept = (tmp_path / "out" / "one" / "vocals.wav").read_bytes()
    separated([second], tmp_path / "out")
    assert (tmp_path / "out" / "one" / "vocals.wav").read_bytes() == kept
    assert (tmp_path / "out" / "one (2)" / "vocals.wav").exists()
    assert separated([second, first], tmp_path / "out") == [("skipped", "one.wav"), ("skipped", "one.wav")]


def test_a_name_that_is_no_utf8_is_written_in_every_format_and_file(tmp_path: Path) -> None:
    song = tone(tmp_path / "a.wav").rename(tmp_path / "Caf\udce9.wav")
    for format in ("wav", "mp3", "m4a"):
        wish = Wish.of(stems=["drums"], format=format, also=["stem.mp4", "dawproject", "rpp", "report", "zip"])
        assert separated([song], tmp_path / format, wish=wish) == [("finished", song.name)]
        assert (tmp_path / format / "Caf_" / f"drums.{format}").is_file()


def test_the_folders_of_an_album_are_kept_where_the_template_says_so(tmp_path: Path) -> None:
    album = tmp_path / "album"
    for place, hz in (("CD 1", 220), ("CD 2/live", 330), (".", 440)):
        tone(album / place / "01.wav", hz)
    wish, out = Wish.of(stems=["drums"], format="wav", names="{folder}/{song}/{stem}.{ext}"), tmp_path / "out"
    assert [kind for kind, _ in separated([album], out, wish=wish)] == ["finished"] * 3
    expected = [NAME, "01/drums.wav", "CD 1/01/drums.wav", "CD 2/live/01/drums.wav"]
    assert files_in(out) == expected
    assert [kind for kind, _ in separated([album], out, wish=wish)] == ["skipped"] * 3


def test_names_that_collide_across_songs_get_numbers_before_anything_is_written(tmp_path: Path) -> None:
    wish = Wish.of(two=True, format="wav", names="{artist} ({stem})")
    songs = [tone(tmp_path / f"{name}.wav", hz) for name, hz in (("a", 220), ("b", 330))]
    separated(songs, tmp_path / "out", wish=wish)
    assert files_in(tmp_path / "out") == [
        NAME,
        "Unknown artist (instrumental) (2).wav",
        "Unknown artist (instrumental).wav",
        "Unknown artist (vocals) (2).wav",
        "Unknown artist (vocals).wav",
    ]


def test_a_song_is_never_written_over_by_stems(tmp_path: Path) -> None:
    song, other = tone(tmp_path / "vocals.wav"), tone(tmp_path / "a.wav", hz=330)
    before = song.read_bytes()
    separated([other, song], tmp_path, wish=Wish.of(two=True, format="wav", names="{stem}.{ext}"))
    assert song.read_bytes() == before
    assert {"vocals (2).wav", "vocals (3).wav"} <= set(files_in(tmp_path))


@pytest.mark.parametrize("named", ["absolute", "relative", "dots", "pattern"])
def test_stems_of_an_earlier_run_are_no_songs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    tone(tmp_path / ".hidden" / "album" / "a.wav")
    tone(tmp_path / ".hidden" / "album" / ".trash" / "b.wav")
    album = tmp_path / ".hidden" / "album"
    monkeypatch.chdir(album)
    paths = {"absolute": album, "relative": Path(), "dots": Path("../album"), "pattern": Path("**/*.wav")}
    for out in (Path("stems"), album / "stems", Path("..", "album", "stems"), album):
        separated([paths["relative"]], out)
        assert [job.song.name for job in jobs([(paths[named], WISH)], out)] == ["a.wav"]
        shutil.rmtree(album / "stems", ignore_errors=True)


def test_stems_in_another_folder_of_results_are_no_songs_unless_it_is_the_one_that_is_given(tmp_path: Path) -> None:
    tone(tmp_path / "album" / "a.wav")
    made = tmp_path / "album" / "deep" / "stems"
    separated([tmp_path / "album"], made)
    tone(made / "b.wav")
    for place in (tmp_path, tmp_path / "album", tmp_path / "**" / "*.wav"):
        assert [job.song.name for job in jobs([(place, WISH)], tmp_path / "out")] == ["a.wav", "b.wav"]
    found = [job.song.name for job in jobs([(made, WISH)], tmp_path / "out")]
    assert found == ["instrumental.wav", "vocals.wav", "b.wav"]


def test_two_runs_into_one_folder_do_no_harm_to_each_other(tmp_path: Path) -> None:
    song, out = tone(tmp_path / "1.wav"), tmp_path / "out"
    slow = open_stem(out / "1" / "vocals.wav", rate=44100, format="wav")
    slow.write(np.zeros((2, 100), np.float32))
    assert separated([song], out) == [("CannotWrite", "1.wav")]
    slow.write(np.zeros((2, 100), np.float32))
    slow.finish()
    assert soundfile.info(out / "1" / "vocals.wav").frames == 200
    assert separated([song], out) == [("finished", "1.wav")]


class Meanwhile(Heard):
    """When the first song begins, or is `late` and done, another run separates one into the same folder."""

    def __init__(self, song: Path, out: Path, *, late: bool = False) -> None:
        super().__init__()
        self.meanwhile, self._other, self._late = list[tuple[str, str]](), (song, out), late

    def started(self, song: Path) -> None:
        super().started(song)
        if not self._late:
            self._separate()

    def finished(self, song: Path, files: SeparatedFiles) -> None:
        super().finished(song, files)
        self._separate()

    def _separate(self) -> None:
        if not self.meanwhile:
            other, out = self._other
            self.meanwhile = separated([other], out)


def test_two_runs_at_once_never_give_two_songs_one_name(tmp_path: Path) -> None:
    first, second = tone(tmp_path / "x" / "one.wav"), tone(tmp_path / "y" / "one.wav", seconds=0.3)
    heard = Meanwhile(second, out := tmp_path / "out")
    separate_jobs(jobs([(first, WISH)], out), out, heard)
    assert heard.events == heard.meanwhile == [("finished", "one.wav")]
    frames = [soundfile.info(out / name / "vocals.wav").frames for name in ("one", "one (2)")]
    assert frames == [8820, 13230]
    assert separated([second, first], out) == [("skipped", "one.wav"), ("skipped", "one.wav")]


def test_two_runs_at_once_never_give_two_songs_one_path(tmp_path: Path) -> None:
    songs, out = [tone(tmp_path / "a.wav"), tone(tmp_path / "b.wav")], tmp_path / "out"
    first, second = Journal(out), Journal(out)
    for journal, song in zip((first, second), songs, strict=True):
        with journal.alone():
            journal.named(song.stem, song, song.stem)
    assert first.claims.claim("a", [out / "Tune.mp3"]) == [out / "Tune.mp3"]
    assert second.claims.claim("b", [out / "Tune.mp3"]) == [out / "Tune (2).mp3"]
    songs[0].unlink()  # and with it, whoever would write its stems
    assert Journal(out).claims.claim("c", [out / "Tune.mp3"]) == [out / "Tune.mp3"]


@pytest.mark.parametrize("late", [False, True])
def test_what_another_run_has_done_meanwhile_is_skipped(tmp_path: Path, *, late: bool) -> None:
    songs = [tone(tmp_path / "1.wav"), tone(tmp_path / "2.wav", 330)]
    heard = Meanwhile(songs[1], out := tmp_path / "out", late=late)
    separate_jobs(jobs([(song, WISH) for song in songs], out), out, heard)
    assert heard.events == [("finished", "1.wav"), ("skipped", "2.wav")]


def test_a_run_that_did_nothing_leaves_what_another_did_meanwhile(tmp_path: Path) -> None:
    song, idle = tone(tmp_path / "1.wav"), Journal(tmp_path / "out")
    separated([song], tmp_path / "out")
    idle.leave()
    assert separated([song], tmp_path / "out") == [("skipped", "1.wav")]


def test_one_failed_file_does_not_stop_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.mp3").write_text("no sound")
    songs = [tmp_path / "text.mp3", tmp_path / "missing.wav", tone(tmp_path / "a.wav"), tone(tmp_path / "bug.wav", 99)]
    real = running.fulfil

    def buggy(wish: Wish, song: Path, *rest: object, **named: object) -> SeparatedFiles:
        if song.name == "bug.wav":
            raise ZeroDivisionError("what nobody foresaw")
        return real(wish, song, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(running, "fulfil", buggy)
    assert separated(songs, tmp_path / "out") == [
        ("NotAudio", "text.mp3"), ("FileMissing", "missing.wav"), ("finished", "a.wav"), ("Unforeseen", "bug.wav"),
    ]  # fmt: skip


def test_several_songs_at_once_are_the_same_files(tmp_path: Path) -> None:
    songs = [tone(tmp_path / f"{hz}.wav", hz, seconds=1.0) for hz in (110, 220, 330, 440)]
    separated(songs, tmp_path / "one")
    heard = Heard()
    separate_jobs(jobs([(song, WISH) for song in songs], tmp_path), tmp_path / "three", heard, at_once=3)
    assert heard.at_once == 3
    assert files_in(tmp_path / "three") == files_in(tmp_path / "one")
    for name in files_in(tmp_path / "one")[1:]:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "three" / name).read_bytes()


def test_an_interrupt_keeps_what_is_finished_and_the_next_run_goes_on(tmp_path: Path) -> None:
    songs = [tone(tmp_path / f"{hz}.wav", hz) for hz in (110, 220, 330)]

    class Impatient(Heard):
        def started(self, song: Path) -> None:
            if song.name == "220.wav":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        separate_jobs(jobs([(song, WISH) for song in songs], tmp_path), tmp_path / "out", Impatient())
    assert not [thread for thread in threading.enumerate() if "survey" in thread.name]
    assert separated(songs, tmp_path / "out") == [
        ("skipped", "110.wav"), ("finished", "220.wav"), ("finished", "330.wav"),
    ]  # fmt: skip


@pytest.mark.parametrize("at_once", [1, 2])
def test_an_interrupt_ends_the_survey_in_the_middle_of_a_large_file(
    tmp_path: Path, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def digest_of(song: Path) -> str:
        digest = whole_digest(song)
        read.append(song.name)
        return digest

    monkeypatch.setattr(running, "digest_of", digest_of)
    song, large = tone(tmp_path / "song.wav"), tmp_path / "large.wav"
    large.touch()
    os.truncate(large, 3 << 30)  # takes no room on the disk

    class Impatient(Heard):
        def started(self, song: Path) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        separate_jobs(
            jobs([(each, WISH) for each in (song, large)], tmp_path), tmp_path / "out", Impatient(), at_once=at_once
        )
    assert read == ["song.wav"]


@pytest.mark.parametrize("at_once", [1, 2])
def test_killed_in_the_middle_of_a_song_it_resumes_after_the_finished_ones(tmp_path: Path, at_once: int) -> None:
    short, long = tone(tmp_path / "1.wav"), tone(tmp_path / "2.wav", 330, seconds=60)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "stemwright", "separate", short, long, "--out", out, "--json", "--stems", "drums"]
    command += ["--format", "wav", "--jobs", str(at_once)]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        finished = progressed = False
        for line in process.stdout:
            event = json.loads(line)
            finished = finished or event["event"] == "finished"
            progressed = progressed or (event["event"] == "progress" and event["song"] == str(long))
            if finished and progressed:
                break
        process.send_signal(signal.SIGKILL)
    assert files_in(out) == [NAME, "1/drums.wav"]
    soundfile.write(long, np.zeros(4410), 44100)
    assert separated([short, long], out, wish=Wish.of(stems=["drums"], format="wav")) == [
        ("skipped", "1.wav"), ("finished", "2.wav"),
    ]  # fmt: skip


def test_a_failure_leaves_no_trace(tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    soundfile.write(bad, np.full((44100, 2), np.nan), 44100, subtype="FLOAT")
    assert separated([bad], tmp_path / "new" / "out") == [("NotFinite", "bad.wav")]
    assert files_in(tmp_path) == ["bad.wav"]
    assert not (tmp_path / "new").exists()


def test_what_a_killed_run_left_half_written_is_removed_and_what_is_being_written_stays(tmp_path: Path) -> None:
    song, out = tone(tmp_path / "1.wav"), tmp_path / "out"
    journal = Journal(out)
    half, live = journal.claims.claim("1", [out / "1" / "vocals.mp3", out / "1" / "drums.mp3"])
    journal.claims.claim("2", [out / "2" / "bass.mp3"])
    for path in (half, out / "2" / "bass.mp3", out / "a film.mkv", tmp_path / "elsewhere"):
        path.parent.mkdir(exist_ok=True)
        part_of(path).write_bytes(b"half")
    with (out / NAME).open("a") as file:
        file.write('{"begun": ["../elsewhere"]}\n{"begun": 5}\n')
    with open_part(live):
        assert separated([song], out, wish=Wish.of(stems=["drums"], format="wav")) == [("finished", "1.wav")]
        assert files_in(out) == [NAME, "1/drums.mp3.part", "1/drums.wav", "a film.mkv.part"]
    assert (tmp_path / "elsewhere.part").exists()
    assert not (out / "2").exists()


def test_what_a_killed_run_left_of_files_that_were_done_before_is_removed(tmp_path: Path) -> None:
    song, out = tone(tmp_path / "1.wav"), tmp_path / "out"
    separated([song], out)
    (vocals,) = Journal(out).claims.claim("1", [out / "1" / "vocals.wav"])  # asked for again, and killed
    part_of(vocals).write_bytes(b"half")
    assert separated([song], out) == [("skipped", "1.wav")]
    assert files_in(out) == [NAME, "1/instrumental.wav", "1/vocals.wav"]


def test_a_line_that_a_power_loss_cut_off_costs_one_song(tmp_path: Path) -> None:
    songs = [tone(tmp_path / f"{hz}.wav", hz) for hz in (110, 220)]
    separated(songs, tmp_path / "out")
    journal = tmp_path / "out" / NAME
    journal.write_bytes(journal.read_bytes()[:-30])
    assert separated(songs, tmp_path / "out") == [("skipped", "110.wav"), ("finished", "220.wav")]
    assert separated(songs, tmp_path / "out") == [("skipped", "110.wav"), ("skipped", "220.wav")]
    journal.write_bytes(b"\xff\x00[]\n{}\nnull\n" + journal.read_bytes())
    assert Journal(tmp_path / "out").name_for(songs[0], "", set()) == "110"


def test_patterns_and_folders_and_a_song_named_twice(tmp_path: Path) -> None:
    for name in ("a.wav", "deep/b.wav", "deep/deeper/c.wav"):
        tone(tmp_path / name)
    (tmp_path / "deep" / "notes.txt").write_text("")
    paths = [tmp_path / "**" / "*.wav", tmp_path / "deep", tmp_path / "a.wav", tmp_path / "*.flac"]
    found = jobs([(path, WISH) for path in paths], tmp_path / "out")
    assert [job.song.name for job in found] == ["a.wav", "b.wav", "c.wav", "*.flac"]
    assert "No file matches" in str(found[-1].refusal)
    assert [job.folder for job in found] == ["", "deep", "deep/deeper", ""]


def test_songs_in_folders_go_by_any_name_that_their_formats_have(tmp_path: Path) -> None:
    names = ["a.wave", "b.AIF", "c.aifc", "d.oga", "e.mka", "f.m4b", "g.mpg", "h.spx", "i.snd"]
    for name in names:
        tone(tmp_path / "x.wav").rename(tmp_path / name)
    assert [job.song.name for job in jobs([(tmp_path, WISH)], tmp_path / "out")] == names


def test_a_link_that_goes_round_has_no_songs_of_its_own(tmp_path: Path) -> None:
    song = tone(tmp_path / "album" / "a.wav")
    (tmp_path / "album" / "Again").symlink_to(tmp_path / "album")
    found = jobs([(tmp_path / "album" / "**" / "*.wav", WISH), (tmp_path / "album", WISH)], tmp_path / "out")
    assert [job.song for job in found] == [song]


def test_the_estimate_is_honest_about_what_is_skipped_and_what_failed() -> None:
    estimate = Estimate(4)
    estimate.surveyed(0, 100.0, free=True)
    estimate.surveyed(1, 100.0)
    estimate.surveyed(2, 300.0)
    estimate.surveyed(3, None)  # counts as the mean of those known
    estimate.at(1, 0.0, 10.0)
    estimate.at(1, 0.5, 20.0)
    assert estimate.whole(20.0).seconds_left == pytest.approx(10 * (50 + 300 + 500 / 3) / 50)
    estimate.end(1, separated=True)
    estimate.end(2, separated=False)
    assert estimate.whole(30.0) == Whole(2, 4, pytest.approx(0.4, abs=0.05), pytest.approx(30, rel=0.2))
    estimate.end(3, separated=True)
    assert estimate.whole(40.0).fraction == 1


def test_the_whole_batch_only_grows_and_ends_at_one(tmp_path: Path) -> None:
    songs = [tone(tmp_path / f"{hz}.wav", hz, seconds=0.5) for hz in (110, 220, 330)]
    heard = Heard()
    separate_jobs(jobs([(song, WISH) for song in songs], tmp_path), tmp_path / "out", heard)
    known = [whole.fraction for whole in heard.wholes]
    assert known[-1] == pytest.approx(1)
    assert all(whole.seconds_left is None or whole.seconds_left >= 0 for whole in heard.wholes)

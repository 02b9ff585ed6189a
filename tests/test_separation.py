"""The story of one separation, with the bundled model and real files."""

from __future__ import annotations

import io
import subprocess
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import stemwright
from stemwright.audio.decode import open_song
from stemwright.audio.encode import open_stem
from stemwright.audio.tags import Tags
from stemwright.errors import (
    BadPreview,
    BadSamples,
    CannotRead,
    CannotWrite,
    EmptyAudio,
    NotFinite,
    SameNameTwice,
    TooLong,
    UnknownFormat,
    UnknownStem,
)
from stemwright.zoo import catalog

STEMS = catalog.card("twelve").stems
RATE = 44100


def tune(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """A chord with a click, the sides different."""
    t = np.arange(max(1, round(seconds * rate))) / rate
    left = sum(np.sin(2 * np.pi * hz * t) for hz in (110, 220, 277, 330)) / 8
    return np.stack([left, left * 0.6 + 0.3 * (t % 0.25 < 0.003)]).astype(np.float32)


def wav(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(samples.T * 32767).astype("<i2").tobytes())
    return path


def heard(path: Path) -> np.ndarray:
    with open_song(path) as song:
        return np.concatenate(list(song.blocks()), axis=1)


def gap_dbfs(stems: list[np.ndarray], mix: np.ndarray) -> float:
    return 20 * np.log10(np.abs(np.sum(stems, axis=0) - mix).max() + 1e-12)


def test_an_array_becomes_twelve_stems_that_sum_to_it() -> None:
    mix = tune(9)
    separation = stemwright.separate(mix, rate=RATE)
    assert tuple(separation.stems) == STEMS
    assert separation.seconds == 9
    assert separation.stems["drums"].shape == mix.shape
    assert separation.stems["drums"].dtype == np.float32
    assert gap_dbfs(list(separation.stems.values()), mix) < -90


@pytest.mark.parametrize("rate", [22050, 48000])
def test_stems_have_the_rate_and_the_length_of_the_song(tmp_path: Path, rate: int) -> None:
    mix = tune(0.7, rate)
    separation = stemwright.separate(wav(tmp_path / "song.wav", mix, rate))
    assert separation.rate == rate
    assert {stem.shape for stem in separation.stems.values()} == {mix.shape}
    assert gap_dbfs(list(separation.stems.values()), np.rint(mix * 32767) / 32768) < -90


def test_a_rate_can_be_asked_for(tmp_path: Path) -> None:
    separation = stemwright.separate(wav(tmp_path / "song.wav", tune(0.5)), rate=48000, two=True)
    assert separation.rate == 48000
    assert separation.stems["vocals"].shape == (2, 24000)


def test_a_file_object_will_do(tmp_path: Path) -> None:
    file = io.BytesIO(wav(tmp_path / "song.wav", tune(0.2)).read_bytes())
    assert stemwright.separate(file, two=True).seconds == 0.2


def test_a_pipe_is_read_once_however_often_it_is_heard(tmp_path: Path) -> None:
    """A preview hears the song twice."""
    song = wav(tmp_path / "song.wav", tune(0.4))
    with subprocess.Popen(["cat", song], stdout=subprocess.PIPE) as pipe:
        assert pipe.stdout
        done = stemwright.separate(pipe.stdout, preview=0.2)
    assert done.seconds == pytest.approx(0.2)


def test_one_mono_sample_is_a_song() -> None:
    separation = stemwright.separate(np.array([0.5], np.float32), rate=RATE)
    assert {stem.shape for stem in separation.stems.values()} == {(2, 1)}
    assert gap_dbfs(list(separation.stems.values()), np.full((2, 1), 0.5)) < -90


def test_separations_can_be_compared_and_kept_in_a_set() -> None:
    once, again = (stemwright.separate(np.zeros((2, 100), np.float32), rate=44100, two=True) for _ in range(2))
    assert once != again
    assert len({once, again, once}) == 2


def test_an_array_that_lies_sample_by_sample_in_memory_is_the_same_song() -> None:
    # What the readers of files give is [samples, channels]; its transpose is the song, and no copy.
    song = tune(10.0)
    stored_by_sample = np.ascontiguousarray(song.T).T
    found = stemwright.separate(stored_by_sample, rate=RATE, two=True).stems["vocals"]
    assert np.array_equal(found, stemwright.separate(song, rate=RATE, two=True).stems["vocals"])


def test_a_separator_takes_a_mix_however_it_lies_in_memory() -> None:
    separator = stemwright.load()
    mix = tune(separator.segment / RATE)[:, : separator.segment]
    assert np.array_equal(separator(np.asfortranarray(mix)[None]), separator(mix[None]))


def test_silence_stays_silent_and_is_said_to_be() -> None:
    separation = stemwright.separate(np.zeros((2, 20000), np.float32), rate=RATE)
    assert separation.silent == list(STEMS)
    assert not any(stem.any() for stem in separation.stems.values())


def test_vocals_and_instrumental_are_sums_of_the_twelve() -> None:
    twelve, two = (stemwright.separate(tune(), rate=RATE, two=flag).stems for flag in (False, True))
    assert list(two) == ["vocals", "instrumental"]
    np.testing.assert_allclose(two["vocals"], twelve["vocals"] + twelve["backing_vocals"], atol=1e-5)


def test_only_the_stems_asked_for_come_out_and_say_the_same_as_among_twelve() -> None:
    some = stemwright.separate(tune(), rate=RATE, stems=["bass", "vocals"]).stems
    assert list(some) == ["vocals", "bass"]
    np.testing.assert_allclose(some["bass"], stemwright.separate(tune(), rate=RATE).stems["bass"], atol=1e-5)


def test_the_rest_can_be_had_under_a_name() -> None:
    stems = stemwright.separate(tune(), rate=RATE, stems=["drums"], rest="no drums").stems
    assert list(stems) == ["drums", "no drums"]
    assert gap_dbfs(list(stems.values()), tune()) < -90


def test_arguments_are_not_changed() -> None:
    mix = tune(0.2)
    stemwright.separate(mix, rate=RATE, two=True)
    assert np.array_equal(mix, tune(0.2))


def test_files_hold_what_the_arrays_do(tmp_path: Path) -> None:
    song = wav(tmp_path / "song.wav", tune())
    files = stemwright.separate_to(song, tmp_path / "out", format="flac")
    arrays = stemwright.separate(song)
    assert list(files.paths) == list(STEMS)
    assert files.facts == arrays.facts
    for name, path in files.paths.items():
        assert path == tmp_path / "out" / f"{name}.flac"
        np.testing.assert_allclose(heard(path), arrays.stems[name], atol=2.1 / 32768)  # dither, rounding, spool


def test_stems_that_would_clip_share_one_gain(tmp_path: Path) -> None:
    loud = tune() * 4
    files = stemwright.separate_to(stemwright.Audio(loud, RATE), tmp_path, format="wav", two=True)
    stems = [heard(path) for path in files.paths.values()]
    assert -20 < files.gain_db < -0.1
    assert max(np.abs(stem).max() for stem in stems) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(np.sum(stems, axis=0), loud * 10 ** (files.gain_db / 20), atol=1e-3)


def test_files_of_floats_keep_the_level_of_the_song_and_sum_to_it(tmp_path: Path) -> None:
    loud = tune() * 4
    files = stemwright.separate_to(stemwright.Audio(loud, RATE), tmp_path / "a", format="wav-32f", two=True, mix=True)
    saved = stemwright.separate(loud, rate=RATE, two=True).save(tmp_path / "b", format="wav-32f")
    assert (files.gain_db, files.mix_factor) == (0, 1)
    assert files.mix is not None
    np.testing.assert_allclose(heard(files.mix), loud, atol=1e-5)
    for paths in (files.paths, saved):
        np.testing.assert_allclose(np.sum([heard(path) for path in paths.values()], axis=0), loud, atol=1e-4)


def test_a_file_beside_floats_does_not_clip(tmp_path: Path) -> None:
    loud = stemwright.Audio(tune() * 4, RATE)
    files = stemwright.separate_to(loud, tmp_path, format="wav-32f", stems=["drums"], also=["stem.mp4"])
    assert np.abs(heard(files.extras["stem.mp4"])).max() < 1.05  # AAC rings a little


def test_saving_applies_the_gain_and_the_arrays_keep_their_level(tmp_path: Path) -> None:
    separation = stemwright.separate(tune() * 4, rate=RATE, two=True)
    paths = separation.save(tmp_path, format="wav")
    loudest = max(separation.stems, key=lambda name: np.abs(separation.stems[name]).max())
    assert np.abs(separation.stems[loudest]).max() > 1
    assert np.abs(heard(paths[loudest])).max() == pytest.approx(1, abs=1e-3)


def test_progress_only_grows_and_ends_at_one(tmp_path: Path) -> None:
    told: list[stemwright.Progress] = []
    stemwright.separate_to(stemwright.Audio(tune(16), RATE), tmp_path, on_progress=told.append, two=True)
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)
    assert [progress.stage for progress in told][:: len(told) - 1] == ["separating", "encoding"]
    assert all(progress.seconds_left >= 0 for progress in told if progress.fraction)


@pytest.mark.parametrize("stage", ["separating", "encoding"])
def test_cancelling_leaves_nothing_behind(tmp_path: Path, stage: str) -> None:
    reached: list[str] = []
    with pytest.raises(stemwright.Cancelled):
        stemwright.separate_to(
            stemwright.Audio(tune(), RATE),
            tmp_path / "out" / "song",
            two=True,
            on_progress=lambda progress: reached.append(progress.stage),
            cancelled=lambda: stage in reached,
        )
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_stems_of_an_earlier_run(tmp_path: Path) -> None:
    earlier = stemwright.separate_to(stemwright.Audio(tune(0.1), RATE), tmp_path, two=True).paths["vocals"].read_bytes()
    with pytest.raises(NotFinite):
        stemwright.separate_to(stemwright.Audio(tune(0.1) * np.nan, RATE), tmp_path, two=True)
    assert (tmp_path / "vocals.mp3").read_bytes() == earlier


@pytest.mark.parametrize("also", [[], ["zip"]])
def test_an_interrupt_at_the_end_keeps_the_stems_of_an_earlier_run(tmp_path: Path, also: list[str]) -> None:
    def stop(progress: stemwright.Progress) -> None:
        if progress.stage == ("packing" if also else "encoding") and progress.fraction > 0.9:
            raise KeyboardInterrupt

    def separated(**how: Any) -> None:
        stemwright.separate_to(stemwright.Audio(tune(0.1), RATE), tmp_path, two=True, **how)

    separated()
    earlier = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        separated(also=also, on_progress=stop)
    assert sorted(tmp_path.iterdir()) == earlier
    assert all(heard(path).shape == (2, round(0.1 * RATE)) for path in earlier)


@pytest.mark.parametrize("way", ["../music/vocals.wav", "link/vocals.wav"])
def test_a_song_is_never_written_over_however_its_path_is_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "link").symlink_to(tmp_path / "music")
    song = wav(tmp_path / "music" / "vocals.wav", tune(0.1))
    before = song.read_bytes()
    monkeypatch.chdir(tmp_path / "music")
    made = stemwright.separate_to(way, ".", stems=["vocals"], format="wav")
    assert song.read_bytes() == before
    assert made.paths["vocals"].name == "vocals (2).wav"


def test_an_output_may_be_called_mix_but_not_beside_the_song(tmp_path: Path) -> None:
    song = stemwright.Audio(tune(1.0), RATE)
    asked: Any = {"stems": [], "mixes": {"mix": {"vocals": -6.0, "*": 0.0}}, "format": "wav"}
    made = stemwright.separate_to(song, tmp_path, also=["stem.mp4"], **asked)
    assert heard(made.paths["mix"]).shape == song.samples.shape
    assert made.mix is None
    with av.open(str(made.extras["stem.mp4"])) as file:
        lengths = {round(float(track.duration * track.time_base), 2) for track in file.streams.audio}
    assert len(lengths) == 1
    with pytest.raises(SameNameTwice, match="'mix'"):
        stemwright.separate_to(song, tmp_path, mix=True, **asked)


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"stems": ["voclas"]}, UnknownStem, "no stem 'voclas' in the model twelve"),
        ({"stems": ["drums"], "two": True}, UnknownStem, "twelve in two stems. Choose from: vocals, instrumental"),
        ({"precision": "fp8"}, stemwright.StemwrightError, "no precision 'fp8'"),
        ({"rest": "karaoke"}, stemwright.StemwrightError, "Nothing is left"),
        ({"model": "thirteen"}, stemwright.StemwrightError, "no model 'thirteen'"),
        ({"model": None}, stemwright.StemwrightError, "no model None"),
        ({"format": "mp4"}, UnknownFormat, "no output format 'mp4'"),
        ({"format": None}, UnknownFormat, "no output format None"),
        ({"rate": "44100"}, stemwright.StemwrightError, "no sound at '44100' samples"),
        ({"preview": "30"}, stemwright.StemwrightError, "no preview of '30' s"),
        ({"names": None}, stemwright.StemwrightError, "it is no text"),
        ({"silent": "leave"}, stemwright.StemwrightError, "silent 'leave' cannot be understood: choose write or skip"),
        ({"also": 5}, stemwright.StemwrightError, "also 5 cannot be understood"),
        ({"also": [5]}, stemwright.StemwrightError, "no '5' to make"),
        ({"limits": stemwright.Limits(max_seconds=0.05)}, TooLong, "longer than the limit of 0.05 s"),
    ],
)
def test_a_wrong_wish_is_refused_before_any_work(tmp_path: Path, wrong: dict, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        stemwright.separate_to(stemwright.Audio(tune(0.1), RATE), tmp_path / "out", **wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("array", "rate"),
    [
        (np.zeros((2, 9), np.float32), None),
        (np.zeros((2, 9), np.int64), RATE),
        (np.zeros((2, 9), np.int16), None),
        (np.zeros((99, 2)), RATE),
        (np.zeros((0, 2)), RATE),
    ],
)
def test_an_array_that_is_no_song_is_refused(array: np.ndarray, rate: int | None) -> None:
    with pytest.raises(BadSamples, match="is not a song"):
        stemwright.separate(array, rate=rate)


@pytest.mark.parametrize("kind", [np.int16, np.int32])
def test_whole_samples_are_a_song_bare_or_with_their_rate(kind: type) -> None:
    whole = np.rint(tune(0.1) * (np.iinfo(kind).max / 2)).astype(kind)
    bare = stemwright.separate(whole, rate=RATE, two=True)
    assert np.array_equal(
        bare.stems["vocals"], stemwright.separate(stemwright.Audio(whole, RATE), two=True).stems["vocals"]
    )
    assert np.allclose(sum(bare.stems.values()), tune(0.1) / 2, atol=1e-3)


@pytest.mark.parametrize(("thing", "words"), [([[0.0] * 9] * 2, "type list.*numpy array"), (None, "type NoneType")])
def test_what_is_no_song_is_told_what_would_be(thing: Any, words: str) -> None:
    with pytest.raises(CannotRead, match=words):
        stemwright.separate(thing, rate=RATE)


def test_no_samples_are_no_song() -> None:
    with pytest.raises(EmptyAudio, match=r"^The array has no samples"):
        stemwright.separate(np.zeros((2, 0), np.float32), rate=RATE)


def test_a_folder_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    song = wav(tmp_path / "song.wav", tune(0.1))
    with pytest.raises(CannotWrite, match=r"song\.wav could not be written"):
        stemwright.separate_to(song, song, two=True)
    assert song.stat().st_size > 1000


def test_the_song_itself_can_be_written_beside_its_stems(tmp_path: Path) -> None:
    told: dict[str, int] = {}

    def listen(name: str, block: np.ndarray) -> None:
        told[name] = told.get(name, 0) + block.shape[1]

    loud = stemwright.Audio(tune() * 4, RATE)
    files = stemwright.separate_to(loud, tmp_path, format="wav", two=True, mix=True, listen=listen)
    assert files.mix is not None
    assert list(files.paths) == ["vocals", "instrumental"]
    assert told == dict.fromkeys([*files.paths, "mix"], files.length)
    stems = np.sum([heard(path) for path in files.paths.values()], axis=0)
    np.testing.assert_allclose(heard(files.mix) / files.mix_factor, stems, atol=1e-3)


def test_the_karaoke_track_a_group_and_a_mix_are_what_their_stems_add_up_to() -> None:
    every = stemwright.separate(tune(), rate=RATE).stems
    asked = {"without": ["vocals"], "stems": ["bass"], "groups": {"band": ["guitar", "synth"]}}
    made = stemwright.separate(tune(), rate=RATE, mixes={"practice": {"vocals": -20.0, "drums": 0.0}}, **asked)
    assert list(made.stems) == ["bass", "band", "no_vocals", "practice"]
    np.testing.assert_allclose(made.stems["no_vocals"], tune() - every["vocals"], atol=2e-5)
    np.testing.assert_allclose(made.stems["band"], every["guitar"] + every["synth"], atol=2e-5)
    np.testing.assert_allclose(made.stems["practice"], every["vocals"] / 10 + every["drums"], atol=2e-5)


def test_lead_and_backing_vocals_come_apart_and_together() -> None:
    apart = stemwright.separate(tune(), rate=RATE, stems=["vocals", "backing_vocals"]).stems
    together = stemwright.separate(tune(), rate=RATE, two=True).stems["vocals"]
    np.testing.assert_allclose(apart["vocals"] + apart["backing_vocals"], together, atol=2e-5)


@pytest.mark.parametrize("rate", [32000, 44100, 48000])
@pytest.mark.parametrize("seconds", [1.5, 60.0])
def test_a_preview_is_the_loudest_part_and_lies_exactly_where_it_was(rate: int, seconds: float) -> None:
    mix = np.concatenate([tune(2, rate) * 0.2, tune(2.05, rate), tune(1, rate) * 0.2], axis=1)
    preview = stemwright.separate(stemwright.Audio(mix, rate), preview=seconds)
    total = np.sum(list(preview.stems.values()), axis=0)
    length = min(round(seconds * rate), mix.shape[1])
    assert total.shape == (2, length)
    gaps = [
        np.abs(mix[:, first : first + length] - total).max()
        for first in range(0, mix.shape[1] - length + 1, rate // 10)
    ]
    first = int(np.argmin(gaps)) / 10
    assert min(gaps) < 1e-4
    assert first == 0 if seconds == 60 else 2 <= first <= 2.5


def test_the_shortest_preview_is_one_sample() -> None:
    assert stemwright.separate(tune(0.1), rate=RATE, two=True, preview=1e-9).stems["vocals"].shape == (2, 1)


@pytest.mark.parametrize("preview", [0, -3, float("nan"), float("inf")])
def test_a_preview_of_no_length_is_refused(preview: float) -> None:
    with pytest.raises(BadPreview, match="Give a number of seconds above 0"):
        stemwright.separate(tune(0.1), rate=RATE, preview=preview)


def test_24_bits_and_floats_hold_what_16_bits_cannot(tmp_path: Path) -> None:
    mix, worst = tune(), {}
    arrays = stemwright.separate(mix, rate=RATE, two=True)
    for bits in (16, 24, 32):
        files = stemwright.separate_to(stemwright.Audio(mix, RATE), tmp_path, format="wav", bits=bits, two=True)
        worst[bits] = max(np.abs(heard(path) - arrays.stems[name]).max() for name, path in files.paths.items())
    assert 2**-16 < worst[16] < 2.1 / 2**15
    assert worst[24] < 2**-23
    assert worst[32] == 0


def test_silent_stems_are_marked_and_left_out_on_request(tmp_path: Path) -> None:
    song = stemwright.Audio(np.zeros((2, 9000), np.float32), RATE)
    files = stemwright.separate_to(song, tmp_path, format="flac", two=True)
    assert files.silent == ["vocals", "instrumental"]
    with open_song(files.paths["vocals"]) as stem:
        assert stem.tags.title == "Vocals, silent"
    assert not heard(files.paths["vocals"]).any()  # dither is for sound
    skipped = stemwright.separate_to(song, tmp_path / "x", two=True, silent="skip")
    assert (skipped.paths, list(skipped.facts)) == ({}, ["vocals", "instrumental"])
    assert list((tmp_path / "x").iterdir()) == []


def test_files_are_named_by_a_template_and_never_written_over_each_other(tmp_path: Path) -> None:
    song = wav(tmp_path / "vocals.wav", tune(0.2))
    before = song.read_bytes()
    files = stemwright.separate_to(song, tmp_path, format="wav", stems=["vocals"], rest="VOCALS")
    assert [path.name for path in files.paths.values()] == ["vocals (2).wav", "VOCALS (2) (2).wav"]
    assert song.read_bytes() == before
    named = stemwright.separate_to(song, tmp_path, two=True, format="opus", names="{title}/{index:02} {stem}").paths
    assert [path.relative_to(tmp_path) for path in named.values()] == [
        Path("vocals/01 vocals.opus"), Path("vocals/02 instrumental.opus"),
    ]  # fmt: skip


def test_what_the_file_cannot_hold_is_noted(tmp_path: Path) -> None:
    files = stemwright.separate_to(stemwright.Audio(tune(0.2, 96000), 96000), tmp_path, two=True)
    assert files.warnings == ("mp3 holds no 96000 Hz: the files have 48000 Hz",)


def test_arrays_are_saved_with_the_song_s_tags_and_a_template(tmp_path: Path) -> None:
    song = tmp_path / "song.flac"
    with open_stem(song, rate=RATE, format="flac", tags=Tags({"title": "Tune", "artist": "Me"})) as writer:
        writer.write(tune(0.2))
    saved = stemwright.separate(song, two=True).save(tmp_path / "out", format="wav", bits=24, names="{title} {stem}")
    assert [path.name for path in saved.values()] == ["Tune vocals.wav", "Tune instrumental.wav"]
    with open_song(saved["instrumental"]) as stem:
        assert (stem.tags.title, stem.tags.artist) == ("Tune (Instrumental)", "Me")


def test_a_failure_takes_away_the_folders_of_a_template(tmp_path: Path) -> None:
    with pytest.raises(stemwright.Cancelled):
        stemwright.separate_to(
            stemwright.Audio(tune(), RATE),
            tmp_path / "out",
            two=True,
            names="{artist}/{album}/{stem}",
            cancelled=lambda: bool(list((tmp_path / "out").glob("*/*/*"))),
        )
    assert list(tmp_path.iterdir()) == []

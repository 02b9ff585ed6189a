"""Evaluation: every layout of known stems, a tiny folder from end to end, and folders that are wrong."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from stemwright.audio.encode import open_stem
from stemwright.cli import run
from stemwright.errors import (
    BadWeights,
    NoReferences,
    NothingMeasured,
    NotMeasurable,
    PartsMissing,
    ShortSong,
    SilentSong,
    SpoiledAnswer,
    StemwrightError,
    UnequalStems,
    UnknownModel,
    UnknownTitle,
)
from stemwright.nets.bandsplit import STEMS
from stemwright.train.making import opened
from stemwright.train.measuring import evaluate
from stemwright.train.measuring.references import Reference, waiting
from stemwright.train.measuring.report import table, write
from tests.train.examples import write_data

RATE = 44100


class Halves:
    """A separator that gives half of the mix to vocals and half to drums."""

    rate, stems, segment, hop = RATE, STEMS, 8192, 6144

    def __call__(self, mix: np.ndarray) -> np.ndarray:
        stems = np.zeros((len(mix), 12, 2, mix.shape[-1]), np.float32)
        stems[:, 0] = stems[:, 2] = mix / 2
        return stems


def references(folder: Path, mapping: dict[str, str] | None = None) -> Iterator[Reference]:
    return (song.read() for song in waiting(folder, mapping))


def write_stems(folder: Path, *, seconds: dict[str, float], rate: int = RATE, level: float = 0.1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, length) in enumerate(seconds.items()):
        noise = np.random.default_rng(seed).standard_normal((2, int(length * rate))).astype(np.float32)
        write_sound(folder / f"{name}.wav", noise * np.float32(level), rate)
    return folder


def write_sound(path: Path, sound: np.ndarray, rate: int = RATE) -> None:
    with open_stem(path, rate=rate, format="wav") as writer:
        writer.write(sound)


def test_a_composed_folder_from_end_to_end(tmp_path: Path) -> None:
    report = evaluate.evaluate(Halves(), write_data(tmp_path) / "test")
    files = list(write(report, tmp_path / "out"))
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert all(path.stat().st_size > 0 for path in files)
    assert set(found["stems"]["drums"]["sdr"]) == {"model", "mixture", "constant", "classical", "oracle"}
    assert found["stems"]["drums"]["songs"] == 2
    assert (found["model"], found["songs"], found["spoiled"]) == (None, 2, 0)
    assert found["leakage_db"]["vocals"] == pytest.approx(-6, abs=0.1)
    assert found["confusion"]["bass"]["vocals"] == pytest.approx(0.5, abs=0.01)
    assert "oracle" in table(report)
    assert table(report).splitlines()[-1].split()[:4] == ["synth", "50", "0", "50"]


def test_the_musdb_layout(tmp_path: Path) -> None:
    folder = write_stems(tmp_path / "a song", seconds=dict.fromkeys(("vocals", "drums", "bass", "other"), 1.0))
    write_sound(folder / "mixture.wav", next(references(tmp_path)).mix)
    (song,) = references(tmp_path)
    assert song.sums["other"] == ("guitar", "keyboard", "strings", "brass", "woodwinds", "synth", "fx")
    assert song.sums["drums"] == ("drums", "percussion")
    assert "mixture" not in song.stems
    np.testing.assert_allclose(song.mix, sum(song.stems.values()), atol=1e-6)


def test_files_that_hold_the_same_are_one_stem(tmp_path: Path) -> None:
    write_stems(tmp_path, seconds=dict.fromkeys(("Kick", "Snare", "Bass Guitar", "instrumental", "Lead Vox"), 1.0))
    (song,) = references(tmp_path)
    assert song.sums["drums"] == ("drums", "percussion")
    assert set(song.stems) == {"drums", "bass", "vocals"}
    np.testing.assert_allclose(song.mix, song.stems["drums"] + song.stems["bass"] + song.stems["vocals"], atol=1e-6)


def test_songs_are_called_by_where_they_lie(tmp_path: Path) -> None:
    for album in ("One/Stems", "Two/Stems"):
        write_stems(tmp_path / album, seconds={"vocals": 1.0, "._vocals": 0.0, "drums": 1.0})
    assert [song.name for song in references(tmp_path)] == ["One/Stems", "Two/Stems"]


def test_songs_behind_links_are_found_once(tmp_path: Path) -> None:
    write_stems(tmp_path / "kept" / "A", seconds={"vocals": 1.1, "drums": 1.1})
    (tmp_path / "chosen").mkdir()
    (tmp_path / "chosen" / "A").symlink_to(tmp_path / "kept" / "A")
    (tmp_path / "chosen" / "again").symlink_to(tmp_path / "kept")
    (tmp_path / "kept" / "round").symlink_to(tmp_path / "kept")
    assert [song.name for song in waiting(tmp_path / "chosen")] == ["A"]
    assert [song.name for song in waiting(tmp_path / "kept")] == ["A"]


def test_a_name_is_told_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_stems(tmp_path / "Song [live] :star:", seconds=dict.fromkeys(("vocals", "drums"), 1.0))
    assert run(["evaluate", str(tmp_path)]) == 0
    assert "Song [live] :star:" in capsys.readouterr().err


class Quarters(Halves):
    """A separator of four stems: all of the mix is `other`."""

    stems = ("drums", "bass", "other", "vocals")

    def __call__(self, mix: np.ndarray) -> np.ndarray:
        return np.stack([mix * (stem == "other") for stem in self.stems], 1)


def test_a_model_is_measured_on_what_its_stems_can_be_summed_to(tmp_path: Path) -> None:
    write_stems(tmp_path, seconds=dict.fromkeys(("vocals", "drums", "guitar", "keyboard"), 2.0))
    report = evaluate.evaluate(Quarters(), tmp_path)
    found = {name: line.summary()["sdr"].get("model") for name, line in report.lines.items()}
    assert found["guitar"] is None
    assert found["rest"] == pytest.approx(0, abs=0.1)  # two of four noises beside two others
    assert found["accompaniment"] == pytest.approx(4.8, abs=0.1)
    assert set(report.leakage) == {"bass"}
    assert "guitar" in table(report)


def test_models_and_recipes_are_measured_by_name(tmp_path: Path) -> None:
    write_stems(tmp_path, seconds=dict.fromkeys(("vocals", "drums"), 1.5))
    model, recipe = (
        evaluate.evaluate(evaluate.Named.of(name), tmp_path, rivals=False).as_json() for name in ("twelve", "fast")
    )
    assert set(model["stems"]["vocals"]["sdr"]) == {"model"}
    assert (model.pop("model"), recipe.pop("model")) == ("twelve", "fast")
    assert model == recipe
    with pytest.raises(UnknownModel, match="none"):
        evaluate.Named.of("none")


def test_a_model_of_other_stems_is_refused(tmp_path: Path) -> None:
    class Dry(Halves):
        stems = ("dry", "crowd")

    with pytest.raises(NotMeasurable, match="dry, crowd"):
        evaluate.evaluate(Dry(), write_stems(tmp_path, seconds={"vocals": 1.0}))


def test_a_song_that_cannot_be_measured_does_not_stop_the_others(tmp_path: Path) -> None:
    for name, seconds in (("a", 2.0), ("b", 0.5), ("c", 2.0)):
        write_stems(tmp_path / name, seconds={"vocals": seconds, "drums": seconds})
    problems: list[StemwrightError] = []
    report = evaluate.evaluate(Halves(), tmp_path, on_problem=problems.append)
    assert (report.songs, report.spoiled) == (2, 1)
    assert [str(error) for error in problems] == [str(ShortSong(name="b", seconds=0.5))]
    with pytest.raises(ShortSong):
        evaluate.evaluate(Halves(), tmp_path)


def test_songs_that_a_model_fails_at_are_not_counted_as_measured(tmp_path: Path) -> None:
    class Broken(Halves):
        """A separator that fails at what is loud."""

        def __call__(self, mix: np.ndarray) -> np.ndarray:
            if np.abs(mix).max() > 0.9:
                raise SpoiledAnswer(model="broken", stem="drums", seconds=0.0)
            return super().__call__(mix)

    for name, level in (("a", 0.3), ("b", 0.02), ("c", 0.3)):
        write_stems(tmp_path / name, seconds={"vocals": 1.5, "drums": 1.5}, level=level)
    problems: list[StemwrightError] = []
    report = evaluate.evaluate(Broken(), tmp_path, on_problem=problems.append)
    assert (report.songs, report.spoiled, len(problems)) == (1, 2, 2)
    assert {line.songs for line in report.lines.values()} == {1}
    shutil.rmtree(tmp_path / "b")
    with pytest.raises(NothingMeasured):
        evaluate.evaluate(Broken(), tmp_path, on_problem=problems.append)


def test_a_mapping_that_meets_no_file_is_refused(tmp_path: Path) -> None:
    write_stems(tmp_path, seconds={"Take 3": 1.0, "vocals": 1.0})
    (song,) = references(tmp_path, {"Take 3": "drums+bass"})
    assert song.sums["drums+bass"] == ("drums", "bass", "percussion")
    with pytest.raises(UnknownTitle, match="Take 4"):
        list(references(tmp_path, {"Take 4": "drums"}))


def write_native(path: Path) -> None:
    """Five noises as the streams of an NI `.stem.mp4`, without the atom that names them."""
    with av.open(str(path), "w", format="mp4") as file:
        streams = [file.add_stream("aac", rate=RATE, layout="stereo") for _ in range(5)]
        for i, stream in enumerate(streams):
            noise = np.random.default_rng(i).standard_normal((2, RATE)).astype(np.float32) * 0.1
            frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
            frame.sample_rate = RATE
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                file.mux(packet)


def test_stem_mp4_by_its_streams(tmp_path: Path) -> None:
    write_native(tmp_path / "song.stem.mp4")
    (song,) = references(tmp_path)
    assert song.name == "song"
    assert set(song.stems) == {"drums", "bass", "other", "vocals"}


def test_streams_of_one_name_are_one_stem_and_none_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_native(tmp_path / "song.stem.mp4")
    (whole,) = references(tmp_path)
    monkeypatch.setattr(
        "stemwright.train.measuring.references._titles", lambda _: ["Drums", "Synth", "Synth", "Master"]
    )
    (song,) = references(tmp_path, {"Synth": "synth", "Master": "vocals"})
    assert set(song.stems) == {"drums", "synth", "vocals"}
    np.testing.assert_allclose(song.mix, whole.mix, atol=1e-6)
    np.testing.assert_allclose(song.stems["synth"], whole.stems["bass"] + whole.stems["other"], atol=1e-6)


@pytest.mark.parametrize("spoiled", ["song.json", "drums.npy"])
def test_a_spoiled_song_of_a_composed_set_does_not_stop_the_others(tmp_path: Path, spoiled: str) -> None:
    data = write_data(tmp_path) / "train"
    (data / "a" / spoiled).write_bytes(b"")
    problems: list[StemwrightError] = []
    assert evaluate.evaluate(Halves(), data, on_problem=problems.append).songs == 1
    assert spoiled in str(problems[0])


@pytest.mark.parametrize("lengths", [{"vocals": 1.0, "drums": 1.5}])
def test_stems_of_different_lengths_are_refused(tmp_path: Path, lengths: dict[str, float]) -> None:
    with pytest.raises(UnequalStems, match="lengths"):
        list(references(write_stems(tmp_path, seconds=lengths)))


def test_stems_of_different_rates_are_refused(tmp_path: Path) -> None:
    write_stems(tmp_path, seconds={"vocals": 1.0})
    write_stems(tmp_path, seconds={"drums": 1.0}, rate=48000)
    with pytest.raises(UnequalStems, match="sample rates"):
        list(references(tmp_path))


def test_stems_that_are_not_all_of_the_mix_beside_them_are_refused(tmp_path: Path) -> None:
    stems = write_stems(tmp_path, seconds={"vocals": 1.5, "drums": 1.5, "bass": 1.5})
    (song,) = references(stems)
    write_sound(stems / "Mixture.wav", np.tanh(0.5 * song.mix))
    assert len(list(references(stems))) == 1
    (stems / "drums.wav").unlink()
    (stems / "bass.wav").unlink()
    with pytest.raises(PartsMissing, match=r"Mixture\.wav"):
        list(references(stems))


def test_a_stem_in_two_formats_is_no_mix(tmp_path: Path) -> None:
    write_stems(tmp_path, seconds={"vocals": 1.5, "drums": 1.5})
    (song,) = references(tmp_path)
    with open_stem(tmp_path / "drums.flac", rate=RATE, format="flac") as writer:
        writer.write(song.stems["drums"])
    assert set(next(references(tmp_path)).stems) == {"vocals", "drums"}


def test_silence_and_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NoReferences):
        list(references(tmp_path / "nowhere"))
    with pytest.raises(SilentSong):
        list(references(write_stems(tmp_path, seconds={"vocals": 1.0}, level=0.0)))


def test_weights_that_do_not_match_their_card_are_refused(tmp_path: Path) -> None:
    package = Path(evaluate.__file__).parents[2]
    (tmp_path / "twelve.onnx").write_bytes(b"another graph")
    (tmp_path / "twelve.toml").write_text((package / "zoo" / "cards" / "twelve.toml").read_text())
    with pytest.raises(BadWeights, match="sha256"):
        opened(tmp_path / "twelve.toml", tmp_path / "twelve.onnx")

"""What the separation process makes for the player, by the real process with the real model."""

import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from stemwright.audio.decode import open_song
from stemwright.audio.encode import open_stem
from stemwright.server.bounds import Limits
from stemwright.server.drawing import Drawing
from stemwright.server.jobs import Job, Part
from stemwright.server.separating import Child
from tests.audio.sounds import read_peaks

RATE = 44100


def heard(path: str) -> np.ndarray:
    with open_song(path) as song:
        return np.concatenate(list(song.blocks()), axis=1)


def test_a_separation_leaves_peaks_that_name_its_files_and_the_song_beside_them(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 220 * np.arange(2 * RATE) / RATE) * 0.3
    with wave.open(str(tmp_path / "song.wav"), "wb") as file:
        file.setparams((2, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.rint(np.stack([tone, tone]).T * 32767).astype("<i2").tobytes())
    ids = tuple(f"{n:08d}" for n in range(16))
    job = Job(
        "t", "separate_vocal", None, str(tmp_path / "song.wav"), str(tmp_path / "out"), "wav", "twelve", 60, ids=ids
    )
    (tmp_path / "out").mkdir()
    child = Child(Limits(4 << 30, 120))
    outcome = child.separate(job, on_progress=lambda _: True)
    child.close()
    assert outcome.peaks
    assert outcome.mix
    header, levels = read_peaks(Path(outcome.peaks))
    assert [stem["file"] for stem in header["stems"]] == ["00000002_Vocals.wav", "00000003_Instrumental.wav"]
    assert header["mix"] == {"file": "00000001_Mix.wav", "factor": 1.0}
    assert (header["rate"], header["length"]) == (RATE, 2 * RATE)
    assert levels[-1].shape == (-(-2 * RATE // 256), 3, 2)
    assert np.abs(np.sum([heard(part.file) for part in outcome.parts], axis=0) - heard(outcome.mix)).max() < 1e-3


def test_rate_and_length_are_those_of_the_files(tmp_path: Path) -> None:
    with open_stem(tmp_path / "a.opus", rate=22050, format="opus") as writer:
        writer.write(np.zeros((2, 22050), np.float32))
    part = Part("vocals", "Vocals", str(writer.path), 1.0, False, False, -20.0)
    done: Any = SimpleNamespace(gain_db=0.0, rate=22050, length=22050, mix=None)
    header, _ = read_peaks(Path(Drawing().write(tmp_path, done, [part], ["", "", "id"])))
    assert (header["rate"], header["length"]) == (48000, 48000)
    assert header["levels"][2]["hop"] == 256 * 48000 / 22050
    assert header["cuts"]["count"] * header["cuts"]["step"] >= header["length"]

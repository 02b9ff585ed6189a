"""Every format, rate and depth, read again by code that is not ours: nothing shifts, the level is that of the stem."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemwright.audio.encode import open_stem
from stemwright.audio.formats import Sound
from stemwright.audio.signal import Resampler, Samples
from tests.audio.sounds import RATE, lag, music, snr_db

# What the sound costs: the least signal-to-noise ratio in dB.
LOSSLESS = {"wav-16": 70, "wav-24": 120, "wav-32f": 300, "flac-16": 70, "flac-24": 120}
LOSSY = {"mp3-320": 15, "mp3-128": 10, "opus-320": 15, "opus-96": 5}
M4A = {"m4a-320": 15, "m4a-128": 10}
needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs the program ffmpeg")


def written(folder: Path, kind: str, rate: int, samples: Samples) -> Path:
    path = folder / f"a.{kind.partition('-')[0]}"
    with open_stem(path, rate=rate, format=Sound.of(kind)) as writer:
        for first in range(0, samples.shape[1], 10_007):
            writer.write(samples[:, first : first + 10_007])
    return path


def at(samples: Samples, rate: int, file_rate: int) -> Samples:
    resampler = Resampler(rate, file_rate)
    return np.concatenate([resampler.push(samples), resampler.finish()], axis=1)


def by_ffmpeg(path: Path) -> Samples:
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", "a", "-f", "f32le", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, "<f4").reshape(-1, 2).T


def level_db(samples: Samples) -> float:
    return 10 * float(np.log10(np.square(samples.astype(np.float64)).mean()))


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize(("kind", "least_snr"), [*LOSSLESS.items(), *LOSSY.items()])
def test_libsndfile_hears_the_stem_where_and_as_it_was(tmp_path: Path, kind: str, least_snr: float, rate: int) -> None:
    samples = music(rate // 2 + 777, rate)
    found, file_rate = soundfile.read(written(tmp_path, kind, rate, samples), dtype="float32")
    wanted = at(samples, rate, file_rate)
    if kind in LOSSLESS:
        assert file_rate == rate
    assert found.T.shape == wanted.shape
    assert lag(found.T, wanted) == 0
    assert snr_db(found.T, wanted) > least_snr
    assert abs(level_db(found.T) - level_db(wanted)) < (0.001 if kind in LOSSLESS else 1.0)


@needs_ffmpeg
@pytest.mark.parametrize(("kind", "least_snr"), [*LOSSLESS.items(), *LOSSY.items(), *M4A.items()])
def test_ffmpeg_hears_it_too(tmp_path: Path, kind: str, least_snr: float) -> None:
    samples = music(RATE // 2 + 777)
    found = by_ffmpeg(written(tmp_path, kind, RATE, samples))
    wanted = at(samples, RATE, 48000 if kind.startswith("opus") else RATE)
    extra = found.shape[1] - wanted.shape[1]
    assert 0 <= extra < 1024 if kind in M4A else extra == 0  # ffmpeg does not end an m4a where its edit list does
    assert lag(found, wanted) == 0
    assert snr_db(found, wanted) > least_snr


@pytest.mark.parametrize("rate", [32000, 44100, 48000, 96000])
def test_the_edit_list_of_an_m4a_says_its_samples(tmp_path: Path, rate: int) -> None:
    data = written(tmp_path, "m4a-320", rate, music(20_011, rate)).read_bytes()
    edit, movie = data.index(b"elst"), data.index(b"mvhd")
    assert int.from_bytes(data[movie + 16 : movie + 20], "big") == rate  # the time scale
    assert int.from_bytes(data[edit + 12 : edit + 16], "big") == 20_011  # how long
    assert int.from_bytes(data[edit + 16 : edit + 20], "big") == 1024  # from where: the encoder's delay


@pytest.mark.parametrize("kind", ["wav-16", "flac-16"])
def test_dither_is_seeded_and_silence_stays_silence(tmp_path: Path, kind: str) -> None:
    samples = music(20_000) * np.float32(0.001)
    samples[:, 5000:9000] = 0
    path = written(tmp_path, kind, RATE, samples)
    first = path.read_bytes()
    assert written(tmp_path, kind, RATE, samples).read_bytes() == first
    found, _ = soundfile.read(path, dtype="float32")
    assert not found[5000:9000].any()
    error = (found.T - samples)[:, :5000] * 32768
    assert np.sqrt(np.square(error).mean()) == pytest.approx(0.5, abs=0.01)  # √(1/12 for rounding + 2/12 for the noise)
    assert abs(np.corrcoef(error[0], samples[0, :5000])[0, 1]) < 0.05

"""One song, separated once with every file of the whole song that there is."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import stemwright
from stemwright.audio.signal import Samples
from tests.audio.sounds import RATE, write_with_pyav

SECONDS = 6.0


def beat(seconds: float = SECONDS, bpm: float = 120.0) -> Samples:
    """A kick on every beat, hats between, a bass and a chord in A minor [2, n]."""
    t = np.arange(round(seconds * RATE)) / RATE
    since = t % (60 / bpm)
    noise = np.random.default_rng(0).standard_normal(len(t))
    kick = 0.5 * np.sin(2 * np.pi * 55 * since) * np.exp(-since * 20)
    hat = 0.15 * noise * np.exp(-(t % (30 / bpm)) * 60)
    chord = sum(0.06 * np.sin(2 * np.pi * hz * t) for hz in (110, 220, 261.63, 329.63))
    return np.stack([kick + hat + chord, kick + hat * 0.7 + chord]).astype(np.float32)


def film(path: Path, sound: Samples, *, codec: str = "mpeg4", audio: str = "aac", late: float = 0.0) -> Path:
    """A video with a frame that gets brighter, and the sound `late` seconds after the first frame."""
    from fractions import Fraction

    with av.open(str(path), "w") as container:
        pictures = container.add_stream(codec, rate=25, width=64, height=48, pix_fmt="yuv420p")
        sounds = container.add_stream(audio, rate=RATE, layout="stereo")
        for number in range(int(sound.shape[1] / RATE * 25)):
            frame = av.VideoFrame.from_ndarray(np.full((72, 64), (number * 5) % 200 + 20, np.uint8), "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(pictures.encode(frame))
            start = number * RATE // 25
            piece = np.ascontiguousarray(sound[:, start : start + RATE // 25])
            block = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            block.sample_rate, block.pts, block.time_base = RATE, start + round(late * RATE), Fraction(1, RATE)
            container.mux(sounds.encode(block))
        container.mux(pictures.encode(None))
        container.mux(sounds.encode(None))
    return path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The files of `beat`, as mp3, with all extras but the video."""
    folder = tmp_path_factory.mktemp("extras")
    song = write_with_pyav(folder / 'Tune & "Co" <1>.wav', "wav", "pcm_s16le", beat())
    also = ["zip", "report", "rpp", "dawproject", "stem.mp4"]
    return stemwright.separate_to(song, folder / "out", also=also)

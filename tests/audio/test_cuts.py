"""Where files can be cut: what begins at a cut is a frame, and a decoder that sets in there hears what the file has."""

from pathlib import Path
from typing import Any

import av
import av.codec
import numpy as np
import pytest

from stemwright.audio.cuts import cuts_of
from stemwright.audio.encode import open_stem

RATE = 44100


def written(path: Path, seconds: float = 3.0) -> Path:
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, round(seconds * RATE))).astype(np.float32)
    with open_stem(path, rate=RATE, format=path.suffix[1:]) as writer:
        writer.write(noise)
    return path


@pytest.mark.parametrize(
    ("name", "mark", "step", "delay"), [("a.flac", b"\xff\xf8", 4608, 0), ("a.opus", b"OggS", 4800, 312)]
)
def test_a_frame_begins_at_every_cut(tmp_path: Path, name: str, mark: bytes, step: int, delay: int) -> None:
    path = written(tmp_path / name)
    cuts, whole = cuts_of(path), path.read_bytes()
    assert cuts
    assert (cuts.step, cuts.delay, cuts.starts[-1]) == (step, delay, len(whole))
    assert all(whole[start:].startswith(mark) for start in cuts.starts[:-1])


def test_aac_from_the_middle_of_an_m4a_is_what_it_is_in_the_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "a.m4a")
    cuts, whole = cuts_of(path), path.read_bytes()
    assert cuts
    assert (cuts.step, cuts.delay) == (1024, 1024)
    frames = [whole[start:end] for start, end in zip(cuts.starts[:-1], cuts.starts[1:], strict=True)]
    with av.open(str(path)) as container:
        config = container.streams.audio[0].codec_context.extradata
    everything, later = decoded(frames, config), decoded(frames[50:], config)
    assert np.array_equal(everything[:, 52 * 1024 :], later[:, 2 * 1024 :])


def decoded(frames: list[bytes], config: bytes | None) -> np.ndarray:
    decoder: Any = av.codec.CodecContext.create("aac", "r")
    decoder.extradata = config
    found = [frame for data in frames for frame in decoder.decode(av.Packet(data))]
    return np.concatenate([frame.to_ndarray() for frame in found], axis=1)


def test_a_file_of_one_frame_has_one(tmp_path: Path) -> None:
    cuts = cuts_of(written(tmp_path / "a.flac", 0.01))
    assert cuts
    assert len(cuts.starts) == 2

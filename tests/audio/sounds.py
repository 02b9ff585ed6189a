"""Sounds for the tests, files of them made with PyAV alone, and how far two sounds are shifted."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from stemwright.audio import decode, encode
from stemwright.audio.formats import Sound
from stemwright.audio.signal import Samples
from stemwright.audio.tags import NO_TAGS, Tags

RATE = 44100


def noise(n: int, seed: int = 0, level: float = 0.1) -> Samples:
    """White noise [2, n], its right side half as loud as its left: what one can find again at any offset."""
    left = np.random.default_rng(seed).standard_normal(n).astype(np.float32) * level
    return np.stack([left, left / 2])


def music(n: int, rate: int = RATE, seed: int = 0, tones: Sequence[float] = (220.0, 330.3, 987.0, 4001.0)) -> Samples:
    """Tones (in Hz, well below half the rate) and soft noise [2, n]: codecs treat it as music."""
    t = np.arange(n) / rate
    heard = sum(0.1 * np.sin(2 * np.pi * f * t) for f in tones)
    return (heard + noise(n, seed, 0.03)).astype(np.float32)


def write_with_pyav(
    path: Path,
    muxer: str,
    codec: str,
    samples: Samples,
    *,
    rate: int = RATE,
    layout: str = "stereo",
    options: Mapping[str, str] | None = None,
    muxing: Mapping[str, str] | None = None,
) -> Path:
    """A file as any other program would make it, without our encoder."""
    channels = samples.shape[0]
    with av.open(str(path), "w", format=muxer, container_options=dict(muxing or {})) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, options=dict(options or {}))
        for start in range(0, samples.shape[1], 1 << 15):
            piece = np.ascontiguousarray(samples[:, start : start + (1 << 15)].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(piece, format="flt", layout=layout)
            assert frame.layout.nb_channels == channels
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write(
    path: Path, samples: Samples, *, rate: int = RATE, bits: int | None = None, block: int = 30011, tags: Tags = NO_TAGS
) -> Path:
    """A file by our encoder, its format by its ending."""
    sound = Sound.of(path.suffix, bits=bits, dither=False)
    with encode.open_stem(path, rate=rate, format=sound, tags=tags) as writer:
        for start in range(0, samples.shape[1], block):
            writer.write(samples[:, start : start + block])
    return path


def read(source: decode.Source, *, rate: int | None = None) -> Samples:
    """The whole song by our decoder."""
    with decode.open_song(source, rate=rate) as song:
        return np.concatenate(list(song.blocks()), axis=1)


def lag(late: Samples, early: Samples) -> int:
    """By how many samples `late` comes after `early`: the peak of their cross-correlation."""
    n = 2 * max(late.shape[1], early.shape[1])
    spectrum = np.fft.rfft(late[0], n) * np.conj(np.fft.rfft(early[0], n))
    peak = int(np.argmax(np.fft.irfft(spectrum)))
    return peak if peak < n // 2 else peak - n


def snr_db(found: Samples, wanted: Samples) -> float:
    n = min(found.shape[1], wanted.shape[1])
    error = np.square(found[:, :n].astype(np.float64) - wanted[:, :n]).sum()
    return float(10 * np.log10(np.square(wanted[:, :n].astype(np.float64)).sum() / (error + 1e-30)))


def read_peaks(path: Path) -> tuple[dict[str, Any], list[NDArray[np.int8]]]:
    """The header of a file of peaks, and the pairs [bins, lanes, 2] of every level."""
    whole = path.read_bytes()
    _, size = struct.unpack_from("<8sI", whole)
    header = json.loads(whole[12 : 12 + size])
    lanes = len(header["peaks"])
    return header, [
        np.frombuffer(whole, np.int8, level["bins"] * lanes * 2, 12 + size + level["offset"]).reshape(-1, lanes, 2)
        for level in header["levels"]
    ]

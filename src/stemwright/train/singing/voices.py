"""The voice library: speech cut into syllables and analysed into pitch, envelope and noise, one file per voice.

`stemwright train voices [FOLDER]` builds it once; singers read it.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import types
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
import scipy.signal

from stemwright.errors import ExtraMissing, NoVoices, SpeechMissing, VoicesUnfinished
from stemwright.train.processes import processes
from stemwright.train.singing.speakers import Speaker, Speech, every_speaker, may_train
from stemwright.train.singing.vocoder import BAND_HZ, HOP, RATE

NOISE_HZ = np.array([0, 500, 1000, 1500, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9500, 11000, 13000, 15000, 18000])
_FRAME_MS = 1000 * HOP / RATE
_LONGEST_SECONDS = 7.0
_FEWEST_SYLLABLES = 8
_BUILDING = "building"
"""Lies among the voices until every one is built that can be."""


@dataclass(frozen=True)
class Voice:
    """Analysed speech, all phrases in one row of 5 ms frames.

    hz [n] (0 unvoiced), envelope [n, BANDS] ln amplitude, noise [n, 16] at NOISE_HZ, syllables [s, 5] int32: phrase,
    first frame, start and end of the steady vowel, frame after the last; top_hz: nothing was recorded above it.
    """

    name: str
    engine: str
    language: str
    licence: str
    split: str
    top_hz: float
    hz: np.ndarray
    envelope: np.ndarray
    noise: np.ndarray
    syllables: np.ndarray

    @property
    def middle_pitch(self) -> float:
        """Median MIDI pitch of the speech."""
        return float(69 + 12 * np.log2(np.median(self.hz[self.hz > 0]) / 440))


def library_folder() -> Path:
    """Where voices are kept: under STEMWRIGHT_TRAIN_CACHE, or ~/.cache/stemwright/train."""
    root = os.environ.get("STEMWRIGHT_TRAIN_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "stemwright" / "train") / "voices"


def world() -> Any:
    """The WORLD vocoder's module; its wrapper asks setuptools for its own version, which setuptools 80 took away.

    Raises ExtraMissing.
    """
    stands_in = "pkg_resources" not in sys.modules
    if stands_in:
        stand_in = types.ModuleType("pkg_resources")
        stand_in.__dict__["get_distribution"] = lambda _name: types.SimpleNamespace(version="0")
        sys.modules["pkg_resources"] = stand_in
    try:
        import pyworld
    except ImportError as error:
        raise ExtraMissing(extra="voices", missing="pyworld") from error
    finally:
        if stands_in:
            del sys.modules["pkg_resources"]
    return pyworld


# ---- speech ----------------------------------------------------------------------------------------------------------


def _decode(path: str) -> tuple[np.ndarray, int]:
    import av

    with av.open(path, metadata_errors="ignore") as container:
        stream = container.streams.audio[0]
        blocks = []
        for frame in container.decode(stream):
            block = frame.to_ndarray()
            scale = float(np.iinfo(str(block.dtype)).max) if block.dtype.kind == "i" else 1.0
            planar = block if frame.format.is_planar else block.reshape(-1, len(frame.layout.channels)).T
            blocks.append(planar.mean(0) / scale)
        return np.concatenate(blocks) if blocks else np.zeros(1), stream.rate


def _speak(speaker: Speaker, text: str, folder: str) -> str | None:
    """Have a program say a text; the path of the sound, or None where it had nothing to say."""
    file, wav = f"{folder}/words.txt", f"{folder}/words.wav"
    Path(wav).unlink(missing_ok=True)
    Path(file).write_text(text, encoding=speaker.encoding, errors="ignore")
    places = {"file": file, "wav": wav}
    try:
        command = [part.format(**places) for part in speaker.command]
        subprocess.run(command, capture_output=True, timeout=60, check=False)
    except FileNotFoundError:
        raise SpeechMissing(voice=speaker.name, package=speaker.package) from None
    except subprocess.TimeoutExpired:
        return None
    return wav if Path(wav).exists() and Path(wav).stat().st_size > 4000 else None


def _spoken(speaker: Speaker, folder: str) -> list[tuple[np.ndarray, int]]:
    speech = Speech(speaker.language, zlib.crc32(speaker.name.encode()))
    said = (_speak(speaker, speech.phrase(), folder) for _ in range(speaker.phrases))
    return [_decode(path) for path in said if path]


def _recorded(speaker: Speaker) -> list[tuple[np.ndarray, int]]:
    """Clips spread evenly over the folder; very short ones hold no syllable."""
    from av.error import FFmpegError

    paths = sorted(str(path) for path in Path("/").glob(speaker.recordings.lstrip("/")))
    clips = []
    for path in paths[:: max(len(paths) // speaker.phrases, 1)][: speaker.phrases]:
        with contextlib.suppress(FFmpegError, UnicodeDecodeError):  # amateurs' files: a few are broken
            clips.append(_decode(path))
    return [(sound, rate) for sound, rate in clips if len(sound) > 0.3 * rate]


# ---- analysis --------------------------------------------------------------------------------------------------------


def _syllables(hz: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Rows of first frame, vowel start, vowel end, frame after the last: bumps of the voiced loudness."""
    loud = np.sqrt(scipy.ndimage.gaussian_filter1d(power * (hz > 0), 4))
    if loud.max() <= 0:
        return np.zeros((0, 4), np.int32)
    peaks, _ = scipy.signal.find_peaks(loud, height=0.12 * loud.max(), prominence=0.08 * loud.max(), distance=14)
    floor = 0.02 * loud.max()
    rows = []
    for i, peak in enumerate(peaks):
        left = 0 if i == 0 else peaks[i - 1] + int(np.argmin(loud[peaks[i - 1] : peak]))
        right = len(loud) if i + 1 == len(peaks) else peak + int(np.argmin(loud[peak : peaks[i + 1]]))
        steady = loud > max(0.72 * loud[peak], floor)
        steady &= hz > 0
        start = peak - int(np.argmin(np.r_[steady[left : peak + 1][::-1], False]))
        end = peak + int(np.argmin(np.r_[steady[peak:right], False]))
        first = max(left, min(start, peak - 8) - 45)
        rows.append((first, max(start + 1, first), max(end, peak + 1), max(min(right, end + 40), peak + 1)))
    return np.array(rows, np.int32).reshape(-1, 4)


def _analyse(sound: np.ndarray, rate: int) -> dict[str, np.ndarray] | None:
    """Pitch, envelope, noise and syllables of one phrase, or None where nothing can be sung."""
    pw = world()
    sound = sound[: int(rate * _LONGEST_SECONDS)]
    peak = np.abs(sound).max(initial=0)
    if peak < 1e-3:
        return None
    sound = np.ascontiguousarray(sound / peak, dtype=np.float64)
    coarse, times = pw.dio(sound, rate, f0_floor=65.0, f0_ceil=700.0, frame_period=_FRAME_MS)
    hz = pw.stonemask(sound, coarse, times, rate)
    power = pw.cheaptrick(sound, hz, times, rate)
    noise = pw.d4c(sound, hz, times, rate)
    grid = np.linspace(0, rate / 2, power.shape[1])
    rows = _syllables(hz, (power * (grid > 150)).mean(1))
    if not len(rows):
        return None
    inside = np.minimum(BAND_HZ, grid[-1])
    envelope = np.stack([np.interp(inside, grid, row) for row in 0.5 * np.log(power + 1e-14)])
    vowels = np.concatenate([envelope[a:b] for _, a, b, _ in rows])
    envelope -= 0.5 * np.log(np.exp(2 * vowels).mean())  # steady vowels of every phrase are equally loud
    shares = np.stack([np.interp(NOISE_HZ, grid, row) for row in noise])
    return {"hz": hz, "envelope": envelope, "noise": shares, "rows": rows}


def _top_hz(clips: list[tuple[np.ndarray, int]]) -> float:
    """Where the recordings end: the highest frequency within 55 dB of the average level below 4 kHz."""
    rate = clips[0][1]
    alike = [clip for clip, clip_rate in clips if clip_rate == rate and len(clip) > 1024]
    spectrum = np.mean([scipy.signal.welch(clip, rate, nperseg=1024)[1] for clip in alike], 0)
    hz = np.linspace(0, rate / 2, len(spectrum))
    loud = spectrum > spectrum[hz < 4000].mean() * 10**-5.5
    return float(min(hz[np.nonzero(loud)[0].max()], 0.47 * rate))


def analyse_speaker(speaker: Speaker) -> dict[str, np.ndarray]:
    """Speak or read, analyse, and gather what the file of a voice holds."""
    with tempfile.TemporaryDirectory() as folder:
        clips = _recorded(speaker) if speaker.recordings else _spoken(speaker, folder)
    if not clips:
        raise SpeechMissing(voice=speaker.name, package=speaker.package)
    phrases = [phrase for phrase in (_analyse(*clip) for clip in clips) if phrase]
    starts = np.cumsum([0, *(len(phrase["hz"]) for phrase in phrases)])
    rows = [np.c_[np.full(len(p["rows"]), i), p["rows"] + starts[i]] for i, p in enumerate(phrases)]
    if not rows or sum(map(len, rows)) < _FEWEST_SYLLABLES:
        raise SpeechMissing(voice=speaker.name, package=speaker.package)
    return {
        "hz": np.concatenate([p["hz"] for p in phrases]).astype(np.float32),
        "envelope": np.concatenate([p["envelope"] for p in phrases]).astype(np.float16),
        "noise": (255 * np.concatenate([p["noise"] for p in phrases])).round().astype(np.uint8),
        "syllables": np.concatenate(rows).astype(np.int32),
        "top_hz": np.array(_top_hz(clips)),
        **{
            key: np.array(getattr(speaker, key))
            for key in ("name", "engine", "language", "licence", "split", "package")
        },
    }


# ---- library ---------------------------------------------------------------------------------------------------------


def _build_one(speaker: Speaker, folder: Path) -> str:
    """One voice into the folder; what became of it, in a line."""
    path = folder / f"{speaker.name}.npz"
    if path.exists():
        return f"{speaker.name}: kept"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            arrays = analyse_speaker(speaker)
    except SpeechMissing as missing:
        return f"{speaker.name}: {missing}"
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
    part.replace(path)
    return f"{speaker.name}: {len(arrays['hz']) * HOP / RATE:.0f} s, {len(arrays['syllables'])} syllables"


def build(folder: Path, *, speakers: Sequence[Speaker] | None = None, workers: int = 2) -> Iterator[str]:
    """Builds every voice that is not there yet; tells of each when it is done, or which package it needs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _BUILDING).touch()
    wanted = every_speaker() if speakers is None else list(speakers)
    if workers < 2:
        yield from (_build_one(speaker, folder) for speaker in wanted)
    else:
        with processes(workers) as pool:
            yield from pool.map(_build_one, wanted, [folder] * len(wanted))
    (folder / _BUILDING).unlink(missing_ok=True)


def refuse_unfinished() -> None:
    """Raises VoicesUnfinished where the library was begun and is not whole: a seed would be another song."""
    if (library_folder() / _BUILDING).exists():
        raise VoicesUnfinished(folder=library_folder())


@lru_cache(maxsize=256)
def _load(path: Path) -> Voice:
    with np.load(path, allow_pickle=False) as arrays:
        words = {key: str(arrays[key]) for key in ("name", "engine", "language", "licence", "split")}
        numbers = {key: arrays[key] for key in ("hz", "envelope", "noise", "syllables")}
        return Voice(**words, top_hz=float(arrays["top_hz"]), **numbers)


@lru_cache(maxsize=8)
def _catalog(folder: Path) -> tuple[tuple[str, str, str], ...]:
    """Name, engine and split of every voice in a folder; read once, for a library does not change while it sings."""
    rows = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as arrays:
            split, licence = str(arrays["split"]), str(arrays["licence"])
            kept_out = split == "train" and not may_train(licence)  # also a library built before the rule
            rows.append((path.stem, str(arrays["engine"]), "val" if kept_out else split))
    return tuple(rows)


def voice_names(split: str, *, folder: Path | None = None) -> list[tuple[str, str]]:
    """Name and engine of the voices of a split. Raises NoVoices where none was built."""
    folder = folder or library_folder()
    names = [(name, engine) for name, engine, own in _catalog(folder) if own == split]
    if not names:
        raise NoVoices(split=split, folder=folder)
    return names


def load_voice(name: str, *, folder: Path | None = None) -> Voice:
    """One voice of the library. Raises NoVoices where there is none of that name."""
    path = (folder or library_folder()) / f"{name}.npz"
    if not path.exists():
        raise NoVoices(split=name, folder=path.parent)
    return _load(path)

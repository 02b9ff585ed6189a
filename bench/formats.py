"""Every format, rate and depth of stems, read again by two other programs: length, shift, level, error.

    python bench/formats.py [--seconds 3] [--rates 22050 44100 …]

Readers are libsndfile (by soundfile; no m4a) and the system's ffmpeg, each of which decodes with code that is not ours.
A shift is the peak of the cross-correlation, in samples of the file; the level is that of the whole file. FFmpeg does
not end an m4a where its edit list says so (QuickTime and we do): there it hears the rest of the last frame.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from stemwright.audio.encode import open_stem
from stemwright.audio.formats import FORMATS, Sound
from stemwright.audio.signal import Resampler, Samples

RATES = (8000, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000)
KINDS = (
    "wav-16", "wav-24", "wav-32f", "flac-16", "flac-24", "mp3-320", "mp3-192", "mp3-64",
    "m4a-320", "m4a-128", "opus-320", "opus-96",
)  # fmt: skip


def sound(seconds: float, rate: int) -> Samples:
    """Tones, soft noise and a click [2, n] below half of any rate: what can be found again at any offset."""
    t = np.arange(round(seconds * rate) + 7) / rate
    tones = sum(0.1 * np.sin(2 * np.pi * hz * t * (1 + 0.1 * t)) for hz in (110.0, 523.0, 1301.0, 2777.0))
    noise = np.random.default_rng(0).standard_normal((2, len(t))) * 0.01
    return (tones + noise).astype(np.float32)


def read_with_ffmpeg(path: Path) -> tuple[Samples, int]:
    probe = ["ffprobe", "-v", "error", "-show_entries", "stream=sample_rate", "-select_streams", "a", "-of", "csv=p=0"]
    rate = int(subprocess.run([*probe, path], check=True, capture_output=True, text=True).stdout.split()[0].strip(","))
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", "a", "-f", "f32le", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, "<f4").reshape(-1, 2).T, rate


def read_with_libsndfile(path: Path) -> tuple[Samples, int]:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return samples.T, rate


def readers(path: Path) -> Iterator[tuple[str, Samples, int]]:
    if path.suffix != ".m4a":
        yield "libsndfile", *read_with_libsndfile(path)
    if shutil.which("ffmpeg"):
        yield "ffmpeg", *read_with_ffmpeg(path)


def shift(late: Samples, early: Samples) -> int:
    n = 2 * max(late.shape[1], early.shape[1])
    peak = int(np.argmax(np.fft.irfft(np.fft.rfft(late[0], n) * np.conj(np.fft.rfft(early[0], n)))))
    return peak if peak < n // 2 else peak - n


def db(power: float) -> float:
    return 10 * float(np.log10(power + 1e-30))


def measured(found: Samples, wanted: Samples) -> tuple[int, int, float, float]:
    """Samples too many, samples of shift, dB too loud, and the signal-to-noise ratio in dB."""
    n = min(found.shape[1], wanted.shape[1])
    noise, power = np.square(found[:, :n] - wanted[:, :n]).mean(), np.square(wanted).mean()
    loud = db(np.square(found[:, :n]).mean()) - db(np.square(wanted[:, :n]).mean())
    return found.shape[1] - wanted.shape[1], shift(found, wanted), loud, db(power) - db(noise)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rates", type=int, nargs="+", default=RATES)
    asked = parser.parse_args()
    table = Table("format", "song Hz", "file Hz", "reader", "samples too many", "shift", "level dB", "SNR dB", box=None)
    files, wrong = 0, 0
    for kind in KINDS:
        for rate in asked.rates:
            samples = sound(asked.seconds, rate)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"a.{kind.partition('-')[0]}"
                with open_stem(path, rate=rate, format=Sound.of(kind)) as writer:
                    writer.write(samples)
                files += 1
                for reader, found, file_rate in readers(path):
                    up = Resampler(rate, FORMATS[path.suffix[1:]].rate_for(rate))
                    wanted = np.concatenate([up.push(samples), up.finish()], axis=1)
                    long, late, loud, snr = measured(found, wanted)
                    wrong += bool(long or late or abs(loud) > 0.5)
                    row = (kind, rate, file_rate, reader, long, late, f"{loud:+.3f}", f"{snr:.1f}")
                    table.add_row(*map(str, row))
    Console(width=110).print(table)
    print(f"{files} files; {wrong} readings with another length, a shift or another level")


if __name__ == "__main__":
    main()

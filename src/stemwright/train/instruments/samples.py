"""Recorded sounds: reading them, playing them at another pitch, and the patches of the Freepats project."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
import numba
import numpy as np

from stemwright.train.composing.score import Note

RATE = 44100


@lru_cache(maxsize=600)
def read_sound(path: Path, most_seconds: float = 6.0) -> np.ndarray:
    """A recording as float32 [samples, 2] at 44.1 kHz, from its attack on; kept in memory."""
    frames = []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
        for frame in container.decode(audio=0):
            frames += [f.to_ndarray() for f in resampler.resample(frame)]
        frames += [f.to_ndarray() for f in resampler.resample(None)]
    sound = np.concatenate(frames, 1).T.astype(np.float32)
    loud = np.flatnonzero(np.abs(sound).max(1) > 0.01 * np.abs(sound).max())
    begin = max(0, int(loud[0]) - 40) if len(loud) else 0
    sound = np.ascontiguousarray(sound[begin : begin + int(most_seconds * RATE)])
    fade = min(len(sound), 400)
    sound[len(sound) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)[:, None]
    return sound


@numba.njit(cache=True, fastmath=True)
def add_resampled(out, begin, sound, speed, gains, length, release):  # type: ignore[no-untyped-def]
    """Adds `sound` [m, 2] to `out` [n, 2] at `begin`, `speed` times as fast (cubic), cut after `length` samples with a
    release of `release` samples."""
    total = min(int((sound.shape[0] - 3) / speed), length + release, out.shape[0] - begin)
    for i in range(total):
        at = i * speed
        k = int(at)
        t = at - k
        fade = 1.0 if i < length else 1.0 - (i - length) / release
        for c in range(2):
            p0 = sound[max(k - 1, 0), c]
            p1, p2, p3 = sound[k, c], sound[k + 1, c], sound[k + 2, c]
            y = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
            out[begin + i, c] += gains[c] * fade * y


@dataclass(frozen=True)
class Zone:
    """One sample of a patch: mono float32, its rate, root in Hz, loop bounds, and the highest Hz it is meant for."""

    sound: np.ndarray
    rate: float
    root_hz: float
    top_hz: float
    loop: tuple[int, int] | None


@lru_cache(maxsize=80)
def read_patch(path: Path) -> tuple[Zone, ...]:
    """The zones of a Gravis UltraSound patch (.pat), in the order of the file, low to high."""
    data = path.read_bytes()
    count, at, zones = data[129 + 63 + 6], 129 + 63 + 47, []
    for _ in range(count):
        size, first, last = struct.unpack_from("<III", data, at + 8)
        rate = struct.unpack_from("<H", data, at + 20)[0]
        _, top, root = struct.unpack_from("<III", data, at + 22)
        mode = data[at + 55]
        body = data[at + 96 : at + 96 + size]
        sound = np.frombuffer(body[: size // 2 * 2], "<i2") / 32768 if mode & 1 else np.frombuffer(body, np.int8) / 128
        if mode & 2:
            sound = np.where(sound >= 0, sound - 1.0, sound + 1.0)  # stored unsigned
        width = 2 if mode & 1 else 1
        loop = (first // width, last // width) if mode & 4 and last > first + 8 else None
        zones.append(Zone(sound.astype(np.float32), float(rate), root / 1000, top / 1000, loop))
        at += 96 + size
    return tuple(zones)


@numba.njit(cache=True, fastmath=True)
def _add_looped(out, begin, sound, speed, loop, shape, vibrato):  # type: ignore[no-untyped-def]
    """Plays one zone with its `loop` (first, last) until the note ends, then lets it fade. `shape`: samples held,
    release (samples), gain; `vibrato`: depth (semitones), rate (Hz) and,
    for what is plucked or struck, the samples in which the loop dies away (0: it sustains)."""
    level, at, bent = 1.0, 0.0, 1.0
    loop_first, loop_last, held, release, gain = loop[0], loop[1], shape[0], shape[1], shape[2]
    dying = math.exp(-1.0 / vibrato[2]) if vibrato[2] > 0.0 else 1.0
    fall = math.exp(-1.0 / max(release, 1.0))
    for i in range(out.shape[0] - begin):
        if i > held:
            level *= fall
            if level < 1e-3:
                break
        k = int(at)
        if loop_last > 0:
            if k >= loop_first:
                level *= dying
            if k >= loop_last:
                at -= loop_last - loop_first
                k = int(at)
        elif k >= sound.shape[0] - 2:
            break
        after = k + 1 if k + 1 < sound.shape[0] else k
        if loop_last > 0 and after >= loop_last:
            after = loop_first
        y = gain * level * (sound[k] + (at - k) * (sound[after] - sound[k]))
        out[begin + i, 0] += y
        out[begin + i, 1] += y
        if i % 32 == 0 and vibrato[0] > 0.0:
            t = i / RATE
            bent = 2.0 ** (vibrato[0] * min(1.0, t * 2.5) * math.sin(2 * math.pi * vibrato[1] * t) / 12.0)
        at += speed * bent


def play_patch(
    rng: np.random.Generator, path: Path, notes: Sequence[Note], samples: int, *, decays: bool = False
) -> np.ndarray:
    """The notes on a Freepats patch, float32 [samples, 2]; `decays` for what is plucked or struck."""
    zones, out = read_patch(path), np.zeros((samples, 2), np.float32)
    release = float(rng.uniform(0.03, 0.25)) * RATE
    vibrato = np.array([rng.uniform(0, 0.25) if rng.random() < 0.4 and not decays else 0.0, rng.uniform(4.5, 6.5), 0.0])
    dying = float(rng.uniform(0.5, 2.0)) if decays else 0.0
    for note in notes:
        hz, begin = 440 * 2 ** ((note.pitch - 69) / 12), round(note.start_seconds * RATE)
        if begin >= samples:
            continue
        zone = next((z for z in zones if hz <= z.top_hz * 1.01), zones[-1])
        speed = hz / zone.root_hz * zone.rate / RATE
        first, last = zone.loop or (0, 0)
        vibrato[2] = dying * RATE * 2 ** ((60 - note.pitch) / 24)
        loop = (first, min(last, len(zone.sound) - 1))
        shape = (note.seconds * RATE, release, (note.velocity / 127) ** 1.5)
        _add_looped(out, begin, zone.sound, speed, loop, shape, vibrato)
    return out


FREEPATS = {
    "piano": (0, 1, 2), "electric piano": (4, 5), "organ": (16, 19), "clavi": (6, 7), "mallets": (8, 9, 13, 14, 15),
    "accordion": (21, 23), "acoustic guitar": (24, 25, 25), "clean guitar": (26, 27, 28), "driven guitar": (29, 30),
    "upright": (32, 35), "electric bass": (33, 34, 35), "slap bass": (36, 37), "synth bass": (38,),
    "solo strings": (40, 42, 40), "string section": (48, 44), "pizzicato": (45,), "harp": (46,), "low strings": (42,),
    "solo brass": (56, 57, 58, 59, 60), "brass section": (61,), "sax": (64, 65, 66, 67), "reed": (68, 69, 70, 71),
    "flute": (72, 73, 74, 75), "blown": (76, 79), "synth lead": (80, 84), "synth pad": (88, 94, 95), "fx": (98, 101),
}  # fmt: skip


def freepats_file(folder: Path, program: int, *, drums: bool = False) -> Path | None:
    """The patch of a General MIDI program (or drum key) in the Freepats folder, None when it has none."""
    return next(iter(sorted((folder / ("Drum_000" if drums else "Tone_000")).glob(f"{program:03d}_*.pat"))), None)

"""An acoustic drum kit of our own: skins and cymbals as ringing modes, wires, beaters and sticks, close microphones,
overheads and a room; every song draws its kit, every hit differs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import scipy.signal

from stemwright.train.composing.score import Note
from stemwright.train.mixing.desk import biquad, compress, equalise

RATE = 44100
# Zeros of Bessel functions beside the first: the modes of an ideal membrane.
MEMBRANE = np.array([1.0, 1.594, 2.136, 2.296, 2.653, 2.918, 3.156, 3.501, 3.6, 3.652, 4.06, 4.154, 4.601, 4.903])
TOMS = {41: 0.0, 43: 0.2, 45: 0.42, 47: 0.6, 48: 0.8, 50: 1.0}
LAYERS, ROBINS = 3, 3
MODES = 150  # of a cymbal: enough to be heard as a hiss
# Bands (Hz) of a cymbal's wash, their share of its decay, and the seconds in which they bloom.
WASH = ((2500, 6000, 1.0, 0.006), (6000, 11000, 0.7, 0.003), (11000, 19000, 0.45, 0.001))


@numba.njit(cache=True, fastmath=True)
def _ring(out, modes, glide, fall):  # type: ignore[no-untyped-def]
    """Adds damped sines to `out` [n]; rows of `modes`: Hz, amplitude, decay (s), phase; all begin `glide` (ratio)
    higher and come down within `fall` seconds."""
    for k in range(modes.shape[0]):
        re, im = modes[k, 1] * np.cos(modes[k, 3]), modes[k, 1] * np.sin(modes[k, 3])
        for first in range(0, out.shape[0], 64):
            w = 2 * np.pi * modes[k, 0] * (1.0 + glide * np.exp(-first / (fall * RATE))) / RATE
            if w > 2.8 or re * re + im * im < 1e-10:
                break
            r = np.exp(-1.0 / (modes[k, 2] * RATE))
            c, s = r * np.cos(w), r * np.sin(w)
            for i in range(first, min(first + 64, out.shape[0])):
                re, im = c * re - s * im, s * re + c * im
                out[i] += im


def _noise(rng: np.random.Generator, count: int, bands: list) -> np.ndarray:
    """Coloured noise [count] with a root mean square of one."""
    sound = equalise(np.repeat(rng.standard_normal((count, 1)), 2, 1), bands)[:, 0].astype(np.float64)
    return sound / (np.sqrt(np.mean(sound**2)) + 1e-9)


@dataclass(frozen=True)
class Skin:
    """A drum: lowest mode (Hz), its decay (s), how fast higher modes die, stretch of the modes, glide and its fall (s),
    hardness of what strikes it (Hz), its click, and the wires under it (level, decay, Hz)."""

    hz: float
    decay: float
    damping: float
    stretch: float
    glide: float
    fall: float
    hardness: float
    click: float
    wires: tuple[float, float, float] = (0.0, 0.1, 3000.0)

    def strike(self, rng: np.random.Generator, force: float) -> np.ndarray:
        """One hit of `force` 0-1 at a place near the one before, mono."""
        count = int(min(6 * max(self.decay, self.wires[1]), 2.5) * RATE)
        t, out = np.arange(count) / RATE, np.zeros(count)
        ratios = MEMBRANE**self.stretch
        reach = self.hardness * (0.4 + force)
        levels = np.exp(-self.hz * (ratios - 1) / reach) * rng.uniform(0.25, 1, len(ratios))
        levels[0] = 1.0
        decays = self.decay * ratios**-self.damping
        modes = np.stack([self.hz * ratios * (1 + rng.normal(0, 0.002, len(ratios))), levels, decays,
                          rng.uniform(-0.5, 0.5, len(ratios))], 1)  # fmt: skip
        _ring(out, modes, self.glide * force, self.fall)
        top = min(2.5 * reach + 1500, 15000)
        attack = _noise(rng, count, [biquad("lowpass", top), biquad("highpass", 300)]) * np.exp(-t / 0.0025)
        out += self.click * force * attack
        level, decay, hz = self.wires
        if level > 0:
            bands = [biquad("highpass", 0.35 * hz), biquad("peak", hz, gain_db=7, q=0.8), biquad("lowpass", 13000)]
            shape = np.minimum(1, t / 0.002) * (0.8 * np.exp(-t / decay) + 0.2 * np.exp(-t / (3 * decay)))
            out += level * force**0.3 * _noise(rng, count, bands) * shape
        return out * force**1.2


@dataclass(frozen=True)
class Plate:
    """A cymbal: modes [k, 2] of Hz and level, decay (s), level of its wash, its lowest Hz, and level of the ping."""

    modes: np.ndarray
    decay: float
    wash: float
    floor: float
    ping: float

    def strike(self, rng: np.random.Generator, force: float) -> np.ndarray:
        """One hit, mono: the wash takes a moment to bloom, the highs die first."""
        count = int(min(5 * self.decay + 0.05, 3.0) * RATE)
        t, out = np.arange(count) / RATE, np.zeros(count)
        hz = self.modes[:, 0]
        levels = self.modes[:, 1] * rng.lognormal(0, 0.4, len(hz)) * np.exp(-hz / (5000 + 14000 * force)) / 16
        decays = self.decay * (1500 / (1500 + hz)) ** 0.4
        _ring(out, np.stack([hz, levels, decays, rng.uniform(0, 6.3, len(hz))], 1), 0.0, 1.0)
        for low, high, speed, bloom in WASH:
            band = _noise(rng, count, [biquad("highpass", max(low, self.floor)), biquad("lowpass", high)])
            out += self.wash * force**0.5 * (1 - np.exp(-t / bloom)) * np.exp(-t / (self.decay * speed)) * band / 3
        stick = np.sin(2 * np.pi * hz[len(hz) // 2] * t) + 0.5 * np.sin(2 * np.pi * hz[-1] * t)
        out += self.ping * stick * np.exp(-t / 0.05) * force
        return equalise(np.repeat(out[:, None], 2, 1), [biquad("highpass", self.floor)])[:, 0] * force


def _skin(rng: np.random.Generator, key: int, kit: np.ndarray) -> Skin:
    """A drum of a kit whose `kit` [4] in 0-1 are: size, tightness, damping, hardness of the sticks."""
    size, tight, damped, hard = kit
    damping, stretch = rng.uniform(0.5, 1.6), rng.uniform(0.85, 1.15)
    stick = 600 + 3500 * hard * rng.uniform(0.6, 1.4)
    if key in (35, 36):
        decay = (0.05 + 0.3 * (1 - damped)) * rng.uniform(0.7, 1.3)
        beater = rng.uniform(80, 900)
        return Skin(78 - 38 * size, decay, damping, stretch, rng.uniform(0.1, 1.5), rng.uniform(0.008, 0.04), beater,
                    rng.uniform(0.05, 1.2) * hard)  # fmt: skip
    if key in (38, 40):
        wires = (rng.uniform(0.15, 0.9), 0.04 + 0.2 * rng.random() * (1.3 - damped), rng.uniform(1800, 6500))
        decay = (0.03 + 0.2 * (1 - damped)) * rng.uniform(0.7, 1.3)
        return Skin(140 + 190 * tight, decay, damping, stretch, rng.uniform(0, 0.12), 0.02, stick, rng.uniform(0.2, 1),
                    wires)  # fmt: skip
    place = TOMS.get(key, 0.5)
    hz = (60 + 50 * tight - 15 * size) * 2 ** (1.3 * place)
    buzz = (0.03, 0.15, 3000.0) if rng.random() < 0.3 else (0.0, 0.1, 3000.0)
    return Skin(hz, (0.08 + 0.5 * (1 - damped)) * rng.uniform(0.8, 1.2), damping, stretch, rng.uniform(0, 0.25), 0.05,
                0.5 * stick, rng.uniform(0.1, 0.6), buzz)  # fmt: skip


def _plate(rng: np.random.Generator, key: int, kit: np.ndarray) -> Plate:
    size, hard = kit[0], kit[3]
    hat = key in (42, 44, 46)
    low = (500 if hat else 250) * 2 ** (0.8 * (0.5 - size))
    hz = np.sort(np.exp(rng.uniform(np.log(low), np.log(15000), MODES)))
    modes = np.stack([hz, rng.uniform(0, 1, MODES) ** 2 * np.minimum(1, hz / 2500) ** 0.5], 1)
    decays = {42: (0.015, 0.07), 44: (0.02, 0.05), 46: (0.15, 0.7), 51: (0.5, 1.6), 59: (0.5, 1.6), 53: (0.4, 1.2),
              55: (0.2, 0.5), 52: (0.4, 1.0)}  # fmt: skip
    ping = rng.uniform(0.1, 0.8) * (0.4 + hard) if key in (51, 53, 59) else rng.uniform(0, 0.15)
    wash = rng.uniform(0.05, 0.4) if key in (51, 53, 59) else rng.uniform(0.3, 1.2)
    floor = rng.uniform(1500, 5500) if hat else rng.uniform(300, 1800)
    return Plate(modes, rng.uniform(*decays.get(key, (0.6, 1.6))), wash, floor, ping)


def _wood(rng: np.random.Generator, key: int) -> Skin:
    """What the stick does to the rim, a shell or a bell."""
    hz = {37: 420, 39: 900, 56: 560, 54: 5200}.get(key, 800) * rng.uniform(0.8, 1.3)
    return Skin(hz, rng.uniform(0.015, 0.06), rng.uniform(0, 0.5), rng.uniform(1, 1.5), 0.0, 0.02, 5000, 1.0)


CYMBALS = (42, 44, 46, 49, 51, 52, 53, 55, 57, 59)
MEANT = {35: -16.0, 36: -16.0, 37: -27.0, 38: -17.0, 39: -25.0, 40: -17.0, 42: -30.0, 44: -33.0, 46: -28.0, 51: -29.0,
         59: -29.0, 53: -28.0, 49: -25.0, 57: -25.0, 52: -26.0, 54: -30.0, 55: -27.0, 56: -27.0}  # fmt: skip


def play_skins(rng: np.random.Generator, notes: Sequence[Note], samples: int) -> np.ndarray:
    """General MIDI drum keys on an acoustic kit drawn for the song, float32 [samples, 2]."""
    kit = rng.random(4)
    close, over = np.zeros((samples + 4 * RATE, 2)), np.zeros((samples + 4 * RATE, 2))
    drums: dict[int, tuple[Skin | Plate, float, float, np.ndarray]] = {}
    hits: dict[tuple[int, int, int], np.ndarray] = {}
    hats = sorted(n.start_seconds for n in notes if round(n.pitch) in (42, 44, 46))
    for note in sorted(notes):
        key, begin = round(note.pitch), max(0, round(note.start_seconds * RATE))
        if begin >= samples:
            continue
        if key not in drums:
            drums[key] = _placed(rng, key, kit)
        drum, gain, pan, late = drums[key]
        place = (key, min(LAYERS - 1, int(note.velocity / 128 * LAYERS)), int(rng.integers(ROBINS)))
        if place not in hits:
            hits[place] = drum.strike(rng, (place[1] + 1) / LAYERS).astype(np.float32)
        hit = hits[place] * np.float32(gain * (note.velocity / 127) ** 0.8)
        if key == 46:
            later = hats[min(int(np.searchsorted(hats, note.start_seconds + 0.02)), len(hats) - 1)]
            hit = _choked(hit, later - note.start_seconds)
        angle = (pan + 1) * np.pi / 4
        close[begin : begin + len(hit)] += hit[:, None] * np.array([np.cos(angle), np.sin(angle)])
        for side in (0, 1):
            over[begin + late[side] : begin + late[side] + len(hit), side] += hit * (1 + (1 - 2 * side) * -pan * 0.5)
    return _microphones(rng, close[:samples], over[:samples])


def _placed(rng: np.random.Generator, key: int, kit: np.ndarray) -> tuple[Skin | Plate, float, float, np.ndarray]:
    """The drum of a key, its gain, its place in the image, and how late (samples) the overheads hear it."""
    if key in CYMBALS:
        drum: Skin | Plate = _plate(rng, key, kit)
    else:
        drum = _skin(rng, key, kit) if key in (35, 36, 38, 40) or key in TOMS else _wood(rng, key)
    trial = drum.strike(np.random.default_rng(0), 1.0)
    loud = np.sqrt(np.mean(trial[: int(0.15 * RATE)] ** 2)) + 1e-9
    gain = 10 ** ((MEANT.get(key, -20.0) + rng.normal(0, 2.5)) / 20) / loud
    pan = 0.0 if key <= 40 else float(rng.uniform(-0.8, 0.8))
    return drum, gain, pan, (np.array([1 + pan, 1 - pan]) * rng.uniform(20, 90) + rng.uniform(20, 150)).astype(int)


def _choked(hit: np.ndarray, seconds: float) -> np.ndarray:
    """An open hi-hat ends where the next one begins."""
    if seconds <= 0 or seconds * RATE >= len(hit):
        return hit
    t = np.maximum(0, np.arange(len(hit)) / RATE - seconds)
    return (hit * np.exp(-t / 0.008)).astype(np.float32)


def _microphones(rng: np.random.Generator, close: np.ndarray, over: np.ndarray) -> np.ndarray:
    """Close microphones, overheads and a room that may be squeezed, in a balance of the song's own."""
    dry = equalise(close, [biquad("peak", rng.uniform(250, 700), gain_db=rng.uniform(-8, 1), q=1.0)])
    treble = biquad("highshelf", 7000, gain_db=rng.normal(0, 3))
    above = equalise(over, [biquad("highpass", rng.uniform(60, 500)), treble])
    seconds = rng.uniform(0.08, 0.7)
    t = np.arange(int(seconds * RATE)) / RATE
    response = equalise(rng.standard_normal((len(t), 2)) * np.exp(-5 * t / seconds)[:, None],
                        [biquad("lowpass", rng.uniform(2500, 11000)), biquad("highpass", 70)])  # fmt: skip
    response /= np.sqrt((response**2).sum(0)) + 1e-9
    room = np.stack([scipy.signal.oaconvolve(above[:, c], response[:, c])[: len(above)] for c in (0, 1)], 1)
    if rng.random() < 0.5:
        room = 1.5 * compress(room.astype(np.float32), threshold_db=-38, ratio=rng.uniform(3, 10), attack_s=0.004,
                              release_s=rng.uniform(0.06, 0.25))  # fmt: skip
    levels = 10 ** (rng.uniform((-6, -20, -30), (0, -4, -4)) / 20)
    return (levels[0] * dry + levels[1] * above + levels[2] * room).astype(np.float32)

"""Synthesizers of our own: subtractive voices with unison and a swept filter, FM stacks, electronic drums."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from stemwright.train.composing.score import Note

RATE = 44100


@numba.njit(cache=True, fastmath=True)
def _blep(phase: float, step: float) -> float:
    """Polynomial band-limited step correction (Välimäki 2007) for a jump at phase 0."""
    if phase < step:
        t = phase / step
        return t + t - t * t - 1.0
    if phase > 1.0 - step:
        t = (phase - 1.0) / step
        return t * t + t + t + 1.0
    return 0.0


@numba.njit(cache=True, fastmath=True)
def _wave(kind: int, phase: float, step: float, width: float) -> float:
    """One sample of a saw (0), pulse (1), triangle (2) or sine (3)."""
    if kind == 0:
        return 2.0 * phase - 1.0 - _blep(phase, step)
    if kind == 1:
        other = phase - width
        if other < 0.0:
            other += 1.0
        level = 1.0 if phase < width else -1.0
        return level + _blep(phase, step) - _blep(other, step) - (2.0 * width - 1.0)
    if kind == 2:
        return 4.0 * abs(phase - 0.5) - 1.0
    return math.sin(2.0 * math.pi * phase)


@numba.njit(cache=True, fastmath=True)
def _filter(x, state, g, damping, kind):  # type: ignore[no-untyped-def]
    """One sample through a state-variable filter (Simper 2013): low-pass (0), band-pass (1) or high-pass (2)."""
    a1 = 1.0 / (1.0 + g * (g + damping))
    v3 = x - state[1]
    v1 = a1 * state[0] + g * a1 * v3
    v2 = state[1] + g * a1 * state[0] + g * g * a1 * v3
    state[0], state[1] = 2.0 * v1 - state[0], 2.0 * v2 - state[1]
    return v2 if kind == 0 else v1 if kind == 1 else x - damping * v1 - v2


@numba.njit(cache=True, fastmath=True)
def _subtractive(out, begin, pitch, hold, voice, phases, gain):  # type: ignore[no-untyped-def]
    """Adds one note to `out` [n, 2]: detuned oscillators, filter, two envelopes, vibrato.

    `voice`: wave, second wave, its octave, its level, unison, detune (cents), width of the image, pulse width, attack,
    decay, sustain, release (s), cutoff (Hz), key follow, filter envelope (octaves), its decay (s), damping,
    filter kind, vibrato (cents), its rate (Hz), wobble (octaves), its rate (Hz), glide (s) from (semitones), drive.
    """
    wave, wave2, octave2, level2 = int(voice[0]), int(voice[1]), voice[2], voice[3]
    unison, detune, image, width = int(voice[4]), voice[5], voice[6], voice[7]
    attack, decay, sustain, release = voice[8], voice[9], voice[10], voice[11]
    kind, drive = int(voice[17]), voice[24]
    held, ic = int(hold * RATE), np.zeros((2, 2))
    g, level, fall = 0.0, 0.0, math.exp(-1.0 / (release * RATE))
    base = 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)
    tuning, left, right = np.empty(unison), np.empty(unison), np.empty(unison)
    for u in range(unison):
        place = 0.0 if unison == 1 else 2.0 * u / (unison - 1) - 1.0
        tuning[u] = 2.0 ** (detune * place / 1200.0)
        left[u] = math.cos((1.0 + place * image) * math.pi / 4)
        right[u] = math.sin((1.0 + place * image) * math.pi / 4)
    tune = 1.0
    for i in range(min(int((hold + 5.0 * release) * RATE), out.shape[0] - begin)):
        t = i / RATE
        if i % 16 == 0:
            bend = voice[18] * min(1.0, t * 3.0) * math.sin(2 * math.pi * voice[19] * t) / 1200.0
            bend += voice[23] / 12.0 * math.exp(-t / max(voice[22], 1e-3))
            tune = 2.0**bend * base / RATE
            sweep = voice[14] * math.exp(-t / voice[15]) + voice[20] * math.sin(2 * math.pi * voice[21] * t + phases[0])
            cutoff = voice[12] * (base / 261.6) ** voice[13] * 2.0**sweep
            g = math.tan(math.pi * min(max(cutoff, 30.0), 18000.0) / RATE)
        if i < held:
            level = min(1.0, t / attack) * (sustain + (1.0 - sustain) * math.exp(-max(0.0, t - attack) / decay))
        else:
            level *= fall
        x0, x1 = 0.0, 0.0
        for u in range(unison):
            step = tune * tuning[u]
            y = _wave(wave, phases[u], step, width)
            phases[u] = (phases[u] + step) % 1.0
            if level2 > 0.0:
                v = unison + u
                y += level2 * _wave(wave2, phases[v], step * octave2, width)
                phases[v] = (phases[v] + step * octave2) % 1.0
            x0 += y * left[u]
            x1 += y * right[u]
        if drive > 0.0:
            x0, x1 = math.tanh(x0 * drive), math.tanh(x1 * drive)
        out[begin + i, 0] += gain * _filter(x0, ic[0], g, voice[16], kind)
        out[begin + i, 1] += gain * _filter(x1, ic[1], g, voice[16], kind)


@numba.njit(cache=True, fastmath=True)
def _fm(out, begin, pitch, hold, operators, routing, gain):  # type: ignore[no-untyped-def]
    """Adds one note to `out` [n, 2] of four operators (Chowning 1973); rows of `operators`: ratio, detune (Hz), level,
    attack, decay, sustain, release (s), velocity-scaled feedback; `routing[i]` is the operator that i modulates,
        -1 = out.
    """
    base = 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)
    longest = 0.0
    for k in range(4):
        if routing[k] < 0:
            longest = max(longest, operators[k, 6])
    total = min(int((hold + 6.0 * longest) * RATE), out.shape[0] - begin)
    held = int(hold * RATE)
    phase, level, last, into = np.zeros(4), np.zeros(4), np.zeros(4), np.zeros(4)
    for i in range(total):
        t = i / RATE
        y = 0.0
        into[:] = 0.0
        for k in range(3, -1, -1):
            if i % 8 == 0:
                sustain, decay = operators[k, 5], max(operators[k, 4], 1e-3)
                if i < held:
                    rise = min(1.0, t / max(operators[k, 3], 1e-4))
                    level[k] = rise * (sustain + (1.0 - sustain) * math.exp(-t / decay))
                else:
                    level[k] *= math.exp(-8.0 / (max(operators[k, 6], 1e-3) * RATE))
            value = level[k] * math.sin(2 * math.pi * phase[k] + into[k] + operators[k, 7] * last[k])
            last[k] = value
            phase[k] = (phase[k] + (base * operators[k, 0] + operators[k, 1]) / RATE) % 1.0
            if routing[k] < 0:
                y += operators[k, 2] * value
            else:
                into[routing[k]] += operators[k, 2] * value
        out[begin + i, 0] += gain * y
        out[begin + i, 1] += gain * y


@dataclass(frozen=True)
class Range:
    """Bounds of a patch's knobs for one role."""

    attack: tuple[float, float]
    decay: tuple[float, float]
    sustain: tuple[float, float]
    release: tuple[float, float]
    cutoff: tuple[float, float]
    sweep: tuple[float, float]
    unison: tuple[int, ...]


ROLES = {
    "bass": Range((0.002, 0.008), (0.08, 0.9), (0.2, 1.0), (0.02, 0.08), (80, 1200), (0, 4), (1, 1, 1, 2)),
    "lead": Range((0.003, 0.06), (0.1, 1.0), (0.4, 1.0), (0.03, 0.2), (500, 6000), (-1, 4), (1, 2, 3, 5, 7)),
    "pad": Range((0.1, 0.9), (0.5, 3.0), (0.6, 1.0), (0.15, 0.6), (300, 5000), (-1, 2), (3, 4, 5, 7)),
    "pluck": Range((0.001, 0.004), (0.05, 0.35), (0.0, 0.2), (0.03, 0.15), (200, 3000), (1, 5), (1, 2, 3)),
    "stab": Range((0.002, 0.01), (0.1, 0.6), (0.1, 0.7), (0.04, 0.2), (400, 5000), (0, 4), (3, 5, 7)),
}


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def subtractive_patch(rng: np.random.Generator, role: str) -> np.ndarray:
    """Draws the 25 knobs of a subtractive voice for a role of ROLES."""
    r = ROLES[role]
    vibrato = rng.uniform(5, 40) if role == "lead" and rng.random() < 0.5 else rng.uniform(0, 4)
    wobble = rng.uniform(0.3, 2.5) if rng.random() < 0.2 else 0.0
    glide = float(rng.choice([-12, -5, -2, 2, 12])) if role in ("lead", "bass") and rng.random() < 0.2 else 0.0
    return np.array([
        rng.choice([0, 0, 1, 1, 2, 3] if role != "pad" else [0, 0, 1, 2]), rng.choice([0, 1, 2, 3]),
        rng.choice([0.5, 0.5, 1.0, 2.0, 1.4983, 3.0]), rng.uniform(0.2, 1.0) if rng.random() < 0.55 else 0.0,
        rng.choice(r.unison), _log_uniform(rng, 3, 45), rng.uniform(0.2, 1.0), rng.uniform(0.08, 0.5),
        _log_uniform(rng, *r.attack), _log_uniform(rng, *r.decay), rng.uniform(*r.sustain), _log_uniform(rng,
            *r.release),
        _log_uniform(rng, *r.cutoff), rng.uniform(0.2, 1.0), rng.uniform(*r.sweep), _log_uniform(rng, 0.04, 1.2),
        rng.uniform(0.25, 1.9), rng.choice([0, 0, 0, 0, 1, 2] if role not in ("bass", "pad") else [0]),
        vibrato, rng.uniform(4, 7), wobble, _log_uniform(rng, 0.1, 8), rng.uniform(0.02, 0.12), glide,
        rng.uniform(0.5, 3) if rng.random() < 0.3 else 0.0,
    ])  # fmt: skip


def play_subtractive(rng: np.random.Generator, notes: Sequence[Note], samples: int, role: str) -> np.ndarray:
    """The part on a freshly drawn subtractive synthesizer, float32 [samples, 2]."""
    voice = subtractive_patch(rng, role)
    out = np.zeros((samples, 2))
    for note in notes:
        begin = round(note.start_seconds * RATE)
        if begin < samples:
            phases = rng.random(2 * int(voice[4]) + 1)
            _subtractive(out, begin, note.pitch, note.seconds, voice, phases, note.velocity / 127 / voice[4] ** 0.5)
    return (0.2 * out).astype(np.float32)


FM_ROUTINGS = (
    (-1, 0, 1, 2),
    (-1, 0, -1, 2),
    (-1, 0, 0, 0),
    (-1, -1, 0, 1),
    (-1, 0, 0, 2),
    (-1, -1, -1, 0),
    (-1, -1, -1, -1),
)
FM_RATIOS = (0.5, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.0, 7.0, 1.41, 3.5, 9.0, 14.0)


def fm_patch(rng: np.random.Generator, role: str) -> tuple[np.ndarray, np.ndarray]:
    """Draws operators [4, 8] and a routing [4] of an FM voice for a role of ROLES."""
    r = ROLES[role]
    routing = np.array(FM_ROUTINGS[rng.integers(len(FM_ROUTINGS))])
    operators = np.zeros((4, 8))
    for k in range(4):
        carrier = routing[k] < 0
        ratio = float(rng.choice((0.5, 1.0, 1.0, 2.0, 3.0) if carrier else FM_RATIOS))
        operators[k] = (
            1.0 if k == 0 else ratio, rng.normal(0, 0.6), rng.uniform(0.3, 1.0) if carrier else _log_uniform(rng, 0.3,
            6.0),
            _log_uniform(rng, *r.attack), _log_uniform(rng, *r.decay) * (1.0 if carrier else rng.uniform(0.2, 1.5)),
            rng.uniform(*r.sustain), _log_uniform(rng, *r.release), rng.uniform(0, 1.2) if rng.random() < 0.3 else 0.0,
        )  # fmt: skip
    return operators, routing


def play_fm(rng: np.random.Generator, notes: Sequence[Note], samples: int, role: str) -> np.ndarray:
    """The part on a freshly drawn four-operator FM synthesizer, float32 [samples, 2]."""
    operators, routing = fm_patch(rng, role)
    out = np.zeros((samples, 2))
    for note in notes:
        begin = round(note.start_seconds * RATE)
        if begin < samples:
            voiced = operators.copy()
            voiced[routing >= 0, 2] *= (note.velocity / 100) ** 1.5  # a harder touch is brighter
            _fm(out, begin, note.pitch, note.seconds, voiced, routing, note.velocity / 127)
    return (0.25 * out).astype(np.float32)

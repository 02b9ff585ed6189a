"""How a voice moves through a melody: glides, scoops, falls, vibrato, drift, tuning and loudness per frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import scipy.ndimage

from stemwright.train.composing.notes import Note
from stemwright.train.singing.vocoder import HOP, RATE

FRAME_SECONDS = HOP / RATE
UNSUNG = -1


@dataclass(frozen=True)
class Motion:
    """Habits of a singer's pitch: times in seconds, depths in semitones unless the name says cents."""

    glide_seconds: float = 0.06
    overshoot: float = 0.3
    scoop: float = 0.7
    scoop_chance: float = 0.4
    fall: float = 2.0
    fall_chance: float = 0.15
    vibrato_cents: float = 40.0
    vibrato_hz: float = 5.5
    vibrato_after_seconds: float = 0.25
    drift_cents: float = 12.0
    flutter_cents: float = 4.0
    detune_cents: float = 8.0
    tuned: float = 0.0  # 0 free, 1 every frame on a semitone
    tuning_seconds: float = 0.02
    spoken: float = 0.0  # 0 sung, 1 the melody gives way to the tune of speech
    tremolo: float = 0.1  # loudness that goes with the vibrato
    release_seconds: float = 0.09  # how long the last note of a phrase dies away
    attack_seconds: float = 0.03


@dataclass
class Contour:
    """Per frame: MIDI pitch, loudness 0-1, index of the note sung (UNSUNG between notes)."""

    pitch: np.ndarray
    loudness: np.ndarray
    note: np.ndarray


def smooth_noise(rng: np.random.Generator, n: int, seconds: float) -> np.ndarray:
    """Gaussian noise of unit variance [n] that changes over about `seconds`."""
    width = max(seconds / FRAME_SECONDS, 1.0)
    coarse = rng.standard_normal(int(n / width) + 4)
    at = np.arange(n) / width + rng.random()
    first = at.astype(int)
    share = 0.5 - 0.5 * np.cos(np.pi * (at - first))
    return (coarse[first] * (1 - share) + coarse[first + 1] * share) / 0.87


@numba.njit(cache=True)
def _follow(target: np.ndarray, seconds: np.ndarray, damping: float, step: float) -> np.ndarray:
    """A damped oscillator pulled to the target: glides with preparation and overshoot, as larynges do."""
    out = np.empty_like(target)
    value, speed = target[0], 0.0
    for i in range(len(target)):
        pull = 2.2 / max(seconds[i], 0.004)
        for _ in range(4):
            speed += (pull * pull * (target[i] - value) - 2 * damping * pull * speed) * step / 4
            value += speed * step / 4
        out[i] = value
    return out


@numba.njit(cache=True)
def _retune(pitch: np.ndarray, strength: float, seconds: float, step: float) -> np.ndarray:
    """Move to the nearest semitone, with a dead zone that keeps the step from flickering."""
    out = np.empty_like(pitch)
    key, offset = np.round(pitch[0]), 0.0
    keep = np.exp(-step / max(seconds, 1e-4))
    for i in range(len(pitch)):
        if abs(pitch[i] - key) > 0.62:
            key = np.round(pitch[i])
        offset = keep * offset + (1 - keep) * (key - pitch[i])
        out[i] = pitch[i] + strength * offset
    return out


def _released(rng: np.random.Generator, notes: Sequence[Note], motion: Motion) -> tuple[list[Note], list[float]]:
    """Notes before a gap last a little longer, dying away; the seconds each does."""
    longer, tails = [], []
    for i, note in enumerate(notes):
        after = notes[i + 1].start_seconds if i + 1 < len(notes) else np.inf
        gap = after - note.start_seconds - note.seconds
        tail = min(motion.release_seconds * rng.uniform(0.4, 2), 0.7 * gap) if gap > 0.05 else 0.0
        longer.append(note._replace(seconds=note.seconds + tail))
        tails.append(tail)
    return longer, tails


def _note_frames(notes: Sequence[Note], n: int) -> np.ndarray:
    note = np.full(n, UNSUNG)
    for i, sung in enumerate(notes):
        first = round(sung.start_seconds / FRAME_SECONDS)
        last = round((sung.start_seconds + sung.seconds) / FRAME_SECONDS)
        note[max(first, 0) : max(min(last, n), 0)] = i
    return note


def _ornaments(rng: np.random.Generator, notes: Sequence[Note], target: np.ndarray, motion: Motion) -> None:
    """Scoops up into a note and falls off its end, written into the target."""
    for i, sung in enumerate(notes):
        first = round(sung.start_seconds / FRAME_SECONDS)
        last = min(round((sung.start_seconds + sung.seconds) / FRAME_SECONDS), len(target))
        if last - first < 8:
            continue
        if rng.random() < motion.scoop_chance:
            lead = min(int(rng.uniform(8, 24)), (last - first) // 2)
            target[first : first + lead] -= motion.scoop * rng.uniform(0.3, 1.5) * np.linspace(1, 0, lead) ** 0.7
        after = notes[i + 1].start_seconds if i + 1 < len(notes) else np.inf
        if after - sung.start_seconds - sung.seconds > 0.1 and rng.random() < motion.fall_chance:
            tail = min(int(rng.uniform(10, 36)), (last - first) // 2)
            target[last - tail : last] -= motion.fall * rng.uniform(0.3, 1.5) * np.linspace(0, 1, tail) ** 1.5


def _vibrato(rng: np.random.Generator, note: np.ndarray, motion: Motion) -> np.ndarray:
    """Unit-depth vibrato that starts late in each note and grows; rate and depth wander."""
    n = len(note)
    rate = motion.vibrato_hz * (1 + 0.06 * smooth_noise(rng, n, 0.5))
    wave = np.sin(2 * np.pi * np.cumsum(rate) * FRAME_SECONDS + rng.uniform(0, 6.28))
    starts = np.r_[True, note[1:] != note[:-1]]
    since = np.arange(n) - np.maximum.accumulate(np.where(starts, np.arange(n), 0))
    depth = np.clip((since * FRAME_SECONDS - motion.vibrato_after_seconds) / 0.35, 0, 1)
    depth = scipy.ndimage.uniform_filter1d(depth, 15)
    return wave * depth * (1 + 0.25 * smooth_noise(rng, n, 0.4))


def _speech_tune(rng: np.random.Generator, note: np.ndarray, middle: float) -> np.ndarray:
    """Accents and declination around one pitch, as in rap and shouted words."""
    n = len(note)
    accents = rng.standard_normal(int(note.max()) + 2)[note]
    slope = 2.0 * smooth_noise(rng, n, 1.5)
    return middle + slope + 2.2 * scipy.ndimage.uniform_filter1d(accents, 21) + 0.8 * smooth_noise(rng, n, 0.1)


def _edges(notes: Sequence[Note], tails: Sequence[float], n: int, attack: float) -> np.ndarray:
    """Gain of attacks after silence and of releases before it."""
    gain = np.ones(n)
    ended = -np.inf
    for note, tail in zip(notes, tails, strict=True):
        first, last = (round(at / FRAME_SECONDS) for at in (note.start_seconds, note.start_seconds + note.seconds))
        rise = min(max(round(attack / FRAME_SECONDS), 2), last - first)
        if note.start_seconds - ended > 0.03 and rise > 0 and first + rise <= n:
            gain[first : first + rise] *= np.linspace(0.15, 1, rise)
        fade = min(round(tail / FRAME_SECONDS), last - first)
        part = gain[last - fade : last] if fade > 0 else gain[:0]
        part *= np.exp(-4.5 * np.linspace(0, 1, fade) ** 1.3)[: len(part)] if fade > 0 else 1
        ended = note.start_seconds + note.seconds
    return gain


def _loudness(rng: np.random.Generator, notes: Sequence[Note], note: np.ndarray, tremolo: np.ndarray) -> np.ndarray:
    velocity = np.array([sung.velocity for sung in notes] + [0.0])
    level = 10 ** ((velocity[note] - 96) / 90) * (note != UNSUNG)
    n = len(note)
    level = np.where(note == UNSUNG, 0, level * np.exp(0.12 * smooth_noise(rng, n, 0.3)))
    swell = np.exp(0.18 * smooth_noise(rng, n, 1.2))
    return scipy.ndimage.uniform_filter1d(level, 5) * swell * (1 + tremolo)


def draw(rng: np.random.Generator, notes: Sequence[Note], n: int, motion: Motion) -> Contour:
    """The path of a voice through notes sorted by onset, over n frames.

    Follows Saitou et al. 2007 (overshoot, vibrato, preparation, fine fluctuation) with ornaments of pop singing.
    """
    notes, tails = _released(rng, notes, motion)
    note = _note_frames(notes, n)
    sung = np.nonzero(note != UNSUNG)[0]
    if not len(sung):
        return Contour(np.full(n, 60.0), np.zeros(n), note)
    pitches = np.array([one.pitch for one in notes]) + rng.standard_normal(len(notes)) * motion.detune_cents / 100
    target = np.full(n, np.nan)
    target[sung] = pitches[note[sung]]
    target = target[sung[np.searchsorted(sung, np.arange(n)).clip(max=len(sung) - 1)]]  # gaps prepare the next note
    middle = float(np.median(target)) - 5
    _ornaments(rng, notes, target, motion)
    if motion.spoken:
        target = (1 - motion.spoken) * target + motion.spoken * _speech_tune(rng, note, middle)
    glide = motion.glide_seconds * np.exp(0.35 * smooth_noise(rng, n, 0.6))
    pitch = _follow(target, glide, 1 - 0.45 * motion.overshoot, FRAME_SECONDS)
    wave = _vibrato(rng, note, motion)
    pitch = pitch + motion.vibrato_cents / 100 * wave + motion.drift_cents / 100 * smooth_noise(rng, n, 0.8)
    pitch += motion.flutter_cents / 100 * smooth_noise(rng, n, 0.03)
    if motion.tuned:
        pitch = _retune(pitch, motion.tuned, motion.tuning_seconds, FRAME_SECONDS)
    loudness = _loudness(rng, notes, note, motion.tremolo * wave) * _edges(notes, tails, n, motion.attack_seconds)
    return Contour(pitch, loudness, note)

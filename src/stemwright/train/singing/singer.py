"""One take of one singer: speech re-sung or a tract from first principles, along a contour, in a manner."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import scipy.ndimage

from stemwright.train.composing.notes import Note
from stemwright.train.singing import contour, tract, vocoder
from stemwright.train.singing.contour import UNSUNG, Contour, Motion
from stemwright.train.singing.tract import Body
from stemwright.train.singing.vocoder import BAND_HZ, Frames, Throat, band_weights
from stemwright.train.singing.voices import NOISE_HZ, Voice

_OCTAVES = np.log2(np.maximum(BAND_HZ, 60) / 1000)
_DB = np.log(10) / 20
_QUIET = -12.0
_BREATH_DB = np.interp(BAND_HZ, [0, 300, 1300, 1800, 2500, 3500, 5500, 9000, 22050], [-40, -20, 5, 0, 6, 0, 2, -6, -18])


@dataclass(frozen=True)
class Manner:
    """How one singer sings one song; dB figures bend the spectrum of whatever voice is used."""

    kind: str = "pop"
    motion: Motion = field(default_factory=Motion)
    throat: Throat = field(default_factory=Throat)
    body: Body = field(default_factory=Body)
    scale: float = 1.0  # of all formants
    tilt_db: float = 0.0  # per octave, of voiced sound
    effort_db: float = 1.5  # flatter by this, per octave and 10 dB of loudness
    breath: float = 1.0  # factor on the noise share
    whisper: float = 0.0  # share of the voicing taken away
    air_db: float = -5.0  # per octave, above the top of the recording: voiced
    hiss_db: float = -1.0  # the same for consonants
    hiss_gain_db: float = 0.0
    hiss_hz: float = 8500.0
    onset_seconds: float = 0.12  # longest consonant before the beat
    coda: float = 0.33  # longest share of a note its final consonants take
    gap_breath_db: float = -24.0  # inhalations, against the voice
    timing_seconds: float = 0.012


def _spans(note: np.ndarray) -> list[tuple[int, int, int]]:
    edges = np.nonzero(np.diff(np.r_[UNSUNG, note, UNSUNG]))[0]
    return [(int(note[a]), int(a), int(b)) for a, b in pairwise(edges) if note[a] != UNSUNG]


def _wander(rng: np.random.Generator, first: float, last: float, count: int) -> np.ndarray:
    """Source frames of a stretched vowel: forward on the whole, never frozen on one frame."""
    straight = np.linspace(first, last, count)
    if count <= last - first + 2:
        return straight
    sway = contour.smooth_noise(rng, count, 0.12) * 0.25 * (last - first)
    return np.clip(straight + sway * np.hanning(count), first, last)


def _source_path(rng: np.random.Generator, row: np.ndarray, sung: int, manner: Manner) -> tuple[np.ndarray, int]:
    """Source frame of every frame of a syllable, and how many of them precede the beat."""
    first, start, end, last = (int(x) for x in np.maximum.accumulate(row[1:]))
    before = min(start - first, round(manner.onset_seconds / contour.FRAME_SECONDS))
    onset = np.linspace(start - before, start, before, endpoint=False)
    after = min(last - end, round(manner.coda * sung))
    coda = end + np.arange(after) if after > 2 else np.zeros(0)
    vowel = _wander(rng, start, max(end - 1, start), max(sung - len(coda), 1))
    return np.r_[onset, vowel, coda][: before + sung], before


def _lyric(words: np.random.Generator, count: int, voice: Voice) -> list[int]:
    """A syllable of the voice for each note: mostly those that follow one another in speech."""
    phrase = voice.syllables[:, 0]
    starts = np.nonzero(np.r_[True, phrase[1:] != phrase[:-1]])[0]
    at, chosen = int(words.choice(starts)), []
    for _ in range(count):
        chosen.append(at)
        at += 1
        if at >= len(phrase) or (phrase[at] != phrase[at - 1] and words.random() < 0.7):
            at = int(words.choice(starts)) if words.random() < 0.7 else int(words.integers(len(phrase)))
    return chosen


def _walk(rng: np.random.Generator, path: Contour, rows: np.ndarray, manner: Manner) -> tuple[np.ndarray, np.ndarray]:
    """Source frame for each frame of the song (-1 silent), and where one syllable is joined to another."""
    n = len(path.note)
    source, joints = np.full(n, -1.0), np.zeros(n)
    for i, a, b in _spans(path.note):
        steps, before = _source_path(rng, rows[i], b - a, manner)
        lost = max(before - a, 0)
        source[a - before + lost : b] = steps[lost:]
        joints[max(a - before, 0)] = 1
    return source, joints


def _look_up(table: np.ndarray, source: np.ndarray) -> np.ndarray:
    low = np.floor(source).astype(int).clip(0, len(table) - 2)
    share = (source - low).astype(np.float32)[:, None]
    return table[low].astype(np.float32) * (1 - share) + table[low + 1].astype(np.float32) * share


def _extended(envelope: np.ndarray, hissing: np.ndarray, top_hz: float, manner: Manner) -> np.ndarray:
    """Carry the spectrum on above the top of the recording: harmonics fall off, consonants stay bright."""
    edge = int(np.searchsorted(BAND_HZ, top_hz * 0.94))
    if edge >= vocoder.BANDS - 2:
        return envelope
    near = slice(int(np.searchsorted(BAND_HZ, top_hz * 0.72)), edge)
    level = envelope[:, near].mean(1, keepdims=True)
    octaves = np.log2(BAND_HZ[edge:] / BAND_HZ[edge])
    peak = np.exp(-((np.log2(BAND_HZ[edge:] / manner.hiss_hz) / 0.6) ** 2))
    ripple = 3 * np.cos(2 * np.pi * BAND_HZ[edge:] / (1100 * manner.scale) + 2.2 * octaves)  # formants go on
    voiced = manner.air_db * octaves + ripple
    hiss = manner.hiss_db * octaves + 8 * peak
    above = level + _DB * (voiced[None] * (1 - hissing[:, None]) + hiss[None] * hissing[:, None])
    blend = np.clip((BAND_HZ[edge - 3 :] - BAND_HZ[edge - 3]) / (BAND_HZ[edge + 2] - BAND_HZ[edge - 3]), 0, 1)
    envelope = envelope.copy()
    envelope[:, edge:] = above
    envelope[:, edge - 3 : edge] += (level - envelope[:, edge - 3 : edge]) * blend[:3] * 0.5
    return envelope


_WIDTHS = np.gradient(BAND_HZ) * (BAND_HZ > 120)


def _evened(envelope: np.ndarray, path: Contour, source: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Every sung syllable about as loud as the others: phrases of speech die away, melodies do not."""
    power = np.log(np.exp(2 * envelope) @ _WIDTHS + 1e-12) / 2
    spans = _spans(path.note)
    levels = []
    for i, a, b in spans:
        vowel = (source[a:b] >= rows[i, 2]) & (source[a:b] < rows[i, 3])
        levels.append(np.median(power[a:b][vowel]) if vowel.any() else power[a:b].max())
    middle, lift = np.median(levels), np.zeros(len(power))
    edges = [0, *((b + a) // 2 for (_, _, b), (_, a, _) in pairwise(spans)), len(power)]
    for level, first, last in zip(levels, edges[:-1], edges[1:], strict=True):
        lift[first:last] = np.clip(0.85 * (middle - level), -3, 1.2)
    return envelope + scipy.ndimage.uniform_filter1d(lift - middle, 5)[:, None]


def _coloured(envelope: np.ndarray, path: Contour, voiced: np.ndarray, manner: Manner) -> np.ndarray:
    """Tilt, singer's formant, effort that follows loudness, and the level of consonants."""
    loud = np.log(np.maximum(path.loudness, 1e-3))
    loud = np.where(path.note == UNSUNG, scipy.ndimage.maximum_filter1d(loud, 61), loud)
    effort = manner.effort_db * np.clip(loud / np.log(10) * 2 + 0.4, -1.5, 1.0)
    tilt = (manner.tilt_db + effort)[:, None] * np.clip(_OCTAVES, -1, 2.3)[None]
    ring = manner.body.ring_db * np.exp(-(((BAND_HZ - manner.body.ring_hz) / 450) ** 2))[None] * 0.5
    colour = voiced[:, None] * (tilt + ring) + (1 - voiced[:, None]) * manner.hiss_gain_db
    return envelope + _DB * colour + loud[:, None]


def resing(rng: np.random.Generator, path: Contour, voice: Voice, rows: np.ndarray, manner: Manner) -> Frames:
    """Speech sung along a contour, a syllable (row) per note: consonants before the beat, vowels stretched."""
    source, joints = _walk(rng, path, rows, manner)
    sounding = source >= 0
    source = np.maximum(source, 0)
    spoken = voice.hz[np.round(source).astype(int)] > 0
    voiced = scipy.ndimage.uniform_filter1d((spoken & sounding).astype(float), 3)
    envelope = _look_up(voice.envelope, source) @ band_weights(BAND_HZ, BAND_HZ / manner.scale)
    soft = scipy.ndimage.uniform_filter1d(envelope, 7, axis=0)
    near = scipy.ndimage.maximum_filter1d(joints, 5)[:, None]
    envelope = np.where(near > 0, soft, envelope)
    noise = _look_up(voice.noise, source) @ band_weights(NOISE_HZ * manner.scale, BAND_HZ) / 255
    fade = np.clip((BAND_HZ - 0.8 * voice.top_hz) / 9000, 0, 0.85)[None]
    noise = np.maximum(np.clip(noise * manner.breath, 0.01, 1), fade)
    noise = 1 - (1 - noise) * (spoken * (1 - manner.whisper))[:, None]
    envelope -= 0.8 * np.maximum(np.log2(np.maximum(BAND_HZ, 1) / 13000), 0)[None]  # lips and air take the very top
    envelope = _extended(envelope, 1 - voiced, voice.top_hz * manner.scale, manner)
    envelope = _coloured(_evened(envelope, path, source, rows), path, voiced, manner)
    gate = scipy.ndimage.uniform_filter1d(sounding.astype(float), 5)
    envelope = np.where(sounding[:, None], envelope + np.log(gate + 1e-3)[:, None], _QUIET)
    return Frames(path.pitch, voiced * (1 - manner.whisper), envelope.astype(np.float32), noise.astype(np.float32))


def _inhalations(rng: np.random.Generator, frames: Frames, path: Contour, manner: Manner) -> None:
    """Breaths taken in the gaps, in place: noise through an open tract, swelling until the word begins."""
    spans = _spans(path.note)
    sung = frames.envelope[path.note != UNSUNG]
    power = (np.exp(2 * sung) @ _WIDTHS).mean() / (np.exp(2 * _DB * _BREATH_DB) @ _WIDTHS) if spans else 1.0
    level = 0.5 * np.log(power + 1e-12)
    for (_, _, end), (_, begin, _) in zip([(0, 0, 0), *spans[:-1]], spans, strict=True):
        if begin - end < 90 or rng.random() < 0.3:
            continue
        length = int(rng.uniform(40, min(110, begin - end - 30)))
        stop = begin - int(rng.uniform(8, 20))
        shape = np.hanning(2 * length)[:length] if rng.random() < 0.7 else np.hanning(length)
        gain = manner.gap_breath_db + rng.normal(0, 3)
        colour = _BREATH_DB + gain
        rows = slice(stop - length, stop)
        breath = level + _DB * colour[None] + np.log(shape + 1e-3)[:, None]
        frames.envelope[rows] = np.logaddexp(frames.envelope[rows], breath)
        frames.noise[rows] = np.where(frames.voiced[rows, None] > 0, frames.noise[rows], 1)


def _nothing(path: Contour) -> Frames:
    shape = (len(path.pitch), vocoder.BANDS)
    return Frames(path.pitch, path.loudness, np.full(shape, _QUIET, np.float32), np.ones(shape, np.float32))


def take(
    rng: np.random.Generator, notes: Sequence[Note], seconds: float, cast: tuple[Manner, Voice | None, int]
) -> np.ndarray:
    """One dry mono take, float32, of a cast: manner, voice (None is a tract) and words.

    words is a seed: the same words with another rng are a double of the take.
    """
    manner, voice, words = cast
    late = rng.normal(0, manner.timing_seconds, len(notes))
    moved = [note._replace(start_seconds=max(note.start_seconds + d, 0)) for note, d in zip(notes, late, strict=True)]
    path = contour.draw(rng, moved, vocoder.frames_of(seconds), manner.motion)
    lyric = np.random.default_rng(words)
    if voice is not None:
        rows = voice.syllables[_lyric(lyric, len(notes), voice)]
        frames = resing(rng, path, voice, rows, manner) if len(notes) else _nothing(path)
    else:
        sung = tract.random_words(lyric, len(notes), manner.body.vowels, bare=not manner.body.consonants)
        frames = tract.articulate(rng, path, sung, manner.body)
        if manner.whisper:
            frames.noise = 1 - (1 - frames.noise) * (1 - manner.whisper)
    if (path.note != UNSUNG).any():
        _inhalations(rng, frames, path, manner)
    return vocoder.synthesize(rng, frames, manner.throat)

"""Sung stems for the synthesizer: a lead voice, and everything that is sung behind it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from stemwright.train import contour, tract, vocal_effects, vocoder
from stemwright.train.notes import Note

__all__ = ["Note", "backing", "sing"]


def _clean(notes: Iterable[Sequence[float]], seconds: float) -> list[Note]:
    """Notes in order of onset, cut where the next begins: one throat sings one note at a time."""
    kept = sorted(note for note in (Note(*map(float, one)) for one in notes) if 0 <= note.start_seconds < seconds)
    cut = []
    for note, after in zip(kept, [*(one.start_seconds for one in kept[1:]), seconds], strict=True):
        length = min(note.seconds, after - note.start_seconds)
        if length > 0.03:
            cut.append(note._replace(seconds=length))
    return cut


def _fit(sound: np.ndarray, seconds: float) -> np.ndarray:
    n = round(seconds * vocoder.RATE)
    return np.pad(sound[:n], ((0, max(n - len(sound), 0)), (0, 0))).astype(np.float32)


def _voice(rng: np.random.Generator, notes: list[Note], seconds: float, body: tract.Body, vowels: Sequence[str] = ()) -> np.ndarray:
    motion = contour.Motion(vibrato_cents=rng.uniform(0, 60), glide_seconds=rng.uniform(0.03, 0.12))
    path = contour.draw(rng, notes, vocoder.frames_of(seconds), motion)
    frames = tract.articulate(rng, path, tract.random_words(rng, len(notes), vowels, bare=bool(vowels)), body)
    return vocoder.synthesize(rng, frames)


def _body(rng: np.random.Generator) -> tract.Body:
    return tract.Body(scale=rng.uniform(0.95, 1.3), effort=rng.uniform(0.2, 0.9), breath=10 ** rng.uniform(-2, -0.5), ring_db=rng.uniform(0, 12))


def sing(rng: np.random.Generator, notes: Iterable[Sequence[float]], seconds: float, *, split: str = "train", style: str | None = None) -> np.ndarray:  # noqa: ARG001
    """A produced lead vocal, float32 [n, 2] at 44.1 kHz with its peak at -6 dBFS."""
    melody = _clean(notes, seconds)
    mono = _voice(rng, melody, seconds, _body(rng))
    sound = vocal_effects.stereo(mono)
    sound = vocal_effects.filtered(sound, vocal_effects.pass_filter(90, high=True), vocal_effects.shelf_filter(7000, rng.uniform(0, 6), high=True))
    sound = vocal_effects.normalize(sound, -3)
    sound = vocal_effects.compress(sound, -20, rng.uniform(2, 8))
    sound = sound + rng.uniform(0.05, 0.3) * vocal_effects.reverb(sound, rng.uniform(0.6, 3))
    return vocal_effects.normalize(_fit(sound, seconds))


def backing(rng: np.random.Generator, lead_notes: Iterable[Sequence[float]], chord_notes: Iterable[Sequence[float]], seconds: float, *, split: str = "train") -> np.ndarray:  # noqa: ARG001
    """Backing vocals, float32 [n, 2] at 44.1 kHz with their peak at -6 dBFS."""
    melody = _clean(lead_notes, seconds)
    out = np.zeros((round(seconds * vocoder.RATE), 2), np.float32)
    body = _body(rng)
    for shift, pan in ((4, -0.7), (7, 0.7)):
        moved = [note._replace(pitch=note.pitch + shift) for note in melody]
        mono = _voice(rng, moved, seconds, replace(body, scale=body.scale * rng.uniform(0.96, 1.04)))
        out += _fit(vocal_effects.stereo(mono, pan), seconds)
    return vocal_effects.normalize(out + 0.3 * vocal_effects.reverb(out, 2.0))

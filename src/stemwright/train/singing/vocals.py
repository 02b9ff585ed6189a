"""Sung stems for the synthesizer: a lead voice, and everything that is sung behind it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from stemwright.train.composing.notes import Note
from stemwright.train.singing import manners, vocal_chain, vocal_effects, vocoder, voices
from stemwright.train.singing.singer import Manner, take
from stemwright.train.singing.voices import Voice

__all__ = ["Note", "backing", "sing"]

Notes = Iterable[Sequence[float]]
Rng = np.random.Generator
Cast = tuple[Manner, Voice | None, int]  # and the seed of the words
# People weigh more than programs. Those of val and test do not meet those of train.
_ENGINE_WEIGHT = {
    "acted": 8.0, "prompts": 3.0, "flite": 2.0, "festival": 2.0, "toy": 1.6, "letters": 1.2, "espeak-ng": 0.35,
}  # fmt: skip
_TRACT_SHARE = 0.3  # of train leads sung by the tract instead of re-sung speech; the test split never hears it


def _clean(notes: Notes, seconds: float) -> list[Note]:
    """Notes in order of onset, cut where the next begins: one throat sings one note at a time."""
    kept = sorted(note for note in (Note(*map(float, one)) for one in notes) if 0 <= note.start_seconds < seconds)
    cut = []
    for note, after in zip(kept, [*(one.start_seconds for one in kept[1:]), seconds], strict=False):
        length = min(note.seconds, after - note.start_seconds)
        if length > 0.03:
            cut.append(note._replace(seconds=length))
    return cut


def _fit(sound: np.ndarray, seconds: float) -> np.ndarray:
    n = round(seconds * vocoder.RATE)
    return np.pad(sound[:n], [(0, max(n - len(sound), 0))] + [(0, 0)] * (sound.ndim - 1)).astype(np.float32)


def _cast(rng: Rng, split: str) -> Voice | None:
    """A voice of the split, people before programs; None is the tract."""
    if split == "train" and rng.random() < _TRACT_SHARE:
        return None
    names = voices.voice_names(split)
    weights = np.array([_ENGINE_WEIGHT.get(engine, 1.0) for _, engine in names])
    return voices.load_voice(names[rng.choice(len(names), p=weights / weights.sum())][0])


def _suited(rng: Rng, manner: Manner, notes: Sequence[Note], voice: Voice | None) -> Manner:
    """Formants that fit the melody's range: a voice asked to sing far above its speech gets a shorter throat."""
    middle = float(np.median([note.pitch for note in notes])) if notes else 60.0
    if voice is None:
        scale = float(np.clip(1.0 + (middle - 55) * 0.012 + rng.normal(0, 0.05), 0.9, 1.35)) * manner.scale**0.5
        return replace(manner, scale=scale, body=replace(manner.body, scale=scale))
    reach = np.clip((middle - voice.middle_pitch - 6) * 0.008, -0.08, 0.16)
    return replace(manner, scale=manner.scale * (1 + float(reach) * rng.random()))


def _spoken_rhythm(rng: Rng, notes: list[Note]) -> list[Note]:
    """Long notes cut into syllables of a quarter of a second or less, for rap."""
    cut: list[Note] = []
    for note in notes:
        count = max(int(note.seconds / rng.uniform(0.13, 0.24)), 1)
        step = note.seconds / count
        starts = (note.start_seconds + i * step for i in range(count) if rng.random() < 0.94)
        cut += [
            Note(start, step * rng.uniform(0.8, 1), note.pitch - 7, note.velocity + rng.normal(0, 8))
            for start in starts
        ]
    return cut


def _chopped(rng: Rng, notes: list[Note]) -> list[Note]:
    """Short, even, repeated notes: a voice played from a sampler's pads."""
    grid = float(rng.choice([0.125, 0.167, 0.25]))
    cut: list[Note] = []
    for note in notes:
        starts = (note.start_seconds + i * grid for i in range(max(int(note.seconds / grid), 1)) if rng.random() < 0.8)
        cut += [note._replace(start_seconds=start, seconds=grid * rng.uniform(0.5, 0.98)) for start in starts]
    return cut


def _phrased(rng: Rng, notes: list[Note], kind: str) -> list[Note]:
    if kind == "rap":
        return _spoken_rhythm(rng, notes)
    if kind == "chops":
        return _chopped(rng, notes)
    if kind in {"falsetto", "child"} and notes and np.median([note.pitch for note in notes]) < 65:
        return [note._replace(pitch=note.pitch + 12) for note in notes]
    return notes


def sing(rng: Rng, notes: Notes, seconds: float, *, split: str = "train", style: str | None = None) -> np.ndarray:
    """A produced lead vocal, float32 [n, 2] at 44.1 kHz with its peak at -6 dBFS; style is one of manners.KINDS.

    notes are Note or rows of its four numbers. Raises NoVoices where the voice library has no voice of the split.
    """
    manner = manners.draw_manner(rng, style)
    melody = _phrased(rng, _clean(notes, seconds), manner.kind)
    voice = _cast(rng, split)
    cast = (_suited(rng, manner, melody, voice), voice, int(rng.integers(2**31)))
    main = vocal_chain.toned(rng, take(rng, melody, seconds, cast), strength=rng.uniform(0.4, 1))
    firmness = float(rng.beta(2, 1.2))
    sound = vocal_chain.pressed(rng, vocal_effects.stereo(main, rng.normal(0, 0.03)), firmness=firmness)
    if rng.random() < 0.22:
        sound = sound + _doubles(rng, melody, seconds, cast)
    elif rng.random() < 0.25:
        mono = sound.mean(1)
        sound = sound + rng.uniform(0.1, 0.6) * (vocal_effects.widen(mono, rng) - vocal_effects.stereo(mono))
    sound = vocal_chain.lead_bus(rng, vocal_chain.spaced(rng, sound, wetness=0.8))
    return vocal_effects.normalize(_fit(sound, seconds))


def _doubles(rng: Rng, melody: list[Note], seconds: float, cast: Cast) -> np.ndarray:
    """A second take of the same words, in the middle or to one side."""
    manner, voice, words = cast
    loose = replace(manner, timing_seconds=rng.uniform(0.01, 0.03), scale=manner.scale * rng.uniform(0.985, 1.015))
    again = vocal_chain.toned(rng, take(rng, melody, seconds, (loose, voice, words)), strength=0.7)
    pan = rng.choice([0.0, rng.uniform(-0.8, 0.8)])
    return vocal_chain.pressed(rng, vocal_effects.stereo(again, pan), firmness=0.8) * 10 ** (rng.uniform(-14, -1) / 20)


# ---- behind the lead -------------------------------------------------------------------------------------------------


def _in_scale(pitch: float, shift: int, scale: np.ndarray) -> float:
    """The pitch class of the song nearest to pitch + shift."""
    classes = np.nonzero(scale)[0] if scale.any() else np.arange(12)
    wanted = pitch + shift
    distance = (classes - wanted + 6) % 12 - 6
    return float(wanted + distance[np.abs(distance).argmin()])


def _scale_of(*groups: Sequence[Note]) -> np.ndarray:
    """Which pitch classes are heard (at least 4 % of the time)."""
    heard = np.zeros(12)
    for note in (note for group in groups for note in group):
        heard[round(note.pitch) % 12] += note.seconds
    return heard > 0.04 * max(heard.sum(), 1e-9)


def _lines_of(chords: list[Note], count: int) -> list[list[Note]]:
    """Chord notes as so many lines, lowest first, in the range of a choir."""
    starts: dict[float, list[Note]] = {}
    for note in chords:
        starts.setdefault(round(note.start_seconds, 2), []).append(note)
    lines: list[list[Note]] = [[] for _ in range(count)]
    for group in starts.values():
        group.sort(key=lambda note: note.pitch)
        for i, line in enumerate(lines):
            note = group[i % len(group)]
            octave = 12 * ((60 - round(note.pitch)) // 12) if note.pitch < 50 else 0
            line.append(note._replace(pitch=note.pitch + octave + 12 * (i // len(group))))
    return lines


def _sections(rng: Rng, notes: list[Note], seconds: float, share: float) -> list[Note]:
    """Only some stretches of about seven seconds, as backing vocals come and go."""
    keep = rng.random(int(seconds / 7) + 2) < share
    kept = [note for note in notes if keep[int(note.start_seconds / 7)]]
    return kept or notes


def _one_behind(rng: Rng, notes: list[Note], seconds: float, cast: Cast, pan: float) -> np.ndarray:
    manner, voice, words = cast
    manner = replace(manner, scale=manner.scale * rng.uniform(0.96, 1.04))
    mono = vocal_chain.toned(rng, take(rng, notes, seconds, (manner, voice, words)), strength=rng.uniform(0.4, 1))
    return _fit(vocal_effects.stereo(vocal_effects.normalize(mono), pan), seconds)


def _harmonies(rng: Rng, lead: list[Note], chords: list[Note], seconds: float, split: str) -> np.ndarray:
    """Parallel lines in the scale, each sung on one or both sides."""
    scale = _scale_of(lead, chords)
    melody = _sections(rng, lead, seconds, 0.55)
    voice, words = _cast(rng, split), int(rng.integers(2**31))
    out = np.zeros((round(seconds * vocoder.RATE), 2), np.float32)
    for shift in rng.choice([3, -3, 4, 7, -5, 12, -12, 0], int(rng.integers(1, 3)), replace=False):
        line = [note._replace(pitch=_in_scale(note.pitch, int(shift), scale)) for note in melody]
        cast = (_suited(rng, manners.choir_manner(rng, wordless=False), line, voice), voice, words)
        width = rng.uniform(0.3, 1)
        for side in (-width, width) if rng.random() < 0.55 else (rng.uniform(-0.8, 0.8),):
            out += _one_behind(rng, line, seconds, cast, side)
    return out


def _choir(rng: Rng, _lead: list[Note], chords: list[Note], seconds: float, split: str) -> np.ndarray:
    """Oohs and aahs on the chords, spread over the width."""
    out = np.zeros((round(seconds * vocoder.RATE), 2), np.float32)
    wordless = bool(rng.random() < 0.75)
    manner = manners.choir_manner(rng, wordless=wordless)
    for i, line in enumerate(_lines_of(_sections(rng, chords, seconds, 0.6), int(rng.integers(2, 5)))):
        voice = None if wordless and split == "train" and rng.random() < 0.6 else _cast(rng, split)
        melody = _clean(line, seconds)
        cast = (_suited(rng, manner, melody, voice), voice, int(rng.integers(2**31)))
        out += _one_behind(rng, melody, seconds, cast, float(np.clip((-1) ** i * rng.uniform(0.2, 1), -1, 1)))
    return out


def _ad_libs(rng: Rng, lead: list[Note], _chords: list[Note], seconds: float, split: str) -> np.ndarray:
    """Answers in the lead's gaps, and shouts on the last word."""
    answers: list[Note] = []
    for note, after in pairwise(lead):
        end, begin = note.start_seconds + note.seconds, after.start_seconds
        if (begin - end > 0.35 and rng.random() < 0.7) or rng.random() < 0.06:
            at, step = end + rng.uniform(0, 0.1), rng.uniform(0.15, 0.4)
            leaps = rng.choice([-5, -3, 0, 0, 2, 4, 7], int(rng.integers(1, 5)))
            answers += [Note(at + k * step, step * 0.9, note.pitch + leap, 96) for k, leap in enumerate(leaps)]
    melody = _clean(answers or lead[rng.integers(4) % len(lead) :: 4], seconds)
    voice = _cast(rng, split)
    manner = manners.draw_manner(rng, str(rng.choice(["pop", "shout", "belt", "falsetto", "rap", "tuned", "breathy"])))
    cast = (_suited(rng, manner, melody, voice), voice, int(rng.integers(2**31)))
    return _one_behind(rng, melody, seconds, cast, rng.uniform(-0.9, 0.9))


def _twins(rng: Rng, lead: list[Note], _chords: list[Note], seconds: float, split: str) -> np.ndarray:
    """The lead's line again, hard left and right, now and then an octave away."""
    melody = _sections(rng, lead, seconds, 0.6)
    shift = float(rng.choice([0, 0, 0, 12, -12]))
    melody = [note._replace(pitch=note.pitch + shift) for note in melody]
    voice = _cast(rng, split)
    cast = (_suited(rng, manners.draw_manner(rng), melody, voice), voice, int(rng.integers(2**31)))
    width = rng.uniform(0.6, 1)
    return sum(
        (_one_behind(rng, melody, seconds, cast, side) for side in (-width, width)), np.zeros((1, 2), np.float32)
    )


def backing(rng: Rng, lead_notes: Notes, chord_notes: Notes, seconds: float, *, split: str = "train") -> np.ndarray:
    """Backing vocals, float32 [n, 2] at 44.1 kHz with their peak at -6 dBFS: harmonies, choirs, ad-libs, doubles; wide.

    chord_notes may overlap: they are shared out to the voices of a choir. Raises NoVoices as sing does.
    """
    lead = _clean(lead_notes, seconds)
    chords = sorted(Note(*map(float, one)) for one in chord_notes)
    kinds = [(_harmonies, 0.5), (_ad_libs, 0.3), (_twins, 0.3)] if lead else []
    kinds += [(_choir, 0.45)] if chords else []
    if not kinds:
        return np.zeros((round(seconds * vocoder.RATE), 2), np.float32)
    chosen = [kind for kind, chance in kinds if rng.random() < chance] or [kinds[rng.integers(len(kinds))][0]]
    out = np.zeros((round(seconds * vocoder.RATE), 2), np.float32)
    for kind in chosen[:2]:
        part = vocal_effects.normalize(kind(rng, lead, chords, seconds, split))
        out += part * 10 ** (rng.uniform(-8, 0) / 20)
    out = vocal_chain.pressed(rng, out, firmness=float(rng.beta(2, 1.5)))
    out = vocal_chain.lead_bus(rng, vocal_chain.spaced(rng, out, wetness=1.5))
    return vocal_effects.normalize(_fit(out, seconds))

"""Writes the plan of a song: genre, form, key, harmony, modulation and the drift of its tempo."""

import math

import numpy as np

from stemwright.train.composing.genres import GENRES, USUAL_CAST, Genre
from stemwright.train.composing.score import SCALES, Chord, Plan, Section

# Degrees of the scale, one chord per bar; a tuple inside a loop is two chords in one bar.
LOOPS: dict[str, tuple[tuple[int | tuple[int, ...], ...], ...]] = {
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (1, 4, 0, 0), (0, 3, 0, 4), (5, 3, 0, 4), (0, 2, 3, 4), (3, 4, 0, 5),
              (0, (0, 4), 3, (3, 4)), (0, 0, 3, 4), (3, 0, 4, 5), (0, 1, 3, 4), (0, 4, 1, 3)),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 6), (0, 5, 3, 4), (0, 0, 5, 6), (0, 2, 6, 3), (5, 6, 0, 0),
              (0, 3, 5, 4), (3, 0, 4, 0), (0, (5, 6), 0, 4), (0, 6, 3, 5)),
    "dorian": ((0, 3, 0, 3), (0, 6, 3, 0), (0, 2, 3, 0), (0, 0, 3, 4), (0, 1, 2, 1)),
    "mixolydian": ((0, 6, 3, 0), (0, 3, 6, 3), (0, 0, 6, 3), (0, 4, 6, 3)),
    "harmonic minor": ((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 0, 4), (5, 3, 4, 4)),
    "phrygian": ((0, 1, 0, 1), (0, 0, 1, 2), (0, 5, 1, 0), (0, 1, 2, 1)),
    "lydian": ((0, 1, 0, 1), (0, 1, 4, 1), (0, 0, 1, 1), (5, 1, 0, 1)),
    "jazz major": ((1, 4, 0, 5), ((1, 4), 0, (2, 5), (1, 4)), (0, 5, 1, 4), (0, 3, (1, 4), 0), ((0, 5), (1, 4), 0, 4)),
    "jazz minor": ((0, 3, (1, 4), 0), (1, 4, 0, 0), (3, 6, 2, (1, 4)), (0, (1, 4), 0, 4)),
}  # fmt: skip
SCALE_OF_LOOP = {"jazz major": "major", "jazz minor": "harmonic minor"}

FORMS = (
    ("intro", "verse", "chorus", "verse", "chorus"), ("verse", "pre", "chorus", "break", "chorus"),
    ("chorus", "verse", "chorus", "bridge", "chorus"), ("verse", "verse", "chorus", "solo", "chorus"),
    ("intro", "verse", "break", "chorus", "outro"), ("break", "chorus", "verse", "break", "chorus"),
    ("bridge", "chorus", "chorus", "outro"), ("verse", "chorus", "solo", "verse", "chorus"),
    ("solo", "chorus", "verse", "outro"), ("intro", "chorus", "verse", "chorus"),
)  # fmt: skip
ENERGY = {"intro": 0.35, "verse": 0.55, "pre": 0.7, "chorus": 0.95, "bridge": 0.6, "solo": 0.85, "break": 0.25,
          "outro": 0.45}  # fmt: skip


def write_plan(rng: np.random.Generator, seconds: float, genre: Genre | None = None) -> Plan:
    """Draws the plan of a song that lasts at least `seconds`; everything comes from `rng`."""
    weights = np.array([g.weight for g in GENRES])
    genre = genre or GENRES[int(rng.choice(len(GENRES), p=weights / weights.sum()))]
    bpm = float(np.clip(rng.normal(*genre.bpm), 56, 186))
    beats_per_bar = int(rng.choice([4, 3, 6, 5, 7], p=[0.86, 0.07, 0.04, 0.015, 0.015]))
    bars = max(4, math.ceil((seconds + 0.5) * bpm / 60 / beats_per_bar))
    loop_name = str(rng.choice(genre.loops))
    scale_name = SCALE_OF_LOOP.get(loop_name, loop_name)
    tonic = int(rng.integers(12))
    sections = _form(rng, bars)
    chords, scales = _harmony(rng, genre, sections, (loop_name, scale_name, tonic))
    return Plan(
        genre=genre.name, seconds=seconds, bpm=bpm, beats_per_bar=beats_per_bar, swing=float(rng.choice(genre.swing)),
        tonic=tonic, scale_name=scale_name, sections=sections, chords=chords, scales=scales,
        beat_seconds=_clock(rng, (bars + 2) * beats_per_bar, 60 / bpm, genre.tightness),
        tightness=genre.tightness * float(rng.uniform(0.5, 1.6)),
    )  # fmt: skip


def choose_cast(rng: np.random.Generator, genre: Genre) -> tuple[str, ...]:
    """The families that play in a song, in the order of the stems; never fewer than two.

    One song in ten is sparse: a voice and an instrument or two, as in real arrangements.
    """
    odds = USUAL_CAST | genre.cast
    thinning = rng.uniform(0.25, 0.6) if rng.random() < 0.1 else 1.0
    drawn = tuple(stem for stem, chance in odds.items() if rng.random() < chance * thinning)
    while len(drawn) < 2:
        extra = str(rng.choice(list(odds)))
        drawn = tuple(stem for stem in odds if stem in drawn or stem == extra)
    return drawn


def _form(rng: np.random.Generator, bars: int) -> tuple[Section, ...]:
    kinds = FORMS[rng.integers(len(FORMS))]
    unit = int(rng.choice([2, 4, 4, 4, 8])) if bars > 10 else int(rng.choice([2, 4]))
    first = int(rng.integers(0, 3))  # a training song is an excerpt: it may start in the middle of the form
    themes = {kind: int(rng.integers(3)) for kind in ENERGY}
    lift = rng.uniform(-0.15, 0.15)
    sections, bar, place = [], 0, first
    while bar < bars:
        kind = kinds[place % len(kinds)]
        length = min(unit if rng.random() < 0.8 else max(2, unit // 2), bars - bar)
        energy = float(np.clip(ENERGY[kind] + lift + rng.normal(0, 0.07), 0.1, 1.0))
        sections.append(Section(kind, bar, length, energy, themes[kind]))
        bar, place = bar + length, place + 1
    return tuple(sections)


def _harmony(
    rng: np.random.Generator, genre: Genre, sections: tuple[Section, ...], key: tuple[str, str, int]
) -> tuple[tuple[tuple[Chord, ...], ...], tuple[frozenset[int], ...]]:
    loop_name, scale_name, tonic = key
    choices = LOOPS[loop_name]
    themes = [choices[rng.integers(len(choices))] for _ in range(3)]
    tones = 3 + int(rng.choice(3, p=genre.extensions))
    modulates_at = int(rng.integers(1, len(sections))) if len(sections) > 1 and rng.random() < 0.15 else len(sections)
    shift = int(rng.choice([1, 2, 3, -3, 5]))
    drone = rng.random() < 0.04
    chords, scales = [], []
    for index, section in enumerate(sections):
        base = tonic + (shift if index >= modulates_at else 0)
        scale = SCALES[scale_name]
        for bar in range(section.bars):
            degrees = 0 if drone else themes[section.theme][bar % 4]
            degrees = degrees if isinstance(degrees, tuple) else (degrees,)
            chords.append(tuple(_chord(rng, (base, scale, degree), tones) for degree in degrees))
            scales.append(frozenset((base + step) % 12 for step in scale))
    return tuple(chords), tuple(scales)


def _chord(rng: np.random.Generator, place: tuple[int, tuple[int, ...], int], tones: int) -> Chord:
    base, scale, degree = place
    size = len(scale)
    stack = [base + scale[(degree + 2 * i) % size] + 12 * ((degree + 2 * i) // size) for i in range(tones)]
    spice = rng.random()
    if spice < 0.04:
        stack[1] = stack[0] + (5 if rng.random() < 0.6 else 2)  # suspended
    elif spice < 0.07 and tones == 3:
        stack = [stack[0], stack[0] + 7]  # bare fifth
    return Chord(tuple(stack))


def _clock(rng: np.random.Generator, beats: int, beat_seconds: float, looseness: float) -> np.ndarray:
    """Second of every beat: a machine's clock, or one that wanders, speeds up or slows down."""
    lengths = np.full(beats, beat_seconds)
    if looseness > 0.5 and rng.random() < 0.7:
        wander = np.cumsum(rng.normal(0, 0.003 * looseness, beats))
        lengths *= np.exp(np.clip(wander, -0.08, 0.08))
    change = rng.random()
    if change < 0.05:
        lengths *= np.linspace(1.0, rng.uniform(0.85, 1.18), beats)
    elif change < 0.08:
        lengths[int(beats * rng.uniform(0.3, 0.7)) :] *= rng.choice([0.75, 0.8, 1.25, 1.33])
    return np.concatenate([[0.0], np.cumsum(lengths)])

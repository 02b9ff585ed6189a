"""Writes pitched parts: bass lines, chords, arpeggios, riffs and melodies that rest, repeat and vary."""

import itertools

import numpy as np

from stemwright.train.composing.score import Chord, Note, Plan

# Lengths in sixteenths; a minus is a rest. A theme draws a few of these and comes back to them.
CELLS = (
    (4, 4, 4, 4), (2, 2, 4, 2, 2, 4), (6, 2, 4, 4), (3, 3, 2, 4, 4), (8, 4, 4), (2, 2, 2, 2, 4, 4), (12, 4), (3, 3, 4,
    2, 4),
    (-4, 2, 2, 4, 4), (-2, 2, 2, 2, 4, 4), (-8, 4, 4), (16,), (8, 8), (1, 1, 2, 4, 2, 2, 4), (2, 1, 1, 2, 2, 2, 2, 4),
    (6, 6, 4), (3, 3, 3, 3, 4), (-4, 4, 4, 4), (-6, 2, 4, 4), (1, 1, 1, 1, 2, 2, 4, 4), (10, 2, 2, 2), (-2, 6, 2, 6),
)  # fmt: skip


def playing_bars(rng: np.random.Generator, plan: Plan, *, keen: float = 0.75, taste: float = 0.6) -> np.ndarray:
    """For each bar whether a player plays: whole sections come and go with the energy, single bars rest.

    `keen` is the odds in a section of middling energy, `taste` how much the energy decides; at least one section plays.
    """
    playing = np.zeros(plan.bars, bool)
    for section in plan.sections:
        if rng.random() < np.clip(keen + taste * (section.energy - 0.6), 0.05, 1.0):
            playing[section.first_bar : section.last_bar + 1] = True
    if not playing.any():
        chosen = plan.sections[rng.integers(len(plan.sections))]
        playing[chosen.first_bar : chosen.last_bar + 1] = True
    if rng.random() < 0.3:
        rests = rng.random(plan.bars) < 0.15
        playing &= ~rests | (playing.sum() < 3)
    return playing


def voice_chord(chord: Chord, low: int, high: int, count: int) -> list[int]:
    """`count` pitches of a chord inside a range, closed position, lowest first."""
    pitches = {low + (pitch - low) % 12 for pitch in chord.pitches}
    stack = sorted(pitches)
    while len(stack) < count:
        above = stack[len(stack) - len(pitches)] + 12
        if above > high + 5:
            break
        stack.append(above)
    return stack[:count]


class Touch:
    """How one player places a note: late or early, loose or tight, loud or soft."""

    def __init__(self, rng: np.random.Generator, plan: Plan, *, loudness: float = 88.0) -> None:
        self._rng, self._plan = rng, plan
        self._late = float(rng.normal(0, 0.006)) * plan.tightness
        self._loose = float(rng.uniform(0.002, 0.011)) * plan.tightness
        self._loudness = loudness + float(rng.normal(0, 7))

    def note(self, at: tuple[int, float], steps: float, pitch: float, accent: float = 0.0) -> Note:
        """A note at (bar, sixteenth) lasting `steps` sixteenths."""
        bar, step = at
        start = max(0.0, self._plan.time_of(bar, step) + self._late + float(self._rng.normal(0, self._loose)))
        lift = 16 * (self._plan.section_of(min(bar, self._plan.bars - 1)).energy - 0.7)
        loud = float(np.clip(self._loudness + accent + lift + self._rng.normal(0, 6), 15, 127))
        return Note(start, max(0.04, self._plan.length_of(bar, step, steps)), float(pitch), loud)


def write_bass(rng: np.random.Generator, plan: Plan, style: str, playing: np.ndarray) -> list[Note]:
    """A bass line in MIDI 28-52 in one of the styles that the table of genres names."""
    touch, steps = Touch(rng, plan, loudness=96), plan.steps_per_bar
    grid = np.flatnonzero(rng.random(steps) < 0.35)
    grid = np.union1d(grid, [0])
    leaps = rng.choice([0, 0, 0, 0, 7, 12, -5, 10], steps)
    length = float(rng.choice([0.95, 0.95, 0.7, 0.45]))
    floor = int(rng.choice([28, 28, 30, 33] if style != "sub" else [24, 26, 28]))
    notes = []
    for bar in map(int, np.flatnonzero(playing)):
        for step, span, leap in _bass_bar(rng, plan, (style, grid, leaps)):
            root = floor + (plan.chord_at(bar, step).root - floor) % 12
            pitch = root + leap
            notes.append(
                touch.note((bar, step), span * length, pitch - 12 if pitch > 52 else pitch, -3 * (step % 4 > 0))
            )
    return notes


def _bass_bar(
    rng: np.random.Generator, plan: Plan, habit: tuple[str, np.ndarray, np.ndarray]
) -> list[tuple[float, float, int]]:
    """(step, length, semitones above the root) of one bar."""
    style, grid, leaps = habit
    steps = plan.steps_per_bar
    even = {"eighths": 2, "unison": 2, "root": 4, "gallop": 4}
    if style in ("long", "sub", "dub", "reese"):
        cuts = [0, *[int(c) for c in (rng.choice([8, 6, 10]),) if rng.random() < 0.5 and c < steps], steps]
        return [
            (a, b - a, 0 if i == 0 else int(rng.choice([0, 7, 12, -2])))
            for i, (a, b) in enumerate(itertools.pairwise(cuts))
        ]
    if style == "octaves":
        return [(s, 2, 12 * (s // 2 % 2)) for s in range(0, steps, 2)]
    if style == "offbeat":
        return [(s + 2, 2, 0) for s in range(0, steps - 2, 4)]
    if style == "two beat":
        return [(s, 4, 7 * (s // 8 % 2)) for s in range(0, steps, 8)]
    if style == "walk":
        tones = [0, int(rng.choice([4, 3, 2])), 7, int(rng.choice([9, 10, 11, 5]))]
        return [(s, 4, tones[s // 4 % 4]) for s in range(0, steps, 4)]
    if style == "tumbao":
        return [(s, w, p) for s, w, p in ((6, 6, 7), (12, 4, 12)) if s < steps]
    if style == "gallop":
        return [(s + o, w, 0) for s in range(0, steps, 4) for o, w in ((0, 2), (2, 1), (3, 1))]
    if style in even:
        return [(s, even[style], 0) for s in range(0, steps, even[style])]
    ends = [*grid[1:], steps]  # sync, slap, riff: the player's own grid
    return [(float(a), float(b - a), int(leaps[a])) for a, b in zip(grid, ends, strict=True)]


def write_chords(
    rng: np.random.Generator, plan: Plan, playing: np.ndarray, style: str, *, low: int, high: int, count: int,
    strum_s: float = 0.0,
) -> list[Note]:  # fmt: skip
    """Chords in one manner: pad, chord, stab, arp, power, pluck, skank or eighths."""
    touch, steps = Touch(rng, plan), plan.steps_per_bar
    grid = np.union1d(np.flatnonzero(rng.random(steps) < rng.choice([0.2, 0.35, 0.5])), [0])
    order, stride = rng.integers(0, 8, 16), int(rng.choice([1, 2, 2, 4]))
    if rng.random() < 0.5:
        order = np.arange(16) if rng.random() < 0.5 else np.concatenate([np.arange(8), np.arange(8)[::-1]])
    notes: list[Note] = []
    for bar in map(int, np.flatnonzero(playing)):
        if style == "pad":
            cuts = np.linspace(0, steps, len(plan.chords[bar]) + 1)
            for first, last in itertools.pairwise(cuts):
                pitches = voice_chord(plan.chord_at(bar, first), low, high, count)
                notes += [touch.note((bar, float(first)), (last - first) * 0.98, pitch) for pitch in pitches]
            continue
        if style == "arp":
            for i, step in enumerate(range(0, steps, stride)):
                pitches = voice_chord(plan.chord_at(bar, step), low, high, count)
                notes.append(
                    touch.note((bar, step), stride * 1.3, pitches[order[i % 16] % len(pitches)], -4.0 * (i % 4 > 0))
                )
            continue
        notes += _struck_bar(rng, plan, bar, (style, grid, touch, (low, high, count), strum_s))
    return notes


def _struck_bar(rng: np.random.Generator, plan: Plan, bar: int, manner: tuple) -> list[Note]:
    style, grid, touch, (low, high, count), strum_s = manner
    steps = plan.steps_per_bar
    if style == "skank":
        grid = np.arange(2, steps, 4)
    elif style in ("eighths", "power"):
        grid = np.array([s for s in range(0, steps, 2) if rng.random() < 0.85 or s == 0])
    ends, notes = [*grid[1:], steps], []
    for stroke, (first, last) in enumerate(zip(grid, ends, strict=True)):
        chord = plan.chord_at(bar, float(first))
        pitches = voice_chord(chord, low, high, count)
        if style == "power":
            root = low + (chord.root - low) % 12
            pitches = [root, root + 7, root + 12]
        hold = {"stab": 0.25, "skank": 0.4, "power": 0.85}.get(style, 0.92) * (last - first)
        hold = min(hold, 2.0) if style in ("stab", "skank") else hold
        upstroke = strum_s > 0 and stroke % 2 == 1
        for i, pitch in enumerate(reversed(pitches) if upstroke else pitches):
            note = touch.note((bar, float(first)), float(hold), pitch, -5.0 * (first % 4 > 0))
            notes.append(note._replace(start_seconds=note.start_seconds + i * strum_s * rng.uniform(0.7, 1.3)))
    return notes


def write_melody(
    rng: np.random.Generator, plan: Plan, playing: np.ndarray, *, low: int, high: int, rest: float = 0.2,
    legato: float = 0.95, busy: float = 0.0,
) -> list[Note]:  # fmt: skip
    """A one-voiced line: motifs return with their theme, strong beats take chord notes, phrases end and breathe."""
    touch = Touch(rng, plan, loudness=92)
    pool = [cell for cell in CELLS if len(cell) >= 4 or busy < 0.5]
    cells = [pool[rng.integers(len(pool))] for _ in range(6)]
    motifs = {key: rng.choice([-5, -3, -2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3, 4, 5], 16) for key in range(12)}
    pitch, middle, notes = (low + high) // 2, (low + high) / 2, []
    for bar in map(int, np.flatnonzero(playing)):
        theme, phase = plan.section_of(bar).theme, bar % 4
        cell = cells[(bar % 2) + 2 * theme]
        if phase == 3 and rng.random() < 0.5:
            cell = (8, -8) if rng.random() < 0.6 else (12, -4)
        elif rng.random() < rest:
            continue
        step = 0
        for i, span in enumerate(cell):
            if step >= plan.steps_per_bar:
                break
            if span > 0:
                pull = -2 if pitch > middle + 5 else 2 if pitch < middle - 5 else 0
                target = pitch + int(motifs[theme * 4 + phase][i % 16]) + pull
                strong = step % 8 == 0 and rng.random() < 0.8
                tones = {p % 12 for p in plan.chord_at(bar, step).pitches} if strong else plan.scales[bar]
                pitch = nearest(target, tones, (low, high))
                length = min(span, plan.steps_per_bar - step) * legato
                notes.append(touch.note((bar, step), length, pitch, 3.0 * (step % 4 == 0)))
            step += abs(span)
    return notes


def nearest(target: float, tones: frozenset[int] | set[int], bounds: tuple[int, int]) -> int:
    """The pitch inside the bounds nearest to the target whose pitch class is among the tones."""
    low, high = bounds
    fitting = [p for p in range(low, high + 1) if p % 12 in tones]
    return min(fitting or range(low, high + 1), key=lambda p: abs(p - target))

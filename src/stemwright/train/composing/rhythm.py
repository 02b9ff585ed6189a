"""Writes drums and percussion: grooves as strings of sixteenths, variation, ghost notes, fills, crashes, breaks."""

from dataclasses import dataclass

import numpy as np

from stemwright.train.composing.score import Note, Plan, Section

KICK, SNARE, RIM, CLAP, CLOSED, PEDAL, OPEN, RIDE, CRASH = 36, 38, 37, 39, 42, 44, 46, 51, 49
TOMS = (50, 48, 47, 45, 43, 41)

# x hit, X accent, g ghost, ? now and then; one string a drum, sixteen sixteenths; a style has several grooves.
GROOVES: dict[str, tuple[dict[int, str], ...]] = {
    "rock": ({KICK: "X.......X.x.....", SNARE: "....X.......X..?", CLOSED: "X.x.X.x.X.x.X.x."},
             {KICK: "X..x..x.X.......", SNARE: "....X..?.?..X...", CLOSED: "X.x.X.x.X.x.X.x."},
             {KICK: "X.....x...x.....", SNARE: "....X.......X...", RIDE: "X.x.X.x.X.x.X.x."},
             {KICK: "X.x.....X.x...?.", SNARE: "....X.......X...", OPEN: "X...X...X...X..."}),
    "punk": ({KICK: "X...X...X...X...", SNARE: "..X...X...X...X.", CLOSED: "X.x.X.x.X.x.X.x."},
             {KICK: "X..x....X..x....", SNARE: "..X...X...X...X.", CRASH: "x...x...x...x..."}),
    "metal": ({KICK: "X.xxX.xxX.xxX.xx", SNARE: "....X.......X...", RIDE: "X...X...X...X..."},
              {KICK: "XxxxXxxxXxxxXxxx", SNARE: "........X.......", CRASH: "x...x...x...x..."},
              {KICK: "X..X..X.X..X..X.", SNARE: "....X.......X...", CLOSED: "X...X...X...X..."}),
    "blast": ({KICK: "X.X.X.X.X.X.X.X.", SNARE: ".X.X.X.X.X.X.X.X", RIDE: "X.X.X.X.X.X.X.X."},
              {KICK: "XxxxXxxxXxxxXxxx", SNARE: "..X...X...X...X.", CRASH: "X...X...X...X..."}),
    "pop": ({KICK: "X.....x.X.......", SNARE: "....X.......X...", CLOSED: "x.x.x.x.x.x.x.x."},
            {KICK: "X..x....X..x....", CLAP: "....X.......X...", CLOSED: "xxxxxxxxxxxxxxxx"},
            {KICK: "X.......X.x.....", RIM: "....X.......X...", CLOSED: "x.xxx.xxx.xxx.xx"}),
    "four": ({KICK: "X...X...X...X...", CLAP: "....X.......X...", OPEN: "..x...x...x...x."},
             {KICK: "X...X...X...X...", SNARE: "....X.......X...", CLOSED: "x.x.x.x.x.x.x.x."},
             {KICK: "X...X...X...X...", CLAP: "....x.......x...", CLOSED: "x?xxx?xxx?xxx?xx",
                 OPEN: "..x...x...x...x."}),
    "house": ({KICK: "X...X...X...X...", CLAP: "....X.......X..?", OPEN: "..X...X...X...X.",
    CLOSED: "xx.xxx.xxx.xxx.x"},
              {KICK: "X...X...X...X.?.", RIM: "...x..x...x..x..", OPEN: "..x...x...x...x."}),
    "disco": ({KICK: "X...X...X...X...", SNARE: "....X.......X...", CLOSED: "x...x...x...x...",
    OPEN: "..X...X...X...X."},),
    "half": ({KICK: "X.....x.........", SNARE: "........X.......", CLOSED: "x.x.x.x.x.x.x.x."},
             {KICK: "X..x......x.....", SNARE: "........X......?", CLOSED: "x...x...x...x..."},
             {KICK: "X.........x..x..", SNARE: "........X.......", RIDE: "x.x.x.x.x.x.x.x."}),
    "boom bap": ({KICK: "X..x......x.....", SNARE: "....X..g.g..X...", CLOSED: "x.x.x.x.x.x.x.x."},
                 {KICK: "X.x....x.x......", SNARE: "....X.......X..?", CLOSED: "x.xxx.x.x.xxx.x."}),
    "trap": ({KICK: "X.....x...x....?", CLAP: "........X.......", CLOSED: "x.x.x.xxx.x.xxxx"},
             {KICK: "X..x......x..?..", SNARE: "........X.......", CLOSED: "x.xxx.x.xxx.x.x.",
                 OPEN: "..............x."}),
    "funk": ({KICK: "X.x...x...x..x..", SNARE: "....X..g.g..X..g", CLOSED: "xxxxxxxxxxxxxxxx"},
             {KICK: "X..x...x..x.....", SNARE: "....X.gg.g..X.g.", CLOSED: "x.x.x.x.x.x.x.x.",
                 OPEN: "......x........."}),
    "break": ({KICK: "X.x.......xx....", SNARE: "....X..g.g..X..g", CLOSED: "x.x.x.x.x.x.x.x."},
              {KICK: "X.........x.....", SNARE: "....X..g.g.gX...", RIDE: "x.x.x.x.x.x.x.x."}),
    "swing": ({RIDE: "X...X..xX...X..x", PEDAL: "....x.......x...", KICK: "?.....?...?.....",
    SNARE: "..?....?..?...?."},),
    "brushes": ({SNARE: "g.g.x.g.g.g.x.g.", KICK: "x.......x.......", PEDAL: "....x.......x..."},
                {RIM: "....x.......x...", KICK: "x.....?.x.......", CLOSED: "g.g.g.g.g.g.g.g."}),
    "bossa": ({RIM: "x..x..x...x..x..", KICK: "x..xx..xx..xx..x", CLOSED: "x.x.x.x.x.x.x.x."},),
    "latin": ({RIM: "x..x..x...x.x...", KICK: "...x..x....x..x.", RIDE: "x.xxx.xxx.xxx.xx"},
              {KICK: "...x..x....x..x.", SNARE: "......x.......x.", CLOSED: "x.x.x.x.x.x.x.x."}),
    "reggaeton": ({KICK: "X...X...X...X...", SNARE: "...x..x....x..x.", CLOSED: "x.x.x.x.x.x.x.x."},),
    "one drop": ({KICK: "........X.......", RIM: "........X.......", CLOSED: "x.x.x.x.x.x.x.x."},),
    "steppers": ({KICK: "X...X...X...X...", RIM: "........X.......", CLOSED: "x.xxx.x.x.xxx.x."},),
    "train": ({SNARE: "gggxgggxgggxgggx", KICK: "X...X...X...X...", PEDAL: "..x...x...x...x."},),
    "march": ({SNARE: "X..gX.ggX..gXggg", KICK: "X.......X......."},),
    "cinematic": ({TOMS[5]: "X..x..x.X..x..x.", KICK: "X.......X.......", TOMS[3]: "....?.......?.?."},
                  {KICK: "X...............", CRASH: "?...............", TOMS[4]: "X.....x.....x..."}),
    "toms": ({KICK: "X.....x.X.......", TOMS[4]: "x.xxx.xxx.xxx.xx", SNARE: "............X..."},),
}  # fmt: skip
LOUDNESS = {"X": 112.0, "x": 92.0, "g": 42.0, "?": 76.0}

# General MIDI keys of instruments that are struck or shaken, with the patterns that suit them.
SHAKERS = (54, 69, 70, 82)
HANDS = ((60, 61), (62, 63), (63, 64), (65, 66), (67, 68), (76, 77), (78, 79))
SINGLE = (56, 58, 73, 75, 80, 81, 39, 37)


@dataclass(frozen=True)
class Drummer:
    """One player's habits for the length of a song."""

    grooves: tuple[dict[int, str], ...]
    shift: float
    looseness: float
    swap: dict[int, int]
    fills: float
    ghosts: float


def write_drums(rng: np.random.Generator, plan: Plan, style: str, playing: np.ndarray) -> list[Note]:
    """The drum part as General MIDI keys; `playing` tells for each bar whether the drummer plays."""
    drummer = _hire(rng, plan, style)
    notes: list[Note] = []
    for section in plan.sections:
        groove = drummer.grooves[section.theme % len(drummer.grooves)]
        for bar in range(section.first_bar, section.first_bar + section.bars):
            if not playing[bar]:
                continue
            fill_from = _fill_start(rng, plan, section, (bar, drummer.fills))
            notes += _groove_bar(rng, plan, (bar, fill_from), groove, drummer)
            notes += _fill(rng, plan, bar, fill_from)
            if bar == section.first_bar and rng.random() < 0.3 + 0.5 * section.energy:
                notes.append(Note(plan.time_of(bar), 1.5, int(rng.choice([49, 57, 49, 55, 52])), rng.normal(108, 7)))
    return notes


def write_percussion(rng: np.random.Generator, plan: Plan, playing: np.ndarray) -> list[Note]:
    """One layer of hand percussion as General MIDI keys."""
    steps, kind = plan.steps_per_bar, rng.random()
    if kind < 0.35:
        keys = (int(rng.choice(SHAKERS)),)
        hits = (np.arange(steps) % int(rng.choice([1, 2, 2, 4])) == 0).astype(float)
    elif kind < 0.75:
        keys = HANDS[rng.integers(len(HANDS))]
        hits = (rng.random(steps) < rng.choice([0.25, 0.4, 0.6])) * 1.0
    else:
        keys = (int(rng.choice(SINGLE)),)
        hits = (rng.random(steps) < rng.choice([0.08, 0.15, 0.3])) * 1.0
        hits[int(rng.integers(0, steps // 4)) * 4] = 1.0
    accents, hand = rng.normal(0, 13, steps), rng.integers(0, len(keys), steps)
    late = rng.normal(0, 0.004) * plan.tightness
    notes = []
    for bar in np.flatnonzero(playing):
        for step in np.flatnonzero(hits):
            if rng.random() < 0.06:
                continue
            start = plan.time_of(int(bar), float(step)) + late + rng.normal(0, 0.005 * plan.tightness)
            key = keys[hand[step] if rng.random() < 0.9 else rng.integers(len(keys))]
            notes.append(
                Note(max(0.0, start), 0.2, key, float(np.clip(86 + accents[step] + rng.normal(0, 6), 20, 127)))
            )
    return notes


def _hire(rng: np.random.Generator, plan: Plan, style: str) -> Drummer:
    base = GROOVES[style]
    order = rng.permutation(len(base))
    swap = {}
    if rng.random() < 0.3:
        swap[CLOSED] = int(rng.choice([RIDE, OPEN, PEDAL, CLOSED]))
    if rng.random() < 0.3:
        swap[SNARE] = int(rng.choice([40, RIM, CLAP]))
    if rng.random() < 0.3:
        swap[KICK] = 35
    return Drummer(
        grooves=tuple(_vary(rng, base[i]) for i in order), shift=float(rng.normal(0, 0.005) * plan.tightness),
        looseness=0.005 * plan.tightness, swap=swap, fills=float(rng.uniform(0.2, 0.9)), ghosts=float(rng.uniform(0,
            1)),
    )  # fmt: skip


def _vary(rng: np.random.Generator, groove: dict[int, str]) -> dict[int, str]:
    """The groove with a few sixteenths added or dropped, so that no two songs play the same bar."""
    varied = {}
    for key, line in groove.items():
        marks = list(line)
        for i, mark in enumerate(marks):
            if mark == "." and key == KICK and i % 2 == 0 and rng.random() < 0.06:
                marks[i] = "x"
            elif mark == "x" and rng.random() < 0.05:
                marks[i] = "?"
        varied[key] = "".join(marks)
    if len(varied) > 2 and rng.random() < 0.08:
        varied.pop(list(varied)[-1])
    return varied


def _groove_bar(
    rng: np.random.Generator, plan: Plan, place: tuple[int, int], groove: dict[int, str], drummer: Drummer
) -> list[Note]:
    bar, until = place
    lift = 18 * (plan.section_of(bar).energy - 0.7)
    notes = []
    for key, line in groove.items():
        for step in range(min(plan.steps_per_bar, until)):
            mark = line[step % 16]
            if mark == "." or (mark == "?" and rng.random() > 0.35) or (mark == "g" and rng.random() > drummer.ghosts):
                continue
            start = plan.time_of(bar, float(step)) + drummer.shift + rng.normal(0, drummer.looseness)
            loud = LOUDNESS[mark] + lift + rng.normal(0, 6)
            played = drummer.swap.get(key, key)
            notes.append(Note(max(0.0, start), 0.2, played, float(np.clip(loud, 12, 127))))
    return notes


def _fill_start(rng: np.random.Generator, plan: Plan, section: Section, habit: tuple[int, float]) -> int:
    bar, fills = habit
    chance = fills if bar == section.last_bar else 0.04
    return plan.steps_per_bar - int(rng.choice([2, 4, 4, 6, 8, 12])) if rng.random() < chance else plan.steps_per_bar


def _fill(rng: np.random.Generator, plan: Plan, bar: int, first: int) -> list[Note]:
    steps = plan.steps_per_bar
    if first >= steps:
        return []
    drums = (SNARE, *TOMS)
    density, fall = rng.uniform(0.5, 1.0), rng.random() < 0.6
    notes = []
    for step in range(max(first, 0), steps):
        if rng.random() > density:
            continue
        place = (step - first) / max(steps - first, 1)
        key = drums[min(int(place * len(drums)), len(drums) - 1)] if fall else int(rng.choice(drums))
        loud = float(np.clip(88 + 24 * place + rng.normal(0, 8), 20, 127))
        notes.append(Note(plan.time_of(bar, float(step)), 0.2, key, loud))
        if rng.random() < 0.15:
            notes.append(Note(plan.time_of(bar, step + 0.5), 0.15, key, loud * 0.8))
    return notes

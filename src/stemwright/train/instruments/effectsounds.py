"""Sound effects as stems know them: risers, falls, impacts, zaps, sweeps, atmospheres and noises."""

import itertools

import numpy as np

from stemwright.train.composing.parts import playing_bars, write_chords
from stemwright.train.composing.score import Note
from stemwright.train.instruments.additive import play_pad
from stemwright.train.instruments.kits import listed
from stemwright.train.instruments.samples import add_resampled, read_sound
from stemwright.train.instruments.sources import usable
from stemwright.train.instruments.studio import RATE, Part, Studio
from stemwright.train.mixing.desk import biquad, equalise


def fx(rng: np.random.Generator, studio: Studio) -> list[Part]:
    """One to three kinds of effects in one song."""
    makers = [_sweeps, _sweeps, _atmosphere, _cloud, _noises]
    if usable(studio.split, "one shots"):
        makers.append(_recordings)
    chosen = rng.permutation(len(makers))[: int(rng.choice([1, 1, 2, 3]))]
    return [
        Part(makers[i](rng, studio), "fx", rng.normal(0, 3), rng.uniform(-0.3, 0.3), rng.uniform(0.3, 1.3))
        for i in chosen
    ]


def _sweeps(rng: np.random.Generator, studio: Studio) -> np.ndarray:
    plan, out = studio.plan, np.zeros((studio.samples, 2), np.float32)
    for section in plan.sections:
        if rng.random() < 0.75:
            length = min(plan.length_of(section.first_bar, 0, plan.steps_per_bar) * float(rng.choice([0.5, 1, 2])), 6.0)
            boundary = plan.time_of(section.last_bar + 1)
            kind = str(rng.choice(["rise", "fall", "impact", "zap", "rise", "tone"]))
            start = boundary - length if kind in ("rise", "tone") else plan.time_of(section.first_bar)
            begin = max(0, round(start * RATE))
            sound = GESTURES[kind](rng, int(length * RATE))
            count = min(len(sound), studio.samples - begin)
            if count > 0:
                out[begin : begin + count] += (sound[:count] / (np.abs(sound).max() + 1e-6)).astype(np.float32)
    return out


def _atmosphere(rng: np.random.Generator, studio: Studio) -> np.ndarray:
    notes = write_chords(rng, studio.plan, playing_bars(rng, studio.plan, keen=0.6), "pad", low=46, high=74, count=2)
    return studio.soundfont_part(rng, notes, "fx")


def _noises(rng: np.random.Generator, studio: Studio) -> np.ndarray:
    plan = studio.plan
    notes = [Note(plan.time_of(bar), plan.length_of(bar, 0, plan.steps_per_bar) * rng.uniform(0.5, 2),
        int(rng.integers(40, 80)), 100.0)
             for bar in range(plan.bars) if rng.random() < 0.4]  # fmt: skip
    other = studio.noise_part(rng, notes) if studio.varied and rng.random() < 0.5 else None
    return studio.soundfont_part(rng, notes, "noises") if other is None else other


def _cloud(rng: np.random.Generator, studio: Studio) -> np.ndarray:
    """A drone that hovers over the tonic, high or low, and breathes."""
    plan, low = studio.plan, int(rng.choice([36, 48, 60, 72]))
    notes = [
        Note(
            plan.time_of(section.first_bar),
            plan.length_of(section.first_bar, 0, section.bars * plan.steps_per_bar),
            pitch,
            80,
        )
        for section in plan.sections
        if rng.random() < 0.6
        for pitch in (float(low + plan.tonic), float(low + plan.tonic + rng.choice([7, 12, 14])))
    ]
    t = np.arange(studio.samples) / RATE
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * rng.uniform(0.05, 0.5) * t + rng.uniform(0, 6))
    return (play_pad(rng, notes, studio.samples) * swell[:, None]).astype(np.float32)


def _recordings(rng: np.random.Generator, studio: Studio) -> np.ndarray:
    """Atmospheres, crackle and one-off noises from recordings, at any pitch, some of them backwards."""
    source = usable(studio.split, "one shots")[0]
    studio.used.add(source.name)
    files = [f for pattern in RECORDINGS for f in sorted(source.file().glob(f"{pattern}.flac")) if listed(f)]
    chosen = [files[i] for i in rng.permutation(len(files))[: int(rng.integers(1, 4))]]
    plan, out = studio.plan, np.zeros((studio.samples, 2), np.float32)
    for bar in np.flatnonzero(rng.random(plan.bars) < rng.uniform(0.15, 0.7)):
        sound = read_sound(chosen[int(rng.integers(len(chosen)))])
        sound = np.ascontiguousarray(sound[::-1]) if rng.random() < 0.2 else sound
        begin = round(plan.time_of(int(bar), float(rng.choice([0, 0, 4, 8]))) * RATE)
        if begin < studio.samples:
            gains = np.full(2, rng.uniform(0.4, 1) / (np.abs(sound).max() + 1e-6), np.float32)
            add_resampled(
                out, begin, sound, float(2 ** rng.uniform(-1, 0.8)), gains, int(rng.uniform(0.3, 6) * RATE), 4000
            )
    return out


# No choir and no piano: those are other stems.
RECORDINGS = ("ambi_[!cp]*", "vinyl_*", "misc_*", "elec_*", "perc_bell*", "perc_swash*")


def _swept_noise(rng: np.random.Generator, samples: int, cutoffs: np.ndarray) -> np.ndarray:
    """Noise through a band that moves, by overlapping pieces of constant filter."""
    noise = rng.standard_normal((samples, 2)).astype(np.float32)
    out, pieces = np.zeros_like(noise), 24
    edges = np.linspace(0, samples, pieces + 1).astype(int)
    q = float(rng.uniform(0.5, 3))
    fade = samples // pieces
    for i, (first, last) in enumerate(itertools.pairwise(edges)):
        a, b = max(0, first - fade), min(samples, last + fade)
        window = np.interp(np.arange(a, b), [first - fade, first, last, last + fade][:4], [0, 0.5, 0.5, 0])
        cutoff = float(np.interp(i / pieces, np.linspace(0, 1, len(cutoffs)), cutoffs))
        out[a:b] += equalise(noise[a:b], [biquad("lowpass", cutoff, q=q)]) * window[:, None].astype(np.float32)
    return out


def _rise(rng: np.random.Generator, samples: int) -> np.ndarray:
    t = np.linspace(0, 1, samples)[:, None]
    return _swept_noise(rng, samples, np.geomspace(200, rng.uniform(4000, 16000), 24)) * t ** rng.uniform(1, 3)


def _fall(rng: np.random.Generator, samples: int) -> np.ndarray:
    t = np.linspace(0, 1, samples)[:, None]
    return _swept_noise(rng, samples, np.geomspace(rng.uniform(5000, 16000), 200, 24)) * (1 - t) ** rng.uniform(1, 3)


def _impact(rng: np.random.Generator, samples: int) -> np.ndarray:
    t = np.arange(samples) / RATE
    hz = rng.uniform(30, 60) + rng.uniform(40, 200) * np.exp(-t / rng.uniform(0.03, 0.15))
    boom = np.sin(2 * np.pi * np.cumsum(hz) / RATE) * np.exp(-t / rng.uniform(0.3, 1.2))
    dust = _swept_noise(rng, samples, np.geomspace(9000, 300, 24)) * np.exp(-t / rng.uniform(0.1, 0.8))[:, None]
    return boom[:, None] + rng.uniform(0.2, 1.0) * dust


def _zap(rng: np.random.Generator, samples: int) -> np.ndarray:
    samples = min(samples, int(rng.uniform(0.15, 1.2) * RATE))
    t = np.arange(samples) / RATE
    hz = (
        rng.uniform(200, 1500)
        * 2 ** (rng.uniform(-4, 3) * t / t[-1])
        * (1 + 0.4 * np.sin(2 * np.pi * rng.uniform(2, 25) * t))
    )
    tone = np.tanh(rng.uniform(0.8, 4) * np.sin(2 * np.pi * np.cumsum(np.minimum(hz, 15000)) / RATE)) * (1 - t / t[-1])
    return np.repeat(tone[:, None], 2, 1)


def _tone_rise(rng: np.random.Generator, samples: int) -> np.ndarray:
    t = np.linspace(0, 1, samples)
    hz = rng.uniform(100, 400) * 2 ** (rng.uniform(1, 3.5) * t)
    out = [np.tanh(2 * np.sin(2 * np.pi * np.cumsum(hz * (1 + d)) / RATE)) * t**1.5 for d in (-0.004, 0.004)]
    return np.stack(out, 1)


GESTURES = {"rise": _rise, "fall": _fall, "impact": _impact, "zap": _zap, "tone": _tone_rise}

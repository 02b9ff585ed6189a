"""The singers of a song: the lead's melody, the backing that answers it, and who sings them."""

import itertools
from functools import cache
from pathlib import Path

import numpy as np

from stemwright.train.composing.parts import playing_bars, voice_chord, write_melody
from stemwright.train.composing.score import Note, Plan
from stemwright.train.instruments.studio import RATE, Part, Studio
from stemwright.train.singing import vocals, voices

SAMPLED_CHOIR_SHARE = 0.25


def sing_all(rng: np.random.Generator, studio: Studio, cast: tuple[str, ...]) -> dict[str, list[Part]]:
    """Parts of the vocal stems that are in the cast; the backing knows the lead."""
    low = int(rng.choice([43, 45, 48, 52, 55, 57, 60]))
    playing = playing_bars(rng, studio.plan, keen=0.85)
    lead = write_melody(rng, studio.plan, playing, low=low, high=low + 17, rest=0.12, busy=float(rng.random() < 0.3))
    parts: dict[str, list[Part]] = {}
    if "vocals" in cast:
        parts["vocals"] = [_lead_part(rng, studio, lead)]
    if "backing_vocals" in cast:
        parts["backing_vocals"] = [_backing_part(rng, studio, lead)]
        if studio.varied and rng.random() < SAMPLED_CHOIR_SHARE:
            parts["backing_vocals"].append(choir_part(rng, studio))
    return parts


def speech_sources(split: str) -> list[dict[str, str]]:
    """Name and licence of the speech that the voices of a split were made of, as song.json keeps them."""
    return [
        {"name": f"speech of {engine}", "licence": licence}
        for engine, licence in _speech(voices.library_folder(), split)
    ]


@cache
def _speech(folder: Path, split: str) -> tuple[tuple[str, str], ...]:
    known = (voices.load_voice(name, folder=folder) for name, _ in voices.voice_names(split, folder=folder))
    return tuple(sorted({(voice.engine, voice.licence) for voice in known}))


def _lead_part(rng: np.random.Generator, studio: Studio, lead: list[Note]) -> Part:
    sound = vocals.sing(rng, lead, studio.samples / RATE, split=studio.split)
    return Part(_fitted(sound, studio.samples), "sung")


def _backing_part(rng: np.random.Generator, studio: Studio, lead: list[Note]) -> Part:
    chords = chord_notes(rng, studio.plan)
    sound = vocals.backing(rng, lead, chords, studio.samples / RATE, split=studio.split)
    return Part(_fitted(sound, studio.samples), "sung")


def choir_part(rng: np.random.Generator, studio: Studio) -> Part:
    """Recorded choirs of the soundfonts, on the chords."""
    sound = studio.soundfont_part(rng, chord_notes(rng, studio.plan), "choir")
    return Part(sound, "sung", level_db=float(rng.uniform(-12, 3)), width=float(rng.uniform(0.7, 1.3)))


def chord_notes(rng: np.random.Generator, plan: Plan) -> list[Note]:
    """The notes of every chord that the backing sings."""
    low, found = int(rng.choice([48, 52, 55, 57])), []
    for bar in np.flatnonzero(playing_bars(rng, plan, keen=0.55, taste=0.9)):
        cuts = np.linspace(0, plan.steps_per_bar, len(plan.chords[bar]) + 1)
        for first, last in itertools.pairwise(cuts):
            start, seconds = plan.time_of(int(bar), first), plan.length_of(int(bar), first, last - first)
            pitches = voice_chord(plan.chord_at(int(bar), first), low, low + 18, 3)
            found += [Note(start, seconds * 0.96, float(p), 85.0) for p in pitches]
    return found


def _fitted(sound: np.ndarray, samples: int) -> np.ndarray:
    return np.pad(sound, ((0, max(0, samples - len(sound))), (0, 0)))[:samples]

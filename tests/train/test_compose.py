"""The written song: bars, clock, chords, casts."""

import numpy as np
import pytest

from stemwright.train import song
from stemwright.train.composing import genres, parts, rhythm, riffs
from stemwright.train.composing.plan import choose_cast, write_plan


def plan_of(seed: int, seconds: float = 20.0):
    return write_plan(np.random.default_rng(seed), seconds)


def test_the_same_seed_writes_the_same_plan():
    one, two = plan_of(7), plan_of(7)
    assert (one.genre, one.bpm, one.sections, one.chords) == (two.genre, two.bpm, two.sections, two.chords)
    assert np.array_equal(one.beat_seconds, two.beat_seconds)


@pytest.mark.parametrize("seed", range(8))
def test_a_plan_lasts_as_long_as_was_asked(seed):
    plan = plan_of(seed)
    assert plan.time_of(plan.bars) >= 18.0  # the tempo may drift by a tenth
    assert sum(section.bars for section in plan.sections) == plan.bars
    assert np.all(np.diff(plan.beat_seconds) > 0)


@pytest.mark.parametrize("style", sorted(rhythm.GROOVES))
def test_every_groove_stays_inside_the_song(style):
    rng, plan = np.random.default_rng(1), plan_of(3)
    notes = rhythm.write_drums(rng, plan, style, np.ones(plan.bars, bool))
    assert notes
    assert all(note.start_seconds >= 0 and 1 <= note.velocity <= 127 for note in notes)


@pytest.mark.parametrize("style", sorted({style for genre in genres.GENRES for style in genre.bass}))
def test_every_bass_style_keeps_to_the_low_notes(style):
    plan = plan_of(4)
    notes = parts.write_bass(np.random.default_rng(2), plan, style, np.ones(plan.bars, bool))
    assert notes
    assert all(20 <= note.pitch <= 52 for note in notes)


@pytest.mark.parametrize("seed", range(6))
def test_a_riff_is_low_and_damped_notes_are_short(seed):
    rng, plan = np.random.default_rng(seed), plan_of(seed)
    playing = np.arange(plan.bars) % 4 != 3
    damped, ringing = riffs.write_riffs(rng, plan, playing, low=33)
    assert damped or ringing
    assert all(33 <= note.pitch <= 33 + 11 + 10 for note in damped)
    assert all(note.seconds <= riffs.DAMPED_SECONDS[1] for note in damped)
    assert all(33 <= note.pitch <= 33 + 11 + 10 + 12 for note in ringing)
    bars = np.array([plan.time_of(bar) for bar in range(plan.bars + 1)])
    rests = np.flatnonzero(~playing)
    middles = (bars[rests] + bars[rests + 1]) / 2
    assert not [m for m in middles for note in damped + ringing if abs(note.start_seconds - m) < 0.1]


def test_rock_and_metal_are_a_share_of_what_is_learned_and_of_nothing_else():
    heavy = [song._heavy_genre(seed, "train") for seed in range(2000)]
    assert 0.12 < 1 - heavy.count(None) / 2000 < 0.18
    assert set(heavy) == {None, "rock", "metal"}
    assert {song._heavy_genre(seed, split) for seed in range(200) for split in ("val", "test")} == {None}


def test_a_melody_keeps_to_its_range_and_key():
    plan = plan_of(5)
    notes = parts.write_melody(np.random.default_rng(3), plan, np.ones(plan.bars, bool), low=55, high=72)
    tones = frozenset().union(*plan.scales) | {p % 12 for bar in plan.chords for chord in bar for p in chord.pitches}
    assert notes
    assert all(55 <= note.pitch <= 72 and note.pitch % 12 in tones for note in notes)


def test_each_family_plays_in_more_than_a_third_of_the_songs():
    counts = dict.fromkeys(genres.STEMS, 0)
    for seed in range(300):
        rng = np.random.default_rng(seed)
        plan = write_plan(rng, 10.0)
        for stem in choose_cast(rng, genres.by_name(plan.genre)):
            counts[stem] += 1
    assert min(counts.values()) >= 0.35 * 300, counts

"""Which engine plays a tone: soundfonts, Freepats, strings and bores, sums of harmonics; a song mixes them freely."""

from collections.abc import Sequence

import numpy as np

from stemwright.train.composing.score import Note
from stemwright.train.instruments import additive, basses, keys, physical
from stemwright.train.instruments.samples import FREEPATS, freepats_file, play_patch
from stemwright.train.instruments.sonivox import play_sonivox
from stemwright.train.instruments.soundfonts import PROGRAMS, Control
from stemwright.train.instruments.sources import usable
from stemwright.train.instruments.studio import Studio
from stemwright.train.mixing.desk import loudness_db

DECAYING = {"piano", "electric piano", "clavi", "mallets", "acoustic guitar", "clean guitar", "upright",
    "electric bass",
            "slap bass", "pizzicato", "harp"}  # fmt: skip
# What lives by its swells and vibrato, which Sonivox is not given.
EXPRESSIVE = {"solo strings", "string section", "solo brass", "sax", "flute", "reed"}
# Our own engines for a tone, one of which is drawn: a waveguide, a sum of harmonics or a mallet.
OWN: dict[str, tuple[str, ...]] = {
    "acoustic guitar": ("pluck guitar",), "clean guitar": ("pluck solid",), "driven guitar": ("pluck solid",),
    "upright": ("pluck bass",),
    "electric bass": ("pluck bass",), "slap bass": ("pluck bass",), "harp": ("pluck harp",),
    "pizzicato": ("pluck box",), "clavi": ("pluck box",),
    "piano": ("pluck piano",), "mallets": ("mallets",), "electric piano": ("mallets",), "organ": ("harmonics organ",),
    "accordion": ("harmonics accordion",),
    "solo strings": ("blow bow", "harmonics strings"), "low strings": ("blow bow", "harmonics strings"),
    "string section": ("section strings",),
    "synth strings": ("section strings",), "solo brass": ("harmonics brass",), "brass section": ("section brass",),
    "sax": ("blow cone", "harmonics sax"),
    "reed": ("blow clarinet", "blow cone", "harmonics reed"), "flute": ("blow flute", "harmonics flute"),
    "blown": ("harmonics flute",),
    "synth pad": ("pad", "harmonics wavetable"), "synth lead": ("harmonics wavetable",),
}  # fmt: skip
# Engines that no song of test hears.
NEWER: dict[str, tuple[str, ...]] = {
    "electric bass": ("string fingered", "string fingered", "string picked", "string picked", "string muted"),
    "slap bass": ("string slapped", "string slapped", "string picked"), "upright": ("string upright",),
    "synth bass": tuple(f"line {kind}" for kind in basses.VOICES), "electric piano": ("tines",) * 3,
    "organ": ("tonewheels",) * 2, "clavi": ("clavinet",) * 2,
}  # fmt: skip
KEYS = {"tines": keys.play_electric_piano, "tonewheels": keys.play_tonewheels, "clavinet": keys.play_clavinet}
# Shares of what plays a tone in a song that is learned from; the soundfonts have the rest.
OWN_SHARE, PATCHES_SHARE, WAVETABLE_SHARE = 0.36, 0.14, 0.07
NEWER_SHARE = 0.55


def play_tone(
    rng: np.random.Generator, studio: Studio, notes: Sequence[Note], tone: str, *, controls: Sequence[Control] = ()
) -> np.ndarray:
    """The notes on a tone of PROGRAMS by an engine drawn for the part, float32 [samples, 2]."""
    if studio.varied:
        return _varied_tone(rng, studio, notes, tone, controls=controls)
    if rng.random() < 0.2 and tone in OWN:
        sound = _own(rng, notes, studio.samples, str(rng.choice(OWN[tone])))
        if loudness_db(sound) > -90:
            return sound
    return studio.soundfont_part(rng, notes, tone, controls=controls)


def _varied_tone(
    rng: np.random.Generator, studio: Studio, notes: Sequence[Note], tone: str, *, controls: Sequence[Control]
) -> np.ndarray:
    own = NEWER.get(tone, ()) + OWN.get(tone, ())
    own_share = NEWER_SHARE if tone in NEWER else OWN_SHARE
    draw = rng.random() if own else rng.uniform(own_share, 1)
    folders, telephone = usable(studio.split, "patches"), usable(studio.split, "wavetable")
    if draw < own_share:
        sound = _own(rng, notes, studio.samples, str(rng.choice(own)))
        if loudness_db(sound) > -90:
            return sound
    elif draw < own_share + WAVETABLE_SHARE and tone not in EXPRESSIVE:
        studio.used.add(telephone[0].name)
        telephone[0].file()
        return play_sonivox(notes, studio.samples, int(rng.choice(PROGRAMS[tone])))
    elif draw < own_share + WAVETABLE_SHARE + PATCHES_SHARE and tone in FREEPATS:
        file = freepats_file(folders[0].file(), int(rng.choice(FREEPATS[tone])))
        if file is not None:
            studio.used.add(folders[0].name)
            return play_patch(rng, file, notes, studio.samples, decays=tone in DECAYING)
    return studio.soundfont_part(rng, notes, tone, controls=controls)


def _own(rng: np.random.Generator, notes: Sequence[Note], samples: int, engine: str) -> np.ndarray:
    kind, _, name = engine.partition(" ")
    if kind == "string":
        return basses.play_string_bass(rng, notes, samples, name)
    if kind == "line":
        return basses.play_synth_bass(rng, notes, samples, name)
    if kind == "pluck":
        decay = {"bass": (1.0, 5.0), "box": (0.3, 1.2), "piano": (4.0, 12.0)}.get(name, (1.5, 6.0))
        return physical.play_plucked(rng, notes, samples, body=name, decay=decay)
    if kind == "blow":
        return physical.play_blown(rng, notes, samples, name)
    if kind in KEYS:
        return KEYS[kind](rng, notes, samples)
    if kind == "mallets":
        return physical.play_mallets(rng, notes, samples)
    if kind == "pad":
        return additive.play_pad(rng, notes, samples)
    players = int(rng.integers(2, 6)) if kind == "section" else 1
    return additive.play_harmonics(rng, notes, samples, name, players=players)

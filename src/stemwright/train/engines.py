"""Which engine plays a tone: soundfonts, Freepats, strings and bores, sums of harmonics; a song mixes them freely."""

from collections.abc import Sequence

import numpy as np

from stemwright.train import additive, drumsynth, kits, physical
from stemwright.train.instruments import DRUM_KITS, Control
from stemwright.train.mixing import loudness_db
from stemwright.train.samples import FREEPATS, freepats_file, play_patch
from stemwright.train.score import Note
from stemwright.train.sources import usable
from stemwright.train.studio import Studio

DECAYING = {"piano", "electric piano", "clavi", "mallets", "acoustic guitar", "clean guitar", "upright",
    "electric bass",
            "slap bass", "pizzicato", "harp"}  # fmt: skip
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


def play_tone(
    rng: np.random.Generator, studio: Studio, notes: Sequence[Note], tone: str, *, controls: Sequence[Control] = ()
) -> np.ndarray:
    """The notes on a tone of PROGRAMS by an engine drawn for the part, float32 [samples, 2]."""
    draw = rng.random()
    own_share = 0.2 if studio.split == "test" else 0.34
    if tone in OWN and draw < own_share:
        sound = _own(rng, notes, studio.samples, str(rng.choice(OWN[tone])))
        if loudness_db(sound) > -90:
            return sound
    folders = usable(studio.split, "patches")
    if folders and tone in FREEPATS and own_share < draw < own_share + 0.18:
        file = freepats_file(folders[0].file(), int(rng.choice(FREEPATS[tone])))
        if file is not None:
            studio.used.add(folders[0].name)
            return play_patch(rng, file, notes, studio.samples, decays=tone in DECAYING)
    return studio.soundfont_part(rng, notes, tone, controls=controls)


def _own(rng: np.random.Generator, notes: Sequence[Note], samples: int, engine: str) -> np.ndarray:
    kind, _, name = engine.partition(" ")
    if kind == "pluck":
        decay = {"bass": (1.0, 5.0), "box": (0.3, 1.2), "piano": (4.0, 12.0)}.get(name, (1.5, 6.0))
        return physical.play_plucked(rng, notes, samples, body=name, decay=decay)
    if kind == "blow":
        return physical.play_blown(rng, notes, samples, name)
    if kind == "mallets":
        return physical.play_mallets(rng, notes, samples)
    if kind == "pad":
        return additive.play_pad(rng, notes, samples)
    players = int(rng.integers(2, 6)) if kind == "section" else 1
    return additive.play_harmonics(rng, notes, samples, name, players=players)


def play_drum_kit(rng: np.random.Generator, studio: Studio, notes: Sequence[Note]) -> np.ndarray:
    """The drum part on a soundfont's kit, a sampled kit, single recordings, a machine of our own, or two of these."""
    engines = {"soundfont": 0.3, "kit": 0.4, "one shots": 0.12, "machine": 0.18}
    if studio.split == "test":
        engines = {"soundfont": 0.35, "kit": 0.6, "machine": 0.05}
    odds = np.array(list(engines.values()))
    layers = 1 if rng.random() < 0.85 else 2
    chosen = [str(name) for name in rng.choice(list(engines), layers, p=odds / odds.sum(), replace=False)]
    sounds = [_drums_by(rng, studio, notes, engine) for engine in chosen]
    levels = [10 ** ((-20 - 5 * i - loudness_db(s)) / 20) for i, s in enumerate(sounds)]
    scaled = np.stack([s * np.float32(level) for s, level in zip(sounds, levels, strict=True)])
    return np.asarray(scaled.sum(0), np.float32)


def play_hand_percussion(rng: np.random.Generator, studio: Studio, notes: Sequence[Note]) -> np.ndarray:
    """One layer of percussion on a soundfont, a sampled kit, Freepats or our own skins and bars."""
    engines = (
        ["soundfont", "soundfont", "percussion kit"]
        if studio.split == "test"
        else ["soundfont", "machine", "freepats", "one shots"]
    )
    engine = str(rng.choice(engines))
    if engine == "freepats":
        source = usable(studio.split, "patches")[0]
        studio.used.add(source.name)
        return kits.play_kit(rng, kits.freepats_kit(source.file()), notes, studio.samples)
    return _drums_by(rng, studio, notes, engine)


def _drums_by(rng: np.random.Generator, studio: Studio, notes: Sequence[Note], engine: str) -> np.ndarray:
    if engine == "machine":
        return drumsynth.play_drums(rng, notes, studio.samples)
    if engine == "soundfont":
        return studio.soundfont_part(rng, notes, int(rng.choice(DRUM_KITS)), drums=True)
    sources = usable(studio.split, engine)
    source = sources[int(rng.integers(len(sources)))]
    studio.used.add(source.name)
    kit = kits.one_shots(source.file()) if engine == "one shots" else kits.hydrogen_kit(source.file())
    return kits.play_kit(rng, kit, notes, studio.samples)

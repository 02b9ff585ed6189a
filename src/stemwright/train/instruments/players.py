"""Who plays what: for every family of stems the players that the song hires, their parts and their instruments."""

import numpy as np

from stemwright.train.composing import genres
from stemwright.train.composing.parts import playing_bars, write_bass, write_chords, write_melody
from stemwright.train.composing.rhythm import write_drums, write_percussion
from stemwright.train.composing.score import Note
from stemwright.train.instruments.drumkits import play_drum_kit, play_hand_percussion
from stemwright.train.instruments.engines import play_tone
from stemwright.train.instruments.heavy import another_take, heavy_guitars
from stemwright.train.instruments.soundfonts import Control
from stemwright.train.instruments.sources import usable
from stemwright.train.instruments.strums import play_strums
from stemwright.train.instruments.studio import Part, Studio
from stemwright.train.instruments.synths import play_fm, play_subtractive

RIFF_SHARE = 0.7  # of the heavy guitars in songs that are learned from


def _pick(rng: np.random.Generator, odds: dict[str, float]) -> str:
    weights = np.array(list(odds.values()))
    return str(rng.choice(list(odds), p=weights / weights.sum()))


def _swells(rng: np.random.Generator, studio: Studio) -> list[Control]:
    """Expression that rises and falls with the bars, as bows and breath do."""
    plan, controls = studio.plan, []
    depth = rng.uniform(10, 70)
    span = int(rng.choice([1, 1, 2]))
    for bar in range(0, plan.bars, span):
        for i in range(12):
            shape = np.sin(np.pi * (i + 1) / 13)
            controls.append(
                Control(plan.time_of(bar, span * plan.steps_per_bar * i / 12), 11, 127 - depth * (1 - shape))
            )
    return controls


def _vibrato(rng: np.random.Generator, notes: list[Note]) -> list[Control]:
    """The modulation wheel, up late in long notes."""
    depth, controls = rng.uniform(0, 90), []
    for note in notes:
        controls.append(Control(note.start_seconds, 1, 0))
        if note.seconds > 0.35:
            controls.append(Control(note.start_seconds + 0.2, 1, depth * rng.uniform(0.4, 1)))
    return controls


def _synth(rng: np.random.Generator, studio: Studio, notes: list[Note], role: str) -> np.ndarray:
    engine = play_subtractive if rng.random() < 0.65 else play_fm
    return engine(rng, notes, studio.samples, role)


def drums(rng: np.random.Generator, studio: Studio) -> list[Part]:
    """The drum kit."""
    genre = genres.by_name(studio.plan.genre)
    notes = write_drums(
        rng, studio.plan, str(rng.choice(genre.drums)), playing_bars(rng, studio.plan, keen=0.9, taste=0.9)
    )
    return [Part(play_drum_kit(rng, studio, notes), "drums", width=rng.uniform(0.3, 1.2))]


def percussion(rng: np.random.Generator, studio: Studio) -> list[Part]:
    """Hand percussion: one to four layers, spread over the image."""
    parts = []
    for _ in range(int(rng.integers(1, 5))):
        notes = write_percussion(rng, studio.plan, playing_bars(rng, studio.plan, keen=0.8))
        sound = play_hand_percussion(rng, studio, notes)
        parts.append(Part(sound, "percussion", rng.normal(0, 3), rng.uniform(-0.8, 0.8), rng.uniform(0, 1)))
    return parts


def bass(rng: np.random.Generator, studio: Studio) -> list[Part]:
    """The bass: upright, electric, slapped or synthesized, as the genre wants."""
    genre = genres.by_name(studio.plan.genre)
    style = str(rng.choice(genre.bass))
    notes = write_bass(rng, studio.plan, style, playing_bars(rng, studio.plan, keen=0.9, taste=0.8))
    if rng.random() < 0.15 + 0.7 * genre.electronic:
        own = studio.varied and rng.random() < 0.6
        sound = play_tone(rng, studio, notes, "synth bass") if own else _synth(rng, studio, notes, "bass")
    else:
        odds = {"electric bass": 1.0, "slap bass": 0.15, "upright": 0.3, "synth bass": 0.1 + genre.electronic}
        odds |= {"slap": {"slap bass": 3.0}, "walk": {"upright": 2.0}}.get(style, {})
        sound = play_tone(rng, studio, notes, _pick(rng, odds))
    return [Part(sound, "bass", 0.0, rng.normal(0, 0.04), rng.uniform(0, 0.3))]


def guitar(rng: np.random.Generator, studio: Studio) -> list[Part]:
    """One to three guitars: strummed, picked, driven, lead; driven rhythm is played twice and panned wide."""
    genre = studio.plan.genre
    heavy = {"metal": 0.85, "rock": 0.5, "punk": 0.6}.get(genre, 0.12)
    parts: list[Part] = []
    for _ in range(int(rng.choice([1, 1, 2, 2, 3]))):
        playing = playing_bars(rng, studio.plan, keen=0.75)
        if rng.random() < heavy:
            if studio.split == "train" and rng.random() < RIFF_SHARE:
                parts += heavy_guitars(rng, studio, playing)
                continue
            notes = write_chords(rng, studio.plan, playing, "power", low=38, high=60, count=3)
            pan = rng.uniform(0.5, 1.0)
            for side in (-1, 1):
                again = another_take(rng, notes)
                sound = play_tone(rng, studio, again, "driven guitar" if rng.random() < 0.6 else "clean guitar")
                parts.append(Part(sound, "driven guitar", 0.0, side * pan, 0.2))
            continue
        recorded = usable(studio.split, "strums")
        if recorded and rng.random() < (0.3 if genre in ("folk", "country", "ballad", "pop", "reggae") else 0.08):
            studio.used.add(recorded[0].name)
            sound = play_strums(rng, studio.plan, playing, recorded[0].file())
            parts.append(Part(sound, "guitar", rng.normal(0, 2), rng.uniform(-0.8, 0.8), rng.uniform(0, 1)))
            continue
        style = _pick(rng, {"chord": 1.0, "arp": 0.8, "stab": 0.3, "eighths": 0.4, "melody": 0.5,
                            "skank": 2.0 if genre == "reggae" else 0.05})  # fmt: skip
        if style == "melody":
            notes = write_melody(rng, studio.plan, playing, low=50, high=78)
        else:
            notes = write_chords(rng, studio.plan, playing, style, low=42, high=66, count=int(rng.integers(3, 7)),
                                 strum_s=float(rng.uniform(0.003, 0.022)))  # fmt: skip
        tone = _pick(
            rng, {"acoustic guitar": 1.0, "clean guitar": 1.0, "driven guitar": 0.6 if style == "melody" else 0.1}
        )
        sound = play_tone(rng, studio, notes, tone, controls=_vibrato(rng, notes) if style == "melody" else ())
        chain = "driven guitar" if tone == "driven guitar" or rng.random() < 0.15 else "guitar"
        parts.append(Part(sound, chain, rng.normal(0, 2), rng.uniform(-0.9, 0.9), rng.uniform(0, 0.8)))
    return parts


def keyboard(rng: np.random.Generator, studio: Studio) -> list[Part]:
    """Pianos, electric pianos, organs, clavinet, mallets and accordion, one or two of them."""
    parts = []
    for _ in range(int(rng.choice([1, 1, 2]))):
        playing = playing_bars(rng, studio.plan, keen=0.75)
        tone = _pick(
            rng, {"piano": 1.6, "electric piano": 1.0, "organ": 0.8, "clavi": 0.35, "mallets": 0.5, "accordion": 0.25}
        )
        lift = 12 if tone == "mallets" else 0
        style = _pick(rng, {"chord": 1.0, "arp": 0.8, "stab": 0.4, "eighths": 0.5, "melody": 0.5,
                            "pad": 1.0 if tone in ("organ", "accordion") else 0.25})  # fmt: skip
        if style == "melody":
            notes = write_melody(rng, studio.plan, playing, low=60 + lift, high=84 + lift)
        else:
            notes = write_chords(rng, studio.plan, playing, style, low=50 + lift, high=74 + lift,
                count=int(rng.integers(3, 6)),
                                 strum_s=float(rng.choice([0, 0.002])))  # fmt: skip
        if tone in ("piano", "electric piano") and rng.random() < 0.45 and style != "melody":
            roots = write_bass(rng, studio.plan, "root", playing)
            notes = notes + [n._replace(pitch=n.pitch + 12, velocity=n.velocity * 0.85) for n in roots]
        parts.append(Part(play_tone(rng, studio, notes, tone), "keyboard", rng.normal(0, 2), rng.uniform(-0.4, 0.4),
                          rng.uniform(0.2, 1.2)))  # fmt: skip
    return parts


def _section(rng: np.random.Generator, studio: Studio, family: str, tones: dict[str, float], pads: float) -> list[Part]:
    low, high = {"strings": (48, 78), "brass": (46, 72), "woodwinds": (55, 80)}[family]
    parts = []
    for _ in range(int(rng.choice([1, 1, 2, 2, 3]))):
        playing = playing_bars(rng, studio.plan, keen=0.7)
        tone = _pick(rng, tones)
        solo = tone in ("solo strings", "solo brass", "sax", "reed", "flute", "blown")
        style = "melody" if solo and rng.random() < 0.75 else "pad" if rng.random() < pads else _pick(
            rng, {"chord": 1.0, "stab": 0.7, "arp": 0.5, "melody": 0.7, "eighths": 0.3})  # fmt: skip
        if tone in ("pizzicato", "harp"):
            style = _pick(rng, {"arp": 2.0, "stab": 1.0, "melody": 0.7})
        if style == "melody":
            notes = write_melody(rng, studio.plan, playing, low=low + 4, high=high + 6, rest=0.3)
        else:
            notes = write_chords(rng, studio.plan, playing, style, low=low, high=high, count=int(rng.integers(2, 5)))
        controls = _swells(rng, studio) if style == "pad" and rng.random() < 0.7 else _vibrato(rng, notes)
        sound = play_tone(rng, studio, notes, tone, controls=controls)
        parts.append(Part(sound, family, rng.normal(0, 2), rng.uniform(-0.6, 0.6), rng.uniform(0.1, 1.2)))
    return parts


def strings(rng: np.random.Generator, studio: Studio) -> list[Part]:
    """Solo strings, sections, pizzicato and harp."""
    tones = {
        "solo strings": 0.9,
        "string section": 1.5,
        "pizzicato": 0.35,
        "harp": 0.3,
        "low strings": 0.4,
        "synth strings": 0.3,
    }
    return _section(rng, studio, "strings", tones, 0.55)


def brass(rng: np.random.Generator, studio: Studio) -> list[Part]:
    """Trumpets, trombones, horns, tuba and their sections."""
    return _section(rng, studio, "brass", {"solo brass": 1.0, "brass section": 1.0}, 0.3)


def woodwinds(rng: np.random.Generator, studio: Studio) -> list[Part]:
    """Saxophones, reeds, flutes and other blown pipes."""
    return _section(rng, studio, "woodwinds", {"sax": 1.2, "reed": 1.0, "flute": 1.2, "blown": 0.2}, 0.2)


def synth(rng: np.random.Generator, studio: Studio) -> list[Part]:
    """Synthesizers: leads, pads, plucks, stabs; one to three of them."""
    parts = []
    for _ in range(int(rng.choice([1, 2, 2, 3]))):
        playing = playing_bars(rng, studio.plan, keen=0.75)
        role = _pick(rng, {"lead": 1.0, "pad": 1.0, "pluck": 1.0, "stab": 0.5})
        if role == "lead":
            notes = write_melody(rng, studio.plan, playing, low=58, high=86, rest=0.3)
        else:
            style = {"pad": "pad", "pluck": "arp", "stab": _pick(rng, {"chord": 1, "stab": 1, "eighths": 0.5})}[role]
            notes = write_chords(rng, studio.plan, playing, style, low=48, high=78, count=int(rng.integers(3, 6)))
        if rng.random() < 0.25:
            sound = play_tone(rng, studio, notes, "synth pad" if role == "pad" else "synth lead")
        else:
            sound = _synth(rng, studio, notes, role)
        parts.append(Part(sound, "synth", rng.normal(0, 2.5), rng.uniform(-0.5, 0.5), rng.uniform(0.3, 1.3)))
    return parts

"""One song from one seed: plan it, play every stem, mix and master it. Same seed, same samples."""

from dataclasses import dataclass, field

import numpy as np

from stemwright.train.composing import genres
from stemwright.train.composing.genres import STEMS
from stemwright.train.composing.plan import choose_cast, write_plan
from stemwright.train.instruments import players
from stemwright.train.instruments.effectsounds import fx
from stemwright.train.instruments.sources import facts
from stemwright.train.instruments.studio import RATE, Part, Studio
from stemwright.train.mixing import codec
from stemwright.train.mixing.desk import Room, build_room, compress, loudness_db, master, place, to_level
from stemwright.train.mixing.effects import ground, insert
from stemwright.train.singing import singers

RECIPE_VERSION = 8
HEAVY_SHARE = 0.15
CODEC_SHARE = 0.15

# Loudness of a stem in the mix and its spread between songs (dB); share of the song's reverb.
LEVELS = {
    "vocals": (-17.5, 2.2, 0.16), "backing_vocals": (-22.0, 2.8, 0.25), "drums": (-16.5, 2.4, 0.10), "bass": (-18.5,
    2.2, 0.02),
    "guitar": (-21.0, 2.6, 0.12), "keyboard": (-21.5, 2.8, 0.14), "strings": (-22.0, 3.0, 0.25), "brass": (-21.5, 3.0,
    0.20),
    "woodwinds": (-21.5, 3.0, 0.20), "percussion": (-23.5, 3.0, 0.12), "synth": (-21.5, 3.0, 0.15), "fx": (-23.0, 3.2,
    0.2),
}  # fmt: skip


@dataclass
class Rendered:
    """A finished song: float32 [samples, 2] per sounding stem (a short one may have none), and what is known of it."""

    stems: dict[str, np.ndarray]
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def mix(self) -> np.ndarray:
        """The sum of the stems, [samples, 2]."""
        return np.asarray(np.sum(list(self.stems.values()), 0), np.float32)


def render_song(
    seed: int,
    seconds: float,
    *,
    split: str = "train",
    genre: str | None = None,
    cast: tuple[str, ...] | None = None,
    gentle: bool = False,
) -> Rendered:
    """Composes and renders a song of exactly `seconds` at 44.1 kHz; `gentle` mixes it to please, for a demo.

    Raises SoundSourceMissing when a soundfont or kit that the song wants is not installed.
    """
    rng = np.random.default_rng([seed, 0])
    genre = genre or _heavy_genre(seed, split)
    plan = write_plan(rng, seconds, genres.by_name(genre) if genre else None)
    cast = cast or choose_cast(rng, genres.by_name(plan.genre))
    studio = Studio(plan, split, round(seconds * RATE))
    room = build_room(rng, studio.samples)
    voiced = singers.sing_all(np.random.default_rng([seed, 99]), studio, cast)
    stems: dict[str, np.ndarray] = {}
    for index, stem in enumerate(STEMS):
        if stem in cast:
            own = np.random.default_rng([seed, index + 1])  # a change in one stem leaves the others alone
            parts = voiced[stem] if stem in voiced else PLAYERS[stem](own, studio)
            sound = _mix_stem(own, parts, stem, room, gentle=gentle)
            if sound is not None:
                stems[stem] = sound
    stems = _duck(rng, plan.genre, _balance(stems))
    target = rng.uniform(*genres.by_name(plan.genre).loudness_dbfs)
    stems = master(stems, loudness_dbfs=target, glue=float(rng.uniform(0, 1)) if rng.random() < 0.7 else 0.0)
    late = np.random.default_rng([seed, 98])
    is_coded = studio.varied and late.random() < CODEC_SHARE
    stems = codec.damage(late, stems) if is_coded else stems
    stems = {stem: sound for stem, sound in stems.items() if loudness_db(sound) > -60}
    speech = singers.speech_sources(split) if {"vocals", "backing_vocals"} & set(stems) else []
    return Rendered(stems, {
        "seed": seed, "seconds": seconds, "stems": list(stems), "genre": plan.genre, "bpm": round(plan.bpm, 2),
        "key": plan.key, "coded": is_coded, "sources": facts(studio.used) + speech, "recipe_version": RECIPE_VERSION,
    })  # fmt: skip


def _heavy_genre(seed: int, split: str) -> str | None:
    """Rock or metal, of which people have far more than the table of genres gives, for a share of what is learned."""
    own = np.random.default_rng([seed, 97])
    return str(own.choice(["rock", "metal"])) if split == "train" and own.random() < HEAVY_SHARE else None


PLAYERS = {
    "drums": players.drums, "bass": players.bass, "guitar": players.guitar, "keyboard": players.keyboard,
    "strings": players.strings,
    "brass": players.brass, "woodwinds": players.woodwinds, "percussion": players.percussion, "synth": players.synth,
    "fx": fx,
}  # fmt: skip


def _mix_stem(
    rng: np.random.Generator, parts: list[Part], stem: str, room: Room, *, gentle: bool = False
) -> np.ndarray | None:
    target, spread, send = LEVELS[stem]
    spread *= 0.3 if gentle else 1.0
    total = None
    for part in parts:
        if not np.isfinite(part.sound).all() or loudness_db(part.sound) < -75:
            continue
        sound = insert(rng, to_level(part.sound, -20), part.effects, gentle=gentle)
        sound = place(to_level(sound, -20 + part.level_db), part.pan, part.width)
        total = sound if total is None else total + sound
    if total is None:
        return None
    wet = send * float(rng.lognormal(0, 0.7))
    if wet > 0.01:
        reverberant = room.wet(total)
        total = total + reverberant * np.float32(wet * 10 ** ((loudness_db(total) - loudness_db(reverberant)) / 20))
    level = target + rng.normal(0, spread)
    return to_level(ground(rng, total) if stem == "bass" else total, level)


def _balance(stems: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Many accompanists each play softer, so that together they do not bury the voice, the drums and the bass."""
    others = [stem for stem in stems if stem not in ("vocals", "drums", "bass")]
    softer = np.float32(10 ** (-5 * np.log10(max(len(others), 3) / 3) / 20))
    return {stem: sound * softer if stem in others else sound for stem, sound in stems.items()}


def _duck(rng: np.random.Generator, genre: str, stems: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The pumping of electronic music: the drums press other stems down."""
    if "drums" not in stems or rng.random() > 0.1 + 0.6 * genres.by_name(genre).electronic:
        return stems
    key = to_level(stems["drums"], -14)
    settings = {"threshold_db": float(rng.uniform(-24, -14)), "ratio": float(rng.uniform(2, 8)), "attack_s": 0.002,
                "release_s": float(rng.uniform(0.06, 0.3))}  # fmt: skip
    ducked = {stem for stem in stems if stem in ("synth", "bass", "keyboard", "strings", "fx") and rng.random() < 0.8}
    return {stem: compress(x, key=key, **settings) if stem in ducked else x for stem, x in stems.items()}

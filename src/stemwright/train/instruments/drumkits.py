"""Which drums play: kits of soundfonts, of recordings and of our own, and kits put together from all of them."""

from collections.abc import Sequence

import numpy as np
import scipy.signal

from stemwright.train.composing.score import Note
from stemwright.train.instruments import drumsynth, kits, skins
from stemwright.train.instruments.sonivox import play_sonivox
from stemwright.train.instruments.soundfonts import DRUM_KITS
from stemwright.train.instruments.sources import usable
from stemwright.train.instruments.studio import Studio
from stemwright.train.mixing.desk import RATE, compress, loudness_db, saturate, to_level

# How often a kind of kit is heard; "own" are songs whose drums come from a kit each (never in test).
TRAINED = {"soundfont": 0.2, "kit": 0.28, "one shots": 0.12, "machine": 0.15, "skins": 0.19, "wavetable": 0.03,
           "raw kit": 0.03}  # fmt: skip
TESTED = {"soundfont": 0.35, "kit": 0.6, "machine": 0.05}
PERCUSSION = ("soundfont", "machine", "freepats", "one shots", "machine", "wavetable")
TESTED_PERCUSSION = ("soundfont", "soundfont", "percussion kit")
OWN_SHARE = 0.5
# The drums that one microphone or one machine would give, and how loud (dB) they sound beside the kick.
GROUPS: tuple[tuple[frozenset[int], float, float], ...] = (
    (frozenset((35, 36)), 0.0, 2.0), (frozenset((37, 38, 39, 40)), -0.5, 2.5), (frozenset((42, 44, 46)), -11.0, 3.5),
    (frozenset((41, 43, 45, 47, 48, 50)), -2.0, 3.0), (frozenset((49, 51, 52, 53, 55, 57, 59)), -9.0, 3.0),
)  # fmt: skip


def play_drum_kit(rng: np.random.Generator, studio: Studio, notes: Sequence[Note]) -> np.ndarray:
    """The drum part on one kit, on two at once, or on a kit whose drums come from many; float32 [samples, 2]."""
    if studio.varied:
        own = rng.random() < OWN_SHARE
        sound = _own_kit(rng, studio, notes) if own else _whole_kit(rng, studio, notes, TRAINED)
        return treat(rng, sound)
    return _whole_kit(rng, studio, notes, TESTED)


def _whole_kit(
    rng: np.random.Generator, studio: Studio, notes: Sequence[Note], engines: dict[str, float]
) -> np.ndarray:
    odds = np.array(list(engines.values()))
    layers = 1 if rng.random() < 0.85 else 2
    chosen = [str(name) for name in rng.choice(list(engines), layers, p=odds / odds.sum(), replace=False)]
    sounds = [_drums_by(rng, studio, notes, engine) for engine in chosen]
    levels = [10 ** ((-20 - 5 * i - loudness_db(s)) / 20) for i, s in enumerate(sounds)]
    scaled = np.stack([s * np.float32(level) for s, level in zip(sounds, levels, strict=True)])
    return np.asarray(scaled.sum(0), np.float32)


def _own_kit(rng: np.random.Generator, studio: Studio, notes: Sequence[Note]) -> np.ndarray:
    """Kick, snare, hats, toms and cymbals each from a kit of their own."""
    names, odds = list(TRAINED), np.array(list(TRAINED.values()))
    out = np.zeros((studio.samples, 2), np.float32)
    rest = [n for n in notes if not any(round(n.pitch) in keys for keys, _, _ in GROUPS)]
    for keys, level, spread in (*GROUPS, (frozenset(), -6.0, 3.0)):
        played = [n for n in notes if round(n.pitch) in keys] if keys else rest
        if played:
            sound = _drums_by(rng, studio, played, str(rng.choice(names, p=odds / odds.sum())))
            out += to_level(sound, -20 + level + rng.normal(0, spread))
    return out


def play_hand_percussion(rng: np.random.Generator, studio: Studio, notes: Sequence[Note]) -> np.ndarray:
    """One layer of percussion on a soundfont, a sampled kit, Freepats or our own skins and bars."""
    engine = str(rng.choice(PERCUSSION if studio.varied else TESTED_PERCUSSION))
    if engine == "freepats":
        source = usable(studio.split, "patches")[0]
        studio.used.add(source.name)
        return kits.play_kit(rng, kits.freepats_kit(source.file()), notes, studio.samples)
    return _drums_by(rng, studio, notes, engine)


def _drums_by(rng: np.random.Generator, studio: Studio, notes: Sequence[Note], engine: str) -> np.ndarray:
    if engine == "machine":
        return drumsynth.play_drums(rng, notes, studio.samples)
    if engine == "skins":
        return skins.play_skins(rng, notes, studio.samples)
    if engine == "soundfont":
        return studio.soundfont_part(rng, notes, int(rng.choice(DRUM_KITS)), drums=True)
    sources = usable(studio.split, engine)
    source = sources[int(rng.integers(len(sources)))]
    studio.used.add(source.name)
    folder = source.file()
    if engine == "wavetable":
        return play_sonivox(notes, studio.samples, 0, drums=True)
    kit = {"one shots": kits.one_shots, "raw kit": kits.raw_kit}.get(engine, kits.hydrogen_kit)(folder)
    return kits.play_kit(rng, kit, notes, studio.samples, detune=2.5 if studio.varied else 1.2)


def treat(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """What a mixer does to drums so that no two kits sound alike: attacks, squash, tape, old samplers, gate, bleed."""
    treatments = ((0.35, _transients), (0.2, _squash), (0.15, _tape), (0.12, _sampler), (0.1, _gate), (0.15, _bleed))
    for chance, effect in treatments:
        if rng.random() < chance:
            sound = to_level(effect(rng, sound), -20)
    return sound


def _envelope(sound: np.ndarray, seconds: float) -> np.ndarray:
    pole = float(np.exp(-1 / (seconds * RATE)))
    return np.asarray(scipy.signal.lfilter([1 - pole], [1, -pole], np.abs(sound).max(1)))


def _transients(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """Attacks sharpened or softened against what rings after them."""
    quick, slow = _envelope(sound, 0.003), _envelope(sound, float(rng.uniform(0.03, 0.12)))
    ratio = (quick + 1e-5) / (slow + 1e-5)
    return sound * np.clip(ratio ** rng.uniform(-0.5, 0.9), 0.2, 4).astype(np.float32)[:, None]


def _squash(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """Compression in parallel, hard."""
    ratio, attack, release = (float(x) for x in rng.uniform((6, 0.0005, 0.04), (20, 0.02, 0.2)))
    pressed = compress(sound, threshold_db=-36, ratio=ratio, attack_s=attack, release_s=release)
    return sound + np.float32(rng.uniform(0.5, 4)) * pressed


def _tape(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    return saturate(sound, float(rng.uniform(6, 26)), bias=float(rng.uniform(0, 0.2)))


def _sampler(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """An old sampler: few bits, and a rate whose images are heard."""
    step = float(rng.uniform(1.3, 3.2))
    held = sound[(np.floor(np.arange(len(sound)) / step) * step).astype(int)]
    top, bits = float(np.abs(held).max()) + 1e-9, float(rng.uniform(7, 12))
    return (np.round(held / top * 2**bits) / 2**bits * top).astype(np.float32)


def _gate(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    level = _envelope(sound, float(rng.uniform(0.005, 0.03)))
    threshold = np.quantile(level, rng.uniform(0.3, 0.7))
    return sound * np.minimum(1, (level / (threshold + 1e-9)) ** 2).astype(np.float32)[:, None]


def _bleed(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """The same drums in a microphone further off."""
    late = int(rng.uniform(0.0003, 0.012) * RATE)
    heard = np.zeros_like(sound)
    heard[late:] = sound[:-late, ::-1] if rng.random() < 0.5 else sound[:-late]
    return sound + np.float32(rng.uniform(0.2, 0.8) * rng.choice([-1, 1])) * heard

"""Sampled drums: Hydrogen's kits with their velocity layers, and kits put together from single recordings."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from stemwright.train.composing.score import Note
from stemwright.train.instruments.samples import RATE, add_resampled, read_sound

# What an instrument's name says it is; the first match counts. Keys are General MIDI's.
NAMES = (
    (r"roll|loop|beats_|redo|water", None),
    (r"kick|bass ?drum|thump|^bd_|sangban|djembe\d bass|kenkeni.*head hit|dununba.*head", 36),
    (r"stick|rim|click", 37), (r"clap|snap", 39), (r"tamb", 54), (r"cow", 56), (r"mara|shak|cabasa", 70),
    (r"bongo hi", 60),
    (r"bongo lo", 61), (r"conga.*1|djembe\d slap|cajon slap", 62), (r"conga|djembe\d tone", 63), (r"clave", 75),
    (r"block hi|agogo.*high", 76), (r"block|agogo", 77), (r"whist", 72), (r"snare|^sn_", 38),
    (r"(hat|hh|hi-hat).*(op|free|swish|semi)|open hh|side ohh|op dirty|op phaser|ohh|cymbal_open", 46),
    (r"(hat|hh|hi-hat).*(ped|pd|foot|choke)|pedal|cymbal_ped", 44),
    (r"hat|hh|hi-hat|cymbal_closed", 42), (r"bell|cup", 53), (r"ride", 51), (r"splash", 55), (r"china|chinese", 52),
    (r"crash|cymbal", 49), (r"tom.*(hi|1)|hi tom|high tom", 50), (r"tom.*(mid|2)|middle tom|mid tom", 47),
    (r"tom|^drum", 43),
)  # fmt: skip
INSTEAD = {35: (36,), 40: (38, 37), 39: (38,), 37: (39, 38), 44: (42, 46), 46: (42, 49), 42: (44, 46), 51: (53, 42,
    49), 53: (51, 49),
           57: (49, 52, 51), 49: (57, 52, 51, 46), 52: (49, 51), 55: (49, 51), 59: (51,), 41: (43, 47, 50, 36),
           43: (47, 50, 36), 45: (47, 43, 50, 36),
           47: (50, 43, 36), 48: (50, 47, 43, 36), 50: (47, 43, 38)}  # fmt: skip
TUNING = {41: -4, 43: -2, 45: 0, 47: 1, 48: 3, 50: 4}


@dataclass(frozen=True)
class Layer:
    """One recording and the hardest touch it is meant for (0-1)."""

    file: Path
    top: float


Kit = dict[int, tuple[tuple[Layer, ...], ...]]


@lru_cache(maxsize=40)
def hydrogen_kit(folder: Path) -> Kit:
    """A Hydrogen kit: for each General MIDI key its variants, each a row of layers from soft to loud."""
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", (folder / "drumkit.xml").read_text(errors="replace"))
    kit: dict[int, list[tuple[Layer, ...]]] = {}
    for instrument in ET.fromstring(text).iter("instrument"):  # noqa: S314  packaged files
        key = _key_of(instrument.findtext("name") or "")
        layers = [(layer.findtext("filename"), float(layer.findtext("max") or 1)) for layer in instrument.iter("layer")]
        layers = layers or [(instrument.findtext("filename"), 1.0)]
        found = tuple(
            sorted(
                (Layer(folder / name, top) for name, top in layers if name and (folder / name).exists()),
                key=lambda x: x.top,
            )
        )
        if key is not None and found:
            kit.setdefault(key, []).append(found)
    return {key: tuple(variants) for key, variants in kit.items()}


def _key_of(name: str) -> int | None:
    return next((key for pattern, key in NAMES if re.search(pattern, name.lower())), None)


# Recordings of the Sonic Pi package that its copyright file lists one by one as CC0. Its loops are left out, and all
# whose files the list does not name.
UNLISTED = ("mehackit", "sn_generic", "perc_impact", "perc_door", "perc_bell2", "perc_swoosh", "glitch_",
    "ambi_sauna", "loop_")  # fmt: skip


def listed(file: Path) -> bool:
    """Whether the copyright file of the Sonic Pi package names a recording as CC0."""
    return not any(name in file.name for name in UNLISTED)


ONE_SHOTS = {
    36: "bd_* drum_heavy_kick* drum_bass_* elec_soft_kick* elec_hollow_kick*",
    38: "sn_* drum_snare_* elec_snare* elec_*_snare*",
    39: "elec_filt_snare* sn_dub* perc_snap*", 37: "elec_tick* perc_till* drum_cowbell*",
    42: "drum_cymbal_closed* elec_cymbal*",
    44: "drum_cymbal_pedal*", 46: "drum_cymbal_open*", 49: "drum_cymbal_hard* drum_splash_hard*",
    51: "drum_cymbal_soft*",
    55: "drum_splash_soft*", 50: "drum_tom_hi_*", 47: "drum_tom_mid_*", 43: "drum_tom_lo_* elec_fuzz_tom*",
    54: "elec_triangle* perc_bell*", 56: "drum_cowbell* elec_ping*", 70: "perc_snap* elec_tick* elec_pop*",
    60: "tabla_te* tabla_tu*",
    61: "tabla_na* tabla_ke*", 62: "tabla_tas* tabla_dhec*", 63: "tabla_ghe*", 64: "tabla_ghe*",
    75: "elec_wood* elec_plip*", 76: "elec_wood* elec_bong*", 77: "elec_blip* elec_flip*",
}  # fmt: skip


@lru_cache(maxsize=4)
def one_shots(folder: Path) -> Kit:
    """The single recordings of the Sonic Pi package as a kit with many variants per key."""
    kit = {}
    for key, patterns in ONE_SHOTS.items():
        files = sorted({f for p in patterns.split() for f in folder.glob(f"{p}.flac") if listed(f)})
        kit[key] = tuple((Layer(f, 1.0),) for f in files)
    return {key: variants for key, variants in kit.items() if variants}


def freepats_kit(folder: Path) -> Kit:
    """Freepats has drums as patches, one per key; their first zone is played."""
    return {int(f.name[:3]): ((Layer(f, 1.0),),) for f in sorted((folder / "Drum_000").glob("*.pat"))}


RAW = {36: "bassdrum", 38: "snardrum", 42: "hihatcym", 49: "crashcym", 51: "ridecymb", 43: "tomlowdr", 47: "tommiddr",
       50: "tomhidrm", 54: "tambourn", 56: "cowbell1"}  # fmt: skip


def raw_kit(folder: Path) -> Kit:
    """The drums of the Synthesis ToolKit: bare 16-bit samples, big end first, 22.05 kHz."""
    files = {key: folder / f"{name}.raw" for key, name in RAW.items()}
    return {key: ((Layer(file, 1.0),),) for key, file in files.items() if file.exists()}


def play_kit(
    rng: np.random.Generator, kit: Kit, notes: Sequence[Note], samples: int, *, detune: float = 1.2
) -> np.ndarray:
    """General MIDI drum keys on a kit, float32 [samples, 2]; a key it lacks goes to the nearest it has.

    For the song the kit is tuned (by about `detune` semitones), damped and its drums placed anew; closing a
    hi-hat chokes the open one.
    """
    out = np.zeros((samples, 2), np.float32)
    chosen = {key: variants[rng.integers(len(variants))] for key, variants in sorted(kit.items())}
    tuning, damping = float(rng.normal(0, detune)), float(rng.choice([0.08, 0.2, 0.5, 6.0, 6.0, 6.0]))
    voices: dict[int, tuple[int, float, np.ndarray]] = {}
    hats = sorted(n.start_seconds for n in notes if round(n.pitch) in (42, 44, 46))
    for note in notes:
        key, begin = round(note.pitch), round(note.start_seconds * RATE)
        if begin >= samples:
            continue
        if key not in voices:
            voices[key] = _voice(rng, chosen, key, tuning)
        source, speed, gains = voices[key]
        layers = chosen[source]
        touch = min(1.0, max(0.0, note.velocity / 127 + rng.normal(0, 0.03)))
        layer = next((x for x in layers if touch <= x.top), layers[-1])
        length = int(damping * RATE) if key not in (49, 57, 51, 52, 55) else 6 * RATE
        if key == 46:
            closing = hats[min(int(np.searchsorted(hats, note.start_seconds + 0.02)), len(hats) - 1)]
            if closing > note.start_seconds:
                length = min(length, int((closing - note.start_seconds) * RATE))
        loud = np.float32((note.velocity / 110) ** (0.8 if len(layers) > 2 else 1.5))
        add_resampled(
            out, begin, _recording(layer.file), speed * (1 + rng.normal(0, 0.004)), gains * loud, length, 1200
        )
    return out


def _voice(
    rng: np.random.Generator, chosen: dict[int, tuple[Layer, ...]], key: int, tuning: float
) -> tuple[int, float, np.ndarray]:
    source = next((k for k in (key, *INSTEAD.get(key, ())) if k in chosen), None)
    if source is None:
        near = [k for k in chosen if (k >= 54) == (key >= 54)] or list(chosen)
        source = int(rng.choice(near))
    semitones = (
        tuning + float(rng.normal(0, 0.5)) + (TUNING.get(key, 0) - TUNING.get(source, 0) if source != key else 0)
    )
    pan = 0.0 if key <= 40 else float(rng.uniform(-0.5, 0.5))
    level = 1.0 / (float(np.abs(_recording(chosen[source][-1].file)).max()) + 1e-3)
    level *= {36: 0.9, 35: 0.9, 38: 0.85, 40: 0.85, 42: 0.35, 44: 0.3, 46: 0.4, 51: 0.4, 49: 0.5, 57: 0.5}.get(key, 0.6)
    gains = np.array([np.cos((pan + 1) * np.pi / 4), np.sin((pan + 1) * np.pi / 4)], np.float32) * np.float32(
        level * rng.lognormal(0, 0.2)
    )
    return source, float(2 ** (semitones / 12)), gains


def _recording(file: Path) -> np.ndarray:
    reader = {".pat": _patch_recording, ".raw": _raw_recording}.get(file.suffix, read_sound)
    return reader(file)


@lru_cache(maxsize=20)
def _raw_recording(file: Path) -> np.ndarray:
    mono = np.frombuffer(file.read_bytes(), ">i2").astype(np.float32) / 32768
    raised = np.interp(np.arange(2 * len(mono)) / 2, np.arange(len(mono)), mono)
    return np.repeat(raised[:, None], 2, 1).astype(np.float32)


@lru_cache(maxsize=100)
def _patch_recording(file: Path) -> np.ndarray:
    from stemwright.train.instruments.samples import read_patch

    zone = read_patch(file)[0]
    grid = np.arange(0, len(zone.sound) - 1, zone.rate / RATE)
    mono = np.interp(grid, np.arange(len(zone.sound)), zone.sound)
    return np.repeat(mono[:, None], 2, 1).astype(np.float32)

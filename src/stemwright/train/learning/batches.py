"""Draws training examples: which stems sound together, how loud, how equalised; all of it from seed and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from stemwright.engine.spectrum import Stft
from stemwright.errors import NothingTold
from stemwright.nets.bandsplit import STEMS
from stemwright.train.learning.songs import PARTS, RATE, SUMS, WHOLE, Samples, Song

AUDIBLE = 2e-3  # root mean square below which a stretch counts as silent
TRIES = 4
# A tape at another speed moves pitch and formants together, and gives every drum and string another body.
# Most examples are as they were recorded: with more of the others, real songs fell behind (decisions 0026 and 0036).
# What has no formants and few makers is played at another speed more often, where it meets strangers (decision 0038).
SPEED_OCTAVES, AS_RECORDED_SHARE = 4 / 12, 0.8
RESIZED, RESIZED_AS_RECORDED_SHARE = ("drums", "percussion", "bass"), 0.5
DRIVEN_SHARE = 0.1
# Composed songs are wide, those that people have are mono and narrow as well (decision 0050).
NARROW_SHARE, MONO_SHARE, FAINTEST_SIDE_DB = 0.25, 0.4, 30.0
# Composed voices stand in the middle to a hundredth, those that people have do not (decision 0052).
MOVED_SHARE, FARTHEST = 0.3, 0.5
# How often a stem is in a mix made of stems of many songs: about as often as in music, the rare ones lifted.
REMIX_SHARE = {
    "vocals": 0.7, "backing_vocals": 0.4, "drums": 0.75, "bass": 0.75, "guitar": 0.5, "keyboard": 0.5,
    "strings": 0.38, "brass": 0.35, "woodwinds": 0.35, "percussion": 0.38, "synth": 0.42, "fx": 0.3,
}  # fmt: skip
# Recordings of which only the accompaniment is known: how many of the mixes have voices before one, or none.
ACCOMPANIED_SHARE = 0.2
Generator = np.random.Generator
Sounding = dict[str, tuple[Samples, tuple[int, ...]]]
"""Samples [2, n] by part, each with the stems that it may hold untold."""


@dataclass(frozen=True)
class Part:
    """One stem of an example, or a sum of some: samples [2, n] and the gain of every STFT bin.

    `stem` is its place in PARTS, `untold` are the stems that a sum may hold: of these nothing is known by themselves.
    """

    stem: int
    samples: Samples
    gains: NDArray[np.float32]
    untold: tuple[int, ...] = ()


@dataclass(frozen=True)
class Example:
    """The stems of one mix, and the gain that a bus compressor gives to every frame of it."""

    parts: tuple[Part, ...]
    frame_gains: NDArray[np.float32]


@dataclass(frozen=True)
class Sizes:
    """Shape of a batch; a frame starts every `hop` samples and none reaches beyond the example."""

    batch: int
    frames: int
    n_fft: int = 4096
    hop: int = 2048

    @property
    def samples(self) -> int:
        """Length of an example in samples."""
        return (self.frames - 1) * self.hop + self.n_fft


class Drawer:
    """Draws the examples of any step from a list of songs; raises NothingTold where all are accompaniments."""

    def __init__(self, songs: Sequence[Song], sizes: Sizes) -> None:
        self.songs, self.sizes = list(songs), sizes
        self.having = {stem: [song for song in songs if song.part_for(stem)] for stem in STEMS}
        self.accompaniments = [song for song in songs if WHOLE in song.stems]
        self.had = [stem for stem, having in self.having.items() if having]
        if not self.had:
            raise NothingTold(folder=songs[0].folder.parent)
        weights = np.array([sum(1 / len(self.having[s]) for s in self.had if song.part_for(s)) for song in songs])
        self.chances = weights / weights.sum()

    def batch(self, seed: int, step: int) -> list[Example]:
        """The examples of a step."""
        return [self.example(np.random.default_rng((seed, step, i))) for i in range(self.sizes.batch)]

    def example(self, rng: Generator) -> Example:
        """One example: a song as it is, a song with strangers, stems of many songs, or one or two stems alone."""
        kind = rng.choice(4, p=(0.42, 0.12, 0.34, 0.12))
        if self.accompaniments and rng.random() < ACCOMPANIED_SHARE:
            kind = 4
        for _ in range(TRIES):
            stems = self._stems(rng, kind)
            if stems:
                return self._augmented(rng, stems, coherent=kind == 0)
        usual = [stem for stem in ("drums", "vocals") if stem in self.had] or self.had[:2]
        return self._augmented(rng, self._solos(rng, usual), coherent=False)

    def _stems(self, rng: Generator, kind: int) -> Sounding:
        if kind == 2:
            return self._remix(rng, [stem for stem in STEMS if rng.random() < REMIX_SHARE[stem]])
        if kind == 3:
            return self._remix(
                rng, list(rng.choice(self.had, min(len(self.had), int(rng.integers(1, 3))), replace=False))
            )
        if kind == 4:
            return self._accompanied(rng)
        stems = self._song(rng)
        if kind == 1 and stems:
            others = [stem for stem in STEMS if stem not in stems]
            kept = [stem for stem in stems if rng.random() < 0.75]
            added = rng.choice(others, min(len(others), int(rng.integers(1, 4))), replace=False)
            stems = {stem: stems[stem] for stem in kept} | self._remix(rng, list(added))
        return stems

    def _song(self, rng: Generator) -> Sounding:
        song = self.songs[rng.choice(len(self.songs), p=self.chances)]
        start = int(rng.integers(max(1, song.samples - self.sizes.samples)))
        kept = [stem for stem in song.stems if rng.random() > 0.08]
        speed = _speed(rng, AS_RECORDED_SHARE)
        stems = {part: song.stretch(part, start, self.sizes.samples, speed=speed) for part in kept}
        return {part: (samples, untold(song, part)) for part, samples in stems.items() if _audible(samples)}

    def _accompanied(self, rng: Generator) -> Sounding:
        song = self.accompaniments[rng.integers(len(self.accompaniments))]
        samples = self._anywhere(rng, song, WHOLE, AS_RECORDED_SHARE)
        voices = self._remix(rng, [stem for stem in SUMS["all_vocals"] if rng.random() < REMIX_SHARE[stem]])
        return voices | ({WHOLE: (samples, untold(song, WHOLE))} if _audible(samples) else {})

    def _remix(self, rng: Generator, wanted: list[str]) -> Sounding:
        return {part: found for part, found in self._solos(rng, wanted).items() if _audible(found[0])}

    def _solos(self, rng: Generator, wanted: list[str]) -> Sounding:
        found = [self._solo(rng, stem) for stem in wanted if stem in self.had]
        return {part: (samples, untold(song, part)) for song, part, samples in found}

    def _solo(self, rng: Generator, stem: str) -> tuple[Song, str, Samples]:
        """A stretch where the stem sounds, if a few tries find one, with the song and the part that it is of."""
        found = self._drawn(rng, stem)
        for _ in range(TRIES - 1):
            if _audible(found[2]):
                break
            found = self._drawn(rng, stem)
        return found

    def _drawn(self, rng: Generator, stem: str) -> tuple[Song, str, Samples]:
        song = self.having[stem][rng.integers(len(self.having[stem]))]
        part = song.part_for(stem) or stem
        as_recorded = RESIZED_AS_RECORDED_SHARE if stem in RESIZED else AS_RECORDED_SHARE
        return song, part, self._anywhere(rng, song, part, as_recorded)

    def _anywhere(self, rng: Generator, song: Song, part: str, as_recorded: float) -> Samples:
        length = self.sizes.samples
        start = int(rng.integers(max(1, song.samples - length)))
        return song.stretch(part, start, length, speed=_speed(rng, as_recorded))

    def _augmented(self, rng: Generator, stems: Sounding, *, coherent: bool) -> Example:
        spread_db = 2.5 if coherent else 4.0
        whole, side = _mastering(rng, self.sizes.n_fft), _side(rng)
        spread = rng.uniform(0, FARTHEST) if rng.random() < MOVED_SHARE else 0.0
        parts = []
        for part, (samples, untold_stems) in stems.items():
            turned = _narrowed(samples[::-1] if rng.random() < 0.4 else samples, side)
            if spread:
                turned = _moved(turned, float(rng.normal(0, spread)))
            if rng.random() < DRIVEN_SHARE:
                turned = _driven(rng, turned)
            gain = 10 ** (rng.normal(0, spread_db) / 20) * (1 if rng.random() < 0.5 else -1)
            # Strangers come at any level: bring them to a common one before their own gain.
            level = 1.0 if coherent else 0.08 / max(float(np.sqrt(np.mean(samples**2))), 1e-3)
            curve = smooth_curve(rng, self.sizes.n_fft, 2.5) if rng.random() < 0.6 else 1.0
            gains = (whole * curve * gain * level).astype(np.float32)
            parts.append(Part(PARTS.index(part), turned, gains, untold_stems))
        return Example(tuple(parts), self._compression(rng, stems))

    def _compression(self, rng: Generator, stems: Sounding) -> NDArray[np.float32]:
        """Gain per frame of a bus compressor that follows the mix (the masks that separate it stay the same)."""
        frames, hop = self.sizes.frames, self.sizes.hop
        if rng.random() > 0.35:
            return np.ones(frames, np.float32)
        mono = sum(samples.sum(0) for samples, _ in stems.values())
        assert isinstance(mono, np.ndarray)
        steps = mono[: mono.size // hop * hop].reshape(-1, hop)
        level_db = 10 * np.log10(np.mean(steps**2, -1) + 1e-8)[:frames]
        over_db = np.maximum(level_db - np.quantile(level_db, rng.uniform(0.2, 0.8)), 0)
        gain_db = -over_db * (1 - 1 / rng.uniform(1.5, 6))
        smooth = np.convolve(np.pad(gain_db, 4, mode="edge"), np.full(9, 1 / 9), mode="valid")
        return 10 ** (np.pad(smooth, (0, frames - smooth.size), mode="edge") / 20).astype(np.float32)


def untold(song: Song, part: str) -> tuple[int, ...]:
    """The places in STEMS of what a part of a song may hold untold."""
    return tuple(STEMS.index(stem) for stem in song.untold(part))


def smooth_curve(rng: Generator, n_fft: int, spread_db: float) -> NDArray[np.float64]:
    """Gain [bins] through three random points of a smooth equaliser."""
    hertz = np.maximum(np.arange(n_fft // 2 + 1) * RATE / n_fft, 30)
    knots = np.sort(rng.uniform(np.log(60), np.log(18000), 3))
    return 10 ** (np.interp(np.log(hertz), knots, rng.normal(0, spread_db, 3)) / 20)


def _speed(rng: Generator, as_recorded: float) -> float:
    """How fast a recording is played: as it is, or up to SPEED_OCTAVES up or down."""
    return 1.0 if rng.random() < as_recorded else float(2 ** rng.uniform(-SPEED_OCTAVES, SPEED_OCTAVES))


def _side(rng: Generator) -> float:
    """How loud the side of a mix is left: as it is, fainter, or not at all."""
    if rng.random() >= NARROW_SHARE:
        return 1.0
    return 0.0 if rng.random() < MONO_SHARE else float(10 ** (-rng.uniform(0, FAINTEST_SIDE_DB) / 20))


def _narrowed(samples: Samples, side: float) -> Samples:
    """The samples [2, n] with their side, half of what the channels differ by, at `side` of its level."""
    if side == 1.0:
        return samples
    middle = samples.mean(axis=0, keepdims=True)
    return (middle + np.float32(side) * (samples - middle)).astype(np.float32)


def _moved(samples: Samples, place: float) -> Samples:
    """The samples [2, n] with their channels at other levels: at 0 as they were, at −1 and 1 one of them alone."""
    place = np.clip(place, -0.99, 0.99)
    return samples * np.sqrt(np.array([[1 - place], [1 + place]], np.float32))


def _driven(rng: Generator, samples: Samples) -> Samples:
    """The samples through a soft clipper, from a touch of tape to an overdriven amplifier, at the level they had."""
    level = max(float(np.sqrt(np.mean(samples**2))), AUDIBLE)
    drive = np.float32(rng.uniform(0.3, 1.2) / level)
    bent = samples * drive / (1 + np.abs(samples * drive))
    return (bent * np.float32(level / max(float(np.sqrt(np.mean(bent**2))), 1e-4))).astype(np.float32)


def _mastering(rng: Generator, n_fft: int) -> NDArray[np.float64]:
    """What happens to a whole mix: an equaliser, and the low-pass of a lossy codec."""
    gains = smooth_curve(rng, n_fft, 2.0) if rng.random() < 0.4 else np.ones(n_fft // 2 + 1)
    if rng.random() < 0.2:
        gains[int(rng.uniform(11000, 19000) * n_fft / RATE) :] *= 1e-3
    return gains


def _audible(samples: Samples) -> bool:
    return float(np.mean(samples[:, ::4] ** 2)) > AUDIBLE**2


def spectra(parts: Sequence[Part], sizes: Sizes) -> NDArray[np.complex64]:
    """Uncentred spectra [parts, 2, frames, bins] before their gains; sine window."""
    window = Stft(sizes.n_fft, sizes.hop, "sine").window
    stacked = np.stack([part.samples for part in parts])
    frames = np.lib.stride_tricks.sliding_window_view(stacked, sizes.n_fft, axis=-1)[:, :, :: sizes.hop]
    return np.asarray(scipy.fft.rfft(frames[:, :, : sizes.frames] * window), np.complex64)

"""A voice from first principles: glottal flow, a tract of moving formants, and the noises of consonants."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numba
import numpy as np
import scipy.ndimage

from stemwright.train.singing.contour import FRAME_SECONDS, UNSUNG, Contour
from stemwright.train.singing.vocoder import BAND_HZ, BANDS, Frames

# First three formants of an adult male tract, Hz (averages of Peterson and Barney 1952, and of the cardinal vowels).
VOWELS = {
    "a": (760, 1180, 2520), "A": (680, 1720, 2430), "e": (500, 1850, 2520), "E": (560, 1780, 2480),
    "i": (290, 2260, 2950), "I": (400, 1980, 2560), "o": (460, 820, 2480), "O": (580, 880, 2450),
    "u": (310, 820, 2280), "U": (440, 1020, 2250), "@": (500, 1450, 2450), "y": (290, 1750, 2250),
    "3": (480, 1350, 1700),
}  # fmt: skip
DIPHTHONGS = (("a", "I"), ("e", "I"), ("o", "U"), ("a", "U"), ("O", "I"), ("E", "@"))


class Phone(NamedTuple):
    """A consonant: where the tract points, its hiss, and how long each part lasts (seconds)."""

    formants: tuple[int, int, int]
    voice: float = 0.0  # voicing while it lasts
    hiss: float = 0.0  # level of the frication, 1 = as loud as a strong /s/
    hiss_hz: float = 6000.0
    slope: float = 3.0  # steepness of the hiss below its peak, in powers of frequency
    closure: float = 0.0  # seconds of closure before a burst
    seconds: float = 0.08
    breath: float = 0.0  # aspiration after a burst, or of /h/


CONSONANTS = {
    "s": Phone((320, 1700, 2600), 0, 1.0, 6800, 4.0, 0, 0.11),
    "z": Phone((300, 1700, 2600), 0.5, 0.6, 6500, 4.0, 0, 0.08),
    "S": Phone((320, 1900, 2400), 0, 0.9, 3300, 4.0, 0, 0.11),
    "f": Phone((300, 1100, 2300), 0, 0.22, 7500, 0.7, 0, 0.09),
    "v": Phone((280, 1100, 2300), 0.6, 0.12, 6500, 0.8, 0, 0.06),
    "T": Phone((320, 1400, 2500), 0, 0.25, 8500, 1.0, 0, 0.08),
    "h": Phone((550, 1500, 2500), 0, 0, 2500, 1.0, 0, 0.07, 1.0),
    "x": Phone((450, 1300, 2300), 0, 0.35, 1700, 2.0, 0, 0.09, 0.4),
    "p": Phone((300, 800, 2200), 0, 0.35, 1200, 0.6, 0.05, 0.012, 0.8),
    "t": Phone((320, 1700, 2600), 0, 0.8, 5200, 2.0, 0.05, 0.018, 0.8),
    "k": Phone((300, 1600, 2200), 0, 0.6, 2100, 2.0, 0.05, 0.022, 0.8),
    "b": Phone((250, 800, 2200), 0.25, 0.25, 900, 0.6, 0.04, 0.008),
    "d": Phone((270, 1700, 2600), 0.25, 0.45, 4200, 2.0, 0.04, 0.010),
    "g": Phone((260, 1600, 2200), 0.25, 0.4, 1900, 2.0, 0.04, 0.014),
    "C": Phone((320, 1900, 2500), 0, 0.9, 3800, 3.5, 0.04, 0.06),
    "m": Phone((250, 950, 2200), 0.35, 0, 1000, 1.0, 0, 0.07),
    "n": Phone((260, 1450, 2400), 0.35, 0, 1000, 1.0, 0, 0.06),
    "l": Phone((340, 1150, 2700), 0.6, 0, 1000, 1.0, 0, 0.06),
    "r": Phone((380, 1150, 1600), 0.6, 0, 1000, 1.0, 0, 0.06),
    "w": Phone((300, 680, 2200), 0.7, 0, 1000, 1.0, 0, 0.06),
    "j": Phone((280, 2150, 2900), 0.7, 0, 1000, 1.0, 0, 0.06),
}
_CLUSTERS = (("s", "t"), ("s", "p"), ("s", "l"), ("t", "r"), ("b", "l"), ("k", "r"), ("f", "l"), ("g", "r"), ("s", "n"))
_F1, _F2, _F3, _VOICE, _BREATH, _HISS, _HISS_HZ, _SLOPE = range(8)


@dataclass(frozen=True)
class Body:
    """What does not change while one singer sings."""

    scale: float = 1.0  # of all formants: 1 man, 1.15 woman, 1.3 child
    effort: float = 0.5  # 0 soft and flute-like, 1 pressed
    breath: float = 0.06
    ring_db: float = 8.0  # the singer's formant
    ring_hz: float = 2900.0
    hiss_scale: float = 1.0
    hiss_gain: float = 1.0
    width: float = 1.0  # of the formants' bandwidths
    consonants: bool = True
    vowels: tuple[str, ...] = ()


class Syllable(NamedTuple):
    """Consonants before the beat, vowels of the note, consonants at its end."""

    onset: tuple[str, ...]
    vowels: tuple[str, ...]
    coda: tuple[str, ...]


def random_words(
    rng: np.random.Generator, count: int, vowels: Sequence[str] = (), *, bare: bool = False
) -> list[Syllable]:
    """Syllables of no language, as many as there are notes; bare ones have no consonants but a rare soft onset."""
    pool = list(vowels) or list(VOWELS)
    names = list(CONSONANTS)
    stock: list[Syllable] = []
    for _ in range(int(rng.integers(6, 24))):
        kind = rng.random()
        cluster = _CLUSTERS[rng.integers(len(_CLUSTERS))] if kind < 0.24 else (str(rng.choice(names)),)
        onset = () if kind < 0.12 else cluster
        glides = not vowels and rng.random() < 0.3
        nucleus = DIPHTHONGS[rng.integers(len(DIPHTHONGS))] if glides else (str(rng.choice(pool)),)
        coda = () if rng.random() < 0.5 else (str(rng.choice(list("sztnmldkSvfT"))),)
        stock.append(Syllable(tuple(onset), tuple(nucleus), coda))
    if bare:
        stock = [Syllable(("h",) if rng.random() < 0.2 else (), (pool[i % len(pool)],), ()) for i in range(len(pool))]
    return [stock[i] for i in rng.integers(len(stock), size=count)]


def _lay_vowels(track: np.ndarray, first: int, last: int, syllable: Syllable) -> None:
    turn = first + int((last - first) * 0.6)
    for vowel, a, b in zip(syllable.vowels, (first, turn), (turn, last), strict=False):
        track[a:b, :3] = VOWELS[vowel]
    if len(syllable.vowels) == 1:
        track[turn:last, :3] = VOWELS[syllable.vowels[0]]
    track[first:last, _VOICE] = 1
    track[first:last, _HISS] = 0
    track[first:last, _BREATH] = 0


def _lay_consonant(track: np.ndarray, first: int, last: int, phone: Phone) -> None:
    """A consonant over frames first to last: closure, then its noise, then aspiration."""
    first = max(first, 0)
    if last <= first:
        return
    shut = first + int((last - first) * 0.6) if phone.closure else first
    burst = min(shut + max(round(phone.seconds / FRAME_SECONDS), 2), last)
    track[first:last, :3] = phone.formants
    track[first:last, _VOICE] = phone.voice
    track[first:last, _HISS] = 0
    track[first:last, _BREATH] = 0
    track[shut:burst, _HISS] = phone.hiss
    track[first:last, _HISS_HZ] = phone.hiss_hz
    track[first:last, _SLOPE] = phone.slope
    track[(burst if phone.closure else first) : last, _BREATH] = phone.breath


def _length(phone: Phone) -> int:
    tail = 0.03 * phone.breath if phone.closure else 0
    return max(round((phone.closure + phone.seconds + tail) / FRAME_SECONDS), 3)


def _score_tracks(contour: Contour, words: Sequence[Syllable], rng: np.random.Generator) -> np.ndarray:
    """Articulation targets [n, 8], still in steps."""
    n = len(contour.note)
    track = np.zeros((n, 8))
    track[:, :3], track[:, _HISS_HZ], track[:, _SLOPE] = VOWELS["@"], 6000, 3
    edges = np.nonzero(np.diff(np.r_[UNSUNG, contour.note, UNSUNG]))[0]
    spans = [(int(a), int(b)) for a, b in pairwise(edges) if contour.note[a] != UNSUNG]
    for a, b in spans:
        _lay_vowels(track, a, b, words[contour.note[a] % len(words)])
    for a, b in spans:
        word = words[contour.note[a] % len(words)]
        at = a + 2
        for name in reversed(word.onset):
            span = min(int(_length(CONSONANTS[name]) * rng.uniform(0.7, 1.3)), 40)
            _lay_consonant(track, at - span, at, CONSONANTS[name])
            at -= span
        for name in word.coda:
            span = min(_length(CONSONANTS[name]), (b - a) // 3)
            _lay_consonant(track, b - span, b, CONSONANTS[name])
    return track


@numba.njit(cache=True, fastmath=True)
def _spectra(track: np.ndarray, hz: np.ndarray, band_hz: np.ndarray, body: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Amplitude of the voiced and of the noisy part [n, bands]."""
    scale, effort, breath, ring, ring_hz, hiss_scale, hiss_gain, width = body
    n, bands = len(track), len(band_hz)
    voiced, noisy = np.zeros((n, bands), np.float32), np.zeros((n, bands), np.float32)
    closing = 500.0 * 12.0**effort  # above it the flow's spectrum falls by another 6 dB per octave
    upper = np.ones(bands, np.float32)
    for b in range(bands):
        f = band_hz[b]
        power = 1.0
        for k in range(4, 20):  # poles that hardly move, up to the top of hearing
            centre = (3500.0 + 1050.0 * (k - 4)) * scale
            r = f / centre
            wide = (0.05 + 0.012 * (k - 4)) * width
            power *= 1.0 / ((1 - r * r) ** 2 + wide * wide * r * r)
        bump = 1 + (ring - 1) * np.exp(-(((f - ring_hz) / 500.0) ** 2))
        upper[b] = min(np.sqrt(power), 1e3) * bump / (1 + (f / 15000.0) ** 4) ** 0.5
    for i in range(n):
        voice, air, hiss = track[i, 3], track[i, 4], track[i, 5]
        if voice + air + hiss < 1e-3:
            continue
        glottal = 0.9 * hz[i] * (0.8 + 0.5 * effort)
        for b in range(bands):
            f = band_hz[b]
            tract = upper[b]
            for k in range(3):
                centre = max(track[i, k] * scale, hz[i] * 1.02 if k == 0 else 0.0)  # singers open up with the pitch
                r = f / centre
                wide = (45.0 + 0.055 * centre) * width / centre
                tract /= np.sqrt((1 - r * r) ** 2 + wide * wide * r * r)
            g = f / glottal
            flow = g / np.sqrt((1 - g * g) ** 2 + (0.9 * g) ** 2) / np.sqrt(1 + (f / closing) ** 2)
            voiced[i, b] = voice * flow * tract
            rough = 0.016 * tract * (f / (f + 1200.0))
            noisy[i, b] = rough * (breath * 8 * voice + air)
            if hiss > 0:
                peak = track[i, 6] * hiss_scale
                r = f / peak
                shape = r ** track[i, 7] / (0.6 + 0.4 * r ** (track[i, 7] + 1.6))
                noisy[i, b] += 0.55 * hiss_gain * hiss * shape
    return voiced, noisy


def articulate(rng: np.random.Generator, contour: Contour, words: Sequence[Syllable], body: Body) -> Frames:
    """Sing words, one per note, along a contour."""
    track = _score_tracks(contour, words, rng)
    track[:, :3] = scipy.ndimage.gaussian_filter1d(track[:, :3], 4.0, axis=0)
    track[:, 3:6] = scipy.ndimage.gaussian_filter1d(track[:, 3:6], 2.2, axis=0)
    sounding = scipy.ndimage.maximum_filter1d(contour.loudness, 61)
    track[:, 3:6] *= np.maximum(contour.loudness, 0.75 * sounding * (contour.note == UNSUNG))[:, None]
    hz = 440 * 2 ** ((contour.pitch - 69) / 12)
    ring = 10 ** (body.ring_db / 20)
    knobs = (body.scale, body.effort, body.breath, ring, body.ring_hz, body.hiss_scale, body.hiss_gain, body.width)
    voiced, noisy = _spectra(track, hz, BAND_HZ.astype(np.float64), knobs)
    total = np.sqrt(voiced**2 + noisy**2) + 1e-7
    assert total.shape[1] == BANDS
    return Frames(contour.pitch, (track[:, _VOICE] > 1e-3) * 1.0, np.log(total), noisy / total)

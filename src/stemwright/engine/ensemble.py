"""Several separators of whole songs as one: their answers to the same song averaged, or weighed against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.blocks import PIECE, even
from stemwright.audio.signal import Samples
from stemwright.engine.chunks import over_time
from stemwright.engine.consistency import sum_to_mix
from stemwright.engine.spectrum import Spectrum, Stft
from stemwright.engine.spool import Spool
from stemwright.engine.whole import Delayed, Node, Room, Stems, together

BLENDS = ("mean", "median", "min", "max")
Places = NDArray[np.intp]
Weights = Mapping[str, float]
"""How much a member's word counts for each stem; 1 where nothing is said."""


@dataclass(frozen=True)
class Voice:
    """A member of an ensemble; it has a say on those stems that it gives."""

    node: Node
    weights: Weights


class Ensemble:
    """Members over the same song, each at its own rate and segment; a stem is blended from all that give it.

    "mean" is weighted, "median" is taken sample by sample, "min" and "max" by magnitude in every bin of a spectrum.
    What the blend left over of the song goes back to the stems, as everywhere.
    """

    def __init__(self, voices: Sequence[Voice], stems: Sequence[str], *, how: str = "mean") -> None:
        self._voices, self.stems, self._how = voices, tuple(stems), how
        self.passes = sum(voice.node.passes for voice in voices)

    def __call__(self, song: Spool, room: Room) -> Stems:
        heard = [voice.node(song, room) for voice in self._voices]
        said = {name: [found[name] for found in heard if name in found] for name in self.stems}
        blended = zip(*(self._blended(name, spools) for name, spools in said.items()), strict=True)
        consistent = (sum_to_mix(np.stack(stems), mix) for mix, stems in zip(even(song.blocks()), blended, strict=True))
        stems = room.kept(self.stems, consistent)
        room.free(*(spool for found in heard for spool in found.values()))
        return stems

    def _blended(self, name: str, spools: Sequence[Spool]) -> Iterator[Samples]:
        """One stem as all members that give it have it → blocks [2, n]."""
        answers = together(spools)
        if self._how in ("min", "max") and len(spools) > 1:
            return even(_by_magnitude(answers, len(spools), _PICKS[self._how]))
        if self._how == "median":
            return (np.median(block, axis=0).astype(np.float32) for block in answers)
        shares = np.array([v.weights.get(name, 1.0) for v in self._voices if name in v.node.stems], np.float32)
        shares /= shares.sum()
        return (np.tensordot(shares, block, 1) for block in answers)


def shifted(node: Node, count: int, *, seconds: float = 0.5) -> Node:
    """The mean over a node's answers to the song moved by `count` delays within `seconds`, itself among them.

    What depends on how the song was cut into segments averages out (Demucs' shift trick, at even steps, not at random).
    """
    late = [Voice(Delayed(node, seconds * step / count), {}) for step in range(1, count)]
    return Ensemble([Voice(node, {}), *late], node.stems) if late else node


_PICKS: dict[str, Callable[[Samples], Places]] = {
    "min": lambda magnitudes: np.argmin(magnitudes, axis=0, keepdims=True),
    "max": lambda magnitudes: np.argmax(magnitudes, axis=0, keepdims=True),
}


def _by_magnitude(answers: Iterable[Samples], members: int, pick: Callable[[Samples], Places]) -> Iterator[Samples]:
    """Answers [members, 2, n] → in every bin that of the member which `pick` chooses from the magnitudes [2, n]."""
    side_by_side = (block.reshape(members * 2, -1) for block in answers)
    for block in over_time(_Picker(members, pick), side_by_side):
        yield block[0]


class _Picker:
    """A separator of `members` songs side by side, whose one stem is put together from their spectra."""

    rate, stems, segment, hop = 44100, ("picked",), PIECE, PIECE // 2

    def __init__(self, members: int, pick: Callable[[Samples], Places]) -> None:
        self._members, self._pick = members, pick
        self._stft = Stft(2048, 512)
        self._weight = 1 / self._stft.weight(self._stft.frames(self.segment))

    def __call__(self, mix: Samples) -> Samples:
        """[batch, 2 · members, segment] → [batch, 1, 2, segment]."""
        spectra = self._stft.forward(mix.reshape(len(mix), self._members, 2, -1)).swapaxes(0, 1)
        picked = np.take_along_axis(spectra, self._pick(np.abs(spectra)), axis=0)[0]
        return self._audio(picked)[:, None]

    def _audio(self, spectra: Spectrum) -> Samples:
        stft, frames = self._stft, spectra.shape[-2]
        audio = np.empty((*spectra.shape[:2], self.segment), np.float32)
        for at in np.ndindex(*spectra.shape[:2]):
            windowed = stft.inverse(spectra[at], np.empty((frames, stft.n_fft), np.float32))
            whole = stft.added(np.zeros(stft.span(frames), np.float32), windowed, 0)
            audio[at] = stft.trimmed(whole) * self._weight
        return audio

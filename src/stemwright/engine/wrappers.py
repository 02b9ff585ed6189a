"""Separators made of separators: grouped, averaged, shifted in time, one after another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stemwright.audio.signal import Samples
from stemwright.engine.separator import Grouping, Groups, Separator


def grouped(separator: Separator, groups: Groups) -> Separator:
    """A separator whose stems are sums of another's; masks are added before the inverse STFT where there are masks."""
    if list(groups.items()) == [(name, (name,)) for name in separator.stems]:
        return separator
    return separator.grouped(groups) if isinstance(separator, Grouping) else Grouped(separator, groups)


class _Sized:
    """Takes its sizes from another separator."""

    def __init__(self, like: Separator, stems: tuple[str, ...]) -> None:
        self.rate, self.segment, self.hop = like.rate, like.segment, like.hop
        self.stems = stems


class Grouped(_Sized):
    """Sums of a separator's stems, in the order of `groups`."""

    def __init__(self, separator: Separator, groups: Groups) -> None:
        super().__init__(separator, tuple(groups))
        self._separator = separator
        self._members = [[separator.stems.index(name) for name in names] for names in groups.values()]

    def __call__(self, mix: Samples) -> Samples:
        """Mix [batch, 2, segment] → sums [batch, groups, 2, segment]."""
        stems = self._separator(mix)
        return np.stack([stems[:, members].sum(axis=1) for members in self._members], axis=1)


class Ensemble(_Sized):
    """The weighted mean of separators of the same sizes and stems."""

    def __init__(self, separators: Sequence[Separator], weights: Sequence[float] | None = None) -> None:
        first = separators[0]
        super().__init__(first, first.stems)
        _same_sizes(separators)
        shares = np.asarray(weights or [1.0] * len(separators), np.float32)
        self._members = list(zip(separators, shares / shares.sum(), strict=True))

    def __call__(self, mix: Samples) -> Samples:
        """Mix [batch, 2, segment] → mean stems [batch, stems, 2, segment]."""
        answers = np.stack([separator(mix) * share for separator, share in self._members])
        return answers.sum(axis=0, dtype=np.float32)


class Shifted(_Sized):
    """The mean over a net's answers to the mix moved by `offsets` samples: what depends on framing averages out."""

    def __init__(self, separator: Separator, offsets: Sequence[int]) -> None:
        super().__init__(separator, separator.stems)
        self._separator = separator
        self._offsets = tuple(offsets)
        self.segment = separator.segment - max(offsets)
        self.hop = min(separator.hop, self.segment)

    def __call__(self, mix: Samples) -> Samples:
        """Mix [batch, 2, segment] → mean stems [batch, stems, 2, segment]."""
        room = self._separator.segment - self.segment
        answers = []
        for offset in self._offsets:
            moved = np.pad(mix, ((0, 0), (0, 0), (offset, room - offset)))
            answers.append(self._separator(moved)[..., offset : offset + self.segment])
        return np.stack(answers).mean(axis=0, dtype=np.float32)


class Cascade(_Sized):
    """A separator whose stem `stem` is taken apart further by a second one."""

    def __init__(self, first: Separator, stem: str, second: Separator) -> None:
        kept = tuple(name for name in first.stems if name != stem)
        super().__init__(first, kept + second.stems)
        _same_sizes([first, second], stems=False)
        self._first, self._second = first, second
        self._place = first.stems.index(stem)

    def __call__(self, mix: Samples) -> Samples:
        """Mix [batch, 2, segment] → stems [batch, the first's others + the second's, 2, segment]."""
        stems = self._first(mix)
        finer = self._second(np.ascontiguousarray(stems[:, self._place]))
        return np.concatenate([np.delete(stems, self._place, axis=1), finer], axis=1)


def _same_sizes(separators: Sequence[Separator], *, stems: bool = True) -> None:
    sizes = {(s.rate, s.segment, s.hop, s.stems if stems else ()) for s in separators}
    if len(sizes) > 1:
        msg = f"separators of different sizes cannot be combined: {sorted(sizes)}"
        raise ValueError(msg)

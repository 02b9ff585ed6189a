"""What every net looks like from outside: one segment of a mix in, its stems out."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from stemwright.audio.signal import Samples

Groups = dict[str, tuple[str, ...]]
"""New stems as sums of a separator's own: `{"instrumental": ("drums", "bass")}`."""


class Separator(Protocol):
    """A function from a segment of a mix to its stems, with the sizes it was made for."""

    @property
    def rate(self) -> int:
        """Samples per second it was trained at."""
        ...

    @property
    def stems(self) -> tuple[str, ...]:
        """Names, in the order of the output."""
        ...

    @property
    def segment(self) -> int:
        """Samples it takes at once; longer input is outside what it has seen."""
        ...

    @property
    def hop(self) -> int:
        """Samples between the starts of two spans, at most `segment`."""
        ...

    def __call__(self, mix: Samples, /) -> Samples:
        """Mix [batch, 2, segment] → stems [batch, stems, 2, segment]."""
        ...


def batch_of(separator: Separator) -> int:
    """How many spans a separator likes to get at once: its `batch`, if it has one."""
    return getattr(separator, "batch", 1)


@runtime_checkable
class TwoStage(Protocol):
    """A separator in two stages: while one batch is synthesised, the next can be analysed. Both make up its call."""

    def analysed(self, mix: Samples, /) -> object:
        """Mix [batch, 2, segment] → whatever `synthesised` needs."""
        ...

    def synthesised(self, analysed: Any, /) -> Samples:
        """The answer of `analysed` → stems [batch, stems, 2, segment]."""
        ...


@runtime_checkable
class Grouping(Protocol):
    """A separator that can add its stems up before the costly part of its work."""

    def grouped(self, groups: Groups) -> Separator:
        """The same net with these sums as its stems."""
        ...

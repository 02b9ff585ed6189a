"""A separator whose stems are sums of another's. Those of whole songs are in `whole` and `ensemble`."""

from __future__ import annotations

import numpy as np

from stemwright.audio.signal import Samples
from stemwright.engine.separator import Grouping, Groups, Separator, batch_of


def grouped(separator: Separator, groups: Groups) -> Separator:
    """A separator whose stems are sums of another's; masks are added before the inverse STFT where there are masks."""
    if list(groups.items()) == [(name, (name,)) for name in separator.stems]:
        return separator
    return separator.grouped(groups) if isinstance(separator, Grouping) else Grouped(separator, groups)


class Grouped:
    """Sums of a separator's stems, in the order of `groups`."""

    def __init__(self, separator: Separator, groups: Groups) -> None:
        self.rate, self.segment, self.hop = separator.rate, separator.segment, separator.hop
        self.stems, self.batch = tuple(groups), batch_of(separator)
        self._separator = separator
        self._members = [[separator.stems.index(name) for name in names] for names in groups.values()]

    def __call__(self, mix: Samples) -> Samples:
        """Mix [batch, 2, segment] → sums [batch, groups, 2, segment]."""
        stems = self._separator(mix)
        return np.stack([stems[:, members].sum(axis=1) for members in self._members], axis=1)

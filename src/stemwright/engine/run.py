"""One song through one separator: finished blocks as they come, a stage working ahead of the other."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

import numpy as np

from stemwright.audio.blocks import gathered, resampled
from stemwright.audio.signal import Samples
from stemwright.engine.ahead import ahead
from stemwright.engine.chunks import over_time
from stemwright.engine.consistency import sum_to_mix
from stemwright.engine.rates import Tap, stems_resampled
from stemwright.engine.separator import Separator, batch_of


def run(
    separator: Separator,
    song_blocks: Iterable[Samples],
    *,
    rate: int | None = None,
    batch: int | None = None,
) -> Generator[Samples]:
    """Blocks of a song [2, n] at `rate` → blocks of its stems [stems, 2, n] at the same rate, which sum to it.

    The song may have another rate than the separator: stems are made at the separator's, brought back, and what the
    detour lost is in the residual that `sum_to_mix` shares out. As many samples come out as went in. Decoding,
    separating and the caller's own work overlap in threads; who leaves early leaves none of them behind.
    `batch` spans are separated at once, as many as the separator likes by default.
    """
    rate = rate or separator.rate
    with closing(ahead(gathered(song_blocks, rate))) as song:
        mix = Tap(song)
        stems = over_time(separator, resampled(mix, rate, separator.rate), batch=batch or batch_of(separator))
        with closing(ahead(stems)) as finished:
            for block in stems_resampled(_sliced(finished, separator.rate), separator.rate, rate):
                own = mix.take(block.shape[2])
                yield sum_to_mix(block[..., : own.shape[1]], own)
        # Rounding twice between rates can leave a sample or two without stems.
        if (own := mix.take()).size:
            yield sum_to_mix(np.zeros((len(separator.stems), *own.shape), np.float32), own)


def _sliced(blocks: Iterable[Samples], samples: int) -> Iterator[Samples]:
    """Views [..., at most `samples`] of the blocks: what comes after then needs little memory of its own."""
    for block in blocks:
        for first in range(0, block.shape[-1], samples):
            yield block[..., first : first + samples]

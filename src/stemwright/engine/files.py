"""Stems become files, in parallel and at one gain: all of them, or none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

from stemwright.audio.encode import StemWriter
from stemwright.audio.signal import Samples
from stemwright.errors import Cancelled

OpenStem = Callable[[str], StemWriter]
POLL_SECONDS = 0.1


def write_files(
    stems: Mapping[str, Iterable[Samples]],
    open_stem: OpenStem,
    *,
    gain: float,
    on_written: Callable[[int], None] | None = None,
) -> dict[str, Path]:
    """Writes each stem's blocks [2, n] times `gain` to the file that `open_stem(name)` starts; returns their paths.

    `on_written` gets the samples of all stems written so far, several times a second, and may raise: then, and at any
    other error or interrupt, every file of this call is deleted before the error goes on.
    """
    written, stop = dict.fromkeys(stems, 0), Event()
    paths: dict[str, Path] = {}

    def write(name: str) -> None:
        with open_stem(name) as writer:
            for block in stems[name]:
                if stop.is_set():
                    raise Cancelled
                writer.write(block if gain == 1 else block * gain)
                written[name] += block.shape[1]
        paths[name] = writer.path

    def tell() -> None:
        if on_written is not None:
            on_written(sum(written.values()))

    with all_or_none(paths), ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="encode") as threads:
        try:
            tell()
            waiting = {threads.submit(write, name) for name in stems}
            while waiting:
                done, waiting = wait(waiting, POLL_SECONDS)
                for future in done:
                    future.result()
                tell()
        except BaseException:
            stop.set()
            raise
    return {name: paths[name] for name in stems}


@contextmanager
def all_or_none(paths: dict[str, Path]) -> Iterator[dict[str, Path]]:
    """Deletes these files when the work fails; they may be put there while it goes on."""
    try:
        yield paths
    except BaseException:
        for path in paths.values():
            with suppress(OSError):
                path.unlink()
        raise

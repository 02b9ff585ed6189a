"""Stems become files, in parallel and at one gain: all of them, or none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition

from stemwright.audio.encode import StemWriter
from stemwright.audio.signal import Samples
from stemwright.engine.threads import cores
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

    None gets its name before all are complete: what an earlier run left under these names is there until then.
    `on_written` gets the samples of all stems written so far, several times a second, and may raise: then, and at any
    other error or interrupt, every file of this call is deleted before the error goes on.
    """
    writers: dict[str, StemWriter] = {}
    try:
        _complete(stems, open_stem, writers, gain=gain, on_written=on_written)
        with all_or_none({}, replaced=there(writer.path for writer in writers.values())) as paths:
            for name in stems:
                writers[name].publish()
                paths[name] = writers[name].path
            return paths
    finally:
        for writer in writers.values():
            writer.discard()


def _complete(
    stems: Mapping[str, Iterable[Samples]],
    open_stem: OpenStem,
    writers: dict[str, StemWriter],
    *,
    gain: float,
    on_written: Callable[[int], None] | None,
) -> None:
    written, encoding = dict.fromkeys(stems, 0), _Encoding()

    def write(name: str) -> None:
        with encoding.of(name):
            writer = writers[name] = open_stem(name)
            for block in stems[name]:
                encoding.check()
                writer.write(block if gain == 1 else block * gain)
                written[name] += block.shape[1]
            writer.complete()

    def tell() -> None:
        if on_written is not None:
            on_written(sum(written.values()))

    with ThreadPoolExecutor(cores(), thread_name_prefix="encode") as threads:
        try:
            tell()
            waiting = {threads.submit(write, name) for name in stems}
            while waiting:
                done, waiting = wait(waiting, POLL_SECONDS)
                for future in done:
                    future.result()
                tell()
        except BaseException:
            encoding.stop()
            raise


class _Encoding:
    """What is being encoded, to be stopped and waited for.

    The pool of threads does not know of one in whose start an interrupt came: it would not wait for it.
    """

    def __init__(self) -> None:
        self._changed, self._names, self._is_stopped = Condition(), set[str](), False

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Raises Cancelled when it is stopped."""
        with self._changed:
            self.check()
            self._names.add(name)
        try:
            yield
        finally:
            with self._changed:
                self._names.remove(name)
                self._changed.notify_all()

    def check(self) -> None:
        """Raises Cancelled when it is stopped."""
        if self._is_stopped:
            raise Cancelled

    def stop(self) -> None:
        """Waits until nothing is being encoded, and nothing will be."""
        with self._changed:
            self._is_stopped = True
            self._changed.wait_for(lambda: not self._names)


def there(paths: Iterable[Path]) -> frozenset[Path]:
    """Those that are there already."""
    return frozenset(path for path in paths if os.path.lexists(path))


@contextmanager
def all_or_none(paths: dict[str, Path], *, replaced: frozenset[Path]) -> Iterator[dict[str, Path]]:
    """Deletes these files when the work fails, but none that was there before; they may be put there as it goes on."""
    try:
        yield paths
    except BaseException:
        for path in set(paths.values()) - replaced:
            with suppress(OSError):
                path.unlink()
        raise

"""A batch on its way: a survey runs ahead, some songs are separated at once, and no song stops another."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Protocol

from stemwright.audio.decode import open_song
from stemwright.audio.naming import Template
from stemwright.audio.tags import readable
from stemwright.batch.estimate import Estimate, Whole
from stemwright.batch.journal import Entry, Journal, digest_of, key_of
from stemwright.batch.songs import Job
from stemwright.engine.progress import Progress, go_on, heeding
from stemwright.errors import Cancelled, StemwrightError, Unforeseen
from stemwright.outcome import SeparatedFiles
from stemwright.outputs import Names
from stemwright.separation import fulfil
from stemwright.wish import Wish

IN_FOLDERS = "{song}/{stem}.{ext}"
"""The template of a batch: a folder for each song."""
PREVIEWS = "{song} (preview)/{stem}.{ext}"


class Report(Protocol):
    """Hears what happens to the songs, one call at a time."""

    def started(self, song: Path) -> None: ...
    def progress(self, song: Path, done: Progress, whole: Whole) -> None: ...
    def finished(self, song: Path, files: SeparatedFiles) -> None: ...
    def skipped(self, song: Path, files: list[Path]) -> None: ...
    def failed(self, song: Path, error: StemwrightError) -> None: ...


@dataclass(frozen=True)
class Surveyed:
    """A song after the survey: what it is called, and the key of what is wanted of it."""

    number: int
    job: Job
    name: str = ""
    digest: str = ""
    key: str = ""
    done: Entry | None = None
    refusal: StemwrightError | None = None


def separate_jobs(jobs: Sequence[Job], out: Path, told: Report, *, at_once: int = 1, again: bool = False) -> None:
    """Separates songs into `out`, `at_once` side by side; what is done there already is skipped, unless `again`.

    A song that fails is told and the others go on. At an interrupt the songs under way leave nothing; a later call
    goes on after those that were finished, also when this one was killed.
    """
    _Batch(jobs, out, told, again=again).run(at_once)


class _Batch:
    def __init__(self, jobs: Sequence[Job], out: Path, told: Report, *, again: bool) -> None:
        self._jobs, self._out, self._told, self._again = jobs, out, told, again
        self._journal = Journal(out)
        self._journal.tidy()
        self._journal.claims.take("a song to separate", [job.song for job in jobs])
        self._estimate = Estimate(len(jobs))
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._surveyed: Queue[Surveyed | None] = Queue()

    def run(self, at_once: int) -> None:
        survey = threading.Thread(target=self._survey, args=(at_once,), daemon=True)
        survey.start()
        try:
            if at_once == 1:  # on this thread, which is the one that hears an interrupt at once
                self._work()
            else:
                self._work_side_by_side(at_once)
        finally:
            self._stop.set()
            survey.join()
            self._journal.leave()

    def _work_side_by_side(self, at_once: int) -> None:
        with ThreadPoolExecutor(at_once, thread_name_prefix="songs") as threads:
            try:
                waiting = {threads.submit(self._work) for _ in range(at_once)}
                while waiting:
                    done, waiting = wait(waiting, 0.1, return_when="FIRST_EXCEPTION")
                    for future in done:
                        future.result()
            except BaseException:
                self._stop.set()
                raise

    def _survey(self, workers: int) -> None:
        """Looks at each song ahead of the work: its bytes, its name, its length, whether it is done."""
        names: set[str] = set()
        try:
            with heeding(self._stop.is_set), suppress(Cancelled):
                for number, job in enumerate(self._jobs):
                    found = self._looked_at(number, job, names)
                    seconds = None if found.done or found.refusal else _seconds(job)
                    with self._lock:
                        self._estimate.surveyed(number, seconds, free=bool(found.done or found.refusal))
                    self._surveyed.put(found)
        finally:
            for _ in range(workers):
                self._surveyed.put(None)

    def _looked_at(self, number: int, job: Job, names: set[str]) -> Surveyed:
        go_on()
        if job.refusal is not None:
            return Surveyed(number, job, refusal=job.refusal)
        try:
            folder = job.folder if "folder" in _template(job.wish).fields else ""
            digest = digest_of(job.song)
            with self._lock, self._journal.alone():
                name = self._journal.name_for(job.song, digest, names, folder=folder)
                key = key_of(digest, name, job.wish)
                done = None if self._again else self._journal.done(key)
                if done is None:
                    self._journal.named(name, job.song, digest)
            return Surveyed(number, job, name, digest, key, done)
        except Cancelled:
            raise
        except StemwrightError as error:
            return Surveyed(number, job, refusal=error)
        except Exception as error:  # noqa: BLE001  as in _one
            return Surveyed(number, job, refusal=_unforeseen(error))

    def _work(self) -> None:
        for found in self._queued():
            if not self._stop.is_set():
                self._one(found)

    def _queued(self) -> Iterator[Surveyed]:
        while (found := self._surveyed.get()) is not None:
            yield found

    def _one(self, found: Surveyed) -> None:
        song, files, error = found.job.song, None, found.refusal
        done = found.done or (None if self._again else self._journal.done(found.key))  # by another run since the survey
        with self._lock:
            self._told.started(song)
        try:
            if not done and not error:
                files = self._separated(found)
        except Cancelled:
            raise
        except StemwrightError as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001  one song must not take the others along
            error = _unforeseen(failure)
        with self._lock:
            self._estimate.end(found.number, separated=files is not None)
            if error is not None:
                self._told.failed(song, error)
            elif done is not None:
                self._told.skipped(song, [self._out / file for file in done.files])
            elif files is not None:
                self._told.finished(song, files)

    def _separated(self, found: Surveyed) -> SeparatedFiles:
        song, folder = found.job.song, found.job.folder
        template, called = _template(found.job.wish), found.name.rpartition("/")[2]
        names = Names(template, called, found.name, self._journal.claims, title=readable(song.stem), folder=folder)
        files = fulfil(
            found.job.wish,
            song,
            self._out,
            names=names,
            cancelled=self._stop.is_set,
            on_progress=lambda done: self._heard(found, done),
        )
        entry = self._journal.entry(
            found.key, found.name, song, found.digest, [*files.paths.values(), *files.extras.values()]
        )
        with self._lock:
            self._journal.add(entry)
        return files

    def _heard(self, found: Surveyed, done: Progress) -> None:
        with self._lock:
            now = time.monotonic()
            self._estimate.at(found.number, done.fraction, now)
            self._told.progress(found.job.song, done, self._estimate.whole(now))


def _template(wish: Wish) -> Template:
    """How the song's files are called; raises BadTemplate."""
    return Template(wish.names or (PREVIEWS if wish.preview else IN_FOLDERS))


def _seconds(job: Job) -> float | None:
    """How much of the song will be separated, as far as its header tells."""
    preview = job.wish.preview
    with suppress(Exception), open_song(job.song) as song:  # what is wrong with it is told when its turn comes
        return min(filter(None, (song.seconds_hint, preview)), default=None)
    return preview


def _unforeseen(error: Exception) -> Unforeseen:
    if os.environ.get("STEMWRIGHT_TRACEBACK"):
        raise error
    return Unforeseen.by(error)

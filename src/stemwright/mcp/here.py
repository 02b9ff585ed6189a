"""Separations in this process: one after the other on a thread, each in a folder of its own."""

from __future__ import annotations

import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from stemwright import separation
from stemwright.audio.decode import open_song
from stemwright.audio.naming import safe
from stemwright.audio.parts import part_of, write_error
from stemwright.engine.progress import Progress
from stemwright.errors import (
    BadCard,
    Cancelled,
    NeedsServer,
    NoSongGiven,
    NoSuchTask,
    NotDone,
    NotSeparated,
    StemwrightError,
    Unforeseen,
)
from stemwright.mcp import places
from stemwright.mcp.answers import Files, Model, Request, State, Task
from stemwright.outcome import SeparatedFiles
from stemwright.server.network import Client as Web
from stemwright.wish import Wish
from stemwright.zoo import catalog, installed, loading, recipes

_MOST_BYTES, _MOST_SECONDS = 2 << 30, 900


@dataclass
class Job:
    """One separation: what is wanted, how far it is, and what came of it."""

    song: str
    wish: Wish
    folder: Path
    at: Progress = field(default_factory=lambda: Progress("waiting", 0.0))
    files: SeparatedFiles | None = None
    error: StemwrightError | None = None

    @property
    def state(self) -> State:
        return "done" if self.files else "failed" if self.error else "running"

    def told(self, task_id: str) -> Task:
        running, done = self.state == "running", self.files
        return Task(
            task_id=task_id,
            state=self.state,
            stage=self.at.stage if running else None,
            progress=100 if done else int(100 * self.at.fraction),
            seconds_left=self.at.seconds_left if running else None,
            error=str(self.error) if self.error else None,
            stems=list(done.paths) if done else [],
            silent=done.silent if done else [],
        )


class Here:
    """Separations by the library, into `out`; songs on the web come through `web`, which vets their addresses."""

    def __init__(self, out: Path, web: Web) -> None:
        self._out, self._web = out, web
        self._jobs: dict[str, Job] = {}
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="separating")

    def separate(self, request: Request) -> Task:
        """Begins as soon as those before it are done; what is wrong with the request is told at once."""
        if request.task_id or request.audio_id:
            raise NeedsServer
        if not request.song:
            raise NoSongGiven
        wish = _wish(request)
        if not places.is_address(request.song):
            with open_song(places.local(request.song)):
                pass
        task_id = uuid.uuid4().hex[:12]
        job = Job(request.song, wish, places.new_folder(self._out, places.title(request.song)))
        self._jobs[task_id] = job
        self._thread.submit(self._work, job)
        return job.told(task_id)

    def status(self, task_id: str) -> Task:
        return self._job(task_id).told(task_id)

    def download(self, task_id: str, folder: str | None) -> Files:
        """Where the stems are, or copies of them in a new folder in `folder`."""
        job = self._job(task_id)
        if job.error:
            raise NotSeparated(task_id=task_id, flag="failed", message=job.error)
        if not job.files:
            raise NotDone(task_id=task_id)
        paths, place = job.files.paths, job.folder
        if folder:
            place = places.new_folder(places.local(folder), places.title(job.song))
            paths = {stem: _copied(path, place) for stem, path in paths.items()}
        return Files(folder=str(place), files={stem: str(path) for stem, path in paths.items()})

    def models(self) -> list[Model]:
        """The bundled model, the recipes, and what has been fetched or taken in."""
        trees = {recipe.name: recipe for recipe in recipes.listing()}
        found: list[Model] = []
        for name in dict.fromkeys([*catalog.names(), *trees, *installed.names()]):
            here = name not in trees or not trees[name].missing()
            with suppress(BadCard):  # `stemwright models verify` tells of it
                stems = list(loading.offered(name)[0])
                found.append(Model(name=name, about=trees[name].about if name in trees else "", stems=stems, here=here))
        return found

    def close(self) -> None:
        """Stops what is under way, which leaves nothing behind."""
        self._stop.set()
        self._thread.shutdown(cancel_futures=True)

    def _job(self, task_id: str) -> Job:
        if task_id not in self._jobs:
            raise NoSuchTask(task_id=task_id)
        return self._jobs[task_id]

    def _work(self, job: Job) -> None:
        try:
            with self._fetched(job) as path:
                job.files = separation.fulfil(
                    job.wish, path, job.folder, on_progress=_into(job), cancelled=self._stop.is_set
                )
        except StemwrightError as error:
            job.error = error
        except Exception as error:  # noqa: BLE001  it is told as the end of this task, and the next one begins
            job.error = Unforeseen.by(error)
        finally:
            with suppress(OSError):  # unless there are stems in it
                job.folder.rmdir()

    @contextmanager
    def _fetched(self, job: Job) -> Iterator[Path]:
        """The song as a file; one from the web is kept only as long as it is needed."""
        if not places.is_address(job.song):
            yield places.local(job.song)
            return
        job.at = Progress("fetching", 0.0)
        with tempfile.TemporaryDirectory(prefix="stemwright-") as folder:
            path = Path(folder) / safe(places.title(job.song) or "song")
            limits = {"max_bytes": _MOST_BYTES, "seconds": _MOST_SECONDS}
            self._web.get_to_file(job.song, path, **limits, on_wait=self._go_on)
            yield path

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise Cancelled


def _wish(request: Request) -> Wish:
    return Wish.of(two=request.stems == "two", format=request.format, model=request.model or catalog.BUNDLED)


def _into(job: Job) -> Callable[[Progress], None]:
    def on_progress(at: Progress) -> None:
        job.at = at

    return on_progress


def _copied(path: Path, folder: Path) -> Path:
    target = folder / path.name
    try:
        shutil.copyfile(path, part_of(target))
        return part_of(target).replace(target)
    except OSError as error:
        with suppress(OSError):
            part_of(target).unlink()
        raise write_error(target, error) from error

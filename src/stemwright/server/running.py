"""What a worker does for one task, step by step. Any step may be run again after a crash: nothing happens twice."""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Queue
from threading import Event, Lock
from typing import Any, NoReturn, TypeVar

from stemwright.errors import (
    AddressError,
    BlobNotFound,
    BlobsAway,
    ChildDied,
    InputRefused,
    LimitExceeded,
    StemwrightError,
    Superseded,
    TaskEnded,
    TaskNotFound,
)
from stemwright.server import accounts, arrivals, bounds, callbacks, metrics, network, separating, tasks
from stemwright.server.clock import now_ms
from stemwright.server.jobs import Job, Outcome, Part
from stemwright.server.settings import Settings
from stemwright.server.stem_names import HEADS, MEGA
from stemwright.server.store.blobs import Blobs
from stemwright.server.store.database import AWAY, Database, tell

MAX_ATTEMPTS = 8  # worker deaths included: a task that takes its workers down with it comes to an end
MOST_FILES = 64  # of one task: the Mega model's heads, their rest, and two for the player
PAUSES_SECONDS = (1, 2, 4, 8, 16, 32, 64)  # before a step is tried again; the last one again and again
DECLARED_DEAD = 3  # exit status: others have taken this worker's tasks over
DAY_MS = 86_400_000

log = logging.getLogger("stemwright.worker")

_FACTS = ("model", "device", "precision", "duration_seconds", "gain_db", "warnings")
Answer = dict[str, Any]  # what a step hands to the next
T = TypeVar("T")


@dataclass
class Workshop:
    """What a worker process works with."""

    settings: Settings
    database: Database
    blobs: Blobs
    worker_id: str
    children: Queue[separating.Child] = field(default_factory=Queue)
    stopping: Event = field(default_factory=Event)
    strays: set[str] = field(default_factory=set)  # workflows of ours that no thread was running a moment ago
    blind_until: float = 0.0  # by the monotonic clock: what seems dead may only have had no database
    leaving: Event = field(default_factory=Event)  # nothing new is taken
    freed: Event = field(default_factory=Event)  # a slot is free: the next one's turn may have come
    work: metrics.Work = field(default_factory=metrics.Work)
    held: dict[str, int] = field(default_factory=dict[str, int])  # attempts that an outage broke into, by task
    active: int = 0  # workflows that this process is running

    def __post_init__(self) -> None:
        settings = self.settings
        limits = bounds.Limits(
            settings.task_memory_bytes,
            settings.task_seconds,
            cpu_seconds=settings.task_cpu_seconds or settings.task_seconds * (os.cpu_count() or 1),
            silent_seconds=settings.child_silent_seconds,
        )
        command, device = settings.separator_command or separating.COMMAND, settings.device
        self.every_child = [
            separating.Child(limits, command=command, device=device) for _ in range(settings.concurrent_tasks)
        ]
        for child in self.every_child:
            self.children.put(child)
        self._counting = Lock()
        self.client = network.Client(network.parse_networks(",".join(settings.allow_networks)))

    @contextmanager
    def child(self) -> Iterator[separating.Child]:
        """A separation process that nobody else uses meanwhile."""
        child = self.children.get()
        try:
            yield child
        finally:
            self.children.put(child)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts a workflow that this process is running."""
        with self._counting:
            self.active += 1
        try:
            yield
        finally:
            with self._counting:
                self.active -= 1

    @property
    def separations(self) -> int:
        """How many separations are running."""
        return len(self.every_child) - self.children.qsize()

    @property
    def warm(self) -> int:
        """How many separation processes are up."""
        return sum(1 for child in self.every_child if child.pid)

    def die(self) -> NoReturn:
        """Ends this process, which was stopped or cut off for too long: whatever it holds belongs to others now."""
        log.error("worker %s was declared dead and ends itself", self.worker_id)
        for child in self.every_child:
            child.kill()
        os._exit(DECLARED_DEAD)

    def stop(self) -> None:
        """Ends the separation processes; their tasks are not failed but left to the next worker."""
        self.stopping.set()
        for child in self.every_child:
            child.kill()


def look(shop: Workshop, task_id: str) -> tasks.Task:
    """The task as it is now."""
    with shop.database.read() as tx:
        return tasks.find(tx, task_id)


def look_at_callback(shop: Workshop, callback_id: str, number: int) -> tuple[tasks.Delivery, tasks.Task] | None:
    """A callback, and the task that it tells of; None where attempt `number` has been made and written down, by one
    that was killed before DBOS knew, or its account was closed."""
    with shop.database.read() as tx, suppress(TaskNotFound):
        delivery = tasks.delivery_by_id(tx, callback_id)
        if delivery.attempts < number:
            return delivery, tasks.find(tx, delivery.task_id)
    return None


def fetch(shop: Workshop, task: tasks.Task) -> Answer:
    """Brings the input into the blob store, unless it is there already."""
    if task.source:
        return {"source": task.source}
    return _attempt(shop, task.id, "fetching", lambda task: _fetched(shop, task))


def separate(shop: Workshop, task_id: str, source: str) -> Answer:
    """Separates and stores the files; a child that dies gets one more try."""
    answer: Answer = {}
    for number in range(shop.settings.task_attempts):
        if number:
            shop.work.retried("child")
        answer = _attempt(shop, task_id, "separating", lambda task: _separated(shop, task, source))
        if not answer.pop("again", False):
            return answer
    answer["error"] += f" It did so {shop.settings.task_attempts} times; the task's credits were given back."
    return answer


def end(shop: Workshop, task_id: str, answer: Answer, *, enqueue: Callable[..., None]) -> str:
    """The one final transaction: finished with its files or failed with its credits back; the callback enqueued."""
    now = now_ms()
    with shop.database.transaction() as tx:
        try:
            if "failure" in answer:
                task = tasks.fail(tx, task_id, **answer, now=now)
            else:
                files = [tasks.Stem(**file) for file in answer["files"]]
                facts = answer["facts"] | {"expires": now + int(shop.settings.retention_days * DAY_MS)}
                task = tasks.finish(tx, task_id, files, facts=facts, attempt=answer["attempt"], now=now)
                arrivals.settle(tx, [stem.blob for stem in files] + list(task.beside))
        except (TaskEnded, Superseded) as over:
            log.info("task %s: %s", task_id, over)
            return tasks.find(tx, task_id).state
        if delivery := tasks.delivery(tx, task_id):
            delay = callbacks.delay_seconds(1, shop.settings.callback_delays_seconds) or 0
            enqueue(tx, delivery.id, delay_seconds=delay)
    shop.work.ended(task.kind, task.state)
    log.info("task %s %s%s", task_id, task.state, f": {task.error}" if task.error else "")
    return task.state


def patiently(shop: Workshop, step: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """What the step answers. It raises only when the database or the storage is away, and is tried again until they
    are back: what is wrong with a task is its answer. A fault of ours is raised in the end."""
    number = 0
    while True:
        pause_seconds = PAUSES_SECONDS[min(number, len(PAUSES_SECONDS) - 1)]
        try:
            answer = step(shop, *args, **kwargs)
        except Exception as error:
            if number >= len(PAUSES_SECONDS) and not isinstance(error, (*AWAY, BlobsAway)):
                raise
            tell(log, logging.WARNING, f"{step.__name__} is tried again in {pause_seconds:g} s", error)
        else:
            if number and step in (fetch, separate):  # once for each outage, however often it was tried
                shop.work.retried("outage")
            return answer
        if shop.stopping.wait(pause_seconds):
            Event().wait()  # this process is about to end; the task is the next worker's
        number += 1


def tidy(shop: Workshop, task_id: str) -> None:
    """Removes what only the running of an ended task needed, and the files of one that did not finish."""
    shutil.rmtree(shop.settings.work / task_id, ignore_errors=True)
    with shop.database.read() as tx:
        left = arrivals.of_task(tx, task_id)
    for name in left:  # their rows stay for a day: a writer that is late by less than that leaves nothing either
        shop.blobs.delete(name)


def deliver(shop: Workshop, delivery: tasks.Delivery, task: tasks.Task) -> Answer:
    """One attempt to deliver; says the receiver's status or why there was none."""
    with shop.database.read() as tx:
        stems = tasks.stems_of(tx, task.id)
        secret = accounts.get(tx, task.account_id).webhook_secret
    body = callbacks.payload(task, stems, base_url=base_url(shop.settings, task))
    headers = callbacks.signed_headers(delivery.id, task.id, body, secret=secret, now=now_ms())
    timeout = shop.settings.callback_timeout_seconds
    attempt = callbacks.attempt(shop.client, delivery.url, body, headers=headers, timeout_seconds=timeout)
    shop.work.called_back("delivered" if attempt.delivered else "refused" if attempt.status else "unreachable")
    return asdict(attempt)


def note_delivery(
    shop: Workshop, callback_id: str, number: int, answer: Answer, *, enqueue: Callable[..., None]
) -> None:
    """Writes down how attempt `number` went and, in the same transaction, when the next one is due."""
    delay = callbacks.delay_seconds(number + 1, shop.settings.callback_delays_seconds)
    if answer["error"]:  # never the URL: clients keep secrets in it
        log.warning("callback %s, attempt %d: %s", callback_id, number, answer["error"])
    with shop.database.transaction() as tx:
        done = tasks.delivered(tx, callback_id, number=number, last=delay is None, now=now_ms(), **answer)
        if not done:
            enqueue(tx, callback_id, number=number + 1, delay_seconds=delay)


def base_url(settings: Settings, task: tasks.Task) -> str:
    """What the files' addresses begin with: the setting, or what the client that asked reached us by."""
    return settings.public_url.rstrip("/") or task.base_url or f"http://{settings.host}:{settings.port}"


# ---- the parts of a step --------------------------------------------------------------------------------------------


def _attempt(shop: Workshop, task_id: str, state: str, step: Callable[[tasks.Task], Answer]) -> Answer:
    """The step's answer, or why the task failed. Nothing that a client's input provokes ends the workflow."""
    now = now_ms()
    try:
        with shop.database.single() as tx:
            held = shop.held.get(task_id)
            task = tasks.begin(tx, task_id, state=state, worker=shop.worker_id, held=held, now=now)
    except TaskEnded as over:
        return {"over": str(over)}
    except Superseded:
        shop.die()  # and not an answer: the workflow would count as done
    shop.held.pop(task_id, None)
    if task.started == now:
        shop.work.took("waiting", (now - task.created) / 1000, model=shop.settings.model, kind=task.kind)
    if task.attempt > MAX_ATTEMPTS:
        return _failure(task, "separation", f"The separation was interrupted {MAX_ATTEMPTS} times.")
    try:
        return step(task)
    except (TaskEnded, Superseded) as over:
        return {"over": str(over)}
    except Exception as error:
        if isinstance(error, (*AWAY, BlobsAway)):
            shop.held[task_id] = task.attempt
            raise  # the step is tried again, however long it takes: nothing is wrong with the task
        if shop.stopping.is_set():
            Event().wait()  # this process is about to end; the task is the next worker's
        return _explained(task, error)


def _explained(task: tasks.Task, error: Exception) -> Answer:
    if isinstance(error, ChildDied):
        log.warning("task %s, attempt %d: %s", task.id, task.attempt, error)
        again = not isinstance(error, LimitExceeded)
        return _failure(task, "separation", str(error)) | {"again": again}
    if isinstance(error, BlobNotFound):
        return _failure(task, "input", "The song was deleted before its turn came. Upload it again.")
    if isinstance(error, StemwrightError):
        failure = (
            "input" if isinstance(error, InputRefused) else "fetch" if isinstance(error, AddressError) else "separation"
        )
        return _failure(task, failure, str(error))
    tell(log, logging.ERROR, f"task {task.id}, attempt {task.attempt} failed", error)
    reason = error.strerror if isinstance(error, OSError) else None
    return _failure(task, "separation", f"The server could not do it: {reason or 'an unexpected error'}.")


def _failure(task: tasks.Task, failure: str, error: str) -> Answer:
    return {"failure": failure, "error": error, "attempt": task.attempt}


def _fetched(shop: Workshop, task: tasks.Task) -> Answer:
    settings = shop.settings
    folder = _empty_folder(shop, task)
    path, name = folder / "source", _fetched_name(task.id)
    assert task.audio_url is not None
    began = time.monotonic()

    def look() -> None:
        if not _report(shop, task, 0.0):
            raise Superseded(task_id=task.id, attempt=f"{task.attempt}, which fetched its song,")

    limits = {"max_bytes": settings.max_upload_bytes, "seconds": settings.fetch_seconds}
    shop.client.get_to_file(task.audio_url, path, **limits, on_wait=look)
    with shop.database.transaction() as tx:
        arrivals.announce(tx, [name], task_id=task.id, now=now_ms())
    shop.blobs.put(name, path)
    path.unlink()
    with shop.database.transaction() as tx:
        tasks.keep_source(tx, task.id, name, attempt=task.attempt)
    shop.work.took("fetching", time.monotonic() - began, model=settings.model, kind=task.kind)
    return {"source": name}


def _separated(shop: Workshop, task: tasks.Task, source: str) -> Answer:
    folder = _empty_folder(shop, task)
    # Each attempt's own: a late one cannot overwrite another's files.
    ids = [str(uuid.uuid4()) for _ in range(MOST_FILES)]
    began = time.monotonic()
    with shop.blobs.local(source, folder) as path, shop.child() as child:
        job = Job(
            task_id=task.id,
            kind=task.kind,
            stem_name=task.stem_name,
            source=str(path),
            folder=str(folder),
            format=task.format,
            model=_model(shop.settings, task),
            max_seconds=shop.settings.max_duration_seconds,
            request_id=task.request_id,
            ids=tuple(ids),
            instrument_model=_instrument_model(shop.settings, task),
            precision=shop.settings.precision,
        )
        outcome = child.separate(job, on_progress=lambda fraction: _report(shop, task, fraction))
    stored = time.monotonic()
    shop.work.took("separating", stored - began, model=outcome.model, kind=task.kind)
    shop.work.separated(outcome.duration_seconds, stored - began, model=outcome.model, kind=task.kind)
    beside = _beside(outcome, ids)
    named = list(zip(outcome.parts, ids[2:], strict=False))
    with shop.database.transaction() as tx:
        tasks.advance(tx, task.id, "storing", attempt=task.attempt)
        names = [part.blob(stem_id) for part, stem_id in named] + [blob for _, blob in beside.values()]
        arrivals.announce(tx, names, task_id=task.id, now=now_ms())
    facts = {name: getattr(outcome, name) for name in _FACTS}
    files = [_stored(shop, part, n, stem_id, task.format.partition("-")[0]) for n, (part, stem_id) in enumerate(named)]
    for kind, (path, blob) in beside.items():
        shop.blobs.put(blob, path)
        path.unlink()
        facts[kind] = blob
    shop.work.took("storing", time.monotonic() - stored, model=outcome.model, kind=task.kind)
    return {"files": files, "facts": facts, "attempt": task.attempt}


def _model(settings: Settings, task: tasks.Task) -> str:
    """The model that was asked for; the operator's for an instrument that the Mega model has no head for."""
    no_head = task.model == MEGA and task.stem_name is not None and task.stem_name not in HEADS
    return settings.model if no_head or task.model is None else task.model


def _instrument_model(settings: Settings, task: tasks.Task) -> str | None:
    """The Mega model where it is allowed, knows the instrument, and the client left the choice to us."""
    fits = task.stem_name in HEADS and task.model is None and MEGA in settings.allowed_models
    return MEGA if fits else None


def _stored(shop: Workshop, part: Part, position: int, stem_id: str, file_format: str) -> Answer:
    path = Path(part.file)
    blob = part.blob(stem_id)
    size = shop.blobs.put(blob, path)
    path.unlink()
    about = {name: value for name, value in asdict(part).items() if name != "file"}
    return about | {"id": stem_id, "position": position, "blob": blob, "format": file_format, "bytes": size}


def _beside(outcome: Outcome, ids: list[str]) -> dict[str, tuple[Path, str]]:
    """The files for the player: which field of the task tells of them, where they are, what they will be called."""
    files = (("peaks", outcome.peaks, f"{ids[0]}_Player"), ("mix", outcome.mix, f"{ids[1]}_Mix"))
    return {field: (Path(path), name + Path(path).suffix) for field, path, name in files if path}


def _report(shop: Workshop, task: tasks.Task, fraction: float) -> bool:
    """Whether to go on. A database that is away for a moment is no reason to stop."""
    if shop.stopping.is_set():
        return True
    with suppress(*AWAY), shop.database.single() as tx:
        return tasks.report(tx, task.id, round(99 * fraction, 1), attempt=task.attempt)
    return True


def _empty_folder(shop: Workshop, task: tasks.Task) -> Path:
    """The attempt's own folder: a worker that comes back late does not write into the next one's files."""
    shutil.rmtree(shop.settings.work / task.id, ignore_errors=True)
    folder = shop.settings.work / task.id / str(task.attempt)
    folder.mkdir(parents=True)
    return folder


def _fetched_name(task_id: str) -> str:
    return f"{task_id}.source"

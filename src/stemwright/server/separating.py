"""THE ONE FILE that touches the engine: a child process separates, and the worker watches it.

Everything that decodes a stranger's bytes happens in the child. It may crash, hang or swell: the worker ends it, and
only the task that was in it suffers. Between tasks it stays, with the model warm. Both ends speak JSON, a line each.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from typing import IO, Any

from stemwright.errors import (
    AudioError,
    CannotWrite,
    ChildDied,
    InputRefused,
    SeparationFailed,
    StemwrightError,
    Superseded,
    UnknownStem,
)
from stemwright.server import bounds, logs, parentage
from stemwright.server.bounds import Limits, Watch
from stemwright.server.jobs import Job, Outcome, Part
from stemwright.server.stem_names import label, nearest

COMMAND = (sys.executable, "-m", "stemwright.server.separating")
LOOK_SECONDS = 0.1
REPORT_SECONDS = 1.0  # how often the task's row hears of progress
LARGEST_PIECE_BYTES = 256 << 20  # of memory that a codec takes at once
CANCEL_SECONDS = 15.0  # a child that has not given up by then is killed


# ---- the worker's end -----------------------------------------------------------------------------------------------


class Child:
    """A separation process: started when needed, kept between tasks, replaced when it dies."""

    def __init__(self, limits: Limits, *, command: Sequence[str] = COMMAND, device: str = "auto") -> None:
        self.limits = limits
        self._command, self._device = list(command), device
        self._process: subprocess.Popen[str] | None = None
        self._events: Queue[dict[str, Any] | None] = Queue()
        self._busy = threading.Lock()
        self._about: dict[str, str | None] = {}  # the task that it works on, or worked on last
        # Linux ends a child with the thread that started it, so that thread has to live as long as this object.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="child-starter")
        self.used = time.monotonic()

    def separate(self, job: Job, *, on_progress: Callable[[float], bool]) -> Outcome:
        """Runs the job; `on_progress` gets 0 to 1 about every second and says whether to go on.

        Raises InputRefused, SeparationFailed, ChildDied (also beyond a limit) and Superseded (told to stop).
        """
        with self._busy:
            self._about = {"task_id": job.task_id, "request_id": job.request_id}
            self._start()
            self._say({"job": asdict(job)})
            try:
                return self._follow(job, on_progress)
            except ChildDied:
                self.kill()
                raise
            finally:
                self.used = time.monotonic()

    def kill(self) -> None:
        """Ends the process now; the next job starts a new one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()

    def close(self) -> None:
        """Ends the process and the thread that starts it."""
        self.kill()
        self._starter.shutdown(wait=False)

    def kill_when_idle(self, seconds: float) -> bool:
        """Ends a process that has had nothing to do for so long; its memory is worth more than a warm start."""
        if self._process is None or not self._busy.acquire(blocking=False):
            return False
        try:
            if time.monotonic() - self.used < seconds:
                return False
            self.kill()
            return True
        finally:
            self._busy.release()

    @property
    def pid(self) -> int | None:
        """The running process, for people and tests."""
        return self._process.pid if self._process else None

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.kill()
        self._events = Queue()
        self._process = self._starter.submit(self._spawn).result()
        threading.Thread(target=_read, args=(self._process.stdout, self._events), daemon=True).start()
        heard = (self._process.stderr, lambda: self._about)
        threading.Thread(target=logs.overhear, args=heard, daemon=True).start()

    def _spawn(self) -> subprocess.Popen[str]:
        told = {
            "STEMWRIGHT_DEVICE": self._device,
            "MALLOC_ARENA_MAX": "4",  # glibc reserves address space for every thread otherwise
            "STEMWRIGHT_PARENT_PID": str(os.getpid()),
        }
        environment = parentage.without_secrets(os.environ) | self.limits.environment | told
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(self._command, **pipes, text=True, env=environment, encoding="utf-8", errors="replace")

    def _say(self, message: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # a dead child is noticed by its events
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def _follow(self, job: Job, on_progress: Callable[[float], bool]) -> Outcome:
        watch = Watch(self.limits, self._process)
        fraction, reported, stopping = 0.0, time.monotonic(), False
        while True:
            event = self._next_event(watch)
            if stopping and watch.is_over:
                self.kill()
                raise Superseded(task_id=job.task_id, attempt="which did not stop when it was told to")
            watch.check()
            if event.get("task_id") == job.task_id:
                fraction = max(fraction, float(event.get("fraction", 0.0)))
                if "parts" in event or "error" in event:
                    return _result(event, job)
            if not stopping and time.monotonic() - reported >= REPORT_SECONDS:
                reported = time.monotonic()
                if not on_progress(fraction):
                    stopping = True
                    watch.give(CANCEL_SECONDS)
                    self._say({"cancel": job.task_id})

    def _next_event(self, watch: Watch) -> dict[str, Any]:
        try:
            event = self._events.get(timeout=LOOK_SECONDS)
        except Empty:
            return {}
        if event is None:
            assert self._process is not None
            raise watch.ended(self._process.wait())
        if event:
            watch.hear()
        return event


def _read(pipe: IO[str], events: Queue[dict[str, Any] | None]) -> None:
    """Turns the child's lines into events; None says that it has ended."""
    with contextlib.suppress(ValueError, OSError):
        for line in pipe:
            with contextlib.suppress(json.JSONDecodeError):
                event = json.loads(line)
                if isinstance(event, dict):
                    events.put(event)
    events.put(None)


def _result(event: dict[str, Any], job: Job) -> Outcome:
    if "error" not in event:
        parts = tuple(Part(**part) for part in event.pop("parts"))
        facts = {name: event.get(name) for name in Outcome.__dataclass_fields__ if name != "parts"}
        return Outcome(parts, **facts)  # pyright: ignore[reportArgumentType]
    if event["failure"] == "cancelled":
        raise Superseded(task_id=job.task_id, attempt="which was told to stop")
    error = InputRefused if event["failure"] == "input" else SeparationFailed
    raise error(reason=event["error"])


# ---- the child's end ------------------------------------------------------------------------------------------------


def main() -> None:
    """The child: reads jobs until its input ends, and dies with the worker."""
    speak = _take_over_output()
    parentage.die_with_parent(int(os.environ.get("STEMWRIGHT_PARENT_PID", "0")))
    _own_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker decides, not the terminal
    ears = _Ears()
    for job in ears.jobs():
        with bounds.one_job(os.environ, beat=lambda: speak({"alive": True})):
            answer = _answer(job, speak, ears)
        speak(answer | {"task_id": job.task_id})


class _Ears:
    """Listens on a thread, so that a cancel is heard during a job; the end of input ends the process at once."""

    def __init__(self) -> None:
        self._jobs: Queue[Job] = Queue()
        self._cancelled: set[str] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def jobs(self) -> Iterator[Job]:
        while True:
            yield self._jobs.get()

    def cancelled(self, task_id: str) -> bool:
        return task_id in self._cancelled

    def _listen(self) -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if "job" in message:
                self._jobs.put(Job(**message["job"]))
            else:
                self._cancelled.add(message["cancel"])
        os._exit(0)


def _take_over_output() -> Callable[[dict[str, Any]], None]:
    """Keeps the real output for events; whatever a library prints goes to the log instead."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lock = threading.Lock()

    def speak(event: dict[str, Any]) -> None:
        with lock:
            pipe.write(json.dumps(event) + "\n")
            pipe.flush()

    return speak


def _own_memory() -> None:
    from stemwright.zoo import machine

    machine.keep_pages()
    if not machine.may_use_gpu():  # whose driver reserves without end
        bounds.limit_memory(os.environ)


def _answer(job: Job, speak: Callable[[dict[str, Any]], None], ears: _Ears) -> dict[str, Any]:
    said = 0.0

    def on_progress(fraction: float) -> None:
        nonlocal said
        if time.monotonic() - said > LOOK_SECONDS:
            said = time.monotonic()
            speak({"task_id": job.task_id, "fraction": fraction})

    try:
        outcome = _separate(job, on_progress, lambda: ears.cancelled(job.task_id))
        return asdict(outcome)
    except StemwrightError as error:
        return _failure(error)
    except MemoryError:
        return {"failure": "separation", "error": "The song needs more memory than one task may use."}
    except Exception as error:  # noqa: BLE001  the task fails; the process goes on
        return {"failure": "separation", "error": f"{type(error).__name__}: {error}"}


def _failure(error: StemwrightError) -> dict[str, Any]:
    if type(error).__name__ == "Cancelled":
        return {"failure": "cancelled", "error": str(error)}
    input_is_bad = isinstance(error, AudioError) and not isinstance(error, CannotWrite)
    if "path" in error.fields:
        error.fields["path"] = "The song" if input_is_bad else "A stem"  # clients have no business with our paths
    return {"failure": "input" if input_is_bad else "separation", "error": str(error)}


def _separate(job: Job, on_progress: Callable[[float], None], cancelled: Callable[[], bool]) -> Outcome:
    # Loaded here: the worker imports this file too, and has no use for the codecs and the model.
    from stemwright.audio.container import limit_allocations
    from stemwright.audio.decode import Limits as SongLimits
    from stemwright.separation import separate_to
    from stemwright.server.drawing import Drawing
    from stemwright.zoo.machine import unused_gpu

    limit_allocations(LARGEST_PIECE_BYTES)
    drawing = Drawing()
    done = separate_to(
        job.source,
        job.folder,
        **_wanted(job),
        format=job.format,
        precision=job.precision,
        mix=bool(job.ids),
        listen=drawing.listen if job.ids else None,
        limits=SongLimits(max_seconds=job.max_seconds, header=partial(bounds.header, os.environ)),
        on_progress=lambda progress: on_progress(progress.fraction),
        cancelled=cancelled,
    )
    labels = [job.stem_name, f"Without {job.stem_name}"] if job.stem_name else list(done.facts)
    parts = tuple(
        Part(
            name=fact.name,
            label=label(said or fact.name),
            file=str(done.paths[fact.name]),
            duration_seconds=done.seconds,
            silent=fact.silent,
            experimental=fact.experimental,
            loudness_dbfs=fact.loudness_dbfs if math.isfinite(fact.loudness_dbfs) else None,
            model=fact.model,
        )
        for fact, said in zip(done.facts.values(), labels, strict=True)
    )
    drawn = drawing.write(Path(job.folder), done, parts, job.ids) if job.ids else None
    song = str(done.mix) if done.mix else None
    ours = unused_gpu(done.device)  # the operator's to know, who is told when the worker starts
    warnings = tuple(warning for warning in done.warnings if warning != ours)
    facts = (done.model, done.device, done.seconds, done.gain_db, done.precision, warnings)
    return Outcome(parts, *facts, peaks=drawn, mix=song)


def _wanted(job: Job) -> dict[str, Any]:
    """The model and the stems that a kind of task asks for; raises UnknownModel, NotPulled, UnknownStem."""
    if job.kind == "separate_vocal":
        return {"model": job.model, "two": True}
    if job.kind == "split_stem":
        return {"model": job.model, "stems": None}
    assert job.stem_name is not None
    from stemwright.zoo import installed, loading

    model = job.model
    if job.instrument_model and installed.find(job.instrument_model):
        model = job.instrument_model
    offered, _ = loading.offered(model)
    stem = nearest(job.stem_name, offered)
    if stem is None:
        raise UnknownStem(stem=job.stem_name, model=model, choices=", ".join(offered))
    return {"model": model, "stems": [stem], "rest": "rest"}


if __name__ == "__main__":
    main()

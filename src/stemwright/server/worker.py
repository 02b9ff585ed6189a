"""A worker process: takes tasks from the queue, says that it lives, and clears up after workers that do not."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import version

import sqlalchemy as sa

from stemwright.errors import ModelsNotReady, StemwrightError
from stemwright.server import fleet, logs, opening, parentage, port, retention, tracing, turns, workflows
from stemwright.server.running import Workshop
from stemwright.server.settings import Settings
from stemwright.server.store import migrations
from stemwright.server.store.database import Database, outage, tell
from stemwright.zoo import catalog, machine

LOOK_SECONDS = 0.6  # of an idle worker for something to do: no task waits longer for it
LEAVE_SECONDS = 10  # beside the grace for its tasks: for the database to hear that it leaves
PATIENCE_SECONDS = 180  # with object storage that does not answer: a separation is worth waiting for

log = logging.getLogger("stemwright.worker")


def run(settings: Settings, *, supervised: bool = False) -> None:
    """Works until SIGTERM or SIGINT; a supervised worker also ends with its parent, at once."""
    if supervised:
        parentage.die_with_parent(int(os.environ.get("STEMWRIGHT_PARENT_PID", "0")))
        parentage.exit_at_end_of_input()
    told = _listen_to_signals()
    if supervised:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the server decides
    opening.require(settings)
    taken = port.take(settings)  # first: a worker that cannot start must not have begun a task
    require_models(settings)
    if not supervised:  # else the server has looked
        require_device(settings)
    tracing.configure(on=settings.otel, process="worker")
    with opening.telling(settings.data, database=settings.database):
        database = Database(settings.database)
        migrations.check(database)
        shop = open_workshop(settings, database)
    with logs.about(worker_id=shop.worker_id):
        _every(settings.heartbeat_seconds, _beat, shop)  # from now on: on a busy machine the rest takes its time
        if database.sqlite:
            _end_frozen(shop)  # first: it might come back once its tasks have been taken over
        _sweep(shop)
        workflows.launch(shop)
        _every(settings.sweep_seconds, _sweep, shop)
        if database.sqlite:
            _every(settings.sweep_seconds, _end_frozen, shop)
        _begin(_look, shop, lambda: _waited(shop))
        where = port.open_to_all(taken, shop) if taken else None
        log.info("worker %s is ready%s", shop.worker_id, f"; its figures are at {where}/metrics" if where else "")
        os.read(told, 1)
        _leave(shop)


def require_models(settings: Settings) -> None:
    """Raises ModelsNotReady where a model that a task may name cannot run on this machine.

    Tells of licences that the policy does not allow, and of a GPU that the bundled model has no use for.
    """
    if settings.separator_command:
        return  # whatever that is, it has its own models
    if set(settings.models) <= set(catalog.names()):
        if unused := machine.unused_gpu("cpu"):
            log.warning("%s", unused)
        return
    from stemwright.zoo import published, readiness

    if found := readiness.obstacles(settings.models):
        raise ModelsNotReady(reasons=" ".join(f"{str(error).rstrip('.')}." for error in found.values()))
    for card in readiness.not_allowed(settings.models):
        told = (card.name, card.licence, card.licence_stated, published.policy())
        log.warning("%s has the licence %s (%s); the policy is %r (STEMWRIGHT_LICENCES)", *told)


def require_device(settings: Settings) -> None:
    """Raises ModelsNotReady where public models cannot run on the device that the settings name.

    PyTorch knows, in a process of its own: it stays out of this one.
    """
    if settings.device in ("auto", "cpu") or settings.separator_command:
        return
    from stemwright.zoo import readiness

    if not any(readiness.needs_torch(name) for name in settings.models):
        return
    look = (sys.executable, "-c", "from stemwright.zoo import machine; machine.device()")
    found = subprocess.run(
        look, env=os.environ | {"STEMWRIGHT_DEVICE": settings.device}, capture_output=True, text=True, check=False
    )
    if found.returncode:
        raise ModelsNotReady(reasons=found.stderr.strip().splitlines()[-1].partition(": ")[2])


def open_workshop(settings: Settings, database: Database) -> Workshop:
    """Registers this process as a worker. Raises CannotOpenBlobs."""
    blobs = opening.open_store(settings, patience_seconds=PATIENCE_SECONDS)
    told = {"device": settings.device, "model": settings.model, "slots": settings.concurrent_tasks}
    told |= {"version": version("stemwright"), "shape": workflows.SHAPE}
    with database.transaction() as tx:
        now = fleet.clock(tx)
        _note_leap(tx, fleet.last_heard(tx, now=now), now)
        worker_id = fleet.register(tx, **told, now=now)
    return Workshop(settings, database, blobs, worker_id)


def _beat(shop: Workshop) -> None:
    with shop.database.transaction() as tx:
        now = fleet.clock(tx)
        silent_ms = fleet.silent_ms(tx, shop.worker_id, now=now)
        _note_leap(tx, now - silent_ms, now)
        alive = fleet.beat(tx, shop.worker_id, now=now)
    if not alive:
        shop.die()
    # So long without a word, and so may the others have been: let them say first that they live.
    if silent_ms > shop.settings.dead_after_seconds * 1000 / 2:
        shop.blind_until = time.monotonic() + shop.settings.dead_after_seconds


def _note_leap(tx: sa.Connection, since: int, now: int) -> None:
    if doubted := fleet.note_leap(tx, since, now=now):
        hours = (now - since) / 3_600_000
        told = "no worker was heard of for %.1f hours, or the clock was put ahead: nothing is deleted for %.1f hours"
        log.warning(told, hours, doubted / 3_600_000)


def _sweep(shop: Workshop) -> None:
    for worker_id in _dead(shop):
        if count := _hand_over(shop, worker_id):
            log.info("took over %d workflows of dead worker %s", count, worker_id)
    workflows.adopt(shop.database, shop.settings)
    workflows.call_chores(shop.database, shop.settings)
    shop.strays = workflows.take_up(shop, shop.strays)
    retention.clear_folders(shop.database, shop.settings)
    for child in shop.every_child:
        child.kill_when_idle(shop.settings.child_idle_seconds)


def _dead(shop: Workshop) -> list[str]:
    """Workers whose workflows are this one's to hand over; nobody else gets them for now."""
    dead_after = int(shop.settings.dead_after_seconds * 1000)
    holding = workflows.held_by_ended(shop.database)
    with shop.database.transaction() as tx:
        now = fleet.clock(tx)
        late = fleet.claim_ended(tx, shop.worker_id, holding, now=now) if holding else []
        if time.monotonic() < shop.blind_until:
            return late
        return late + fleet.claim_dead(tx, shop.worker_id, dead_after_ms=dead_after, now=now)


def _end_frozen(shop: Workshop) -> None:
    """On SQLite: a process that was stopped inside a transaction holds the only write lock for as long as it lives.

    Everyone else waits for that lock, and so do their heartbeats: this looks at what the system says, and only reads.
    """
    dead_after_ms = int(shop.settings.dead_after_seconds * 1000)
    with shop.database.read() as tx:
        frozen = fleet.frozen_here(tx, dead_after_ms=dead_after_ms, now=fleet.clock(tx))
    for pid in frozen:
        log.error("worker process %d has stood still for too long and is ended", pid)
        os.kill(pid, signal.SIGKILL)


def _hand_over(shop: Workshop, worker_id: str) -> int:
    count = workflows.take_over(shop.database, worker_id)
    with shop.database.transaction() as tx:
        fleet.forget(tx, worker_id, now=fleet.clock(tx))
    return count


def _waited(shop: Workshop) -> bool:
    """Waits for the end of a task of ours, or a moment; false once nothing more is taken."""
    shop.freed.wait(LOOK_SECONDS)
    shop.freed.clear()
    return not (shop.stopping.is_set() or shop.leaving.is_set())


def _look(shop: Workshop) -> None:
    """Looks for something to do: whose turn it is, what is due."""
    with shop.database.read() as tx:
        due = turns.due(tx)
    is_free = shop.separations < len(shop.every_child)  # then this worker gives out the turns
    if is_free and ((due.turn and workflows.release(shop.database, shop.settings)) or due.task):
        workflows.ring(workflows.SEPARATIONS)
    if due.callback:
        workflows.ring(workflows.CALLBACKS)


def _leave(shop: Workshop) -> None:
    """Takes nothing new, finishes what it can within the grace, and hands the rest to others at once."""
    late = threading.Timer(shop.settings.drain_seconds + LEAVE_SECONDS, os._exit, (0,))
    late.daemon = True
    late.start()  # whatever holds it up: the others find its tasks by its silence
    log.info("worker %s is stopping", shop.worker_id)
    shop.leaving.set()
    with shop.database.transaction() as tx:
        fleet.drain(tx, shop.worker_id)
    workflows.stop(shop.settings.drain_seconds if shop.active else 0)
    shop.stop()
    with shop.database.transaction() as tx:
        fleet.leave(tx, shop.worker_id)
    count = _hand_over(shop, shop.worker_id)
    log.info("worker %s has stopped%s", shop.worker_id, f"; {count} workflows went back" if count else "")
    logging.shutdown()
    os._exit(0)  # threads of unfinished tasks have nothing more to do


def _listen_to_signals() -> int:
    """A descriptor that can be read once SIGTERM or SIGINT has come.

    The interpreter writes to it from whichever thread the system interrupts: a handler of ours would have to wait for
    the main thread, which is reading and which a signal to another thread does not wake.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return reading


def _every(seconds: float, chore: Callable[[Workshop], None], shop: Workshop) -> None:
    _begin(chore, shop, lambda: not shop.stopping.wait(seconds))


def _begin(chore: Callable[[Workshop], None], shop: Workshop, wait: Callable[[], bool]) -> None:
    """Does the chore each time that `wait` says so. What the database or the disk lacks is a line when it begins, not
    one for each time: a disk that is full of other things has no room for them."""

    def loop() -> None:
        told = ""
        while wait():
            said = ""
            try:
                chore(shop)
            except Exception as fault:  # noqa: BLE001  it is told, and the chore has its next turn
                said = outage(fault)
                if not said or said != told:
                    tell(log, logging.ERROR, f"{chore.__name__.strip('_')} went wrong", fault)
            told = said

    threading.Thread(target=loop, name=chore.__name__, daemon=True).start()


def main() -> None:
    """The worker that `stemwright serve` starts: settings from the environment."""
    settings = Settings()
    logs.configure(settings.log_level, form=settings.log_format)
    try:
        run(settings, supervised=True)
    except StemwrightError as error:
        log.critical("%s", error)  # a line: what it says is all that there is to know
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())

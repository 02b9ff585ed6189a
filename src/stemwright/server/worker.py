"""A worker process: takes tasks from the queue, says that it lives, and clears up after workers that do not."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version

from sqlalchemy.exc import SQLAlchemyError

from stemwright.server import fleet, logs, opening, parentage, workflows
from stemwright.server.clock import now_ms
from stemwright.server.running import Workshop
from stemwright.server.settings import Settings
from stemwright.server.store import migrations
from stemwright.server.store.blobs import open_blobs
from stemwright.server.store.database import Database

DECLARED_DEAD = 3  # exit status: others have taken this worker's tasks over

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
    with opening.telling(settings.data, database=settings.database):
        database = Database(settings.database)
        migrations.check(database)
    shop = open_workshop(settings, database)
    _sweep(shop)
    workflows.launch(shop)
    log.info("worker %s is ready", shop.worker_id)
    _every(settings.heartbeat_seconds, _beat, shop)
    _every(settings.sweep_seconds, _sweep, shop)
    os.read(told, 1)
    _leave(shop)


def open_workshop(settings: Settings, database: Database) -> Workshop:
    """Registers this process as a worker."""
    with database.transaction() as tx:
        worker_id = fleet.register(
            tx, version=version("stemwright"), device=settings.device, model=settings.model, now=now_ms()
        )
    return Workshop(settings, database, open_blobs(settings.blobs), worker_id)


def _beat(shop: Workshop) -> None:
    with shop.database.transaction() as tx:
        alive = fleet.beat(tx, shop.worker_id, now=now_ms())
    if not alive:
        # It was stopped or cut off for too long. Whatever it holds belongs to others now.
        log.error("worker %s was declared dead and ends itself", shop.worker_id)
        for child in shop.every_child:
            child.kill()
        os._exit(DECLARED_DEAD)


def _sweep(shop: Workshop) -> None:
    dead_after = int(shop.settings.dead_after_seconds * 1000)
    with shop.database.transaction() as tx:
        dead = fleet.claim_dead(tx, shop.worker_id, dead_after_ms=dead_after, now=now_ms())
    for worker_id in dead:
        count = workflows.take_over(shop.database, worker_id)
        with shop.database.transaction() as tx:
            fleet.forget(tx, worker_id)
        if count:
            log.info("took over %d workflows of dead worker %s", count, worker_id)
    for child in shop.every_child:
        child.kill_when_idle(shop.settings.child_idle_seconds)


def _leave(shop: Workshop) -> None:
    """Finishes what is nearly done, and leaves the rest to others at once."""
    log.info("worker %s is stopping", shop.worker_id)
    with shop.database.transaction() as tx:
        fleet.drain(tx, shop.worker_id)
    workflows.stop(shop.settings.drain_seconds if shop.busy else 0)
    shop.stop()
    with shop.database.transaction() as tx:
        fleet.leave(tx, shop.worker_id)
    logging.shutdown()
    os._exit(0)  # threads of unfinished tasks have nothing more to do


def _listen_to_signals() -> int:
    """A descriptor that can be read once SIGTERM or SIGINT has come: a handler may not take any lock."""
    reading, writing = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.write(writing, b"!") and None)
    return reading


def _every(seconds: float, chore: Callable[[Workshop], None], shop: Workshop) -> None:
    def loop() -> None:
        while not shop.stopping.wait(seconds):
            try:
                chore(shop)
            except SQLAlchemyError:
                log.exception("the database did not answer")

    threading.Thread(target=loop, daemon=True).start()


def main() -> None:
    """The worker that `stemwright serve` starts: settings from the environment."""
    settings = Settings()
    logs.configure(settings.log_level)
    run(settings, supervised=True)


if __name__ == "__main__":
    sys.exit(main())

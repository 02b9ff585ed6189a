"""THE ONE FILE that touches DBOS: what is durable, in which order, and how it is taken up again.

A workflow is a promise in the database, beside our own tables, that somebody is going to do something. How far that is,
the tables tell: what a process that died had not finished is begun again by the next, and everything is the same twice.
DBOS is loaded on use: it costs half a second, and `stemwright --help` has no need of it.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from threading import Event
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from stemwright.server import closing, fleet, logs, retention, running, tasks, tracing, turns
from stemwright.server.clock import now_ms
from stemwright.server.doorbell import Doorbell
from stemwright.server.running import Workshop
from stemwright.server.settings import Settings
from stemwright.server.store.database import Database, Outages
from stemwright.server.store.prepared import Prepared
from stemwright.server.store.tables import callbacks, workers
from stemwright.server.store.tables import tasks as task_rows

if TYPE_CHECKING:
    from dbos import DBOSClient

SHAPE = fleet.SHAPE
APPLICATION = "stemwright"
SEPARATIONS, CALLBACKS, CHORES = "separations", "callbacks", "chores"
POLL_SECONDS = 0.25  # of a queue, where the doorbell cannot be put in
SELDOM_SECONDS = 10.0  # between two looks into a queue for which nobody has rung
CALLBACKS_AT_ONCE, CALLBACKS_OF_ONE = 128, 16  # of a worker, and of one account: receivers may be slow
DELAYS_SECONDS = 4.0  # between two looks for delays that are over: beyond 5 s PostgreSQL ends the session that waits
PATIENT_MS = 60_000  # after which what has no workflow was lost
FORGOTTEN, FORGET_ROUNDS = 1000, 100  # at once, and how often in a row
KEPT_DAYS = 1  # finished workflows; the tasks table has what lasts
_UNFINISHED = sa.literal_column("status IN ('ENQUEUED', 'PENDING')", sa.Boolean)  # in the words of DBOS's index

log = logging.getLogger("stemwright.worker")
_Limits: TypeAlias = dict[str, dict[str, Any]]  # by queue: how many workflows a worker has at once
_here: set[str] = set()  # the workflows that threads of this process are running
_clients: WeakKeyDictionary[sa.Engine, DBOSClient] = WeakKeyDictionary()
_account_of = Prepared(
    sa.select(task_rows.c.account_id)
    .join(callbacks, callbacks.c.task_id == task_rows.c.id)
    .where(callbacks.c.id == sa.bindparam("of"))
)
_bells = {name: Doorbell(seldom_seconds=SELDOM_SECONDS) for name in (SEPARATIONS, CALLBACKS, CHORES)}


# ---- asking: joins the caller's transaction -------------------------------------------------------------------------


def release(database: Database, settings: Settings) -> list[str]:
    """Hands the tasks whose turn it is to the workers' free slots; returns their ids. Any worker may do it."""
    rules = turns.Rules(settings.max_running_per_account, settings.short_slots)
    with database.transaction() as tx:
        dead_after_ms = int(settings.dead_after_seconds * 1000)
        slots = fleet.slots(tx, dead_after_ms=dead_after_ms, shape=SHAPE, now=fleet.clock(tx))
        released = turns.release(tx, fleet=slots, rules=rules, now=now_ms())
        for task_id in released:
            _enqueue_separation(tx, task_id)
    return released


def call_chores(database: Database, settings: Settings) -> None:
    """Has any worker do the chores that are due, once. By the clock as it is now: DBOS would sleep until its next hour,
    for days where the clock is set back meanwhile."""
    hour = retention.due(settings, now=(now := now_ms()))
    workflow_id = f"chores-{hour}"
    with database.read() as tx:
        ids = _table(tx, "workflow_status").c.workflow_uuid
        called = tx.execute(sa.select(ids).where(ids == workflow_id)).first()
    if called or now - hour > KEPT_DAYS * retention.DAY_MS:  # so long it is known who was called
        return
    with database.transaction() as tx:
        _enqueue(tx, "chores", CHORES, workflow_id=workflow_id)
    ring(CHORES)


def _enqueue_separation(tx: sa.Connection, task_id: str) -> None:
    _enqueue(tx, "separation", SEPARATIONS, task_id, workflow_id=f"separation-{task_id}")


def enqueue_callback(tx: sa.Connection, callback_id: str, *, number: int = 1, delay_seconds: float = 0) -> None:
    """Lets a worker make delivery attempt `number`, from `delay_seconds` after `tx` commits."""
    line = [account_id for (account_id,) in _account_of(tx, of=callback_id)] or ["nobody"]
    more: dict[str, Any] = {"queue_partition_key": line[0]}
    if delay_seconds:
        more["delay_seconds"] = delay_seconds
    _enqueue(tx, "callback", CALLBACKS, callback_id, number, workflow_id=f"{callback_id}.{number}", **more)


def cancel(tx: sa.Connection, task_id: str) -> tasks.Task:
    """Ends the task, gives its credits back and has its owner told; raises TaskEnded. A worker in it stops soon."""
    task = tasks.cancel(tx, task_id, now=now_ms())
    if delivery := tasks.delivery(tx, task_id):
        enqueue_callback(tx, delivery.id)
    return task


def resend(tx: sa.Connection, task_id: str) -> tasks.Delivery:
    """Lets a worker deliver an ended task's callback once more; raises NoCallback, StillDelivering."""
    delivery = tasks.resend(tx, task_id)
    enqueue_callback(tx, delivery.id, number=delivery.attempts + 1)
    return delivery


def warm_up() -> None:
    """Loads what the first enqueue would otherwise have to wait for."""
    import dbos  # noqa: F401


def migrate(database: Database) -> None:
    """Brings DBOS's own tables forward."""
    from dbos import DBOS

    DBOS.migrate(_url(database))


def _enqueue(tx: sa.Connection, name: str, queue: str, *args: Any, workflow_id: str, **more: Any) -> None:
    """`more` is what else DBOS is told: whose partition, after which delay."""
    options: dict[str, Any] = {"workflow_name": name, "queue_name": queue, "workflow_id": workflow_id, **more}
    options |= {"app_version": SHAPE, "application_name": APPLICATION}
    _joining(tx.engine).enqueue_in_transaction(tx, options, *args)  # type: ignore[arg-type]


def _joining(engine: sa.Engine) -> DBOSClient:
    """A client that only ever writes through a transaction of ours."""
    from dbos import DBOSClient

    if engine not in _clients:
        _clients[engine] = DBOSClient(
            system_database_engine=engine, serializer=_serializer(), application_name=APPLICATION, lazy=True
        )
    return _clients[engine]


@functools.cache
def _client(database: Database) -> DBOSClient:
    """A client for work of its own; on SQLite with connections of its own: it expects the driver to begin transactions
    late, and ours does not."""
    from dbos import DBOSClient

    if not database.sqlite:
        return _joining(database.engine)
    return DBOSClient(system_database_url=_url(database), serializer=_serializer(), application_name=APPLICATION)


# ---- working --------------------------------------------------------------------------------------------------------


def launch(shop: Workshop) -> None:
    """Starts to take tasks from the queues, on threads of this process."""
    from dbos import DBOS

    settings = shop.settings
    DBOS(
        config={
            "name": APPLICATION,
            "system_database_url": _url(shop.database),
            "system_database_engine": None if shop.database.sqlite else shop.database.engine,
            "application_version": SHAPE,
            "executor_id": shop.worker_id,
            "serializer": _serializer(),
            "log_level": "WARNING",
            "enable_otlp": False,
            "run_migrations": False,
        }
    )
    library = logging.getLogger("dbos")
    library.handlers.clear()  # its lines look like ours, and come once
    library.propagate = True
    library.addFilter(Outages(shop.database))
    for name, workflow in (("separation", _separation), ("callback", _callback), ("chores", _chores)):
        DBOS.workflow(name=name)(_bound(workflow, shop))
    limits: _Limits = {
        SEPARATIONS: {"worker_concurrency": settings.concurrent_tasks},
        CALLBACKS: {"worker_concurrency": CALLBACKS_AT_ONCE, "partition_worker_concurrency": CALLBACKS_OF_ONE},
    }
    _put_in(limits, soonest_seconds=min((each for each in settings.callback_delays_seconds if each), default=60))
    DBOS.launch()
    for name, limit in limits.items():
        DBOS.register_queue(name, **limit, polling_interval_sec=POLL_SECONDS, on_conflict="always_update")
    DBOS.register_queue(CHORES, global_concurrency=1, on_conflict="always_update")
    DBOS.delete_schedule("retention")  # of versions that left the time of the chores to DBOS
    ring(CHORES)  # by this bell waits who gives each new queue its thread


def stop(seconds: float) -> None:
    """Takes no new tasks and waits for the running ones for so long."""
    from dbos import DBOS

    for bell in _bells.values():
        bell.close()
    DBOS.destroy(workflow_completion_timeout_sec=math.ceil(seconds))


def ring(queue: str) -> None:
    """Lets this process look into the queue now: something may be in it."""
    _bells[queue].ring()


def _put_in(limits: _Limits, *, soonest_seconds: float) -> None:
    """Lets each thread that looks into a queue wait by the queue's bell and keep to this process's own limits (what is
    registered is the last one's that started), and the one that ends delays look no oftener than the shortest of
    them is worth. Should their places move, they look as often as DBOS has it."""
    try:
        inner: Any = import_module("dbos._dbos")
        queues: Any = import_module("dbos._queue")
        delays: Any = import_module("dbos._workflow_commands")
        seldom = _bells[CHORES]
        look, manage = queues.queue_worker_thread, inner.queue_thread

        def listening(stop: Event, dbos: Any, queue: Any) -> None:
            queue.database_backed_queue = False  # or it is read before each look; ours does not change while we run
            vars(queue).update({f"_{limit}": value for limit, value in limits.get(queue.name, {}).items()})
            look(_bells.get(queue.name, seldom).instead_of(stop), dbos, queue)

        assert delays._BACKGROUND_JOBS_INTERVAL_SEC
        queues.queue_worker_thread = listening
        inner.queue_thread = lambda stop, dbos: manage(seldom.instead_of(stop), dbos)
        delays._BACKGROUND_JOBS_INTERVAL_SEC = min(max(soonest_seconds / 6, 1.0), DELAYS_SECONDS)
    except (ImportError, AttributeError):
        log.warning("this release of DBOS has no place for a doorbell")


def take_over(database: Database, worker_id: str) -> int:
    """Puts a dead worker's running workflows back into their queues; returns how many."""
    client = _client(database)
    found = client.list_workflows(status="PENDING", executor_id=worker_id, load_input=False, load_output=False)
    for workflow in found:
        # Without the queue's name it would run outside of every limit.
        client.resume_workflow(workflow.workflow_id, queue_name=workflow.queue_name or CHORES)
    return len(found)


def adopt(database: Database, settings: Settings) -> list[str]:
    """Begins anew what waits in a shape that no living worker has: an upgrade or a downgrade left it; returns its ids.

    What its finished steps have done is in our tables, and each step is the same twice. One transaction: whoever takes
    a workflow, its own worker that comes back or another adopter, is the only one.
    """
    with database.read() as tx:
        if not tx.execute(_strange(tx).limit(1)).first():
            return []
    with database.transaction() as tx:
        living = fleet.shapes(tx, dead_after_ms=int(settings.dead_after_seconds * 1000), now=fleet.clock(tx))
        found = tx.execute(_strange(tx, living).with_for_update(skip_locked=True)).all()
        adopted = [row.workflow_uuid for row in found]
        _begin_anew(tx, adopted)
    if adopted:
        shapes = ", ".join(sorted({row.application_version for row in found}))
        log.warning("begins %d workflows anew in shape %s: no worker has shape %s", len(adopted), SHAPE, shapes)
        for queue in _bells:
            ring(queue)
    return adopted


def _strange(tx: sa.Connection, living: Iterable[str] = ()) -> sa.Select[Any, Any]:
    """The waiting workflows of other shapes than ours and the `living` ones."""
    rows = _table(tx, "workflow_status")
    ours = rows.c.application_version.in_({SHAPE, *living})
    waiting = (_UNFINISHED, rows.c.status == "ENQUEUED", ~ours)
    return sa.select(rows.c.workflow_uuid, rows.c.application_version).where(*waiting)


def _begin_anew(tx: sa.Connection, workflow_ids: list[str]) -> None:
    """Forgets what there was of these workflows, and enqueues them in our shape."""
    for name in ("workflow_input", "workflow_output", "operation_outputs", "workflow_status"):
        table = _table(tx, name)
        tx.execute(sa.delete(table).where(table.c.workflow_uuid.in_(workflow_ids)))
    for workflow_id in workflow_ids:
        if workflow_id.startswith("separation-"):
            _enqueue_separation(tx, workflow_id.removeprefix("separation-"))
        elif workflow_id.startswith("msg_"):
            callback_id, _, number = workflow_id.rpartition(".")
            enqueue_callback(tx, callback_id, number=int(number))


def held_by_ended(database: Database) -> list[str]:
    """Workers that have ended and still hold workflows: they took them when they had been declared dead."""
    with database.read() as tx:
        held = _table(tx, "workflow_status")
        ended = sa.exists().where(workers.c.id == held.c.executor_id, workers.c.ended.is_not(None))
        pending = (_UNFINISHED, held.c.status == "PENDING", ended)
        return list(tx.execute(sa.select(held.c.executor_id).where(*pending).distinct()).scalars())


def _table(tx: sa.Connection, name: str) -> sa.TableClause:
    """One of DBOS's own."""
    names = ("workflow_uuid", "status", "application_version", "executor_id", "delay_until_epoch_ms")
    return sa.table(name, *map(sa.column, names), schema=None if tx.dialect.name == "sqlite" else "dbos")


def take_up(shop: Workshop, strays: set[str]) -> set[str]:
    """Puts workflows of this process that none of its threads runs back into their queues: the database was away when
    they began or ended. Returns those seen for the first time; `strays` are the ones of the last call, now certain.
    """
    client = _client(shop.database)
    found = client.list_workflows(status="PENDING", executor_id=shop.worker_id, load_input=False, load_output=False)
    seen = {workflow.workflow_id: workflow for workflow in found if workflow.workflow_id not in _here}
    for workflow_id in strays & seen.keys():
        log.warning("workflow %s had stopped and is taken up again", workflow_id)
        queue = seen[workflow_id].queue_name or CHORES
        client.resume_workflow(workflow_id, queue_name=queue)
        ring(queue)
    return seen.keys() - strays


def _separation(shop: Workshop, task_id: str) -> str:
    task = running.patiently(shop, running.look, task_id)
    with logs.about(task_id=task_id, request_id=task.request_id), tracing.of_task(task_id, task.request_id):
        state = task.state
        if state not in tasks.ENDED:
            if task.attempt:  # begun before: by one that died or went, or by us when the database went
                shop.work.retried("outage" if task.worker == shop.worker_id else "worker")
            state = _worked(shop, task)
        if state in tasks.ENDED:  # else another attempt is at work
            _step(shop, running.tidy, task_id)
        return state


def _worked(shop: Workshop, task: tasks.Task) -> str:
    """The task's state once there is nothing more for this attempt to do."""
    answer = _step(shop, running.fetch, task)
    if "source" in answer:
        answer = _step(shop, running.separate, task.id, answer["source"])
    if "over" in answer:
        return running.patiently(shop, running.look, task.id).state
    state = _step(shop, running.end, task.id, answer, enqueue=enqueue_callback)
    ring(CALLBACKS)
    return state


def _callback(shop: Workshop, callback_id: str, number: int) -> None:
    if found := running.patiently(shop, running.look_at_callback, callback_id, number):
        delivery, task = found
        about = logs.about(callback_id=callback_id, task_id=task.id, request_id=task.request_id)
        with about, tracing.of_task(task.id, task.request_id), tracing.span("callback"):
            answer = running.patiently(shop, running.deliver, delivery, task)
            running.patiently(shop, running.note_delivery, callback_id, number, answer, enqueue=enqueue_callback)


def _step(shop: Workshop, step: Any, *args: Any, **kwargs: Any) -> Any:
    with tracing.span(step.__name__):
        return running.patiently(shop, step, *args, **kwargs)


def _chores(shop: Workshop, *_scheduled: object) -> None:
    from dbos import DBOS

    with shop.database.transaction() as tx:  # what a machine deletes whose clock is ahead is gone for good
        now = min(now_ms(), fleet.certain(tx, shop.worker_id))
    retention.purge(shop.database, shop.blobs, shop.settings, now=now)
    closing.go_on(shop.database, shop.blobs, now=now_ms())
    _rescue(shop)
    # What asks DBOS for workflows is a step: outside of one, a workflow records every answer, and these cannot be.
    DBOS.run_step({"name": "forget"}, _forget_old)
    ring(CHORES)  # the next may have come meanwhile


def _rescue(shop: Workshop) -> None:
    """Begins anew what no workflow sees to any more, tasks and callbacks: the last resort, so that nothing waits for
    ever. What has not ended within a day of its turn ends here."""
    now = now_ms()
    with shop.database.transaction() as tx:
        separation = sa.literal("separation-").concat(task_rows.c.id)
        latest = now + PATIENT_MS  # what is later than it can be is from before the clock was set back
        delayed = latest + int(max(shop.settings.callback_delays_seconds, default=0) * 1000)
        old = [~each.between(now - PATIENT_MS, latest) for each in (task_rows.c.released, callbacks.c.created)]
        lost = _unseen(tx, delayed, separation, task_rows.c.completed.is_(None), old[0])
        number = sa.cast(callbacks.c.attempts + 1, sa.String)
        message = callbacks.c.id.concat(".").concat(number)
        lost += _unseen(tx, delayed, message, callbacks.c.state == "pending", old[1])
        late = [task for task in tasks.released_before(tx, now - retention.DAY_MS) if f"separation-{task}" in lost]
        again = [each for each in lost if each.removeprefix("separation-") not in late]
        _begin_anew(tx, again)
    for workflow_id in again:
        log.warning("workflow %s was lost and begins anew", workflow_id)
    for task_id in late:
        answer = {"failure": "separation", "error": "The separation was interrupted again and again, for a day."}
        running.end(shop, task_id, answer, enqueue=enqueue_callback)
        running.tidy(shop, task_id)


def _unseen(
    tx: sa.Connection, delayed: int, workflow_id: sa.ColumnElement[str], *where: sa.ColumnElement[bool]
) -> list[str]:
    """Names of the workflows that there should be for these rows, and are not: ended, failed, gone or `delayed`."""
    rows = _table(tx, "workflow_status")
    waits = sa.and_(rows.c.status == "DELAYED", rows.c.delay_until_epoch_ms <= delayed)
    alive = sa.exists().where(rows.c.workflow_uuid == workflow_id, sa.or_(_UNFINISHED, waits))
    return list(tx.execute(sa.select(workflow_id).where(*where, ~alive).limit(1000)).scalars())


def _forget_old() -> int:
    """Removes the records of workflows that ended long ago; returns how many."""
    from dbos import DBOS

    before, removed = (datetime.now(UTC) - timedelta(days=KEPT_DAYS)).isoformat(), 0
    for _ in range(FORGET_ROUNDS):
        old = DBOS.list_workflows(completed_before=before, limit=FORGOTTEN, load_input=False, load_output=False)
        DBOS.delete_workflows([workflow.workflow_id for workflow in old])
        removed += len(old)
        if len(old) < FORGOTTEN:
            break
    return removed


def _bound(workflow: Any, shop: Workshop) -> Any:
    """The workflow as DBOS knows it: only what is stored is an argument."""

    from dbos import DBOS

    @functools.wraps(workflow)
    def run(*args: Any) -> Any:
        workflow_id = str(DBOS.workflow_id)
        _here.add(workflow_id)
        try:
            with shop.running():
                return workflow(shop, *args)
        finally:
            _here.discard(workflow_id)
            if workflow is _separation:
                shop.freed.set()

    run.__qualname__ = workflow.__name__
    del run.__wrapped__  # or its signature would be taken for this one's
    return run


def _serializer() -> Any:
    from dbos import DBOSPortableJSONSerializer

    return DBOSPortableJSONSerializer()


def _url(database: Database) -> str:
    url = database.url if database.sqlite else database.url.set(drivername="postgresql")
    return url.render_as_string(hide_password=False)

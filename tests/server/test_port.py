"""A worker's own port, its warm child, and its logs, seen from outside."""

import json
import re
import socket
import subprocess
import sys
import time

import httpx2
import pytest

from stemwright.server import fleet, tasks
from stemwright.server.store.database import Database
from tests.crash.house import Receiver

from .crew import Crew, Submit, crew, hook, submit, wait  # noqa: F401  fixtures


@pytest.fixture
def number() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def asked(number: int, path: str) -> httpx2.Response:
    return httpx2.get(f"http://127.0.0.1:{number}{path}", timeout=10, trust_env=False)


def answers(number: int) -> bool:
    try:
        return asked(number, "/livez").json() == {"status": "ok"}
    except httpx2.TransportError:
        return False


def figure(number: int, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", asked(number, "/metrics").text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def test_a_worker_tells_how_it_is(database: Database, submit: Submit, crew: Crew, hook: Receiver, number: int) -> None:
    process = crew.start(worker_port=number, drain_seconds=5)
    wait(lambda: answers(number))
    assert asked(number, "/readyz").json() == {"status": "ready", "database": "ok"}
    good, bad = submit(), submit(die="SIGSEGV")
    wait(lambda: bool(hook.got[good]) and bool(hook.got[bad]))
    wait(lambda: figure(number, 'stemwright_callback_attempts_total{outcome="delivered"}') == 2)
    assert figure(number, 'stemwright_tasks_ended_total{kind="split_stem",state="finished"}') == 1
    assert figure(number, 'stemwright_tasks_ended_total{kind="split_stem",state="failed"}') == 1
    assert figure(number, 'stemwright_task_retries_total{reason="child"}') == 1  # the second time it failed
    assert figure(number, 'stemwright_task_retries_total{reason="worker"}') == 0
    for stage in ("waiting", "separating", "storing"):
        named = f'stemwright_task_seconds_count{{kind="split_stem",model="twelve",stage="{stage}"}}'
        assert figure(number, named) >= 1
    assert asked(number, "/nothing").status_code == 404
    running = submit(seconds=3)
    wait(lambda: figure(number, "stemwright_slots_busy") == 1)
    process.terminate()
    wait(lambda: not answers(number) or asked(number, "/readyz").status_code == 503)
    assert process.wait(30) == 0
    with database.read() as tx:
        assert tasks.find(tx, running).state == "finished"


@pytest.mark.parametrize("deployment", ["postgresql"], indirect=True)
def test_a_worker_whose_database_says_nothing_tells_so_within_a_moment(
    database: Database, crew: Crew, number: int
) -> None:
    process = crew.start(worker_port=number)
    wait(lambda: crew.is_ready(process))
    with database.transaction() as tx:
        tx.exec_driver_sql("LOCK TABLE workers")
        began = time.monotonic()
        answer = asked(number, "/readyz")
        assert time.monotonic() - began < 5
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable", "database": "unavailable"})


def test_a_worker_whose_port_is_taken_takes_no_task(database: Database, submit: Submit, crew: Crew) -> None:
    """A supervisor starts it again and again: so many attempts would be the task's end."""
    task = submit()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert crew.start(worker_port=taken.getsockname()[1]).wait(30) == 1
    with database.read() as tx:
        assert fleet.slots(tx, dead_after_ms=60_000, now=fleet.clock(tx)) == {}
        assert (tasks.find(tx, task).state, tasks.find(tx, task).attempt) == ("queued", 0)


def test_a_task_that_another_worker_begins_again_is_counted_once(
    database: Database, submit: Submit, crew: Crew, hook: Receiver, number: int
) -> None:
    """And not the callback of another task that it takes over too."""
    hook.answer = lambda _number: 503
    first = crew.start(callback_delays_seconds=",".join(["0.2"] * 300))
    told, running = submit(), submit(seconds=2)

    def begun() -> bool:
        with database.read() as tx:
            return bool(hook.got[told]) and tasks.find(tx, running).state == "separating"

    wait(begun)
    first.kill()
    first.wait()
    hook.answer = lambda _number: 200
    crew.start(worker_port=number)
    wait(lambda: bool(hook.got[running]))
    assert figure(number, 'stemwright_task_retries_total{reason="worker"}') == 1


OTHER_THREAD = """
import os, signal, threading
from stemwright.server import worker
told = worker._listen_to_signals()
threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)).start()
os.read(told, 1)
"""


def test_a_signal_is_heard_whichever_thread_the_system_interrupts() -> None:
    subprocess.run([sys.executable, "-c", OTHER_THREAD], check=True, timeout=60)


def test_an_idle_child_is_ended_whoever_asks_for_figures(
    submit: Submit, crew: Crew, hook: Receiver, number: int
) -> None:
    crew.start(worker_port=number, child_idle_seconds=4)
    wait(lambda: answers(number))
    task = submit()
    wait(lambda: bool(hook.got[task]))
    assert figure(number, "stemwright_children") == 1  # warm
    wait(lambda: figure(number, "stemwright_children") == 0)  # and asked for all the time


def test_a_task_that_kills_its_child_twice_fails_with_a_reason(
    database: Database, submit: Submit, crew: Crew, hook: Receiver
) -> None:
    crew.start()
    task_id = submit(die="SIGKILL")
    wait(lambda: bool(hook.got[task_id]))
    with database.read() as tx:
        task = tasks.find(tx, task_id)
    assert (task.state, task.failure) == ("failed", "separation")
    assert task.error is not None
    assert "(signal SIGKILL). It did so 2 times" in task.error


def test_a_task_is_told_of_by_its_request_in_every_process(submit: Submit, crew: Crew, hook: Receiver) -> None:
    """The worker's own lines, and what the child printed."""
    crew.start(log_format="json")
    task_id = submit(mutter="a codec complains of https://a.example/?secret=hunter2")
    wait(lambda: bool(hook.got[task_id]))
    time.sleep(0.2)
    lines = [json.loads(line) for line in crew.log.read_text().splitlines()]
    about = [line for line in lines if line.get("task_id") == task_id]
    assert {line["request_id"] for line in about} == {"request-of-a-test"}
    assert {line["logger"] for line in about} >= {"stemwright.worker", "stemwright.child"}
    assert "hunter2" not in crew.log.read_text()

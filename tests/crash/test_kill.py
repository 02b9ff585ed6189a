"""kill -9 at every transition: the task ends once, is paid or given back once, and its owner is told."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemwright.server import credits
from tests.crash.house import House, Receiver, receiver

WORKER, CHILD = "stemwright.server.worker", "stub_child.py"


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


@pytest.fixture
def house(tmp_path: Path, hook: Receiver) -> Iterator[House]:
    house = House(tmp_path / "data", hook)
    try:
        house.open()
        yield house
    finally:
        house.close()


def test_everything_is_killed_in_each_state(house: House, hook: Receiver) -> None:
    """One task for each state; the next start takes up what the last one left."""
    hook.song, hook.song_seconds = b'{"seconds": 0.5}', 0.5
    ended = []
    for state in ("queued", "fetching", "separating", "storing"):
        task = house.create(audioUrl=f"{hook.url}/song.mp3")
        house.wait_for_state(task, state, "finished")
        house.kill_everything()
        house.start()
        ended.append(task)
    house.wait_until_told(*ended)
    house.check(*ended)


def test_everything_is_killed_while_the_callback_is_on_its_way(house: House, hook: Receiver) -> None:
    def slow(number: int) -> int:
        time.sleep(1.0)
        return 200

    hook.answer = slow
    task = house.submit()
    house.wait_for(lambda: hook.got[task])
    house.kill_everything()
    assert house.task(task).state == "finished"
    house.start()
    house.wait_until_told(task)
    house.check(task)
    assert len(hook.got[task]) == 2


def test_the_worker_is_killed_in_each_state(house: House, hook: Receiver) -> None:
    hook.song, hook.song_seconds = b'{"seconds": 0.5}', 0.5
    ended = []
    for state in ("fetching", "separating", "storing"):
        task = house.create(audioUrl=f"{hook.url}/song.mp3")
        house.wait_for_state(task, state, "finished")
        assert house.kill(WORKER)
        house.wait_until_told(task)
        ended.append(task)
    house.check(*ended)


def test_the_separation_process_is_killed(house: House) -> None:
    """Once: the task is tried again. Every time: it fails, and its credits are given back."""
    once, always = house.submit(die="SIGKILL", once=str(house.data / "mark")), house.submit(die="SIGSEGV")
    house.wait_until_told(once, always)
    house.check(once)
    house.check(always, state="failed")
    with house.database.read() as tx:
        assert credits.balance(tx, house.account.id) == 1000 - 5
    (house.data / "mark").unlink()


def test_a_callback_is_tried_again_on_schedule(house: House, hook: Receiver) -> None:
    hook.answer = lambda number: 500 if number < 3 else 200
    task = house.submit()
    house.wait_for_state(task, "finished")
    house.wait_for(lambda: hook.got[task])
    house.kill_everything()
    house.start()
    house.wait_until_told(task)
    house.check(task)
    assert len(hook.got[task]) in (3, 4)


def test_a_frozen_worker_is_replaced_and_changes_nothing_when_it_wakes(house: House) -> None:
    task = house.submit(seconds=5)
    house.wait_for_state(task, "separating")
    frozen = house.freeze(WORKER, CHILD)
    before = house.task(task).attempt
    other = _second_worker(house)
    try:
        house.wait_for(lambda: house.task(task).attempt > before)
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        house.wait_until_told(task)
        house.check(task)
    finally:
        other.kill()
        other.wait()


def test_the_worker_and_its_child_end_with_the_server(house: House) -> None:
    task = house.submit(seconds=30)
    house.wait_for_state(task, "separating")
    assert house.process is not None
    house.process.kill()
    house.wait_for(lambda: not house._pids(WORKER) and not house._pids(CHILD))
    house.kill_everything()


def test_a_polite_stop_hands_the_task_to_the_next_start(house: House) -> None:
    task = house.submit(seconds=2)
    house.wait_for_state(task, "separating")
    assert house.stop() == 0
    assert house.task(task).completed is None
    house.start()
    house.wait_until_told(task)
    house.check(task)


@pytest.mark.slow
def test_everything_is_killed_at_random_moments(house: House, hook: Receiver) -> None:
    chance = random.Random(20261121)
    hook.answer = lambda number: chance.choice([200, 200, 500])
    ended = []
    for _ in range(5):
        ended += [house.submit(seconds=chance.random() * 0.4) for _ in range(5)]
        time.sleep(chance.random() * 2.5)
        house.kill(chance.choice([WORKER, CHILD]))
        time.sleep(chance.random() * 0.5)
        house.kill_everything()
        house.start()
    hook.answer = lambda number: 200
    house.wait_for(lambda: all(house.task(task).completed for task in ended), 90)
    with house.database.read() as tx:
        assert credits.audit(tx) == []
    finished = [task for task in ended if house.task(task).state == "finished"]
    assert len(finished) == len(ended)


def _second_worker(house: House) -> subprocess.Popen[bytes]:
    assert house.process is not None
    environment = dict(
        line.split("=", 1) for line in Path(f"/proc/{house.process.pid}/environ").read_text().split("\0") if "=" in line
    )
    command = [sys.executable, "-c", "from stemwright.server.commands import worker; worker()"]
    return subprocess.Popen(command, env=os.environ | environment, stderr=house.log)

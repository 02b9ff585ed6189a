"""kill -9 at every transition: the task ends once, is paid or given back once, and its owner is told."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemwright.server import credits
from tests.crash.house import House, Receiver
from tests.servers import Deployment

from .conftest import ALONE, opened

WORKER, CHILD = "stemwright.server.worker", "stub_child.py"


@pytest.fixture
def house(hook: Receiver, deployment: Deployment, tmp_path: Path) -> Iterator[House]:
    with opened(hook, deployment, tmp_path) as house:
        yield house


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


@ALONE
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


@ALONE
def test_the_separation_process_is_killed(house: House) -> None:
    """Once: the task is tried again. Every time: it fails, and its credits are given back."""
    once, always = house.submit(die="SIGKILL", once=str(house.data / "mark")), house.submit(die="SIGSEGV")
    house.wait_until_told(once, always)
    house.kill(CHILD)  # the idle one
    after = house.submit()
    house.wait_until_told(after)
    house.check(after)
    house.check(once)
    house.check(always, state="failed")
    with house.database.read() as tx:
        assert credits.balance(tx, house.account.id) == 1_000_000 - 2 * 5
    (house.data / "mark").unlink()


@ALONE
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


@ALONE
def test_a_frozen_worker_is_ended_and_its_task_goes_on(house: House) -> None:
    """Nobody else is there to do it: the server watches its own worker."""
    task = house.submit(seconds=2)
    house.wait_for_state(task, "separating")
    frozen = house.freeze(WORKER)
    house.wait_for(lambda: not set(frozen) & set(house._pids(WORKER)))
    house.wait_until_told(task)
    house.check(task)


@ALONE
def test_the_worker_and_its_child_end_with_the_server(house: House) -> None:
    task = house.submit(seconds=30)
    house.wait_for_state(task, "separating")
    assert house.process is not None
    house.process.kill()
    house.wait_for(lambda: not house._pids(WORKER) and not house._pids(CHILD))
    house.kill_everything()


@ALONE
def test_a_polite_stop_hands_the_task_to_the_next_start(house: House) -> None:
    task = house.submit(seconds=2)
    house.wait_for_state(task, "separating")
    assert house.stop() == 0
    assert house.task(task).completed is None
    house.start()
    house.wait_until_told(task)
    house.check(task)


@ALONE
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

"""A process kills itself at a named point, once for every point of a task's way: before and after each transition."""

import json
import signal
from collections.abc import Iterator

import httpx2
import pytest

from tests.crash.house import House, receiver
from tests.servers import Deployment

from .conftest import FLEET, opened

# In the order of a task's life. "after" a function that takes `tx` is inside of its transaction: before the commit.
WORKER = [
    "workflows.release after",
    "tasks.begin after",
    "Client.get_to_file after",
    "arrivals.announce after",
    "blobs.put after",
    "tasks.keep_source after",
    "running.fetch after",
    "Child.separate after",
    "tasks.advance after",
    "running.separate after",
    "tasks.finish after",
    "workflows.enqueue_callback after",
    "running.end after",
    "running.tidy before",
    "running.tidy after",
    "callbacks.attempt before",
    "callbacks.attempt after",
    "tasks.delivered after",
    "running.note_delivery after",
]
TAKING_OVER = ["workflows.take_over after", "fleet.forget after"]
UPLOAD = ["arrivals.announce after", "blobs.put before", "blobs.put after", "tracks.register after"]
CREATE = ["tasks.submit after", "Database.together after"]


@pytest.fixture(scope="module")
def house(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One API process and two workers; whoever dies is replaced at once."""
    folder = tmp_path_factory.mktemp("points")
    (folder / "faults").mkdir()
    (folder / "faults" / "points").touch()
    with receiver() as hook, opened(hook, deployment, folder, workers=2, task_seconds=110) as house:
        yield house


def named(house: House, point: str) -> str:
    """The point as the deployment's own store has it."""
    return point.replace("blobs.", f"{type(house.blobs).__name__}.")


@pytest.mark.parametrize("point", WORKER)
def test_the_worker_dies(house: House, point: str) -> None:
    house.arm(named(house, point))
    task = house.create(audioUrl=f"{house.receiver.url}/song.mp3")
    house.wait_for(house.has_died)
    house.wait_until_told(task)
    house.check(task)


def test_the_worker_dies_with_a_task_that_fails(house: House) -> None:
    house.arm("tasks.fail after")
    task = house.submit(refuse="a poem")
    house.wait_for(house.has_died)
    house.wait_until_told(task)
    house.check(task, state="failed")


@pytest.mark.parametrize("point", TAKING_OVER)
def test_the_one_who_takes_over_dies_too(house: House, point: str) -> None:
    task = house.submit(seconds=1)
    house.wait_for_state(task, "separating", "storing", "finished")
    house.arm(point)
    house.kill_holder(task)
    house.wait_for(house.has_died)
    house.wait_until_told(task)
    house.check(task)


def test_a_cancel_dies_and_is_said_again(house: House) -> None:
    """Whoever dies before the end has cancelled nothing: the task goes on until somebody says it again."""
    task = house.submit(seconds=100)
    house.wait_for_state(task, "separating")
    house.arm("tasks.cancel after")
    assert house.command("tasks", "cancel", task) == -signal.SIGKILL
    assert house.task(task).state == "separating"
    assert house.command("tasks", "cancel", task) == 0
    house.wait_until_told(task)
    house.check(task, state="cancelled")


@pytest.mark.parametrize("point", UPLOAD)
def test_the_api_dies_with_an_upload(house: House, point: str) -> None:
    """The client asks again, as clients do. What the first attempt left goes within a day."""
    house.arm(named(house, point))
    with pytest.raises(httpx2.TransportError):
        house.upload()
    house.kill_everything()
    house.start()
    task = house.submit()
    house.wait_until_told(task)
    house.check(task)


@pytest.mark.parametrize("point", CREATE)
def test_the_api_dies_with_a_create(house: House, point: str) -> None:
    """The same key again: one task, one charge, whether or not the first answer was lost."""
    body = {**house.upload(), "type": "split_stem", "callBackUrl": f"{house.receiver.url}/hook"}
    ask = {"url": "/api/v1/vocal-removal/generate", "json": body, "headers": {"Idempotency-Key": point}}
    house.arm(point)
    with pytest.raises(httpx2.TransportError):
        house.post(**ask)
    house.kill_everything()
    house.start()
    answers = [json.loads(house.post(**ask).content)["data"]["taskId"] for _ in range(2)]
    assert len(set(answers)) == 1
    house.wait_until_told(answers[0])
    house.check(answers[0])
    assert house.count() == len(house.receiver.got)


@FLEET
def test_a_start_dies_while_it_tries_the_storage(house: House) -> None:
    """What it stored to try is nobody's: those who live clear it away."""
    for _ in range(10):  # a worker that starts meanwhile may be the one that dies
        house.kill_everything()
        house.arm("obstore.put after")
        try:
            house.start()
        except AssertionError:
            break
    assert house.has_died()
    house.check()
    house.start()


def test_every_task_ended_once(house: House) -> None:
    assert house.count() == len(house.receiver.got)

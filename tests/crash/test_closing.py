"""The command that closes an account is killed at one point after another, while workers and their chores go on."""

import signal
from collections.abc import Iterator

import pytest

from stemwright.server import accounts, credits, keys, tasks
from stemwright.server.clock import now_ms
from tests.crash.house import House, everything, receiver
from tests.server.test_closing import rows_of
from tests.servers import Deployment

from .conftest import opened

POINTS = [
    "closing._shut after",
    "tasks.cancel after",
    "blobs.delete after",
    "retention.purge_files after",
    "closing._forget after",
]


@pytest.fixture(scope="module")
def house(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("closing")
    (folder / "faults").mkdir()
    (folder / "faults" / "points").touch()
    with receiver() as hook, opened(hook, deployment, folder, workers=2, task_seconds=110) as house:
        yield house


@pytest.mark.parametrize("point", POINTS)
def test_the_one_who_closes_dies(house: House, point: str) -> None:
    mark = f"mueller{POINTS.index(point)}"
    with house.database.transaction() as tx:
        account = accounts.create(tx, mark, now=now_ms())
        credits.grant(tx, account.id, 100, now=now_ms())
        _, secret = keys.create(tx, account.id, name=mark, now=now_ms())
    mine, house.client.headers["Authorization"] = house.client.headers["Authorization"], f"Bearer {secret}"
    hook = f"{house.receiver.url}/{mark}"
    finished = house.create(audioUrl=f"{house.receiver.url}/{mark}.mp3", callBackUrl=hook)
    house.wait_until_told(finished)
    running = house.create(**house.upload(seconds=100), callBackUrl=hook)
    house.wait_for_state(running, "separating")
    house.client.headers["Authorization"] = mine
    house.arm(point.replace("blobs.", f"{type(house.blobs).__name__}."))
    status = house.command("accounts", "close", mark, "--yes")
    assert house.has_died()  # the command, or whoever was at the chores
    assert status in (0, -signal.SIGKILL)
    assert house.command("accounts", "close", mark, "--yes") in (0, 1)  # there is none of that name once it is done
    house.wait_for(lambda: rows_of(house.database, mark) == [])
    house.wait_for(lambda: not everything(house.blobs))
    with house.database.read() as tx:
        assert credits.audit(tx) == []
        assert (tasks.find(tx, running).state, credits.balance(tx, account.id)) == ("cancelled", 95)
    assert not house.receiver.got[running]


def test_others_went_on(house: House) -> None:
    task = house.submit()
    house.wait_until_told(task)
    assert house.task(task).state == "finished"

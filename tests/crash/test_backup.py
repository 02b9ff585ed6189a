"""A copy taken under load is a whole service: it is started, does what was left to do, and nothing is missing."""

import threading
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
import sqlalchemy as sa

from stemwright.errors import BackupElsewhere, BackupNotEmpty
from stemwright.server import backup, tasks
from stemwright.server.settings import Settings
from stemwright.server.store.tables import tasks as task_rows
from tests.crash.house import House, Receiver
from tests.servers import Deployment

from .conftest import ALONE, FLEET, opened


@pytest.fixture
def house(hook: Receiver, deployment: Deployment, tmp_path: Path) -> Iterator[House]:
    with opened(hook, deployment, tmp_path, workers=1) as house:
        yield house


def keep_busy(house: House, over: threading.Event) -> threading.Thread:
    """Asks for tasks until it is over."""

    def ask() -> None:
        while not over.wait(0.05):
            house.submit(seconds=0.2)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def restored(house: House, places: dict, hook: Receiver) -> None:
    """Starts a service on the copy, which finishes every task that it holds."""
    (places["data"].parent / "faults").mkdir(exist_ok=True)
    copy = House(places, hook, workers=1)
    copy.account = house.account
    try:
        copy.start()
        copy.crew.start()
        with copy.database.read() as tx:
            held = list(tx.execute(sa.select(task_rows.c.id)).scalars())
            assert any(tasks.find(tx, task).completed is None for task in held)
        copy.wait_for(lambda: all(copy.task(task).completed for task in held))
        copy.wait_for(lambda: not copy.untold())
        copy.check(*held)
    finally:
        copy.close()


@ALONE
def test_a_copied_folder_is_a_service(house: House, hook: Receiver, tmp_path: Path) -> None:
    over = threading.Event()
    asking = keep_busy(house, over)
    house.wait_for(lambda: house.count() > 8)
    found = backup.back_up(Settings(data=house.data), tmp_path / "copy" / "data")
    assert found["blobs"] > 8
    over.set()
    asking.join()
    house.crew.stop()
    house.kill_everything()  # what was copied is all there is
    restored(house, {"data": tmp_path / "copy" / "data"}, hook)


@FLEET
def test_a_dump_and_a_copy_of_the_bucket_are_a_service(
    house: House, hook: Receiver, deployment: Deployment, tmp_path: Path
) -> None:
    """The guide's commands: pg_dump, then the bucket, then pg_restore."""
    assert deployment.postgresql is not None
    over = threading.Event()
    asking = keep_busy(house, over)
    house.wait_for(lambda: house.count() > 8)
    plain = house.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    deployment.postgresql.tool("pg_dump", "--format=custom", f"--file={tmp_path / 'dump'}", plain)
    store = house.blobs._store  # type: ignore[attr-defined]
    everything = [meta["path"] for page in obstore.list(store) for meta in page]
    over.set()
    asking.join()
    house.crew.stop()
    house.kill_everything()
    with deployment.empty(tmp_path / "copy" / "data") as places:
        url = sa.make_url(places["database_url"]).set(drivername="postgresql").render_as_string(hide_password=False)
        deployment.postgresql.tool("pg_restore", f"--dbname={url}", str(tmp_path / "dump"))
        copy = House(places, hook)
        known = set(backup.owned(copy.database))
        for name in everything:
            if name.rpartition("/")[2] in known:
                obstore.put(copy.blobs._store, name.rpartition("/")[2], obstore.get(store, name).bytes())  # type: ignore[attr-defined]
        copy.close()
        restored(house, places, hook)


@ALONE
def test_only_an_empty_folder_takes_a_copy(house: House, tmp_path: Path) -> None:
    with pytest.raises(BackupNotEmpty):
        backup.back_up(Settings(data=house.data), house.data)


@FLEET
def test_servers_are_copied_with_their_own_tools(house: House, tmp_path: Path) -> None:
    with pytest.raises(BackupElsewhere, match="pg_dump"):
        backup.back_up(Settings(**house.places), tmp_path / "copy")

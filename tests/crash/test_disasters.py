"""What the service lives on goes away, lies, fills up or jumps, while tasks are in every state."""

import contextlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from stemwright.server import arrivals, tasks
from stemwright.server.clock import now_ms
from tests.crash.house import DAY_MS, House, Receiver
from tests.servers import Deployment, PostgreSQL

from .conftest import ALONE, FLEET, opened


@pytest.fixture
def house(hook: Receiver, deployment: Deployment, tmp_path: Path) -> Iterator[House]:
    with opened(hook, deployment, tmp_path, workers=2) as house:
        yield house


@pytest.fixture
def database_server(deployment: Deployment) -> PostgreSQL:
    assert deployment.postgresql is not None
    return deployment.postgresql


def under_way(house: House) -> list[str]:
    """Tasks in every state: some wait, some separate, some are stored, some are told of."""
    house.receiver.song, house.receiver.song_seconds = b'{"seconds": 0.3}', 0.2
    fetched = [house.create(audioUrl=f"{house.receiver.url}/song.mp3") for _ in range(4)]
    stored = [house.submit(seconds=0.1 * number) for number in range(6)]
    house.wait_for_state(stored[0], "separating", "storing", "finished")
    return fetched + stored


@FLEET
def test_the_database_is_killed_and_comes_back(house: House, database_server: PostgreSQL) -> None:
    ended = under_way(house)
    database_server.kill()
    time.sleep(2)
    refused = house.try_upload()
    database_server.start()
    house.wait_until_told(*ended)
    house.check(*ended)
    assert (refused.status_code, refused.headers["retry-after"]) == (500, "10")
    assert "Traceback" not in house.log_text()


@FLEET
def test_the_database_hangs_and_goes_on(house: House, database_server: PostgreSQL) -> None:
    """Nobody waits until it does: it may be never."""
    ended = under_way(house)
    with database_server.frozen():
        (refused, upload_seconds), (told, look_seconds) = timed(house.try_upload), timed(house.look)
        with ThreadPoolExecutor(100) as crowd:
            answers = list(crowd.map(lambda _: timed(house.try_upload), range(100)))
    house.wait_for(lambda: house.look().status_code == 200, 30)
    ended.append(house.submit())
    house.wait_until_told(*ended)
    house.check(*ended)
    assert (refused.status_code, refused.headers["retry-after"]) == (500, "10")
    assert (told.status_code, told.json()["database"]) == (503, "unavailable")
    assert upload_seconds < 25
    assert look_seconds < 8
    assert {answer.status_code for answer, _ in answers} == {500}
    assert max(seconds for _, seconds in answers) < 25
    assert "Traceback" not in house.log_text()


def timed(act: Callable[[], httpx2.Response]) -> tuple[httpx2.Response, float]:
    """What came of it, and in how many seconds."""
    began = time.monotonic()
    return act(), time.monotonic() - began


@FLEET
def test_the_database_takes_no_writes_for_a_while(house: House, database_server: PostgreSQL) -> None:
    """As one whose server became a standby, or whose provider closed it: connections from then stay so for good."""
    ended = under_way(house)
    closed, name = "default_transaction_read_only", house.database.url.database
    database_server.execute(f"ALTER DATABASE {name} SET {closed} = on")
    database_server.cut(house.database.url.render_as_string(hide_password=False))
    refused = house.try_upload()
    told = house.look().json()
    time.sleep(4)
    database_server.execute(f"ALTER DATABASE {name} RESET {closed}")
    house.wait_until_told(*ended)
    house.check(*ended)
    house.wait_for(lambda: house.look().json()["status"] == "ready", 30)
    assert (refused.status_code, refused.headers["retry-after"]) == (500, "10")
    assert (told["status"], told["database"]) == ("degraded", "read-only")
    assert "Traceback" not in house.log_text()


@FLEET
def test_every_connection_to_the_database_is_cut_again_and_again(house: House, database_server: PostgreSQL) -> None:
    ended = under_way(house)
    for _ in range(8):
        database_server.cut(house.database.url.render_as_string(hide_password=False))
        time.sleep(0.3)
    house.wait_until_told(*ended)
    house.check(*ended)


@FLEET
def test_the_database_is_dropped_and_restored(house: House, database_server: PostgreSQL, tmp_path: Path) -> None:
    """Under processes that run on: they say that it is gone, and go on with what is restored, none started anew."""
    before = house.submit()
    house.wait_until_told(before)
    url, alive = house.database.url, [house.process, *house.crew.processes]
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    database_server.tool("pg_dump", "--format=custom", f"--file={tmp_path / 'dump'}", plain)
    database_server.drop(house.database.url.render_as_string(hide_password=False))
    refused = house.try_upload()
    assert house.look().status_code == 503
    time.sleep(2)
    database_server.execute(f"CREATE DATABASE {url.database}")
    database_server.tool("pg_restore", f"--dbname={plain}", str(tmp_path / "dump"))
    after = house.submit()
    house.wait_until_told(after)
    house.check(before, after)
    assert refused.status_code == 500
    assert [house.process, *house.crew.processes] == alive
    assert all(process and process.poll() is None for process in alive)


@ALONE
def test_another_process_holds_the_database(house: House) -> None:
    ended = under_way(house)
    with house.database.transaction():
        time.sleep(3)
    house.wait_until_told(*ended)
    house.check(*ended)


@FLEET
def test_the_storage_is_away_for_a_while(house: House, deployment: Deployment) -> None:
    assert deployment.s3 is not None
    ended = under_way(house)
    deployment.s3.weather(down=True)
    try:
        refused = house.try_upload()
        time.sleep(2)
    finally:
        deployment.s3.weather()
    assert refused.status_code == 500
    assert "again later" in refused.json()["msg"]
    house.wait_until_told(*ended)
    house.check(*ended)


@FLEET
def test_the_storage_is_away_for_longer_than_a_worker_waits(
    hook: Receiver, deployment: Deployment, tmp_path: Path
) -> None:
    """Its step is given up then, and begun again later."""
    assert deployment.s3 is not None
    (tmp_path / "faults").mkdir()
    (tmp_path / "faults" / "patience").write_text("1")
    with opened(hook, deployment, tmp_path, workers=2) as house:
        ended = under_way(house)
        deployment.s3.weather(down=True)
        try:
            house.wait_for(lambda: "is tried again in" in house.said())
        finally:
            deployment.s3.weather()
        house.wait_until_told(*ended)
        house.check(*ended)


@FLEET
def test_the_storage_loses_half_of_its_writes(house: House, deployment: Deployment) -> None:
    """A quarter is refused, and of the rest a third is confirmed and forgotten."""
    assert deployment.s3 is not None
    deployment.s3.weather(refuse=0.25, swallow=0.33)
    try:
        ended = under_way(house)
        house.wait_until_told(*ended)
    finally:
        deployment.s3.weather()
    house.check(*ended)


@pytest.mark.parametrize("jump", [3600, -3600])
def test_the_clock_jumps(house: House, jump: int) -> None:
    ended = under_way(house)
    house.set_clock(jump)
    ended += [house.submit()]
    assert house.kill_worker()
    house.wait_until_told(*ended)
    house.set_clock(0)
    house.check(*ended)


def test_a_clock_that_is_days_ahead_deletes_nothing_and_holds_nothing_up(
    hook: Receiver, deployment: Deployment, tmp_path: Path
) -> None:
    """The database's own clock is right; the callback is put off in the wrong time, and due once that is over."""
    hook.answer = lambda number: 503 if number == 1 else 200
    with opened(hook, deployment, tmp_path, workers=1, callback_delays_seconds="0,5,5") as house:
        song = house.upload()
        house.set_clock(5 * DAY_MS / 1000)
        with house.database.transaction() as tx:
            arrivals.announce(tx, ["left over"], task_id="0" * 32, now=now_ms() - 2 * DAY_MS)
        house.wait_for(lambda: not left_over(house), 60)  # everything was looked through
        told = house.submit()
        house.wait_for(lambda: any(callback.attempts for callback in deliveries(house, told)))
        house.set_clock(0)
        ended = [told, house.create(**song)]
        house.wait_until_told(*ended)
        house.check(*ended)


def left_over(house: House) -> list[str]:
    with house.database.read() as tx:
        return arrivals.of_task(tx, "0" * 32)


def deliveries(house: House, task_id: str) -> list[tasks.Delivery]:
    with house.database.read() as tx:
        return [found] if (found := tasks.delivery(tx, task_id)) else []


@ALONE
def test_the_receiver_is_away_and_slow_and_back(hook: Receiver, deployment: Deployment, tmp_path: Path) -> None:
    """It hangs up, refuses, answers too late, refuses again; and takes it then."""

    def flapping(number: int) -> int:
        time.sleep(4 if number == 3 else 0)
        return {1: 0, 2: 503, 4: 500}.get(number, 200)

    hook.answer = flapping
    patient = {"callback_timeout_seconds": 2, "callback_delays_seconds": ",".join(["0.2"] * 30)}
    with opened(hook, deployment, tmp_path, workers=2, **patient) as house:
        ended = under_way(house)
        house.wait_until_told(*ended)
        assert all(len(hook.got[task]) >= 5 for task in ended)
        house.check(*ended)


@ALONE
def test_the_disk_is_full(hook: Receiver, deployment: Deployment, tmp_path: Path) -> None:
    """Whatever was accepted ends once, in success or with its credits back; the rest is refused."""
    log = tmp_path / "log"
    with small_disk(tmp_path / "disk", log, megabytes=16) as disk, opened(hook, deployment, disk, workers=2) as house:
        ended = under_way(house)
        ballast = disk / "ballast"
        fill(ballast)
        refused = [house.try_upload().status_code for _ in range(3)]
        told = house.look().json()
        time.sleep(2)
        ballast.unlink()
        ended.append(house.submit())
        house.wait_for(lambda: all(house.task(task).completed for task in ended))
        house.wait_until_told(*ended)
        for task in ended:
            house.check(task, state=house.task(task).state)
        assert 0 < log.read_text().count("beat went wrong") <= 4  # not with every heartbeat
        assert not re.search(r" stemwright\..*\nTraceback", log.read_text())
        assert refused == [500] * 3
        assert (told["status"], told["storage"]) == ("degraded", "unavailable")


@contextlib.contextmanager
def small_disk(folder: Path, log: Path, *, megabytes: int) -> Iterator[Path]:
    """A file system that is soon full, with a log elsewhere. Only root may mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    (folder / "log").symlink_to(log)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """Writes until there is no room."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass

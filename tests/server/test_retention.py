"""Retention: the bytes go when their time is over, the rows stay."""

import pytest

from stemwright.errors import TrackNotFound
from stemwright.server import accounts, arrivals, retention, tasks, tracks
from stemwright.server.settings import Settings
from stemwright.server.store.blobs import Blobs, Folder
from stemwright.server.store.database import Database
from stemwright.server.store.objects import PROBE

from .conftest import NOW, keep
from .test_tasks import FACTS, stem

DAY = 86_400_000


def store(blobs: Blobs, name: str) -> None:
    keep(blobs, name, b"sound")


def purge(database: Database, blobs: Blobs, settings: Settings, now: int) -> dict[str, int]:
    found = retention.purge(database, blobs, settings, now=now)
    return {kind: count for kind, count in found.items() if count}


def finished(database: Database, blobs: Blobs, asked: tasks.Submission, **beside: str) -> tasks.Task:
    for name in (stem().blob, *beside.values()):
        store(blobs, name)
    with database.transaction() as tx:
        task = tasks.submit(tx, asked, now=NOW)
        task = tasks.begin(tx, task.id, state="separating", worker="w", now=NOW)
        tasks.advance(tx, task.id, "storing", attempt=task.attempt)
        return tasks.finish(tx, task.id, [stem()], facts=FACTS | beside, attempt=task.attempt, now=NOW)


def test_an_upload_goes_after_its_days(
    database: Database, blobs: Blobs, settings: Settings, account: object, asked: tasks.Submission
) -> None:
    store(blobs, "upload")
    with database.transaction() as tx:
        track = tracks.register(tx, asked.account_id, blob="upload", size=5, expires=NOW + 10, now=NOW)
    assert purge(database, blobs, settings, NOW + 9) == {}
    assert purge(database, blobs, settings, NOW + 10) == {"tracks": 1}
    assert "upload" not in blobs
    assert "song" in blobs  # the one without an end
    with pytest.raises(TrackNotFound), database.read() as tx:
        tracks.find(tx, asked.account_id, track.task_id, track.audio_id, now=NOW + 10)
    with database.read() as tx:
        found = tracks.by_blob(tx, "upload")
    assert found is not None
    assert found.gone == NOW + 10


def test_a_song_stays_as_long_as_a_task_waits_for_it(
    database: Database, blobs: Blobs, settings: Settings, account: object, asked: tasks.Submission
) -> None:
    store(blobs, "upload")
    with database.transaction() as tx:
        track = tracks.register(tx, asked.account_id, blob="upload", size=5, expires=NOW + 10, now=NOW)
        task = tasks.submit(tx, tasks.Submission(**vars(asked) | {"track": track}), now=NOW)
    assert purge(database, blobs, settings, NOW + 10) == {}
    with database.transaction() as tx:
        tasks.cancel(tx, task.id, now=NOW + 11)
    assert purge(database, blobs, settings, NOW + 12) == {"tracks": 1}


def test_stems_go_after_their_days(
    database: Database, blobs: Blobs, settings: Settings, asked: tasks.Submission
) -> None:
    task = finished(database, blobs, asked)
    assert purge(database, blobs, settings, NOW) == {}
    assert purge(database, blobs, settings, FACTS["expires"]) == {"tasks": 1}
    assert stem().blob not in blobs
    with database.read() as tx:
        assert tasks.find(tx, task.id).gone == FACTS["expires"]
        assert len(tasks.stems_of(tx, task.id)) == 1


def test_what_is_for_the_player_goes_with_the_stems(
    database: Database, blobs: Blobs, settings: Settings, asked: tasks.Submission
) -> None:
    finished(database, blobs, asked, peaks="a.peaks", mix="a.mp3")
    purge(database, blobs, settings, FACTS["expires"])
    assert [name in blobs for name in (stem().blob, "a.peaks", "a.mp3")] == [False] * 3


@pytest.mark.parametrize("waits", [False, True])
def test_a_song_goes_with_its_task_but_not_while_another_account_waits_for_it(
    database: Database, blobs: Blobs, settings: Settings, asked: tasks.Submission, *, waits: bool
) -> None:
    task = finished(database, blobs, asked)
    if waits:
        with database.transaction() as tx:
            other = accounts.create(tx, "other", now=NOW).id
            waiting = tasks.submit(tx, tasks.Submission(**vars(asked) | {"account_id": other, "cost": 0}), now=NOW)
    retention.delete_task(database, blobs, task.id, now=NOW)
    assert ("song" in blobs) == waits
    if waits:
        with database.transaction() as tx:
            tasks.cancel(tx, waiting.id, now=NOW)
        purge(database, blobs, settings, NOW)
    assert "song" not in blobs


def test_a_task_takes_no_song_along_that_is_another_accounts(
    database: Database, blobs: Blobs, asked: tasks.Submission
) -> None:
    with database.transaction() as tx:
        other = accounts.create(tx, "other", now=NOW).id
    task = finished(database, blobs, tasks.Submission(**vars(asked) | {"account_id": other, "cost": 0}))
    retention.delete_task(database, blobs, task.id, now=NOW)
    assert "song" in blobs


def test_a_purge_that_breaks_off_is_done_again(
    database: Database, blobs: Blobs, settings: Settings, asked: tasks.Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(blobs, "upload")
    with database.transaction() as tx:
        tracks.register(tx, asked.account_id, blob="upload", size=5, expires=NOW, now=NOW)
    with monkeypatch.context() as broken:
        broken.setattr(type(blobs), "delete", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            retention.purge(database, blobs, settings, now=NOW)
    assert purge(database, blobs, settings, NOW) == {"tracks": 1}
    assert "upload" not in blobs


def test_a_stem_stays_as_long_as_a_task_waits_for_it(
    database: Database, blobs: Blobs, settings: Settings, asked: tasks.Submission
) -> None:
    over = FACTS["expires"]
    finished(database, blobs, asked)
    with database.transaction() as tx:
        further = tracks.Track("a" * 36, "b" * 32, asked.account_id, stem().blob, 5, NOW)
        waiting = tasks.submit(tx, tasks.Submission(**vars(asked) | {"track": further}), now=over - 1)
    assert purge(database, blobs, settings, over) == {}
    with database.transaction() as tx:
        tasks.cancel(tx, waiting.id, now=over)
    assert purge(database, blobs, settings, over) == {"tasks": 1}


def test_working_folders_of_ended_tasks_go(
    database: Database, blobs: Blobs, settings: Settings, asked: tasks.Submission
) -> None:
    with database.transaction() as tx:
        running, ended = (tasks.submit(tx, asked, now=NOW).id for _ in range(2))
        tasks.cancel(tx, ended, now=NOW)
    for name in (running, ended, "uploads"):
        (settings.work / name).mkdir(parents=True)
    assert purge(database, blobs, settings, NOW) == {"folders": 1}
    assert {folder.name for folder in settings.work.iterdir()} == {running, "uploads"}


def test_what_never_got_an_owner_goes_after_a_day(
    database: Database, blobs: Blobs, settings: Settings, asked: tasks.Submission
) -> None:
    with database.transaction() as tx:
        running = tasks.submit(tx, asked, now=NOW)
        arrivals.announce(tx, ["upload.mp3", "twice"], now=NOW)
        arrivals.announce(tx, ["stem.mp3", "twice"], task_id=running.id, now=NOW)
        arrivals.announce(tx, ["kept.mp3"], now=NOW)
        arrivals.settle(tx, ["kept.mp3"])
    for name in ("upload.mp3", "stem.mp3", "kept.mp3"):
        store(blobs, name)
    assert purge(database, blobs, settings, NOW + DAY) == {}
    assert purge(database, blobs, settings, NOW + DAY + 1) == {"arrivals": 2}
    assert [name in blobs for name in ("upload.mp3", "stem.mp3", "kept.mp3")] == [False, True, True]
    with database.transaction() as tx:
        tasks.cancel(tx, running.id, now=NOW)
    assert purge(database, blobs, settings, NOW + DAY + 1) == {"arrivals": 1}
    assert "stem.mp3" not in blobs


def test_what_never_got_an_owner_goes_however_much_it_is(
    database: Database, blobs: Blobs, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    names = [f"upload{number}.mp3" for number in range(5)]
    with database.transaction() as tx:
        arrivals.announce(tx, names, now=NOW)
    store(blobs, names[-1])
    assert purge(database, blobs, settings, NOW + DAY + 1) == {"arrivals": 5}
    assert names[-1] not in blobs


def test_what_a_killed_check_left_goes(database: Database, blobs: Blobs, settings: Settings) -> None:
    store(blobs, PROBE)
    retention.purge(database, blobs, settings, now=NOW)
    assert (PROBE in blobs) == isinstance(blobs, Folder)  # whose checks leave none

"""Closing an account: whatever tells of somebody is gone, whenever it breaks off and whoever comes in between."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event

import pytest
import sqlalchemy as sa

from stemwright.errors import AccountClosed, AccountNotFound, AccountStays, InvalidKey, NotSignedIn, TaskNotFound
from stemwright.server import accounts, arrivals, closing, credits, keys, sessions, tasks, tracks, workflows
from stemwright.server.clock import now_ms
from stemwright.server.store import tables
from stemwright.server.store.blobs import Blobs
from stemwright.server.store.database import Database
from tests.crash.house import Receiver, everything

from .conftest import NOW, keep
from .crew import Crew, Submit, crew, hook, submit, wait, worker  # noqa: F401
from .test_tasks import FACTS

STEPS = ["_silence", "_cancel", "retention.purge_files", "retention.tracks.forget_bytes", "_forget"]


@dataclass
class Customer:
    """An account with something of every kind; each word that tells of it has its `mark`."""

    account: accounts.Account
    mark: str
    secret: str
    session: str
    unfinished: str
    finished: str
    stem: str


def customer(database: Database, blobs: Blobs, mark: str) -> Customer:
    files = [f"{mark}-upload_Song.mp3", f"{mark}-stem_Vocals.mp3", f"{mark}-peaks", f"{mark}-mix"]
    for name in files:
        keep(blobs, name, json.dumps({}).encode())
    with database.transaction() as tx:
        account = accounts.create(tx, f"studio {mark}", now=NOW)
        credits.grant(tx, account.id, 100, reason="invoice 7", now=NOW)
        key, secret = keys.create(tx, account.id, name=f"key of {mark}", now=NOW)
        session = sessions.begin(tx, key.id, seconds=3600, now=now_ms())
        named = {"title": mark, "file_name": f"{mark}.mp3", "details": {"tags": mark}}
        track = tracks.register(tx, account.id, blob=files[0], size=2, now=NOW, **named)
        address, base = f"http://{mark}.example/hook", f"http://{mark}.example"
        asked = tasks.Submission(account.id, "separate_vocal", "mp3", "apikley", 1, track, callback_url=address)
        asked = replace(asked, key_id=key.id, base_url=base, request_id=f"request-{mark}")
        done, waits = tasks.submit(tx, asked, now=NOW), tasks.submit(tx, asked, now=NOW + 1)
        refused = tasks.submit(tx, replace(asked, track=None, audio_url=f"http://x.example/{mark}.mp3"), now=NOW)
        attempt = tasks.begin(tx, done.id, state="separating", worker="w", now=NOW).attempt
        tasks.advance(tx, done.id, "storing", attempt=attempt)
        part = tasks.Stem(f"{mark}-stem", 0, "vocals", "Vocals", files[1], "mp3", 9, 1.0, False, False, -9.0)
        facts = FACTS | {"peaks": files[2], "mix": files[3], "warnings": [f"odd {mark}"], "expires": now_ms() + 10**9}
        tasks.finish(tx, done.id, [part], facts=facts, attempt=attempt, now=NOW)
        tasks.fail(tx, refused.id, failure="fetch", error=f"{mark}.example does not answer.", now=NOW)
        delivery = tasks.delivery(tx, refused.id)
        assert delivery
        told = {"number": 1, "status": None, "error": f"{mark}.example hung up", "last": False, "now": NOW}
        tasks.delivered(tx, delivery.id, **told)
        answer = {"account_id": account.id, "key": f"order {mark}", "fingerprint": "f", "answer": mark, "created": NOW}
        tx.execute(sa.insert(tables.idempotency).values(answer))
        tx.execute(sa.insert(tables.turns).values(account_id=account.id, kind="split_stem", served=1))
        arrivals.announce(tx, [f"{waits.id}.source"], task_id=waits.id, now=NOW)
    return Customer(account, mark, secret, session, waits.id, done.id, files[1])


def dump(database: Database) -> str:
    """Every value of every row, the queue's included."""
    schemas = [None] if database.sqlite else ["public", "dbos"]
    with database.read() as tx:
        found = [(schema, name) for schema in schemas for name in sa.inspect(tx).get_table_names(schema=schema)]
        places = [f'"{schema}"."{name}"' if schema else f'"{name}"' for schema, name in found]
        return "\n".join(
            f"{place} {tuple(row)}" for place in places for row in tx.exec_driver_sql(f"SELECT * FROM {place}")
        )


def rows_of(database: Database, mark: str) -> list[str]:
    return sorted(row for row in dump(database).splitlines() if mark in row)


def ledger_of(database: Database, account_id: str) -> list[tuple[str, int]]:
    with database.read() as tx:
        return [(entry.kind, entry.amount) for entry in reversed(credits.ledger(tx, account_id))]


def close(database: Database, blobs: Blobs, who: Customer) -> dict[str, object]:
    return closing.close(database, blobs, who.account.name, now=now_ms())


def check_gone(database: Database, blobs: Blobs, who: Customer) -> None:
    assert rows_of(database, who.mark) == []
    assert [name for name in everything(blobs) if who.mark in name] == []
    with database.read() as tx:
        assert credits.audit(tx) == []
        left = accounts.get(tx, who.account.id)
        assert [tasks.find(tx, each).state for each in (who.finished, who.unfinished)] == ["finished", "cancelled"]
        assert keys.listing(tx, who.account.id) == []
        with pytest.raises(InvalidKey):
            keys.verify(tx, who.secret, now=now_ms())
        with pytest.raises(NotSignedIn):
            sessions.find(tx, who.session, address="::1", now=now_ms())
    assert left.name == f"closed-{left.id}"
    assert left.closed
    paid = [("grant", 100), ("charge", -1), ("charge", -1), ("charge", -1), ("refund", 1), ("refund", 1)]
    assert ledger_of(database, who.account.id) == paid


def test_nothing_tells_of_a_closed_account_and_another_is_untouched(database: Database, blobs: Blobs) -> None:
    gone, stays = customer(database, blobs, "mueller"), customer(database, blobs, "meier")
    before, files = rows_of(database, "meier"), {name for name in everything(blobs) if "meier" in name}
    assert len(rows_of(database, "mueller")) == len(before) > 8
    told = close(database, blobs, gone)
    assert (told["account"], told["now"], told["wait"]) == ("studio mueller", f"closed-{gone.account.id}", 0)
    check_gone(database, blobs, gone)
    assert rows_of(database, "meier") == before
    assert everything(blobs) == files
    with database.read() as tx:
        assert keys.verify(tx, stays.secret, now=now_ms()).account_id == stays.account.id


def test_what_it_would_do_is_told_in_numbers(database: Database, blobs: Blobs) -> None:
    who = customer(database, blobs, "mueller")
    before = dump(database)
    with database.read() as tx:
        told = closing.look(tx, who.account.name, now=now_ms())
    assert dump(database) == before
    numbers = {"keys": 1, "tasks": 3, "unfinished": 1, "callbacks": 2, "songs": 1, "stems": 1, "bytes": 11}
    assert {name: told[name] for name in numbers} == numbers
    assert (told["balance"], told["reasons"], told["closed"]) == (98, 1, None)


@pytest.mark.parametrize("step", STEPS)
def test_a_closing_that_breaks_off_is_finished_by_the_next(
    database: Database, blobs: Blobs, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    who, other = customer(database, blobs, "mueller"), customer(database, blobs, "meier")
    before = rows_of(database, "meier")
    with monkeypatch.context() as broken:
        broken.setattr(f"stemwright.server.closing.{step}", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            close(database, blobs, who)
    with pytest.raises(AccountClosed), database.transaction() as tx:
        keys.create(tx, who.account.id, now=now_ms())
    with database.read() as tx, pytest.raises(InvalidKey):
        keys.verify(tx, who.secret, now=now_ms())
    close(database, blobs, who)
    check_gone(database, blobs, who)
    assert rows_of(database, "meier") == before
    assert other.account.id in dump(database)


def test_the_chores_finish_what_was_begun_and_leave_all_others(
    database: Database, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    who, stays = customer(database, blobs, "mueller"), customer(database, blobs, "meier")
    with monkeypatch.context() as broken:
        broken.setattr(closing, "_clear", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            close(database, blobs, who)
    before = rows_of(database, "meier")
    for _ in range(2):
        closing.go_on(database, blobs, now=now_ms())
        check_gone(database, blobs, who)
    assert rows_of(database, stays.mark) == before


def test_the_name_is_free_and_leads_to_nothing_of_the_old_one(database: Database, blobs: Blobs) -> None:
    who = customer(database, blobs, "mueller")
    close(database, blobs, who)
    with pytest.raises(AccountNotFound):
        close(database, blobs, who)
    with database.transaction() as tx:
        anew = accounts.create(tx, who.account.name, now=now_ms())
        assert credits.balance(tx, anew.id) == 0
        with pytest.raises(TaskNotFound):
            tasks.get(tx, anew.id, who.finished)
    with database.read() as tx:  # closed twice by the name it has now: nothing more happens
        since = accounts.get(tx, who.account.id).closed
    told = closing.close(database, blobs, f"closed-{who.account.id}", now=now_ms() + 9)
    assert told["closed"] == since


def test_the_operators_own_account_stays(database: Database, blobs: Blobs) -> None:
    with database.transaction() as tx:
        accounts.create(tx, "admin", now=NOW)
    before = dump(database)
    with pytest.raises(AccountStays):
        closing.close(database, blobs, "admin", now=now_ms())
    assert dump(database) == before


@pytest.mark.parametrize("is_song", [True, False])
def test_a_file_that_another_accounts_task_is_made_of_goes_when_that_has_ended(
    database: Database, blobs: Blobs, *, is_song: bool
) -> None:
    who, other = customer(database, blobs, "mueller"), customer(database, blobs, "meier")
    blob = "mueller-upload_Song.mp3" if is_song else who.stem
    with database.transaction() as tx:
        track = tracks.Track("a" * 36, "b" * 32, other.account.id, blob, 2, NOW)
        asked = tasks.Submission(other.account.id, "separate_vocal", "mp3", "apikley", 1, track)
        ended, waits = (tasks.submit(tx, asked, now=NOW).id for _ in range(2))
        tasks.cancel(tx, ended, now=NOW)
    assert close(database, blobs, who)["wait"] == 1
    closing.go_on(database, blobs, now=now_ms())
    assert {name for name in everything(blobs) if "mueller" in name} >= {blob}
    with pytest.raises(AccountClosed), database.transaction() as tx:
        tasks.submit(tx, replace(asked, account_id=who.account.id), now=NOW)
    with database.transaction() as tx:
        tasks.cancel(tx, waits, now=NOW)
    closing.go_on(database, blobs, now=now_ms())
    with database.transaction() as tx:  # their names of our stems have nothing of a song in them
        tx.execute(sa.update(tables.tasks).where(tables.tasks.c.source == who.stem).values(source=None))
    check_gone(database, blobs, who)


def test_creates_of_the_same_moment_are_refused_or_ended(database: Database, blobs: Blobs) -> None:
    who, go = customer(database, blobs, "mueller"), Event()
    asked = tasks.Submission(who.account.id, "split_stem", "mp3", "apikley", 1, audio_url="http://x.example/mueller")

    def create(_: int) -> int:
        go.wait()
        for made in range(1000):
            try:
                database.together(lambda tx: tasks.submit(tx, asked, max_queued=10**6, now=now_ms()))
            except AccountClosed:
                return made
            with database.transaction() as tx:
                credits.grant(tx, other, 1, now=now_ms())  # a commit of somebody else's
        return -1

    with database.transaction() as tx:
        other = accounts.create(tx, "other", now=NOW).id
        credits.grant(tx, who.account.id, 10**6, now=NOW)
    with ThreadPoolExecutor(5) as threads:
        made = [threads.submit(create, number) for number in range(4)]
        go.set()
        wait(lambda: _balance(database, other) > 3)
        threads.submit(close, database, blobs, who).result()
        assert min(each.result() for each in made) >= 0
    assert rows_of(database, "mueller") == []
    with database.read() as tx:
        assert tasks.unfinished(tx, who.account.id) == 0
        assert credits.audit(tx) == []
        assert credits.balance(tx, who.account.id) == 100 + 10**6 - 1


def _balance(database: Database, account_id: str) -> int:
    with database.read() as tx:
        return credits.balance(tx, account_id)


@pytest.mark.parametrize(
    "add",
    [
        lambda tx, who: keys.create(tx, who.account.id, now=NOW),
        lambda tx, who: keys.rotate(tx, keys.listing(tx, who.account.id)[0].id, now=0),
        lambda tx, who: credits.grant(tx, who.account.id, 1, now=NOW),
        lambda tx, who: tasks.again(tx, who.finished, now=0),
    ],
)
def test_nothing_is_added_once_it_is_being_closed(
    database: Database, blobs: Blobs, add: Callable[[sa.Connection, Customer], object]
) -> None:
    who = customer(database, blobs, "mueller")
    with database.transaction() as tx:
        closing._shut(tx, who.account.name, now=NOW)
    before = dump(database)
    with pytest.raises(AccountClosed), database.transaction() as tx:
        add(tx, who)
    assert dump(database) == before


def test_workers_stop_and_call_nobody(
    database: Database,
    blobs: Blobs,
    account: accounts.Account,
    submit: Submit,
    worker: object,
    crew: Crew,
    hook: Receiver,
) -> None:
    hook.answer = lambda _number: 503
    running, untold = submit(seconds=100), submit(kind="separate_vocal")
    wait(lambda: _task(database, running).state == "separating" and hook.got[untold] != [])
    closing.close(database, blobs, account.name, now=now_ms())
    with database.read() as tx:
        assert credits.audit(tx) == []
        assert tasks.find(tx, running).state == "cancelled"
    wait(lambda: not any(crew.settings.work.iterdir()) and everything(blobs) == set())
    told = len(hook.got[untold])
    with database.transaction() as tx:
        other = accounts.create(tx, "other", now=now_ms())
        credits.grant(tx, other.id, 100, now=now_ms())
    hook.answer = lambda _number: 200
    last = submit(account=other)
    wait(lambda: hook.got[last] != [])
    assert (len(hook.got[untold]), len(hook.got[running])) == (told, 0)
    assert "Traceback" not in crew.log.read_text()


def test_a_callback_that_was_on_its_way_is_written_down_nowhere(database: Database, blobs: Blobs) -> None:
    who = customer(database, blobs, "mueller")
    with database.read() as tx:
        delivery = tasks.delivery(tx, who.finished)
    assert delivery
    close(database, blobs, who)
    with database.transaction() as tx:
        error = {"status": None, "error": "mueller.example hung up"}
        assert tasks.delivered(tx, delivery.id, number=1, last=False, now=now_ms(), **error)  # and there is no next one
        workflows.enqueue_callback(tx, delivery.id)
    assert rows_of(database, "mueller") == []


def _task(database: Database, task_id: str) -> tasks.Task:
    with database.read() as tx:
        return tasks.find(tx, task_id)

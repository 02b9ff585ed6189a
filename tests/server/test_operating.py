"""What an operator asks for at night, as commands: tasks, workers, callbacks, accounts; on either database."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from stemwright.cli import run
from stemwright.server import accounts, credits, fleet, operating, tasks, tracks, turns, workflows
from stemwright.server import settings as settings_module
from stemwright.server.settings import Settings, unknown
from stemwright.server.store.database import Database
from stemwright.server.store.tables import callbacks as callback_rows
from stemwright.server.store.tables import stems as stem_rows
from stemwright.server.store.tables import tasks as task_rows

from .conftest import NOW

Call = Callable[..., Any]


@pytest.fixture
def call(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    for name in ("data", "database_url", "blobs_url"):
        monkeypatch.setenv(f"STEMWRIGHT_{name.upper()}", str(getattr(settings, name)))

    def command(*words: str, status: int = 0) -> Any:
        capsys.readouterr()
        assert run(list(words)) == status
        said = capsys.readouterr()
        if status:
            return said.err
        return json.loads(said.out) if "--json" in words else said.out

    return command


@pytest.fixture
def task(database: Database, asked: tasks.Submission) -> tasks.Task:
    with database.transaction() as tx:
        return tasks.submit(tx, replace(asked, callback_url="https://a.example/cb?secret=hunter2"), now=NOW)


def test_tasks_are_listed(call: Call, task: tasks.Task) -> None:
    (row,) = call("tasks", "list", "--json")
    assert (row["id"], row["state"], row["account"]) == (task.id, "queued", "someone")
    assert call("tasks", "list", "--state", "failed", "--json") == []
    assert [row["id"] for row in call("tasks", "list", "--unfinished", "--account", "someone", "--json")] == [task.id]
    assert re.match(rf"{task.id}  2026-11-18 \S+  queued +0 %  separate_vocal  someone", call("tasks", "list"))
    assert "nobody" in call("tasks", "list", "--account", "nobody", status=1)


@pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
def test_a_list_of_all_does_not_go_through_a_million_tasks_account_by_account(
    database: Database, settings: Settings
) -> None:
    said: list[tuple[str, Any]] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *told: said.append((told[2], told[3])))
    with database.read() as tx:
        operating.tasks(tx, limit=50, settings=settings)
        operating.callbacks(tx, state="failed", limit=50)
        asked = [each for each in said if "LIMIT" in each[0]]
        plans = [str(tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", given).all()) for query, given in asked]
    assert len(plans) == 2
    assert "tasks_of_account" not in str(plans)


def test_a_task_that_waits_says_for_what(
    call: Call, task: tasks.Task, database: Database, asked: tasks.Submission
) -> None:
    def waits_for() -> list[str]:
        return [row["waits_for"] for row in call("tasks", "list", "--unfinished", "--json")]

    assert waits_for() == ["worker"]
    assert "no worker is there" in call("tasks", "show", task.id)
    with database.transaction() as tx:
        now = fleet.clock(tx)
        worker = fleet.register(tx, version="1", device="cpu", model="m", slots=6, now=now)
        tasks.submit(tx, replace(asked, kind="split_stem"), now=NOW + 1)
        some = [tasks.submit(tx, asked, now=NOW + 2 + number) for number in range(3)]
    assert waits_for() == ["turn"] * 5
    with database.transaction() as tx:
        turns.release(tx, fleet={worker: 2}, rules=turns.Rules(4), now=now)
        tasks.begin(tx, task.id, state="separating", worker=worker, now=now)
    assert waits_for() == [None, "start", "turn", "turn", "turn"]
    with database.transaction() as tx:
        turns.release(tx, fleet={worker: 4}, rules=turns.Rules(4), now=now)
    assert waits_for()[-1] == "account"
    assert "as many tasks at once as it may" in call("tasks", "show", some[-1].id)
    with database.transaction() as tx:
        fleet.drain(tx, worker)
    assert waits_for() == [None, "worker", "worker", "worker", "worker"]


def test_slots_for_short_tasks_are_told(
    call: Call, asked: tasks.Submission, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMWRIGHT_SHORT_SLOTS", "1")
    with database.transaction() as tx:
        now = fleet.clock(tx)
        worker = fleet.register(tx, version="1", device="cpu", model="m", slots=2, now=now)
        for number in range(2):
            tasks.submit(tx, replace(asked, kind="split_stem"), now=NOW + number)
        turns.release(tx, fleet={worker: 2}, rules=turns.Rules(4, short_slots=1), now=now)
    rows = call("tasks", "list", "--unfinished", "--json")
    assert [row["waits_for"] for row in rows] == ["start", "short_slots"]


def test_maintenance_is_told_beside_the_list(call: Call, task: tasks.Task, capsys: pytest.CaptureFixture[str]) -> None:
    call("maintenance", "on")
    capsys.readouterr()
    assert run(["tasks", "list"]) == 0
    said = capsys.readouterr()
    assert task.id in said.out
    assert "no new task is taken" in said.err


def test_grants_are_listed(call: Call, account: accounts.Account, task: tasks.Task) -> None:
    call("credits", "grant", "someone", "-7", "--reason", "paid twice")
    newest, first = call("credits", "grants", "--json")
    assert (newest["account"], newest["amount"], newest["balance"], newest["reason"]) == (
        "someone",
        -7,
        92,
        "paid twice",
    )
    assert (first["amount"], first["created"]) == (100, NOW)
    assert re.search(r"2026-11-18 \S+  someone  \+100  = 100  test\n", call("credits", "grants", "someone"))
    assert "nobody" in call("credits", "grants", "nobody", status=1)


def test_a_task_is_shown_without_its_secrets(call: Call, task: tasks.Task) -> None:
    shown = call("tasks", "show", task.id, "--json")
    assert (shown["id"], shown["callback_url"], shown["files"]) == (task.id, "https://a.example/cb?…", [])
    assert "hunter2" not in call("tasks", "show", task.id)
    assert "There is no task" in call("tasks", "show", "0" * 32, status=1)


def test_who_looks_waits_for_nobody_who_writes(call: Call, task: tasks.Task, database: Database) -> None:
    with database.transaction() as tx:
        tx.execute(sa.update(callback_rows).values(url="another"))
        assert call("tasks", "list", "--json")[0]["id"] == task.id
        assert call("credits", "audit", "--json")


@pytest.mark.parametrize("words", [("tasks", "cancel"), ("callbacks", "resend")])
def test_for_no_task_nothing_is_done(call: Call, words: tuple[str, ...]) -> None:
    assert "requires an argument" in call(*words, status=2)


def test_a_task_is_cancelled_and_retried(call: Call, task: tasks.Task, database: Database) -> None:
    assert "Cancel it first" in call("tasks", "retry", task.id, status=1)
    assert call("tasks", "cancel", task.id, "--json") == {"id": task.id, "state": "cancelled", "refunded": 1}
    assert "is cancelled" in call("tasks", "cancel", task.id, status=1)
    again, free = (call("tasks", "retry", task.id, *more, "--json") for more in ((), ("--free",)))
    assert (again["retries"], again["cost"], free["cost"]) == (task.id, 1, 0)
    with database.read() as tx:
        assert tasks.find(tx, again["id"]).callback_url == task.callback_url
        assert credits.balance(tx, task.account_id) == 99
        assert credits.audit(tx) == []


def test_one_task_that_cannot_be_cancelled_keeps_no_other_from_it(
    call: Call, task: tasks.Task, asked: tasks.Submission, database: Database
) -> None:
    with database.transaction() as tx:
        other = tasks.submit(tx, asked, now=NOW)
    told = call("tasks", "cancel", "mistyped", other.id, other.id, task.id, status=1)
    assert told == "stemwright: There is no task mistyped.\n"
    with database.transaction() as tx:
        assert {tasks.find(tx, each.id).state for each in (task, other)} == {"cancelled"}
        tx.execute(sa.update(callback_rows).values(state="failed"))
    assert "no callback" in call("callbacks", "resend", other.id, task.id, status=1)
    assert call("callbacks", "list", "--state", "pending", "--json")[0]["task"] == task.id


def test_workers_are_listed(call: Call, task: tasks.Task, database: Database) -> None:
    with database.transaction() as tx:
        now = fleet.clock(tx)
        worker = fleet.register(tx, version="1.2", device="cpu", model="m", slots=2, now=now)
        silent = fleet.register(tx, version="1.1", device="cpu", model="m", now=now - 100_000)
        gone = fleet.register(tx, version="1.0", device="cpu", model="m", now=now - 200_000)
        fleet.forget(tx, gone, now=now)
        tasks.begin(tx, task.id, state="separating", worker=worker, now=now)
    rows = {row["id"]: row for row in call("workers", "--json")}
    assert rows.keys() == {worker, silent}
    assert (rows[worker]["state"], rows[worker]["tasks"], rows[silent]["state"]) == ("busy", [task.id], "silent")
    ended = {row["id"]: row["seen_seconds"] for row in call("workers", "--ended", "--json")}
    assert ended.keys() == {worker, silent, gone}
    assert ended[gone] < 60  # since it ended
    told = call("workers")
    assert f"{worker}  busy      1/2  1.2" in told
    assert f"ago  {task.id}\n" in told


def test_callbacks_are_listed_and_sent_again(call: Call, task: tasks.Task, database: Database) -> None:
    assert "no callback" in call("callbacks", "resend", task.id, status=1)
    assert "There is no task nothing" in call("callbacks", "resend", "nothing", status=1)
    with database.transaction() as tx:
        workflows.cancel(tx, task.id)
    (row,) = call("callbacks", "list", "--json")
    assert (row["task"], row["state"], row["url"]) == (task.id, "pending", "https://a.example/cb?…")
    assert "still being delivered" in call("callbacks", "resend", task.id, status=1)
    with database.transaction() as tx:
        tx.execute(sa.update(callback_rows).values(state="failed", attempts=4, last_error="HTTP 500"))
    assert "HTTP 500" in call("callbacks", "list", "--state", "failed", "--account", "someone")
    assert "state failed, attempts 4, last_status -, last_error HTTP 500, " in call("tasks", "show", task.id)
    assert call("callbacks", "resend", task.id, "--json") == {"task": task.id, "id": row["id"], "attempt": 5}
    assert call("callbacks", "list", "--state", "pending", "--json")[0]["id"] == row["id"]


def test_accounts_share_the_fleet(call: Call, account: accounts.Account) -> None:
    assert call("accounts", "share", "someone", "3", "--json") == {"account": "someone", "share": 3}
    (row,) = call("accounts", "list", "--json")
    assert (row["name"], row["share"], row["balance"], row["unfinished"]) == ("someone", 3, 100, 0)
    call("accounts", "share", "someone", "0", status=2)


def test_a_song_that_is_gone_cannot_be_asked_for_again(call: Call, task: tasks.Task, database: Database) -> None:
    call("tasks", "cancel", task.id)
    with database.transaction() as tx:
        tx.execute(sa.text("UPDATE tracks SET gone = 1"))
    assert "Upload it once more" in call("tasks", "retry", task.id, status=1)


def test_a_stem_whose_time_is_over_cannot_be_asked_for_again(
    call: Call, asked: tasks.Submission, database: Database
) -> None:
    """It was made into a task of its own: a retry would be charged, and fail once its turn came."""
    stem = tasks.Stem("s", 0, "vocals", "Vocals", "s_Vocals.mp3", "mp3", 9, 1.0, False, False, None)
    with database.transaction() as tx:
        first = tasks.submit(tx, asked, now=NOW)
        tx.execute(sa.insert(stem_rows).values(task_id=first.id, **vars(stem)))
        source = tracks.Track("a", "t", asked.account_id, stem.blob, 9, NOW)
        again = tasks.submit(tx, replace(asked, track=source), now=NOW)
    call("tasks", "cancel", again.id)
    assert call("tasks", "retry", again.id, "--json")["retries"] == again.id
    with database.transaction() as tx:
        tx.execute(sa.update(task_rows).where(task_rows.c.id == first.id).values(expires=NOW))
    assert "Upload it once more" in call("tasks", "retry", again.id, status=1)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("STEMWRIGHT_CONCURENT_TASKS", ["STEMWRIGHT_CONCURENT_TASKS (did you mean STEMWRIGHT_CONCURRENT_TASKS?)"]),
        ("STEMWRIGHT_XYZZY", ["STEMWRIGHT_XYZZY"]),
        ("STEMWRIGHT_PORT", []),
        ("STEMWRIGHT_TRACEBACK", []),
        ("HOME", []),
    ],
)
def test_names_that_nothing_reads_are_told(name: str, told: list[str]) -> None:
    assert unknown([name]) == told


def test_a_mistyped_name_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEMWRIGHT_LOG_LEVL", "DEBUG")
    assert run(["worker", "--data", str(tmp_path / "none")]) == 1
    assert "nothing reads STEMWRIGHT_LOG_LEVL (did you mean STEMWRIGHT_LOG_LEVEL?)" in capsys.readouterr().err


def test_what_has_no_effect_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEMWRIGHT_ALLOWED_MODELS", "four,fast")
    monkeypatch.setenv("STEMWRIGHT_COST_FACTORS", "foru:2,fast:3")
    monkeypatch.setenv("STEMWRIGHT_UPSTREAM_KEY", "theirs")
    assert run(["worker", "--data", str(tmp_path / "none")]) == 1
    told = capsys.readouterr().err
    assert "nothing reads foru in STEMWRIGHT_COST_FACTORS: it is not among" in told
    assert "STEMWRIGHT_UPSTREAM_KEY without STEMWRIGHT_UPSTREAM_URL" in told
    assert "theirs" not in told


def test_every_name_in_the_code_is_known() -> None:
    source = Path(settings_module.__file__).parents[1]
    whole = re.compile(r"STEMWRIGHT_[A-Z][A-Z_]*[A-Z](?![A-Z_])")  # what ends in _ is the beginning of several names
    named = {name for path in source.rglob("*.py") for name in whole.findall(path.read_text())}
    assert {"STEMWRIGHT_MODELS", "STEMWRIGHT_CHILD_MEMORY"} <= named
    assert unknown(named) == []

"""The figures that the dashboard draws are those that the processes tell, and the other way round."""

import json
import re
from pathlib import Path

import sqlalchemy as sa

from stemwright.server import credits, metrics, tasks, turns
from stemwright.server.store.database import Database

from .conftest import NOW

MINUTE = 60_000
DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "stemwright.json"


def looked(tx: sa.Connection, now: int, *, running_per_account: int = 4, counts: metrics.Counts | None = None) -> str:
    counts = counts or metrics.Counts()
    counts.look(tx, dead_after_ms=1000, running_per_account=running_per_account, now=now)
    return counts.text().decode()


def told(database: Database) -> set[str]:
    with database.read() as tx:
        text = looked(tx, 0) + metrics.Work().text().decode()
    families = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
    return {name for name, kind in families if not name.endswith("_created")}


def test_the_dashboard_draws_every_figure_and_no_other(database: Database) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {
        name for panel in panels for each in panel["targets"] for name in re.findall(r"stemwright_\w+", each["expr"])
    }
    drawn = {name.removesuffix("_bucket") for name in asked}
    assert drawn | {"stemwright_tasks_unfinished"} == told(database)


def test_what_waits_for_its_own_limit_asks_for_no_worker(database: Database, asked: tasks.Submission) -> None:
    with database.transaction() as tx:
        made = [tasks.submit(tx, asked, now=NOW + number).id for number in range(3)]
        turns.release(tx, fleet={"w": 1}, rules=turns.Rules(4), now=NOW)
        for limit, held, age in ((1, 2, 0), (2, 0, 9.999)):
            text = looked(tx, NOW + 10_000, running_per_account=limit)
            assert f"stemwright_tasks_held {held}.0" in text
            assert re.search(rf"^stemwright_runnable_oldest_seconds {age}", text, re.MULTILINE)
    assert len(made) == 3


def test_what_went_back_is_told_whoever_gave_it_back(database: Database, asked: tasks.Submission) -> None:
    """By the ledger: an operator's command is over before anybody could ask it. None is lost, and none told twice."""
    counts, dear = metrics.Counts(), tasks.Submission(**vars(asked) | {"cost": 5})
    with database.transaction() as tx:
        made = [tasks.submit(tx, dear, now=NOW).id for _ in range(4)]
    for later, ended in ((0, made[:1]), (1, made[1:2]), (1000 * MINUTE, made[2:3]), (1001 * MINUTE, made[3:])):
        with database.transaction() as tx:
            for task_id in ended:
                tasks.cancel(tx, task_id, now=NOW + later)
            text = looked(tx, NOW + later, counts=counts)
        done = made.index(ended[0]) + 1
        assert f'stemwright_refunds_total{{reason="cancelled"}} {done}.0' in text
        assert f'stemwright_credits_refunded_total{{reason="cancelled"}} {5 * done}.0' in text
    assert 'stemwright_refunds_total{reason="separation"} 0.0' in text


def test_a_refund_for_a_reason_of_its_own_is_told_too(database: Database, asked: tasks.Submission) -> None:
    with database.transaction() as tx:
        task = tasks.submit(tx, asked, now=NOW)
        credits.refund(tx, task.id, reason="goodwill", now=NOW)
        assert 'stemwright_refunds_total{reason="goodwill"} 1.0' in looked(tx, NOW)


def test_refunds_are_found_by_their_index(database: Database) -> None:
    """However long the ledger is: anybody may ask for the figures."""
    query = "SELECT reason, count(*), sum(amount) FROM ledger WHERE kind = 'refund' AND created > 0 GROUP BY reason"
    explain = "EXPLAIN QUERY PLAN" if database.sqlite else "EXPLAIN"
    with database.transaction() as tx:
        if not database.sqlite:
            tx.exec_driver_sql("SET LOCAL enable_seqscan = off")  # which an empty table is faster with
        plan = str(tx.exec_driver_sql(f"{explain} {query}").all())
    assert "ledger_given_back" in plan


def test_how_fast_a_song_was_separated() -> None:
    work = metrics.Work()
    work.separated(240.0, 12.0, model="twelve", kind="split_stem")
    assert 'stemwright_real_time_factor_sum{kind="split_stem",model="twelve"} 20.0' in work.text().decode()

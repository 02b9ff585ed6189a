"""The figures that the dashboard draws are those that the processes tell, and the other way round."""

import json
import re
from pathlib import Path

from stemwright.server import metrics, tasks, turns
from stemwright.server.store.database import Database

from .conftest import NOW

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "stemwright.json"


def told(database: Database) -> set[str]:
    with database.read() as tx:
        text = metrics.Counts().text(tx, dead_after_ms=1000, running_per_account=4, now=0) + metrics.Work().text()
    families = re.findall(r"^# TYPE (\S+) (\S+)$", text.decode(), re.MULTILINE)
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
            text = metrics.Counts().text(tx, dead_after_ms=1000, running_per_account=limit, now=NOW + 10_000).decode()
            assert f"stemwright_tasks_held {held}.0" in text
            assert re.search(rf"^stemwright_runnable_oldest_seconds {age}", text, re.MULTILINE)
    assert len(made) == 3


def test_what_did_not_finish_was_given_back() -> None:
    work = metrics.Work()
    work.ended("split_stem", "finished", cost=5)
    work.ended("split_stem", "failed", cost=5)
    assert b"stemwright_refunds_total 1.0" in work.text()
    assert b"stemwright_credits_refunded_total 5.0" in work.text()


def test_how_fast_a_song_was_separated() -> None:
    work = metrics.Work()
    work.separated(240.0, 12.0, model="twelve", kind="split_stem")
    assert 'stemwright_real_time_factor_sum{kind="split_stem",model="twelve"} 20.0' in work.text().decode()

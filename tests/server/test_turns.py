"""Whose turn it is: fair shares, priorities, limits, and a line that moves in order."""

import secrets
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from stemwright.server import accounts, credits, tasks, turns
from stemwright.server.store.database import Database

from .conftest import NOW

RULES = turns.Rules(running_per_account=100)
ONE_SLOT = {"w": 1}


def newcomer(database: Database, name: str, share: int = 1) -> str:
    with database.transaction() as tx:
        account = accounts.create(tx, name, now=NOW)
        credits.grant(tx, account.id, 10_000, now=NOW)
        accounts.set_share(tx, account.id, share)
    return account.id


def submit(database: Database, account_id: str, kind: str = "split_stem", *, now: int = NOW, **more: int) -> str:
    asked = tasks.Submission(account_id, kind, "mp3", "apikley", 1, audio_url="https://a.example/b.mp3")
    with database.transaction() as tx:
        return tasks.submit(tx, replace(asked, **more), max_queued=10_000, now=now).id


def release(database: Database, fleet: dict[str, int] | None = None, rules: turns.Rules = RULES) -> list[str]:
    with database.transaction() as tx:
        return turns.release(tx, fleet=fleet or ONE_SLOT, rules=rules, now=NOW)


def end(database: Database, *task_ids: str) -> None:
    with database.transaction() as tx:
        for task_id in task_ids:
            tasks.cancel(tx, task_id, now=NOW)


def served(database: Database, count: int, fleet: dict[str, int] | None = None) -> list[str]:
    """The tasks in the order of their turns, on a fleet that does one after the other."""
    order: list[str] = []
    while len(order) < count and (released := release(database, fleet)):
        order += released
        end(database, *released)
    return order


def test_a_thousand_tasks_of_one_account_do_not_delay_anothers_first(database: Database) -> None:
    busy = newcomer(database, "busy")
    first = submit(database, busy)
    with database.transaction() as tx:
        row = vars(tasks.find(tx, first))
        copies = [row | {"id": f"{number:032x}", "created": NOW + 1 + number} for number in range(1000)]
        tx.execute(sa.insert(tasks.rows), copies)
    assert release(database) == [first]
    late = submit(database, newcomer(database, "late"), now=NOW + 5000)
    with database.transaction() as tx:
        tx.execute(sa.update(tasks.rows).where(tasks.rows.c.id == first).values(state="failed", completed=NOW))
    assert release(database) == [late]


def test_accounts_are_served_in_turn(database: Database) -> None:
    owners = [newcomer(database, name) for name in "abc"]
    asked = {submit(database, owner, now=NOW + n): owner for owner in owners for n in range(3)}
    order = [asked[task] for task in served(database, 9)]
    assert all(set(order[n : n + 3]) == set(owners) for n in (0, 3, 6))


def test_an_accounts_tasks_come_in_the_order_they_were_asked_for(database: Database) -> None:
    owner = newcomer(database, "a")
    asked = [submit(database, owner, now=NOW + n) for n in range(20)]  # milliseconds apart
    assert served(database, 20) == asked


def test_a_higher_priority_comes_first(database: Database) -> None:
    owner = newcomer(database, "a")
    low, usual, high = (submit(database, owner, priority=p, now=NOW + n) for n, p in enumerate((-1, 0, 10)))
    assert served(database, 3) == [high, usual, low]


def test_short_tasks_are_not_starved_by_long_ones(database: Database) -> None:
    owner = newcomer(database, "a")
    for n in range(10):
        submit(database, owner, "split_stem", now=NOW + n)
    short = submit(database, owner, "separate_vocal", now=NOW + 100)
    assert short in served(database, 2)


def test_slots_can_be_kept_for_short_tasks(database: Database) -> None:
    owner = newcomer(database, "a")
    for n in range(10):
        submit(database, owner, "split_stem", now=NOW + n)
    rules = turns.Rules(100, short_slots=1)
    assert len(release(database, {"v": 2, "w": 2}, rules)) == 3
    short = submit(database, owner, "separate_vocal", now=NOW + 100)
    assert release(database, {"v": 2, "w": 2}, rules) == [short]


def test_an_account_runs_only_so_many_at_once(database: Database) -> None:
    greedy, modest = newcomer(database, "greedy"), newcomer(database, "modest")
    for n in range(10):
        submit(database, greedy, now=NOW + n)
    rules = turns.Rules(running_per_account=3)
    assert len(release(database, {"w": 8}, rules)) == 3
    assert release(database, {"w": 8}, rules) == []
    mine = submit(database, modest, now=NOW + 100)
    assert release(database, {"w": 8}, rules) == [mine]


def test_slots_follow_the_shares(database: Database) -> None:
    large, small = newcomer(database, "large", share=3), newcomer(database, "small")
    owners = {submit(database, owner, now=NOW + n): owner for owner in (large, small) for n in range(20)}
    released = release(database, {"v": 4, "w": 4})
    assert [owners[task] for task in released].count(large) == 6


def test_what_a_dead_worker_holds_takes_no_slot_of_the_others(database: Database) -> None:
    owner = newcomer(database, "a")
    submit(database, owner)
    (held,) = release(database, {"dead": 1})
    with database.transaction() as tx:
        tasks.begin(tx, held, state="separating", worker="dead", now=NOW)
    waiting = submit(database, owner, now=NOW + 1)
    assert release(database, {"dead": 1}) == []
    assert release(database, {"alive": 1}) == [waiting]


def test_nothing_is_released_without_workers(database: Database) -> None:
    submit(database, newcomer(database, "a"))
    with database.transaction() as tx:
        assert turns.release(tx, fleet={}, rules=RULES, now=NOW) == []
        assert turns.due(tx).turn


@pytest.mark.slow
@examples(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(queued=st.lists(st.integers(1, 6), min_size=2, max_size=4), slots=st.integers(1, 4))
def test_nobody_waits_for_more_than_one_turn_of_each_other(database: Database, queued: list[int], slots: int) -> None:
    """While it waits, an account never falls more than one task behind any other, whatever they have queued."""
    owners = {newcomer(database, secrets.token_hex(4)): count for count in queued}
    asked = {submit(database, owner, now=NOW + n): owner for owner, count in owners.items() for n in range(count)}
    done = dict.fromkeys(owners, 0)
    for task in served(database, sum(queued), {"w": slots}):
        owner = asked[task]
        waiting = [other for other, count in owners.items() if done[other] < count]
        assert done[owner] <= min(done[other] for other in waiting) + 1
        done[owner] += 1
    assert sum(done.values()) == sum(queued)

"""Runs last: what the contract promises and no test of the wire has seen is a failure."""

import pytest

from tests.contract.validator import CONSOLE, CONTRACT

pytestmark = pytest.mark.usefixtures("whole_suite")


@pytest.mark.parametrize("operation", [*CONTRACT.operations, *CONSOLE.operations], ids=lambda operation: operation.id)
def test_every_answer_of_the_operation_was_seen(operation) -> None:
    promised = {(operation.id, status) for status in operation.described["responses"]}
    assert promised - CONTRACT.statuses - CONSOLE.statuses == set()


@pytest.mark.parametrize("dialect", ["apikley", "sunoapi"])
@pytest.mark.parametrize(
    "operation", [each for each in CONTRACT.operations if not each.is_open], ids=lambda each: each.id
)
def test_every_code_of_the_operation_was_seen(operation, dialect: str) -> None:
    promised = {(operation.id, dialect, code) for code in operation.described["x-codes"][dialect]}
    assert promised - CONTRACT.codes == set()


def test_nothing_was_seen_that_is_not_promised() -> None:
    promised = {
        (each.id, dialect, code)
        for each in CONTRACT.operations
        for dialect, codes in each.described.get("x-codes", {}).items()
        for code in codes
    }
    assert CONTRACT.codes <= promised

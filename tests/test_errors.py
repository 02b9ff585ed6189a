"""Errors say what their docstring says, with their fields, in the process that they reach."""

import copy

import pytest

from stemwright import errors


def every(kind: type[errors.StemwrightError] = errors.StemwrightError) -> list[type[errors.StemwrightError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in every(child))]


@pytest.mark.parametrize("kind", every(), ids=lambda kind: kind.__name__)
def test_an_error_says_the_same_in_another_process(kind: type[errors.StemwrightError]) -> None:
    error = kind(path="a.wav", reason=ValueError("cut off"), seconds=1.5, max_seconds=60.0)
    again = copy.deepcopy(error)  # as pickling does it
    assert type(again) is kind
    assert str(again) == str(error)


def test_a_field_that_was_not_given_stays_visible() -> None:
    assert "<reason>" in str(errors.CannotRead(path="a.wav"))

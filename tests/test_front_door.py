"""`import stemwright` is quick, and everything it promises is there."""

import subprocess
import sys
from importlib.resources import files

import pytest

import stemwright


def test_all_is_sorted_and_every_name_is_there() -> None:
    assert stemwright.__all__ == sorted(stemwright.__all__)
    assert all(getattr(stemwright, name).__name__ == name for name in stemwright.__all__)
    assert set(stemwright.__all__) <= set(dir(stemwright))


def test_help_tells_every_option() -> None:
    from stemwright.wish import Hearing, Options

    heard = stemwright.separate.__doc__ or ""
    written = heard + (stemwright.separate_to.__doc__ or "")
    assert [each for each in Hearing.__annotations__ if f"`{each}`" not in heard] == []
    assert [each for each in Options.__annotations__ if f"`{each}`" not in written] == []


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'seperate'"):
        stemwright.seperate  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def test_type_checkers_read_its_types() -> None:
    assert files("stemwright").joinpath("py.typed").is_file()  # PEP 561: without it they take everything for Any


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import stemwright, sys; print([m for m in ('numpy', 'av', 'onnxruntime', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""The rules of the house that no linter knows."""

import ast
import re
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemwright import errors

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "stemwright").rglob("*.py"))
FUNCTION_STOP, FORWARD_STOP, FILE_STOP, POSITIONAL_STOP = 50, 70, 450, 6
VAGUE_NAMES = {"utils", "util", "helpers", "common", "base", "manager", "service", "misc"}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def all_errors(kind: type = errors.StemwrightError) -> Iterator[type]:
    for each in kind.__subclasses__():
        yield each
        yield from all_errors(each)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT / "src")))
def test_budgets(path: Path) -> None:
    if path.name != "errors.py":  # a catalogue: one class, one sentence, and one place to find it
        assert len(path.read_text().splitlines()) <= FILE_STOP, "split the file"
    for function in functions(path):
        length = (function.end_lineno or 0) - function.lineno + 1
        stop = FORWARD_STOP if function.name == "forward" else FUNCTION_STOP
        assert length <= stop, f"{function.name}: {length} lines"
        assert len(function.args.posonlyargs + function.args.args) <= POSITIONAL_STOP + 1, function.name


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT / "src")))
def test_names_say_what_is_inside(path: Path) -> None:
    assert path.stem not in VAGUE_NAMES
    assert ast.get_docstring(ast.parse(path.read_text())), "the first line of a file says what it is"


def test_the_api_process_never_loads_the_engine() -> None:
    """The import linter does not see a parent package's import; sys.modules does."""
    code = (
        "import stemwright.server.api, stemwright.server.http.app, sys;"
        "print([m for m in ('torch', 'onnxruntime', 'av', 'soxr', 'scipy', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_error_says_its_message_in_its_docstring() -> None:
    for error in all_errors():
        assert error.__doc__, error
        assert error.__doc__ != errors.StemwrightError.__doc__
        fields = {name for _, name, _, _ in string.Formatter().parse(error.__doc__) if name}
        assert str(error(**dict.fromkeys(fields, 1))), error


def test_no_pickle_and_no_eval() -> None:
    forbidden = re.compile(r"\b(eval|exec)\(|pickle\.(load|loads|Unpickler)\(|allow_pickle=True")
    for path in SOURCES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            # `net.eval()` is torch's word for "not training".
            if forbidden.search(line.replace(".eval()", "")):
                pytest.fail(f"{path}:{number}: {line.strip()}")

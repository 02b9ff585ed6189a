"""The examples in the guide and in docstrings run."""

from __future__ import annotations

import doctest
import re
import wave
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [page for page in sorted((ROOT / "docs" / "guide").glob("*.md")) if "```python" in page.read_text("utf-8")]
SOURCE = ROOT / "src" / "stemwright"
NEEDS_TORCH = ("train", "nets")
WITH_EXAMPLES = [
    path
    for path in sorted(SOURCE.rglob("*.py"))
    if ">>> " in path.read_text("utf-8") and path.relative_to(SOURCE).parts[0] not in NEEDS_TORCH
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_guide_s_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with wave.open("song.mp3", "wb") as file:  # the decoder looks at what is inside, not at the name
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(0).integers(-9000, 9000, 44100, "<i2").tobytes())
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)):
        exec(compile(code, f"{page.name}, example {number + 1}", "exec"), {})


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_examples_in_docstrings_hold(path: Path) -> None:
    name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    assert doctest.testmod(import_module(name)).failed == 0

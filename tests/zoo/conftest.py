"""A folder for models, empty at every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemwright.zoo import loading


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's models are; they run in full precision, and none is left from another test."""
    monkeypatch.setenv("STEMWRIGHT_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("STEMWRIGHT_PRECISION", "fp32")
    loading.forget()
    return tmp_path / "models"

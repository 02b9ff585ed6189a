"""What keeps a model from running here is told before anybody asks for it, with what to do about it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
sys.path.append(str(Path(__file__).parent))

from tiny import install, install_all

from stemwright.errors import ModelsNotReady
from stemwright.server.settings import Settings
from stemwright.server.worker import require_device, require_models
from stemwright.zoo import readiness, recipes


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_MODELS", str(tmp_path))
    monkeypatch.delenv("STEMWRIGHT_LICENCES", raising=False)


def test_what_is_missing_is_told_by_name_with_what_to_pull() -> None:
    found = {
        name: str(error) for name, error in readiness.obstacles(["twelve", "karaoke", "htdemucs-ft", "nobody"]).items()
    }
    assert list(found) == ["karaoke", "htdemucs-ft", "nobody"]
    assert "models pull karaoke --yes (which accepts what the policy 'permissive' does not)" in found["karaoke"]
    assert "htdemucs-ft is not on this machine" in found["htdemucs-ft"]
    assert "no model 'nobody'" in found["nobody"]


def test_what_is_here_is_ready_and_its_licence_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    install_all(recipes.recipe("karaoke"))
    install("mine", "roformer", ("vocals",))
    assert readiness.obstacles(["karaoke", "mine"]) == {}
    doubtful = [card.name for card in readiness.not_allowed(["karaoke", "mine", "twelve"])]
    assert (
        doubtful == [card.name for card in recipes.recipe("karaoke").needs if card.licence_class != "permissive"] != []
    )
    monkeypatch.setenv("STEMWRIGHT_LICENCES", "any")
    assert readiness.not_allowed(["karaoke"]) == []


def test_without_pytorch_only_graphs_run(monkeypatch: pytest.MonkeyPatch) -> None:
    install("mine", "roformer", ("vocals",))
    monkeypatch.setattr(readiness, "find_spec", lambda _: None)
    assert "PyTorch (for the model mine)" in str(readiness.obstacles(["mine"])["mine"])
    assert readiness.obstacles(["twelve", "fast"]) == {}


@pytest.mark.skipif(sys.platform == "darwin", reason="mps may be there")
def test_a_device_that_models_cannot_use_is_told_before_any_task(tmp_path: Path) -> None:
    install("mine", "roformer", ("vocals",))
    require_device(Settings(device="mps", allowed_models=("fast",)))  # which has none that runs there
    serve = (sys.executable, "-m", "stemwright", "serve", "--data", str(tmp_path / "data"))
    told = {"STEMWRIGHT_ALLOWED_MODELS": "mine", "STEMWRIGHT_DEVICE": "mps"}
    refused = subprocess.run(serve, env=os.environ | told, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "STEMWRIGHT_DEVICE is 'mps', which PyTorch cannot use here." in refused.stderr
    assert not (tmp_path / "data").exists()


def test_a_worker_that_would_fail_tasks_does_not_start() -> None:
    require_models(Settings())
    with pytest.raises(
        ModelsNotReady, match=r"The recipe four needs .*models pull four.*\. Mend it,.*STEMWRIGHT_ALLOWED_MODELS"
    ):
        require_models(Settings(allowed_models=("fast", "four")))
    require_models(Settings(allowed_models=("four",), separator_command=("true",)))

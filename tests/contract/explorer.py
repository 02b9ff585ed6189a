"""Schemathesis over the published contract: requests that fit it and requests that do not, every answer checked."""

import json
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stemwright.server import network
from tests.server.http.house import Caller, House

CONTRACT = Path(__file__).parents[2] / "src/stemwright/server/http/page/openapi.yaml"
PHASES = ("examples", "coverage", "fuzzing", "stateful")
# What a schema cannot say: that an address answers, a model is allowed, bytes are base64, a range is in the file.
BEYOND_SCHEMAS = {
    "createSeparation": ("400", "422"),
    "getDownloadUrl": ("400", "422"),
    "uploadByForm": ("400", "422"),
    "uploadByBase64": ("400", "422"),
    "uploadByUrl": ("400", "422"),
    "getFile": ("400", "410", "416"),
    "getMix": ("410", "422"),
}
FITTING = ("2xx", "3xx", "401", "402", "403", "404", "409", "429")
UNFITTING = ("400", "401", "403", "404", "409", "410", "413", "416", "422", "429")


@dataclass
class Findings:
    """What came of it: answers by status, checks by name, and what schemathesis complains of, as it prints it."""

    statuses: Counter[int] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    complaint: str = ""


def explore(house: House, *, dialect: str, examples: int, seed: int = 1, phases: tuple[str, ...] = PHASES) -> Findings:
    """Asks everything of the service, which reaches nobody outside meanwhile."""
    house.api.network = network.Client(resolve=_nowhere)
    caller = house.caller(dialect=dialect, balance=10**9)
    with tempfile.TemporaryDirectory() as folder:
        settings, events = Path(folder) / "schemathesis.toml", Path(folder) / "events.ndjson"
        settings.write_text(_settings(house, caller))
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run", str(CONTRACT)]
        command += ["--url", house.url, "--max-examples", str(examples), "--seed", str(seed)]
        command += ["--phases", ",".join(phases), "--checks", "all", "--exclude-checks", "unsupported_method"]
        command += ["--suppress-health-check", "all", "--warnings", "off", "--no-color", "--continue-on-failure"]
        command += ["--generation-database", "none", "--report-ndjson-path", str(events)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert events.exists(), done.stdout + done.stderr
        return _findings(events.read_text(), done.stdout if done.returncode else "")


def _settings(house: House, caller: Caller) -> str:
    """A wrong method is 404 on this wire (so `unsupported_method` is left out); half of the ids asked for exist."""
    known = {"tasks": _tasks(caller), "songs": [caller.track.task_id], "recordings": [caller.track.audio_id]}
    known["files"] = [caller.track.blob, *_files(house, caller)]
    lines = [f"[dictionaries.{name}]\nvalues = {json.dumps(values)}" for name, values in known.items()]
    asked = {"query.taskId": "tasks", "path.name": "files", "body.taskId": "songs", "body.audioId": "recordings"}
    lines.append("[parameters]")
    lines += [f'"{name}" = {{ dictionary = "{values}", probability = 0.5 }}' for name, values in asked.items()]
    lines.append(f'[headers]\nAuthorization = "Bearer {caller.http.key}"')
    lines.append(f"[checks.positive_data_acceptance]\nexpected-statuses = {json.dumps(FITTING)}")
    lines.append(f"[checks.negative_data_rejection]\nexpected-statuses = {json.dumps(UNFITTING)}")
    for name, more in BEYOND_SCHEMAS.items():
        lines.append(f'[[operations]]\ninclude-operation-id = "{name}"')
        lines.append(f"checks.positive_data_acceptance.expected-statuses = {json.dumps(FITTING + more)}")
        if name == "uploadByForm":  # whatever stands in a form is a text
            lines.append(f"checks.negative_data_rejection.expected-statuses = {json.dumps(('200', *UNFITTING))}")
    return "\n".join(lines)


def _tasks(caller: Caller) -> list[str]:
    return [caller.created(), caller.created(type="split_stem"), caller.track.task_id]


def _files(house: House, caller: Caller) -> list[str]:
    return [stem.blob for stem in house.finish(caller.created())]


def _nowhere(host: str, port: int) -> Any:
    raise socket.gaierror(f"{host}:{port}")


def _findings(events: str, complaint: str) -> Findings:
    found = Findings(complaint=complaint)
    for line in events.splitlines():
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for exchange in recorder.get("interactions", {}).values():
            found.statuses[(exchange["response"] or {}).get("status_code", 0)] += 1
        for checks in recorder.get("checks", {}).values():
            found.checks.update(check["name"] for check in checks)
    return found

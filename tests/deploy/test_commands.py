"""The commands that deploy/ names do what they are named for: taken from the files, run as processes, on real servers.

Where this system allows it, all is read-only to them but their /data and /tmp, as in their containers.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from tests.server.conftest import STUB
from tests.servers import Deployment

from .reading import compose, environment, healthcheck, last, rendered, unit

FLEET = pytest.mark.parametrize("deployment", ["postgresql"], indirect=True)
PROGRAMS = Path(sys.executable).parent
READ_ONLY = (
    'for d in "$@"; do [ "$d" = -- ] && break; mount --bind "$d" "$d"; done;'
    ' mount -o remount,bind,ro /; while [ "$1" != -- ]; do shift; done; shift; exec "$@"'
)


def _can_be_read_only() -> bool:
    if not shutil.which("unshare"):
        return False
    done = subprocess.run(["unshare", "-m", "mount", "-o", "remount,bind,ro", "/"], capture_output=True, check=False)
    return done.returncode == 0


@dataclass
class Container:
    """A command of the image as a process: its environment, a /data and a /tmp of its own, nothing else to write to."""

    folder: Path
    given: dict[str, str]
    ports: tuple[int, int]
    read_only: bool
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def begin(self, name: str, command: list[str], given: dict[str, str]) -> subprocess.Popen[str]:
        data, scratch = self.folder / name / "data", self.folder / name / "tmp"
        for place in (data, scratch):
            place.mkdir(parents=True, exist_ok=True)
        image = {key: value for key, value in environment("cpu").items() if key != "PATH"}
        says = image | {"STEMWRIGHT_PORT": str(self.ports[0]), "STEMWRIGHT_HOST": "127.0.0.1"}
        says |= {"STEMWRIGHT_WORKER_PORT": str(self.ports[1]), "TMPDIR": str(scratch)}
        says |= {"STEMWRIGHT_SEPARATOR_COMMAND": f"{sys.executable},{STUB}"} | given | self.given
        says = {key: re.sub(r"^/data", str(data), str(value)) for key, value in says.items()}
        if self.read_only:
            command = ["unshare", "-m", "sh", "-c", READ_ONLY, "sh", str(data), str(scratch), "--", *command]
        says |= {"PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
        process = subprocess.Popen(command, env=says, stdout=subprocess.PIPE, text=True, cwd=data)
        self.running.append(process)
        return process

    def stop(self) -> list[int]:
        """SIGTERM to all that still runs; their exit codes."""
        for process in self.running:
            process.terminate()
        codes = [process.wait(60) for process in self.running]
        for process in self.running:
            assert process.stdout is not None
            process.stdout.close()
        self.running.clear()
        return codes


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    with contextlib.ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        ports = (free[0].getsockname()[1], free[1].getsockname()[1])
    made = Container(tmp_path, {}, ports, _can_be_read_only())
    yield made
    for process in made.running:
        process.kill()
    made.stop()


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def answers(port: int, path: str) -> int:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=5).status_code
    except httpx2.TransportError:
        return 0


def is_healthy(ports: tuple[int, int]) -> bool:
    """What the image's own check says."""
    command = [part.replace("8000", str(ports[0])).replace("8001", str(ports[1])) for part in healthcheck("cpu")]
    done = subprocess.run([str(PROGRAMS / command[0]), *command[1:]], capture_output=True, check=False)
    return done.returncode == 0


def use(url: str, key: str) -> bytes:
    """A song goes in and is split; the bytes of one of its stems."""
    with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=30) as client:
        sent = client.post("/api/file-stream-upload", files={"file": ("song.mp3", b"{}")}).json()["data"]
        body = {"taskId": sent["taskId"], "audioId": sent["audioId"], "type": "separate_vocal"}
        task_id = client.post("/api/v1/vocal-removal/generate", json=body).json()["data"]["taskId"]
        record: dict = {}

        def done() -> bool:
            asked = client.get("/api/v1/vocal-removal/record-info", params={"taskId": task_id})
            record.update(asked.json()["data"])
            return record["successFlag"] != "PENDING"

        until(done)
        stem = record["response"]["vocalUrl"]
        return httpx2.get(re.sub(r"^https?://[^/]*", url, stem), follow_redirects=True, trust_env=False).content


def key_of(process: subprocess.Popen[str]) -> str:
    """Of the file that the log names, which has no key in it."""
    assert process.stdout is not None
    for line in process.stdout:
        assert "sw_" not in line
        if found := re.search(r"key is in (\S+/admin\.key)\.", line):
            return Path(found[1]).read_text().strip()
    raise AssertionError


def of_compose(places: dict[str, str]) -> dict[str, dict]:
    """The services of ours, with the suite's servers in the place of theirs."""
    services = compose(POSTGRES_PASSWORD="p", S3_SECRET="s")["services"]
    for service in services.values():
        for name, place in places.items():
            if name in service.get("environment", {}):
                service["environment"][name] = place
    return services


@FLEET
def test_what_compose_and_the_chart_run(deployment: Deployment, container: Container) -> None:
    assert deployment.postgresql
    with deployment.empty(container.folder / "places") as places:
        services = of_compose(
            {"STEMWRIGHT_DATABASE_URL": places["database_url"], "STEMWRIGHT_BLOBS_URL": places["blobs_url"]}
        )
        ours = {name: services[name] for name in ("migrate", "api", "worker")}
        entry = json.loads(last("cpu", "ENTRYPOINT"))
        began = {}
        for name, service in ours.items():
            began[name] = container.begin(name, entry + service["command"], service["environment"])
            if name == "migrate":
                assert began[name].wait(60) == 0
            if name == "api":
                key = key_of(began[name])
        until(lambda: answers(container.ports[1], "/readyz") == 200)
        assert is_healthy(container.ports)
        assert b"vocals" in use(f"http://127.0.0.1:{container.ports[0]}", key)
        for part, port in (("api", container.ports[0]), ("worker", container.ports[1])):
            pod = pods()[part]
            assert pod["args"] == ours[part]["command"]
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert answers(port, pod[probe]["httpGet"]["path"]) == 200
        assert pods()["migrate"]["args"] == ours["migrate"]["command"]
        assert container.stop() == [0, 0, 0]
        assert not is_healthy(container.ports)


def pods() -> dict[str, dict]:
    """The one container of each pod of the chart."""
    found = [each["spec"]["template"]["spec"]["containers"] for each in rendered() if "template" in each["spec"]]
    return {each["name"]: each for (each,) in found}


@pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
def test_what_the_unit_runs(deployment: Deployment, container: Container) -> None:
    service = unit()["Service"]
    state = container.folder / "service" / "data"
    says = dict(pair.split("=", 1) for pair in shlex.split(" ".join(service["Environment"])))
    says = {name: value.replace("/var/lib/stemwright", "/data") for name, value in says.items()}
    before, serve = ([str(PROGRAMS / Path(first).name), *rest] for first, *rest in map(shlex.split, commands(service)))
    assert container.begin("service", before, says).wait(60) == 0
    process = container.begin("service", serve, says)
    assert b"vocals" in use(f"http://127.0.0.1:{container.ports[0]}", key_of(process))
    assert (state / "stemwright.db").exists()
    assert is_healthy(container.ports)
    assert container.stop() == [0, 0]


def commands(service: dict[str, list[str]]) -> list[str]:
    return [*service["ExecStartPre"], *service["ExecStart"]]


@FLEET
def test_what_compose_gives_its_database(deployment: Deployment) -> None:
    """The server of the suite knows the options that Compose starts one with, and its tool is the check's."""
    assert deployment.postgresql
    service = compose(POSTGRES_PASSWORD="p", S3_SECRET="s")["services"]["postgres"]
    program, *options = service["command"]
    assert program == "postgres"
    pairs = dict(option.split("=") for option in options if option != "-c")
    for name in pairs:
        deployment.postgresql.execute(f"SHOW {name}")
    assert service["healthcheck"]["test"][1] == "pg_isready"
    assert pairs["max_connections"] == "400"

"""`stemwright serve` as it is, against sources and receivers that misbehave. Only the model is a stand-in."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.contract.validator import CONTRACT
from tests.server.http import sources
from tests.server.http.house import GENERATE, RECORD
from tests.server.http.sources import source

STUB = Path(__file__).parents[1] / "stub_child.py"
SERVE = "from stemwright.server.api import serve; from stemwright.server.settings import Settings; "
SERVE += "serve(Settings(), on_ready=lambda url, key: print(url, key, flush=True))"
SONG = json.dumps({}).encode()  # what the stand-in takes for a song


class Service(httpx2.Client):
    """A client of a running service that holds it to its contract."""

    def request(self, *args: Any, **options: Any) -> httpx2.Response:
        answer = super().request(*args, **options)
        CONTRACT.check(answer, dialect="sunoapi")
        return answer

    def ended(self, task_id: str, *, delivered: bool = True) -> dict[str, Any]:
        """The record once the task has ended and its callback has been tried to the end."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            record = self.get(RECORD, params={"taskId": task_id}).json()["data"]
            told = record["callback"]["state"] in {"none", "delivered", "failed"} or not delivered
            if record["successFlag"] != "PENDING" and told:
                return record
            time.sleep(0.1)
        raise AssertionError(record)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("whole")
    settings = {"DATA": str(folder), "PORT": "0", "DIALECT": "sunoapi", "ALLOW_NETWORKS": "127.0.0.1/32"}
    settings |= {"FETCH_SECONDS": "1.5", "CALLBACK_TIMEOUT_SECONDS": "0.5", "CALLBACK_DELAYS_SECONDS": "0,0.1"}
    settings |= {"SEPARATOR_COMMAND": f"{sys.executable},{STUB}", "MAX_UPLOAD_BYTES": "1000000"}
    environment = os.environ | {f"STEMWRIGHT_{name}": value for name, value in settings.items()}
    log = (folder / "log").open("wb")
    process = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, stderr=log, env=environment)
    assert process.stdout
    url, key = process.stdout.readline().decode().split()
    with Service(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as service:
        yield service
    process.terminate()
    process.wait()
    process.stdout.close()
    log.close()


HOSTILE = [
    sources.hangs,
    sources.drips,
    sources.pours,
    sources.announces_ten_gigabytes,
    sources.redirects("/for-ever"),
    sources.redirects("http://10.0.0.1/"),
    sources.gives(b"<html>secret</html>", kind="text/html"),
    sources.talks_nonsense,
]


def test_hostile_sources_fail_their_tasks_and_cost_nothing(service: Service) -> None:
    before = service.get("/api/v1/generate/credit").json()["data"]
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(source(sources.gives(b"{}")))
        urls = [stack.enter_context(source(each)).url for each in HOSTILE]
        bodies = [{"audioUrl": url, "callBackUrl": f"{receiver.url}/{n}"} for n, url in enumerate(urls)]
        task_ids = [service.post(GENERATE, json=body).json()["data"]["taskId"] for body in bodies]
        records = [service.ended(task_id) for task_id in task_ids]
    assert {(record["successFlag"], record["errorCode"]) for record in records} == {("CREATE_TASK_FAILED", 451)}
    assert {record["callback"]["state"] for record in records} == {"delivered"}
    assert "secret" not in json.dumps(records)
    told = [json.loads(asked[3]) for asked in receiver.asked]
    assert sorted(body["data"]["task_id"] for body in told) == sorted(task_ids)
    assert {(body["code"], body["msg"]) for body in told} == {(451, "Vocal separation failed")}
    assert service.get("/api/v1/generate/credit").json()["data"] == before


def test_bad_receivers_never_spoil_a_success(service: Service) -> None:
    with contextlib.ExitStack() as stack:
        song = stack.enter_context(source(sources.gives(SONG)))
        elsewhere = stack.enter_context(source(sources.gives()))
        answers = [sources.gives(b"no", status=500), sources.hangs, sources.redirects(elsewhere.url)]
        urls = [stack.enter_context(source(each)).url for each in answers] + ["http://10.0.0.1/", "https://[::1]/"]
        bodies = [{"audioUrl": song.url, "callBackUrl": url} for url in urls]
        task_ids = [service.post(GENERATE, json=body).json()["data"]["taskId"] for body in bodies]
        records = [service.ended(task_id) for task_id in task_ids]
    assert {record["successFlag"] for record in records} == {"SUCCESS"}
    assert {(record["callback"]["state"], record["callback"]["attempts"]) for record in records} == {("failed", 2)}
    assert [record["callback"]["lastStatus"] for record in records] == [500, None, 302, None, None]
    assert elsewhere.asked == []


@pytest.mark.parametrize(("kind", "count"), [("separate_vocal", 2), ("split_stem", 12), ("split_stem_advanced", 1)])
def test_stems_are_told_signed_and_downloaded(service: Service, kind: str, count: int) -> None:
    with source(sources.gives(SONG)) as song, source(sources.gives(b"{}", status=202)) as receiver:
        body = {
            "audioUrl": song.url,
            "type": kind,
            "stemName": "Guitar",
            "callBackUrl": f"{receiver.url}/x?token=a%2Fb",
        }
        task_id = service.post(GENERATE, json=body).json()["data"]["taskId"]
        record = service.ended(task_id)
    _, path, headers, content = receiver.asked[0]
    told = json.loads(content)
    CONTRACT.check_callback(told)
    assert (path, told["data"]["task_id"], len(receiver.asked)) == ("/x?token=a%2Fb", task_id, 1)
    assert headers["webhook-signature"].startswith("v1,")
    assert headers["x-webhook-timestamp"] == headers["webhook-timestamp"]
    urls = {url for name, url in told["data"]["vocal_removal_info"].items() if name.endswith("_url") and url}
    assert urls == {url for name, url in record["response"].items() if name.endswith("Url") and url}
    assert len(urls) == count
    assert {service.get(url).status_code for url in urls} == {200}

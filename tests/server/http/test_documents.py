"""Health, figures and the published contract, as served."""

import re
import threading
from unittest.mock import Mock

import httpx2
import pytest
import sqlalchemy as sa

from stemwright.server import fleet, glances, maintenance, tasks
from stemwright.server.clock import now_ms
from stemwright.server.http import calls
from stemwright.server.http.routes import health
from tests.server.http.house import GENERATE, Caller, House


def test_it_lives(house: House) -> None:
    assert house.anonymous().get("/livez").json() == {"status": "ok"}


def test_ready_with_a_worker_degraded_without(serve) -> None:
    house = serve()
    told = house.anonymous().get("/readyz").json()
    assert told | {"status": "degraded", "workers": 0, "slots": 0, "maintenance": False} == told
    with house.database.transaction() as tx:
        fleet.register(tx, version="1", device="cpu", model="twelve", slots=2, now=fleet.clock(tx))
        maintenance.switch(tx, on=True, now=now_ms())
    told = house.anonymous().get("/readyz").json()
    assert told | {"status": "ready", "workers": 1, "slots": 2, "storage": "ok", "maintenance": True} == told


def test_degraded_when_the_storage_is_away(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    house = serve()

    def away(_probe: bytes, *, patience_seconds: float) -> None:
        assert patience_seconds <= 1  # or who asks gives up first
        raise OSError

    monkeypatch.setattr(house.api.blobs, "check", away)
    answer = house.anonymous().get("/readyz")
    assert (answer.status_code, answer.json()["status"], answer.json()["storage"]) == (200, "degraded", "unavailable")


def test_a_storage_that_hangs_is_looked_at_by_one_and_waited_for_by_nobody(
    serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, looks, over = serve(), [], threading.Event()

    def hang(_probe: bytes, **_: object) -> None:
        looks.append(threading.get_ident())
        over.wait(60)

    monkeypatch.setattr(house.api.blobs, "check", hang)
    monkeypatch.setattr(health, "MOMENT_SECONDS", 0.1)
    told = [house.anonymous().get("/readyz").json()["storage"] for _ in range(3)]
    over.set()
    assert (told, len(looks)) == (["unavailable"] * 3, 1)


def test_where_no_thread_is_left_to_look_the_next_who_asks_has_one(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    house, none_left = serve(), Mock(start=Mock(side_effect=RuntimeError("can't start new thread")))
    with monkeypatch.context() as patched:
        patched.setattr(glances, "Thread", lambda **_: none_left)
        told = house.anonymous().get("/readyz")
    assert (told.status_code, told.json()["database"]) == (503, "unavailable")
    assert house.anonymous().get("/readyz").status_code == 200


def test_it_lives_though_every_thread_is_busy(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        raise RuntimeError

    house = serve()
    monkeypatch.setattr(calls.to_thread, "run_sync", never)
    assert house.anonymous().get("/livez").json() == {"status": "ok"}


@pytest.mark.parametrize("storage", ["ok", "unavailable"])
def test_not_ready_without_a_database(serve, monkeypatch: pytest.MonkeyPatch, storage: str) -> None:
    house = serve()
    if storage == "unavailable":
        monkeypatch.setattr(house.api.blobs, "check", None)
    house.execute("DROP TABLE workers")
    answer = house.anonymous().get("/readyz")
    assert (answer.status_code, answer.json()["database"]) == (503, "unavailable")
    assert answer.json()["storage"] == storage


def test_the_figures(house: House, caller: Caller) -> None:
    caller.created()
    house.api.figures_read = 0  # as if nobody had asked within this second
    text = house.anonymous().get("/metrics").text
    assert re.search(r'stemwright_http_answers_total\{code="200",route="/api/v1/vocal-removal/generate"\} \d', text)
    assert re.search(r'stemwright_tasks_unfinished\{state="queued"\} [1-9]', text)
    assert re.search(r'stemwright_queue_depth\{queue="separate_vocal"\} [1-9]', text)
    assert re.search(r'stemwright_queue_oldest_seconds\{queue="callbacks"\} \d', text)
    assert re.search(r'stemwright_credits_charged_total\{kind="separate_vocal"\} [1-9]', text)


def test_the_figures_ask_the_database_once_a_second_and_live_without_it(serve) -> None:
    house = serve()
    asked: list[str] = []
    sa.event.listen(house.database.engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    house.api.clock = lambda: 1_795_000_000_000
    texts = [house.anonymous().get("/metrics").text for _ in range(5)]
    assert all("stemwright_slots 0.0" in text for text in texts)
    assert sum("FROM workers" in each for each in asked) == 1
    house.execute("DROP TABLE workers")
    house.api.clock = lambda: 1_795_000_001_000
    text = house.anonymous().get("/metrics").text
    assert 'route="/metrics"' in text
    assert "stemwright_slots" not in text


def test_files_and_what_is_nowhere_are_counted_by_their_status(house: House) -> None:
    assert house.anonymous().get("/s/nothing.mp3").status_code == 404
    assert house.anonymous().get("/nowhere").status_code == 404
    text = house.anonymous().get("/metrics").text
    for route in ("none", r"/s/\{name\}"):
        assert re.search(rf'stemwright_http_answers_total\{{code="404",route="{route}"\}} [1-9]', text)


def test_a_request_keeps_the_name_its_sender_gave_it(caller: Caller) -> None:
    answer = caller.create(headers={"X-Request-Id": "mine-42"})
    assert answer.headers["X-Request-Id"] == "mine-42"
    with caller.house.database.read() as tx:
        task = tasks.find(tx, answer.json()["data"]["taskId"])
    assert (task.request_id, task.base_url) == ("mine-42", caller.house.url)


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])  # RFC 3986: in whatever case
@pytest.mark.parametrize(
    ("trusted", "seen"), [(("127.0.0.0/8",), "https://stems.example"), ((), None), (("10.0.0.0/8",), None)]
)
def test_a_proxy_is_believed_when_it_is_trusted(serve, trusted: tuple[str, ...], seen: str | None, scheme: str) -> None:
    house = serve(trusted_proxies=trusted)
    caller = house.caller()
    sent = {"X-Forwarded-Proto": scheme, "X-Forwarded-Host": "stems.example", "X-Forwarded-For": "1.2.3.4"}
    task_id = caller.create(headers=sent).json()["data"]["taskId"]
    with house.database.read() as tx:
        assert tasks.find(tx, task_id).base_url == (seen or house.url)


def test_the_contract_names_this_server(house: House) -> None:
    served = house.anonymous().get("/openapi.json").json()
    assert served["openapi"] == "3.1.0"
    assert served["servers"] == [{"url": house.url}]


def test_the_page_needs_no_other_server(house: House) -> None:
    answer = house.anonymous().get("/docs")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", answer.text)


def test_llms_txt(house: House) -> None:
    assert house.anonymous().get("/llms.txt").text.startswith("# Stemwright")


def test_head_has_no_body(house: House) -> None:
    answer = house.anonymous().head("/s/nothing.mp3")
    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize("path", [f"/{GENERATE}", f"{GENERATE}/", GENERATE.replace("/", "//")])
def test_slashes_too_many_lead_to_the_same_route(house: House, caller: Caller, path: str) -> None:
    answer = httpx2.post(house.url + path, json=caller.ids, headers=caller.http.headers)
    assert (answer.status_code, answer.json()["code"]) == (200, 200)
    assert caller.balance() == 99


def test_slashes_too_many_lead_to_nothing_else(house: House) -> None:
    for path in ("//metrics", "//readyz", "//console", "/livez/"):
        assert httpx2.get(house.url + path).status_code == 404


@pytest.mark.parametrize(
    ("path", "method", "let_in"),
    [
        ("/s/x.mp3", "GET", True),
        (GENERATE, "POST", True),
        ("/api/file-stream-upload", "POST", True),
        ("/console/api/session", "POST", False),
        ("/metrics", "GET", False),
    ],
)
def test_pages_elsewhere_may_read_files_and_call_the_api(house: House, path: str, method: str, let_in: bool) -> None:
    headers = {"Origin": "https://x.example", "Access-Control-Request-Method": method}
    headers["Access-Control-Request-Headers"] = "authorization, content-type"
    client = house.anonymous()
    asked = client.send(client.build_request("OPTIONS", path, headers=headers))
    got = client.request(method, path, headers={"Origin": "https://x.example"})
    for answer in (asked, got):
        assert (answer.headers.get("Access-Control-Allow-Origin") == "*") is let_in
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("target", ["/api/v1/generate/credit", "/livez", "/"])
def test_a_target_may_be_a_whole_address(house: House, caller: Caller, target: str) -> None:
    """As from a client that takes us for a proxy."""
    with httpx2.Client(headers=caller.http.headers) as http:
        told = [
            http.get(house.url, extensions={"target": each.encode()})
            for each in (target, house.url + target, "HTTP://elsewhere.example" + target)
        ]
    assert [(answer.status_code, answer.content) for answer in told] == [(200, told[0].content)] * 3


def test_no_access_log_has_a_callbacks_secret(caller: Caller, caplog) -> None:
    caplog.set_level("DEBUG")
    caller.created(callBackUrl="https://example.com/cb?secret=hunter2")
    assert "hunter2" not in "".join(record.getMessage() for record in caplog.records if record.name != "httpx2")

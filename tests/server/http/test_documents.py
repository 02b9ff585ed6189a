"""Health, figures and the published contract, as served."""

import re

from stemwright.server import fleet, maintenance
from stemwright.server.clock import now_ms
from tests.server.http.house import Caller, House


def test_health(house: House) -> None:
    assert house.anonymous().get("/health").json() == {"status": "ok"}


def test_ready_counts_the_workers(serve) -> None:
    house = serve()
    assert house.anonymous().get("/ready").json() == {"status": "ready", "workers": 0, "maintenance": False}
    with house.database.transaction() as tx:
        fleet.register(tx, version="1", device="cpu", model="twelve", now=now_ms())
        maintenance.switch(tx, on=True, now=now_ms())
    assert house.anonymous().get("/ready").json() == {"status": "ready", "workers": 1, "maintenance": True}


def test_not_ready_without_a_database(serve) -> None:
    house = serve()
    house.execute("DROP TABLE workers")
    answer = house.anonymous().get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")


def test_the_figures(house: House, caller: Caller) -> None:
    caller.created()
    text = house.anonymous().get("/metrics").text
    assert re.search(r'stemwright_http_answers_total\{code="200",route="/api/v1/vocal-removal/generate"\} \d', text)
    assert re.search(r'stemwright_tasks_unfinished\{state="queued"\} [1-9]', text)
    assert "stemwright_callbacks_pending" in text


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


def test_a_browser_may_call_from_any_page(house: House) -> None:
    headers = {"Origin": "https://x.example", "Access-Control-Request-Method": "POST"}
    headers["Access-Control-Request-Headers"] = "authorization, content-type, idempotency-key"
    client = house.anonymous()
    request = client.build_request("OPTIONS", "/api/v1/vocal-removal/generate", headers=headers)
    answer = client.send(request)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert "idempotency-key" in answer.headers["Access-Control-Allow-Headers"]


def test_no_access_log_has_a_callbacks_secret(caller: Caller, caplog) -> None:
    caplog.set_level("DEBUG")
    caller.created(callBackUrl="https://example.com/cb?secret=hunter2")
    assert "hunter2" not in "".join(record.getMessage() for record in caplog.records if record.name != "httpx2")

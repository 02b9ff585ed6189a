"""Songs that another service made, and the calls that pass through to it."""

import gzip
import io
import json
import logging
import socket
import time
from collections.abc import Iterator

import httpx2
import pytest
import sqlalchemy as sa

from stemwright.server import tasks
from stemwright.server.clock import now_ms
from stemwright.server.store import tables
from tests.server.http import upstreams
from tests.server.http.conftest import Serve
from tests.server.http.house import GENERATE, Caller, House, running
from tests.server.http.upstreams import FIRST, KEY, OPERATOR, SECOND, TASK, UNMADE, Upstream, envelope, tells
from tests.servers import Deployment

INFO = "/api/v1/generate/record-info"
LINK = "/api/v1/common/download-url"
MINE = {"X-Upstream-Authorization": f"Bearer {KEY}"}
THEIRS = {"taskId": TASK, "audioId": SECOND}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, deployment: Deployment) -> Iterator[House]:
    with (
        upstreams.upstream() as there,
        deployment.new(tmp_path_factory.mktemp("upstream")) as places,
        running(**places, upstream_url=there.url, upstream_seconds=1.5) as house,  # a busy machine answers within it
    ):
        _servers[house.url] = there
        yield house


@pytest.fixture
def there(house: House) -> Upstream:
    there = _servers[house.url]
    there.asked.clear()
    there.mood = None
    there.gone.clear()
    return there


_servers: dict[str, Upstream] = {}


@pytest.fixture
def plain(house: House) -> Iterator[httpx2.Client]:
    """A client whose answers are not ours, so that no contract of ours describes them."""
    caller = house.caller()
    headers = {"Authorization": f"Bearer {caller.http.key}", "X-API-Key": str(caller.http.key), **MINE}
    with httpx2.Client(base_url=house.url, headers=headers, timeout=30) as client:
        yield client


def stored(house: House, task_id: str) -> tasks.Task:
    with house.database.read() as tx:
        return tasks.find(tx, task_id)


# ---- separating what is there ---------------------------------------------------------------------------------------


def test_a_song_that_is_not_here_is_looked_up_there(house: House, caller: Caller, there: Upstream) -> None:
    task = stored(house, caller.create(MINE, **THEIRS).json()["data"]["taskId"])
    assert (task.music_id, task.audio_id, task.music_index) == (TASK, SECOND, 1)
    assert (task.audio_url, task.source) == (f"{there.url}/second.mp3", None)
    assert caller.record(task.id)["musicId"] == SECOND
    assert there.asked[0][:2] == ("GET", f"{INFO}?taskId={TASK}")


def test_a_song_of_ours_is_not_looked_up(caller: Caller, there: Upstream) -> None:
    assert caller.create(MINE).status_code == 200
    assert caller.create(MINE, taskId=None, audioId=None, audioUrl="https://example.com/a.mp3").status_code == 200
    assert there.asked == []


@pytest.mark.parametrize("kind", ["header", "one key", "operator"])
def test_the_key_for_the_upstream(serve: Serve, there: Upstream, kind: str) -> None:
    house = serve(upstream_url=there.url + "/", upstream_key=OPERATOR if kind == "operator" else "")
    caller = house.caller()
    sent = {"one key": {"Authorization": f"Bearer {caller.http.key}+{KEY}"}, "header": MINE}.get(kind, {})
    assert caller.create(sent, **THEIRS).status_code == 200
    got = dict(there.asked[0][2])
    assert got["Authorization"] == f"Bearer {OPERATOR if kind == 'operator' else KEY}"
    assert str(caller.http.key) not in there.everything()


@pytest.mark.parametrize("ids", [{**THEIRS, "audioId": "no-such"}, {**THEIRS, "taskId": "0" * 32}])
def test_what_is_nowhere_is_refused_and_costs_nothing(house: House, dialect: str, ids: dict) -> None:
    caller = house.caller(dialect=dialect)
    answer = caller.create(MINE, **ids).json()
    assert (answer["code"], answer["msg"]) == (422 if dialect == "apikley" else 400, "Record does not exist")
    assert caller.balance() == 100


def test_without_a_key_for_it_nothing_is_asked(caller: Caller, there: Upstream) -> None:
    answer = caller.create(**THEIRS).json()
    assert answer["code"] == 422
    assert "X-Upstream-Authorization" in answer["msg"]
    assert there.asked == []


def test_ids_longer_than_any_are_not_asked_for(caller: Caller, there: Upstream) -> None:
    assert caller.create(MINE, taskId="a" * 90, audioId=SECOND).json()["code"] == 422
    assert there.asked == []


def test_a_song_without_audio_yet(caller: Caller) -> None:
    answer = caller.create(MINE, **THEIRS | {"audioId": UNMADE}).json()
    assert answer["code"] == 422
    assert "no audio of it yet" in answer["msg"]


WRONG = [
    (envelope(401, "You do not have access permissions"), 401),
    (tells({"code": 403, "msg": "no"}, 403), 401),
    (envelope(404, "no"), 422),
    (envelope(422, "Record does not exist"), 422),
    (envelope(429, "slow down"), 429),
    (tells(b"slow down", 429, kind="text/plain"), 429),
    (envelope(455, "maintenance"), 455),
    (tells({"code": 500, "msg": "secret inside"}, 500), 455),
    (upstreams.PAGE, 455),
    (tells(b"<html>hello", kind="text/html"), 455),
    (tells([1, 2]), 455),
    (tells(b"[" * 100_000), 455),
    (tells({"code": 200, "msg": "success", "data": "text"}), 422),
    (tells({"code": 200, "data": {"response": {"sunoData": [None, {"id": SECOND, "audioUrl": "file:///x"}]}}}), 455),
    (tells(b"", 302, Location="http://127.0.0.1:1/"), 455),
    (upstreams.lies, 455),
    (upstreams.pours, 455),
    (upstreams.hangs, 455),
    (upstreams.drips, 455),
    (upstreams.raw(upstreams.NOT_HTTP), 455),
]


def test_whatever_it_answers_is_told_and_costs_nothing(house: House, caller: Caller, there: Upstream) -> None:
    for mood, code in WRONG:
        there.mood = mood
        answer = caller.create(MINE, **THEIRS)
        assert (answer.json()["code"], code) == (code, code), mood
        assert "secret" not in answer.text
        assert "SSH" not in answer.text
    with house.database.read() as tx:
        assert tasks.unfinished(tx, caller.account.id) == 0
    assert caller.balance() == 100


def test_how_long_to_wait_is_passed_on(caller: Caller, there: Upstream) -> None:
    there.mood = tells({"code": 429, "msg": "slow down", "data": None}, 429, Retry_After="17")
    assert caller.create(MINE, **THEIRS).headers["Retry-After"] == "17"


def test_an_upstream_that_is_down(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    caller = serve(upstream_url=f"http://127.0.0.1:{port}").caller()
    answer = caller.create(MINE, **THEIRS)
    assert (answer.status_code, answer.json()["code"], caller.balance()) == (503, 455, 100)
    assert int(answer.headers["Retry-After"]) > 0


def test_a_repeated_create_is_not_looked_up_again(caller: Caller, there: Upstream) -> None:
    first = caller.create(MINE | {"Idempotency-Key": "a"}, **THEIRS)
    there.mood = upstreams.PAGE
    again = caller.create(MINE | {"Idempotency-Key": "a"}, **THEIRS)
    assert again.json() == first.json()
    assert (len(there.asked), caller.balance()) == (1, 99)


def test_a_slow_upstream_keeps_nobody_else_waiting(serve: Serve, there: Upstream) -> None:
    there.mood = upstreams.hangs
    house = serve(upstream_url=there.url, upstream_seconds=3)
    caller = house.caller()
    began, body = time.monotonic(), json.dumps(THEIRS).encode()
    head = f"POST {GENERATE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {caller.http.key}+{KEY}\r\n"
    waiting = [socket.create_connection(("127.0.0.1", int(house.url.rsplit(":", 1)[1]))) for _ in range(60)]
    for each in waiting:
        each.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert caller.create().status_code == 200
    assert time.monotonic() - began < 3
    for each in waiting:
        each.close()


@pytest.mark.usefixtures("there")
def test_done_again_it_is_the_same_song(house: House, caller: Caller) -> None:
    task_id = caller.create(MINE, **THEIRS).json()["data"]["taskId"]
    house.fail(task_id, "fetch")
    with house.database.transaction() as tx:
        old, new = tasks.find(tx, task_id), tasks.again(tx, task_id, now=now_ms())
    for name in ("music_id", "audio_id", "music_index", "audio_url", "source"):
        assert getattr(new, name) == getattr(old, name)


# ---- passing through ------------------------------------------------------------------------------------------------


def test_a_call_passes_unchanged(plain: httpx2.Client, there: Upstream) -> None:
    body = b'{"prompt": "a song",  "callBackUrl":"https://x.example/?a=b"}'
    answer = plain.post("/api/v1/generate?x=%2F&y=a+b", content=body, headers={"X-Own": "1", "User-Agent": "mine/2"})
    assert answer.json() == {"code": 200, "msg": "success", "data": {"taskId": TASK}}
    method, path, headers, got = there.asked[0]
    assert (method, path, got) == ("POST", "/api/v1/generate?x=%2F&y=a+b", body)
    assert {("x-own", "1"), ("user-agent", "mine/2")} <= {(name.lower(), value) for name, value in headers}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_every_method_passes(plain: httpx2.Client, there: Upstream, method: str) -> None:
    assert plain.request(method, "/api/v1/lyrics/record-info?taskId=1").status_code == 404
    assert there.asked[0][:2] == (method, "/api/v1/lyrics/record-info?taskId=1")


def test_a_song_that_only_the_upstream_knows_is_told_by_it(plain: httpx2.Client, there: Upstream) -> None:
    assert plain.get(INFO, params={"taskId": TASK}).json()["data"] == there.record()


def test_the_operators_key_looks_up_but_buys_nothing(serve: Serve, there: Upstream, dialect: str) -> None:
    house = serve(upstream_url=there.url, upstream_key=OPERATOR)
    caller = house.caller(dialect=dialect)
    sent = {"Authorization": f"Bearer {caller.http.key}"}
    assert httpx2.get(house.url + INFO, params={"taskId": TASK}, headers=sent).json()["data"] == there.record()
    answer = httpx2.post(house.url + "/api/v1/generate", json={}, headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (401, 401)
    assert len(there.asked) == 1


def test_a_stranger_passes_nowhere(house: House, there: Upstream) -> None:
    answer = httpx2.post(house.url + "/api/v1/generate", json={}, headers=MINE)
    assert (answer.status_code, answer.json()["code"], there.asked) == (401, 401, [])


@pytest.mark.parametrize(
    "path",
    [
        *("/api/v1/../admin", "/api/v1/%2e%2e/admin", "/api/v1/a/%252e%252e/b", "/apiv1/x"),
        *("http://x/api/v1/../admin", "http:%2F%2Fx/api/v1/admin"),  # the second is no whole address
    ],
)
def test_nothing_passes_but_what_is_below_it(house: House, there: Upstream, path: str) -> None:
    with socket.create_connection(("127.0.0.1", int(house.url.rsplit(":", 1)[1]))) as line:
        key = house.caller().http.key
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}+{KEY}\r\n\r\n"
        line.sendall(head.encode())
        assert line.makefile("rb").read().startswith(b"HTTP/1.1 404")
    assert there.asked == []


def test_keys_and_what_is_for_one_hop_stay_here(house: House, plain: httpx2.Client, there: Upstream) -> None:
    ours = plain.headers["x-api-key"]
    sent = {"Api-Key": ours, "Cookie": "session=x", "TE": "trailers", "Connection": "close, X-Hop", "X-Hop": "1"}
    sent |= {"X-Forwarded-For": "10.0.0.9", "Proxy-Authorization": "Basic eA==", "Upgrade": "h2c"}
    plain.post("/api/v1/generate", json={}, headers=sent)
    names = {name.lower() for name, _ in there.asked[0][2]}
    assert names & {name.lower() for name in sent} <= {"connection"}  # httpx's own, never the client's
    assert names.isdisjoint({"x-upstream-authorization", "x-api-key"})
    assert ours not in there.everything()
    assert dict(there.asked[0][2])["Host"] == there.url.removeprefix("http://")


def test_an_answer_comes_without_what_would_speak_for_us(plain: httpx2.Client, there: Upstream) -> None:
    theirs = {"Set-Cookie": "session=1", "Strict-Transport-Security": "max-age=9", "Keep-Alive": "timeout=9"}
    there.mood = tells({}, 201, Connection="X-Hop", X_Hop="1", X_Own="kept", **theirs)
    answer = plain.get("/api/v1/anything")
    assert (answer.status_code, answer.headers["x-own"]) == (201, "kept")
    assert not {name.lower() for name in (*theirs, "X-Hop")} & set(answer.headers)
    assert len(answer.headers.get_list("date")) == 1


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_errors_in_json_come_back_as_they_are(plain: httpx2.Client, there: Upstream, status: int) -> None:
    there.mood = tells({"code": status, "msg": "theirs", "data": None}, status, Retry_After="7")
    answer = plain.get("/api/v1/anything")
    assert (answer.status_code, answer.json()["msg"], answer.headers["retry-after"]) == (status, "theirs", "7")


BROKEN = [
    (upstreams.PAGE, 455, 455),
    (tells(b"slow down", 429, kind="text/plain"), 429, 405),
    (tells(b"<html>who?", 403, kind="text/html"), 401, 401),
    (tells(b"<html>what?", 404, kind="text/html"), 404, 404),
    (upstreams.hangs, 455, 455),
    (upstreams.drips, 455, 455),
    (upstreams.raw(upstreams.NOT_HTTP), 455, 455),
]


def test_other_failures_are_told_in_the_dialect(house: House, there: Upstream, dialect: str) -> None:
    http = house.caller(dialect=dialect).http
    for mood, *codes in BROKEN:
        there.mood = mood
        code = codes[dialect == "sunoapi"]
        assert http.get(INFO, params={"taskId": TASK}, headers=MINE).json()["code"] == code
        assert http.post(LINK, json={"url": "https://x.example/a.mp3"}, headers=MINE).json()["code"] == code
        sent = {**MINE, "Authorization": f"Bearer {http.key}"}
        assert httpx2.post(house.url + "/api/v1/generate", json={}, headers=sent).json()["code"] == code


def test_an_answer_that_breaks_off_is_seen_to(plain: httpx2.Client, there: Upstream) -> None:
    there.mood = upstreams.lies
    with pytest.raises(httpx2.RemoteProtocolError):
        plain.get("/api/v1/anything")


def test_a_huge_answer_streams_and_ends_with_its_client(plain: httpx2.Client, there: Upstream) -> None:
    there.mood = upstreams.pours
    with plain.stream("GET", "/api/v1/anything") as answer:
        size = 0
        for chunk in answer.iter_raw():
            size += len(chunk)
            if size > 5 << 20:
                break
    assert there.gone.wait(5)


def test_a_client_that_leaves_ends_the_call(there: Upstream, serve: Serve) -> None:
    house = serve(upstream_url=there.url, upstream_seconds=30)
    there.mood = upstreams.hangs
    sent = {**MINE, "Authorization": f"Bearer {house.caller().http.key}"}
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(house.url + "/api/v1/anything", headers=sent, timeout=0.3)
    deadline = time.monotonic() + 3
    while "/api/v1/**" not in httpx2.get(house.url + "/metrics").text:  # counted once it is over
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_large_body_streams(plain: httpx2.Client, there: Upstream) -> None:
    parts = [bytes([number]) * 100_000 for number in range(30)]
    assert plain.post("/api/v1/generate", content=iter(parts)).status_code == 200
    assert there.asked[0][3] == b"".join(parts)
    assert "content-length" not in {name.lower() for name, _ in there.asked[0][2]}


def test_an_address_elsewhere_is_the_upstreams_business(plain: httpx2.Client, there: Upstream) -> None:
    there.mood = envelope(200, data="https://temp.example/a.mp3")
    asked = {"url": "https://cdn.example/a.mp3"}
    assert plain.post(LINK, json=asked).json()["data"] == "https://temp.example/a.mp3"
    packed = gzip.compress(json.dumps(asked).encode())
    assert plain.post(LINK, content=packed, headers={"Content-Encoding": "gzip"}).json()["code"] == 200
    assert [json.loads(each[3]) for each in there.asked] == [asked, asked]
    assert "content-encoding" not in str(there.asked[1]).lower()


def test_only_route_status_and_time_are_logged(plain: httpx2.Client, house: House, there: Upstream) -> None:
    lines = io.StringIO()
    handler, log = logging.StreamHandler(lines), logging.getLogger("stemwright")
    log.addHandler(handler)
    log.setLevel("DEBUG")
    try:
        plain.post("/api/v1/generate?secret=1", json={"prompt": "private"})
        there.mood = upstreams.lies
        with pytest.raises(httpx2.RemoteProtocolError):
            plain.get("/api/v1/anything")
    finally:
        log.removeHandler(handler)
    told = lines.getvalue().splitlines()
    assert [line.rsplit(" in ", 1)[0] for line in told] == [
        "upstream POST /api/v1/generate 200",
        "upstream GET /api/v1/anything 500",
    ]


def test_no_key_is_stored(house: House, caller: Caller) -> None:
    caller.create(MINE | {"Idempotency-Key": "k"}, **THEIRS)
    with house.database.read() as tx:
        for table in tables.metadata.sorted_tables:
            rows = repr([*tx.execute(sa.select(table))])
            assert KEY not in rows
            assert str(caller.http.key) not in rows


def test_without_an_upstream_nothing_passes(serve: Serve) -> None:
    caller = serve().caller()
    assert caller.http.post("/api/v1/music", json={}, headers=MINE).json()["code"] == 404
    assert caller.create(MINE, **THEIRS | {"audioId": FIRST}).json()["msg"] == "Record does not exist"

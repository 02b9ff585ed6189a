"""An account that is closed while its clients go on asking: each is refused as by a wrong key, and leaves nothing."""

import sqlalchemy as sa

from stemwright.server import closing, credits, tasks, tracks
from stemwright.server.clock import now_ms
from stemwright.server.store.tables import arrivals
from stemwright.server.store.tables import tasks as task_rows
from tests.crash.house import everything
from tests.server.http.house import GENERATE, Caller, House

ROOT = "/console/api"


def close(house: House, caller: Caller) -> None:
    closing.close(house.database, house.api.blobs, caller.account.name, now=now_ms())


def test_its_keys_and_its_sessions_end(serve) -> None:
    house = serve()
    caller, other = house.caller(), house.caller()
    browser = caller.signed_in()
    task = caller.created(type="split_stem", callBackUrl="https://stems.example/hook")
    stem = house.finish(task)[0].blob
    assert house.anonymous().get(f"/s/{stem}").status_code == 200
    close(house, caller)
    start = now_ms()
    house.api.clock = lambda: start + 1000  # by then no process remembers a key
    for answer in (caller.http.get("/api/v1/generate/credit"), caller.create(callBackUrl="https://stems.example/hook")):
        assert (answer.status_code, answer.json()["code"], answer.headers["WWW-Authenticate"]) == (401, 401, "Bearer")
        assert answer.json()["msg"].startswith("You do not have access permissions")
    assert browser.get(f"{ROOT}/keys").status_code == 401
    assert house.anonymous().post(f"{ROOT}/session", json={"key": caller.http.key}).status_code == 401
    assert house.anonymous().get(f"/s/{stem}").status_code == 404
    assert other.balance() == 100


def test_who_was_let_in_a_moment_before_adds_nothing(serve) -> None:
    """Each process remembers a key for half a second: here it is that half second for ever."""
    house = serve()
    caller, now = house.caller(), now_ms()
    house.api.clock = lambda: now
    assert caller.balance() == 100
    close(house, caller)
    assert caller.http.get("/api/v1/generate/credit").json()["code"] == 200  # it is remembered
    song = {"audioUrl": "https://stems.example/song.mp3", "callBackUrl": "https://stems.example/hook"}
    asked = [
        caller.http.post(GENERATE, json=song),
        caller.http.post(GENERATE, json=song, headers={"Idempotency-Key": "one"}),
        caller.http.post("/api/file-stream-upload", files={"file": ("song.mp3", b"a song")}),
        house.anonymous().post(f"{ROOT}/session", json={"key": caller.http.key}),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in asked] == [(401, 401)] * 4
    assert everything(house.api.blobs) == set()
    with house.database.read() as tx:
        assert tx.execute(sa.select(arrivals)).all() == []
        assert tx.execute(sa.select(task_rows)).all() == []
        assert tracks.kept_bytes(tx, caller.account.id) == 0
        assert credits.balance(tx, caller.account.id) == 100
        assert credits.audit(tx) == []


def test_operators_see_open_accounts(house: House) -> None:
    operator, caller, gone = house.caller(scopes=("api", "admin")).signed_in(), house.caller(), house.caller()
    close(house, gone)

    def seen(text: str) -> int:
        return len(operator.get(f"{ROOT}/operator/accounts", params={"text": text}).json()["data"]["accounts"])

    assert [seen(each) for each in (caller.account.name, gone.account.name, gone.account.id)] == [1, 0, 0]


def test_another_account_may_ask_for_its_file_no_more_once_it_is_closed(house: House) -> None:
    caller, other = house.caller(), house.caller()
    asked = {"audioUrl": f"{house.url}/s/{caller.track.blob}", "callBackUrl": "https://stems.example/hook"}
    task = other.http.post(GENERATE, json=asked).json()["data"]["taskId"]
    close(house, caller)
    assert other.http.post(GENERATE, json=asked).json()["code"] == 422
    with house.database.read() as tx:
        assert tasks.find(tx, task).state == "queued"
    assert caller.track.blob in house.api.blobs
    house.finish(task)
    closing.go_on(house.database, house.api.blobs, now=now_ms())
    assert caller.track.blob not in house.api.blobs

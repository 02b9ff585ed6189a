"""The console's tasks: looked for, made again, cancelled, deleted, taken away as a zip, and followed live."""

import io
import json
import threading
import time
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from stemwright.server import callbacks, overview, retention, tasks
from stemwright.server.clock import now_ms
from stemwright.server.http import zipped
from stemwright.server.http.live import EVERY_SECONDS
from stemwright.server.store.database import Database
from tests.contract.validator import CONSOLE
from tests.server.http.house import Caller, Client, House

TASKS = "/console/api/tasks"


@pytest.fixture
def browser(caller: Caller) -> Client:
    return caller.signed_in()


def found(browser: Client, **query: Any) -> list[str]:
    return [task["taskId"] for task in browser.get(TASKS, params=query).json()["data"]["tasks"]]


def test_a_task_is_made_as_by_the_api_and_charged_once(caller: Caller, browser: Client) -> None:
    body, headers = {**caller.ids, "type": "split_stem"}, {"Idempotency-Key": "once"}
    made = [browser.post(TASKS, json=body, headers=headers).json()["data"]["taskId"] for _ in range(2)]
    assert made[0] == made[1]
    assert caller.balance() == 95


def test_what_a_line_of_the_list_tells(house: House, caller: Caller, browser: Client) -> None:
    task_id = caller.created(type="split_stem", format="flac")
    house.finish(task_id)
    (line,) = browser.get(TASKS).json()["data"]["tasks"]
    told = {name: line[name] for name in ("taskId", "song", "kind", "format", "cost", "state", "model", "gone")}
    assert told == {
        "taskId": task_id,
        "song": "song",
        "kind": "split_stem",
        "format": "flac",
        "cost": 5,
        "state": "finished",
        "model": "twelve",
        "gone": False,
    }


def test_search_by_song_address_id_and_state(house: House, caller: Caller, browser: Client) -> None:
    by_id = caller.created()
    by_url = browser.post(TASKS, json={"audioUrl": "https://example.com/Blue%20Hour_100%25.wav"}).json()["data"][
        "taskId"
    ]
    house.fail(by_url, "fetch")
    assert found(browser) == [by_url, by_id]
    assert found(browser, text="BLUE") == found(browser, group="failed") == [by_url]
    assert found(browser, text=by_id[:12]) == found(browser, group="running") == [by_id]
    assert found(browser, text="_100%") == [by_url]
    assert found(browser, text="%") == [by_url]
    assert found(browser, kind="split_stem") == []
    assert browser.get(TASKS, params={"text": "blue"}).json()["data"]["tasks"][0]["song"] == "Blue Hour_100%.wav"
    assert found(browser, text="blue hour_100%.WAV") == [by_url]


def test_a_song_is_found_whatever_its_letters_and_however_they_are_written(caller: Caller, browser: Client) -> None:
    name = unicodedata.normalize("NFD", "Любовь, étude.mp3")
    ids = browser.post("/console/api/uploads", files={"file": (name, b"sound")}).json()["data"]
    task_id = caller.created(taskId=ids["taskId"], audioId=ids["audioId"])
    for text in ("любовь", "ÉTUDE", unicodedata.normalize("NFD", "étude")):
        assert found(browser, text=text) == [task_id]


def test_a_search_for_plain_letters_calls_no_python_for_every_row(house: House, caller: Caller) -> None:
    def lower(_text: str) -> str:
        raise AssertionError

    if not house.database.sqlite:
        pytest.skip("PostgreSQL has no function of ours")
    task_id, mine = caller.created(), Database(house.api.settings.database)
    with mine.read() as tx:
        connection: Any = tx.connection.driver_connection
        connection.create_function("lower", 1, lower, deterministic=True)
        assert [row["id"] for row in overview.search(tx, caller.account.id, text=task_id[:12].upper())] == [task_id]
    mine.dispose()


def test_pages_neither_lose_nor_repeat_a_task(caller: Caller, browser: Client) -> None:
    made = [caller.created() for _ in range(61)]
    caller.house.execute(f"UPDATE tasks SET created = 5 WHERE account_id = '{caller.account.id}'")  # all at once
    first = browser.get(TASKS).json()["data"]
    second = browser.get(TASKS, params={"after": first["next"]}).json()["data"]
    seen = [task["taskId"] for page in (first, second) for task in page["tasks"]]
    assert (len(first["tasks"]), second["next"]) == (50, None)
    assert sorted(seen) == sorted(made)


def test_thousands_of_tasks_are_found_by_their_index(house: House, caller: Caller) -> None:
    with house.database.read() as tx:
        if not house.database.sqlite:
            pytest.skip("the planner of PostgreSQL decides by the size of the table")
        where = "account_id = 'x' AND deleted IS NULL AND created <= 9 AND (created < 9 OR id < 'y')"
        page = f"SELECT id FROM tasks WHERE {where} ORDER BY created DESC, id DESC LIMIT 51"
        plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {page}").fetchall()
    assert "USING INDEX tasks_of_account (account_id=? AND created<?)" in str(plan)


def test_everything_about_a_task(house: House, caller: Caller, browser: Client) -> None:
    task_id = caller.created(type="split_stem", callBackUrl="https://example.com/cb?token=1")
    stems = house.finish(task_id, silent=["fx"], experimental=["brass"])
    told = browser.get(f"{TASKS}/{task_id}").json()["data"]
    assert [stem["name"] for stem in told["stems"] if stem["silent"]] == ["fx"]
    assert [stem["url"] for stem in told["stems"]] == [f"/s/{stem.blob}" for stem in stems]
    assert (told["device"], told["key"]["id"]) == ("cpu", caller.key_id)
    assert told["songUrl"] == f"/s/{caller.track.blob}"
    assert told["delivery"]["state"] == "pending"


def test_every_attempt_of_a_callback_is_told(house: House, caller: Caller, browser: Client) -> None:
    task_id = caller.created(callBackUrl="https://example.com/cb")
    house.finish(task_id)
    with house.database.transaction() as tx:
        delivery = tasks.delivery(tx, task_id)
        assert delivery
        for number, status in ((1, None), (2, 503), (2, 503), (3, 200)):  # the second is noted twice after a crash
            tasks.delivered(tx, delivery.id, number=number, status=status, error=None, last=False, now=number)
    tried = browser.get(f"{TASKS}/{task_id}").json()["data"]["delivery"]["tried"]
    assert [(each["number"], each["status"], each["time"]) for each in tried] == [
        (1, None, 1),
        (2, 503, 2),
        (3, 200, 3),
    ]


def test_a_callback_is_sent_again_only_when_it_is_over(house: House, caller: Caller, browser: Client) -> None:
    quiet, task_id = caller.created(), caller.created(callBackUrl="https://example.com/cb")
    assert browser.post(f"{TASKS}/{quiet}/resend").status_code == 409
    house.finish(task_id)
    assert browser.post(f"{TASKS}/{task_id}/resend").status_code == 409
    house.execute(f"UPDATE callbacks SET state = 'failed', attempts = 4 WHERE task_id = '{task_id}'")
    assert browser.post(f"{TASKS}/{task_id}/resend").status_code == 200
    assert browser.get(f"{TASKS}/{task_id}").json()["data"]["delivery"]["state"] == "pending"


def test_cancelling_gives_the_credits_back(caller: Caller, browser: Client) -> None:
    task_id = caller.created(type="split_stem")
    assert browser.post(f"{TASKS}/{task_id}/cancel").status_code == 200
    assert caller.balance() == 100
    assert browser.post(f"{TASKS}/{task_id}/cancel").status_code == 409


def test_again_makes_the_same_anew(house: House, caller: Caller, browser: Client) -> None:
    old = caller.created(type="split_stem_advanced", stemName="Piano", format="wav", callBackUrl="https://example.com/")
    house.fail(old, "separation")
    new = browser.post(f"{TASKS}/{old}/again").json()["data"]["taskId"]
    both = [browser.get(f"{TASKS}/{task_id}").json()["data"] for task_id in (old, new)]
    for name in ("kind", "stemName", "format", "callbackUrl", "audioId", "song", "cost"):
        assert both[0][name] == both[1][name]
    assert caller.balance() == 95


def test_again_is_charged_once_however_often_the_same_is_asked_for(caller: Caller, browser: Client) -> None:
    old, other = caller.created(type="split_stem"), caller.created(type="split_stem")

    def again(task_id: str) -> httpx2.Response:
        return browser.post(f"{TASKS}/{task_id}/again", headers={"Idempotency-Key": "a wish"})

    account = browser.get("/console/api/session").json()["data"]["account"]["id"]
    with browser.house.api.running.hold(account, "a wish"):
        assert again(old).status_code == 409
    assert again(old).json() == again(old).json()
    assert caller.balance() == 85
    assert again(other).status_code == 422


def test_again_needs_the_song_credits_and_an_open_door(house: House, caller: Caller, browser: Client) -> None:
    task_id = caller.created(type="split_stem")
    house.execute(f"UPDATE tracks SET gone = 1 WHERE audio_id = '{caller.track.audio_id}'")
    answer = browser.post(f"{TASKS}/{task_id}/again")
    assert (answer.status_code, "Upload it once more" in answer.json()["msg"]) == (410, True)
    poor = house.caller(balance=1)
    assert poor.signed_in().post(f"{TASKS}/{poor.created()}/again").status_code == 402


def test_again_and_uploads_are_closed_in_maintenance(serve) -> None:
    house = serve()
    caller = house.caller()
    task_id, browser = caller.created(), caller.signed_in()
    house.execute("INSERT INTO switches (name, value, since) VALUES ('maintenance', 'on', 1)")
    assert browser.post(f"{TASKS}/{task_id}/again").status_code == 503
    assert browser.post(TASKS, json=caller.ids).status_code == 503
    assert browser.post("/console/api/uploads", files={"file": ("a.mp3", b"x")}).status_code == 503


def test_what_the_api_refuses_is_refused_here(house: House, caller: Caller, serve) -> None:
    poor = house.caller(balance=0)
    assert poor.signed_in().post(TASKS, json=poor.ids).status_code == 402
    browser = serve(max_upload_bytes=10, max_body_bytes=1000).caller().signed_in()
    assert browser.post("/console/api/uploads", files={"file": ("a.mp3", b"x" * 11)}).status_code == 413
    assert browser.post("/console/api/uploads", files={"other": b""}).status_code == 422
    assert [browser.post(TASKS, content=body).status_code for body in (b"{", b"[]", bytes(2000))] == [400, 422, 413]
    headers = {"Idempotency-Key": "one"}
    held = browser.house.api.running.hold(browser.get("/console/api/session").json()["data"]["account"]["id"], "one")
    with held:
        answer = browser.post(TASKS, json={"audioUrl": "https://example.com/a.mp3"}, headers=headers)
        assert answer.status_code == 409


def test_an_upload_keeps_the_name_that_people_know(browser: Client) -> None:
    song = ("Mr. Blue (live, 1969).mp3", b"sound")
    ids = browser.post("/console/api/uploads", files={"file": song}).json()["data"]
    browser.post(TASKS, json={"taskId": ids["taskId"], "audioId": ids["audioId"]})
    assert browser.get(TASKS).json()["data"]["tasks"][0]["song"] == "Mr. Blue (live, 1969)"


# ---- deleting --------------------------------------------------------------------------------------------------------


def test_deleting_takes_every_file_and_hides_the_task(house: House, caller: Caller, browser: Client) -> None:
    task_id = caller.created(type="split_stem")
    stems = house.finish(task_id)
    assert browser.delete(f"{TASKS}/{task_id}").status_code == 200
    assert found(browser) == []
    assert browser.get(f"{TASKS}/{task_id}").status_code == 404
    assert not any(stem.blob in house.api.blobs for stem in stems)
    assert caller.track.blob not in house.api.blobs
    assert house.anonymous().get(f"/s/{stems[0].blob}").status_code == 410
    assert caller.balance() == 95


def test_a_song_stays_while_another_task_has_it(house: House, caller: Caller, browser: Client) -> None:
    first, second = caller.created(), caller.created()
    house.finish(first)
    browser.delete(f"{TASKS}/{first}")
    assert caller.track.blob in house.api.blobs
    house.finish(second)
    browser.delete(f"{TASKS}/{second}")
    assert caller.track.blob not in house.api.blobs


def test_what_a_waiting_task_is_to_separate_goes_when_that_has_ended(
    house: House, caller: Caller, browser: Client
) -> None:
    first = caller.created(type="split_stem")
    stem = house.finish(first)[0].blob
    address = {"taskId": None, "audioId": None, "audioUrl": f"{house.url}/s/{stem}"}
    second = caller.created(**address)
    assert browser.delete(f"{TASKS}/{first}").status_code == 200
    assert stem in house.api.blobs
    assert house.anonymous().get(f"/s/{stem}").status_code == 410
    assert caller.create(**address).json()["code"] == 422  # nobody else's
    house.finish(second)
    retention.purge(house.database, house.api.blobs, house.api.settings, now=now_ms())
    assert stem not in house.api.blobs


def test_deleting_what_runs_cancels_it(caller: Caller, browser: Client) -> None:
    task_id = caller.created(type="split_stem")
    assert browser.delete(f"{TASKS}/{task_id}").status_code == 200
    assert caller.balance() == 100


def test_what_a_crash_left_of_a_deletion_is_purged(house: House, caller: Caller, monkeypatch) -> None:
    task_id = caller.created()
    stems = house.finish(task_id)
    monkeypatch.setattr(retention, "_delete_stems", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        retention.delete_task(house.database, house.api.blobs, task_id, now=now_ms())
    monkeypatch.undo()
    retention.purge(house.database, house.api.blobs, house.api.settings, now=now_ms())
    assert not any(stem.blob in house.api.blobs for stem in stems)


# ---- the zip ---------------------------------------------------------------------------------------------------------


def test_the_zip_holds_every_stem_and_says_its_length(house: House, caller: Caller, browser: Client) -> None:
    task_id = caller.created(type="split_stem")
    house.finish(task_id)
    answer = browser.get(f"{TASKS}/{task_id}/zip")
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert 'filename="song stems.zip"' in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 12
        assert archive.read("song/Backing Vocals.mp3") == bytes(range(256)) * 4


@pytest.mark.parametrize(
    ("name", "folder"),
    [("歌" * 120, "歌" * 78), ("con", "_con"), ("x" * 99 + " y", "x" * 99), ("What?", "What_")],
)
def test_the_folder_of_a_zip_is_one_that_every_system_takes(
    house: House, browser: Client, name: str, folder: str
) -> None:
    song = browser.post("/console/api/uploads", files={"file": (f"{name}.mp3", b"x")}).json()["data"]
    ids = {"taskId": song["taskId"], "audioId": song["audioId"], "type": "separate_vocal"}
    task_id = browser.post(TASKS, json=ids).json()["data"]["taskId"]
    house.finish(task_id, stems=("vocals", "instrumental"))
    with zipfile.ZipFile(io.BytesIO(browser.get(f"{TASKS}/{task_id}/zip").content)) as archive:
        assert archive.namelist() == [f"{folder}/Vocals.mp3", f"{folder}/Instrumental.mp3"]


def test_one_instrument_and_the_rest_are_called_as_their_files(house: House, caller: Caller, browser: Client) -> None:
    task_id = caller.created(type="split_stem_advanced", stemName="Violin")
    house.finish(task_id, stems=("strings", "rest"))
    stems = browser.get(f"{TASKS}/{task_id}").json()["data"]["stems"]
    assert [(stem["label"], stem["name"]) for stem in stems] == [("Violin", "strings"), ("Without Violin", "rest")]
    with zipfile.ZipFile(io.BytesIO(browser.get(f"{TASKS}/{task_id}/zip").content)) as archive:
        assert archive.namelist() == ["song/Violin.mp3", "song/Without Violin.mp3"]


def test_a_zip_of_names_in_every_script_has_the_told_length() -> None:
    def member(name: str, content: bytes) -> zipped.Member:
        return zipped.Member(name, len(content), 1_795_000_000_000, lambda: io.BytesIO(content))

    members = [member("Ä/Гитара.mp3", bytes(300_000)), member("Ä/空.mp3", b"")]
    content = b"".join(zipped.stream(members))
    assert len(content) == zipped.length(members)
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["Ä/Гитара.mp3", "Ä/空.mp3"]


def test_no_zip_of_what_is_not_there(house: House, caller: Caller, browser: Client) -> None:
    unfinished, old = caller.created(), caller.created()
    house.finish(old)
    house.execute(f"UPDATE tasks SET expires = 1 WHERE id = '{old}'")
    assert browser.get(f"{TASKS}/{unfinished}/zip").status_code == 404
    assert browser.get(f"{TASKS}/{old}/zip").status_code == 410


# ---- live ------------------------------------------------------------------------------------------------------------


@contextmanager
def following(browser: Client) -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
    """The events of a stream as they come."""
    with browser.stream("GET", "/console/api/events") as answer:
        CONSOLE.check(answer, dialect="apikley")  # the client's own check waits for the end of what it reads
        yield _events(answer)


def _events(answer: httpx2.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_a_task_is_followed_to_its_end(house: House, caller: Caller, browser: Client) -> None:
    first, second = caller.created(), caller.created()
    other = house.caller().created()
    with following(browser) as events:
        _, told = next(events)
        assert told["first"]
        assert {task["taskId"]: task["ahead"] for task in told["tasks"]} == {first: 0, second: 1}
        house.finish(first)
        ended = next(task for _, told in events for task in told["tasks"] if task["taskId"] == first)
        assert (ended["state"], ended["progress"]) == ("finished", 100)
        assert other not in str(told)


def test_the_time_left_follows_from_the_pace(house: House, caller: Caller, browser: Client) -> None:
    task_id = caller.created()
    with house.database.transaction() as tx:
        attempt = tasks.begin(tx, task_id, state="separating", worker="w", now=now_ms()).attempt
    with following(browser) as events:
        next(events)
        for progress in (10.0, 20.0, 30.0):
            with house.database.transaction() as tx:
                tasks.report(tx, task_id, progress, attempt=attempt)
            time.sleep(2 * EVERY_SECONDS)
        left = [task["secondsLeft"] for _, told in (next(events) for _ in range(3)) for task in told["tasks"]]
    assert left[0] is None
    assert 3 <= left[-1] <= 30


def test_many_who_watch_are_one_look_at_a_time(serve) -> None:
    house = serve()
    caller = house.caller()
    caller.created()
    counted: list[str] = []
    sa.event.listen(house.database.engine, "before_cursor_execute", lambda *args: counted.append(args[2]))
    with (
        following(caller.signed_in()) as one,
        following(caller.signed_in()) as two,
        following(caller.signed_in()) as three,
    ):
        for events in (one, two, three):
            next(events)
        counted.clear()
        time.sleep(4 * EVERY_SECONDS)
        looks = sum("completed IS NULL" in statement for statement in counted)
    assert 1 <= looks <= 6


def test_the_stream_ends_with_the_server(serve) -> None:
    house = serve()
    with following(house.caller().signed_in()) as events:
        assert next(events)[0] == "tasks"
        threading.Timer(0.1, house.api.live.stop).start()
        with pytest.raises(StopIteration):
            next(events)


def test_the_stream_ends_with_the_session(house: House, caller: Caller, browser: Client, monkeypatch) -> None:
    monkeypatch.setattr("stemwright.server.http.events.STILL_THERE_SECONDS", 0.1)
    with following(browser) as events:
        next(events)
        house.execute("DELETE FROM sessions")
        assert next(events) == ("over", {})


def test_an_example_of_a_callback_has_every_field(house: House, caller: Caller) -> None:
    task = tasks.example(caller.account.id, dialect="sunoapi", now=1)
    assert json.loads(callbacks.payload(task, [], base_url=""))["code"] == 200

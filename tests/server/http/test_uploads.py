"""Uploads: three ways in, one kind of song."""

import base64
import json
import re
import socket
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx2
import pytest

from stemwright.server import retention, tracks
from stemwright.server.clock import now_ms
from stemwright.server.http.routes import uploads
from stemwright.server.http.routes.uploads import safe_folder, safe_name, title_of
from tests.server.http import sources
from tests.server.http.house import Caller, House

FORM, BASE64, URL = "/api/file-stream-upload", "/api/file-base64-upload", "/api/file-url-upload"
SONG = sources.SONG


def form(caller: Caller, content: bytes = SONG, name: str = "My Song.mp3", **fields: str) -> httpx2.Response:
    return caller.http.post(FORM, files={"file": (name, content, "audio/mpeg")}, data=fields)


def test_a_form_becomes_a_song(house: House, caller: Caller) -> None:
    data = form(caller, uploadPath="songs/2026").json()["data"]
    assert (data["fileName"], data["filePath"]) == ("My_Song.mp3", "songs/2026/My_Song.mp3")
    assert (data["fileSize"], data["mimeType"]) == (len(SONG), "audio/mpeg")
    assert house.anonymous().get(data["downloadUrl"]).content == SONG
    assert caller.create(taskId=data["taskId"], audioId=data["audioId"]).json()["code"] == 200


def test_a_song_outlives_the_day_in_which_it_came(house: House, caller: Caller) -> None:
    """What has no owner by then is deleted."""
    data = form(caller).json()["data"]
    api = house.api
    assert retention.purge(api.database, api.blobs, api.settings, now=now_ms() + 2 * retention.DAY_MS)["arrivals"] == 0
    assert house.anonymous().get(data["downloadUrl"]).content == SONG


def test_upstreams_fields_are_all_there(caller: Caller) -> None:
    answer = form(caller).json()
    assert (answer["success"], answer["code"], answer["msg"]) == (True, 200, "File uploaded successfully")
    assert set(answer["data"]) >= {
        *(
            "success",
            "fileName",
            "filePath",
            "downloadUrl",
            "fileSize",
            "mimeType",
            "uploadedAt",
            "fileUrl",
            "expiresAt",
        )
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer["data"]["uploadedAt"])


def test_one_account_s_slow_sources_hold_nobody_else_up(house: House, caller: Caller) -> None:
    with (
        sources.source(sources.hangs) as slow,
        sources.source(sources.gives()) as quick,
        ThreadPoolExecutor(8) as threads,
    ):
        held = [threads.submit(caller.http.post, URL, json={"fileUrl": slow.url}) for _ in range(8)]
        while len(slow.asked) < 4:
            time.sleep(0.01)
        assert house.caller().http.post(URL, json={"fileUrl": quick.url}).json()["success"]
        assert not any(one.done() for one in held)
    assert [one.result().json()["success"] for one in held] == [False] * 8


def test_an_upload_can_be_separated_by_its_address(caller: Caller) -> None:
    data = form(caller).json()["data"]
    answer = caller.create(taskId=None, audioId=None, audioUrl=data["downloadUrl"])
    assert caller.record(answer.json()["data"]["taskId"])["musicId"] == data["audioId"]


def test_another_account_may_use_the_address_but_not_learn_the_ids(house: House, caller: Caller) -> None:
    data = form(caller).json()["data"]
    other = house.caller()
    record = other.record(other.created(taskId=None, audioId=None, audioUrl=data["downloadUrl"]))
    assert data["audioId"] != record["musicId"]
    assert data["audioId"] != record["audioId"]


def test_the_same_name_twice_makes_two_songs(caller: Caller) -> None:
    first, second = (form(caller).json()["data"] for _ in range(2))
    assert first["downloadUrl"] != second["downloadUrl"]


def test_a_name_of_ones_own_comes_first(caller: Caller) -> None:
    assert form(caller, fileName="other.wav").json()["data"]["fileName"] == "other.wav"


def test_a_large_form_goes_through_in_parts(house: House, caller: Caller) -> None:
    content = SONG * 2000  # 10 MB
    data = form(caller, content).json()["data"]
    assert house.anonymous().head(data["downloadUrl"]).headers["Content-Length"] == str(len(content))
    assert list(house.api.uploads.iterdir()) == []


@pytest.mark.parametrize(
    "before", ["", "data:audio/mpeg;base64,", " data:audio/mpeg; codecs=mp3; base64, ", "DATA:Audio/MPEG;BASE64,"]
)
@pytest.mark.parametrize("field", ["base64Data", "file"])
def test_base64_becomes_a_song(house: House, caller: Caller, before: str, field: str) -> None:
    data = before + base64.b64encode(SONG).decode()
    answer = caller.http.post(BASE64, json={field: data, "uploadPath": "x", "fileName": "a.mp3"}).json()["data"]
    assert house.anonymous().get(answer["fileUrl"]).content == SONG


def test_a_data_url_may_be_percent_encoded(house: House, caller: Caller) -> None:
    content = bytes(range(256))
    answer = caller.http.post(BASE64, json={"base64Data": "data:audio/mpeg," + quote(content, safe="=")}).json()["data"]
    assert house.anonymous().get(answer["fileUrl"]).content == content


def test_a_data_url_takes_no_more_memory_than_is_counted() -> None:
    text = "data:," + "%41" * 100_000
    tracemalloc.start()
    try:
        assert len(uploads._decoded(text)) == 100_000
        assert tracemalloc.get_traced_memory()[1] < 4 * len(text)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"\xfb\xff\xfe", b"\xfb\xff\xfe1", b"\xfb\xff\xfe12"])
def test_base64_may_be_of_the_alphabet_for_addresses_and_without_padding(
    house: House, caller: Caller, content: bytes
) -> None:
    for data in (base64.urlsafe_b64encode(content), base64.urlsafe_b64encode(content).rstrip(b"=")):
        answer = caller.http.post(BASE64, json={"base64Data": data.decode()}).json()["data"]
        assert house.anonymous().get(answer["downloadUrl"]).content == content


def test_a_song_without_a_telling_name_is_called_by_what_its_sender_says_it_is(caller: Caller) -> None:
    with sources.source(sources.gives()) as there:
        answers = [
            caller.http.post(FORM, files={"file": ("blob", SONG, "audio/mpeg;codecs=mp3")}),
            caller.http.post(BASE64, json={"base64Data": "data:Audio/MPEG;base64,QUJD"}),
            caller.http.post(URL, json={"fileUrl": f"{there.url}/download?id=7"}),
            caller.http.post(FORM, files={"file": ("notes.txt", SONG, "text/plain")}),
        ]
    told = [answer.json()["data"] for answer in answers]
    assert [each["fileName"] for each in told] == ["blob.mp3", "upload.mp3", "download.mp3", "notes.txt"]
    assert all(each["downloadUrl"].endswith(each["fileName"]) for each in told)
    assert [each["mimeType"] for each in told] == [*["audio/mpeg"] * 3, "text/plain"]


@pytest.mark.parametrize("name", ["song.wav", "song.m4a", "song.mka"])
def test_a_song_is_served_as_what_its_upload_was_told_to_be(house: House, caller: Caller, name: str) -> None:
    data = caller.http.post(FORM, files={"file": (name, SONG)}).json()["data"]
    assert data["mimeType"].startswith("audio/")
    assert house.anonymous().get(data["downloadUrl"]).headers["Content-Type"] == data["mimeType"]


@pytest.mark.parametrize("field", ["fileUrl", "url"])
def test_an_address_becomes_a_song(house: House, caller: Caller, field: str) -> None:
    with sources.source(sources.gives()) as there:
        answer = caller.http.post(URL, json={field: f"{there.url}/dir/the%20song.mp3?x=1", "uploadPath": "y"}).json()
    assert answer["data"]["fileName"] == "the_song.mp3"
    assert house.anonymous().get(answer["data"]["downloadUrl"]).content == SONG


def test_an_address_of_our_own_is_not_fetched(serve) -> None:
    house = serve(allow_networks="")
    caller = house.caller()
    stem = house.finish(caller.created())[0]
    url = f"{house.url}/s/{stem.blob}"
    answer = caller.http.post(URL, json={"fileUrl": url}).json()["data"]
    assert (answer["fileName"], answer["fileSize"]) == (f"{stem.label}.mp3", stem.bytes)
    assert house.anonymous().get(answer["downloadUrl"]).content == house.anonymous().get(url).content
    assert caller.http.post(URL, json={"fileUrl": f"{house.url}/s/nothing.mp3"}).json()["code"] == 422
    house.execute("UPDATE tasks SET expires = 1")  # the file is there until the next purge
    assert caller.http.post(URL, json={"fileUrl": url}).json()["code"] == 422
    assert not any(house.api.uploads.glob("*"))


REFUSED = [
    (BASE64, {}),
    (BASE64, {"base64Data": "!!!"}),
    (BASE64, {"base64Data": ""}),
    (BASE64, {"base64Data": "QUJDQ"}),
    (BASE64, {"base64Data": "data:,\ud800"}),
    (BASE64, {"base64Data": 5}),
    (BASE64, {"base64Data": "QUJD", "uploadPath": 7}),
    (URL, {}),
    (URL, {"fileUrl": "file:///etc/passwd"}),
    (URL, {"fileUrl": "http://10.0.0.1/x"}),
    (URL, {"fileUrl": "http://[::ffff:127.0.0.1]/"}),
]


@pytest.mark.parametrize(("path", "body"), REFUSED, ids=str)
def test_what_cannot_be_used_is_refused(house: House, dialect: str, path: str, body: dict) -> None:
    answer = house.caller(dialect=dialect).http.post(path, content=json.dumps(body))
    assert answer.json()["code"] == {"apikley": 422, "sunoapi": 400}[dialect]
    assert answer.json()["success"] is False


def test_a_body_of_very_many_values_is_refused_unread(caller: Caller) -> None:
    told = caller.http.post(BASE64, json={"base64Data": "QUJD", "beside": [0] * 10_000}).json()
    assert (told["code"], told["msg"]) == (422, "body: holds too many values")


BAD_FORMS = [
    (b"", "multipart/form-data; boundary=x"),
    (b"no form at all", "multipart/form-data; boundary=x"),
    (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n', "multipart/form-data; boundary=x"),
    (b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nhalf', "multipart/form-data; boundary=x"),
    (b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n\r\n--x--\r\n', "multipart/form-data; boundary=x"),
    (b"{}", "application/json"),
    (b"x", "multipart/form-data"),
    (b"x", "multipart/form-data; boundary=" + "x" * 300),
]


@pytest.mark.parametrize(("body", "kind"), BAD_FORMS, ids=str)
def test_a_broken_form_is_refused_and_leaves_nothing(house: House, dialect: str, body: bytes, kind: str) -> None:
    caller = house.caller(dialect=dialect)
    answer = caller.http.post(FORM, content=body, headers={"Content-Type": kind})
    assert answer.json()["code"] == {"apikley": 422, "sunoapi": 400}[dialect]
    assert list(house.api.uploads.iterdir()) == []


def test_what_is_too_large_is_refused_while_it_arrives(serve, dialect: str) -> None:
    house = serve(max_upload_bytes=10_000, max_body_bytes=1000)
    caller = house.caller(dialect=dialect)
    answers = [form(caller, bytes(3 << 20)), caller.http.post(BASE64, json={"base64Data": "QUJD" * 10_000})]
    answers.append(caller.http.post(BASE64, json={"base64Data": "QUJD" * 3400}))
    with sources.source(sources.gives(bytes(20_000))) as there:
        answers.append(caller.http.post(URL, json={"fileUrl": there.url}))
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(413, 413)] * 4
    assert list(house.api.uploads.iterdir()) == []


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_base64_on_its_way_is_bounded(serve, dialect: str) -> None:
    """It is held in memory. One account has half of it, and the other half is for the rest; forms are not counted."""
    house = serve(base64_memory_bytes=40_000)
    caller, other = house.caller(dialect=dialect), house.caller()
    head = f"POST {BASE64} HTTP/1.1\r\nHost: x\r\nX-API-Key: {caller.http.key}\r\nContent-Length: 19000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(house.url.rpartition(":")[2]))) as slow:
        slow.sendall(head.encode() + b'{"base64Data":"' + b"Q" * 15_000)
        until(lambda: house.api.held.held(caller.account.id) > 0)
        refused = caller.http.post(BASE64, json={"base64Data": "QUJD" * 2000})
        assert (refused.status_code, refused.json()["code"]) == (429, {"apikley": 429, "sunoapi": 430}[dialect])
        assert (refused.headers["Retry-After"], "as a form" in refused.json()["msg"]) == ("1", True)
        assert form(caller).json()["code"] == 200
        assert other.http.post(BASE64, json={"base64Data": "QUJD" * 2000}).json()["code"] == 200
    until(lambda: house.api.held.held(caller.account.id) == 0)
    assert caller.http.post(BASE64, json={"base64Data": "QUJD" * 2000}).json()["code"] == 200
    assert caller.http.post(BASE64, json={"base64Data": "QUJD" * 6000}).json()["code"] == 413


def test_an_account_s_uploads_have_a_bound(serve, dialect: str) -> None:
    """By form, base64 or address; other accounts have their own, and what is deleted counts no more."""
    house = serve(account_uploads_bytes=10_000)
    caller, other = house.caller(dialect=dialect), house.caller()
    kept = [form(caller, bytes(4000)).json()["data"]["audioId"] for _ in range(2)]
    with sources.source(sources.gives(SONG.ljust(4000))) as there:
        answers = [form(caller, bytes(4000)), caller.http.post(URL, json={"fileUrl": there.url})]
    answers.append(caller.http.post(BASE64, json={"base64Data": "QUJD" * 1000}))
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(413, 413)] * 3
    assert all("may take 10000" in answer.json()["msg"] for answer in answers)
    assert [form(other, bytes(4000)).json()["code"], form(caller, bytes(2000)).json()["code"]] == [200, 200]
    assert form(caller, b"x").json()["code"] == 413
    with house.api.database.transaction() as tx:
        tracks.forget_bytes(tx, kept[0], now=now_ms())
    assert form(caller, bytes(4000)).json()["code"] == 200
    assert list(house.api.uploads.iterdir()) == []


def test_many_forms_at_once_keep_to_the_bound(serve, dialect: str) -> None:
    house = serve(account_uploads_bytes=10_000)
    caller = house.caller(dialect=dialect)
    with ThreadPoolExecutor(16) as threads:
        sent = [threads.submit(form, caller, bytes(3000)) for _ in range(16)]
        codes = [each.result().json()["code"] for each in sent]
    assert sorted(codes) == [200] * 3 + [413] * 13


def test_no_byte_is_kept_from_a_stranger(house: House) -> None:
    answer = house.anonymous().post(FORM, files={"file": ("a.mp3", SONG)})
    assert (answer.status_code, answer.json()["success"]) == (401, False)


def test_an_error_never_repeats_what_was_fetched(caller: Caller) -> None:
    for misbehave in (sources.talks_nonsense, sources.gives(b"<h1>secret</h1>", kind="text/html"), sources.breaks_off):
        with sources.source(misbehave) as there:
            answer = caller.http.post(URL, json={"fileUrl": there.url})
        assert answer.json()["code"] == 422
        assert not re.search("secret|half|SSH", answer.text)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("a b.MP3", "a_b.mp3"),
        ("..", "upload"),
        ("", "upload"),
        ("C:\\x\\y.wav", "y.wav"),
    ],
)
def test_names_are_made_safe(given: str, kept: str) -> None:
    assert safe_name(given) == kept


@pytest.mark.parametrize(
    ("given", "title"),
    [
        ("C:\\x\\Blue hour.FLAC", "Blue hour"),
        ("Mr. Nobody", "Mr. Nobody"),
        ("Live at 8.30.mp3 ", "Live at 8.30"),
        (".mp3", "upload"),
        ("夜に\u3000駆ける\xa0\n(live).mp3", "夜に 駆ける (live)"),
        ("می\u200cخواهم 👩\u200d👧.mp3", "می\u200cخواهم 👩\u200d👧"),
        ("a\u202egpj\u2069.mp3", "agpj"),
        ("\u200b\u200d.mp3", "upload"),
    ],
)
def test_a_title_is_the_name_without_what_says_that_it_is_sound(given: str, title: str) -> None:
    assert title_of(given) == title


def test_a_browser_s_escapes_are_no_part_of_a_name(house: House, caller: Caller) -> None:
    head = 'Content-Disposition: form-data; name="file"; filename="Say %22Hi%22%0D%0A 50%25.mp3"'
    body = f"--x\r\n{head}\r\n\r\nsound\r\n--x--\r\n".encode()
    sent = caller.http.post(FORM, content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    with house.database.read() as tx:
        track = tracks.by_blob(tx, sent.json()["data"]["downloadUrl"].rpartition("/")[2])
    assert track
    assert track.title == 'Say "Hi" 50%25'


@pytest.mark.parametrize(
    ("named", "title"),
    [
        ("filename*=UTF-8''%e2%82%ac%20na%C3%AFve.mp3", "€ naïve"),
        ("filename=\"=?utf-8?B?w7wubXAz?=\"; filename*=utf-8''%C3%BC.mp3", "ü"),
        ("FileName*=ISO-8859-1'de'%fc.mp3; filename=plain.mp3", "ü"),
        ("filename=plain.mp3; filename*=utf-7''+AOk-.mp3", "plain"),
    ],
)
def test_a_name_beyond_ascii_may_come_in_its_own_field(house: House, caller: Caller, named: str, title: str) -> None:
    body = f"--x\r\nContent-Disposition: form-data; name=song; {named}\r\n\r\nsound\r\n--x--\r\n".encode()
    sent = caller.http.post(FORM, content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}).json()
    told = caller.http.get("/api/v1/generate/record-info", params={"taskId": sent["data"]["taskId"]}).json()["data"]
    assert told["response"]["sunoData"][0]["title"] == title


def test_folders_are_made_safe() -> None:
    assert safe_folder("/a/../../b//c d/") == "a/b/c_d"
    assert len(safe_name("x" * 500 + ".mp3")) <= 100


@pytest.mark.parametrize(("path", "field"), [(BASE64, "base64Data"), (URL, "fileUrl")])
@pytest.mark.parametrize("value", ["", " ", None])
def test_nothing_is_told_to_be_missing(caller: Caller, path: str, field: str, value: str | None) -> None:
    answer = caller.http.post(path, json={field: value}).json()
    assert (answer["code"], answer["msg"]) == (422, f"{field}: Field required")

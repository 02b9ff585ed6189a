"""Files: whole, in parts, and gone in time."""

from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from stemwright.server.clock import now_ms
from tests.server.http.house import Caller, House

CONTENT = bytes(range(256)) * 4


@pytest.fixture
def url(house: House, caller: Caller) -> str:
    task_id = caller.created()
    house.finish(task_id)
    return caller.record(task_id)["response"]["vocalUrl"]


def test_a_stem_needs_no_key_and_no_query(house: House, url: str) -> None:
    answer = house.anonymous().get(url)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert url.endswith("_Vocals.mp3")


def test_head_tells_the_size(house: House, url: str) -> None:
    answer = house.anonymous().head(url)
    assert (answer.status_code, answer.headers["Content-Length"], answer.content) == (200, "1024", b"")
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("wanted", "start", "stop"), [("bytes=0-9", 0, 10), ("bytes=1000-", 1000, 1024), ("bytes=-24", 1000, 1024)]
)
def test_a_range_is_a_part(house: House, url: str, wanted: str, start: int, stop: int) -> None:
    answer = house.anonymous().get(url, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (206, CONTENT[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1024"


def test_a_range_behind_the_end_is_none(house: House, url: str) -> None:
    assert house.anonymous().get(url, headers={"Range": "bytes=5000-"}).status_code == 416


@pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)  # object storage has its own ways
@pytest.mark.parametrize("wanted", ["bytes=x-y", "bytes=5-2", "bytes=", "items=0-3", "bytes=0-9," + "9" * 5000])
def test_a_range_that_cannot_be_read_is_ignored(house: House, url: str, wanted: str) -> None:
    answer = house.anonymous().get(url, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (200, CONTENT)


@pytest.mark.parametrize("deployment", ["postgresql"], indirect=True)
def test_object_storage_hands_the_bytes_out_itself(house: House, caller: Caller, url: str) -> None:
    answer = httpx2.get(url, headers={"Origin": "https://x.example"})
    assert (answer.status_code, answer.content) == (302, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    there = answer.headers["Location"]
    assert not there.startswith(house.url)
    assert "Signature=" in there
    assert httpx2.get(there).headers["Content-Type"] == "audio/mpeg"
    house.execute(f"UPDATE tasks SET expires = {now_ms() + 60_000} WHERE account_id = '{caller.account.id}'")
    short = parse_qs(urlsplit(httpx2.get(url).headers["Location"]).query)["X-Amz-Expires"]
    assert int(short[0]) <= 60


def test_what_is_saved_comes_from_the_service_wherever_the_file_is(house: House, url: str) -> None:
    for method in ("GET", "HEAD"):
        answer = httpx2.request(method, f"{url}?download=1")
        assert (answer.status_code, answer.content) == (200, CONTENT if method == "GET" else b"")
        assert answer.headers["Content-Disposition"] == "attachment"
        assert answer.headers["Content-Length"] == "1024"
    assert house.anonymous().get(f"{url}?download=1").content == CONTENT
    assert "Content-Disposition" not in httpx2.head(url).headers
    assert house.anonymous().get(f"{url}?download=%00").status_code == 422


def test_a_small_part_comes_from_the_service_wherever_the_file_is(house: House, url: str) -> None:
    answer = httpx2.get(url, headers={"Range": "bytes=1000-5000"})
    assert (answer.status_code, answer.content) == (206, CONTENT[1000:])
    assert answer.headers["Content-Range"] == "bytes 1000-1023/1024"
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert house.anonymous().get(url, headers={"Range": "bytes=1024-1030"}).status_code == 416


@pytest.mark.parametrize("deployment", ["postgresql"], indirect=True)
def test_the_size_is_told_without_a_redirect(url: str) -> None:
    """A signed address is good for one method, so a HEAD that followed it would be refused."""
    answer = httpx2.head(url)
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, "1024")
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_an_etag_saves_the_second_download(house: House, url: str) -> None:
    first = house.anonymous().get(url)
    again = house.anonymous().get(url, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    ranged = house.anonymous().get(url, headers={"If-Range": first.headers["ETag"], "Range": "bytes=0-1"})
    assert ranged.status_code == 206


def test_any_page_may_read_it(url: str) -> None:
    for headers in ({}, {"Origin": "https://x.example"}):
        assert httpx2.get(url, headers=headers).headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("wanted", ["bytes=0-9", "bytes=4096-"])
def test_a_head_tells_of_the_whole_whatever_part_it_names(house: House, url: str, wanted: str) -> None:
    answer = house.anonymous().head(url, headers={"Range": wanted})
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, "1024")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("known", ["{etag}", 'W/"other", {etag}', "*"])
def test_who_has_it_is_not_sent_it_again(house: House, url: str, method: str, known: str) -> None:
    """`*` is whatever there is (RFC 9110, section 13.1.2)."""
    etag = house.anonymous().head(url).headers["ETag"]
    answer = house.anonymous().request(method, url, headers={"If-None-Match": known.format(etag=etag)})
    assert (answer.status_code, answer.content) == (304, b"")
    assert house.anonymous().head(url, headers={"If-None-Match": '"*"'}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_after_its_time_it_is_gone(house: House, caller: Caller, url: str, method: str) -> None:
    house.execute(f"UPDATE tasks SET expires = 1 WHERE account_id = '{caller.account.id}'")
    answer = house.anonymous().request(method, url)
    assert answer.status_code == 410
    assert method == "HEAD" or answer.json()["code"] == 410


def test_an_upload_goes_in_its_time_too(house: House, caller: Caller) -> None:
    house.execute(f"UPDATE tracks SET gone = 1 WHERE audio_id = '{caller.track.audio_id}'")
    assert house.anonymous().get(f"/s/{caller.track.blob}").status_code == 410


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", ["nothing.mp3", "..%2Fstemwright.db", "%2e%2e", ".hidden", "a%00b"])
def test_what_is_not_there_is_404(house: House, method: str, name: str) -> None:
    assert house.anonymous().request(method, f"/s/{name}").status_code == 404


@pytest.mark.parametrize("name", ["evil.html", "evil.svg", "evil.js"])
def test_what_a_stranger_uploaded_is_never_a_page_or_script_of_ours(house: House, caller: Caller, name: str) -> None:
    files = {"file": (name, b"<script>alert(1)</script>", "text/html")}
    url = caller.http.post("/api/file-stream-upload", files=files).json()["data"]["downloadUrl"]
    assert house.anonymous().get(url).headers["Content-Type"] == "application/octet-stream"
    assert house.anonymous().get(url).headers["Content-Disposition"] == "attachment"
    assert httpx2.get(url).headers["X-Content-Type-Options"] == "nosniff"


def test_a_download_link_for_a_file_of_ones_own(caller: Caller, url: str) -> None:
    assert caller.http.post("/api/v1/common/download-url", json={"url": url}).json()["data"] == url


def test_there_is_no_link_for_a_file_whose_time_is_over(house: House, dialect: str) -> None:
    caller = house.caller(dialect=dialect)
    task_id = caller.created()
    house.finish(task_id)
    url = caller.record(task_id)["response"]["vocalUrl"]
    house.execute(f"UPDATE tasks SET expires = 1 WHERE id = '{task_id}'")
    assert caller.http.post("/api/v1/common/download-url", json={"url": url}).json()["code"] == 410


@pytest.mark.parametrize("wrong", ["https://example.com/x.mp3", "nonsense", "{house}/s/nothing.mp3", "{house}/docs"])
def test_a_link_for_anything_else_is_wrong(house: House, dialect: str, wrong: str) -> None:
    caller = house.caller(dialect=dialect)
    answer = caller.http.post("/api/v1/common/download-url", json={"url": wrong.format(house=house.url)}).json()
    assert (answer["code"], answer["msg"]) == ({"apikley": 422, "sunoapi": 400}[dialect], "url is wrong")


def test_a_link_for_anothers_file_is_wrong_too(house: House, url: str) -> None:
    answer = house.caller().http.post("/api/v1/common/download-url", json={"url": url}).json()
    assert answer["msg"] == "url is wrong"

"""What real clients of the Suno stem API do, as they do it; each stands for the habits of one or more of them."""

import re
from typing import Any

from tests.server.http.house import GENERATE, RECORD, Caller, House

FAILED = {"CREATE_TASK_FAILED", "GENERATE_AUDIO_FAILED", "CALLBACK_EXCEPTION", "SENSITIVE_WORD_ERROR"}


def done(house: House, caller: Caller, **fields: Any) -> dict[str, Any]:
    task_id = caller.created(**fields)
    house.finish(task_id)
    return caller.record(task_id)


def test_one_that_polls_by_success_flag_and_downloads_every_url(house: House, caller: Caller) -> None:
    """nodetool: a callback that leads nowhere, terminal flags, fifteen camelCase names, each downloaded."""
    task_id = caller.created(type="split_stem", callBackUrl="https://example.com/callback")
    flags = [caller.record(task_id)["successFlag"]]
    house.finish(task_id)
    house.execute(f"UPDATE callbacks SET state = 'failed', last_status = 404 WHERE task_id = '{task_id}'")
    record = caller.record(task_id)
    assert [*flags, record["successFlag"]] == ["PENDING", "SUCCESS"]
    assert not FAILED & {record["successFlag"], record["status"]}
    urls = [url for name, url in record["response"].items() if name.endswith("Url") and url]
    assert len(urls) == 12
    assert {house.anonymous().get(url).status_code for url in urls} == {200}


def test_one_that_collects_every_text_under_a_key_that_ends_in_url(house: House, caller: Caller) -> None:
    """albert3: whatever `…Url` holds a text is a stem, so nothing else may."""
    response = done(house, caller)["response"]
    stems = {key: value for key, value in response.items() if key.endswith("Url") and isinstance(value, str)}
    assert set(stems) == {"vocalUrl", "instrumentalUrl"}


def test_one_that_keeps_what_ends_in_a_known_extension(house: House, caller: Caller) -> None:
    """A bot: `for url in response.values() if url.endswith((".mp3", ".wav", ".ogg"))`."""
    values = [value for value in done(house, caller)["response"].values() if isinstance(value, str)]
    assert len([value for value in values if value.endswith((".mp3", ".wav", ".ogg"))]) == 2


def test_one_that_asks_for_the_head_and_then_for_parts(house: House, caller: Caller) -> None:
    """musiclaw: HEAD for the size, then Range by Range."""
    url = done(house, caller)["response"]["vocalUrl"]
    client = house.anonymous()
    size = int(client.head(url).headers["Content-Length"])
    parts = [client.get(url, headers={"Range": f"bytes={at}-{min(at + 299, size - 1)}"}) for at in range(0, size, 300)]
    assert {part.status_code for part in parts} == {206}
    assert b"".join(part.content for part in parts) == client.get(url).content


def test_one_that_looks_for_the_words_status_then_state_then_msg(house: House, caller: Caller) -> None:
    """Scalino: walks the answer for `status`; the envelope's "success" must not be the first it finds."""
    task_id = caller.created()
    answer = caller.http.get(RECORD, params={"taskId": task_id}).json()
    assert answer["data"]["status"] == "PENDING"
    house.fail(task_id, "separation")
    assert caller.record(task_id)["status"] == "GENERATE_AUDIO_FAILED"


def test_one_that_prefers_origin_data_and_falls_back_to_the_whole(house: House, caller: Caller) -> None:
    """A browser client: an empty list would hide the URLs; without an object it takes callbackUrl for a stem."""
    task_id = caller.created(callBackUrl="https://example.com/cb.mp3")
    pending = caller.record(task_id)["response"]
    assert (type(pending), pending["originData"]) == (dict, None)
    house.finish(task_id)
    for each in caller.record(task_id)["response"]["originData"]:
        assert re.fullmatch("[0-9a-f-]{36}", each["id"])
        assert each["id"] in each["audio_url"]


def test_one_that_sends_only_an_audio_url_and_polls_elsewhere(house: House, caller: Caller) -> None:
    """n8n: no type, no ids, no callback, two fields of its own; polls generate/record-info."""
    body = {"audioUrl": "https://example.com/a.mp3", "replyUrl": "https://example.com/r", "replyRef": "1"}
    task_id = caller.http.post(GENERATE, json=body).json()["data"]["taskId"]
    house.finish(task_id)
    data = caller.http.get("/api/v1/generate/record-info", params={"taskId": task_id}).json()["data"]
    assert data["status"] == "SUCCESS"


def test_one_that_picks_its_song_from_the_generation(caller: Caller) -> None:
    """Every client of generated music: record-info, sunoData[0].id, then the separation."""
    data = caller.http.get("/api/v1/generate/record-info", params={"taskId": caller.track.task_id}).json()["data"]
    body = {"taskId": data["taskId"], "audioId": data["response"]["sunoData"][0]["id"], "type": "separate_vocal"}
    assert caller.http.post(GENERATE, json=body | {"callBackUrl": "https://noop"}).json()["code"] == 200


def test_one_that_sends_its_key_in_three_headers(house: House, caller: Caller) -> None:
    """albert3: Authorization, X-API-Key and api-key, all the same."""
    key = caller.http.key or ""
    headers = {"Authorization": f"Bearer {key}", "X-API-Key": key, "api-key": key}
    assert house.anonymous().get("/api/v1/generate/credit", headers=headers).json()["data"] == 100


def test_one_that_stops_at_body_code_404(house: House, caller: Caller) -> None:
    """shubinfilms: `code` 404 in the body means that there is no such task."""
    answer = caller.http.get(RECORD, params={"taskId": "f" * 32})
    assert (answer.status_code, answer.json()["code"], answer.json()["data"]) == (404, 404, None)


def test_one_that_needs_file_url_of_an_upload(house: House, caller: Caller) -> None:
    """SunoFlow: sends `file` or `url`, and reads `data.fileUrl`, `data.fileId` and `data.expiresAt`."""
    data = caller.http.post("/api/file-base64-upload", json={"file": "QUJD", "uploadPath": "x"}).json()["data"]
    assert house.anonymous().get(data["fileUrl"]).content == b"ABC"
    assert data["fileId"]
    assert data["expiresAt"]


def test_one_that_reads_the_time_to_wait(serve) -> None:
    """SunoFlow, n8n: Retry-After in seconds on HTTP 429."""
    caller = serve(rate_limit_creates=1, rate_limit_seconds=30).caller()
    caller.create()
    refused = caller.create()
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 30

"""Asking for a separation: what is taken, what is refused, and what it costs."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from stemwright.server import tasks
from stemwright.server.http import wire
from stemwright.server.settings import Settings
from stemwright.server.stem_names import NEAREST
from tests.server.http.house import GENERATE, RECORD, Caller, House

INVALID = [
    {"taskId": None},
    {"audioId": None},
    {"taskId": 5},
    {"audioId": ["x"]},
    {"type": "split_everything"},
    {"type": 1},
    {"type": "split_stem_advanced"},
    {"type": "split_stem_advanced", "stemName": "Kazoo"},
    {"format": "exe"},
    {"format": "flac-32f"},
    {"format": "mp3-100"},
    {"format": "mp3-000000000320"},
    {"format": "mp3-" + "9" * 5000},
    {"format": "aac"},
    {"format": 3},
    {"callBackUrl": "not a url"},
    {"callBackUrl": "ftp://example.com/x"},
    {"callBackUrl": "http:///nohost"},
    {"callBackUrl": "http://user[@example.com/a"},
    {"callBackUrl": {"url": "https://example.com"}},
    {"taskId": None, "audioId": None, "audioUrl": "file:///etc/passwd"},
    {"taskId": None, "audioId": None, "audioUrl": 7},
    {"callBackUrl": "https://example.com/" + "x" * 9000},
]


@pytest.mark.parametrize(
    ("kind", "extra", "cost"),
    [("separate_vocal", {}, 1), ("split_stem", {}, 5), ("split_stem_advanced", {"stemName": "Lead Vocal"}, 5)],
)
def test_each_kind_takes_its_price(caller: Caller, kind: str, extra: dict, cost: int) -> None:
    task_id = caller.created(type=kind, **extra)
    assert caller.balance() == 100 - cost
    assert caller.record(task_id)["type"] == kind


def test_the_default_kind_is_separate_vocal(caller: Caller) -> None:
    assert caller.record(caller.created())["type"] == "separate_vocal"


@pytest.mark.parametrize("format", ["flac", "flac-24", "wav-32f", "mp3-192", "opus-96"])
def test_a_format_may_have_bits_or_a_bitrate(house: House, caller: Caller, format: str) -> None:
    task_id = caller.created(format=format)
    with house.database.read() as tx:
        assert tasks.find(tx, task_id).format == format


def test_the_same_song_is_charged_every_time(caller: Caller) -> None:
    assert caller.created() != caller.created()
    assert caller.balance() == 98


def test_a_failed_task_gives_its_credits_back(house: House, caller: Caller) -> None:
    task_id = caller.created(type="split_stem")
    house.fail(task_id, "separation")
    assert caller.balance() == 100


@pytest.mark.parametrize("fields", INVALID, ids=str)
def test_a_wrong_field_is_refused_and_costs_nothing(house: House, dialect: str, fields: dict) -> None:
    caller = house.caller(dialect=dialect)
    answer = caller.create(**fields)
    assert answer.json()["code"] == {"apikley": 422, "sunoapi": 400}[dialect]
    assert answer.status_code == answer.json()["code"]
    assert caller.balance() == 100


def test_a_message_names_the_field(caller: Caller) -> None:
    assert caller.create(audioId=None).json()["msg"] == "audioId: Field required"
    assert caller.create(taskId=5).json()["msg"].startswith("taskId: ")
    assert "Sitar" in caller.create(type="split_stem_advanced", stemName="Kazoo").json()["msg"]


def test_unknown_fields_are_accepted(caller: Caller) -> None:
    assert caller.create(replyUrl="x", replyRef={"a": 1}, tune="V5").json()["code"] == 200


def test_null_and_empty_count_as_not_given(caller: Caller) -> None:
    answer = caller.create(audioUrl="", callBackUrl=None, type=None, stemName="")
    assert answer.json()["code"] == 200
    assert caller.record(answer.json()["data"]["taskId"])["callbackUrl"] is None


@pytest.mark.parametrize(
    "body", [b"", b"{", b"taskId=1", b"\xff\xfe", b'{"a":NaN', b"[" * 100_000, '{"tag": "\\u0000"}'.encode("utf-16")]
)
def test_what_is_not_json_is_code_400(house: House, dialect: str, body: bytes) -> None:
    answer = house.caller(dialect=dialect).http.post(GENERATE, content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)


def test_a_byte_order_mark_does_no_harm(caller: Caller) -> None:
    assert caller.http.post(GENERATE, content=json.dumps(caller.ids).encode("utf-8-sig")).json()["code"] == 200


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"12"])
def test_json_that_is_no_object_is_invalid(caller: Caller, body: bytes) -> None:
    assert caller.http.post(GENERATE, content=body).json()["code"] == 422


def test_a_nul_is_invalid_wherever_it_stands(caller: Caller) -> None:
    assert caller.create(taskId="a\0b").json()["code"] == 422
    assert caller.create(tag="\\u0000").json()["code"] == 200  # a backslash and five letters
    assert caller.http.get(f"{RECORD}?taskId=%00").json()["code"] == 422
    assert caller.http.get("/s/a%00b/mix").status_code == 404
    assert caller.http.get("/console/api/tasks/a%00b").status_code == 404


def test_an_address_that_cannot_be_read_is_not_ours(caller: Caller) -> None:
    for url, host in (("http://[x/s/a", "localhost"), (f"{caller.house.url}/s/none", "[x")):
        answer = caller.http.post("/api/v1/common/download-url", json={"url": url}, headers={"Host": host})
        assert answer.status_code in (404, 422)
    assert caller.house.anonymous().get("/console/" + "a" * 300).status_code == 200  # the page, which says so


def test_a_create_that_could_not_begin_is_not_made_later(house: House, caller: Caller) -> None:
    def cannot(*_: object) -> None:
        raise exc.OperationalError("BEGIN IMMEDIATE", None, Exception("database is locked"))

    sa.event.listen(house.database.engine, "begin", cannot)
    try:
        assert caller.create().json()["code"] == 500
    finally:
        sa.event.remove(house.database.engine, "begin", cannot)
    assert caller.create().json()["code"] == 200
    assert caller.balance() == 99


def test_creates_at_once_are_counted_one_after_another(serve) -> None:
    caller = serve(rate_limit_creates=5).caller()
    with ThreadPoolExecutor(20) as threads:
        codes = list(threads.map(lambda _: caller.create().json()["code"], range(20)))
    assert sorted(codes) == [200] * 5 + [429] * 15


def test_ten_megabytes_are_too_many_and_the_client_hears_it(house: House, dialect: str) -> None:
    caller = house.caller(dialect=dialect)
    answer = caller.create(padding="x" * (10 << 20))
    assert (answer.status_code, answer.json()["code"]) == (413, 413)
    assert caller.balance() == 100


@pytest.mark.parametrize("wrong", [{"taskId": "0" * 32}, {"audioId": "00000000-0000-4000-8000-000000000000"}])
def test_an_unknown_song_does_not_exist(house: House, dialect: str, wrong: dict) -> None:
    answer = house.caller(dialect=dialect).create(**wrong).json()
    assert (answer["code"], answer["msg"]) == ({"apikley": 422, "sunoapi": 400}[dialect], "Record does not exist")


def test_another_accounts_song_does_not_exist_either(house: House, caller: Caller) -> None:
    answer = house.caller().create(**caller.ids)
    assert answer.json()["msg"] == "Record does not exist"


def test_white_space_around_a_text_is_none_of_it(caller: Caller) -> None:
    ids = {name: f" {value}\n" for name, value in caller.ids.items()}
    task_id = caller.created(**ids, type="split_stem ", callBackUrl="\thttps://example.com/a b?c=d \r\n")
    record = caller.record(task_id)
    assert (record["type"], record["callbackUrl"]) == ("split_stem", "https://example.com/a b?c=d")


def test_a_callback_url_may_be_spelled_as_in_a_record(caller: Caller) -> None:
    task_id = caller.created(callbackUrl="https://example.com/cb")
    assert caller.record(task_id)["callbackUrl"] == "https://example.com/cb"
    both = caller.created(callbackUrl="https://example.com/other", callBackUrl="https://example.com/cb")
    assert caller.record(both)["callbackUrl"] == "https://example.com/cb"


def test_a_callback_url_may_be_required(serve, dialect: str) -> None:
    caller = serve(require_callback=True).caller(dialect=dialect)
    answer = caller.create().json()
    assert (answer["code"], answer["msg"]) == ({"apikley": 422, "sunoapi": 400}[dialect], "Please enter callBackUrl.")
    assert caller.create(callBackUrl="https://example.com/callback").json()["code"] == 200


@pytest.mark.parametrize(
    "url", ["https://localhost/noop", "https://noop", "http://10.0.0.8:9/x", "https://callback.placeholder"]
)
def test_where_a_callback_points_is_not_judged_at_submit(caller: Caller, url: str) -> None:
    assert caller.create(callBackUrl=url).json()["code"] == 200


def test_an_audio_url_needs_no_ids(caller: Caller) -> None:
    answer = caller.create(taskId=None, audioId=None, audioUrl="https://example.com/song.mp3")
    record = caller.record(answer.json()["data"]["taskId"])
    assert (record["musicId"], record["stage"]) == (record["audioId"], "queued")


def test_the_ids_count_when_there_is_an_audio_url_too(caller: Caller) -> None:
    record = caller.record(caller.created(audioUrl="https://example.com/song.mp3"))
    assert record["musicId"] == caller.track.audio_id


def test_an_address_of_our_own_is_not_fetched(house: House, caller: Caller) -> None:
    url = f"{house.url}/s/{caller.track.blob}"
    record = caller.record(caller.created(taskId=None, audioId=None, audioUrl=url))
    assert record["musicId"] == caller.track.audio_id


@pytest.mark.parametrize(
    ("settings", "passed", "base"),
    [
        ({"public_url": "https://example.com/stems/"}, {}, "https://example.com/stems/s/"),
        ({"trusted_proxies": "127.0.0.0/8"}, {"X-Forwarded-Host": "stems.example"}, "http://stems.example/s/"),
    ],
)
def test_an_address_that_we_gave_is_ours_behind_a_proxy(serve, settings: dict, passed: dict, base: str) -> None:
    caller = serve(**settings).caller()
    files = {"file": ("song.mp3", b"song")}
    track = caller.http.post("/api/file-stream-upload", files=files, headers=passed).json()["data"]
    assert track["downloadUrl"].startswith(base)
    body = {"audioUrl": track["downloadUrl"]}
    task = caller.http.post("/api/v1/vocal-removal/generate", json=body, headers=passed).json()["data"]
    assert caller.record(task["taskId"])["musicId"] == track["audioId"]


def test_a_stem_can_be_separated_again_by_its_address(house: House, caller: Caller) -> None:
    first = caller.created()
    house.finish(first)
    url = caller.record(first)["response"]["vocalUrl"]
    assert caller.create(taskId=None, audioId=None, audioUrl=url).json()["code"] == 200


def test_an_address_of_ours_without_a_file_does_not_exist(house: House, caller: Caller) -> None:
    answer = caller.create(taskId=None, audioId=None, audioUrl=f"{house.url}/s/nothing.mp3")
    assert answer.json()["msg"] == "Record does not exist"


def test_the_files_format_can_be_chosen(house: House, caller: Caller) -> None:
    task_id = caller.created(format="flac")
    house.finish(task_id)
    assert caller.record(task_id)["response"]["vocalUrl"].endswith("_Vocals.flac")


@pytest.mark.parametrize("name", NEAREST)
def test_each_of_the_98_names_is_taken(name: str) -> None:
    fields = {"audioUrl": "https://example.com/a.mp3", "type": "split_stem_advanced", "stemName": name}
    asked = wire.Json(fields).to(wire.Generate)
    asked.check()
    assert len(NEAREST) == 98


def test_credits_that_do_not_suffice_are_not_taken(house: House, dialect: str) -> None:
    caller = house.caller(dialect=dialect, balance=4)
    answer = caller.create(type="split_stem")
    assert answer.json()["code"] == {"apikley": 402, "sunoapi": 429}[dialect]
    assert answer.json()["msg"] == "Insufficient credits: this needs 5, the balance is 4."
    assert caller.balance() == 4


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert [settings.cost(kind) for kind in ("separate_vocal", "split_stem", "split_stem_advanced")] == [1, 5, 5]
    assert (settings.rate_limit_creates, settings.rate_limit_seconds) == (20, 10)
    assert (settings.retention_days, settings.upload_days) == (14, 3)


def test_what_was_not_committed_is_no_task_and_its_outage_is_one_line(
    house: House, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    def full(connection: sa.Connection) -> None:
        if not connection.get_execution_options().get("stemwright_read"):
            raise exc.OperationalError("COMMIT", None, Exception("database or disk is full\nmore of it"))

    caplog.set_level("INFO")
    sa.event.listen(house.database.engine, "commit", full)
    try:
        assert caller.create().json()["code"] == 500
    finally:
        sa.event.remove(house.database.engine, "commit", full)
    (line,) = [record for record in caplog.records if record.name == "stemwright.http" or record.levelname == "ERROR"]
    assert line.getMessage() == f"a request to {GENERATE} went wrong: database or disk is full"
    assert line.exc_info is None
    assert caller.balance() == 100

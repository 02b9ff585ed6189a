"""What a separation looks like from outside, from its creation to its end."""

import re

import pytest

from tests.server.http.house import RECORD, TWELVE, Caller, House


def test_pending_is_an_object_of_nulls(caller: Caller) -> None:
    record = caller.record(caller.created(callBackUrl="https://localhost/noop"))
    assert record["successFlag"] == record["status"] == "PENDING"
    assert record["completeTime"] is None
    assert set(record["response"].values()) == {None}
    assert record["callback"] == {"state": "waiting", "attempts": 0, "lastStatus": None, "lastError": None}


def test_the_ids_are_those_of_the_song(caller: Caller) -> None:
    record = caller.record(caller.created())
    assert (record["musicId"], record["audioId"]) == (caller.track.audio_id, caller.track.audio_id)
    assert re.fullmatch("[0-9a-f]{32}", record["taskId"])
    assert record["taskId"] != caller.track.task_id


def test_two_stems(house: House, caller: Caller) -> None:
    task_id = caller.created(type="separate_vocal")
    house.finish(task_id)
    record = caller.record(task_id)
    given = {name for name, value in record["response"].items() if value is not None}
    assert given == {"originData", "vocalUrl", "instrumentalUrl"}
    assert (record["successFlag"], record["progress"], record["errorCode"]) == ("SUCCESS", 100, None)
    assert record["completeTime"] >= record["createTime"]


def test_twelve_stems(house: House, caller: Caller) -> None:
    task_id = caller.created(type="split_stem")
    house.finish(task_id)
    response = caller.record(task_id)["response"]
    assert len(response["originData"]) == 12
    assert response["instrumentalUrl"] is response["pianoUrl"] is None
    assert sum(name.endswith("Url") and value is not None for name, value in response.items()) == 12
    assert {each["stem_type_group_name"] for each in response["originData"]} >= {"Vocals", "Backing Vocals", "FX"}


def test_origin_data_agrees_with_the_urls(house: House, caller: Caller) -> None:
    task_id = caller.created()
    house.finish(task_id)
    response = caller.record(task_id)["response"]
    vocals = response["originData"][0]
    assert vocals["audio_url"] == response["vocalUrl"] == f"{house.url}/s/{vocals['id']}_Vocals.mp3"
    assert vocals["duration"] == 12.5


def test_the_advanced_kind_says_what_it_was_mapped_to(house: House, caller: Caller) -> None:
    task_id = caller.created(type="split_stem_advanced", stemName="Kick")
    house.finish(task_id)
    record = caller.record(task_id)
    pair = record["response"]["originData"][0]
    assert {pair[role]["stem_type_group_name"] for role in ("extract", "remove")} == {"Kick"}
    assert {pair[role]["mapped_to"] for role in ("extract", "remove")} == {"drums"}
    assert record["response"]["drumsUrl"] == pair["extract"]["audio_url"] != pair["remove"]["audio_url"]


def test_silent_and_experimental_stems_are_named(house: House, caller: Caller) -> None:
    task_id = caller.created(type="split_stem")
    house.finish(task_id, silent=["brass"], experimental=["fx", "synth"])
    record = caller.record(task_id)
    assert record["silentStems"] == ["brass"]
    assert record["experimental"] == [name for name in TWELVE if name in {"fx", "synth"}]
    assert record["response"]["brassUrl"], "a silent stem still has its file"


@pytest.mark.parametrize(
    ("failure", "flag", "codes"),
    [
        ("fetch", "CREATE_TASK_FAILED", {"apikley": 500, "sunoapi": 451}),
        ("input", "CREATE_TASK_FAILED", {"apikley": 500, "sunoapi": 400}),
        ("separation", "GENERATE_AUDIO_FAILED", {"apikley": 500, "sunoapi": 500}),
    ],
)
def test_a_failed_task_is_told_with_code_200(house: House, dialect: str, failure: str, flag: str, codes: dict) -> None:
    caller = house.caller(dialect=dialect)
    task_id = caller.created()
    house.fail(task_id, failure, "The song is not audio.")
    answer = caller.http.get(RECORD, params={"taskId": task_id}).json()
    record = answer["data"]
    assert (answer["code"], record["successFlag"], record["errorCode"]) == (200, flag, codes[dialect])
    assert record["errorMessage"] == "The song is not audio."
    assert set(record["response"].values()) == {None}


def test_a_failed_delivery_never_spoils_a_success(house: House, caller: Caller) -> None:
    task_id = caller.created(callBackUrl="https://noop")
    house.finish(task_id)
    house.execute(f"UPDATE callbacks SET state='failed', attempts=4, last_status=500 WHERE task_id='{task_id}'")
    record = caller.record(task_id)
    assert record["successFlag"] == "SUCCESS"
    assert record["callback"] == {"state": "failed", "attempts": 4, "lastStatus": 500, "lastError": None}


def test_another_accounts_task_does_not_exist(house: House, caller: Caller) -> None:
    answer = house.caller().http.get(RECORD, params={"taskId": caller.created()})
    assert (answer.status_code, answer.json()["code"], answer.json()["data"]) == (404, 404, None)


def test_the_callback_url_is_told_byte_for_byte(caller: Caller) -> None:
    url = "https://example.com/cb?secret=a%2Fb%zz&beat_id=1'|^"
    assert caller.record(caller.created(callBackUrl=url))["callbackUrl"] == url


def test_urls_begin_with_the_public_url_when_there_is_one(serve) -> None:
    house = serve(public_url="https://stems.example.com/")
    caller = house.caller()
    task_id = caller.created()
    house.finish(task_id)
    assert caller.record(task_id)["response"]["vocalUrl"].startswith("https://stems.example.com/s/")


def test_a_registered_song_looks_like_a_generated_one(caller: Caller) -> None:
    data = caller.http.get("/api/v1/generate/record-info", params={"taskId": caller.track.task_id}).json()["data"]
    song = data["response"]["sunoData"][0]
    assert (data["status"], song["id"], song["title"]) == ("SUCCESS", caller.track.audio_id, "song")
    assert caller.http.get(song["audioUrl"]).content == b"a song, more or less"


def test_a_client_that_looks_for_its_separation_among_songs_finds_it(caller: Caller) -> None:
    task_id = caller.created()
    data = caller.http.get("/api/v1/generate/record-info", params={"taskId": task_id}).json()["data"]
    assert (data["taskId"], data["status"]) == (task_id, "PENDING")

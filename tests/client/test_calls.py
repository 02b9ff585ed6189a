"""The client against a real service, in both dialects."""

import io
import json
from pathlib import Path

import pytest

from stemwright import Client, errors
from stemwright.client.receiving import Receiver
from tests.client.conftest import Served

TWELVE = {"vocals", "backing_vocals", "drums", "bass", "guitar", "keyboard", "strings", "brass", "woodwinds"}
TWELVE |= {"percussion", "synth", "fx"}


def test_a_song_goes_up_and_its_stems_come_down(client: Client, song: Path, tmp_path: Path) -> None:
    before = client.credits()
    seen: list[str | None] = []
    paths = client.separate(song, tmp_path / "out", on_record=lambda record: seen.append(record.flag))
    assert {name: path.name for name, path in paths.items()} == {
        "vocals": "vocals.mp3",
        "instrumental": "instrumental.mp3",
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["instrumental.mp3", "vocals.mp3"]
    assert paths["vocals"].read_bytes().endswith(b" vocals")
    assert seen[-1] == "SUCCESS"
    assert before - client.credits() == 1


def test_twelve_stems_in_a_format_of_choice(client: Client, song: Path, tmp_path: Path) -> None:
    record = client.wait(client.create(client.upload(song), "split_stem", format="flac"))
    assert {path.name for path in client.download(record, tmp_path / "out").values()} == {f"{n}.flac" for n in TWELVE}
    assert record.silent == {"fx"}
    assert all(stem.duration_seconds == 1.5 for stem in record.stems)


def test_one_named_instrument_and_the_rest(client: Client, song: Path) -> None:
    task_id = client.create(client.upload(song), "split_stem_advanced", stem_name="Electric Guitar")
    names = {stem.name for stem in client.wait(task_id).stems}
    assert names == {"electric_guitar", "without_electric_guitar"}


def test_a_file_object_is_sent_whole(client: Client) -> None:
    file = io.BytesIO(json.dumps({}).encode())
    file.seek(1)
    assert client.wait(client.create(client.upload(file, name="x.mp3"))).succeeded


def test_the_same_key_is_charged_once(client: Client, song: Path) -> None:
    track, before = client.upload(song), client.credits()
    ids = {client.create(track, idempotency_key="once " + str(track.task_id)) for _ in range(3)}
    assert len(ids) == 1
    assert before - client.credits() == 1


def test_another_song_under_the_same_key_is_refused(client: Client, song: Path) -> None:
    track = client.upload(song)
    key = f"twice {track.task_id}"
    client.create(track, idempotency_key=key)
    with pytest.raises(errors.BadRequest, match="Idempotency-Key"):
        client.create(track, "split_stem", idempotency_key=key)


def test_a_failed_separation_says_why_and_costs_nothing(client: Client, tmp_path: Path) -> None:
    bad, before = tmp_path / "bad.mp3", client.credits()
    bad.write_text(json.dumps({"refuse": "only noise"}))
    with pytest.raises(errors.NotSeparated, match=r"CREATE_TASK_FAILED.*only noise"):
        client.separate(bad, tmp_path / "out")
    assert client.credits() == before
    assert not (tmp_path / "out").exists()


def test_a_task_that_takes_longer_can_be_waited_for_again(client: Client, tmp_path: Path) -> None:
    slow = tmp_path / "slow.mp3"
    slow.write_text(json.dumps({"seconds": 1.5}))
    task_id = client.create(client.upload(slow))
    with pytest.raises(errors.StillRunning):
        client.wait(task_id, timeout_seconds=0.1)
    assert client.wait(task_id).succeeded


def test_no_credits_are_the_same_error_in_both_dialects(served: Served, song: Path) -> None:
    account = served.account(f"poor-{served.dialect}", 0)
    with Client(served.url, account["key"]) as poor, pytest.raises(errors.NoCreditsLeft) as caught:
        poor.create(poor.upload(song))
    assert caught.value.fields["code"] == {"apikley": 402, "sunoapi": 429}[served.dialect]


def test_an_unknown_song_and_task_and_key(client: Client, served: Served) -> None:
    with pytest.raises(errors.BadRequest):
        client.create("no address")
    with pytest.raises(errors.NotThere):
        client.record("0" * 32)
    with Client(served.url, " ") as nobody, pytest.raises(errors.KeyRefused, match="the key is missing"):
        nobody.credits()
    with Client(served.url, "wrong") as stranger, pytest.raises(errors.KeyRefused):
        stranger.credits()


def test_a_missing_file_is_found_out_before_anything_is_sent(client: Client, tmp_path: Path) -> None:
    with pytest.raises(errors.FileMissing):
        client.separate(tmp_path / "none.mp3", tmp_path)


def test_a_callback_ends_the_wait(served: Served, song: Path) -> None:
    account = served.account(f"called-{served.dialect}", 5)
    asked: list[str] = []
    with (
        Client(served.url, account["key"]) as client,
        Receiver(secret=account["webhookSecret"], form="standard") as receiver,
    ):
        song.write_text(json.dumps({"seconds": 1}))
        task_id = client.create(client.upload(song), callback_url=receiver.url)
        record = client.wait(task_id, receiver=receiver, on_record=lambda record: asked.append(record.flag))
        told = receiver.wait(task_id, seconds=0)
    assert asked == ["PENDING", "SUCCESS"]
    assert told is not None
    assert {stem.url for stem in told.stems} == {stem.url for stem in record.stems}


def test_a_callback_that_is_not_signed_by_our_secret_counts_for_nothing(served: Served, song: Path) -> None:
    account = served.account(f"forged-{served.dialect}", 5)
    with Client(served.url, account["key"]) as client, Receiver(secret="another") as receiver:
        task_id = client.create(client.upload(song), callback_url=receiver.url)
        client.wait(task_id)
        assert receiver.wait(task_id, seconds=0.5) is None


def test_a_large_song_is_not_held_in_memory(client: Client, tmp_path: Path) -> None:
    import tracemalloc

    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(16_000_000)
    tracemalloc.start()
    assert client.upload(large).size_bytes == 16_000_000
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 3_000_000

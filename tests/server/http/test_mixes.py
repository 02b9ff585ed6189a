"""The mix as a file: rendered by another process from the stems, with what the query says."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import numpy as np
import pytest
from starlette.types import Message

from stemwright.audio.decode import open_song
from stemwright.audio.encode import open_stem
from stemwright.errors import ChildDied
from stemwright.server.http.routes import mixes
from stemwright.server.mixing import Mixdown, Mixing
from tests.browser.stage import Staged, sounds, stage
from tests.server.http.house import Client, House

NAMES = ("vocals", "instrumental")


@pytest.fixture(scope="module")
def song(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staged]:
    return stage(house, tmp_path_factory.mktemp("song"), sounds(2, NAMES), format="wav", kind="separate_vocal")


@pytest.fixture
def client(house: House) -> Client:
    return house.anonymous()


def read(path: Path, content: bytes) -> np.ndarray:
    path.write_bytes(content)
    with open_song(path) as song:
        return np.concatenate(list(song.blocks()), axis=1)


def test_the_query_is_the_mix(client: Client, song: Staged, tmp_path: Path) -> None:
    answer = client.get(f"{song.url}/mix?format=wav&vocals=0.5,-1&instrumental=0.25")
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="song - mix.wav";')
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    vocals, rest = song.heard("vocals"), song.heard("instrumental")
    expected = 0.5 * np.stack([vocals.sum(axis=0), np.zeros(vocals.shape[1])]) + 0.25 * rest
    assert np.abs(read(tmp_path / "mix.wav", answer.content) - expected).max() < 1e-4


def test_stems_not_named_are_silent_and_mp3_is_the_default(client: Client, song: Staged, tmp_path: Path) -> None:
    answer = client.get(f"{song.url}/mix?instrumental=1")
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert answer.headers["Content-Disposition"].endswith("UTF-8''song%20-%20mix%20without%20vocals.mp3")
    rest = song.heard("instrumental")
    found = read(tmp_path / "mix.mp3", answer.content)
    assert found.shape == rest.shape
    assert 10 * np.log10(np.mean((found - rest) ** 2) / np.mean(rest**2)) < -20


def test_another_tempo_is_another_length(client: Client, song: Staged, tmp_path: Path) -> None:
    answer = client.get(f"{song.url}/mix?format=wav&vocals=1&tempo=0.5&pitch=-2")
    assert read(tmp_path / "mix.wav", answer.content).shape[1] == 2 * song.heard("vocals").shape[1]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "give at least one stem"),
        ("vocals=0", "give at least one stem"),
        ("vocals=loud", "from 0 to 16"),
        ("vocals=nan", "from 0 to 16"),
        ("vocals=1,2", "from -1 to 1"),
        ("kazoo=1", "no such stem; there are: vocals, instrumental"),
        ("vocals=1&format=aiff", "must be one of: mp3, wav"),
        ("vocals=1&tempo=9", "from 0.5 to 2"),
    ],
)
def test_a_wrong_query_is_told(client: Client, song: Staged, query: str, words: str) -> None:
    answer = client.get(f"{song.url}/mix?{query}")
    assert answer.status_code == 422
    assert words in answer.json()["msg"]


def test_only_the_players_file_has_a_mix(client: Client, song: Staged) -> None:
    assert client.get("/s/00000000-0000-0000-0000-000000000000_Player.peaks/mix?vocals=1").status_code == 404


def test_a_mix_goes_with_the_files(house: House, client: Client, tmp_path: Path) -> None:
    song = stage(house, tmp_path, sounds(0.1, NAMES), kind="separate_vocal")
    house.execute(f"UPDATE tasks SET gone = 1 WHERE id = '{song.task_id}'")
    assert client.get(f"{song.url}/mix?vocals=1").status_code == 410
    assert client.get(song.url).status_code == 410


def test_there_are_only_so_many_at_once(client: Client, song: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixes, "_SEATS", mixes.threading.BoundedSemaphore(1))
    with mixes._SEATS:
        assert client.get(f"{song.url}/mix?vocals=1").status_code == 429
        assert client.head(f"{song.url}/mix?vocals=1").status_code == 429
    size = client.head(f"{song.url}/mix?vocals=1").headers["Content-Length"]
    assert len(client.get(f"{song.url}/mix?vocals=1").content) == int(size)  # at once: its seat is free again
    assert client.get(f"{song.url}/mix?vocals=1").status_code == 200  # the seat was given back


def test_who_takes_a_mix_too_slowly_keeps_nobody_from_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixes, "_GRACE_SECONDS", 0.3)
    monkeypatch.setattr(mixes, "_SLOWEST_BYTES_PER_SECOND", 10**9)
    with open_stem(tmp_path / "stem.wav", rate=44100, format="wav") as stem:
        stem.write(sounds(2, NAMES)["vocals"])
        stem.finish()
    given_back: list[str] = []
    closing = ExitStack()
    closing.callback(given_back.append, "seat")

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await anyio.sleep_forever()

    mixing = Mixing(Mixdown([(str(tmp_path / "stem.wav"), 1.0, 0.0)], "wav", 2.0))
    closing.callback(mixing.close)
    scope = {"type": "http", "method": "GET", "asgi": {"version": "3.0"}}
    anyio.run(mixes._Sent(mixing, closing, {}), scope, receive, send)
    assert given_back == ["seat"]


def test_the_players_file_is_everybodys_and_comes_in_parts(client: Client, song: Staged) -> None:
    answer = client.get(song.url, headers={"Range": "bytes=0-7"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.content == b"STEMPEAK" if answer.status_code == 206 else answer.headers["Location"]


def test_the_process_that_serves_loads_no_codec() -> None:
    code = "import sys, stemwright.server.mixing, stemwright.server.http.routes.mixes; sys.exit('av' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_the_child_complains_of_is_a_line_of_our_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """About the request that asked; beside the log, which may be JSON, it says nothing."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [caplog.handler])  # not what a command set up in this process
    (tmp_path / "stem.mp3").write_bytes(b"no sound")
    with pytest.raises(ChildDied):
        Mixing(Mixdown([(str(tmp_path / "stem.mp3"), 1.0, 0.0)], "mp3", 1.0), request_id="of a test")
    lines = [record for record in caplog.records if record.name == "stemwright.child"]
    assert any("stem.mp3" in line.getMessage() or "Error" in line.getMessage() for line in lines)
    assert {getattr(line, "request_id", None) for line in lines} == {"of a test"}
    assert capfd.readouterr().err == ""

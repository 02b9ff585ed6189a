"""`stemwright mcp` as a host runs it: a real client over stdio, with the library and with a real service."""

import json
import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import anyio
import numpy as np
import pytest
import soundfile

pytest.importorskip("mcp", reason="the Model Context Protocol SDK is not installed: pip install 'stemwright[mcp]'")

from stemwright import Client
from stemwright.cli import run as command
from stemwright.errors import CannotWrite
from stemwright.mcp.answers import Request
from stemwright.mcp.here import Here
from stemwright.mcp.remote import Remote
from stemwright.server.network import Client as Web
from stemwright.server.network import parse_networks
from tests.mcp.hosts import Host, here, host, service
from tests.server.http.sources import drips, gives, in_turn, source


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("songs") / "Meine Übung.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.3, 0.3, (22050, 2)), 44100)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    with service(tmp_path_factory.mktemp("mcp") / "data") as server:
        yield server


def lengths(files: dict[str, str]) -> dict[str, int]:
    return {stem: soundfile.info(path).frames for stem, path in files.items()}


def test_the_library_separates_in_the_background(song: Path, tmp_path: Path) -> None:
    async def session(assistant: Host) -> None:
        assert {tool.name for tool in (await assistant.client.list_tools()).tools} == {
            *("separate", "status", "download", "models")
        }
        begun = await assistant.call("separate", song=str(song), stems="twelve", format="flac")
        assert begun["state"] == "running"
        done = await assistant.ended(begun)
        assert (done["state"], done["progress"], len(done["stems"])) == ("done", 100, 12)
        files = await assistant.call("download", task_id=begun["task_id"])
        assert files["folder"] == str(tmp_path / "out" / "Meine Übung")
        assert set(lengths(files["files"]).values()) == {22050}
        copied = await assistant.call("download", task_id=begun["task_id"], folder=str(tmp_path / "elsewhere"))
        again = await assistant.call("download", task_id=begun["task_id"], folder=str(tmp_path / "elsewhere"))
        assert copied["folder"] != again["folder"]
        assert lengths(copied["files"]) == lengths(again["files"]) == lengths(files["files"])

    run(session, tmp_path)


def test_what_is_wrong_is_one_sentence(song: Path, tmp_path: Path) -> None:
    async def session(assistant: Host) -> None:
        (tmp_path / "notes.txt").write_text("no song")
        for expected, arguments in (
            ("No song is named", {}),
            ("no file", {"song": "~/none/such.mp3"}),
            ("not audio", {"song": (tmp_path / "notes.txt").as_uri()}),
            ("a folder", {"song": str(tmp_path)}),
            ("no output format 'doc'", {"song": str(song), "format": "doc"}),
            ("no model", {"song": str(song), "model": "nobody's"}),
            ("'two' or 'twelve'", {"song": str(song), "stems": "thirteen"}),
            ("only where a server separates", {"task_id": "a", "audio_id": "b"}),
        ):
            told = await assistant.refused("separate", **arguments)
            assert re.search(expected, told, re.IGNORECASE), told
            assert "Traceback" not in told
        assert "no task 'x'" in await assistant.refused("status", task_id="x")
        private = await assistant.ended(await assistant.call("separate", song="http://127.0.0.1:1/song.mp3"))
        assert private["state"] == "failed"
        assert "not on the public internet" in private["error"]
        assert "ended as failed" in await assistant.refused("download", task_id=private["task_id"])

    async def whole() -> None:
        with closing(Here(tmp_path / "out", Web())) as separations:
            async with here(separations) as assistant:
                await session(assistant)

    anyio.run(whole)
    assert list(tmp_path.glob("out/*")) == []


def test_a_song_on_the_web_is_fetched_and_not_kept(song: Path, tmp_path: Path) -> None:
    async def session(url: str) -> None:
        with closing(Here(tmp_path, Web(parse_networks("127.0.0.0/8")))) as separations:
            async with here(separations) as assistant:
                done = await assistant.ended(await assistant.call("separate", song=url, format="wav"))
                files = await assistant.call("download", task_id=done["task_id"])
        assert files["folder"] == str(tmp_path / "Meine Übung")
        assert lengths(files["files"]) == {"vocals": 22050, "instrumental": 22050}

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(song.parent))) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        anyio.run(session, f"http://127.0.0.1:{web.server_port}/{quote(song.name)}?x=1")
        web.shutdown()
    assert sorted(path.name for path in tmp_path.rglob("*.wav")) == ["instrumental.wav", "vocals.wav"]


def test_a_server_separates(server: tuple[str, str], song: Path, tmp_path: Path) -> None:
    async def session(assistant: Host) -> None:
        assert {tool.name for tool in (await assistant.client.list_tools()).tools} == {"separate", "status", "download"}
        begun = await assistant.call("separate", song=song.as_uri(), format="flac")
        done = await assistant.ended(begun)
        assert (done["state"], done["stems"]) == ("done", ["vocals", "instrumental"])
        files = await assistant.call("download", task_id=begun["task_id"])
        assert files["folder"] == str(tmp_path / "out" / "Meine Übung")
        assert lengths(files["files"]) == {"vocals": 22050, "instrumental": 22050}
        begun = await assistant.call("separate", task_id=track.task_id, audio_id=track.audio_id, stems="twelve")
        assert len((await assistant.ended(begun))["stems"]) == 12
        assert server[0] in await assistant.refused("separate", task_id=begun["task_id"], audio_id="none")
        assert "no such thing" in (await assistant.refused("status", task_id="nobody's")).lower()
        assert "not audio" in await assistant.refused("separate", song=__file__)

    with Client(*server) as client:
        track = client.upload(song)
    run(session, tmp_path, URL=server[0], KEY=server[1])


def test_a_wrong_key_and_a_server_that_is_away_are_told(server: tuple[str, str], song: Path, tmp_path: Path) -> None:
    async def session(url: str, told: str, key: str = "sk-wrong") -> None:
        with closing(Remote(Client(url, key, retries=0), tmp_path)) as remote:
            async with here(remote) as assistant:
                assert told in await assistant.refused("separate", song=str(song))
                assert told in await assistant.refused("download", task_id="x")

    anyio.run(session, server[0], "does not accept the key")
    anyio.run(session, server[0], "does not accept the key", "sk-…\n")
    anyio.run(session, "http://127.0.0.1:1", "could not be reached")


def test_what_nobody_foresaw_is_one_sentence_too(tmp_path: Path) -> None:
    async def session() -> None:
        client = Client("http://127.0.0.1:1", "sk-1")
        client.record = lambda task_id: {}[task_id]  # type: ignore[assignment]
        async with here(Remote(client, tmp_path)) as assistant:
            assert "unexpected error: KeyError" in await assistant.refused("status", task_id="x")
        client.close()

    anyio.run(session)


def test_the_end_of_the_session_leaves_nothing_half_done(song: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.wav"
    soundfile.write(long, np.zeros((44100 * 240, 2)), 44100)

    async def session(assistant: Host) -> None:
        begun = await assistant.call("separate", song=str(long))
        waiting = await assistant.call("separate", song=str(song))
        assert "not done yet" in await assistant.refused("download", task_id=waiting["task_id"])
        while (await assistant.call("status", task_id=begun["task_id"]))["stage"] == "waiting":
            await anyio.sleep(0.1)

    run(session, tmp_path)
    assert list(tmp_path.glob("out/**/*.*")) == []


def test_a_copy_that_fails_leaves_nothing_behind(song: Path, tmp_path: Path) -> None:
    with closing(Here(tmp_path / "out", Web(()))) as separations:
        task = separations.separate(Request(song=str(song), format="wav")).task_id
        while separations.status(task).state == "running":
            time.sleep(0.05)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # as on a disk that fills up
        try:
            with pytest.raises(CannotWrite, match="Nothing was left behind"):
                separations.download(task, str(tmp_path / "elsewhere"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()] == []


def test_a_task_whose_first_look_fails_is_told_all_the_same(tmp_path: Path) -> None:
    created = {"code": 200, "msg": "success", "data": {"taskId": "t"}}
    with source(
        in_turn(gives(json.dumps(created).encode(), kind="application/json"), gives(b"", status=502))
    ) as server:
        remote = Remote(Client(server.url, "k", retries=0), tmp_path)
        with closing(remote):
            task = remote.separate(Request(song="https://example.com/a.mp3"))
    assert (task.task_id, task.state) == ("t", "running")


def test_the_end_of_the_session_ends_a_fetch_that_takes_long(tmp_path: Path) -> None:
    with source(drips) as server:
        assistant = Here(tmp_path, Web(parse_networks("127.0.0.0/8")))
        assistant.separate(Request(song=f"{server.url}/song.mp3"))
        while not server.asked:
            time.sleep(0.05)
        began = time.monotonic()
        assistant.close()
        assert time.monotonic() - began < 10


def test_a_polite_kill_is_heard_while_nobody_speaks(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "stemwright", "mcp", "--out", str(tmp_path)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write('{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        process.terminate()
        assert process.wait() == 130
        assert (process.stdout.read(), process.stderr and process.stderr.read()) == ("", "")


@pytest.mark.parametrize("arguments", [["--url", "http://127.0.0.1:1"], ["--key", "sk-1"]])
def test_a_server_without_a_key_is_a_misuse(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["mcp", *arguments]) == 2
    assert "both an address and a key" in capsys.readouterr().err


def test_without_the_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "stemwright.mcp.tools", raising=False)
    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    assert command(["mcp"]) == 1
    out, told = capsys.readouterr()
    assert "pip install 'stemwright[mcp]'" in told
    assert (out, told.count("\n")) == ("", 1)


Session = Callable[[Host], Awaitable[None]]


def run(session: Session, folder: Path, **environment: str) -> None:
    async def whole() -> None:
        with (folder / "log").open("w") as log:
            async with host("mcp", "--out", str(folder / "out"), log=log, **environment) as assistant:
                await session(assistant)

    anyio.run(whole)
    assert (folder / "log").read_text() == ""

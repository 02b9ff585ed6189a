"""Downloads over a network that breaks: whole files, or none."""

from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx2
import pytest

from stemwright.client.downloading import download
from stemwright.errors import KeptNoMore

SONG = bytes(range(256)) * 400


def serve(asked: list[str | None], *, after: int) -> ThreadingHTTPServer:
    """Gives SONG by Range and hangs up after so many bytes."""

    class Handler(SimpleHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(SONG)))
            self.end_headers()

        def do_GET(self) -> None:
            asked.append(self.headers.get("Range"))
            start = int((asked[-1] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(SONG) - 1}/{len(SONG)}")
            self.send_header("Content-Length", str(len(SONG) - start))
            self.end_headers()
            self.wfile.write(SONG[start : start + after])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


def test_what_broke_off_is_gone_on_from(tmp_path: Path) -> None:
    asked: list[str | None] = []
    server = serve(asked, after=60_000)
    with httpx2.Client() as http:
        path = download(http, f"http://127.0.0.1:{server.server_port}/a.mp3", tmp_path / "a.mp3")
    server.shutdown()
    server.server_close()
    assert path.read_bytes() == SONG
    assert asked[0] is None
    assert asked[1] == "bytes=60000-"
    assert [each.name for each in tmp_path.iterdir()] == ["a.mp3"]


def test_a_file_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    class Gone(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(410)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gone)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    with httpx2.Client() as http, pytest.raises(KeptNoMore, match=r"410.*Separate the song again"):
        download(http, f"http://127.0.0.1:{server.server_port}/a.mp3", tmp_path / "out" / "a.mp3")
    server.shutdown()
    server.server_close()
    assert not list((tmp_path / "out").iterdir())

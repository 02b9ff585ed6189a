"""The main job, end to end, as a client of the service: one song in, two and twelve stems out, over the Suno API."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import numpy as np
from rich.console import Console

from stemwright.audio.decode import open_song
from stemwright.errors import StemwrightError

HERE = Path(__file__).parent
STEMWRIGHT = [sys.executable, "-m", "stemwright"]
GIVE_UP_SECONDS = 3600
console = Console(highlight=False)
started = time.monotonic()


def say(text: str) -> None:
    """Print one line with the seconds since the start before it."""
    console.print(f"[dim]{time.monotonic() - started:6.1f} s[/dim]  {text}")


# ---- the two servers: the product, and our own receiver for its callbacks --------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def service(data: Path, log: Path) -> Iterator[str]:
    """Run `stemwright serve` on a free port with an empty data folder; yield its base URL; stop it afterwards."""
    port = free_port()
    # Callbacks to private addresses are refused unless the operator opens the network: our receiver is on this machine.
    environment = {**os.environ, "STEMWRIGHT_ALLOW_NETWORKS": "127.0.0.0/8"}
    command = [*STEMWRIGHT, "serve", "--data", str(data), "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            wait_until_ready(process, f"http://127.0.0.1:{port}", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], base: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"The service ended at once with status {process.returncode}. Its log, {log}:\n{log.read_text()}")
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"{base}/livez", timeout=2).status_code == 200:
                return
        time.sleep(0.05)
    sys.exit(f"The service did not answer within 60 s. Its log is {log}")


@dataclass
class Receiver:
    """What our callback receiver has got: the task's id → (headers, body), as they arrive."""

    arrived: dict[str, tuple[dict[str, str], dict]] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, task_id: str) -> tuple[dict[str, str], dict]:
        with self.changed:
            if not self.changed.wait_for(lambda: task_id in self.arrived, timeout=60):
                sys.exit(f"No callback for task {task_id} within 60 s of its end")
            return self.arrived[task_id]


@contextlib.contextmanager
def callback_receiver() -> Iterator[tuple[Receiver, str]]:
    """A real HTTP server on this machine that takes the callbacks; yields what it got and its URL."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with receiver.changed:
                receiver.arrived[body["data"]["task_id"]] = ({k.lower(): v for k, v in self.headers.items()}, body)
                receiver.changed.notify_all()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status":"received"}')

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver, f"http://127.0.0.1:{server.server_port}/callback?token=demo"
    finally:
        server.shutdown()


# ---- the client ------------------------------------------------------------------------------------------------------


def stemwright_json(*arguments: str) -> dict:
    """Run the `stemwright` command and read the JSON it prints."""
    done = subprocess.run([*STEMWRIGHT, *arguments, "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"`stemwright {' '.join(arguments)}` failed:\n{done.stderr}")
    return json.loads(done.stdout)


@dataclass
class Api:
    """A client of the Suno stem API, as anyone would write it."""

    http: httpx2.Client

    def data(self, method: str, path: str, **options: object) -> dict:
        answer = self.http.request(method, path, **options).json()  # type: ignore[arg-type]
        if answer["code"] != 200:
            sys.exit(f"{method} {path} answered {answer['code']}: {answer['msg']}")
        return answer["data"]

    def credits(self) -> int:
        return self.data("GET", "/api/v1/generate/credit")  # type: ignore[return-value]

    def upload(self, song: Path) -> dict:
        with song.open("rb") as file:
            return self.data("POST", "/api/file-stream-upload", files={"file": file}, data={"uploadPath": "songs"})

    def generate(self, track: dict, kind: str, callback: str) -> str:
        body = {"taskId": track["taskId"], "audioId": track["audioId"], "type": kind, "callBackUrl": callback}
        return self.data("POST", "/api/v1/vocal-removal/generate", json=body)["taskId"]

    def record(self, task_id: str) -> dict:
        return self.data("GET", "/api/v1/vocal-removal/record-info", params={"taskId": task_id})

    def wait(self, task_id: str, kind: str) -> dict:
        """Poll until the task has ended, showing each step of its progress."""
        shown, deadline = "", time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < deadline:
            record = self.record(task_id)
            step = f"{kind}: {record['stage']} {record['progress']} %"
            if step != shown:
                say(f"  {step}")
                shown = step
            if record["successFlag"] == "SUCCESS":
                return record
            if record["successFlag"] != "PENDING":
                sys.exit(f"{kind} ended as {record['successFlag']}: {record['errorMessage']}")
            time.sleep(0.5)
        sys.exit(f"{kind} did not end within {GIVE_UP_SECONDS} s")


def verify(headers: dict[str, str], task_id: str, secret: str) -> None:
    """Check the callback's signature: HMAC-SHA256 of "taskId.timestamp" with the account's secret."""
    signed = f"{task_id}.{headers['x-webhook-timestamp']}".encode()
    expected = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    if not hmac.compare_digest(expected, headers["x-webhook-signature"]):
        sys.exit(f"The callback of task {task_id} carries a wrong signature")


# ---- what the person sees --------------------------------------------------------------------------------------------


def level_dbfs(path: Path) -> float:
    """The root-mean-square level of an audio file in dB below full scale."""
    energy, samples = 0.0, 0
    with open_song(path) as song:
        for block in song.blocks():
            energy += float(np.square(block, dtype=np.float64).sum())
            samples += block.size
    return 10 * math.log10(energy / max(samples, 1) + 1e-12)


def download_and_show(api: Api, record: dict, folder: Path, title: str) -> None:
    """Download every stem of a finished task and print the table of them."""
    folder.mkdir(parents=True, exist_ok=True)
    console.print(f"\n[bold]{title}[/bold]")
    console.print(f"{'stem':<32}{'level':>12}{'size':>10}{'seconds':>9}  URL", style="dim")
    experimental = set(record.get("experimental") or ())
    for stem in record["response"]["originData"]:
        label, url = stem["stem_type_group_name"], stem["audio_url"]
        path = folder / f"{label}.mp3"
        path.write_bytes(api.http.get(url).raise_for_status().content)
        level = level_dbfs(path)
        name = label + (" (experimental)" if label.lower().replace(" ", "_") in experimental else "")
        shown = "silent" if level < -60 else f"{level:.1f} dBFS"
        size = f"{path.stat().st_size / 1e6:.2f} MB"
        console.print(f"{name:<32}{shown:>12}{size:>10}{stem['duration']:>9.1f}  {url}", soft_wrap=True)
    console.print()


def separate(api: Api, track: dict, receiver: tuple[Receiver, str], secret: str, kind: str) -> dict:
    """Ask for one separation, poll it to its end, and check that its callback has come and is signed."""
    task_id = api.generate(track, kind, receiver[1])
    say(f"POST /api/v1/vocal-removal/generate type={kind} → task {task_id}")
    record = api.wait(task_id, kind)
    headers, body = receiver[0].wait_for(task_id)
    verify(headers, task_id, secret)
    say(f"callback received for {task_id}: code {body['code']}, {body['msg']!r}, signature verified")
    return record


def run(song: Path, out: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="stemwright-demo-") as scratch:
        data, log = Path(scratch) / "data", out / "service.log"
        say("starting the service with an empty data folder …")
        with service(data, log) as base, callback_receiver() as receiver:
            say(f"the service answers on {base}")
            made = stemwright_json("keys", "create", "--account", "demo", "--credits", "20", "--data", str(data))
            say(f"account {made['account']!r} with 20 credits, key {made['key'][:10]}…")
            headers = {"Authorization": f"Bearer {made['key']}"}
            with httpx2.Client(base_url=base, headers=headers, timeout=120) as http:
                api = Api(http)
                before = api.credits()
                track = api.upload(song)
                say(f"registered {song.name}: taskId {track['taskId']}, audioId {track['audioId']}")
                for kind, folder in (("separate_vocal", "two stems"), ("split_stem", "twelve stems")):
                    record = separate(api, track, receiver, made["webhookSecret"], kind)
                    seconds = (record["completeTime"] - record["createTime"]) / 1000
                    title = f"{kind}: {seconds:.1f} s with model {record['model']} on {record['device']}"
                    download_and_show(api, record, out / folder, title)
                say(f"balance: {before} credits before, {api.credits()} after")
        say("the service has stopped")
    say(f"your stems are in [bold]{out}[/bold] (the links above ended with the service)")


def main() -> None:
    song = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "song.mp3"
    try:
        with open_song(song):
            pass
    except StemwrightError as error:
        sys.exit(str(error))
    out = HERE / "out" / song.stem
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    try:
        run(song, out)
    except KeyboardInterrupt:
        shutil.rmtree(out, ignore_errors=True)
        sys.exit("interrupted: the service has stopped, and nothing was left behind")


if __name__ == "__main__":
    main()

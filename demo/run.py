"""The main job, end to end, as a client of the service: one song in, two and twelve stems out, over the Suno API."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console

from stemwright import Client, Receiver
from stemwright.audio.decode import open_song
from stemwright.client.calls import Kind
from stemwright.client.records import Record, Track
from stemwright.errors import StemwrightError

HERE = Path(__file__).parent
STEMWRIGHT = [sys.executable, "-m", "stemwright"]
GIVE_UP_SECONDS = 3600
console = Console(highlight=False)
started = time.monotonic()


def say(text: str) -> None:
    """Print one line with the seconds since the start before it."""
    console.print(f"[dim]{time.monotonic() - started:6.1f} s[/dim]  {text}", soft_wrap=True)


# ---- the product -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def service(data: Path, log: Path) -> Iterator[str]:
    """Run `stemwright serve` on a free port with an empty data folder; yield its base URL; stop it afterwards."""
    # Callbacks to private addresses are refused unless the operator opens the network: our receiver is on this machine.
    environment = {**os.environ, "STEMWRIGHT_ALLOW_NETWORKS": "127.0.0.0/8"}
    command = [*STEMWRIGHT, "serve", "--data", str(data), "--host", "127.0.0.1", "--port", "0", "--json"]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=output, env=environment, text=True) as process,
    ):
        assert process.stdout
        try:
            ready = process.stdout.readline()  # it comes when the service answers
            if not ready:
                sys.exit(f"The service ended at once with status {process.wait()}. Its log, {log}:\n{log.read_text()}")
            yield json.loads(ready)["url"]
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def stemwright_json(*arguments: str) -> dict:
    """Run the `stemwright` command and read the JSON it prints."""
    done = subprocess.run([*STEMWRIGHT, *arguments, "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"`stemwright {' '.join(arguments)}` failed:\n{done.stderr}")
    return json.loads(done.stdout)


# ---- the client ------------------------------------------------------------------------------------------------------


def separate(client: Client, track: Track, receiver: Receiver, kind: Kind) -> Record:
    """Ask for one separation, show its progress, and see that its callback has come and is signed."""
    task_id = client.create(track, kind, callback_url=receiver.url)
    say(f"POST /api/v1/vocal-removal/generate type={kind} → task {task_id}")
    shown, give_up = "", time.monotonic() + GIVE_UP_SECONDS
    while (record := client.record(task_id)).pending:
        if time.monotonic() > give_up:
            sys.exit(f"{kind} did not end within {GIVE_UP_SECONDS} s")
        if (step := f"{kind}: {record.stage} {record.progress} %") != shown:
            say(f"  {step}")
            shown = step
        receiver.wait(task_id, seconds=0.5)
    record = client.wait(task_id)  # raises, where it has failed
    told = receiver.wait(task_id, seconds=60)  # it takes none whose signature is wrong
    if told is None:
        sys.exit(f"No signed callback for task {task_id} within 60 s of its end")
    say(f"callback received for {task_id}: code {told.raw['code']}, {told.raw['msg']!r}, signature verified")
    return record


# ---- what the person sees --------------------------------------------------------------------------------------------


def level_dbfs(path: Path) -> float:
    """The root-mean-square level of an audio file in dB below full scale."""
    energy, samples = 0.0, 0
    with open_song(path) as song:
        for block in song.blocks():
            energy += float(np.square(block, dtype=np.float64).sum())
            samples += block.size
    return 10 * math.log10(energy / max(samples, 1) + 1e-12)


def download_and_show(client: Client, record: Record, folder: Path, title: str) -> None:
    """Download every stem of a finished task and print the table of them."""
    paths = client.download(record, folder)
    console.print(f"\n[bold]{title}[/bold]")
    console.print(f"{'stem':<32}{'level':>12}{'size':>10}{'seconds':>9}  URL", style="dim")
    experimental = set(record.raw.get("experimental") or ())
    for stem, path in zip(record.stems, paths.values(), strict=True):
        level = level_dbfs(path)
        name = stem.name + (" (experimental)" if stem.name in experimental else "")
        shown = "silent" if level < -60 else f"{level:.1f} dBFS"
        size = f"{path.stat().st_size / 1e6:.2f} MB"
        console.print(f"{name:<32}{shown:>12}{size:>10}{stem.duration_seconds:>9.1f}  {stem.url}", soft_wrap=True)
    console.print()


def run(song: Path, out: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="stemwright-demo-") as scratch:
        data, log = Path(scratch) / "data", out / "service.log"
        say("starting the service with an empty data folder …")
        with service(data, log) as url:
            say(f"the service answers on {url}")
            made = stemwright_json("keys", "create", "--account", "demo", "--credits", "20", "--data", str(data))
            say(f"account {made['account']!r} with 20 credits, key {made['key'][:10]}…")
            with Client(url, made["key"]) as client, Receiver(secret=made["webhookSecret"]) as receiver:
                before = client.credits()
                track = client.upload(song)
                say(f"registered {song.name}: taskId {track.task_id}, audioId {track.audio_id}")
                kinds: tuple[tuple[Kind, str], ...] = (("separate_vocal", "two stems"), ("split_stem", "twelve stems"))
                for kind, folder in kinds:
                    record = separate(client, track, receiver, kind)
                    seconds = (record.raw["completeTime"] - record.raw["createTime"]) / 1000
                    title = f"{kind}: {seconds:.1f} s with model {record.raw['model']} on {record.raw['device']}"
                    download_and_show(client, record, out / folder, title)
                say(f"balance: {before} credits before, {client.credits()} after")
        say("the service has stopped")
    say(f"your stems are in [bold]{out}[/bold] (the links above ended with the service)")


def main() -> None:
    song = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "song.mp3"
    out = HERE / "out" / song.stem
    try:
        with open_song(song):
            pass
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        run(song, out)
    except StemwrightError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        shutil.rmtree(out, ignore_errors=True)
        sys.exit("interrupted: the service has stopped, and nothing was left behind")


if __name__ == "__main__":
    main()

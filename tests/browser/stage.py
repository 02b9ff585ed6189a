"""A running service with finished tasks whose files are real, a real browser, and what comes out of its speakers."""

import base64
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stemwright.audio.decode import open_song
from stemwright.audio.encode import open_stem
from stemwright.audio.signal import Samples
from stemwright.separation import MIX
from stemwright.server import opening, tasks
from stemwright.server.clock import now_ms
from stemwright.server.drawing import Drawing
from stemwright.server.jobs import Part
from stemwright.server.settings import Settings
from stemwright.server.stem_names import label
from tests.server.http.house import DAY_MS, TWELVE, House, running

RATE = 44100
# Everything that leaves the player, with the time of the context's clock that it left at.
_RECORDER = """
class Recorder extends AudioWorkletProcessor {
  process([input]) {
    const [left, right] = input.length ? input : [new Float32Array(128), new Float32Array(128)];
    this.port.postMessage([currentFrame, left.slice(), (right ?? left).slice()]);
    return true;
  }
}
registerProcessor("recorder", Recorder);
"""
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>A page</title>
<meta name="viewport" content="width=device-width"><style>body { margin: 16px }</style>
<script type="module" src="/console/stem-player.js"></script><main><h1>A song</h1>%s</main></html>"""


@contextmanager
def service(folder: Path, **places: str) -> Iterator[House]:
    """The service on its default deployment, a file of SQLite and a folder, or with its files elsewhere."""
    opening.open_database(Settings(data=folder)).dispose()
    with running(data=folder, **places) as house:
        yield house


@dataclass
class Staged:
    """A finished task: where its player's file is, and its files by name."""

    url: str
    task_id: str
    paths: dict[str, Path]

    def heard(self, name: str) -> Samples:
        """What a file decodes to."""
        with open_song(self.paths[name]) as song:
            return np.concatenate(list(song.blocks()), axis=1)


def sounds(seconds: float, names: tuple[str, ...] = TWELVE) -> dict[str, Samples]:
    """Stems that nobody could take for one another, or for themselves a sample later."""
    length = round(seconds * RATE) + 333
    time = np.arange(length) / RATE
    stems = {}
    for n, name in enumerate(names):
        random = np.random.default_rng(n)
        noise = random.standard_normal((2, length)).astype(np.float32)
        noise[:, 1:] += 0.9 * noise[:, :-1]
        beat = np.exp(-6 * ((time * (1 + n / 7)) % 1)).astype(np.float32)
        tone = np.sin(2 * np.pi * (110 + 37 * n) * time).astype(np.float32)
        stems[name] = 0.035 * noise * beat + 0.03 * tone * (1 - beat)
    return stems


def stage(
    house: House, folder: Path, stems: Mapping[str, Samples], *, format: str = "mp3", kind: str = "split_stem"
) -> Staged:
    """Does what a worker and its child do, with these stems for what a model would have found."""
    folder.mkdir(parents=True, exist_ok=True)
    caller = house.caller()
    task_id = caller.created(type=kind, format=format)
    drawing, ids = Drawing(), [str(uuid.uuid4()) for _ in range(16)]
    paths = {}
    for name, samples in {**stems, MIX: np.sum(list(stems.values()), axis=0)}.items():
        with open_stem(folder / f"{name}.{format}", rate=RATE, format=format) as writer:
            for first in range(0, samples.shape[1], 1 << 16):
                block = samples[:, first : first + (1 << 16)]
                drawing.listen(name, block)
                writer.write(block)
        paths[name] = folder / f"{name}.{format}"
    return finish(house, task_id, paths, drawing, ids, length=next(iter(stems.values())).shape[1])


def finish(
    house: House, task_id: str, paths: dict[str, Path], drawing: Drawing, ids: list[str], *, length: int
) -> Staged:
    names, seconds = [name for name in paths if name != MIX], length / RATE
    parts = [Part(name, label(name), str(paths[name]), seconds, False, name == "fx", -20.0) for name in names]
    done: Any = SimpleNamespace(gain_db=0.0, rate=RATE, length=length, mix=paths[MIX], mix_factor=1.0)
    drawn = drawing.write(paths[MIX].parent, done, parts, ids)
    blobs = {part.file: part.blob(stem_id) for part, stem_id in zip(parts, ids[2:], strict=False)}
    blobs |= {drawn: f"{ids[0]}_Player.peaks", str(paths[MIX]): f"{ids[1]}_Mix{paths[MIX].suffix}"}
    for file, blob in blobs.items():
        house.api.blobs.put(blob, Path(file))
    files = [
        tasks.Stem(stem_id, n, part.name, part.label, blobs[part.file], Path(part.file).suffix[1:],
                   Path(part.file).stat().st_size, seconds, False, False, -20.0)
        for n, (part, stem_id) in enumerate(zip(parts, ids[2:], strict=False))
    ]  # fmt: skip
    told = {"model": "twelve", "device": "cpu", "duration_seconds": seconds, "gain_db": 0.0}
    told |= {"expires": now_ms() + DAY_MS, "peaks": blobs[drawn], "mix": blobs[str(paths[MIX])]}
    with house.database.transaction() as tx:
        attempt = tasks.begin(tx, task_id, state="separating", worker="test", now=now_ms()).attempt
        tasks.advance(tx, task_id, "storing", attempt=attempt)
        tasks.finish(tx, task_id, files, facts=told, attempt=attempt, now=now_ms())
    return Staged(f"{house.url}/s/{blobs[drawn]}", task_id, paths)


class Disturbed(Exception):
    """The machine was too busy to record what is to be heard; `@recorded` tests are run again."""


MOST_MISSING = 0.2
recorded = pytest.mark.flaky(reruns=4, only_rerun=["Disturbed"])


class Player:
    """A page with a player on it, and a tape of what it plays."""

    def __init__(
        self, page: Any, build: Path, house: House, element: str, *, origin: str = "", policy: str = ""
    ) -> None:
        self.page = page
        self.faults: list[str] = []
        page.on("pageerror", lambda fault: self.faults.append(str(fault)))
        shared = {"Access-Control-Allow-Origin": "*", "Content-Type": "text/javascript"}  # as the service does it
        script = _PAGE.replace("/console", f"{house.url}/console") % element
        page.route(
            "**/console/*.*js",
            lambda route: route.fulfill(path=build / route.request.url.rpartition("/")[2], headers=shared),
        )
        sent = {"Content-Type": "text/html", "Content-Security-Policy": policy}
        page.route("**/page.html", lambda route: route.fulfill(body=script, headers=sent))
        page.goto(f"{origin or house.url}/page.html")
        page.wait_for_selector("stem-player .lane, stem-player .message button")

    def do(self, script: str, argument: object = None) -> Any:
        """Runs a script with `player`, the element, and `engine` in it."""
        head = "const player = document.querySelector('stem-player'), engine = player.engine;"
        return self.page.evaluate(f"async (argument) => {{ {head} {script} }}", argument)

    def record(self) -> None:
        """Starts the tape, before anything has sounded."""
        self.do(
            """const context = engine.ready();
            await context.audioWorklet.addModule(URL.createObjectURL(new Blob([argument], {type: "text/javascript"})));
            const tap = new AudioWorkletNode(context, "recorder", {channelCount: 2, channelCountMode: "explicit"});
            window.tape = [];
            tap.port.onmessage = ({data}) => tape.push(data);
            engine.output.connect(tap).connect(context.destination);
            await context.resume();
            await new Promise((done) => setTimeout(done, 300));
            tape.length = 0;""",
            _RECORDER,
        )

    def fresh(self) -> None:
        """Forgets what has sounded until now, ramps included."""
        self.page.wait_for_timeout(100)
        self.do("tape.length = 0;")

    def tape(self) -> Samples:
        """What has sounded since the last time, [2, n], by the clock of the context.

        A busy machine's browser leaves a recorder out for some quanta, while what it records goes on. They are NaN, and
        so is the one before: it has the sound of a later one.
        """
        clocks, packed = self.do(
            """const pieces = tape.splice(0);
            const all = new Float32Array(pieces.length * 256);
            pieces.forEach(([, left, right], n) => { all.set(left, n * 256); all.set(right, n * 256 + 128); });
            const bytes = new Uint8Array(all.buffer);
            let text = "";
            for (let at = 0; at < bytes.length; at += 32768)
              text += String.fromCharCode(...bytes.subarray(at, at + 32768));
            return [pieces.map(([clock]) => clock), btoa(text)];"""
        )
        numbers = (np.array(clocks) - clocks[0]) // 128
        quanta = np.full((numbers[-1] + 1, 2, 128), np.nan, np.float32)
        quanta[numbers] = np.frombuffer(base64.b64decode(packed), "<f4").reshape(-1, 2, 128)
        quanta[:-1][np.isnan(quanta[1:, 0, 0])] = np.nan
        tape = quanta.transpose(1, 0, 2).reshape(2, -1)
        if np.isnan(tape).mean() > MOST_MISSING:
            raise Disturbed
        return tape

    def whole_tape(self) -> Samples:
        """The tape, where each of its samples counts. Raises Disturbed unless all are there."""
        tape = self.tape()
        if np.isnan(tape).any():
            raise Disturbed
        return tape

    def wait(self, condition: str, seconds: float = 20) -> None:
        script = f"() => {{ const engine = document.querySelector('stem-player').engine; return {condition}; }}"
        self.page.wait_for_function(script, timeout=seconds * 1000, polling=20)


@contextmanager
def opened(
    chromium: Any, build: Path, house: House, element: str, *, origin: str = "", policy: str = "", **options: Any
) -> Iterator[Player]:
    """A page with this element on it; a fault in its scripts is a failure."""
    context = chromium.new_context(**options)
    try:
        player = Player(context.new_page(), build, house, element, origin=origin, policy=policy)
        yield player
        assert player.faults == []
    finally:
        context.close()


def place(tape: Samples, reference: Samples, *, at: int, length: int = 1 << 15) -> int:
    """Where in the reference the part of the tape from `at` on is."""
    piece = np.nan_to_num(tape[0, at : at + length])
    size = 1 << (len(piece) + reference.shape[1]).bit_length()
    spectrum = np.fft.rfft(reference[0], size) * np.conj(np.fft.rfft(piece, size))
    return int(np.argmax(np.fft.irfft(spectrum, size)[: reference.shape[1]]))


def gap_db(found: Samples, expected: Samples) -> float:
    """How far below the expected the difference lies, of what is there."""
    there = ~np.isnan(found)
    difference = float(np.mean((found[there] - expected[there]) ** 2)) + 1e-30
    return 10 * float(np.log10(difference / np.mean(expected[there] ** 2)))

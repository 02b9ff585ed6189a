"""The mix of a task's stems as it sounds in the player, rendered while it is sent."""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack

from anyio import move_on_after, to_thread
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from stemwright import errors
from stemwright.server import overview, tasks
from stemwright.server.http import answers, wire_console
from stemwright.server.http.calls import Call
from stemwright.server.http.routes import uploads
from stemwright.server.mixing import Mixdown, Mixing
from stemwright.server.store.blob_names import kind_of

_FORMATS = ("mp3", "wav")
_SEATS = threading.BoundedSemaphore(os.cpu_count() or 1)  # renderings at once in this process
_GRACE_SECONDS, _SLOWEST_BYTES_PER_SECOND = 60.0, 20_000  # who takes a mix more slowly keeps others from theirs
LARGEST_GAIN = 16.0  # 24 dB
_LONGEST_TITLE = 90  # of a mix, in its file's name behind the song's
_KNOWN = ("format", "tempo", "pitch")


def mix(call: Call) -> ASGIApp:
    """`GET /s/{name}/mix?format=mp3&vocals=0&drums=0.8,-0.5&tempo=1&pitch=0`: a file, from its first byte on at once.

    Each stem has its gain as a factor and, after a comma, its pan from −1 to 1; stems not named are not in the mix.
    """
    call.headers |= {"Access-Control-Allow-Origin": "*"}
    task, stems, song = _task(call, call.scope["path_params"]["name"])
    file_format = call.query.get("format", "mp3")
    if file_format not in _FORMATS:
        raise errors.InvalidRequest(field="format", problem=f"must be one of: {', '.join(_FORMATS)}")
    faders = _faders(call, list(stems))
    tempo, pitch = _number(call, "tempo", 0.5, 2.0, default=1.0), _number(call, "pitch", -12.0, 12.0, default=0.0)
    if not _SEATS.acquire(blocking=False):
        raise errors.TooFrequent
    with ExitStack() as stack:
        stack.callback(_SEATS.release)
        paths = [
            (str(stack.enter_context(call.api.blobs.local(stems[stem].blob, call.api.uploads))), gain, pan)
            for stem, (gain, pan) in faders.items()
        ]
        title = _title(list(stems), list(faders))
        wanted = Mixdown(paths, file_format, task.duration_seconds or 0.0, title, tempo, pitch)
        mixing = Mixing(wanted, request_id=call.request_id, task_id=task.id)
        stack.callback(mixing.close)
        headers = {
            **call.headers,
            "content-type": kind_of(f"mix.{file_format}"),
            "content-length": str(mixing.size),
            "content-disposition": answers.attached(f"{song} - {title}.{file_format}"),
            "cache-control": "no-store",
        }
        if call.scope["method"] == "HEAD":  # who asks before they download finds the seat free again
            return Response(headers=headers)
        return _Sent(mixing, stack.pop_all(), headers)
    raise AssertionError


def _task(call: Call, name: str) -> tuple[tasks.Task, dict[str, tasks.Stem], str]:
    """The task of a player's file, its stems, and what files of its song are called."""
    with call.api.database.read() as tx:
        task = tasks.by_file_beside(tx, name)
        if task is None or task.peaks != name:
            raise errors.BlobNotFound(name=name)
        stems = {stem.name: stem for stem in tasks.stems_of(tx, task.id)}
        line = overview.one(tx, task.id)
    if not task.is_kept(call.now):
        raise errors.FileGone(name=name)
    song = wire_console.song_name(line["song"], line["audio_url"])
    return task, stems, uploads.kept_name(song, room=_LONGEST_TITLE)


class _Sent:
    """Sends the file, for as long as a slow line takes, and ends the child whatever happens meanwhile."""

    def __init__(self, mixing: Mixing, closing: ExitStack, headers: dict[str, str]) -> None:
        self._closing, self._headers, self._mixing = closing, headers, mixing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        whole = StreamingResponse(_pieces(self._mixing), headers=self._headers)
        with self._closing, move_on_after(_GRACE_SECONDS + self._mixing.size / _SLOWEST_BYTES_PER_SECOND):
            await whole(scope, receive, send)


def _faders(call: Call, names: list[str]) -> dict[str, tuple[float, float]]:
    """Gain and pan by stem, as the query has them; raises InvalidRequest."""
    faders = {}
    for name, value in call.query.multi_items():
        if name in _KNOWN:
            continue
        if name not in names:
            raise errors.InvalidRequest(field=name, problem=f"no such stem; there are: {', '.join(names)}")
        gain, _, pan = value.partition(",")
        faders[name] = (_within(name, gain, 0.0, LARGEST_GAIN), _within(name, pan or "0", -1.0, 1.0))
    if not any(gain for gain, _ in faders.values()):
        raise errors.InvalidRequest(field=names[0], problem="give at least one stem a gain above 0")
    return {name: fader for name, fader in faders.items() if fader[0]}


def _number(call: Call, field: str, low: float, high: float, *, default: float) -> float:
    return _within(field, call.query[field], low, high) if field in call.query else default


def _within(field: str, text: str, low: float, high: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise errors.InvalidRequest(field=field, problem=f"must be a number from {low:g} to {high:g}")
    return number


def _title(stems: list[str], heard: list[str]) -> str:
    """What a mix is called among others of its song: `mix`, `mix of drums and bass` or `mix without vocals`."""
    silent = [name for name in stems if name not in heard]
    kind, told = ("of", heard) if len(heard) < len(silent) else ("without", silent)
    words = f"mix {kind} {' and '.join(told)}" if told else "mix"
    return re.sub(r"[^A-Za-z0-9 -]+", " ", words)[: _LONGEST_TITLE - len(" - .mp3")].strip()


async def _pieces(mixing: Mixing) -> AsyncIterator[bytes]:
    pieces = mixing.pieces()
    while piece := await to_thread.run_sync(next, pieces, b""):
        yield piece

"""The upstream: the service that still makes the music. Songs that are not here are looked up there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from stemwright import errors
from stemwright.server import tracks
from stemwright.server.network import Gateway, Streamed, check_url

_ADDRESS = b"/api/v1/generate/record-info?taskId="
_MOST_BYTES = 2 << 20  # of an answer that is read here; what passes through has no limit
_LOOKUP_SECONDS = 10.0  # a create waits for it
_LONGEST_ID = 36
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")
_UNKNOWN = (404, 422)
_REFUSED = (401, 403)
_BUSY = (405, 429, 430)

Fields = Iterable[tuple[bytes, bytes]]


class Upstream:
    """The upstream at `url`; `key` is the operator's own for it, if there is one."""

    def __init__(self, url: str, *, key: str = "", seconds: float) -> None:
        self.key = key
        self._gateway = Gateway(url)
        self._seconds = seconds

    async def song(self, task_id: str, audio_id: str, *, key: str) -> tuple[tracks.Track, str]:
        """The variation as it is known there, with no bytes here yet, and the address of its audio.

        Raises TrackNotFound, TrackUnfinished, UpstreamRefused, UpstreamBusy, UpstreamFailed; within ten seconds.
        """
        if max(len(task_id), len(audio_id)) > _LONGEST_ID:
            raise errors.TrackNotFound
        try:
            with anyio.fail_after(min(self._seconds, _LOOKUP_SECONDS)):
                found = await self._asked(task_id, key)
        except TimeoutError:
            raise errors.UpstreamFailed(reason="it took too long") from None
        position, song = _variation(found, audio_id)
        url = song.get("audioUrl")
        if not isinstance(url, str) or not url:
            raise errors.TrackUnfinished
        try:
            check_url(url)
        except errors.BadUrl:
            raise errors.UpstreamFailed(reason="the song has no proper address") from None
        track = tracks.Track(audio_id, task_id, "", blob="", bytes=0, created=0, music_index=position)
        return track, url

    @asynccontextmanager
    async def exchange(
        self, method: str, target: bytes, *, headers: Fields, content: AsyncIterable[bytes] | bytes | None
    ) -> AsyncIterator[Streamed]:
        """One call, streamed both ways; raises UpstreamFailed when it cannot be made, or breaks off."""
        try:
            async with self._gateway.exchange(
                method, target, headers=headers, content=content, seconds=self._seconds
            ) as answer:
                yield answer
        except errors.AddressError as fault:
            slow = isinstance(fault, errors.FetchTimeout)
            reason = "it took too long" if slow else "it could not be reached, or broke off"
            raise errors.UpstreamFailed(reason=reason) from None

    async def _asked(self, task_id: str, key: str) -> dict[str, Any]:
        target = _ADDRESS + b"".join(bytes([each]) if each in _PLAIN else b"%%%02X" % each for each in task_id.encode())
        headers = [(b"Authorization", b"Bearer " + key.encode()), (b"Accept-Encoding", b"identity")]
        async with self.exchange("GET", target, headers=headers, content=None) as answer:
            body = bytearray()
            async for chunk in answer.chunks:
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise errors.UpstreamFailed(reason="its answer is too long")
        return _data(answer, bytes(body))


def refusal(code: int, retry_after: str = "") -> errors.ServiceError | None:
    """The error that a code or HTTP status of the upstream means; None when it is a success."""
    if 200 <= code < 400:
        return None
    if code in _REFUSED:
        return errors.UpstreamRefused(code=code)
    if code in _BUSY:
        return errors.UpstreamBusy(retry_after=int(retry_after[:5]) if retry_after.isdecimal() else 10)
    return errors.UpstreamFailed(reason=f"it answered {code}")


def _data(answer: Streamed, body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    code = told.get("code") if isinstance(told, dict) else None
    # Errors are told by the body's code, mostly with HTTP status 200; by the status alone where a proxy answered.
    code = code if type(code) is int and code != 200 else answer.status
    if code in _UNKNOWN:
        raise errors.TrackNotFound
    if fault := refusal(code, answer.header(b"retry-after")):
        raise fault
    if not isinstance(told, dict) or "data" not in told:
        raise errors.UpstreamFailed(reason="its answer is none of the API's")
    if told["data"] is None:
        raise errors.TrackNotFound
    return told["data"] if isinstance(told["data"], dict) else {}


def _variation(data: dict[str, Any], audio_id: str) -> tuple[int, dict[str, Any]]:
    response = data.get("response")
    songs = response.get("sunoData") if isinstance(response, dict) else None
    for position, song in enumerate(songs if isinstance(songs, list) else []):
        if isinstance(song, dict) and song.get("id") == audio_id:
            return position, song
    raise errors.TrackNotFound

"""The client: a song goes up, stems come down, from any server that speaks the Suno stem API."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, TypedDict, Unpack

import httpx2

from stemwright import errors
from stemwright.client.answers import data_of
from stemwright.client.downloading import download, file_names
from stemwright.client.receiving import Receiver
from stemwright.client.records import Record, Track

Kind = Literal["separate_vocal", "split_stem", "split_stem_advanced"]
OnRecord = Callable[[Record], None]
_CREATE = "/api/v1/vocal-removal/generate"
_RECORD = "/api/v1/vocal-removal/record-info"
_CREDITS = ("/api/v1/generate/credit", "/api/v1/chat/credit")
# The request did not arrive: trying again cannot do it twice.
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_NOT_DONE = (errors.TooManyRequests, errors.InMaintenance)
_NO_NEWS = (errors.NotReached, errors.ServerFault, *_NOT_DONE)
_PASSING = (httpx2.TransportError, errors.ServerFault, *_NOT_DONE)


class Options(TypedDict, total=False):
    """What a create may name besides the song and its kind; `format`, `model` and `priority` are ours alone."""

    stem_name: str | None
    callback_url: str | None
    format: str | None
    model: str | None
    priority: int | None


_WIRE = {"stem_name": "stemName", "callback_url": "callBackUrl"}


def _root(url: str) -> str:
    """Where a server is: other clients are given the address of its API, which is below."""
    return url.rstrip("/").removesuffix("/api/v1").rstrip("/")


class Client:
    """A client of the server at `url` with the API key `key`; to be closed, or used in a `with`.

    `upload_url` is where songs are sent, if that is another server, as at some hosted ones. What fails for a while is
    tried again, `retries` times, after the pauses that the server asks for or growing ones, of at most
    `most_pause_seconds`.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        upload_url: str | None = None,
        timeout_seconds: float = 60,
        retries: int = 4,
        most_pause_seconds: float = 30,
    ) -> None:
        self._url, self._upload_url = _root(url), _root(upload_url or url)
        self._retries, self._most_pause_seconds = retries, most_pause_seconds
        agent = {"User-Agent": "stemwright-client"}
        # In UTF-8, so that a key with a stray character in it is refused by the server, in words.
        headers = httpx2.Headers(agent | {"Authorization": f"Bearer {key.strip()}".strip()}, encoding="utf-8")
        self._http = httpx2.Client(headers=headers, timeout=timeout_seconds)
        # Stems may lie anywhere: the key stays with the server that it is for.
        self._files = httpx2.Client(headers=agent, timeout=timeout_seconds, follow_redirects=True)
        self._tells_repetitions: bool | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connections."""
        self._http.close()
        self._files.close()

    # ---- one call each -----------------------------------------------------------------------------------------------

    def credits(self) -> float:
        """Credits left. Raises a ClientError, as every call does."""
        try:
            return self._get(_CREDITS[0])
        except (errors.NotThere, errors.NotAnApi):  # some hosted servers have it elsewhere
            return self._get(_CREDITS[1])

    def upload(self, song: str | os.PathLike[str] | BinaryIO, *, name: str | None = None) -> Track:
        """Sends a song, piece by piece as it is read; raises FileMissing, CannotRead, or a ClientError.

        `song` is a path, or a file open for reading in binary, which is sent whole.
        """
        if not isinstance(song, str | os.PathLike):
            return self._upload(song, name or Path(str(getattr(song, "name", "song"))).name)
        path = Path(song)
        try:
            with path.open("rb") as file:
                return self._upload(file, name or path.name)
        except FileNotFoundError:
            raise errors.FileMissing(path=path) from None
        except OSError as fault:
            raise errors.CannotRead(path=path, reason=fault.strerror) from fault

    def create(
        self,
        song: Track | str,
        kind: Kind = "separate_vocal",
        *,
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> str:
        """Asks for a separation of an uploaded song, or of one at an address; returns the id of the task.

        Tried again only where that cannot charge twice: where the request did not arrive or was turned away, or where
        the server tells repetitions apart by their Idempotency-Key, which ours does. Else it raises MaybeTaken.
        """
        body = _named(song) | {"type": kind}
        body |= {_WIRE.get(name, name): value for name, value in options.items() if value is not None}
        headers = {"Idempotency-Key": f'"{idempotency_key or uuid.uuid4()}"'}
        data = self._tried(lambda: self._http.post(self._url + _CREATE, json=body, headers=headers), charges=True)
        try:
            return str(data["taskId"])
        except (KeyError, TypeError):
            raise errors.NotAnApi(url=self._url + _CREATE, status=200) from None

    def record(self, task_id: str) -> Record:
        """How a separation is getting on."""
        data = self._get(_RECORD, taskId=task_id)
        if not isinstance(data, dict):  # what some servers say of a task that they do not know
            raise errors.NotThere(url=self._url + _RECORD, code=200, message=f"no task {task_id}")
        return Record.of(data)

    # ---- what takes a while ------------------------------------------------------------------------------------------

    def wait(
        self,
        task_id: str,
        *,
        timeout_seconds: float = 3600,
        receiver: Receiver | None = None,
        on_record: OnRecord | None = None,
    ) -> Record:
        """The record of a separation once its stems are there; raises NotSeparated, StillRunning.

        It asks at once and then after growing pauses, from half a second to ten; with a `receiver` it waits for the
        callback instead, and asks twice a minute in case none can come. `on_record` gets each record. A server that
        is away or fails meanwhile is asked again: the task is paid for, and goes on.
        """
        deadline, pause = time.monotonic() + timeout_seconds, 30.0 if receiver else 0.5
        while True:
            record, away = self._news(task_id)
            if record is not None and on_record is not None:
                on_record(record)
            if record is not None and not record.pending:
                return _succeeded(record)
            left = deadline - time.monotonic()
            if left <= 0:
                raise errors.StillRunning(task_id=task_id, seconds=timeout_seconds) from away
            if receiver is None:
                time.sleep(min(pause, left))
                pause = min(pause * 1.5, 10)
            elif receiver.wait(task_id, seconds=min(pause, left)):
                receiver, pause = None, 0.5  # it has ended; what it has become is asked of the server itself

    def download(self, record: Record, folder: str | os.PathLike[str]) -> dict[str, Path]:
        """Every stem as a file in `folder`, by name; raises NotDownloaded, CannotWrite.

        A file is there when it is whole. What had come of one before something broke off is gone on from.
        """
        names = file_names(record.stems)
        paths = {Path(name).stem: Path(folder) / name for name in names}
        for stem, path in zip(record.stems, paths.values(), strict=True):
            download(self._files, stem.url, path)
        return paths

    def separate(
        self,
        song: Track | str | os.PathLike[str],
        folder: str | os.PathLike[str],
        kind: Kind = "separate_vocal",
        *,
        timeout_seconds: float = 3600,
        on_record: OnRecord | None = None,
        **options: Unpack[Options],
    ) -> dict[str, Path]:
        """All of it: uploads a file unless the server can get the song, asks, waits and downloads."""
        here = not isinstance(song, Track) and not str(song).startswith(("http://", "https://"))
        track = self.upload(song) if here and not isinstance(song, Track) else song
        task_id = self.create(track if isinstance(track, Track) else str(track), kind, **options)
        record = self.wait(task_id, timeout_seconds=timeout_seconds, on_record=on_record)
        return self.download(record, folder)

    def _news(self, task_id: str) -> tuple[Record | None, errors.ClientError | None]:
        """The record, or why there is none at present."""
        try:
            return self.record(task_id), None
        except _NO_NEWS as away:
            return None, away

    # ---- how it is sent ----------------------------------------------------------------------------------------------

    def _get(self, path: str, **query: str) -> Any:
        return self._tried(lambda: self._http.get(self._url + path, params=query))

    def _upload(self, file: BinaryIO, name: str) -> Track:
        def send() -> httpx2.Response:
            files = {"file": (name, file, "application/octet-stream")}
            fields = {"uploadPath": "songs", "fileName": name}
            return self._http.post(self._upload_url + "/api/file-stream-upload", files=files, data=fields)

        data = self._tried(send, again=file.seekable())
        track = Track.of(data if isinstance(data, dict) else {})
        if not track.url and not track.task_id:
            raise errors.NotAnApi(url=self._upload_url, status=200)
        return track

    def _tried(self, send: Callable[[], httpx2.Response], *, charges: bool = False, again: bool = True) -> Any:
        """The answer's data; what may pass is tried again, a charge only where it cannot be made twice."""
        for attempt in range(self._retries + 1):
            try:
                return data_of(send())
            except (httpx2.TransportError, errors.Refused) as fault:
                passing = isinstance(fault, _PASSING)
                if charges and not isinstance(fault, (*_NOT_SENT, *_NOT_DONE)):
                    safe = self._knows_repetitions()
                    if passing and not safe:
                        raise errors.MaybeTaken(url=self._url, reason=_reason(fault)) from fault
                    # The first of two equal requests is still at work: its answer will be ours.
                    passing = passing or (safe and isinstance(fault, errors.Conflicting))
                if not passing or not again or attempt == self._retries:
                    raise self._told(fault) from fault
                self._pause(attempt, fault)
        raise AssertionError

    def _told(self, fault: Exception) -> errors.ClientError:
        if isinstance(fault, errors.ClientError):
            return fault
        return errors.NotReached(url=self._url, reason=_reason(fault))

    def _pause(self, attempt: int, fault: Exception) -> None:
        asked = fault.fields.get("retry_after") if isinstance(fault, errors.Refused) else None
        pause = asked if isinstance(asked, float) else 0.25 * 2**attempt * random.uniform(0.8, 1.2)
        time.sleep(min(pause, self._most_pause_seconds))

    def _knows_repetitions(self) -> bool:
        """Whether the server's own contract says that a create takes an Idempotency-Key."""
        if self._tells_repetitions is None:
            try:
                document = self._http.get(f"{self._url}/openapi.json").json()
                named = document["paths"][_CREATE]["post"]["parameters"]
                self._tells_repetitions = any(one.get("name") == "Idempotency-Key" for one in named)
            except httpx2.TransportError:
                return False
            except (ValueError, KeyError, TypeError, AttributeError):
                self._tells_repetitions = False
        return self._tells_repetitions


def _named(song: Track | str) -> dict[str, str]:
    if isinstance(song, str):
        return {"audioUrl": song}
    if song.task_id and song.audio_id:
        return {"taskId": song.task_id, "audioId": song.audio_id}
    return {"audioUrl": song.url}


def _reason(fault: Exception) -> str:
    return str(fault).rstrip(".") or type(fault).__name__


def _succeeded(record: Record) -> Record:
    if not record.succeeded:
        message = record.error_message or "the server does not say why"
        raise errors.NotSeparated(task_id=record.task_id, flag=record.flag, message=message)
    return record

"""Separations on a server that speaks the Suno stem API: its tasks outlive this process."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from stemwright.audio.decode import open_song
from stemwright.client.calls import Client
from stemwright.client.records import Record, Track
from stemwright.errors import ClientError, NoSongGiven, NotDone, NotSeparated
from stemwright.mcp import places
from stemwright.mcp.answers import Files, Request, State, Task


class Remote:
    """Separations by a client's server; what is downloaded gets a folder of its own in `out`."""

    def __init__(self, client: Client, out: Path) -> None:
        self._client, self._out = client, out
        self._titles: dict[str, str] = {}
        self._folders: dict[tuple[str, Path], Path] = {}

    def separate(self, request: Request) -> Task:
        """Uploads a file, asks, and tells how it is getting on."""
        kind = "separate_vocal" if request.stems == "two" else "split_stem"
        task_id = self._client.create(self._song(request), kind, format=request.format, model=request.model)
        self._titles[task_id] = places.title(request.song) if request.song else f"{request.task_id}"
        try:
            return self.status(task_id)
        except ClientError:  # the task is there and paid for: whoever hears of an error asks for another
            return Task(task_id=task_id, state="running", progress=0)

    def status(self, task_id: str) -> Task:
        """How any task of the account is getting on."""
        return _told(self._client.record(task_id))

    def download(self, task_id: str, folder: str | None) -> Files:
        """The stems as files; an interrupted download goes on in the folder that it began in."""
        record = self._client.record(task_id)
        if record.pending:
            raise NotDone(task_id=task_id)
        if not record.succeeded:
            raise NotSeparated(task_id=task_id, flag=record.flag, message=record.error_message or "no reason is given")
        parent = places.local(folder) if folder else self._out
        mine = self._folders.get((task_id, parent)) or places.new_folder(parent, self._titles.get(task_id, task_id))
        self._folders[task_id, parent] = mine
        try:
            paths = self._client.download(record, mine)
        except BaseException:
            with suppress(OSError):  # it stays where something has arrived
                mine.rmdir()
                del self._folders[task_id, parent]
            raise
        return Files(folder=str(mine), files={stem: str(path) for stem, path in paths.items()})

    def close(self) -> None:
        """Lets go of the connections; the server works on."""
        self._client.close()

    def _song(self, request: Request) -> Track | str:
        if request.task_id and request.audio_id:
            return Track("", request.task_id, request.audio_id)
        if not request.song:
            raise NoSongGiven
        if places.is_address(request.song):
            return request.song
        path = places.local(request.song)
        with open_song(path):  # nothing but sound leaves this machine
            pass
        return self._client.upload(path)


def _told(record: Record) -> Task:
    state: State = "running" if record.pending else "done" if record.succeeded else "failed"
    return Task(
        task_id=record.task_id,
        state=state,
        stage=record.stage if record.pending else None,
        progress=100 if record.succeeded else record.progress or 0,
        error=(record.error_message or record.flag) if state == "failed" else None,
        stems=[stem.name for stem in record.stems],
        silent=sorted(record.silent),
    )

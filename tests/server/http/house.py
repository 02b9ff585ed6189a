"""A real service on a free port, accounts in it, and a stand-in for its worker that writes small files."""

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import sqlalchemy as sa
import uvicorn

from stemwright.server import accounts, credits, keys, tasks, tracks
from stemwright.server.clock import now_ms
from stemwright.server.http import patience
from stemwright.server.http.app import create_app
from stemwright.server.http.calls import Api
from stemwright.server.settings import Settings
from stemwright.server.stem_names import LABELS, NEAREST
from stemwright.server.store.blobs import open_blobs
from stemwright.server.store.database import Database
from tests.contract.validator import contract_of
from tests.server.conftest import keep

GENERATE = "/api/v1/vocal-removal/generate"
RECORD = "/api/v1/vocal-removal/record-info"
TWELVE = tuple(name for name in LABELS if name != "instrumental")
STEMS = {"separate_vocal": ("vocals", "instrumental"), "split_stem": TWELVE}
DAY_MS = 86_400_000


class Client(httpx2.Client):
    """A client whose every answer has to be in the contract."""

    def __init__(self, house: "House", *, dialect: str = "apikley", key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        super().__init__(base_url=house.url, headers=headers, timeout=30)
        self.house = house
        self.dialect = dialect
        self.key = key

    def request(self, *args: Any, **options: Any) -> httpx2.Response:
        answer = super().request(*args, **options)
        contract_of(answer.request.url.path).check(answer, dialect=self.dialect, always_200=self.house.api.always_200)
        if answer.status_code == 302 and answer.next_request:  # to object storage, which is not ours to check
            return self.send(answer.next_request)
        return answer


@dataclass
class Caller:
    """An account of a test, its client, and one song of its own."""

    house: "House"
    account: accounts.Account
    http: Client
    key_id: str
    track: tracks.Track

    def signed_in(self) -> Client:
        """A browser in which the account's key has been given."""
        browser = self.house.anonymous()
        answer = browser.post("/console/api/session", json={"key": self.http.key})
        browser.headers["X-CSRF-Token"] = answer.json()["data"]["csrf"]
        return browser

    @property
    def ids(self) -> dict[str, str]:
        return {"taskId": self.track.task_id, "audioId": self.track.audio_id}

    def create(self, headers: dict[str, str] | None = None, **fields: Any) -> httpx2.Response:
        return self.http.post(GENERATE, json={**self.ids, **fields}, headers=headers)

    def created(self, **fields: Any) -> str:
        return self.create(**fields).json()["data"]["taskId"]

    def record(self, task_id: str) -> dict[str, Any]:
        return self.http.get(RECORD, params={"taskId": task_id}).json()["data"]

    def balance(self) -> int:
        return self.http.get("/api/v1/generate/credit").json()["data"]


@dataclass
class House:
    """A running service."""

    api: Api
    url: str = ""
    connections: Callable[[], int] = lambda: 0  # that are open
    _clients: list[Client] = field(default_factory=list)

    @property
    def database(self) -> Database:
        return self.api.database

    def anonymous(self) -> Client:
        return self._kept(Client(self))

    def caller(self, *, dialect: str = "apikley", balance: int = 100, scopes: Sequence[str] = ("api",)) -> Caller:
        now, blob = now_ms(), f"{uuid.uuid4()}_song.mp3"
        keep(self.api.blobs, blob, b"a song, more or less")
        with self.database.transaction() as tx:
            account = accounts.create(tx, uuid.uuid4().hex, now=now)
            if balance:
                credits.grant(tx, account.id, balance, reason="test", now=now)
            key, secret = keys.create(tx, account.id, dialect=dialect, scopes=scopes, now=now)
            track = tracks.register(tx, account.id, blob=blob, size=20, title="song", file_name="song.mp3", now=now)
        return Caller(self, account, self._kept(Client(self, dialect=dialect, key=secret)), key.id, track)

    def finish(
        self,
        task_id: str,
        *,
        silent: Sequence[str] = (),
        experimental: Sequence[str] = (),
        stems: Sequence[str] = (),
        model: str = "twelve",
    ) -> list[tasks.Stem]:
        """Do what a worker does to a task that goes well."""
        attempt = self._begin(task_id)
        with self.database.read() as tx:
            task = tasks.find(tx, task_id)
        mapped = NEAREST.get(task.stem_name or "", "")
        names = stems or STEMS.get(task.kind) or (mapped, f"without_{mapped}")
        files = []
        for position, name in enumerate(names):
            label, stem_id = LABELS.get(name, "Rest"), str(uuid.uuid4())
            blob = f"{stem_id}_{label}.{task.format}"
            keep(self.api.blobs, blob, bytes(range(256)) * 4)
            files.append(
                tasks.Stem(
                    stem_id,
                    position,
                    name,
                    label,
                    blob,
                    task.format,
                    1024,
                    12.5,
                    name in silent,
                    name in experimental,
                    -20.0,
                    f"{model}-{name}" if stems else model,
                )
            )
        facts = {
            "model": model,
            "device": "cpu",
            "precision": "bf16",
            "duration_seconds": 12.5,
            "gain_db": 0.0,
            "expires": now_ms() + DAY_MS,
        }
        with self.database.transaction() as tx:
            tasks.finish(tx, task_id, files, facts=facts, attempt=attempt, now=now_ms())
        return files

    def fail(self, task_id: str, failure: str, error: str = "It did not work.") -> None:
        """Do what a worker does to a task that goes wrong."""
        with self.database.transaction() as tx:
            tasks.fail(tx, task_id, failure=failure, error=error, now=now_ms())

    def lose(self, *tables: str) -> None:
        """Drop tables, whatever refers to them."""
        with self.database.engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            if self.database.sqlite:
                connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            for table in tables:
                connection.exec_driver_sql(f"DROP TABLE {table}" + ("" if self.database.sqlite else " CASCADE"))
            connection.exec_driver_sql("COMMIT" if not self.database.sqlite else "BEGIN")

    def execute(self, sql: str) -> None:
        with self.database.transaction() as tx:
            tx.execute(sa.text(sql))

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def _begin(self, task_id: str) -> int:
        with self.database.transaction() as tx:
            attempt = tasks.begin(tx, task_id, state="separating", worker="test", now=now_ms()).attempt
            tasks.advance(tx, task_id, "storing", attempt=attempt)
        return attempt

    def _kept(self, client: Client) -> Client:
        self._clients.append(client)
        return client


@contextmanager
def running(**settings: Any) -> Iterator[House]:
    """A service on a free port; `settings` name its data folder and its empty database."""
    chosen = Settings(
        **{"allow_networks": ("127.0.0.0/8",), "rate_limit_creates": 10_000, "rate_limit_wrong_keys": 10**6, **settings}
    )
    database = Database(chosen.database)
    house = House(Api(chosen, database, open_blobs(chosen.blobs)))
    server = uvicorn.Server(patience.configuration(create_app(house.api), chosen, port=0))
    house.connections = lambda: len(server.server_state.connections)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.005)
    house.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield house
    finally:
        house.close()
        server.should_exit = True
        thread.join()
        database.dispose()

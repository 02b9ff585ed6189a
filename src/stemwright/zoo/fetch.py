"""Public models onto this machine: fetched with resume from mirrors, verified, converted, installed all or nothing."""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import IO, TYPE_CHECKING, TypeVar

from stemwright.audio.parts import write_error
from stemwright.engine.progress import go_on, heed
from stemwright.errors import (
    BadConfig,
    BadSetting,
    LicenceForbids,
    NotFetched,
    NotRunnable,
    Offline,
    UnreadableCheckpoint,
)
from stemwright.zoo import catalog, foreign, installed, recipes
from stemwright.zoo.checkpoints import training_config
from stemwright.zoo.names import needs
from stemwright.zoo.published import ALLOWED, Download, Published, policy, published

if TYPE_CHECKING:
    import httpx2

RETRY_SECONDS = 0.5
PROGRESS_BYTES = 64 << 10
LEAVING_SECONDS = 1.0
T = TypeVar("T")
_ON, _OFF = ("1", "on", "true", "yes"), ("0", "off", "false", "no")


@dataclass(frozen=True)
class Fetched:
    """How far one file is: bytes so far and in all (None when nobody says)."""

    model: str
    file: str
    done: int
    total: int | None


OnFetched = Callable[[Fetched], None]


@dataclass(frozen=True)
class Settings:
    """How models are fetched: a mirror asked first, never at all, which licences without asking, how patiently."""

    mirror: str | None = None
    offline: bool = False
    policy: str = "permissive"
    timeout_seconds: float = 30.0
    attempts: int = 5

    @classmethod
    def from_environment(cls) -> Settings:
        """From STEMWRIGHT_MIRROR, STEMWRIGHT_OFFLINE and STEMWRIGHT_LICENCES; raises BadSetting."""
        return cls(
            mirror=os.environ.get("STEMWRIGHT_MIRROR") or None,
            offline=_switch("STEMWRIGHT_OFFLINE"),
            policy=policy(),
        )


def _switch(name: str) -> bool:
    """Whether a variable is on; raises BadSetting where it is neither on nor off."""
    asked = os.environ.get(name, "").strip().lower()
    if asked not in (*_ON, *_OFF, ""):
        raise BadSetting(name=name, value=asked, reason=f"that is none of {', '.join(_ON + _OFF)}")
    return asked in _ON


def pull(
    name: str, *, accepted: bool = False, settings: Settings | None = None, on_fetched: OnFetched | None = None
) -> list[installed.Installed]:
    """Fetches a public model (a bag: its members, a recipe: its models) unless it is here.

    `accepted` is an explicit yes to its licence. Raises UnknownModel, LicenceForbids, Offline, NotRunnable, NotFetched,
    ForeignError, CannotWrite, DiskFull.
    """
    settings = settings or Settings.from_environment()
    parts = expanded([name]) if recipes.is_recipe(name) else published(name).members
    if parts:
        done = [pull(part, accepted=accepted, settings=settings, on_fetched=on_fetched) for part in parts]
        return [model for models in done for model in models]
    card = published(name)
    with _alone(name):
        model = installed.find(name)
        if model is None:
            _allowed(card, settings, accepted=accepted)
            model = _installed(card, settings, on_fetched or (lambda _: None))
        return [model]


def pull_many(
    names: Sequence[str],
    *,
    accepted: bool = False,
    settings: Settings | None = None,
    on_fetched: OnFetched | None = None,
    at_once: int = 3,
) -> dict[str, list[installed.Installed] | Exception]:
    """Pulls several models, and those of recipes, side by side.

    One that fails leaves the others be and is returned as its error. Raises BadSetting, BadRecipe, UnknownModel.
    """
    settings = settings or Settings.from_environment()
    work = partial(pull, accepted=accepted, settings=settings, on_fetched=on_fetched)
    return _side_by_side(work, expanded(names), at_once)


def _side_by_side(work: Callable[[str], T], names: Sequence[str], at_once: int) -> dict[str, T | Exception]:
    """What the work gives or raises for each name, in that order.

    Its threads end with the process: who leaves does not wait for one that waits for a server.
    """
    ends: SimpleQueue[tuple[str, T | Exception]] = SimpleQueue()
    waiting, left = deque(names), Event()

    def one_after_another() -> None:
        heed(left.is_set)
        with suppress(IndexError):
            while not left.is_set():
                name = waiting.popleft()
                try:
                    ends.put((name, work(name)))
                except Exception as error:  # noqa: BLE001  it is told of this one, and the others go on
                    ends.put((name, error))

    each = [copy_context().run for _ in range(min(at_once, len(names)))]
    threads = [Thread(target=run, args=(one_after_another,), daemon=True) for run in each]
    for thread in threads:
        thread.start()
    try:
        done = dict(ends.get() for _ in names)
    finally:
        left.set()
        for thread in threads:  # long enough for what is converted to be given up
            thread.join(LEAVING_SECONDS)
    return {name: done[name] for name in names}


def expanded(names: Sequence[str]) -> tuple[str, ...]:
    """The public models that these models and recipes ask for, each once; raises BadRecipe, UnknownModel."""
    here = {*catalog.names(), *installed.names(), *recipes.names()}
    cards = (card for name in names for card in (needs(name) if name in here else (published(name),)))
    return tuple(dict.fromkeys(card.name for card in cards))


def _allowed(card: Published, settings: Settings, *, accepted: bool) -> None:
    if card.weights is None or not card.weights.urls:
        raise NotRunnable(model=card.name, reason="where to get it is not recorded; take a file in with `models add`")
    if settings.offline:
        raise Offline(model=card.name, path=installed.folder() / card.name)
    if card.licence_class not in ALLOWED[settings.policy] and not accepted:
        raise LicenceForbids(
            model=card.name, licence=card.licence, evidence=card.licence_stated, policy=settings.policy
        )


def _installed(card: Published, settings: Settings, on_fetched: OnFetched) -> installed.Installed:
    assert card.weights
    installed.folder(create=True)
    folder = installed.arrived(card.name)
    folder.mkdir(parents=True, exist_ok=True)
    into = partial(fetch, folder=folder, model=card.name, settings=settings, on_fetched=on_fetched)
    config = into(card.config) if card.config else None
    if config:
        with _dropping_what_is_wrong(card, folder):
            training_config.read(config)  # before the weights, which may be a gigabyte
    weights = into(card.weights)
    facts = {
        "licence": card.licence,
        "licence_stated": card.licence_stated,
        "by": card.by,
        "fetched_sha256": installed.sha256(weights),
        "segment": card.segment,
        "normalised": card.normalised,
        "stems": card.stems if card.architecture != "mdx" else None,
    }
    known = {key: value for key, value in facts.items() if value is not None}
    with _dropping_what_is_wrong(card, folder):
        model = foreign.add(weights, name=card.name, config=config, facts=known).model
    for path in (*folder.iterdir(), folder):
        path.rmdir() if path.is_dir() else path.unlink()
    return model


@contextmanager
def _dropping_what_is_wrong(card: Published, folder: Path) -> Iterator[None]:
    """Files that nothing could be checked by are deleted where they turn out to be something else, and fetched anew."""
    try:
        yield
    except (BadConfig, UnreadableCheckpoint) as error:
        suspects = (card.config,) if isinstance(error, BadConfig) else (card.config, card.weights)
        for each in suspects:
            if each and each.sha256 is None:
                (folder / each.file).unlink(missing_ok=True)
        raise


def fetch(wanted: Download, folder: Path, *, model: str, settings: Settings, on_fetched: OnFetched) -> Path:
    """One file into `folder`, from the mirror or the first address that serves it right; raises NotFetched."""
    target, tried = folder / wanted.file, []
    if target.is_file() and _right(target, wanted):
        return target
    mirror = [f"{settings.mirror.rstrip('/')}/{model}/{wanted.file}"] if settings.mirror else []
    for url in (*mirror, *wanted.urls):
        part = _part(folder, wanted, url)
        complaint = _complete(url, part, wanted, settings, lambda done, total: on_fetched(
            Fetched(model, wanted.file, done, total)))  # fmt: skip
        if complaint is None:
            part.replace(target)
            _version_file(part).unlink(missing_ok=True)
            return target
        tried.append(f"{url} ({complaint})")
    raise NotFetched(model=model, tried="; ".join(tried))


def _part(folder: Path, wanted: Download, url: str) -> Path:
    """What has arrived so far: shared by all addresses when the hash tells they serve the same, else by one."""
    mark = hashlib.sha256((wanted.sha256 or url).encode()).hexdigest()[:12]
    return folder / f"{wanted.file}.{mark}.part"


def _right(path: Path, wanted: Download) -> bool:
    if wanted.bytes is not None and path.stat().st_size != wanted.bytes:
        return False
    return wanted.sha256 is None or installed.sha256(path) == wanted.sha256


def _complete(
    url: str, part: Path, wanted: Download, settings: Settings, progress: Callable[[int, int | None], None]
) -> str | None:
    """Fetches until the file is whole, resuming what was cut; returns what is wrong with this address, or None."""
    import httpx2

    complaint = "nothing arrived"
    with httpx2.Client(follow_redirects=True, timeout=settings.timeout_seconds) as client:
        attempt = 0
        while attempt < settings.attempts:
            go_on()
            before = part.stat().st_size if part.exists() else 0
            try:
                whole = _more(client, url, part, wanted, progress)
            except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects) as error:
                return f"not an address that can be asked: {error}"
            except httpx2.TransportError as error:
                reason = str(error) or type(error).__name__
                complaint = f"cut off after {_size(part)} bytes: {reason}" if _size(part) else f"not reached: {reason}"
                whole = False
            except _WrongAnswer as wrong:
                return str(wrong)
            if whole:
                if _right(part, wanted):
                    return None
                part.unlink()
                return "other bytes than the card's sha256"
            if _size(part) <= before:
                time.sleep(RETRY_SECONDS * attempt)
            # A line that breaks now and then gets there: those tries count in a row that bring nothing.
            attempt = 1 if _size(part) >= before + PROGRESS_BYTES else attempt + 1
    return complaint


class _WrongAnswer(Exception):
    """An answer that repeating will not mend."""


def _more(
    client: httpx2.Client, url: str, part: Path, wanted: Download, progress: Callable[[int, int | None], None]
) -> bool:
    """One request for what is missing; whether the file is whole afterwards."""
    have = _size(part)
    if wanted.bytes is not None and have >= wanted.bytes:
        return True
    headers = {**_resuming(part, wanted), "Accept-Encoding": "identity"}
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == 416:  # nothing is missing, or what we have is not of this file
            return _restart_unless_whole(answer, part, have)
        if answer.status_code in (408, 425, 429, 500, 502, 503, 504):
            return False
        if answer.status_code not in (200, 206):
            raise _WrongAnswer(f"it answers {answer.status_code}")
        start = _start(answer) if answer.status_code == 206 else 0
        if start not in (0, have):
            raise _WrongAnswer("it answers another range than asked for")
        if not _continues(answer, start, part, wanted):
            part.unlink()
            return False
        total = _total(answer, start)
        if wanted.bytes is not None and total is not None and total != wanted.bytes:
            raise _WrongAnswer(f"it offers {total} bytes, the card says {wanted.bytes}")
        with _writing(part, "ab" if start else "wb") as file:
            for chunk in answer.iter_raw():
                go_on()
                file.write(chunk)
                progress(file.tell(), wanted.bytes or total)
                if file.tell() > (wanted.bytes or total or 1 << 36):
                    part.unlink()
                    raise _WrongAnswer("it sends more bytes than it said")
    return _size(part) == (wanted.bytes or total or _size(part))


@contextmanager
def _writing(part: Path, mode: str) -> Iterator[IO[bytes]]:
    try:
        with part.open(mode) as file:
            yield file
    except OSError as error:
        raise write_error(part, error) from error


def _resuming(part: Path, wanted: Download) -> dict[str, str]:
    """Headers that ask for the rest of what began to arrive; for all of it where no hash or version would tell."""
    have, version = _size(part), _version_file(part)
    if not have or not (wanted.sha256 or version.is_file()):
        return {}
    return {"Range": f"bytes={have}-"} | ({} if wanted.sha256 else {"If-Range": version.read_text("ascii")})


def _continues(answer: httpx2.Response, start: int, part: Path, wanted: Download) -> bool:
    """Whether an answer is of the version of the file that began to arrive; that of a new one is noted."""
    etag, noted = answer.headers.get("etag", ""), _version_file(part)
    version = answer.headers.get("last-modified", "") if etag.startswith("W/") or not etag else etag
    if start:
        return bool(wanted.sha256) or not version or version == noted.read_text("ascii")
    noted.unlink(missing_ok=True)
    if version.isascii() and version:
        noted.write_text(version, "ascii")
    return True


def _version_file(part: Path) -> Path:
    """Where the ETag or Last-Modified of a file lies of which a part is here."""
    return part.with_name(part.name + ".version")


def _restart_unless_whole(answer: httpx2.Response, part: Path, have: int) -> bool:
    total = answer.headers.get("content-range", "").rpartition("/")[2]
    if total == str(have):
        return True
    part.unlink(missing_ok=True)
    return False


def _start(answer: httpx2.Response) -> int:
    text = answer.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
    return int(text) if text.isdigit() else -1


def _total(answer: httpx2.Response, start: int) -> int | None:
    length = answer.headers.get("content-length", "")
    return start + int(length) if length.isdigit() else None


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """One process at a time fetches a model; another waits for it."""
    try:
        import fcntl
    except ImportError:  # Windows: two processes fetch it twice, the second finds the name taken
        yield
        return
    with (installed.folder(create=True) / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

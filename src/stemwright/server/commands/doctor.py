"""`stemwright doctor`: what this machine is used for and why, and what would stop the work."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from stemwright.errors import StemwrightError
from stemwright.server.clock import now_ms
from stemwright.server.commands.speaking import AsJson, Data, read_settings, show
from stemwright.server.settings import Settings

Verdict = Literal["ok", "note", "warning", "failure"]
_COLOURS = {"ok": "green", "note": "cyan", "warning": "bold yellow", "failure": "bold red"}
_LITTLE_DISK, _TOO_LITTLE_DISK = 5 << 30, 200 << 20
_MOST_SKEW_SECONDS = 2.0
_EPOCH_MS = 1_767_225_600_000  # 2026-01-01: no clock that is right shows less
_PACKAGES = ("numpy", "av", "soxr", "onnxruntime", "torch", "sqlalchemy", "dbos", "obstore", "uvicorn")


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found, and how bad it is."""

    about: str
    verdict: Verdict
    found: str


def doctor(
    *, data: Data = None, strict: Annotated[bool, Parameter(negative="")] = False, as_json: AsJson = False
) -> int:
    """Look at device, disk, versions, models, database, storage and clock; 1 when something would stop the work.

    Parameters
    ----------
    strict
        End with 1 for warnings too, such as a GPU that is not used.
    """
    findings = list(examine(data))
    bad = [finding for finding in findings if finding.verdict in (("failure", "warning") if strict else ("failure",))]
    if as_json:
        show({"healthy": not bad, "findings": [asdict(finding) for finding in findings]})
    else:
        _tell(findings)
    return 1 if bad else 0


def examine(data: Path | None) -> Iterator[Finding]:
    """Everything, one after the other; what breaks while it is looked at is a finding too."""
    yield from _guarded("versions", _versions)
    yield from _guarded("device", _device)
    yield from _guarded("public models", _public_models)
    yield from _guarded("models", _models)
    settings: list[Settings] = []
    yield from _guarded("settings", lambda: _settings(data, settings))
    for read in settings:
        yield from _guarded("models", lambda read=read: _allowed_models(read))
        yield from _guarded("data", lambda read=read: _privacy(read))
        yield from _guarded("disk", lambda read=read: _disks(read))
        yield from _guarded("database", lambda read=read: _database(read))
        yield from _guarded("storage", lambda read=read: _storage(read))
    yield from _guarded("clock", _clock)


def _guarded(about: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except StemwrightError as error:
        yield Finding(about, "failure", str(error))
    except Exception as error:  # noqa: BLE001  a doctor does not fall ill
        yield Finding(about, "failure", f"{type(error).__name__}: {error}")


def _versions() -> Iterator[Finding]:
    found = {name: text for name in _PACKAGES if (text := _version(name))}
    listed = ", ".join(f"{name} {text}" for name, text in found.items())
    system = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding("versions", "ok", f"stemwright {version('stemwright')}, {system}; {listed}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device() -> Iterator[Finding]:
    from stemwright.zoo import catalog, loading, machine

    loading.load(catalog.BUNDLED)  # its weights are compared with its card, and it opens
    cores = f"{machine.cores()} of {os.cpu_count()} cores"
    yield Finding(
        "device", "ok", f"the bundled model {catalog.BUNDLED} runs on the CPU in fp32, {cores}: it has no other"
    )
    if unused := machine.unused_gpu("cpu"):
        yield Finding("gpu", "warning", f"{unused[:1].upper()}{unused[1:]}")


def _public_models() -> Iterator[Finding]:
    from stemwright.zoo import machine

    if _version("torch") is None:
        yield Finding(
            "public models", "note", "PyTorch is not here: public models need `pip install 'stemwright[torch]'`"
        )
        return
    device, asked = machine.device(), os.environ.get("STEMWRIGHT_DEVICE", "auto")
    why = "as STEMWRIGHT_DEVICE says" if asked.lower() != "auto" else "the fastest that PyTorch can use here"
    precision, fastest = machine.precision(), machine.fastest(device)
    told = f"tried in the order {', '.join(fastest)}, the first that keeps 40 dB" if precision == "auto" else "as asked"
    yield Finding("public models", "ok", f"run on {device} ({why}), precision {precision}: {told}")


def _models() -> Iterator[Finding]:
    from stemwright.zoo import catalog, installed

    names, folder = installed.names(), installed.folder()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
    fetched = f"{len(names)} fetched, {size / 1e6:.0f} MB in {folder}" + (f": {', '.join(names)}" if names else "")
    yield Finding("models", "ok", f"bundled: {', '.join(catalog.names())}; {fetched}")


def _allowed_models(settings: Settings) -> Iterator[Finding]:
    from stemwright.zoo import published, readiness

    for error in readiness.obstacles(settings.models).values():
        yield Finding("models", "failure", f"the service would not start: {error}")
    for card in readiness.not_allowed(settings.models):
        told = f"{card.name} has the licence {card.licence} ({card.licence_stated})"
        yield Finding("models", "warning", f"{told}; the policy is {published.policy()!r} (STEMWRIGHT_LICENCES)")


def _settings(data: Path | None, into: list[Settings]) -> Iterator[Finding]:
    from stemwright.server.settings import idle

    into.append(read_settings(data))
    strangers = idle(into[0], os.environ)
    yield from (Finding("settings", "warning", f"nothing reads {name}") for name in strangers)
    if not strangers:
        yield Finding("settings", "ok", "all STEMWRIGHT_… variables are known")


def _disks(settings: Settings) -> Iterator[Finding]:
    from stemwright.zoo import installed

    places = {"results here": Path.cwd(), "data": settings.data, "models": installed.folder()}
    if settings.blobs_url.startswith("file:"):
        places["storage"] = Path(unquote(urlsplit(settings.blobs_url).path))
    for use, place in (places | {"temporary files": Path(tempfile.gettempdir())}).items():
        there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
        free = shutil.disk_usage(there).free
        verdict = "failure" if free < _TOO_LITTLE_DISK else "warning" if free < _LITTLE_DISK else "ok"
        yield Finding("disk", verdict, f"{free / 1e9:.1f} GB free for {use} ({there})")


def _privacy(settings: Settings) -> Iterator[Finding]:
    """Whether others on this machine may read what is ours: addresses of callbacks, their secrets, songs."""
    others, enter = stat.S_IRWXG | stat.S_IRWXO, stat.S_IXGRP | stat.S_IXOTH
    folder, file = settings.data, settings.data / "stemwright.db"
    if os.name == "posix" and file.exists() and folder.stat().st_mode & enter and file.stat().st_mode & others:
        yield Finding("data", "warning", f"others on this machine may read {file}: chmod -R go= {folder}")


def _database(settings: Settings) -> Iterator[Finding]:
    from stemwright.server import opening
    from stemwright.server.store import migrations
    from stemwright.server.store.database import Database

    url = sa.make_url(settings.database).render_as_string(hide_password=True)
    if not settings.database_url and not (settings.data / "stemwright.db").exists():
        yield Finding("database", "note", f"none yet: `stemwright serve` makes {url}")
        return
    opening.require(settings)
    with opening.telling(settings.data, database=settings.database):
        database = Database(settings.database)
        try:
            yield from _schema(url, found := migrations.version(database))
            yield from _skew(database)
            if found:  # a standby, a file that may only be read, a lock that nobody lets go: each says so
                with database.transaction() as tx:
                    tx.exec_driver_sql("DELETE FROM alembic_version WHERE 1 = 0")
        finally:
            database.dispose()


def _schema(url: str, found: str | None) -> Iterator[Finding]:
    from stemwright.server.store import migrations

    if found == migrations.HEAD:
        yield Finding("database", "ok", f"{url} answers; schema {found}")
    elif found is None:
        yield Finding("database", "note", f"{url} has no tables of ours yet: `stemwright serve` makes them")
    else:
        cure = "install the newer version that wrote it" if migrations.is_ahead(found) else "run `stemwright migrate`"
        yield Finding("database", "failure", f"{url} has schema {found}, this version {migrations.HEAD}: {cure}")


def _skew(database: object) -> Iterator[Finding]:
    """How far the clock of a database server is from ours; a file of SQLite has none."""
    from stemwright.server.store.database import Database

    assert isinstance(database, Database)
    if database.sqlite:
        return
    with database.read() as tx:
        theirs = float(tx.execute(sa.text("select extract(epoch from clock_timestamp())")).scalar_one())
    skew = theirs - time.time()
    verdict = "ok" if abs(skew) <= _MOST_SKEW_SECONDS else "failure"
    yield Finding("clock", verdict, f"the database's is {abs(skew):.2f} s {'ahead of' if skew > 0 else 'behind'} ours")


def _storage(settings: Settings) -> Iterator[Finding]:
    from stemwright.server import opening
    from stemwright.server.store.blobs import Folder, open_blobs

    if isinstance(blobs := open_blobs(settings.blobs), Folder) and not blobs.root.exists():
        yield Finding("storage", "note", f"none yet: `stemwright serve` makes {settings.blobs}")
        return
    opening.open_store(settings, patience_seconds=3)
    yield Finding("storage", "ok", f"{settings.blobs.partition('?')[0]} answers")  # there may be keys behind it


def _clock() -> Iterator[Finding]:
    now, steady = now_ms(), time.monotonic()
    time.sleep(0.05)
    drift = (now_ms() - now) / 1000 - (time.monotonic() - steady)
    told = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now / 1000))
    if now < _EPOCH_MS:
        yield Finding("clock", "failure", f"{told} is in the past: signatures, links and retention go by it")
    elif abs(drift) > 0.5:
        yield Finding("clock", "warning", f"{told}; it jumped by {drift:.1f} s just now")
    else:
        yield Finding("clock", "ok", told)


def _tell(findings: list[Finding]) -> None:
    console = Console(highlight=False)
    width = max(len(finding.about) for finding in findings)
    for finding in findings:
        line = Text(f"{finding.verdict.upper():8}", style=_COLOURS[finding.verdict])
        line.append(f" {finding.about:{width}}  {finding.found}", style="bold" if finding.verdict == "warning" else "")
        console.print(line, soft_wrap=True)

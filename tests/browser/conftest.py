"""A real browser, and the player's script."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=LocalNetworkAccessChecks",  # a made-up page of the internet may read from this machine
]


def _built(folder: Path, *modes: str, proof: str) -> Path:
    """`folder` with what vite builds from the sources; without npm the package's own build, which has `proof` in it."""
    if (ROOT / "console" / "node_modules" / "vite").is_dir() and shutil.which("npx"):
        for mode in modes:
            command = ["npx", "vite", "build", "--logLevel", "warn", "--mode", mode, "--outDir", str(folder)]
            subprocess.run(command, cwd=ROOT / "console", check=True, capture_output=True, timeout=120)
        return folder
    folder = ROOT / "src" / "stemwright" / "server" / "http" / "page" / "console"
    if not (folder / proof).is_file():
        pytest.skip("the console is not built here: it needs npm")
    return folder


@pytest.fixture(scope="session")
def player_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `stem-player.js`."""
    return _built(tmp_path_factory.mktemp("player"), "player", proof="stem-player.js")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser of this machine, or the one that playwright brought."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        if found is None and not Path(running.chromium.executable_path).exists():
            pytest.skip("there is no chromium here")
        browser = running.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def console_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the whole console."""
    return _built(tmp_path_factory.mktemp("console"), "production", "player", proof="index.html")


@pytest.fixture(scope="session")
def axe() -> str:
    """The script that looks for what keeps people out."""
    script = ROOT / "console" / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        pytest.skip("axe-core is not here: it comes with npm")
    return script.read_text()

"""A real browser, and the player's script."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FETCHED = ROOT / ".cache" / "chromium"  # by `make test`
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
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser of this machine, the one that `make test` fetched, or the one that playwright brought."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        surroundings = None
        if found is None and (FETCHED / "chromium").exists():
            found, surroundings = str(FETCHED / "chromium"), _surroundings(tmp_path_factory.mktemp("fonts"))
        if found is None and not Path(running.chromium.executable_path).exists():
            pytest.skip("there is no chromium here")
        browser = running.chromium.launch(executable_path=found, args=ARGUMENTS, env=surroundings)
        yield browser
        browser.close()


def _surroundings(folder: Path) -> dict[str, str]:
    """What the fetched browser needs of a machine, from beside it: its libraries, and a font where there is none."""
    fonts = folder / "fonts.conf"
    dirs = "".join(f"<dir>{place}</dir>" for place in ("/usr/share/fonts", FETCHED / "fonts"))
    fonts.write_text(f"<fontconfig>{dirs}<cachedir>{folder}</cachedir></fontconfig>\n")
    return {**os.environ, "LD_LIBRARY_PATH": str(FETCHED / "al2023" / "lib"), "FONTCONFIG_FILE": str(fonts)}


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

"""The pages say what is true: settings have their lines, links lead somewhere, and the site needs nobody else."""

import itertools
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from stemwright.server.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
BYTES = {"MiB": 1 << 20, "GiB": 1 << 30}
LOADS = re.compile(r"<(?:script|link|img|iframe|source|video|audio)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^\" >]+")


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "guide" / "settings.md").read_text()
    documented = re.findall(r"^\| `STEMWRIGHT_([A-Z0-9_]+)`", page, re.MULTILINE)
    assert [name.lower() for name in documented] == list(Settings.model_fields)


def test_documented_defaults_are_the_real_ones() -> None:
    page = (ROOT / "docs" / "guide" / "settings.md").read_text()
    for name, shown in re.findall(r"^\| `STEMWRIGHT_([A-Z0-9_]+)` \| ([^|]+) \|", page, re.MULTILINE):
        value = Settings.model_fields[name.lower()].get_default(call_default_factory=True, validated_data={})
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        number, _, unit = shown.partition(" ")
        if unit in BYTES:
            assert value == int(number) * BYTES[unit], name
        elif shown.startswith("`"):
            assert f"`{text.lower()}`" == shown.lower(), name
        else:
            assert not value, name  # words stand for none


def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))


def anchors(page: Path) -> Iterator[str]:
    """What the headings of a page are called in addresses."""
    found = tokens(page)
    for heading, inside in itertools.pairwise(found):
        if heading.type == "heading_open":
            yield re.sub(r"[^\w\- ]", "", inside.content.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_anchor_leads_somewhere(page: Path) -> None:
    for token in (each for block in tokens(page) for each in block.children or ()):
        target = str(token.attrs.get("href") or token.attrs.get("src") or "")
        if not target or re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = page.parent / name if name else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_the_site_is_built_whole_and_asks_nobody_else_for_anything(tmp_path: Path) -> None:
    pytest.importorskip("zensical", reason="the site's generator is not here: it comes with stemwright[docs]")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    site = tmp_path / "build" / "docs"
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        built = (site / (name.with_name("index.html") if name.stem == "README" else name)).read_text("utf-8")
        assert not LOADS.findall(built), page
    assert not [
        sheet for sheet in site.rglob("*.css") if re.search(r"(url\(|@import )\W*(https?:)?//", sheet.read_text())
    ]


def test_every_page_of_the_guide_is_in_the_site_s_menu() -> None:
    menu = (ROOT / "zensical.toml").read_text()
    assert [page.name for page in (ROOT / "docs/guide").glob("*.md") if f'"guide/{page.name}"' not in menu] == []


def test_the_readme_tells_the_quality_on_the_card() -> None:
    card = tomllib.loads((ROOT / "src/stemwright/zoo/cards/twelve.toml").read_text())
    shown = re.findall(r"^\| (\w+) \| (-?[\d.]+) \| (\w*) ?\|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    marks = {stem: "experimental" if stem in card["experimental"] else "" for stem in card["stems"]}
    assert f"for about {round(card['made_by']['hours'])} hours" in (ROOT / "README.md").read_text()
    assert shown == [(stem, f"{round(card['scores']['test'][stem], 1) + 0:.1f}", marks[stem]) for stem in card["stems"]]

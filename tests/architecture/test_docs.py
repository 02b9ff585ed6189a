"""The pages say what is true: every setting has its line, and no line is left of one that is gone."""

import re
import tomllib
from pathlib import Path

from stemwright.server.settings import Settings

ROOT = Path(__file__).parents[2]


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "guide" / "settings.md").read_text()
    documented = re.findall(r"^\| `STEMWRIGHT_([A-Z0-9_]+)`", page, re.MULTILINE)
    assert [name.lower() for name in documented] == list(Settings.model_fields)


def test_documented_defaults_are_the_real_ones() -> None:
    page = (ROOT / "docs" / "guide" / "settings.md").read_text()
    for name, shown in re.findall(r"^\| `STEMWRIGHT_([A-Z0-9_]+)` \| `([^`]+)`", page, re.MULTILINE):
        value = Settings.model_fields[name.lower()].default
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        assert text.lower() == shown.lower(), name


def test_links_of_the_pages_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} → {target}"


def test_the_readme_tells_the_quality_on_the_card() -> None:
    card = tomllib.loads((ROOT / "src/stemwright/zoo/cards/twelve.toml").read_text())
    shown = re.findall(r"^\| (\w+) \| (-?[\d.]+) \| (\w*) ?\|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    marks = {stem: "experimental" if stem in card["experimental"] else "" for stem in card["stems"]}
    assert shown == [(stem, f"{card['scores']['test'][stem]:.1f}", marks[stem]) for stem in card["stems"]]

"""The report page: one file that asks for nothing, says what was measured, and can be read by everyone."""

import base64
import io
import re
import shutil
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from stemwright.audio.tags import Tags
from stemwright.extras import page
from stemwright.extras.colours import rgb
from stemwright.extras.pictures import COLUMNS, ROWS, portrait
from stemwright.outputs import label
from tests.audio.sounds import RATE

VOID = {"meta", "img", "path", "br"}


class Page(HTMLParser):
    """Checks that every tag is closed in its order, and keeps the tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text(made: Any) -> str:
    return made.extras["report"].read_text("utf-8")


def test_it_is_well_formed_and_asks_for_nothing(text: str) -> None:
    page = Page(text)
    links = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert all(str(link).startswith("data:image/png;base64,") for link in links)
    assert "url(" not in text
    assert "<script" not in text
    assert "default-src 'none'" in text


def test_a_name_does_not_turn_what_is_around_it() -> None:
    tags = Tags({"title": "Live \u202e\u2066<b>", "artist": "שלום \u202dX"})
    song: Any = SimpleNamespace(tags=tags, title="")
    head = "".join(islice(page._page(song), 5))  # the rest is of the stems
    assert "<title>Live &lt;b&gt;: stems</title>" in head
    assert '<h1>Live &lt;b&gt;</h1><p class="artist">שלום X</p>' in head


def test_it_tells_every_stem_its_level_and_what_made_it(text: str, made: Any) -> None:
    assert "<h1>Tune &amp; &quot;Co&quot; &lt;1&gt;</h1>" in text
    for name, stem in made.facts.items():
        row = re.search(rf"<tr><th scope=\"row\">[^\n]*{label(name)}</th>.*?</tr>", text, re.DOTALL)
        assert row
        assert f"{stem.loudness_dbfs:.1f} dB".replace("-", "−") in row[0]
        assert ("silent" in row[0]) == stem.silent
    assert f"{made.tempo.bpm:.1f} bpm" in text
    assert f"<dd>{made.key}, " in text
    assert f"<dd>{made.device}</dd>" in text


def test_pictures_have_words_and_there_is_one_of_each_kind_a_stem(text: str, made: Any) -> None:
    page = Page(text)
    alts = [attributes.get("alt") for tag, attributes in page.tags if tag == "img"]
    waves = [attributes.get("aria-label") for tag, attributes in page.tags if tag == "svg"]
    assert alts == [f"Spectrogram of {label(name)}" for name, stem in made.facts.items() if not stem.silent]
    assert waves == [f"Waveform of {label(name)}" for name in made.facts]


def test_a_song_of_four_minutes_makes_less_than_2_mb() -> None:
    noise = np.random.default_rng(0).standard_normal((2, RATE)).astype(np.float32) * 0.2
    drawn = portrait((noise for _ in range(240)), RATE, 240 * RATE)
    assert 12 * (len(drawn.spectrogram(rgb("drums"))) + len(drawn.wave(1.0))) < 2_000_000


def test_a_spectrogram_shows_a_tone_where_it_is() -> None:
    t = np.arange(4 * RATE) / RATE
    tone = np.sin(2 * np.pi * 1000 * t) * (t > 2) * 0.5
    drawn = portrait([np.stack([tone, tone]).astype(np.float32)], RATE, 4 * RATE)
    data = base64.b64decode(drawn.spectrogram((255, 0, 0)).partition(",")[2])
    with av.open(io.BytesIO(data)) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgba")[..., 3]
    assert shown.shape == (ROWS, COLUMNS)
    assert shown[:, : COLUMNS // 2 - 10].max() == 0
    heard = np.argmax(shown[:, COLUMNS * 3 // 4])
    assert ROWS - 1 - heard == pytest.approx(ROWS * np.log(1000 / 40) / np.log(16000 / 40), abs=2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_without_a_request_or_a_complaint(made: Any, scheme: Any) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        if found is None and not Path(running.chromium.executable_path).exists():
            pytest.skip("there is no chromium here")
        browser = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(color_scheme=scheme, viewport={"width": 400, "height": 800})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: asked.append(message.text))
        page.goto(made.extras["report"].as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        assert page.evaluate("[...document.images].every(i => i.naturalWidth > 0)")
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []

"""The console in a real browser, on a real service with the real engine: what people do on every page."""

import os
import re
import signal
import sqlite3
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.browser.served import Served, excerpt, served
from tests.server.http import sources
from tests.server.http.sources import source

pytestmark = pytest.mark.slow

PAGES = {
    "Separate": "/",
    "Tasks": "/console/tasks",
    "Keys": "/console/keys",
    "Credits": "/console/credits",
    "Callbacks": "/console/callbacks",
    "Operator": "/console/operator",
    "Docs": "/console/docs",
}


@pytest.fixture(scope="module")
def service(console_build: Path, chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(console_build, tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("songs")
    names = ("Harbour lights (live).mp3", "Blue hour.wav")
    return [excerpt(folder / name, seconds=6, first=3 + 6 * n) for n, name in enumerate(names)]


@pytest.fixture(scope="module")
def finished(service: Served, songs: list[Path]) -> str:
    """A task that has ended well, and whose callback nobody took."""
    with service.api() as api, songs[0].open("rb") as file:
        ids = api.post("/uploads", files={"file": (songs[0].name, file)}).json()["data"]
        body = {"taskId": ids["taskId"], "audioId": ids["audioId"], "type": "split_stem"}
        body["callBackUrl"] = "http://127.0.0.1:9/hook?token=secret"
        task_id = api.post("/tasks", json=body).json()["data"]["taskId"]
        deadline = time.monotonic() + 90
        while api.get(f"/tasks/{task_id}").json()["data"]["callback"] != "failed":
            assert time.monotonic() < deadline
            time.sleep(0.25)
    return task_id


class Visit:
    """A browser window; what goes wrong in it, and every address it asked for."""

    def __init__(self, browser: Any, service: Served, **options: Any) -> None:
        self.service = service
        self.context = browser.new_context(accept_downloads=True, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda fault: self.faults.append(str(fault)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", self._said)

    def _said(self, message: Any) -> None:
        if "Content Security Policy" in message.text or "Refused to" in message.text:
            self.faults.append(message.text)

    def sign_in(self, key: str | None = None) -> "Visit":
        self.page.goto(self.service.url)
        self.page.get_by_label("API key").fill(key or self.service.key)
        self.page.keyboard.press("Enter")
        self.page.get_by_role("heading", name="Separate").wait_for()
        return self

    def to(self, address: str) -> Any:
        self.page.goto(self.service.url + address)
        self.page.locator("h1").wait_for()
        return self.page

    def choose(self, *files: Path, kind: str = "Vocals and instrumental") -> Any:
        self.page.locator("#files").set_input_files([str(file) for file in files])
        self.page.get_by_role("radio", name=re.compile(kind)).check()
        return self.page


def until(page: Any, holds: str, seconds: float = 90) -> None:
    """Wait until the expression holds. The page's policy forbids what playwright has for this: it evaluates a text."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(holds):
        assert time.monotonic() < deadline, holds
        page.wait_for_timeout(100)


@pytest.fixture
def visit(chromium: Any, service: Served) -> Iterator[Visit]:
    visit = Visit(chromium, service)
    yield visit
    visit.context.close()
    assert visit.faults == []
    assert all(url.startswith((service.url, "blob:", "data:")) for url in visit.asked)


@pytest.fixture
def page(visit: Visit) -> Any:
    return visit.sign_in().page


# ---- signing in ------------------------------------------------------------------------------------------------------


def test_a_wrong_key_is_said_to_be_one_and_a_right_one_opens_the_door(visit: Visit) -> None:
    page = visit.page
    page.goto(visit.service.url)
    page.get_by_text("The key itself is not kept.").wait_for()
    page.get_by_label("API key").fill("sw_wrong")
    page.get_by_role("button", name="Sign in").click()
    assert "This key is not valid" in page.get_by_role("alert").inner_text()
    page.get_by_label("API key").fill(visit.service.key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Separate").wait_for()
    assert page.evaluate("document.cookie") == ""


def test_signing_out_closes_it(page: Any, visit: Visit) -> None:
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()
    visit.to("/console/tasks")
    assert page.get_by_role("heading", name="Sign in").is_visible()


def test_a_page_that_was_left_by_signing_out_is_loaded_anew_on_the_way_back(page: Any, visit: Visit) -> None:
    page.route(visit.service.url + "/", lambda route: route.fulfill(status=204))  # the page stays, as if it came back
    page.get_by_role("button", name="Sign out").click()
    until(page, "document.getElementById('app').innerText === ''")
    page.unroute(visit.service.url + "/")
    page.evaluate("void dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    page.get_by_role("heading", name="Sign in").wait_for()


def test_an_ended_session_is_said_and_nothing_on_the_page_is_lost(page: Any, service: Served) -> None:
    page.get_by_label("Or links").fill("https://example.com/half")
    with sqlite3.connect(service.data / "stemwright.db") as database:
        database.execute("DELETE FROM sessions")
    database.close()
    page.get_by_role("link", name="Tasks").click()
    page.get_by_role("heading", name="Your session has ended").wait_for()
    page.get_by_role("dialog").get_by_label("API key").fill(service.key)
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_role("heading", name="Tasks", exact=True).wait_for()
    page.get_by_role("searchbox").wait_for()


def test_songs_on_their_way_wait_for_who_signs_in_again(page: Any, visit: Visit, songs: list[Path]) -> None:
    visit.choose(*songs, songs[0])
    with sqlite3.connect(visit.service.data / "stemwright.db") as database:
        database.execute("DELETE FROM sessions")
    database.close()
    page.get_by_role("button", name="Separate 3 songs").click()
    page.get_by_text("as soon as you have signed in again").first.wait_for()
    page.get_by_role("dialog").get_by_label("API key").fill(visit.service.key)
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('.song .badge.good').length === 3")


def test_a_session_that_ended_while_the_server_was_away_is_left_alone(page: Any, visit: Visit) -> None:
    """An open page of an ended session locked its whole address out of signing in."""
    visit.to("/console/tasks")
    with sqlite3.connect(visit.service.data / "stemwright.db") as database:
        database.execute("DELETE FROM sessions")
    database.close()
    visit.service.stop()
    visit.service.start()
    page.get_by_role("heading", name="Your session has ended").wait_for()
    for _ in range(3):  # the browser closes it at the second
        page.keyboard.press("Escape")
        page.wait_for_timeout(500)
    visit.asked.clear()
    page.wait_for_timeout(3000)
    assert visit.asked == []
    page.get_by_role("dialog").get_by_label("API key").fill(visit.service.key)
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for(state="detached")


def test_more_tabs_than_the_browser_has_connections(page: Any, visit: Visit) -> None:
    def seen(tab: Any, is_seen: bool) -> None:
        hidden = f"Object.defineProperty(document, 'hidden', {{value: {str(not is_seen).lower()}, configurable: true}})"
        tab.evaluate(f"{hidden}; void document.dispatchEvent(new Event('visibilitychange'))")

    tabs = [page]
    for _ in range(7):
        seen(tabs[-1], False)
        tabs.append(visit.context.new_page())
        tabs[-1].goto(visit.service.url + "/console/tasks", timeout=20_000)
        tabs[-1].get_by_role("searchbox").wait_for(timeout=20_000)
    with page.expect_request("**/console/api/events"):
        seen(page, True)


def test_another_tab_signs_in_again_and_as_somebody_else(visit: Visit, songs: list[Path]) -> None:
    with visit.service.api() as api:
        key = api.post("/operator/accounts", json={"name": "next door", "credits": 9}).json()["data"]["secret"]
    page = visit.sign_in().choose(songs[0])
    page.get_by_role("link", name="Keys").click()
    tab = visit.context.new_page()

    def again(secret: str) -> None:
        tab.goto(visit.service.url)
        tab.get_by_role("button", name="Sign out").click()
        tab.get_by_label("API key").fill(secret)
        tab.keyboard.press("Enter")
        tab.get_by_role("heading", name="Separate").wait_for()

    again(visit.service.key)
    page.get_by_role("button", name="New key").click()
    page.get_by_label("Name").fill("spare")
    page.get_by_role("button", name="Make the key").click()  # with the token of the session before
    page.get_by_role("button", name="I have it").click()
    page.get_by_role("link", name="Separate").click()
    assert page.locator(".song").count() == 1
    again(key)
    page.evaluate("void dispatchEvent(new Event('focus'))")
    page.locator(".who", has_text="next door").wait_for()
    assert page.locator(".song").count() == 0
    visit.choose(songs[0])
    page.locator(".song").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()
    assert visit.sign_in().page.locator(".song").count() == 0


def test_credits_and_maintenance_are_as_new_as_the_page(visit: Visit, songs: list[Path]) -> None:
    with visit.service.api() as api:
        made = api.post("/operator/accounts", json={"name": "busy", "credits": 100}).json()["data"]
        page = visit.sign_in(made["secret"]).page
        api.post("/operator/grants", json={"accountId": made["accountId"], "amount": 23})
        page.get_by_role("link", name="Callbacks").click()
        page.locator(".balance", has_text="123").wait_for()
        api.post("/operator/maintenance", json={"on": True})
        page.evaluate("void dispatchEvent(new Event('focus'))")
        try:
            page.get_by_text("The service is under maintenance").wait_for()
        finally:
            api.post("/operator/maintenance", json={"on": False})
        page.evaluate("void dispatchEvent(new Event('focus'))")
        page.get_by_text("The service is under maintenance").wait_for(state="detached")
    headers = {"X-API-Key": made["secret"]}
    with songs[0].open("rb") as file, httpx2.Client(base_url=visit.service.url, headers=headers) as client:
        ids = client.post("/api/file-stream-upload", files={"file": (songs[0].name, file)}).json()["data"]
        body = {"taskId": ids["taskId"], "audioId": ids["audioId"], "type": "separate_vocal"}
        client.post("/api/v1/vocal-removal/generate", json=body)
    page.locator(".balance", has_text="122").wait_for()


# ---- separating ------------------------------------------------------------------------------------------------------


def test_several_songs_at_once_with_their_price_before_and_progress(visit: Visit, songs: list[Path]) -> None:
    page = visit.sign_in().choose(*songs)
    assert "2 songs × 1 credit" in page.locator("#cost").inner_text()
    page.get_by_role("button", name="Separate 2 songs").click()
    page.get_by_role("progressbar").first.wait_for()
    until(page, "document.querySelectorAll('.song .badge.good').length === 2")
    page.get_by_role("link", name=songs[0].name).click()
    page.get_by_role("heading", name="2 stems").wait_for()
    assert page.locator("h1").inner_text() == "Harbour lights (live)"


def test_a_link_and_what_is_neither_link_nor_ids(page: Any, songs: list[Path]) -> None:
    field = page.get_by_label("Or links")
    field.fill("my song")
    page.get_by_role("button", name="Add").click()
    assert "begins with http" in page.get_by_role("alert").inner_text()
    with source(sources.gives(songs[1].read_bytes(), kind="audio/wav")) as place:
        field.fill(f"{place.url}/albums/Blue%20hour.wav")
        page.get_by_role("button", name="Add").click()
        page.get_by_role("radio", name=re.compile("Vocals and")).check()
        page.get_by_role("button", name="Separate", exact=True).click()
        until(page, "document.querySelector('.song .badge.good')")
    assert page.get_by_role("link", name="Blue hour.wav").is_visible()


def test_a_song_that_is_here_by_its_ids(page: Any, service: Served, finished: str) -> None:
    with service.api() as api:
        told = api.get(f"/tasks/{finished}").json()["data"]
    page.get_by_label("Or links").fill(f"{told['musicId']} {told['audioId']}")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("radio", name=re.compile("One instrument")).check()
    page.get_by_label("Instrument", exact=True).select_option("Piano")
    assert "keyboard" in page.get_by_text("Taken from our stem").inner_text()
    page.get_by_label("Format").select_option("flac")
    page.get_by_role("button", name="Separate", exact=True).click()
    until(page, "document.querySelector('.song .badge.good')")


def test_another_model_promises_no_twelve_stems(visit: Visit, songs: list[Path]) -> None:
    page = visit.sign_in().choose(songs[0], kind="One instrument")
    page.get_by_text("Taken from our stem “vocals”").wait_for()
    page.get_by_label("Model").select_option("duo")
    page.get_by_text("The nearest that the model has").wait_for()
    page.get_by_role("radio", name=re.compile("All stems.*All that the model duo gives")).check()
    page.get_by_role("button", name="Separate", exact=True).click()
    until(page, "document.querySelector('.song .badge.good')")
    page.get_by_role("link", name=songs[0].name).click()
    page.get_by_role("heading", name="2 stems").wait_for()
    assert "All stems, mp3" in page.locator(".lead").inner_text()


def test_what_cannot_be_decoded_fails_with_a_reason_and_gives_its_price_back(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "notes.mp3").write_text("no sound at all")
    page = visit.sign_in().choose(tmp_path / "notes.mp3")
    page.get_by_role("button", name="Separate", exact=True).click()
    until(page, "document.querySelector('.song .badge.bad')")
    assert "not audio that can be decoded" in page.locator(".song p").inner_text()
    page.get_by_role("link", name="notes.mp3").click()
    page.get_by_text("Its 1 credit came back").wait_for()


def test_too_dear_is_said_before(visit: Visit, service: Served, songs: list[Path]) -> None:
    with service.api() as api:
        key = api.post("/operator/accounts", json={"name": "poor", "credits": 4}).json()["data"]["secret"]
    page = visit.sign_in(key).choose(songs[0], kind="Twelve stems")
    assert "1 credit more would be needed" in page.get_by_role("alert").inner_text()
    assert page.get_by_role("button", name="Separate", exact=True).is_disabled()
    assert page.get_by_role("link", name="Operator").count() == 0


def test_a_folder_and_an_empty_file_that_are_dropped_are_told_and_cost_nothing(
    page: Any, visit: Visit, songs: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "empty.mp3").touch()
    drop(visit, tmp_path / "album", tmp_path / "empty.mp3", songs[0])
    page.locator(".song", has_text="album").get_by_text("This is a folder.").wait_for()
    page.locator(".song", has_text="empty.mp3").get_by_text("This file is empty").wait_for()
    assert "1 song ×" in page.locator("#cost").inner_text()


def test_songs_may_be_dropped_on_every_page(visit: Visit, songs: list[Path]) -> None:
    visit.sign_in().to("/console/tasks")
    drop(visit, *songs)
    visit.page.get_by_role("heading", name="Separate").wait_for(timeout=5000)
    assert visit.page.locator(".song .name").all_inner_texts() == [song.name for song in songs]


def drop(visit: Visit, *paths: Path) -> None:
    """Let go of the files over the page."""
    mouse = visit.context.new_cdp_session(visit.page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for step in ("dragEnter", "dragOver", "drop"):
        mouse.send("Input.dispatchDragEvent", {"type": step, "x": 300, "y": 300, "data": data})


def test_several_links_are_as_many_songs(page: Any) -> None:
    field = page.get_by_label("Or links")
    field.fill("https://a.example/Low tide.mp3  https://b.example/Reef.mp3")
    field.press("Enter")
    page.locator(".song").nth(1).wait_for()
    assert page.locator(".song .name").all_inner_texts() == ["Low tide.mp3", "Reef.mp3"]
    field.fill("https://a.example/Reef.mp3 https://")
    field.press("Enter")
    assert "begins with http" in page.get_by_role("alert").inner_text()
    assert page.locator(".song").count() == 2


def test_a_callback_address_that_is_emptied_is_not_folded_away(page: Any) -> None:
    page.get_by_text("Tell a server when it is done").click()
    field = page.get_by_label("Callback address")
    field.fill("h")
    field.press("Backspace")
    assert field.is_visible()
    assert page.evaluate("document.activeElement.type") == "url"


def test_a_callback_address_that_cannot_be_one_is_shown_where_it_was_folded_away(
    page: Any, visit: Visit, songs: list[Path]
) -> None:
    visit.choose(songs[0])
    fold = page.get_by_text("Tell a server when it is done")
    fold.click()
    page.get_by_label("Callback address").fill("example.com/hook")
    fold.click()
    page.get_by_role("button", name="Separate", exact=True).click()
    until(page, "document.activeElement.type === 'url'")
    assert page.get_by_label("Callback address").is_visible()


def test_a_callback_address_that_the_server_asks_for_is_asked_for_before_anything_is_sent(
    chromium: Any, console_build: Path, songs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMWRIGHT_REQUIRE_CALLBACK", "true")
    with served(console_build, tmp_path) as strict:
        visit = Visit(chromium, strict).sign_in()
        visit.choose(songs[0]).get_by_role("button", name="Separate", exact=True).click()
        until(visit.page, "document.activeElement.type === 'url'")
        assert visit.page.locator(".song .badge").inner_text() == "Chosen"
        visit.context.close()


def test_what_is_refused_says_why_and_is_tried_as_the_form_is_now(
    page: Any, visit: Visit, songs: list[Path], tmp_path: Path
) -> None:
    moved = excerpt(tmp_path / "moved.mp3", seconds=1)
    visit.choose(moved)
    moved.rename(tmp_path / "elsewhere.mp3")
    page.get_by_role("button", name="Separate", exact=True).click()
    page.locator(".song", has_text="This file cannot be read any more").wait_for()
    assert page.locator(".song .badge").inner_text() == "Not sent"
    page.get_by_role("button", name="Remove moved.mp3").click()
    visit.choose(songs[0])
    page.get_by_text("Tell a server when it is done").click()
    page.get_by_label("Callback address").fill("ftp://nowhere")
    page.get_by_role("button", name="Separate", exact=True).click()
    page.get_by_text("Not sent").wait_for()
    page.get_by_label("Callback address").fill("")
    full = {"code": 429, "msg": "Your queue is full.", "data": None}
    page.route("**/console/api/tasks", lambda route: route.fulfill(status=429, json=full))
    page.get_by_role("button", name=f"Try {songs[0].name} again").click()
    page.locator(".song", has_text="Your queue is full.").get_by_role("button", name=re.compile("Remove")).wait_for()
    page.unroute("**/console/api/tasks")
    until(page, "document.querySelector('.song .badge.good')")


def test_an_end_that_was_not_told_is_found_out(page: Any, visit: Visit, songs: list[Path]) -> None:
    page.route("**/console/api/events", lambda route: route.abort())
    visit.to("/")
    visit.choose(songs[0])
    page.get_by_role("button", name="Separate", exact=True).click()
    task_id = page.get_by_role("link", name=songs[0].name).get_attribute("href").rpartition("/")[2]
    with visit.service.api() as api:
        deadline = time.monotonic() + 60
        while api.get(f"/tasks/{task_id}").json()["data"]["state"] != "finished":
            assert time.monotonic() < deadline
            time.sleep(0.25)
    told = 'event: tasks\ndata: {"first": true, "tasks": []}\n\n'
    page.route("**/console/api/events", lambda route: route.fulfill(body=told, content_type="text/event-stream"))
    until(page, "document.querySelector('.song .badge.good')")
    page.unroute("**/console/api/events")


def test_a_song_that_was_cut_off_says_so(visit: Visit, tmp_path: Path) -> None:
    song = excerpt(tmp_path / "half.wav", seconds=6)
    os.truncate(song, song.stat().st_size // 2)
    page = visit.sign_in().choose(song)
    page.get_by_role("button", name="Separate", exact=True).click()
    until(page, "document.querySelector('.song .badge.good')")
    missing = "3.0 s are missing: the file is cut off or damaged"
    page.locator(".song", has_text="half.wav").get_by_text(missing).wait_for(timeout=5000)
    visit.to("/console/tasks").locator("tr", has_text="half").get_by_text(missing).wait_for(timeout=5000)
    page.get_by_role("link", name="half").click()
    page.get_by_text(missing + ".").wait_for()


# ---- a task ----------------------------------------------------------------------------------------------------------


def test_stems_and_a_zip_to_take_away(page: Any, visit: Visit, finished: str, tmp_path: Path) -> None:
    visit.to(f"/console/task/{finished}")
    marked = page.locator("stem-player .name", has=page.locator("small")).first
    assert re.fullmatch(r".+ (silent|experimental)", marked.text_content() or "")
    page.get_by_role("heading", name="12 stems").wait_for()
    page.locator("stem-player .lane").first.wait_for()
    with page.expect_download() as one:
        page.get_by_role("link", name="Download Vocals").click()
    assert one.value.path().stat().st_size > 10_000
    assert one.value.suggested_filename == "Harbour lights (live) - Vocals.mp3"
    with page.expect_download() as all_of_them:
        page.get_by_role("link", name="All as a zip").click()
    assert all_of_them.value.suggested_filename == "Harbour lights (live) stems.zip"
    with zipfile.ZipFile(all_of_them.value.path()) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 12
    with page.expect_download() as song:
        page.get_by_role("link", name="Download the song as it came").click()
    assert song.value.suggested_filename == "Harbour lights (live).mp3"


def test_a_player_that_cannot_be_loaded_and_addresses_of_nothing_are_told(
    page: Any, visit: Visit, finished: str
) -> None:
    page.route("**/assets/element-*.js", lambda route: route.abort())
    visit.to(f"/console/task/{finished}")
    page.get_by_text("The player could not be loaded.").wait_for()
    visit.to("/console/task/%")
    page.get_by_role("link", name="All tasks").wait_for()
    visit.to("/console")
    assert page.get_by_role("heading", name="Separate").is_visible()
    visit.to("/console/task/")
    assert page.get_by_role("heading", name="Tasks", exact=True).is_visible()


def test_a_callback_is_told_and_sent_again(page: Any, visit: Visit, finished: str) -> None:
    visit.to(f"/console/task/{finished}")
    page.get_by_text("could not be reached").first.wait_for()
    before = page.locator(".attempts li").count()
    page.get_by_role("button", name="Send again").click()
    until(page, f"document.querySelectorAll('.attempts li').length > {before}")


def test_expired_files_are_said_to_be_gone(page: Any, visit: Visit, service: Served, songs: list[Path]) -> None:
    visit.choose(songs[0])
    page.get_by_role("button", name="Separate", exact=True).click()
    until(page, "document.querySelector('.song .badge.good')")
    address = page.get_by_role("link", name=songs[0].name).get_attribute("href")
    with sqlite3.connect(service.data / "stemwright.db") as database:
        database.execute("UPDATE tasks SET expires = 1000 WHERE id = ?", (address.rpartition("/")[2],))
    database.close()
    visit.to(address)
    page.get_by_text("The files are gone.").wait_for()
    assert page.get_by_role("link", name="All as a zip").count() == 0


def test_deleting_asks_first_and_takes_the_files(page: Any, visit: Visit, songs: list[Path]) -> None:
    visit.choose(songs[1])
    page.get_by_role("button", name="Separate", exact=True).click()
    until(page, "document.querySelector('.song .badge.good')")
    page.get_by_role("link", name=songs[1].name).click()
    link = page.get_by_role("link", name="Download Vocals").get_attribute("href")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete its files").click()
    page.get_by_role("heading", name="Tasks", exact=True).wait_for()
    assert httpx2.get(visit.service.url + link).status_code == 410


def test_what_is_made_again_is_charged_once_also_when_no_answer_came(
    page: Any, visit: Visit, service: Served, finished: str
) -> None:
    visit.to(f"/console/task/{finished}")
    with service.api() as api:
        before = api.get("/ledger").json()["data"]["balance"]

    def lose(route: Any) -> None:
        route.fetch()
        route.abort()

    page.route("**/again", lose)
    button = page.get_by_role("button", name="Make again")
    button.click()
    page.locator(".note.bad").wait_for()
    page.unroute("**/again")
    page.locator("main .callout.warn").wait_for(state="detached")
    button.click()
    page.wait_for_url(lambda url: finished not in url)
    with service.api() as api:
        assert api.get("/ledger").json()["data"]["balance"] == before - 5


def test_what_a_dialog_could_not_do_is_said_in_it_and_the_focus_stays(page: Any, visit: Visit, finished: str) -> None:
    trouble = {"code": 500, "msg": "Internal Error - Please try again later.", "data": None}
    visit.to(f"/console/task/{finished}")
    page.get_by_role("button", name="Delete").click()
    page.route(f"**/console/api/tasks/{finished}", lambda route: route.fulfill(status=500, json=trouble))
    page.get_by_role("button", name="Delete its files").press("Enter")
    page.get_by_role("dialog").get_by_role("alert").get_by_text("Internal Error").wait_for()
    until(page, "document.activeElement.textContent === 'Delete its files'")
    page.unroute(f"**/console/api/tasks/{finished}")


# ---- tasks -----------------------------------------------------------------------------------------------------------


def test_each_quarter_of_the_way_is_said_once_and_the_end(
    page: Any, visit: Visit, service: Served, finished: str
) -> None:
    task_id = f"{25:032x}"
    with copied(service, finished, task_id, state="'separating'", progress="3", completed="NULL") as update:
        visit.to(f"/console/task/{task_id}")
        bar = page.get_by_role("progressbar")
        bar.wait_for()
        page.evaluate(
            """() => { window.said = []; const log = document.querySelector("[role=log]");
            new MutationObserver(() => said.at(-1) === log.textContent || said.push(log.textContent))
                .observe(log, {subtree: true, characterData: true, childList: true}); }"""
        )
        for progress in (24, 27, 49, 50, 60, 99):
            update(f"progress = {progress}")
            until(page, f"document.querySelector('[role=progressbar]').getAttribute('aria-valuenow') === '{progress}'")
        update("state = 'finished', completed = created")
        until(page, "said.length >= 4")
        said = page.evaluate("said")
    assert said == [
        f"Harbour lights (live): {what}." for what in ("25 percent", "50 percent", "75 percent", "finished")
    ]


def test_a_page_outlives_an_error_at_the_end_and_tells_when_its_task_is_gone(
    page: Any, visit: Visit, service: Served, finished: str
) -> None:
    task_id = f"{26:032x}"
    trouble = {"code": 500, "msg": "Internal Error - Please try again later.", "data": None}
    with copied(service, finished, task_id, state="'separating'", progress="3", completed="NULL") as update:
        visit.to(f"/console/task/{task_id}")
        page.get_by_role("progressbar").wait_for()
        update("progress = 24")
        page.get_by_text("Separating, 24 %").wait_for()  # what was seen going on is told when it ends
        address = f"**/console/api/tasks/{task_id}"
        page.route(address, lambda route: route.fulfill(status=503, json=trouble))
        update("state = 'finished', completed = created")
        page.get_by_text("Internal Error").wait_for()
        page.unroute(address)
        page.locator(".lead", has_text="Finished").wait_for()
        page.get_by_text("Internal Error").wait_for(state="detached")
    page.evaluate("void document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_role("link", name="All tasks").wait_for()


@contextmanager
def copied(service: Served, of: str, task_id: str, **changed: str) -> Iterator[Callable[[str], None]]:
    """Another row like that of a task, which no worker knows, for as long as the context lasts; changed at will."""

    def execute(statement: str, *values: str) -> list[Any]:
        with closing(sqlite3.connect(service.data / "stemwright.db", timeout=30)) as database, database:
            return database.execute(statement, values).fetchall()

    columns = [row[1] for row in execute("PRAGMA table_info(tasks)")]
    taken = ",".join({"id": f"'{task_id}'", **changed}.get(name, name) for name in columns)
    execute(f"INSERT INTO tasks ({','.join(columns)}) SELECT {taken} FROM tasks WHERE id = ?", of)
    try:
        yield lambda change: [execute(f"UPDATE tasks SET {change} WHERE id = ?", task_id)].clear()
    finally:
        execute("DELETE FROM tasks WHERE id = ?", task_id)


def test_tasks_are_searched_filtered_and_made_again(page: Any, visit: Visit, finished: str) -> None:
    visit.to("/console/tasks")
    page.get_by_role("searchbox").fill(finished[:10])
    until(page, f"location.search === '?text={finished[:10]}'")
    until(page, "document.querySelectorAll('tbody tr').length === 1")
    page.get_by_role("searchbox").fill(f"{finished[:10]} no more")
    page.get_by_role("button", name="Failed").click()  # before what was typed is looked for
    until(page, f"location.search === '?text={finished[:10]}+no+more&group=failed'")
    page.get_by_text("No task is like that.").wait_for()
    page.go_back()
    until(page, f"document.querySelector('.search').value === '{finished[:10]}'")
    page.get_by_role("button", name=re.compile("again, 5 credits")).click()
    page.wait_for_url(lambda url: "/console/task/" in url and finished not in url)
    page.get_by_role("heading", name="12 stems").wait_for()


def test_a_task_that_a_program_asks_for_appears_by_itself(page: Any, visit: Visit, service: Served) -> None:
    with page.expect_response("**/console/api/events"):
        visit.to("/console/tasks")
    page.wait_for_timeout(1500)  # the first event tells what is running already
    with service.api() as api, source(sources.drips) as place:
        song = {"audioUrl": f"{place.url}/Slow%20tide.mp3", "type": "separate_vocal"}
        task_id = api.post("/tasks", json=song).json()["data"]["taskId"]
        page.get_by_role("link", name="Slow tide.mp3").wait_for(timeout=10_000)
        api.post(f"/tasks/{task_id}/cancel")


@pytest.mark.parametrize("where", ["/console/tasks", "/console/task/{}"])
def test_a_task_is_cancelled(page: Any, visit: Visit, service: Served, where: str) -> None:
    with service.api() as api, source(sources.drips) as place:  # its song never comes: it does not end meanwhile
        song = {"audioUrl": f"{place.url}/Endless%20river.mp3", "type": "separate_vocal"}
        task_id = api.post("/tasks", json=song).json()["data"]["taskId"]
        visit.to(where.format(task_id))
        page.get_by_role("button", name=re.compile("^Cancel( |$)")).click()
        page.get_by_role("button", name="Cancel the task").click()
        # Its button is gone with it.
        until(page, "document.activeElement.matches('h1, .table')")
        visit.to(f"/console/task/{task_id}")
        page.get_by_text("It was cancelled.").wait_for()


def test_ten_thousand_tasks_are_a_page_at_a_time(page: Any, visit: Visit, service: Served, finished: str) -> None:
    with sqlite3.connect(service.data / "stemwright.db") as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(tasks)")]
        changed = {"id": "printf('%032x', n)", "created": "created - 1000 - n"}
        taken = ",".join(changed.get(name, name) for name in columns)
        numbers = "WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 10000)"
        database.execute(
            f"{numbers} INSERT INTO tasks ({','.join(columns)}) SELECT {taken} FROM tasks, count WHERE id = ?",
            (finished,),
        )
    database.close()
    visit.to("/console/tasks")
    for _ in range(3):
        first = page.locator("tbody a").first.get_attribute("href")
        page.get_by_role("button", name="Older").click()
        until(page, f"document.querySelector('tbody a').getAttribute('href') !== '{first}'")
        assert page.locator("tbody tr").count() == 50
    page.reload()
    page.get_by_role("button", name="Newer").click()
    until(page, f"document.querySelector('tbody a')?.getAttribute('href') === '{first}'")
    page.get_by_role("searchbox").fill(f"{9999:032x}")
    until(page, "document.querySelectorAll('tbody tr').length === 1")
    with sqlite3.connect(service.data / "stemwright.db") as database:
        database.execute("DELETE FROM tasks WHERE id LIKE '0000000000000000000000000000%'")
    database.close()


# ---- the account -----------------------------------------------------------------------------------------------------


def test_a_key_is_made_shown_once_used_rotated_and_revoked(page: Any, visit: Visit, service: Served) -> None:
    visit.to("/console/keys")
    page.get_by_role("button", name="New key").click()
    page.get_by_label("Name").fill("karaoke bot")
    page.get_by_label("Ends").select_option("30")
    page.get_by_label("Only from").fill("127.0.0.1, 10.0.0.0/8")
    page.get_by_role("button", name="Make the key").click()
    secret = page.get_by_label("The key").input_value()
    page.get_by_role("button", name="I have it").click()
    assert secret not in page.content()
    page.get_by_text("only from 127.0.0.1/32, 10.0.0.0/8").wait_for()

    def status() -> int:
        return httpx2.get(f"{service.url}/api/v1/generate/credit", headers={"X-API-Key": secret}).status_code

    assert status() == 200
    page.get_by_role("button", name="Rotate karaoke bot").click()
    page.get_by_label("The old key ends").select_option("1")
    page.get_by_role("button", name="Rotate", exact=True).click()
    page.get_by_role("button", name="I have it").click()
    page.get_by_text("Ending").wait_for()
    page.locator("tr", has_text="Ending").get_by_role("button", name="Revoke karaoke bot").click()
    page.get_by_role("button", name="Revoke it").click()
    page.get_by_text("Ending").wait_for(state="detached")
    page.wait_for_timeout(600)  # a verified key is remembered for half a second
    assert status() == 401


def test_the_key_one_is_signed_in_with_is_rotated_at_once(visit: Visit) -> None:
    with visit.service.api() as api:
        key = api.post("/operator/accounts", json={"name": "rotating"}).json()["data"]["secret"]
    page = visit.sign_in(key).page
    page.get_by_role("link", name="Keys").click()
    page.get_by_role("button", name="Rotate").click()
    page.get_by_label("The old key ends").select_option("0")
    page.get_by_role("button", name="Rotate", exact=True).last.click()
    secret = page.get_by_label("The key").input_value()
    page.wait_for_timeout(1000)
    assert page.get_by_role("dialog").get_by_role("heading").all_inner_texts() == ["Your new key"]
    page.get_by_role("button", name="I have it").click()
    page.locator("tr", has_text="signed in with it").locator("code", has_text=secret[:6]).wait_for()


def test_credits_add_up(page: Any, visit: Visit, finished: str) -> None:
    visit.to("/console/credits")
    page.get_by_role("img", name=re.compile(r"credits? for [\d,]+ tasks? from")).wait_for()
    assert "Harbour lights (live)" in page.get_by_role("group", name=re.compile("Ledger")).inner_text()
    for name in ("CSV of the usage", "CSV of the ledger"):
        with page.expect_download() as table:
            page.get_by_role("link", name=name).click()
        assert table.value.path().read_text("utf-8-sig").count("\n") > 1
    page.get_by_text("The same as a table").click()
    page.get_by_role("table", name="Usage by day and key").wait_for()


def test_the_ledger_is_loaded_again_without_a_gap(visit: Visit, service: Served) -> None:
    with service.api() as api:
        made = api.post("/operator/accounts", json={"name": "granted", "credits": 1}).json()["data"]

        def grant(times: int) -> None:
            for _ in range(times):
                api.post("/operator/grants", json={"accountId": made["accountId"], "amount": 1, "reason": "more"})

        grant(110)
        page = visit.sign_in(made["secret"]).page
        visit.to("/console/credits")
        page.get_by_role("button", name="Show older lines").click()
        until(page, "document.querySelectorAll('td[data-label=Balance]').length === 100")
        grant(3)
    page.route("**/ledger?before=*", lambda route: route.abort())
    page.get_by_role("button", name="Show older lines").click()  # the server is away, and comes back
    until(page, "document.querySelector('td[data-label=Balance]').textContent === '114'")
    balances = page.locator("td[data-label=Balance]").all_inner_texts()
    assert [int(balance) for balance in balances] == [*range(114, 11, -1)]


def test_a_callback_is_tried_and_how_to_verify_it_is_shown(page: Any, visit: Visit, finished: str) -> None:
    visit.to("/console/callbacks")
    page.get_by_text("given with it: at once, and only then.").wait_for()
    with source(sources.gives(b"{}", status=202)) as receiver:
        page.get_by_label("Your receiver").fill(receiver.url)
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_text("HTTP 202").wait_for()
        assert receiver.asked
    page.get_by_role("button", name="Show").click()
    assert page.get_by_label("Webhook secret").input_value().startswith("whsec_")
    for language, word in (("JavaScript", "createHmac"), ("Java", "javax.crypto"), ("Python", "hashlib")):
        page.get_by_role("button", name=language, exact=True).click()
        assert word in page.locator("pre.code").inner_text()
    assert "127.0.0.1:9/hook" in page.get_by_role("group", name=re.compile("Deliveries")).inner_text()


def test_the_operator_grants_and_closes_the_door(page: Any, visit: Visit) -> None:
    visit.to("/console/operator")
    page.get_by_role("heading", name="1 worker").wait_for()
    page.get_by_role("button", name="New account").click()
    page.get_by_label("Name", exact=True).fill("harbour radio")
    page.get_by_role("button", name="Make the account").click()
    page.get_by_role("button", name="I have it").click()
    page.get_by_role("button", name="Grant credits to harbour radio").click()
    page.get_by_label("Amount").fill("23")
    page.get_by_role("button", name="Grant", exact=True).click()
    page.get_by_role("row", name=re.compile("harbour radio 123")).wait_for()
    assert page.locator(".note").inner_text() == "The balance is 123 now."  # a name would turn it
    page.get_by_role("switch", name="Maintenance").click()
    page.get_by_role("button", name="Turn maintenance on").click()
    page.get_by_text("The service is under maintenance").wait_for()
    page.get_by_role("switch", name="Maintenance", checked=True).click()
    page.get_by_text("The service is under maintenance").wait_for(state="detached")


def test_what_was_done_in_another_window_shows_when_one_comes_to_this(
    page: Any, visit: Visit, songs: list[Path]
) -> None:
    visit.choose(songs[0])
    page.get_by_role("button", name="Separate", exact=True).click()
    until(page, "document.querySelector('.song .badge.good')")
    page.get_by_role("link", name=songs[0].name).click()
    page.get_by_role("heading", name="2 stems").wait_for()
    with visit.service.api() as api:
        api.delete(f"/tasks/{page.url.rpartition('/')[2]}")
    page.evaluate("void dispatchEvent(new Event('focus'))")
    page.get_by_text("There is no task").wait_for(timeout=5000)


def test_the_way_back_leads_to_where_one_was(visit: Visit, finished: str) -> None:
    page = visit.sign_in().page
    visit.to("/console/callbacks")
    page.get_by_role("link", name="Harbour lights (live)").first.wait_for()
    page.evaluate("scrollTo(0, 1e6)")
    page.wait_for_timeout(300)
    down = page.evaluate("scrollY")
    page.get_by_role("link", name="Harbour lights (live)").first.click()
    page.get_by_role("heading", name="12 stems").wait_for()
    assert page.evaluate("scrollY") == 0 < down
    page.go_back()
    until(page, f"scrollY === {down}")


@pytest.mark.parametrize("address", ["/console/nowhere", "/console/constructor"])
def test_an_address_that_is_no_page_says_so(page: Any, visit: Visit, address: str) -> None:
    visit.to(address)
    page.get_by_role("heading", name="There is no such page").wait_for()


def test_the_documentation_is_that_of_this_server(page: Any, visit: Visit) -> None:
    visit.to("/console/docs")
    page.get_by_role("heading", name="Separate a song into stems").wait_for()
    example = page.locator("#createSeparation pre").first.inner_text()
    assert f'"{visit.service.url}/api/v1/vocal-removal/generate"' in example
    paths = httpx2.get(f"{visit.service.url}/openapi.json").json()["paths"].values()
    operations = sum(len(methods.keys() - {"parameters", "head"}) for methods in paths)
    assert page.locator("section.operation").count() == operations + 1


# ---- when things go wrong --------------------------------------------------------------------------------------------


def test_a_server_that_is_gone_is_told_and_nothing_is_lost(page: Any, visit: Visit, songs: list[Path]) -> None:
    visit.choose(songs[0])
    assert visit.service.stop() < 8  # the open streams do not hold it up
    page.get_by_text("This page tries again by itself").wait_for()
    page.get_by_role("button", name="Separate", exact=True).click()
    page.get_by_text("Cut off", exact=True).wait_for()
    visit.service.start()
    page.get_by_text("This page tries again by itself").wait_for(state="detached")
    until(page, "document.querySelector('.song .badge.good')")


def test_songs_that_a_proxy_refuses_while_the_server_is_away_are_sent_when_it_is_back(
    page: Any, visit: Visit, songs: list[Path]
) -> None:
    visit.choose(*songs)
    page.route("**/console/api/**", lambda route: route.fulfill(status=502, body="<html>Bad Gateway</html>"))
    page.get_by_role("button", name="Separate 2 songs").click()
    page.get_by_text("This page tries again by itself").wait_for()
    until(page, "[...document.querySelectorAll('.song .badge')].every((each) => each.textContent === 'Cut off')")
    page.unroute("**/console/api/**")
    until(page, "document.querySelectorAll('.song .badge.good').length === 2")


def test_an_upload_that_is_cut_in_the_middle_is_sent_again(page: Any, visit: Visit, tmp_path: Path) -> None:
    song = excerpt(tmp_path / "long.wav", seconds=30)
    network = visit.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 400_000}
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", slow)
    visit.choose(song)
    page.get_by_role("button", name="Separate", exact=True).click()
    until(page, "/[1-9][0-9.]* (kB|MB) of/.test(document.querySelector('.song p').textContent)")
    visit.service.stop(signal.SIGKILL)
    page.locator(".song", has_text="The upload was cut off").wait_for()
    network.send("Network.emulateNetworkConditions", slow | {"uploadThroughput": -1})
    visit.service.start()
    until(page, "document.querySelector('.song .badge.good')")
    with visit.service.api() as api:
        found = api.get("/tasks", params={"text": "long"}).json()["data"]["tasks"]
    assert len(found) == 1


# ---- for everyone ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1360, 390])
def test_no_page_keeps_anybody_out(
    chromium: Any, service: Served, finished: str, axe: str, scheme: str, width: int
) -> None:
    visit = Visit(chromium, service, color_scheme=scheme, viewport={"width": width, "height": 850})
    found = {}
    page = visit.page
    page.goto(service.url)
    page.locator("h1").wait_for()
    found["Sign in"] = violations(page, axe)
    visit.sign_in()
    for name, address in {**PAGES, "Task": f"/console/task/{finished}"}.items():
        visit.to(address)
        until(page, "!document.querySelector('.pending')")
        found[name] = violations(page, axe)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), name
    visit.context.close()
    assert found == {name: [] for name in found}


def violations(page: Any, axe: str) -> list[str]:
    """What axe-core finds; it is run past the page's policy, as a person's own tools are."""
    page.context.new_cdp_session(page).send("Runtime.evaluate", {"expression": axe})
    return page.evaluate(
        """async () => { const { violations } = await axe.run(document, { resultTypes: ["violations"] });
        const where = ({ nodes }) => nodes.map(({ target }) => target.join(" ")).join(", ");
        return violations.map((each) => `${each.id}: ${where(each)}`); }"""
    )


def test_no_name_turns_what_stands_beside_it(visit: Visit, songs: list[Path]) -> None:
    name = "שלום 5\u2069\u202e"
    with visit.service.api() as api:
        key = api.post("/operator/accounts", json={"name": name, "credits": 50}).json()["data"]["secret"]
    page = visit.sign_in(key).page
    page.get_by_role("link", name="Keys").click()
    page.get_by_role("button", name="New key").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make the key").click()
    page.get_by_role("button", name="I have it").click()
    page.locator("tbody tr", has_text="שלום").get_by_role("button", name="Revoke").click()
    assert turning(page) == []
    page.get_by_role("button", name="Keep it").click()
    song = {"name": f"{name}.mp3", "mimeType": "audio/mpeg", "buffer": songs[0].read_bytes()}
    visit.to("/")
    page.locator("#files").set_input_files([song])
    page.get_by_label("Or links").fill(f"http://127.0.0.1:9/{name}")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("radio", name=re.compile("Vocals and")).check()
    page.get_by_role("button", name="Separate 2 songs").click()
    until(page, "document.querySelectorAll('.song .badge.good, .song a ~ .badge.bad').length === 2")
    assert turning(page) == []
    tasks = page.locator(".song a").evaluate_all("(all) => all.map((each) => each.pathname)")
    for address in (*PAGES.values(), *tasks):
        visit.to(address)
        until(page, "!document.querySelector('.pending')")
        assert turning(page) == [], address


def turning(page: Any) -> list[str]:
    """Where a name is not apart from the text around it, or has what would turn that all the same."""
    return page.evaluate(
        """() => { const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
        while (walker.nextNode()) { const { data, parentElement: box } = walker.currentNode;
            const apart = box.childNodes.length === 1 && getComputedStyle(box).unicodeBidi === "isolate";
            const beside = data.includes("שלום") && !apart && !box.closest(".hidden");
            if (beside || /[\u202a-\u202e\u2066-\u2069]/.test(data)) found.push(box.outerHTML); }
        return found; }"""
    )


def test_everything_is_reached_with_the_keyboard_alone(visit: Visit) -> None:
    page = visit.page
    page.goto(visit.service.url)
    page.get_by_label("API key").wait_for()
    page.keyboard.type(visit.service.key)  # the field has the focus from the start
    page.keyboard.press("Enter")
    until(page, "document.activeElement.matches('h1')")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    page.reload()
    page.get_by_role("heading", name="Separate").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.get_by_role("link", name="Keys").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Keys").wait_for()
    until(page, "document.activeElement.matches('h1')")
    page.get_by_role("button", name="New key").focus()
    page.keyboard.press("Enter")
    until(page, "document.activeElement.name === 'name'")
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    until(page, "document.activeElement.textContent === 'New key'")


def test_the_menu_of_a_phone_unfolds_below_its_bar(chromium: Any, service: Served) -> None:
    visit = Visit(chromium, service, viewport={"width": 360, "height": 740}).sign_in()
    menu = visit.page.get_by_role("button", name="Menu")
    before = menu.bounding_box()
    menu.click()
    first = visit.page.get_by_role("link", name="Separate").bounding_box()
    assert menu.bounding_box() == before
    assert first["y"] > before["y"] + before["height"]
    assert first["width"] > 250
    visit.page.set_viewport_size({"width": 740, "height": 360})  # turned on its side
    assert visit.page.evaluate("document.querySelector('.side').clientHeight") <= 360
    visit.page.get_by_role("button", name="Sign out").click()
    visit.page.get_by_role("heading", name="Sign in").wait_for()
    visit.context.close()


def test_the_focus_goes_on_to_the_next_song_when_one_is_removed(page: Any, visit: Visit, songs: list[Path]) -> None:
    visit.choose(*songs)
    page.get_by_role("button", name=f"Remove {songs[0].name}").press("Enter")
    page.locator(".song", has_text=songs[0].name).wait_for(state="detached")
    until(page, f"document.activeElement.ariaLabel === 'Remove {songs[1].name} from this list'")
    page.keyboard.press("Enter")
    page.locator(".song").wait_for(state="detached")
    until(page, "document.activeElement.id === 'files'")


def test_the_focus_comes_back_from_dialogs_and_from_what_they_took_away(
    page: Any, visit: Visit, songs: list[Path]
) -> None:
    visit.to("/console/keys")
    page.get_by_role("button", name="New key").press("Enter")
    page.get_by_label("Name").fill("for a moment")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Copy").press("Enter")
    page.get_by_role("dialog").get_by_role("log").get_by_text("Copied.").wait_for(timeout=5000)
    page.get_by_role("button", name="I have it").press("Enter")  # of a second dialog, in the place of the first
    until(page, "document.activeElement.textContent === 'New key'")
    page.get_by_role("button", name="Revoke for a moment").press("Enter")
    page.get_by_role("button", name="Revoke it").press("Enter")
    until(page, "document.activeElement.matches('.table')")
    visit.to("/")
    visit.choose(songs[0])
    page.get_by_role("button", name="Separate", exact=True).click()
    page.get_by_role("button", name="Clear finished").press("Enter")
    until(page, "document.activeElement.id === 'files'")


def test_those_who_want_no_motion_get_none(chromium: Any, service: Served) -> None:
    visit = Visit(chromium, service, reduced_motion="reduce").sign_in()
    visit.page.evaluate("document.body.append(Object.assign(document.createElement('i'), {className: 'turning'}))")
    style = "getComputedStyle(document.querySelector('i.turning'))"
    assert float(visit.page.evaluate(f"parseFloat({style}.animationDuration)")) < 0.001
    visit.context.close()


def test_the_first_load_is_small(visit: Visit) -> None:
    sizes: dict[str, int] = {}
    visit.page.on("response", lambda answer: sizes.update({answer.url: int(answer.headers.get("content-length", 0))}))
    visit.sign_in()
    scripts = {url: size for url, size in sizes.items() if url.endswith(".js")}
    assert scripts
    assert sum(scripts.values()) < 40_000
    paints = "performance.getEntriesByType('paint').map(({startTime}) => Math.round(startTime))"
    until(visit.page, f"{paints}.length > 0")
    print(f"first load: {sum(scripts.values())} B of JavaScript; first paint: {visit.page.evaluate(paints)[0]} ms")  # noqa: T201

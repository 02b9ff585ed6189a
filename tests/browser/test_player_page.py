"""The player on a page: keys, names for ears, little memory, and clear words when something is missing."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stemwright.audio.mp3 import FRAME, Mp3Encoder
from stemwright.audio.peaks import Peaks
from stemwright.separation import MIX
from stemwright.server.drawing import Drawing
from stemwright.server.http.routes import console
from tests.browser.conftest import ROOT
from tests.browser.stage import RATE, Player, Staged, finish, opened, service, sounds, stage
from tests.server.http.house import TWELVE, House
from tests.servers import s3

pytestmark = pytest.mark.slow

AXE = ROOT / "console" / "node_modules" / "axe-core" / "axe.min.js"
DEFAULT_BUDGET_BYTES = 96 << 20


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with service(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(scope="module")
def song(house: House, tmp_path_factory: pytest.TempPathFactory) -> Staged:
    return stage(house, tmp_path_factory.mktemp("song"), sounds(8))


def element(song: Staged) -> str:
    return f'<stem-player src="{song.url}" label="A song"></stem-player>'


@pytest.fixture
def player(chromium: Any, player_build: Path, house: House, song: Staged) -> Iterator[Player]:
    with opened(chromium, player_build, house, element(song)) as player:
        yield player


def strips(player: Player, what: str) -> list[str]:
    return player.do("return engine.strips.filter((strip) => strip[argument]).map((strip) => strip.name);", what)


def test_keys_mean_something_only_while_the_player_has_the_focus(player: Player) -> None:
    keyboard = player.page.keyboard
    keyboard.press("1")
    keyboard.press("Space")
    assert (strips(player, "muted"), player.do("return engine.state;")) == ([], "stopped")
    player.page.locator("stem-player section").focus()
    for key in ("1", "0", "Minus", "Equal", "Shift+Digit3"):
        keyboard.press(key)
    assert strips(player, "muted") == ["vocals", "percussion", "synth", "fx"]
    assert strips(player, "solo") == ["drums"]


def test_space_plays_arrows_seek_and_letters_loop(player: Player) -> None:
    player.page.locator("stem-player section").focus()
    press = player.page.keyboard.press
    press("ArrowRight")
    assert player.do("return engine.position();") == 5 * RATE
    press("b")
    press("ArrowLeft")
    press("a")
    assert player.do("return engine.loop;") == [0, 5 * RATE]
    press("Space")
    player.wait("engine.state === 'playing'")
    press("Space")
    player.wait("engine.state === 'stopped'")
    press("x")
    assert player.do("return engine.loop;") is None


def test_a_click_on_a_button_leaves_space_to_the_player(player: Player) -> None:
    player.page.get_by_role("button", name="Mute Drums").click()
    assert strips(player, "muted") == ["drums"]
    player.page.keyboard.press("Space")
    player.wait("engine.state === 'playing'")
    assert strips(player, "muted") == ["drums"]


def test_everything_has_a_name_and_says_what_it_is_set_to(player: Player) -> None:
    page = player.page
    solo = page.get_by_role("button", name="Solo Bass")
    assert solo.get_attribute("aria-pressed") == "false"
    solo.click()
    assert solo.get_attribute("aria-pressed") == "true"
    assert page.locator("stem-player [aria-live=polite]").inner_text() == "Bass solo"
    volume = page.get_by_role("slider", name="Volume of Bass")
    volume.focus()
    page.keyboard.press("ArrowLeft")
    assert volume.get_attribute("aria-valuetext") == "-0.5 dB"
    assert player.do("return engine.position();") == 0  # the arrows are the slider's there
    for name in ("Karaoke", "Original", "Loop from here", "Zoom in", "Tempo & pitch", "Export"):
        assert page.get_by_role("button", name=name).count() == 1


def test_a_drag_over_the_waves_makes_a_loop_and_a_click_seeks(player: Player) -> None:
    box = player.page.locator("stem-player .wave").first.bounding_box()
    mouse, y = player.page.mouse, box["y"] + 20
    mouse.click(box["x"] + box["width"] / 2, y)
    assert player.do("return engine.position() / engine.song.length;") == pytest.approx(0.5, abs=0.01)
    mouse.move(box["x"] + box["width"] / 4, y)
    mouse.down()
    mouse.move(box["x"] + box["width"] / 2, y, steps=4)
    mouse.up()
    loop = player.do("return engine.loop.map((end) => end / engine.song.length);")
    assert loop == pytest.approx([0.25, 0.5], abs=0.01)


def test_a_zoomed_view_follows_where_one_seeks_and_stays_where_it_was_turned_to(player: Player) -> None:
    page = player.page
    shown = "parseFloat(document.querySelector('stem-player').shadowRoot.querySelector('.over')"
    shown += ".style.getPropertyValue('--played'))"
    page.get_by_role("button", name="Zoom in").click(click_count=2)
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => {shown} > 0 && {shown} < 1", timeout=5000)
    page.locator("stem-player .wave").first.hover()
    page.mouse.wheel(-1600, 0)
    page.wait_for_function(f"() => {shown} > 1", timeout=5000)
    page.wait_for_timeout(200)
    assert page.evaluate(shown) > 1


def test_the_export_is_the_mix_that_sounds(player: Player, tmp_path: Path) -> None:
    player.do(
        "engine.strips[0].muted = true; Object.assign(engine.strips[1], {volume: 0.5, pan: 0.25}); engine.apply();"
    )
    player.page.get_by_role("button", name="Export").click()
    player.page.get_by_role("button", name="Original").click()
    player.page.get_by_text("not the original that you hear").wait_for()
    player.page.get_by_role("button", name="Stems").click()
    player.page.get_by_text("The mix as it sounds now").wait_for()
    link = player.page.get_by_role("link", name="Download the mix")
    address = link.get_attribute("href")
    assert "vocals=" not in address.replace("backing_vocals=", "")
    assert "backing_vocals=0.5%2C0.25" in address
    before = player.page.url
    player.page.route("**/mix?*", lambda route: route.fulfill(status=429))
    link.click()
    assert "too much to do" in player.page.locator("stem-player [role=alert]").inner_text()
    assert player.page.url == before
    player.page.unroute("**/mix?*")
    with player.page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "song - mix without vocals.mp3"
    assert Path(download.value.path()).stat().st_size > 8 * 40_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(
    chromium: Any, player_build: Path, house: House, song: Staged, scheme: str, width: int
) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: cd console && npm ci")
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}}
    with opened(chromium, player_build, house, element(song), **options) as player:
        player.page.add_style_tag(
            content="@media (prefers-color-scheme: dark) { body { background: #111; color: #eee } }"
        )
        player.page.add_script_tag(path=AXE)
        for panel in ("Tempo & pitch", "Export"):
            player.page.get_by_role("button", name=panel).click()
            found = player.page.evaluate("() => axe.run()")["violations"]
            assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


@pytest.mark.parametrize("width", [360, 320])
def test_nothing_is_wider_than_a_phone(
    chromium: Any, player_build: Path, house: House, song: Staged, width: int
) -> None:
    with opened(chromium, player_build, house, element(song), viewport={"width": width, "height": 700}) as player:
        assert player.page.evaluate("document.documentElement.scrollWidth") <= width
        bottom = "(box) => box.getBoundingClientRect().bottom - box.closest('.strip').getBoundingClientRect().bottom"
        assert max(name.evaluate(bottom) for name in player.page.locator(".lane .name").all()) <= 0
        player.page.get_by_role("button", name="Tempo & pitch").click()
        for broken in (".time small", "output"):  # in two lines
            assert player.page.locator(f"stem-player {broken}").first.bounding_box()["height"] < 30


def test_time_runs_to_the_right_on_a_page_that_is_read_from_there(
    chromium: Any, player_build: Path, house: House, song: Staged
) -> None:
    with opened(chromium, player_build, house, f'<div dir="rtl">{element(song)}</div>') as player:
        wave = player.page.locator("canvas.wave").first.bounding_box()
        player.page.mouse.click(wave["x"] + wave["width"] / 4, wave["y"] + 5)
        assert player.do("return engine.position() / engine.song.length;") == pytest.approx(0.25, abs=0.01)
        player.page.wait_for_timeout(200)
        head = player.page.locator("stem-player .head").bounding_box()
        assert head["x"] == pytest.approx(wave["x"] + wave["width"] / 4, abs=2)


def test_no_request_leaves_the_server_and_the_stretcher_comes_only_when_asked_for(
    chromium: Any, player_build: Path, house: House, song: Staged
) -> None:
    with opened(chromium, player_build, house, element(song), policy=console._POLICY) as player:
        asked: list[str] = []
        player.page.on("request", lambda request: asked.append(request.url))
        player.do("await engine.play();")
        player.wait("engine.state === 'playing'")
        assert not any("stretch" in url.lower() for url in asked)
        player.do("await engine.setSpeed(0.9, 0);")
        player.wait(f"engine.state === 'playing' && engine.position() > {RATE}")
        assert any("SignalsmithStretch" in url for url in asked)
        assert all(url.startswith(house.url) for url in asked)


def test_tempo_and_pitch_are_shown_while_they_are_dragged(player: Player) -> None:
    page = player.page
    page.get_by_role("button", name="Tempo & pitch").click()
    for name, shown in (("Tempo", "150 %"), ("Pitch", "+12")):
        box = page.get_by_role("slider", name=name).bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"], box["y"] + box["height"] / 2, steps=4)
        page.locator("stem-player output", has_text=shown).wait_for(timeout=3000)
        assert player.do("return [engine.tempo, engine.semitones];") == [1.5 if name == "Pitch" else 1, 0]
        page.mouse.up()
    assert player.do("return [engine.tempo, engine.semitones];") == [1.5, 12]


def test_tempo_and_pitch_that_cannot_be_loaded_are_told_and_changed_while_they_load_are_both_there(
    player: Player,
) -> None:
    player.page.route("**/*SignalsmithStretch*", lambda route: route.abort())
    player.page.get_by_role("button", name="Tempo & pitch").click()
    tempo = player.page.get_by_role("slider", name="Tempo")
    tempo.fill("80")
    assert "could not be loaded" in player.page.locator("stem-player [role=alert]").inner_text()
    assert tempo.input_value() == "100"
    player.page.unroute("**/*SignalsmithStretch*")
    player.page.reload()
    player.page.locator("stem-player .lane").first.wait_for()
    player.do("await engine.play();")
    found = player.do(
        """const connect = AudioNode.prototype.connect, connected = new Set();
        AudioNode.prototype.connect = function (...to) {
          if (this instanceof AudioWorkletNode) connected.add(this);
          return connect.apply(this, to);
        };
        await Promise.all([engine.setSpeed(0.8, 0), engine.setSpeed(engine.tempo, 2)]);
        return [engine.tempo, engine.semitones, connected.size];"""
    )
    assert found == [0.8, 2, 1]
    player.page.get_by_role("button", name="Tempo & pitch").click()
    assert player.page.get_by_role("slider", name="Pitch").input_value() == "2"


def test_stems_in_object_storage_play_and_nothing_is_asked_of_it_by_the_page(
    chromium: Any, player_build: Path, tmp_path: Path
) -> None:
    pytest.importorskip("moto")
    with s3() as storage, service(tmp_path / "house", blobs_url=storage.new()) as house:
        song = stage(house, tmp_path / "song", sounds(1, ("vocals", "bass")), kind="separate_vocal")
        with opened(chromium, player_build, house, element(song), policy=console._POLICY) as player:
            asked: list[str] = []
            player.page.on("request", lambda request: asked.append(request.url))
            player.do("await engine.play();")
            player.wait("engine.state === 'playing'")
            assert sum("/s/" in url for url in asked) >= 4
            assert all(url.startswith(house.url) for url in asked)


def test_it_plays_on_anybodys_page_without_https(chromium: Any, player_build: Path, house: House, song: Staged) -> None:
    with opened(chromium, player_build, house, element(song), origin="http://somebody.example") as player:
        player.do("await engine.play();")
        player.wait("engine.state === 'playing'")
        player.page.get_by_role("button", name="Tempo & pitch").click()
        assert "need a page that was opened by https" in player.page.locator("stem-player .panel").inner_text()


def test_files_that_are_gone_are_told(chromium: Any, player_build: Path, house: House, tmp_path: Path) -> None:
    song = stage(house, tmp_path, sounds(0.2))
    house.execute(f"UPDATE tasks SET gone = 1 WHERE id = '{song.task_id}'")
    with opened(chromium, player_build, house, element(song)) as player:
        assert "These files have expired." in player.page.locator("stem-player .message").inner_text()


def test_files_that_go_while_it_is_open_are_told_and_asked_for_no_more(
    chromium: Any, player_build: Path, house: House, tmp_path: Path
) -> None:
    song = stage(house, tmp_path, sounds(0.2))
    with opened(chromium, player_build, house, element(song)) as player:
        house.execute(f"UPDATE tasks SET gone = 1 WHERE id = '{song.task_id}'")
        player.page.get_by_role("button", name="Play", exact=True).click()
        player.page.get_by_text("These files have expired.").wait_for()
        assert player.do("return engine.state;") == "stopped"
        asked: list[str] = []
        player.page.on("request", lambda request: asked.append(request.url))
        player.page.wait_for_timeout(1500)
        assert asked == []


def test_stems_that_a_browser_cannot_decode_are_told(player: Player) -> None:
    player.do("OfflineAudioContext.prototype.decodeAudioData = () => Promise.reject(new Error());")
    player.do("await engine.play();")
    player.wait("engine.state === 'stopped' && engine.trouble !== ''")
    assert "This browser cannot decode" in player.page.locator("stem-player [role=alert]").inner_text()


def test_a_browser_that_does_not_start_its_sound_is_told_of_until_it_does(player: Player) -> None:
    told = player.page.locator("stem-player .trouble")
    player.do("""
        await engine.ready().suspend();
        const resume = AudioContext.prototype.resume;
        AudioContext.prototype.resume = function () {
            return new Promise((done) => { window.start = () => resume.call(this).then(done); });
        };
        void engine.play();""")
    told.wait_for()
    assert "does not start its sound" in told.inner_text()
    player.do("await start();")
    told.wait_for(state="detached")
    player.wait("engine.position() > 0")


def test_what_stops_the_sound_pauses_and_play_goes_on_from_there(player: Player) -> None:
    player.do("await engine.play();")
    player.wait("engine.state === 'playing' && engine.position() > 4410")
    player.do("await engine.context.suspend();")  # as a call does on a phone
    player.page.get_by_role("button", name="Play", exact=True).wait_for()
    stood = player.do("return engine.position();")
    player.page.get_by_role("button", name="Play", exact=True).click()
    player.wait(f"engine.state === 'playing' && engine.position() > {stood} + 4410")


def test_a_server_that_is_away_for_a_moment_only_makes_it_wait(player: Player) -> None:
    player.page.route("**/s/*.mp3", lambda route: route.abort())
    player.do("await engine.play();")
    player.wait("engine.trouble !== ''")
    assert "cannot be reached" in player.page.locator("stem-player [role=alert]").inner_text()
    player.do("engine.pause();")
    assert player.page.locator("stem-player [role=alert]").count() == 0  # nothing is tried any more
    player.do("await engine.play();")
    player.wait("engine.trouble !== ''")
    player.page.unroute("**/s/*.mp3")
    player.wait("engine.state === 'playing'")
    assert player.page.locator("stem-player [role=alert]").count() == 0


def test_a_song_of_20_minutes_takes_no_more_memory_than_a_short_one(
    chromium: Any, player_build: Path, house: House, song: Staged, tmp_path: Path
) -> None:
    long = twenty_minutes(house, song, tmp_path)
    with opened(chromium, player_build, house, element(long)) as player:
        session = player.page.context.new_cdp_session(player.page)
        player.do("await engine.play();")
        player.wait("engine.state === 'playing'")
        held, heaps = [], []
        for minute in (0, 3, 7, 11, 15, 19, 2):
            player.do("engine.seek(argument);", minute * 60 * RATE + 12_345)
            player.wait("engine.state === 'playing'")
            player.page.wait_for_timeout(2500)
            held.append(player.do("return engine.heldBytes;"))
            session.send("HeapProfiler.collectGarbage")
            heaps.append(resident_bytes(player))
        assert player.do("return engine.joins.broken;") == 0
    assert max(held) <= DEFAULT_BUDGET_BYTES
    assert max(held) > DEFAULT_BUDGET_BYTES / 3  # it does work ahead
    assert max(heaps) < 5 * DEFAULT_BUDGET_BYTES  # of the whole page: decoded it would be 5 GB


def resident_bytes(player: Player) -> int:
    """The memory of the largest of the browser's processes that show pages."""
    pages = [
        path.parent
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"--type=renderer" in path.read_bytes() and b"chrom" in path.read_bytes()
    ]
    return max(int((page / "statm").read_text().split()[1]) * 4096 for page in pages)


def twenty_minutes(house: House, song: Staged, folder: Path) -> Staged:
    """One file again and again, as twelve stems: 49 frames are a whole number of bytes."""
    source = song.paths["bass"].read_bytes()
    info = 1044
    cycle = 49 * 1044 + 44
    length = 20 * 60 * RATE
    frames = -(-length // FRAME) + 1
    head = io.BytesIO()
    Mp3Encoder(head, rate=RATE, kbps=320, length=length)
    body = source[info : info + 5 * cycle] * (frames // (5 * 49) + 1)
    whole = frames // 49 * cycle + round(frames % 49 * cycle / 49)
    paths = {name: folder / f"{name}.mp3" for name in (*TWELVE, MIX)}
    for path in paths.values():
        path.write_bytes(head.getvalue() + body[:whole])
    drawing = Drawing()
    flat = Peaks()
    flat.add(np.zeros((2, length), np.float32))
    drawing._lanes = dict.fromkeys(paths, flat)
    task_id = house.caller().created(type="split_stem")
    return finish(
        house, task_id, paths, drawing, [f"00000000-0000-4000-8000-{n:012d}" for n in range(16)], length=length
    )

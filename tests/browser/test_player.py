"""The player in a real browser: what leaves its speakers is compared with the files, sample by sample."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stemwright.separation import MIX
from tests.browser.stage import RATE, Player, Staged, gap_db, opened, place, recorded, service, sounds, stage
from tests.server.http.house import TWELVE, House

pytestmark = [pytest.mark.slow, recorded]

SECONDS = 66.0
THREE = ("vocals", "drums", "bass")
FADE = round(0.012 * RATE)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with service(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(scope="module")
def song(house: House, tmp_path_factory: pytest.TempPathFactory) -> Staged:
    return stage(house, tmp_path_factory.mktemp("song"), sounds(SECONDS))


@pytest.fixture(scope="module")
def everything(song: Staged) -> np.ndarray:
    return np.sum([song.heard(name) for name in TWELVE], axis=0)


@pytest.fixture
def player(chromium: Any, player_build: Path, house: House, song: Staged) -> Iterator[Player]:
    with opened(
        chromium, player_build, house, f'<stem-player src="{song.url}" label="A song"></stem-player>'
    ) as player:
        player.record()
        yield player


@pytest.fixture(scope="module")
def exact(chromium: Any, player_build: Path, house: House, song: Staged) -> float:
    """How far below a stem what is heard may differ from its file, in dB.

    Some builds of chromium decode mp3 to floats, others to 16 bits: measured on a whole file, without the player.
    """
    with opened(chromium, player_build, house, f'<stem-player src="{song.url}"></stem-player>') as player:
        packed = base64.b64encode(song.paths["bass"].read_bytes()).decode()
        decoded = player.do(
            """const bytes = Uint8Array.from(atob(argument), (letter) => letter.charCodeAt(0));
            const sound = await new OfflineAudioContext(2, 1, 44100).decodeAudioData(bytes.buffer);
            return [0, 1].map((n) => Array.from(sound.getChannelData(n).slice(44100, 44100 * 4)));""",
            packed,
        )
    whole = same(np.array(decoded, np.float32), song.heard("bass"))
    return -100.0 if whole < -100 else whole + 3


def play(player: Player) -> None:
    player.do("await engine.play();")
    player.wait("engine.state === 'playing'")


def sounding(tape: np.ndarray) -> np.ndarray:
    """The tape without the silence around and the fades at both ends."""
    on = np.flatnonzero(np.abs(np.nan_to_num(tape)).max(axis=0))
    return tape[:, on[0] + FADE : on[-1] - FADE]


def same(tape: np.ndarray, reference: np.ndarray) -> float:
    """How far below the reference what differs lies, the whole tape being one part of it."""
    at = place(tape, reference, at=0)
    return gap_db(tape, reference[:, at : at + tape.shape[1]])


def test_all_stems_are_the_sum_of_their_files_for_a_minute_without_any_drift(
    player: Player, everything: np.ndarray, exact: float
) -> None:
    play(player)
    player.wait(f"engine.position() > {61 * RATE}", seconds=80)
    tape = sounding(player.tape())
    assert tape.shape[1] > 55 * RATE
    assert same(tape, everything) < exact  # not away by a sample anywhere
    joins = player.do("return engine.joins;")
    assert joins["broken"] == 0
    assert joins["seen"] >= 12 * 20


def test_solo_is_that_stem_and_mute_is_the_others(
    player: Player, song: Staged, everything: np.ndarray, exact: float
) -> None:
    player.do("engine.strips[3].solo = true; engine.apply();")
    play(player)
    player.wait(f"engine.position() > {2 * RATE}")
    alone = sounding(player.tape())
    player.do("engine.strips[3].solo = false; engine.strips[3].muted = true; engine.apply();")
    player.fresh()
    player.page.wait_for_timeout(1200)
    others = sounding(player.tape())
    assert same(alone, song.heard("bass")) < exact
    assert same(others, everything - song.heard("bass")) < exact


def test_a_switch_is_a_ramp_of_10_ms_and_nothing_stops(
    player: Player, song: Staged, everything: np.ndarray, exact: float
) -> None:
    play(player)
    player.wait(f"engine.position() > {RATE}")
    player.do("for (const strip of engine.strips) strip.muted = strip.name !== 'bass'; engine.apply();")
    player.page.wait_for_timeout(700)
    tape = sounding(player.whole_tape())
    bass = song.heard("bass")
    at = place(tape, everything, at=0)
    n = tape.shape[1]
    near = max(1e-5, 5 * 10 ** (exact / 20) * float(np.sqrt(np.mean(everything**2))))
    before, after = (np.abs(tape - each[:, at : at + n]).max(axis=0) < near for each in (everything, bass))
    ramp = (len(after) - np.argmin(after[::-1])) - np.argmin(before)  # from the last of all to the first of the bass
    assert 0.008 * RATE < ramp < 0.012 * RATE


def test_after_a_seek_it_sounds_from_there(player: Player, everything: np.ndarray, exact: float) -> None:
    play(player)
    player.wait(f"engine.position() > {RATE}")
    player.do("tape.length = 0; engine.seek(argument);", 40 * RATE + 7)
    player.wait(f"engine.state === 'playing' && engine.position() > {41 * RATE}")
    tape = player.whole_tape()
    last = sounding(tape[:, -RATE // 2 :])
    assert same(last, everything) < exact
    silent = np.flatnonzero(np.abs(tape).max(axis=0) == 0)
    start = silent[-1] + 1  # the first sample that sounds is the one sought
    assert place(tape, everything, at=start + FADE) - FADE == pytest.approx(40 * RATE + 7, abs=1)


def test_a_loop_comes_back_to_the_sample(player: Player, everything: np.ndarray, exact: float) -> None:
    start, end = 5 * RATE + 11, 6 * RATE + 5
    player.do("engine.seek(argument[0] - 22050); engine.setLoop(argument); await engine.play();", [start, end])
    player.wait("engine.state === 'playing'")
    player.page.wait_for_timeout(3600)
    tape = sounding(player.tape())
    at = place(tape, everything, at=0)
    path = np.arange(tape.shape[1]) + at
    path = np.where(path < end, path, start + (path - start) % (end - start))
    assert tape.shape[1] > 3 * (end - start)
    assert gap_db(tape, everything[:, path]) < exact


def test_a_loop_set_while_it_plays_is_taken_at_once(player: Player, everything: np.ndarray, exact: float) -> None:
    play(player)
    player.wait(f"engine.position() > {RATE}")
    start, end = RATE // 2, 2 * RATE + 99
    player.do("engine.setLoop(argument);", [start, end])
    player.page.wait_for_timeout(3000)
    tape = sounding(player.tape())
    path = np.arange(tape.shape[1]) + place(tape, everything, at=0)
    path = np.where(path < end, path, start + (path - start) % (end - start))
    assert gap_db(tape, everything[:, path]) < exact


def test_volume_pan_and_karaoke_do_what_they_say(player: Player, song: Staged, exact: float) -> None:
    player.do("""
        Object.assign(engine.strips[2], {volume: 0.5, pan: -1});
        for (const strip of engine.strips) strip.muted = !["vocals", "backing_vocals", "drums"].includes(strip.name);
        engine.karaoke = true; engine.master = 0.5; engine.apply();""")
    play(player)
    player.wait(f"engine.position() > {RATE}")
    drums = song.heard("drums")
    assert same(sounding(player.tape()), 0.25 * np.stack([drums.sum(axis=0), np.zeros(drums.shape[1])])) < exact


def test_the_original_and_the_stems_are_equally_loud_and_in_step(
    chromium: Any, player_build: Path, house: House, tmp_path: Path
) -> None:
    song = stage(house, tmp_path, sounds(12), format="wav")
    with opened(chromium, player_build, house, f'<stem-player src="{song.url}"></stem-player>') as player:
        player.record()
        play(player)
        player.wait(f"engine.position() > {2 * RATE}")
        stems = sounding(player.tape())
        player.do("engine.original = true; engine.apply();")
        player.page.wait_for_timeout(1500)  # its pieces are fetched only now
        player.fresh()
        player.page.wait_for_timeout(1000)
        original = sounding(player.tape())
    mix = song.heard(MIX)
    assert same(stems, mix) < -60
    assert same(original, mix) < -100


@pytest.mark.parametrize(
    ("format", "below_db"),
    [("flac", -85), ("opus", -80), ("m4a", -100)],  # chromium's decoders; flac's makes 16 bits its own floats
)
def test_every_format_plays_as_its_file_from_the_first_piece_into_the_next(
    chromium: Any, player_build: Path, house: House, tmp_path: Path, format: str, below_db: float
) -> None:
    song = stage(house, tmp_path, sounds(7, THREE), format=format)
    with opened(chromium, player_build, house, f'<stem-player src="{song.url}"></stem-player>') as player:
        if format == "m4a" and not player.do(
            "return new Audio().canPlayType(argument);", 'audio/mp4; codecs="mp4a.40.2"'
        ):
            pytest.skip("this chromium has no decoder for AAC")
        player.record()
        player.do("engine.seek(argument);", (1 << 17) - 25_000)
        play(player)
        player.wait(f"engine.position() > {(1 << 17) + 25_000}")
        tape = sounding(player.tape())
        joins = player.do("return engine.joins;")
    heard = np.sum([song.heard(name) for name in THREE], axis=0)
    assert same(tape, heard) < below_db
    at = place(tape, heard, at=0)
    assert at < 1 << 17 < at + tape.shape[1]
    assert (joins["seen"] >= 3, joins["broken"]) == (True, 0)


def test_a_stem_as_it_was_recorded_goes_round_the_stretcher_and_another_pitch_through_it(
    player: Player, song: Staged, exact: float
) -> None:
    player.do("engine.strips[3].solo = true; engine.apply();")
    play(player)
    player.do("await engine.setSpeed(0.8, 3);")
    player.wait(f"engine.state === 'playing' && engine.position() > {2 * RATE}")
    player.fresh()
    before = player.do("return [engine.position(), engine.context.currentTime];")
    player.page.wait_for_timeout(2000)
    after = player.do("return [engine.position(), engine.context.currentTime];")
    assert (after[0] - before[0]) / RATE / (after[1] - before[1]) == pytest.approx(0.8, abs=0.02)
    assert tone_hz(player.whole_tape()) == pytest.approx((110 + 37 * 3) * 2 ** (3 / 12), rel=0.01)
    player.do("await engine.setSpeed(1, 0);")
    player.wait("engine.state === 'playing'")
    player.page.wait_for_timeout(400)
    player.fresh()
    player.page.wait_for_timeout(1000)
    assert same(sounding(player.tape()), song.heard("bass")) < exact


def tone_hz(tape: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(tape[0] * np.hanning(tape.shape[1])))
    spectrum[: 100 * tape.shape[1] // RATE] = 0
    return float(np.argmax(spectrum)) * RATE / tape.shape[1]

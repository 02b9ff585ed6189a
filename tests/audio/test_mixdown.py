"""The mix as a file: what the faders say, as long as promised, from the first byte on."""

import io
from pathlib import Path

import numpy as np
import pytest

from stemwright.audio.mixdown import FORMATS, Fader, Speed, mix_down
from stemwright.audio.tags import Tags
from tests.audio.sounds import RATE, music, noise, read, write
from tests.audio.test_tags import picture, tags_of

N = 2 * RATE + 777


def mixed(tmp_path: Path, faders: list[Fader], **how: object) -> np.ndarray:
    sizes: list[int] = []
    pipe = io.BytesIO()
    mix_down(faders, pipe, on_size=sizes.append, **how)
    path = tmp_path / f"mix.{how.get('format', 'mp3')}"
    path.write_bytes(pipe.getvalue())
    assert sizes == [path.stat().st_size]
    return read(path)


@pytest.fixture
def stems(tmp_path: Path) -> tuple[list[Path], list[np.ndarray]]:
    sounds = [noise(N, seed) for seed in range(3)]
    return [write(tmp_path / f"{n}.wav", sound, bits=32) for n, sound in enumerate(sounds)], sounds


def test_faders_are_factors_of_a_sum(tmp_path: Path, stems) -> None:
    paths, sounds = stems
    faders = [Fader(path, gain) for path, gain in zip(paths, (1, 0.25, 0.5), strict=True)]
    expected = sounds[0] + 0.25 * sounds[1] + 0.5 * sounds[2]
    found = mixed(tmp_path, faders, format="wav")
    assert found.shape == expected.shape
    assert np.abs(found - expected.clip(-1, 1)).max() < 1 / 32768 + 1e-6


@pytest.mark.parametrize(("pan", "left", "right"), [(0, [1, 0], [0, 1]), (-1, [1, 1], [0, 0]), (1, [0, 0], [1, 1])])
def test_panning_is_that_of_a_browser(stems, pan: float, left: list, right: list) -> None:
    assert Fader(stems[0][0], pan=pan).matrix() == pytest.approx(np.array([left, right]), abs=1e-7)


def test_half_way_to_a_side_the_other_one_comes_along(stems) -> None:
    assert Fader(stems[0][0], 2, -0.5).matrix() == pytest.approx(2 * np.array([[1, 0.5**0.5], [0, 0.5**0.5]]))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("n", [1, 575, 1152, 1153, 65536, 65537, N])
def test_the_promised_size_and_length_are_kept(tmp_path: Path, format: str, n: int) -> None:
    path = write(tmp_path / "a.wav", music(n), bits=32)
    assert mixed(tmp_path, [Fader(path)], format=format).shape == (2, n)


@pytest.mark.parametrize("stem", ["mp3", "flac", "m4a", "opus", "wav"])
@pytest.mark.parametrize("format", FORMATS)
def test_a_mix_has_the_tags_and_the_cover_of_the_song(tmp_path: Path, format: str, stem: str) -> None:
    song = Tags({"title": "Tune (Live)", "artist": "Somebody", "bpm": "120", "key": "Am"}, picture("png"))
    faders = [Fader(write(tmp_path / f"a.{stem}", music(N), tags=song.for_stem("Vocals")))]
    mixed(tmp_path, faders, format=format, title="karaoke", seconds=N / RATE)
    found = tags_of(tmp_path / f"mix.{format}")
    assert found == song.for_stem("karaoke")
    mixed(tmp_path, faders, format=format, seconds=N / RATE, speed=Speed(tempo=0.9))
    assert tags_of(tmp_path / f"mix.{format}").texts == {"title": "Tune (Live) (mix)", "artist": "Somebody"}


def test_a_mix_of_stems_without_tags_has_its_own_name(tmp_path: Path) -> None:
    mixed(tmp_path, [Fader(write(tmp_path / "a.flac", music(N)))])
    assert tags_of(tmp_path / "mix.mp3").texts == {"title": "mix"}


def test_a_rate_that_mp3_does_not_have_is_brought_down(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", music(96000, 96000), rate=96000)
    assert mixed(tmp_path, [Fader(path)]).shape == (2, 48000)


@pytest.mark.parametrize(("tempo", "semitones"), [(1.25, 0), (0.5, 0), (1, 7), (1, -5), (0.8, 3)])
def test_tempo_changes_the_length_and_semitones_the_pitch(tmp_path: Path, tempo: float, semitones: float) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)
    path = write(tmp_path / "a.wav", np.stack([tone, tone]).astype(np.float32) / 2)
    found = mixed(tmp_path, [Fader(path)], format="wav", speed=Speed(tempo, semitones))
    assert found.shape[1] == round(2 * RATE / tempo)
    middle = found[0, RATE // 4 : RATE // 4 + RATE]
    hz = np.argmax(np.abs(np.fft.rfft(middle * np.hanning(RATE)))) * RATE / len(middle)
    assert hz == pytest.approx(440 * 2 ** (semitones / 12), rel=0.01)


def test_what_is_too_loud_is_clipped_as_in_a_browser(tmp_path: Path, stems) -> None:
    paths, sounds = stems
    found = mixed(tmp_path, [Fader(paths[0], 100)], format="wav")
    assert np.abs(found - (100 * sounds[0]).clip(-1, 1)).max() < 1 / 32768 + 1e-6

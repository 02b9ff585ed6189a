"""Karaoke videos: the picture is the same packets, the sound has not moved, and there are two tracks to choose from."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import stemwright
from stemwright.errors import NoPicture, PartOfFilm
from stemwright.wish import Wish
from tests.audio.sounds import RATE, lag, read, write_with_pyav
from tests.extras.conftest import beat, film


def packets(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        return [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(video) if p.size]


def heard(path: Path, track: int) -> tuple[float, np.ndarray]:
    """When the track starts, and its sound, as FFmpeg plays it."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.audio[track]))
        return float(frames[0].pts * frames[0].time_base), np.concatenate([f.to_ndarray() for f in frames], axis=1)


def karaoke(source: Path, folder: Path) -> Path:
    return stemwright.separate_to(source, folder, stems=[], also=["karaoke"]).extras["karaoke"]


@pytest.mark.parametrize(("name", "codec", "audio", "ending"), [
    ("clip.mp4", "mpeg4", "aac", "mp4"), ("clip.mkv", "mjpeg", "aac", "mkv"), ("clip.webm", "libvpx", "opus", "mkv"),
])  # fmt: skip
def test_the_picture_is_copied_packet_by_packet(tmp_path: Path, name: str, codec: str, audio: str, ending: str) -> None:
    source = _again(film(tmp_path / "plain.mkv", beat(2.0)), tmp_path / name, codec, audio)
    made = karaoke(source, tmp_path / "out")
    before, after = packets(source), packets(made)
    assert made.name == f"clip (karaoke).{ending}"
    assert [data for _, data in after] == [data for _, data in before]
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=0.002)


def _again(source: Path, path: Path, codec: str, audio: str) -> Path:
    """The same film with its picture and its sound in other codecs."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        form = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        pictures = new.add_stream(codec, rate=25, width=64, height=48, pix_fmt=form)
        sounds = new.add_stream("libopus" if audio == "opus" else audio, rate=48000, layout="stereo")
        for frame in old.decode(old.streams.video[0], old.streams.audio[0]):
            frame.pts = None if isinstance(frame, av.AudioFrame) else frame.pts
            out = pictures if isinstance(frame, av.VideoFrame) else sounds
            new.mux(out.encode(frame.reformat(format=form) if isinstance(frame, av.VideoFrame) else frame))
        new.mux(pictures.encode(None))
        new.mux(sounds.encode(None))
    return path


@pytest.mark.parametrize("late", [0.0, 0.25])
def test_the_sound_is_where_it_was(tmp_path: Path, late: float) -> None:
    source = film(tmp_path / "clip.mp4", beat(3.0), late=late)
    made = karaoke(source, tmp_path / "out")
    began, original = heard(source, 0)
    for track in (0, 1):
        begins, sound = heard(made, track)
        moved = (begins - began) * RATE + lag(sound, original)
        assert abs(moved) < 1, track


def test_two_tracks_the_instrumental_first(tmp_path: Path) -> None:
    made = karaoke(film(tmp_path / "clip.mp4", beat(3.0)), tmp_path / "out")
    with av.open(str(made)) as container:
        first, second = container.streams.audio
        names = [stream.metadata.get("title") or stream.metadata["handler_name"] for stream in (first, second)]
        assert names == ["Instrumental", "With vocals"]
        assert [stream.disposition.name for stream in (first, second)] == ["default", None]
    assert lag(heard(made, 1)[1], heard(made, 0)[1]) == 0


def test_the_instrumental_is_the_song_without_its_voices(tmp_path: Path) -> None:
    sung = read(Path("demo/song.mp3"))[:, 8 * RATE : 12 * RATE]
    source = film(tmp_path / "clip.mp4", 4 * sung)
    stems = stemwright.separate(source, two=True, rate=RATE).stems
    wanted = [stems["instrumental"], stems["instrumental"] + stems["vocals"]]
    made = karaoke(source, tmp_path / "out")
    for track in (0, 1):
        found = heard(made, track)[1]
        assert np.abs(found).max() < 1.1  # at a gain of its own
        n = min(found.shape[1], wanted[0].shape[1])
        alike = [np.corrcoef(found[0, :n], each[0, :n])[0, 1] for each in wanted]
        assert alike[track] > 0.98
        assert alike[track] > alike[1 - track]


def test_what_has_no_picture_is_refused_before_the_work(tmp_path: Path) -> None:
    song = write_with_pyav(tmp_path / "a.wav", "wav", "pcm_s16le", beat(1.0))
    for source, options in ((song, {}), (beat(1.0), {"rate": RATE})):
        with pytest.raises(NoPicture, match="no moving picture"):
            stemwright.separate_to(source, tmp_path / "out", also=["karaoke"], **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_part_of_a_film_is_refused_before_the_work(tmp_path: Path) -> None:
    source = film(tmp_path / "clip.mkv", beat(2.0))
    with pytest.raises(PartOfFilm, match="Leave out one"):
        stemwright.separate_to(source, tmp_path / "out", also=["karaoke"], preview=1.0)
    with pytest.raises(PartOfFilm):
        Wish.of(also=["karaoke"], preview=1.0)
    assert not (tmp_path / "out").exists()


def test_a_wrong_kind_is_told_with_the_right_ones(tmp_path: Path) -> None:
    with pytest.raises(stemwright.StemwrightError, match=r"no 'reaper' to make of a song\. Choose from: stem\.mp4"):
        stemwright.separate_to(beat(1.0), tmp_path / "out", rate=RATE, also=["reaper"])


def test_a_failure_at_the_last_file_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stemwright.extras.archive.write_archive", fail)
    with pytest.raises(OSError, match="No space"):
        stemwright.separate_to(beat(1.0), tmp_path / "out", rate=RATE, also=["rpp", "zip"])
    assert not (tmp_path / "out").exists()

"""Native Instruments' Stem files, read by a walk over their atoms, by FFmpeg and by mutagen."""

import json
import struct
from pathlib import Path
from typing import Any

import av
import mutagen.mp4
import numpy as np
import pytest
import soxr

import stemwright
from stemwright.audio.tags import Tags
from stemwright.errors import NotFourParts
from stemwright.train.measuring.references import waiting
from tests.audio.sounds import RATE, lag, write
from tests.extras.conftest import beat

INSIDE = {b"moov", b"udta", b"trak"}


def atoms(data: bytes, path: tuple[bytes, ...] = ()) -> list[tuple[tuple[bytes, ...], bytes]]:
    """Every atom of an mp4 with the names that lead to it, by ISO/IEC 14496-12."""
    found, place = [], 0
    while place < len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        assert 8 <= size <= len(data) - place, (path, name)
        body = data[place + 8 : place + size]
        found.append(((*path, name), body))
        found += atoms(body, (*path, name)) if name in INSIDE else []
        place += size
    return found


def tracks(path: Path) -> list[np.ndarray]:
    sounds = []
    for number in range(5):
        with av.open(str(path)) as container:
            frames = list(container.decode(container.streams.audio[number]))
            sounds.append(np.concatenate([frame.to_ndarray() for frame in frames], axis=1))
    return sounds


def test_the_atom_names_four_parts_in_order(made: Any) -> None:
    found = [body for path, body in atoms(made.extras["stem.mp4"].read_bytes()) if path == (b"moov", b"udta", b"stem")]
    told = json.loads(found[0])
    assert len(found) == 1
    assert told["version"] == 1
    assert [stem["name"] for stem in told["stems"]] == ["Drums", "Bass", "Other", "Vocals"]
    assert all(len(stem["color"]) == 7 and int(stem["color"][1:], 16) for stem in told["stems"])
    assert told["mastering_dsp"].keys() == {"compressor", "limiter"}


def test_only_the_first_of_five_tracks_is_enabled(made: Any) -> None:
    whole = atoms(made.extras["stem.mp4"].read_bytes())
    heads = [body for path, body in whole if path == (b"moov", b"trak", b"tkhd")]
    assert [head[3] & 1 for head in heads] == [1, 0, 0, 0, 0]
    assert whole[0][1].startswith(b"M4A ")


def test_ffmpeg_reads_five_equal_aac_streams_of_the_song_s_length(made: Any) -> None:
    with av.open(str(made.extras["stem.mp4"])) as container:
        streams = container.streams.audio
        facts = {(s.codec_context.name, s.rate, s.codec_context.layout.name, s.duration) for s in streams}
        assert streams[0].disposition.name == "default"
    assert len(streams) == 5
    assert facts == {("aac", RATE, "stereo", made.length)}


def test_the_parts_sum_to_the_mix_and_nothing_is_shifted(made: Any) -> None:
    mix, *parts = tracks(made.extras["stem.mp4"])
    song = beat()
    error = mix - np.sum(parts, axis=0)
    assert lag(mix, song) == 0
    assert 10 * np.log10(np.square(mix).sum() / np.square(error).sum()) > 20  # each part is coded by itself
    assert max(np.abs(track).max() for track in (mix, *parts)) < 1.05


def test_mutagen_reads_its_tags(made: Any) -> None:
    file = mutagen.mp4.MP4(made.extras["stem.mp4"])
    assert file.tags is not None
    assert file.tags["©nam"] == ['Tune & "Co" <1>']
    assert file.info.length == pytest.approx(made.seconds, abs=0.05)
    file.tags["©ART"] = ["Somebody"]
    file.save()
    assert b"stem{" in made.extras["stem.mp4"].read_bytes()


def test_djs_find_the_tempo_and_the_key_of_the_song(tmp_path: Path) -> None:
    song = write(tmp_path / "a.flac", beat(1.0), tags=Tags({"title": "Tune", "bpm": "127.98", "key": "8A"}))
    files = stemwright.separate_to(song, tmp_path / "out", stems=[], also=["stem.mp4"])
    found = mutagen.mp4.MP4(files.extras["stem.mp4"])
    assert found["tmpo"] == [128]
    assert found["----:com.apple.iTunes:initialkey"] == [b"8A"]
    assert b"stem{" in files.extras["stem.mp4"].read_bytes()
    assert [track.shape[1] >= RATE for track in tracks(files.extras["stem.mp4"])] == [True] * 5


def test_our_own_evaluation_reads_it(made: Any) -> None:
    (song,) = waiting(made.extras["stem.mp4"])
    reference = song.read()
    assert {"drums", "bass", "vocals"} <= {name.lower() for name in reference.stems}


def test_a_song_at_a_rate_that_players_do_not_know_is_resampled(tmp_path: Path) -> None:
    song = soxr.resample(beat(2.0).T, RATE, 22050).T
    files = stemwright.separate_to(song, tmp_path, rate=22050, format="mp3", stems=[], also=["stem.mp4"])
    assert (files.paths, files.warnings) == ({}, ())  # there is no mp3 whose rate could be told
    with av.open(str(files.extras["stem.mp4"])) as container:
        assert {stream.rate for stream in container.streams.audio} == {44100}


def test_a_model_that_cannot_tell_four_parts_apart_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stemwright.zoo.choice.quarters", lambda own: {"other": dict.fromkeys(own, 1.0)})
    with pytest.raises(NotFourParts, match="cannot tell apart"):
        stemwright.separate_to(beat(1.0), tmp_path / "out", rate=RATE, also=["stem.mp4"])
    assert not (tmp_path / "out").exists()

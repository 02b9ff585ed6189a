"""The data set: whole songs or none, one seed one song, and a source that is missing says which package has it."""

import json
import time
import zipfile
from contextlib import suppress
from multiprocessing import active_children

import numpy as np
import pytest

from stemwright.audio.encode import open_stem
from stemwright.cli import run
from stemwright.errors import CannotWrite, SoundSourceMissing
from stemwright.train import dataset, song
from stemwright.train.composing import genres
from stemwright.train.instruments import kits, recordings, sources
from stemwright.train.instruments.samples import freepats_file, play_patch
from stemwright.train.instruments.sources import Source
from stemwright.train.instruments.studio import Studio
from stemwright.train.learning.songs import complete_songs, count_recordings
from stemwright.train.processes import processes
from tests.train.examples import above_ground_db, needs_sounds

BAND = ("drums", "bass", "guitar", "keyboard", "strings", "brass", "woodwinds", "percussion", "synth", "fx")


def test_a_missing_soundfont_names_its_package(tmp_path):
    source = Source("Lost", "lost-soundfont", str(tmp_path / "lost.sf2"), "MIT", ("train",), "soundfont")
    with pytest.raises(SoundSourceMissing, match="lost-soundfont"):
        source.file()


def test_all_that_is_missing_is_named_at_once(tmp_path, monkeypatch):
    lost = [Source(n, f"lost-{n}", str(tmp_path / n), "MIT", ("train",), "soundfont") for n in ("a", "b")]
    monkeypatch.setattr(sources, "SOURCES", (*lost, Source("here", "h", str(tmp_path), "MIT", ("train",), "kit")))
    with pytest.raises(SoundSourceMissing, match=r"a, b are not at .* Install from Debian: lost-a lost-b"):
        dataset.compose(tmp_path / "data", 1, 1.0)
    assert not (tmp_path / "data").exists()


def test_a_full_disk_leaves_no_half_song(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    loud = song.Rendered({"drums": np.zeros((100_000, 2), np.float32)}, {"stems": ["drums"]})
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(CannotWrite, match="song-1 could not be written: File too large"):
            dataset.save_song(tmp_path / "song-1", loud)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_no_source_of_test_is_ever_trained_on():
    for source in sources.SOURCES:
        assert ("test" in source.splits) != ("train" in source.splits)
        assert source.licence


def test_what_trains_the_shipped_model_is_permissive():
    granted = ("public domain", "GPL-2+ with exception for music", "GPL-2+, author grants all rights")
    free = ("MIT", "CC0", "CC-BY-3.0", "Apache-2.0", "GeneralUser GS 2.0, free for all music and software", *granted)
    assert not [s.name for s in sources.SOURCES if "train" in s.splits and not s.licence.startswith(free)]


@needs_sounds
def test_the_same_seed_is_the_same_song_to_the_byte():
    one = song.render_song(3, 3.0, cast=BAND)
    song.render_song(4, 1.0, cast=BAND)
    two = song.render_song(3, 3.0, cast=BAND)
    assert one.facts == two.facts
    assert all(np.array_equal(one.stems[stem], two.stems[stem]) for stem in one.stems)


@needs_sounds
def test_a_song_does_not_clip_and_has_only_sounding_stems():
    rendered = song.render_song(11, 4.0, split="test", cast=BAND)
    assert rendered.stems
    assert set(rendered.stems) <= set(genres.STEMS)
    assert np.abs(rendered.mix).max() <= 0.98
    assert all(np.isfinite(sound).all() and sound.shape == (4 * 44100, 2) for sound in rendered.stems.values())


@needs_sounds
def test_the_bass_of_a_song_carries_it():
    sound = song.render_song(7, 3.0, split="test", cast=("bass",)).stems["bass"]  # of one with hardly a fundamental
    assert above_ground_db(sound) < 0


@needs_sounds
def test_a_second_in_which_nobody_plays_has_no_stems(tmp_path, capsys):
    assert song.render_song(673, 1.0, split="test").stems == {}
    assert run(["train", "song", str(tmp_path), "--seed", "673", "--seconds", "1"]) == 1
    assert "Nobody plays in the first 1 s of song 673" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_half_rendered_song_is_done_anew(tmp_path):
    stems = {"drums": np.full((100, 2), 0.5, np.float32), "bass": np.zeros((100, 2), np.float32)}
    folder = tmp_path / "song-1"
    folder.mkdir()
    (folder / "guitar.npy").write_bytes(b"half")
    known = dataset.save_song(folder, song.Rendered(stems, {"seed": 1, "stems": ["drums", "bass"]}))
    assert json.loads((folder / "song.json").read_text()) == known
    assert sorted(path.name for path in folder.iterdir()) == ["bass.npy", "drums.npy", "song.json"]
    assert np.load(folder / "drums.npy").dtype == np.int16


def test_processes_end_at_once_with_the_one_that_started_them():
    def interrupted():
        with processes(2) as pool:
            first, *_ = [pool.submit(time.sleep, 60) for _ in range(4)]
            while not first.running():
                time.sleep(0.01)
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - began < 30
    assert not active_children()


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A bank of recordings in a folder and one in a game's archive, a tone in each, and one for test."""
    (tmp_path / "loose").mkdir()
    for name, hertz in (("calm", 220), ("loud", 330)):
        tone = np.sin(2 * np.pi * hertz * np.arange(2 * 48000) / 48000).astype(np.float32)
        with open_stem(tmp_path / f"{name}.opus", rate=48000, format="opus") as writer:
            writer.write(np.stack([tone, -tone]) * np.float32(0.5))
        (tmp_path / f"{name}.opus").rename(tmp_path / "loose" / f"{name}.ogg")
    with zipfile.ZipFile(tmp_path / "music.pk3", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "loose" / "loud.ogg", "music/loud.ogg")
    banks = {"loose": ("calm",), "packed": ("loud",), "held out": ("calm",)}
    paths = {"loose": tmp_path / "loose", "packed": tmp_path / "music.pk3", "held out": tmp_path / "loose"}
    splits = {"held out": ("test",)}
    listed = [Source(name, name, str(paths[name]), "MIT", splits.get(name, ("train",)), "recordings") for name in banks]
    monkeypatch.setattr(sources, "SOURCES", tuple(listed))
    monkeypatch.setattr(recordings, "TRACKS", banks)
    return tmp_path


def test_recordings_lie_beside_the_songs_once(recorded):
    heard = []
    assert dataset.lay_recordings(recorded / "data", on_song=heard.append) == 2
    assert dataset.lay_recordings(recorded / "data") == 0
    assert [known["sources"] for known in heard] == [[{"name": n, "licence": "MIT"}] for n in ("loose", "packed")]
    calm, loud = complete_songs(recorded / "data" / "train")
    assert calm.stems == loud.stems == ("accompaniment",)
    assert count_recordings(recorded / "data" / "train") == 2
    sound = loud.stretch("accompaniment", 0, 44100)
    at = np.argmax(np.abs(np.fft.rfft(sound[0])))
    assert at == 330
    np.testing.assert_allclose(sound[0], -sound[1], atol=2e-2)
    assert dataset.lasting_otherwise(recorded / "data" / "train", 30.0) == {}


def test_recordings_that_are_not_installed_are_named_before_the_first_is_put_there(recorded):
    (recorded / "music.pk3").unlink()
    with pytest.raises(SoundSourceMissing, match=r"packed .* Install from Debian: packed"):
        dataset.lay_recordings(recorded / "data")
    assert not (recorded / "data").exists()
    assert not sources.refuse_missing("train")  # composed songs do without


def test_every_bank_of_recordings_says_which_of_its_pieces_may_teach():
    banks = [source.name for source in sources.SOURCES if source.kind == "recordings"]
    assert sorted(banks) == sorted(recordings.TRACKS)
    for name, _, read in recordings.recordings("train"):
        with suppress(SoundSourceMissing):
            sound = read()
            assert sound.shape[0] == 2, name
            assert sound.shape[1] > 10 * 44100
            assert np.abs(sound).max() <= 1


def test_whole_songs_are_kept(tmp_path):
    folder = tmp_path / "train" / dataset.song_id(0)
    folder.mkdir(parents=True)
    (folder / "song.json").write_text("{}")
    assert dataset.compose(tmp_path, 1, 1.0) == 0


def test_songs_of_another_length_are_kept_and_told_of(tmp_path, capsys):
    for seed, facts in enumerate([{"seconds": 20.0}, {"seconds": 30.0}, {}]):
        folder = tmp_path / "train" / dataset.song_id(seed)
        folder.mkdir(parents=True)
        (folder / "song.json").write_text(json.dumps(facts))
    assert run(["train", "compose", str(tmp_path), "--songs", "3", "--seconds", "30"]) == 0
    assert "1 songs there are NOT of 30 s, such as song-000000000 of 20 s: they were kept" in capsys.readouterr().err
    assert run(["train", "compose", str(tmp_path), "--songs", "3", "--seconds", "20"]) == 0
    assert "song-000000001 of 30 s" in capsys.readouterr().err


@needs_sounds
@pytest.mark.parametrize("source", [s for s in sources.SOURCES if "kit" in s.kind], ids=lambda s: s.name)
def test_every_kit_has_its_recordings(source):
    kit = (kits.raw_kit if source.kind == "raw kit" else kits.hydrogen_kit)(source.file())
    assert kit
    assert all(layer.file.exists() for variants in kit.values() for layers in variants for layer in layers)


@needs_sounds
def test_a_patch_sounds_and_a_studio_remembers_its_sources():
    from stemwright.train.composing.notes import Note
    from stemwright.train.composing.plan import write_plan

    plan = write_plan(np.random.default_rng(0), 2.0)
    notes, studio = [Note(0.1, 0.5, 60.0, 90.0)], Studio(plan, "train", 44100)
    file = freepats_file(sources.by_name("Freepats").file(), 73)
    assert file is not None
    assert np.abs(play_patch(np.random.default_rng(1), file, notes, 44100)).max() > 0.01
    assert np.abs(studio.soundfont_part(np.random.default_rng(2), notes, "flute")).max() > 1e-3
    assert studio.used <= {source.name for source in sources.usable("train", "soundfont")}


@needs_sounds
def test_a_recorded_choir_sings_the_chords():
    from stemwright.train.composing.plan import write_plan
    from stemwright.train.singing.singers import choir_part

    studio = Studio(write_plan(np.random.default_rng(0), 6.0), "train", 6 * 44100)
    part = choir_part(np.random.default_rng(3), studio)
    assert part.sound.shape == (6 * 44100, 2)
    assert np.abs(part.sound).max() > 1e-3
    assert studio.used <= {source.name for source in sources.usable("train", "soundfont")}

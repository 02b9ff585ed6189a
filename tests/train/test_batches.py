"""Examples: what is played at another speed, what is driven, and that a seed and a step are all they come from."""

from pathlib import Path

import numpy as np
import pytest

from stemwright.nets.bandsplit import STEMS
from stemwright.train.learning import batches
from stemwright.train.learning.batches import Drawer, Sizes
from stemwright.train.learning.songs import complete_songs
from tests.train.examples import write_data, write_song

RATE = 44100


def _song_of_tone(folder: Path, hertz: float):
    """A song whose bass is a tone, louder on the left."""
    at = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * hertz * at)[:, None] * (0.5, 0.25)
    np.save(write_song(folder / "a", {"bass": 0.1}) / "bass.npy", np.round(tone * 32767).astype(np.int16))
    return complete_songs(folder)[0]


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_a_stretch_is_played_at_a_speed(tmp_path: Path, speed: float) -> None:
    played = _song_of_tone(tmp_path, 440).stretch("bass", 0, 8192, speed=speed)
    # Interpolation starts at the second of its four samples.
    wanted = np.sin(2 * np.pi * 440 * (np.arange(8192) * speed + (speed != 1)) / RATE) * [[0.5], [0.25]]
    np.testing.assert_allclose(played, wanted, atol=1e-3)


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_beyond_the_end_of_a_song_is_silence(tmp_path: Path, speed: float) -> None:
    played = _song_of_tone(tmp_path, 440).stretch("bass", RATE - 1000, 4096, speed=speed)
    assert not played[:, int(1000 / speed) + 1 :].any()
    assert played[:, : int(1000 / speed) - 8].any()


def test_examples_come_from_seed_and_step_alone(tmp_path: Path) -> None:
    songs = complete_songs(write_data(tmp_path) / "train")
    drawers = [Drawer(songs, Sizes(3, 6)) for _ in range(2)]
    drawers[1].batch(1, 4)
    for first, second in zip(*(drawer.batch(1, 5) for drawer in drawers), strict=True):
        assert [p.stem for p in first.parts] == [p.stem for p in second.parts]
        for a, b in zip(first.parts, second.parts, strict=True):
            np.testing.assert_array_equal(a.samples, b.samples)
    other = drawers[0].batch(1, 6)
    assert any(len(a.parts) != len(b.parts) or (a.parts[0].samples != b.parts[0].samples).any()
               for a, b in zip(other, drawers[0].batch(1, 5), strict=True))  # fmt: skip


def test_what_has_no_formants_is_played_at_another_speed_more_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "NARROW_SHARE", 0.0)  # what is narrowed is between whole numbers, too
    for stem in ("vocals", "guitar", "drums", "bass"):
        write_song(tmp_path / stem, {stem: 0.1})
    drawer = Drawer(complete_songs(tmp_path), Sizes(1, 2))
    recorded: dict[str, list[bool]] = {}
    for step in range(800):
        for part in drawer.batch(1, step)[0].parts:
            sixteen_bits = part.samples * 32768  # whole numbers, unless they were interpolated or driven
            recorded.setdefault(STEMS[part.stem], []).append(bool((sixteen_bits == np.round(sixteen_bits)).all()))
    share = {stem: float(np.mean(found)) for stem, found in recorded.items()}
    assert max(share["drums"], share["bass"]) < min(share["vocals"], share["guitar"]) - 0.1


def test_some_mixes_are_mono_some_narrow_and_most_as_wide_as_they_were_in_all_their_stems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOVED_SHARE", 0.0)
    for n, stem in enumerate(("vocals", "drums")):
        write_song(tmp_path / stem, {stem: 0.1}, seed=n)
    drawer = Drawer(complete_songs(tmp_path), Sizes(1, 4))
    sides = []
    for step in range(300):
        parts = drawer.batch(1, step)[0].parts
        own = [float(np.std(part.samples[0] - part.samples[1]) / np.std(part.samples.sum(0))) for part in parts]
        assert np.ptp(np.log(np.maximum(own, 1e-6))) < 0.3  # they are as wide as each other
        sides.append(own[0])
    mono, narrowed = (float(np.mean(np.array(sides) < below)) for below in (1e-4, 0.85))
    assert 0.05 < mono < 0.15 < narrowed < 0.35


def test_no_example_holds_anything_but_numbers(tmp_path: Path) -> None:
    drawer = Drawer(complete_songs(write_data(tmp_path) / "train"), Sizes(4, 6))
    for step in range(30):
        for part in (part for example in drawer.batch(2, step) for part in example.parts):
            assert part.samples.shape == (2, drawer.sizes.samples)
            assert np.isfinite(part.samples).all()
            assert np.isfinite(part.gains).all()


def test_in_some_mixes_every_stem_stands_at_a_place_of_its_own(tmp_path: Path) -> None:
    for n, stem in enumerate(("vocals", "drums")):
        write_song(tmp_path / stem, {stem: 0.1}, seed=n)
    drawer = Drawer(complete_songs(tmp_path), Sizes(1, 4))
    places = []
    for step in range(300):
        powers = [np.mean(part.samples**2, axis=1) for part in drawer.batch(1, step)[0].parts]
        places.append([float((left - right) / (left + right)) for left, right in powers])
    assert all(abs(place) <= 1 for mix in places for place in mix)
    moved = [mix for mix in places if max(map(abs, mix)) > 0.15]
    assert 0.1 < len(moved) / len(places) < 0.35
    assert max(np.ptp(mix) for mix in moved) > 0.3
    assert abs(float(np.mean([place for mix in places for place in mix]))) < 0.05

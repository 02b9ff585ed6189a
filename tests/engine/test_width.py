"""What a net hears of narrow songs: wide ones stay, mono becomes as wide as music is, and gives stems again."""

import numpy as np
import pytest
from toys import noise

from stemwright.audio.decode import open_song
from stemwright.engine.spectrum import Stft
from stemwright.engine.width import MOST, TURNED, USUAL, widened
from stemwright.zoo.loading import load

STFT = Stft(512, 128)


def with_side(level: float) -> np.ndarray:
    """The spectrum [1, 2, frames, bins] of noise whose side is so loud beside its middle."""
    middle, side = noise(128 * 40)
    return STFT.forward(np.stack([middle + level * side, middle - level * side])[None])


def side_db(spectrum: np.ndarray) -> float:
    middle, side = spectrum[:, 0] + spectrum[:, 1], spectrum[:, 0] - spectrum[:, 1]
    return float(10 * np.log10(np.mean(np.abs(side) ** 2) / np.mean(np.abs(middle) ** 2)))


def test_a_mix_of_usual_width_is_heard_as_it_is() -> None:
    spectrum = with_side(0.5)
    assert widened(spectrum) is spectrum


@pytest.mark.parametrize(("level", "wide"), [(0.0, TURNED), (1e-3, TURNED), (0.1, USUAL), (0.3, USUAL)])
def test_a_narrow_mix_is_heard_wider_and_its_channels_as_loud(level: float, wide: float) -> None:
    heard = widened(with_side(level))
    left, right = np.mean(np.abs(heard) ** 2, axis=(0, 2, 3))
    assert heard.dtype == np.complex64
    assert side_db(heard) == pytest.approx(10 * np.log10(wide), abs=0.5)
    assert 10 * np.log10(left / right) == pytest.approx(0, abs=0.5)


def test_a_side_that_is_there_is_made_louder() -> None:
    narrow, wide = with_side(USUAL**0.5 / MOST * 1.1), with_side(USUAL**0.5)
    np.testing.assert_allclose(widened(narrow), wide, atol=0.05 * np.abs(wide).max())


def test_of_a_batch_the_narrow_mixes_alone_change() -> None:
    both = np.concatenate([with_side(1), with_side(0)])
    heard = widened(both)
    assert np.array_equal(heard[0], both[0])
    assert np.array_equal(heard[1:], widened(both[1:]))


def test_the_bundled_model_separates_a_mono_song() -> None:
    separator = load()
    with open_song("demo/song.mp3", rate=separator.rate) as song:
        mix = np.concatenate(list(song.blocks()), axis=1)[:, 5 * 44100 :][:, : separator.segment]
    mono = np.stack([mix.mean(0)] * 2)[None].astype(np.float32)
    stems = separator(mono)[0]
    power = np.mean(np.square(stems), axis=(1, 2))
    shares = dict(zip(separator.stems, power / power.sum(), strict=True))
    assert shares["bass"] < 0.9, shares  # all of it, once
    assert shares["drums"] > 0.02
    np.testing.assert_allclose(stems[:, 0], stems[:, 1], atol=1e-4)

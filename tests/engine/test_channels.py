"""What a net hears of channels that differ: matching ones stay, others are brought to the same level, time and sign."""

import numpy as np
import pytest
from toys import noise

from stemwright.audio.decode import open_song
from stemwright.engine.channels import matched
from stemwright.engine.spectrum import Stft
from stemwright.zoo.loading import load

RATE = 44100
STFT = Stft(4096, 2048, "sine")
SAMPLES = 2048 * 40


def mix(*, gain: float = 1.0, late: int = 0, sign: int = 1) -> np.ndarray:
    """A mix [2, SAMPLES] of a loud middle and a source at each side, its right channel changed."""
    middle, one = noise(SAMPLES + 100)
    other = noise(SAMPLES + 100, seed=1)[0]
    left, right = middle + 0.3 * one, middle + 0.3 * other
    return np.stack([left[50 : 50 + SAMPLES], sign * gain * right[50 - late :][:SAMPLES]])


def heard(samples: np.ndarray) -> np.ndarray:
    return matched(STFT.forward(samples[None].astype(np.float32)), RATE)


def side_db(spectrum: np.ndarray) -> float:
    middle, side = spectrum[:, 0] + spectrum[:, 1], spectrum[:, 0] - spectrum[:, 1]
    return float(10 * np.log10(np.mean(np.abs(side) ** 2) / np.mean(np.abs(middle) ** 2)))


@pytest.mark.parametrize("samples", [mix(), mix(gain=0.93), noise(SAMPLES), 0 * noise(SAMPLES)])
def test_channels_that_match_or_have_nothing_in_common_are_heard_as_they_are(samples: np.ndarray) -> None:
    spectrum = STFT.forward(samples[None].astype(np.float32))
    assert matched(spectrum, RATE) is spectrum


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("late", [0, 13, -40])
@pytest.mark.parametrize("gain", [1.0, 0.7, 0.1, 4.0])
def test_a_channel_that_is_fainter_late_or_turned_is_brought_to_the_other(gain: float, late: int, sign: int) -> None:
    found = heard(mix(gain=gain, late=late, sign=sign))
    left, right = np.mean(np.abs(found) ** 2, axis=(0, 2, 3))
    assert found.dtype == np.complex64
    assert 10 * np.log10(left / right) == pytest.approx(0, abs=1)
    assert side_db(found) == pytest.approx(side_db(heard(mix())), abs=1)


@pytest.mark.parametrize("silent", [0, 1])
def test_of_a_channel_that_is_missing_the_other_is_heard(silent: int) -> None:
    samples = mix()
    samples[silent] *= 1e-3
    found = heard(samples)
    assert np.array_equal(found[0, 0], found[0, 1])
    assert np.array_equal(found[0, 0], STFT.forward(samples[1 - silent].astype(np.float32)))


def test_a_source_at_a_side_is_not_taken_for_the_middle() -> None:
    middle, source = noise(SAMPLES)
    turns = np.arange(SAMPLES) // (3 * 2048) % 2  # they sound by turns
    samples = np.stack([turns * middle + (1 - turns) * source, turns * middle + 0.3 * (1 - turns) * source])
    spectrum = STFT.forward(samples[None].astype(np.float32))
    assert matched(spectrum, RATE) is spectrum


def test_of_a_batch_the_mixes_that_do_not_match_alone_change() -> None:
    even, uneven = (STFT.forward(each[None].astype(np.float32)) for each in (mix(), mix(gain=0.5, late=9)))
    found = matched(np.concatenate([even, uneven]), RATE)
    assert np.array_equal(found[:1], even)
    assert np.array_equal(found[1:], matched(uneven, RATE))


def test_the_bundled_model_separates_a_song_alike_whose_channels_differ() -> None:
    separator = load()
    with open_song("demo/song.mp3", rate=separator.rate) as song:
        samples = np.concatenate(list(song.blocks()), axis=1)[:, 5 * RATE :][:, : separator.segment]
    whole = separator(samples[None])[0]
    other = separator(np.stack([samples[0], -0.5 * samples[1]])[None])[0]
    error = np.mean((other - whole * [[1], [-0.5]]) ** 2) / np.mean((whole * [[1], [-0.5]]) ** 2)
    assert 10 * np.log10(error) < -20

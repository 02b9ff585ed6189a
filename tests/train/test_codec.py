"""A codec's damage: the stems still sum to what is heard, and what is lost is what a codec leaves out."""

import numpy as np

from stemwright.train.mixing import codec

RATE = 44100


def band(low: float, high: float, *, seed: int, level: float) -> np.ndarray:
    """Two seconds of noise [n, 2] between two frequencies."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal((2 * RATE, 2)), axis=0)
    hertz = np.fft.rfftfreq(2 * RATE, 1 / RATE)
    spectrum[(hertz < low) | (hertz > high)] = 0
    return (np.fft.irfft(spectrum, axis=0) * level).astype(np.float32)


def test_stems_sum_to_what_a_codec_makes_of_their_mix() -> None:
    stems = {"bass": band(40, 900, seed=0, level=0.3), "drums": band(60, 20000, seed=1, level=0.1)}
    damaged = codec.damage(np.random.default_rng(5), stems)
    (alone,) = codec.damage(np.random.default_rng(5), {"mix": stems["bass"] + stems["drums"]}).values()
    assert all(sound.shape == stems[name].shape and sound.dtype == np.float32 for name, sound in damaged.items())
    np.testing.assert_allclose(damaged["bass"] + damaged["drums"], alone, atol=1e-4)


def test_the_top_goes_and_the_rest_stays() -> None:
    stems = {"drums": band(60, 2000, seed=1, level=0.2), "fx": band(19500, 21000, seed=2, level=0.2)}
    damaged = codec.damage(np.random.default_rng(0), stems)
    kept = {name: np.sum(damaged[name] ** 2) / np.sum(stems[name] ** 2) for name in stems}
    assert kept["fx"] < 1e-3
    assert 0.8 < kept["drums"] < 1.01


def test_what_the_mix_hides_is_lost_from_a_soft_stem() -> None:
    loud, soft = band(1000, 3000, seed=3, level=0.5), band(1000, 3000, seed=4, level=0.02)
    damaged = codec.damage(np.random.default_rng(1), {"synth": loud, "woodwinds": soft})
    lost = np.sum((damaged["woodwinds"] - soft) ** 2) / np.sum(soft**2)
    assert 0.001 < lost < 0.5


def test_silence_stays_silence() -> None:
    silence = np.zeros((RATE, 2), np.float32)
    assert not codec.damage(np.random.default_rng(0), {"vocals": silence})["vocals"].any()

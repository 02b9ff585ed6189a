"""Metrics on cases whose answer is known."""

import numpy as np
import pytest

from stemwright.train.measuring import metrics
from stemwright.train.measuring.baselines import Rivals

RATE = 8000
RNG = np.random.default_rng(0)
TRUE = RNG.standard_normal((2, 4 * RATE)).astype(np.float32)
NOISE = RNG.standard_normal(TRUE.shape).astype(np.float32)


@pytest.mark.parametrize("expected", [0.0, 10.0, 30.0])
def test_sdr_of_a_known_noise(expected: float) -> None:
    estimate = TRUE + NOISE * np.float32(10 ** (-expected / 20))
    assert metrics.usdr(TRUE, estimate) == pytest.approx(expected, abs=0.1)
    assert metrics.sdr_of_seconds(TRUE, estimate, RATE) == pytest.approx([expected] * 4, abs=0.3)


def test_si_sdr_of_silence_is_the_least_there_is() -> None:
    assert metrics.si_sdr(TRUE, np.zeros_like(TRUE)) == metrics.NOTHING_FOUND < metrics.si_sdr(TRUE, NOISE)


def test_si_sdr_ignores_the_level() -> None:
    estimate = TRUE + NOISE * np.float32(0.1)
    assert metrics.si_sdr(TRUE, 5 * estimate) == pytest.approx(metrics.si_sdr(TRUE, estimate), abs=1e-3)
    assert metrics.usdr(TRUE, 5 * estimate) < -10


def test_silent_seconds_do_not_count() -> None:
    half = TRUE.copy()
    half[:, 2 * RATE :] = 0
    assert len(metrics.sdr_of_seconds(half, half, RATE)) == 2
    assert len(metrics.sdr_of_seconds(np.zeros_like(TRUE), TRUE, RATE)) == 0


def test_best_constant_is_the_best_constant() -> None:
    mix = TRUE + NOISE
    best = metrics.usdr(TRUE, Rivals(mix, RATE).constant(TRUE))
    assert all(best >= metrics.usdr(TRUE, mix * np.float32(share)) for share in (0.2, 0.4, 0.5, 0.6, 1.0))


def test_the_oracle_is_far_above_the_mixture() -> None:
    low = np.sin(np.arange(3 * 44100) * 0.02, dtype=np.float32)[None].repeat(2, 0)
    mix = low + np.sin(np.arange(3 * 44100) * 0.9, dtype=np.float32)
    assert metrics.usdr(low, Rivals(mix, 44100).oracle(low)) > 30
    assert metrics.usdr(low, mix) == pytest.approx(0, abs=0.1)


def test_classical_methods_find_what_they_are_for() -> None:
    rate, time = 44100, np.arange(3 * 44100) / 44100
    hum = np.sin(2 * np.pi * 80 * time).astype(np.float32)[None].repeat(2, 0)
    clicks = np.zeros_like(hum)
    clicks[:, :: rate // 4] = 8.0
    assert metrics.usdr(hum, Rivals(hum + clicks, rate).low_passed) > 10
    assert metrics.usdr(clicks, Rivals(hum + clicks, rate).percussive) > 3
    wide = clicks * np.array([[1.0], [-1.0]], np.float32)
    voice = np.sin(2 * np.pi * 700 * time).astype(np.float32)[None].repeat(2, 0)
    assert metrics.usdr(voice, Rivals(voice + wide, rate).centre) > 10

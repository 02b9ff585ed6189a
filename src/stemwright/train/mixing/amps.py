"""Guitar and bass amplifiers: stages of anti-aliased distortion, tone controls, and a loudspeaker in a box."""

import math

import numba
import numpy as np
import scipy.fft
import scipy.signal

from stemwright.train.mixing.desk import biquad, equalise

RATE = 44100


@numba.njit(cache=True, fastmath=True)
def _drive(x, gain, bias, sag):  # type: ignore[no-untyped-def]
    """tanh by its antiderivative (Parker, Zavalishin and Le Bivic 2016), so that it hardly aliases; the bias moves with
    the level, as a valve's does."""
    y = np.empty_like(x)
    last, last_area, slow = 0.0, 0.0, 0.0
    for i in range(len(x)):
        slow += 0.0005 * (abs(x[i]) - slow)
        v = gain * x[i] + bias - sag * slow * gain
        a = abs(v)
        area = a + math.log1p(math.exp(-2.0 * a)) - 0.6931471805599453
        step = v - last
        y[i] = (area - last_area) / step if abs(step) > 1e-4 else math.tanh(0.5 * (v + last))
        last, last_area = v, area
    return y


def amplify(rng: np.random.Generator, sound: np.ndarray, *, gain_db: tuple[float, float] = (6, 46)) -> np.ndarray:
    """Stereo `sound` [n, 2] at about -20 dBFS through an amplifier and cabinet drawn for the part; comes back mono."""
    mono = np.repeat(sound.mean(1, keepdims=True), 2, 1)
    drive = float(rng.uniform(*gain_db))
    tight = [biquad("highpass", float(rng.uniform(50, 160 if drive > 25 else 90))),
             biquad("peak", float(rng.uniform(600, 1600)), gain_db=float(rng.uniform(-2, 9)), q=0.7)]  # fmt: skip
    signal = equalise(mono, tight)[:, 0].astype(np.float64)
    stages = 1 if drive < 20 else 2
    for stage in range(stages):
        signal = _drive(
            signal, 10 ** (drive / stages / 20), float(rng.uniform(-0.25, 0.25)), float(rng.uniform(0, 0.3))
        )
        low = float(rng.uniform(30, 120))
        signal = equalise(
            np.repeat(signal[:, None], 2, 1),
            [biquad("highpass", low), biquad("lowpass", float(rng.uniform(7000, 14000)))],
        )[:, 0]
        signal = signal.astype(np.float64) * (1.0 if stage else 0.8)
    stack = [biquad("lowshelf", float(rng.uniform(100, 250)), gain_db=float(rng.normal(0, 4))),
             biquad("peak", float(rng.uniform(350, 900)), gain_db=float(rng.uniform(-9, 3)), q=0.7),
             biquad("highshelf", float(rng.uniform(1800, 3500)), gain_db=float(rng.normal(0, 4)))]  # fmt: skip
    toned = equalise(np.repeat(signal[:, None], 2, 1), stack)[:, 0]
    boxed = scipy.signal.oaconvolve(toned, cabinet(rng))[: len(toned)]
    return np.repeat(boxed[:, None], 2, 1).astype(np.float32)


def cabinet(rng: np.random.Generator, taps: int = 1024) -> np.ndarray:
    """A loudspeaker cabinet's impulse response: a random plausible magnitude made minimum-phase by its cepstrum."""
    hz = np.maximum(np.fft.rfftfreq(2 * taps, 1 / RATE), 1.0)
    octaves = np.log2(hz)
    low, high = rng.uniform(65, 120), rng.uniform(3800, 6500)
    magnitude_db = -10 * np.log10(1 + (low / hz) ** 4) - 10 * np.log10(1 + (hz / high) ** rng.uniform(6, 12))
    for centre, width, gain in ((rng.uniform(90, 160), 0.5, rng.uniform(0, 6)), (rng.uniform(350, 800), 0.8,
        rng.uniform(-6, 1)),
                                (rng.uniform(1800, 3800), 0.6, rng.uniform(0, 9))):  # fmt: skip
        magnitude_db += gain * np.exp(-(((octaves - math.log2(centre)) / width) ** 2))
    ripple = np.interp(octaves, np.linspace(4, 14.5, 60), rng.normal(0, rng.uniform(0.5, 3), 60))
    log_magnitude = (magnitude_db + ripple) / 20 * math.log(10)
    cepstrum = np.fft.irfft(np.maximum(log_magnitude, -9))
    cepstrum[1:taps] *= 2
    cepstrum[taps + 1 :] = 0
    response = np.fft.irfft(np.exp(np.fft.rfft(cepstrum)))[:taps]
    return response * np.hanning(2 * taps)[taps:]

"""The vocal chain: equalizers, compressor, de-esser, saturation, doubling, echoes and plates; [n, 2] in and out."""

import numba
import numpy as np
import scipy.signal

RATE = 44100


def _biquad(b: tuple[float, float, float], a: tuple[float, float, float]) -> np.ndarray:
    return np.array([[*b, *a]]) / a[0]


def peak_filter(hz: float, gain_db: float, q: float = 1.0) -> np.ndarray:
    """A bell (Bristow-Johnson's cookbook)."""
    w, amp = 2 * np.pi * hz / RATE, 10 ** (gain_db / 40)
    alpha = np.sin(w) / (2 * q)
    c = -2 * np.cos(w)
    return _biquad((1 + alpha * amp, c, 1 - alpha * amp), (1 + alpha / amp, c, 1 - alpha / amp))


def shelf_filter(hz: float, gain_db: float, *, high: bool) -> np.ndarray:
    """A shelf of slope 1 (Bristow-Johnson's cookbook)."""
    w, amp = 2 * np.pi * hz / RATE, 10 ** (gain_db / 40)
    sign = 1 if high else -1
    c, root = np.cos(w), np.sqrt(2 * amp) * np.sin(w)
    plus, minus = amp + 1, amp - 1
    top, turn = plus + sign * minus * c, minus + sign * plus * c
    return _biquad(
        (amp * (top + root), -sign * 2 * amp * turn, amp * (top - root)),
        (plus - sign * minus * c + root, sign * 2 * (minus - sign * plus * c), plus - sign * minus * c - root),
    )


def pass_filter(hz: float, *, high: bool, order: int = 2) -> np.ndarray:
    """Butterworth high-pass or low-pass."""
    return np.asarray(
        scipy.signal.butter(order, min(hz, RATE * 0.49), "highpass" if high else "lowpass", fs=RATE, output="sos")
    )


def filtered(sound: np.ndarray, *filters: np.ndarray) -> np.ndarray:
    """Run second-order sections one after the other along time."""
    return np.asarray(scipy.signal.sosfilt(np.concatenate(filters), sound, axis=0), np.float32)


@numba.njit(cache=True)
def _gain_computer(level: np.ndarray, settings: tuple) -> np.ndarray:
    """Gain from the levels of 1 ms blocks: soft knee of 6 dB, attack and release as one-pole steps."""
    threshold, ratio, attack, release = settings
    gain = np.empty(len(level), np.float32)
    now = 0.0
    up, down = np.exp(-1.0 / max(attack, 0.1)), np.exp(-1.0 / max(release, 0.1))
    for i in range(len(level)):
        over = 20 * np.log10(level[i] + 1e-9) - threshold
        squeeze = 0.0 if over < -3 else over if over > 3 else (over + 3) ** 2 / 12
        want = -squeeze * (1 - 1 / ratio)
        keep = up if want < now else down
        now = keep * now + (1 - keep) * want
        gain[i] = 10 ** (now / 20)
    return gain


def _block_gain(key: np.ndarray, settings: tuple) -> np.ndarray:
    block = 44
    whole = np.pad(key, (0, -len(key) % block)).reshape(-1, block)
    gain = _gain_computer(np.abs(whole).max(1), settings)
    return np.interp(np.arange(len(key)), np.arange(len(gain)) * block, gain).astype(np.float32)


def compress(
    sound: np.ndarray, threshold_db: float, ratio: float, attack_ms: float = 5, release_ms: float = 90
) -> np.ndarray:
    """Feed-forward compressor, the channels linked."""
    return sound * _block_gain(np.abs(sound).max(1), (threshold_db, ratio, attack_ms, release_ms))[:, None]


def deess(sound: np.ndarray, threshold_db: float, hz: float = 6000) -> np.ndarray:
    """Turn down what is above hz where it is louder than the threshold."""
    hiss = filtered(sound, pass_filter(hz, high=True, order=1))
    gain = _block_gain(np.abs(hiss).max(1), (threshold_db, 5.0, 1.0, 30.0))
    return sound + hiss * (gain[:, None] - 1)


def saturate(sound: np.ndarray, drive_db: float, bias: float = 0.0) -> np.ndarray:
    """Soft clipping at twice the rate (tape and tubes: bias adds even harmonics)."""
    drive = 10 ** (drive_db / 20)
    double = scipy.signal.resample_poly(sound, 2, 1, axis=0)
    bent = np.tanh(double * drive + bias) - np.tanh(bias)
    return scipy.signal.resample_poly(bent / drive, 1, 2, axis=0)[: len(sound)].astype(np.float32)


def normalize(sound: np.ndarray, peak_db: float = -6.0) -> np.ndarray:
    """Scale to a peak; silence stays silence."""
    peak = float(np.abs(sound).max(initial=0))
    return (sound * (10 ** (peak_db / 20) / peak) if peak > 1e-5 else sound * 0).astype(np.float32)


def leveled(sound: np.ndarray, loudness_db: float = -20.0) -> np.ndarray:
    """Scale so that the louder half of 50 ms blocks has this level: thresholds mean the same for every voice."""
    mono = sound if sound.ndim == 1 else sound.mean(1)
    power = np.square(mono[: len(mono) // 2205 * 2205]).reshape(-1, 2205).mean(1)
    loud = np.sort(power)[len(power) // 2 :].mean() if len(power) else 0.0
    return (sound * (10 ** (loudness_db / 20) / np.sqrt(loud)) if loud > 1e-9 else sound * 0).astype(np.float32)


def limit(sound: np.ndarray, ceiling_db: float) -> np.ndarray:
    """A fast limiter, its last overs rounded off."""
    top = 10 ** (ceiling_db / 20)
    held = compress(sound, ceiling_db - 2, 12, 0.3, 60) / top
    bent = np.sign(held) * (0.7 + 0.3 * np.tanh((np.abs(held) - 0.7) / 0.3))
    return (np.where(np.abs(held) < 0.7, held, bent) * top).astype(np.float32)


def stereo(mono: np.ndarray, pan: float = 0.0) -> np.ndarray:
    """Mono [n] to [n, 2], constant power; pan -1 left to 1 right."""
    angle = (pan + 1) * np.pi / 4
    return mono[:, None] * (np.array([np.cos(angle), np.sin(angle)]) * np.sqrt(2)).astype(np.float32)


def echo(
    sound: np.ndarray, seconds: float, feedback: float, *, tone_hz: float = 4000, crossed: bool = False
) -> np.ndarray:
    """Only the echoes, darker each time; crossed ones jump from side to side."""
    step = max(int(seconds * RATE), 1)
    out = np.zeros_like(sound)
    tap = filtered(sound, pass_filter(tone_hz, high=False, order=1), pass_filter(180, high=True, order=1))
    last = min(9, max(1, int(np.ceil(np.log(0.03) / np.log(max(feedback, 1e-3))))))
    for turn in range(1, 1 + last):
        if turn * step >= len(sound):
            break
        tap = tap[:, ::-1] if crossed else tap
        out[turn * step :] += tap[: len(sound) - turn * step] * feedback ** (turn - 1)
    return out


@numba.njit(cache=True, fastmath=True)
def _smeared(sound: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Three all-pass delays (Schroeder 1961), so that the tail has no grain."""
    out = sound.copy()
    for step in steps:
        for i in range(len(out)):
            for c in range(2):
                back = out[i - step, c] if i >= step else np.float32(0)
                out[i, c] -= np.float32(0.6) * back
        for i in range(len(out) - 1, -1, -1):
            for c in range(2):
                back = out[i - step, c] if i >= step else np.float32(0)
                out[i, c] = np.float32(0.6) * out[i, c] + back
    return out


@numba.njit(cache=True, fastmath=True)
def _tank(sound: np.ndarray, lengths: np.ndarray, decay: np.ndarray, damp: float) -> np.ndarray:
    """Eight delay lines fed back through a Hadamard mix (Jot and Chaigne 1991)."""
    lines = np.zeros((8, lengths.max() + 1), np.float32)
    at = np.zeros(8, np.int64)
    low = np.zeros(8, np.float32)
    out = np.zeros((len(sound), 2), np.float32)
    v = np.zeros(8, np.float32)
    for i in range(len(sound)):
        for k in range(8):
            low[k] += (1 - damp) * (lines[k, at[k]] * decay[k] - low[k])
            v[k] = low[k]
        out[i, 0] = v[0] - v[2] + v[4] - v[6]
        out[i, 1] = v[1] - v[3] + v[5] - v[7]
        for h in (1, 2, 4):
            for k in range(8):
                if k & h == 0:
                    a, b = v[k], v[k | h]
                    v[k], v[k | h] = a + b, a - b
        for k in range(8):
            lines[k, at[k]] = sound[i, k & 1] + v[k] * 0.35355339
            at[k] += 1
            if at[k] >= lengths[k]:
                at[k] = 0
    return out


_SHORT = np.array([0.0113, 0.0137, 0.0173, 0.0199, 0.0233, 0.0271, 0.0307, 0.0349])


def reverb(
    sound: np.ndarray, decay_seconds: float, *, size: float = 1.0, dark: float = 0.3, predelay_seconds: float = 0.0
) -> np.ndarray:
    """Only the reverberation: size 0.5 a room, 1 a plate, 2.5 a hall; dark 0-0.9 takes the highs away."""
    fed = _smeared(np.ascontiguousarray(sound, np.float32), np.array([207, 150, 439]))
    lengths = (_SHORT * size * RATE).astype(np.int64)
    decay = 10 ** (-3 * lengths / RATE / decay_seconds)
    wet = _tank(fed, lengths, decay.astype(np.float32), float(dark))
    shift = int(predelay_seconds * RATE)
    return np.pad(wet, ((shift, 0), (0, 0)))[: len(sound)] * 0.3


def widen(mono: np.ndarray, rng: np.random.Generator, depth: float = 0.6) -> np.ndarray:
    """Micro-shift doubling: the voice, and two detuned, delayed ghosts of it at the sides."""
    n = len(mono)
    at = np.arange(n, dtype=np.float64)
    sides = []
    for sign in (-1, 1):
        wobble = np.sin(2 * np.pi * rng.uniform(0.2, 0.7) * at / RATE + rng.uniform(0, 6.28)) * rng.uniform(40, 130)
        delay = rng.uniform(0.011, 0.028) * RATE + sign * wobble
        sides.append(np.interp(at - delay, at, mono, left=0.0))
    return (stereo(mono) + depth * np.stack(sides, 1)).astype(np.float32)


def tonal_balance(sound: np.ndarray, target_db: np.ndarray, hz: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Bend the long-term spectrum of a mono sound [n] towards target_db at hz, by -16 to 20 dB, as engineers do."""
    frequencies, power = scipy.signal.welch(sound, RATE, nperseg=2048)
    level = np.interp(hz, frequencies, 10 * np.log10(power + 1e-14))
    width = np.clip(np.gradient(hz), 30, None)
    heard = level > level.max() - 75
    gain = np.where(heard, target_db - level, 0.0)
    gain -= np.average(gain, weights=width * 10 ** (level / 10))
    gain = np.convolve(np.pad(gain, 3, "edge"), np.hanning(9)[1:-1] / np.hanning(9).sum(), "valid")
    gain = np.clip(gain, -16, 20) * strength
    response = 10 ** (np.interp(np.linspace(0, RATE / 2, 513), hz, gain) / 20)
    taps = np.roll(np.fft.irfft(response), 512) * np.hanning(1024)
    return scipy.signal.oaconvolve(sound, taps.astype(np.float32), "same").astype(np.float32)


def radio(sound: np.ndarray, low_hz: float, high_hz: float, drive_db: float) -> np.ndarray:
    """A telephone, a megaphone: a narrow band, driven hard."""
    band = (pass_filter(low_hz, high=True, order=3), pass_filter(high_hz, high=False, order=3))
    return filtered(saturate(normalize(filtered(sound, *band), 0), drive_db), *band)

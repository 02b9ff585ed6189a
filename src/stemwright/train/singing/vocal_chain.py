"""From a dry take to what is heard on a record: a vocal chain drawn at random, for leads and for those behind them."""

import numpy as np

from stemwright.train.singing import vocal_effects as fx

Rng = np.random.Generator
_HZ = np.geomspace(60, 21000, 60)


def _target(rng: Rng) -> np.ndarray:
    """Long-term spectra of pop vocals, dB: round to 700 Hz, then falling, with more or less air on top."""
    octaves = np.log2(_HZ / 700)
    low = rng.normal(3.5, 2.0) * np.minimum(octaves, 0) * (octaves > -2.3) + (octaves <= -2.3) * (8 * octaves + 10)
    middle = rng.normal(-7.3, 1.7) * np.clip(octaves, 0, 2.5)
    top = rng.normal(-3.5, 2.2) * np.clip(octaves - 2.5, 0, 1.5) + rng.normal(-10, 5) * np.clip(octaves - 4, 0, None)
    return low + middle + top + rng.normal(0, 1.5, len(_HZ))


def toned(rng: Rng, take: np.ndarray, *, strength: float) -> np.ndarray:
    """Mono in, mono out: low cut, tonal balance, a resonance or two of mouth, microphone and room."""
    sound = fx.tonal_balance(take, _target(rng), _HZ, strength)
    bells = [
        fx.peak_filter(float(10 ** rng.uniform(2.2, 4)), rng.normal(0, 3), rng.uniform(0.6, 3))
        for _ in range(int(rng.integers(0, 4)))
    ]
    close = fx.shelf_filter(rng.uniform(150, 300), rng.uniform(-4, 4), high=False)  # proximity
    return fx.filtered(sound, fx.pass_filter(rng.uniform(60, 150), high=True), close, *bells)


def pressed(rng: Rng, sound: np.ndarray, *, firmness: float) -> np.ndarray:
    """Compressors, de-esser and saturation in series; firmness 0-1."""
    if rng.random() < 0.9:
        threshold = rng.uniform(-22, -16) - 6 * firmness
        ratio, attack = rng.uniform(2, 4 + 8 * firmness), rng.uniform(0.5, 10)
        sound = fx.compress(fx.leveled(sound), threshold, ratio, attack, rng.uniform(40, 160))
    if rng.random() < 0.6:
        sound = fx.deess(fx.leveled(sound), rng.uniform(-32, -20), rng.uniform(5000, 8000))
    if rng.random() < 0.4:
        sound = fx.saturate(fx.leveled(sound, -12), rng.uniform(0, 12), rng.uniform(0, 0.35))
    if rng.random() < 0.75:
        threshold, ratio, attack = rng.uniform(-26, -18), rng.uniform(1.5, 4), rng.uniform(10, 30)
        sound = fx.compress(fx.leveled(sound), threshold, ratio, attack, rng.uniform(120, 400))
    return fx.limit(fx.leveled(sound), rng.uniform(-14, -5) + 3 * (1 - firmness))


def spaced(rng: Rng, dry: np.ndarray, *, wetness: float) -> np.ndarray:
    """Slap-back, echoes and reverberation behind a stereo sound; wetness 1 is usual for a lead."""
    out = dry.copy()

    def gain(low: float, high: float) -> float:
        return wetness * 10 ** (rng.uniform(low, high) / 20)

    if rng.random() < 0.3:
        out += gain(-24, -8) * fx.echo(dry, rng.uniform(0.06, 0.16), 0.05, tone_hz=rng.uniform(2500, 8000))
    if rng.random() < 0.35:
        seconds, feedback, tone = rng.uniform(0.2, 0.6), rng.uniform(0.15, 0.55), rng.uniform(1500, 6000)
        out += gain(-26, -10) * fx.echo(dry, seconds, feedback, tone_hz=tone, crossed=bool(rng.random() < 0.5))
    if rng.random() < 0.5:
        size, dark = rng.uniform(0.35, 0.8), rng.uniform(0.05, 0.5)
        out += gain(-24, -10) * fx.reverb(out, rng.uniform(0.2, 0.7), size=size, dark=dark)
    if rng.random() < 0.8:
        low, high = (
            fx.pass_filter(rng.uniform(120, 500), high=True),
            fx.pass_filter(rng.uniform(4000, 14000), high=False),
        )
        size, dark, late = rng.uniform(0.8, 2.5), rng.uniform(0.05, 0.6), rng.uniform(0, 0.09)
        seconds = float(np.exp(rng.uniform(-0.4, 1.5)))
        out += gain(-24, -7) * fx.reverb(
            fx.filtered(out, low, high), seconds, size=size, dark=dark, predelay_seconds=late
        )
    return out


def lead_bus(rng: Rng, sound: np.ndarray) -> np.ndarray:
    """What is done last to a whole vocal bus."""
    if rng.random() < 0.05:
        sound = fx.radio(sound, rng.uniform(250, 600), rng.uniform(2200, 5000), rng.uniform(3, 24))
    if rng.random() < 0.5:
        sound = fx.compress(fx.leveled(sound), rng.uniform(-26, -18), rng.uniform(1.5, 3), 15, 150)
    if rng.random() < 0.2:
        sound = fx.saturate(fx.leveled(sound, -14), rng.uniform(0, 9))
    return sound

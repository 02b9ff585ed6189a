"""Insert effects by family: what an engineer would reach for, drawn anew for every part."""

import numpy as np

from stemwright.train.mixing import RATE, _echo, _moving_delay, biquad, compress, equalise, saturate


def insert(rng: np.random.Generator, sound: np.ndarray, chain: str) -> np.ndarray:
    """The sound [n, 2] (about -20 dBFS) through the effects of its family; `sung` has had its own already."""
    if chain == "sung":
        return sound
    if chain == "driven guitar":
        sound = _amplifier(rng, sound)
    sound = equalise(sound, _tone(rng, chain))
    if rng.random() < {"vocals": 1.0, "bass": 0.8, "drums": 0.5, "percussion": 0.4}.get(chain, 0.25):
        sound = compress(sound, threshold_db=float(rng.uniform(-30, -14)), ratio=float(rng.uniform(1.5, 6)),
                         attack_s=float(rng.uniform(0.001, 0.03)), release_s=float(rng.uniform(0.05, 0.3)))  # fmt: skip
    if rng.random() < {"drums": 0.3, "bass": 0.4, "synth": 0.3, "keyboard": 0.2, "fx": 0.2}.get(chain, 0.1):
        sound = saturate(sound, float(rng.uniform(2, 20)), bias=float(rng.uniform(0, 0.3)))
    if rng.random() < {"guitar": 0.25, "synth": 0.3, "keyboard": 0.2, "strings": 0.15, "bass": 0.1}.get(chain, 0.05):
        sound = _moving_delay(sound, float(rng.uniform(0.003, 0.025)), float(rng.uniform(0.0005, 0.0028)),
                              float(rng.uniform(0.1, 3)), float(rng.uniform(0, 6)), float(rng.uniform(0, 0.5)),
                              float(rng.uniform(0.3, 0.9)))  # fmt: skip
    if rng.random() < {"vocals": 0.3, "guitar": 0.25, "driven guitar": 0.2, "synth": 0.35, "fx": 0.3}.get(chain, 0.08):
        sound = _echo(sound, int(rng.uniform(0.06, 0.6) * RATE), float(rng.uniform(0.1, 0.6)), float(rng.uniform(0.15, 0.9)),
                      float(rng.uniform(0.08, 0.4)), bool(rng.random() < 0.4))  # fmt: skip
    return sound


def _tone(rng: np.random.Generator, chain: str) -> list[tuple[float, float, float, float, float]]:
    bands = []
    floor = {"bass": 25, "drums": 25, "synth": 40, "fx": 30}.get(chain, 80)
    if rng.random() < 0.6:
        bands.append(biquad("highpass", floor * float(rng.uniform(0.7, 2.2))))
    for _ in range(int(rng.integers(1, 4))):
        bands.append(biquad("peak", float(10 ** rng.uniform(2, 3.9)), gain_db=float(rng.normal(0, 3.5)), q=float(rng.uniform(0.4, 2.5))))
    if rng.random() < 0.5:
        bands.append(biquad("lowshelf", float(rng.uniform(80, 300)), gain_db=float(rng.normal(0, 3))))
    if rng.random() < 0.6:
        bands.append(biquad("highshelf", float(rng.uniform(2500, 9000)), gain_db=float(rng.normal(0, 4))))
    if rng.random() < 0.1:
        bands.append(biquad("lowpass", float(rng.uniform(2500, 12000))))
    return bands


def _amplifier(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    tight = equalise(sound, [biquad("highpass", float(rng.uniform(60, 180))),
                             biquad("peak", float(rng.uniform(600, 1600)), gain_db=float(rng.uniform(0, 9)), q=0.7)])  # fmt: skip
    loud = saturate(tight, float(rng.uniform(14, 44)), bias=float(rng.uniform(0, 0.25)))
    return equalise(loud, [biquad("highpass", 75), biquad("peak", float(rng.uniform(90, 160)), gain_db=4, q=1.2),
                           biquad("peak", float(rng.uniform(350, 900)), gain_db=float(rng.uniform(-7, 0)), q=0.8),
                           biquad("peak", float(rng.uniform(2200, 3800)), gain_db=float(rng.uniform(0, 6)), q=1.2),
                           biquad("lowpass", float(rng.uniform(3800, 6200)), q=0.9),
                           biquad("lowpass", float(rng.uniform(5000, 8000)))])  # fmt: skip

"""Small signals, songs and recipes for the tests of the training."""

import json
from pathlib import Path

import numpy as np
import pytest

from stemwright.nets.bandsplit import BandSplitConfig
from stemwright.train.instruments import sources
from stemwright.train.learning.recipe import Rates, Recipe, Songs
from stemwright.train.mixing.desk import RATE
from stemwright.train.mixing.effects import GROUND_HZ

HAVE_SOUNDS = all(Path(source.path).exists() for source in sources.SOURCES if source.kind != "recordings")
needs_sounds = pytest.mark.skipif(not HAVE_SOUNDS, reason="the sound packages are not installed: make train-system")
SMALL = BandSplitConfig(width=16, head=8, expansion=2, squeezed=2, hidden=8, dilations=(1, 2))
RECIPE = Recipe(
    name="tiny", seed=3, steps=6, finish_steps=2, batch=2, frames=12,
    songs=Songs(2, 1, 1, 1.5, 1.5), rates=Rates(muon=4e-3, adamw=2e-3, warmup_steps=2, ema=0.99, clip=1.0), net=SMALL,
)  # fmt: skip


def write_song(folder: Path, stems: dict[str, float], *, seconds: float = 1.5, seed: int = 0) -> Path:
    """A song whose stems are noises of the given levels."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for stem, level in stems.items():
        noise = rng.standard_normal((int(seconds * 44100), 2)) * level * 32767
        np.save(folder / f"{stem}.npy", noise.astype(np.int16))
    (folder / "song.json").write_text(json.dumps({
        "id": folder.name, "seconds": seconds, "stems": list(stems),
        "sources": [{"name": "noise", "licence": "CC0-1.0"}],
    }))  # fmt: skip
    return folder


def write_data(root: Path) -> Path:
    """A data set of three splits with one or two songs each."""
    for i, split in enumerate(("train", "val", "test")):
        write_song(root / split / "a", {"vocals": 0.1, "drums": 0.1, "bass": 0.05, "guitar": 0.05}, seed=10 * i)
        write_song(root / split / "b", {"drums": 0.1, "synth": 0.1, "percussion": 0.02}, seed=10 * i + 1)
    return root


def above_ground_db(sound: np.ndarray) -> float:
    """How much more of a bass [n, 2] lies above GROUND_HZ than below it."""
    power = np.sum(np.abs(np.fft.rfft(sound, axis=0)) ** 2, 1)
    above = np.fft.rfftfreq(len(sound), 1 / RATE) > GROUND_HZ
    return float(10 * np.log10(power[above].sum() / power[~above].sum()))

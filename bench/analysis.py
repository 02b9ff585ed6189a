"""How often tempo and key are right on composed songs, whose tempo and key are known: `bench/analysis.py DATA [COUNT]`.

DATA holds songs of `stemwright train compose` (folders with a song.json and a .npy for each stem).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from stemwright.audio.key import TONICS, Harmony, Key, key
from stemwright.audio.signal import Samples
from stemwright.audio.tempo import Rhythm, Tempo, tempo
from stemwright.zoo.wanted import quarters

RATE = 44100
SHARPS = {"C#": "Db", "D#": "Eb", "F#": "Gb", "G#": "Ab", "A#": "Bb"}
MINOR = {"minor", "dorian", "phrygian", "harmonic minor"}  # by their third


def measured(folder: Path) -> tuple[Tempo | None, Key | None]:
    """By the true stems, summed as the product sums them."""
    parts = quarters([file.stem for file in sorted(folder.glob("*.npy"))])
    sounds = {part: _sum(folder, members) for part, members in parts.items() if part != "vocals"}
    rhythms = [_heard(Rhythm(RATE), [sound]) for sound in _kept([sounds.get("drums"), _added(sounds)])]
    chords = _heard(Harmony(RATE), _kept([sounds.get("other")]))
    return tempo(*rhythms), key(chords, _heard(Harmony(RATE), [sounds["bass"]]) if "bass" in sounds else None)


def _kept(sounds: Iterable[Samples | None]) -> list[Samples]:
    return [sound for sound in sounds if sound is not None]


def _added(sounds: dict[str, Samples]) -> Samples | None:
    others = [sounds[name] for name in ("bass", "other") if name in sounds]
    return np.sum(others, axis=0) if others else None


def _sum(folder: Path, members: Iterable[str]) -> Samples:
    total: Any = 0
    for name in members:
        stem = np.load(folder / f"{name}.npy").astype(np.float32)
        total = total + (stem if len(stem) == 2 else stem.T)
    return total / max(1.0, float(np.abs(total).max()))


def _heard(listener: Any, sounds: Iterable[Samples]) -> Any:
    for sound in sounds:
        for start in range(0, sound.shape[1], 1 << 18):
            listener.add(sound[:, start : start + (1 << 18)])
    return listener


def main(data: Path, count: int) -> None:
    songs = [path for path in sorted(data.iterdir()) if (path / "song.json").exists()][:count]
    names = ("tempo within 4 %", "… or its double or half", "key", "… or its relative", "… or a fifth away", "tonic")
    hits = dict.fromkeys(names, 0)
    sure: list[tuple[float, bool, float, bool]] = []
    for song in songs:
        truth = json.loads((song / "song.json").read_text())
        found_tempo, found_key = measured(song)
        ratio = found_tempo.bpm / truth["bpm"] if found_tempo else 0.0
        exact = abs(ratio - 1) < 0.04
        tonic, scale = truth["key"].split(" ", 1)
        mode, at = "minor" if scale in MINOR else "major", TONICS["major"].index(SHARPS.get(tonic, tonic))
        away = (TONICS[found_key.mode].index(found_key.tonic) - at) % 12 if found_key else -1
        same_mode = found_key is not None and found_key.mode == mode
        right = same_mode and away == 0
        relative = found_key is not None and not same_mode and away == (9 if mode == "major" else 3)
        hits["tempo within 4 %"] += exact
        hits["… or its double or half"] += any(abs(ratio / times - 1) < 0.04 for times in (0.5, 1, 2))
        hits["key"] += right
        hits["… or its relative"] += right or relative
        hits["… or a fifth away"] += right or relative or (same_mode and away in (5, 7))
        hits["tonic"] += away == 0
        sure.append(
            (found_tempo.confidence if found_tempo else 0, exact, found_key.confidence if found_key else 0, right)
        )
    for name, right in hits.items():
        print(f"{name:26} {right / len(songs):6.1%}")
    for what, place in (("tempo", 0), ("key", 2)):
        ranked = sorted(sure, key=lambda row: row[place])
        halves = ranked[: len(ranked) // 2], ranked[len(ranked) // 2 :]
        told = [sum(row[place + 1] for row in half) / max(1, len(half)) for half in halves]
        print(f"{what}: right in the less sure half {told[0]:.1%}, in the surer half {told[1]:.1%}")
    print(f"{len(songs)} songs")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1000)

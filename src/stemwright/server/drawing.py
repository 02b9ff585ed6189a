"""What the separation process draws for the player while stems are encoded: one file that says all it needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemwright.audio.peaks import Peaks, write_peaks
from stemwright.separation import MIX

if TYPE_CHECKING:
    from stemwright.audio.signal import Samples
    from stemwright.separation import SeparatedFiles
    from stemwright.server.separating import Part

LABEL = "Player"


class Drawing:
    """Peaks of every file of a separation, gathered as its blocks go by."""

    def __init__(self) -> None:
        self._lanes: dict[str, Peaks] = {}

    def listen(self, name: str, block: Samples) -> None:
        """Looks at a block on its way to the file of that name."""
        self._lanes.setdefault(name, Peaks()).add(block)

    def write(self, folder: Path, done: SeparatedFiles, parts: Sequence[Part], ids: Sequence[str]) -> str:
        """Writes the player's file, in which stems are named by the blobs they become; returns its path.

        `ids` are those of the peaks, of the song itself, and of the stems.
        """
        path = folder / "player.peaks"
        gain = 10 ** (done.gain_db / 20)
        stems = [_told(part, stem_id) for part, stem_id in zip(parts, ids[2:], strict=False)]
        about: dict[str, Any] = {"version": 1, "rate": done.rate, "length": done.length, "stems": stems}
        lanes, gains = [self._lanes.get(part.name, Peaks()) for part in parts], [gain] * len(parts)
        if done.mix is not None:
            about["mix"] = {"file": f"{ids[1]}_Mix{done.mix.suffix}", "factor": done.mix_factor}
            lanes.append(self._lanes.get(MIX, Peaks()))
            gains.append(gain * done.mix_factor)
        write_peaks(path, lanes, about=about, gain=gains)
        return str(path)


def _told(part: Part, stem_id: str) -> dict[str, Any]:
    said = {name: getattr(part, name) for name in ("name", "silent", "experimental", "loudness_dbfs")}
    return said | {"label": part.label.replace("_", " "), "file": part.blob(stem_id)}

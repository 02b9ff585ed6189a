"""What the separation process draws for the player while stems are encoded: one file that says all it needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemwright.audio.cuts import NEEDS_CUTS, Cuts, cuts_of
from stemwright.audio.formats import format_named
from stemwright.audio.peaks import Peaks, write_peaks
from stemwright.audio.signal import resampled_length
from stemwright.separation import MIX

if TYPE_CHECKING:
    from stemwright.audio.signal import Samples
    from stemwright.separation import SeparatedFiles
    from stemwright.server.jobs import Part


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
        files = [Path(part.file) for part in parts] + ([done.mix] if done.mix is not None else [])
        rate = format_named(files[0].suffix).rate_for(done.rate)
        length = resampled_length(done.length, done.rate, rate)
        about: dict[str, Any] = {"version": 1, "rate": rate, "length": length, "stems": stems}
        lanes, gains = [self._lanes.get(part.name, Peaks()) for part in parts], [gain] * len(parts)
        if done.mix is not None:
            about["mix"] = {"file": f"{ids[1]}_Mix{done.mix.suffix}", "factor": done.mix_factor}
            lanes.append(self._lanes.get(MIX, Peaks()))
            gains.append(gain * done.mix_factor)
        write_peaks(path, lanes, about=about, gain=gains, stretch=rate / done.rate, cuts=_cuts(files))
        return str(path)


def _cuts(files: Sequence[Path]) -> list[Cuts]:
    """Of every file; none where the player needs none, or one file has none."""
    found = [cuts_of(file) if file.suffix in NEEDS_CUTS else None for file in files]
    known = [cuts for cuts in found if cuts is not None]
    return known if len(known) == len(files) else []


def _told(part: Part, stem_id: str) -> dict[str, Any]:
    said = {name: getattr(part, name) for name in ("name", "silent", "experimental", "loudness_dbfs")}
    return said | {"label": part.label.replace("_", " "), "file": part.blob(stem_id)}

"""A karaoke video: the film's own picture, with the song without its voices, and the whole song as the other track."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stemwright.audio.multitrack import summed, write_tracks
from stemwright.audio.picture import Picture
from stemwright.engine.levels import common_gain
from stemwright.extras.material import Material, times, whole_file
from stemwright.zoo.choice import SONG


def write_karaoke(song: Material, path: Path, film: Path) -> None:
    """Writes `path` with the picture of `film`, copied packet by packet; each track at a gain with which it holds."""
    backing = [spool for name, spool in song.quarters.items() if name != "vocals"]
    loudest = max((float(np.abs(block).max()) for block in summed([spool.blocks() for spool in backing])), default=0.0)
    instrumental = times(summed([spool.blocks() for spool in backing]), common_gain([loudest]))
    full = times(song.waiting[SONG].blocks(), song.unclipped(SONG))
    with Picture(film) as picture, whole_file(path) as file:
        tracks, tags = {"Instrumental": instrumental, "With vocals": full}, song.tags.titled(song.title)
        write_tracks(file, tracks, rate=song.files.rate, tags=tags, muxer=picture.muxer, picture=picture)

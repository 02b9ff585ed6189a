"""How a stem looks: its waveform as the outline of an SVG path, its spectrogram as a small PNG in its own colour."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.frames import Frames
from stemwright.audio.signal import Samples

COLUMNS, ROWS = 720, 96
WAVE_COLUMNS, WAVE_HEIGHT = 360, 60
LOWEST_HZ, HIGHEST_HZ = 40.0, 16000.0
_SIZE = 2048
_FLOOR_DB, _CEILING_DB = -85.0, -25.0  # of a band, full scale being 0
_SHADES = 16


class Portrait:
    """Draws a stem of a known length while it streams by."""

    def __init__(self, rate: int, length: int) -> None:
        self._length, self._position = max(1, length), 0
        self._frames, self._frame = Frames(_SIZE, _SIZE // 2), 0
        hertz = np.geomspace(LOWEST_HZ, min(HIGHEST_HZ, rate / 2), ROWS + 1)
        self._edges = hertz * _SIZE / rate
        self._power = np.zeros((COLUMNS, ROWS))
        self._count = np.zeros(COLUMNS, int)
        self.lowest, self.highest = np.zeros(WAVE_COLUMNS), np.zeros(WAVE_COLUMNS)

    def add(self, block: Samples) -> None:
        """Looks at the next [2, n]."""
        places = np.arange(self._position, self._position + block.shape[1]) * WAVE_COLUMNS // self._length
        columns, starts = np.unique(np.minimum(places, WAVE_COLUMNS - 1), return_index=True)
        if len(columns):
            low = np.minimum.reduceat(block.min(axis=0), starts)
            high = np.maximum.reduceat(block.max(axis=0), starts)
            self.lowest[columns] = np.minimum(self.lowest[columns], low)
            self.highest[columns] = np.maximum(self.highest[columns], high)
        self._position += block.shape[1]
        self._look(self._frames.spectra(block))

    def wave(self, tallest: float) -> str:
        """The outline as the `d` of a path, `tallest` being the amplitude that fills the height."""
        half, step = WAVE_HEIGHT / 2, COLUMNS / WAVE_COLUMNS
        scale = (half - 1) / max(tallest, 1e-6)
        tops = [half - max(0.4, value * scale) for value in self.highest]
        bottoms = [half - min(-0.4, value * scale) for value in self.lowest]
        there = [f"{number * step:g},{y:.1f}" for number, y in enumerate(tops)]
        back = [f"{number * step:g},{y:.1f}" for number, y in reversed([*enumerate(bottoms)])]
        return f"M{'L'.join(there)}L{'L'.join(back)}Z"

    def spectrogram(self, rgb: tuple[int, int, int]) -> str:
        """A PNG as a data address: low tones below, transparent where nothing is heard."""
        power = self._filled() / (_SIZE / 4) ** 2  # a full-scale tone under this window is 0 dB
        db = 10 * np.log10(np.maximum(power, 1e-12))
        shades = np.clip((db - _FLOOR_DB) / (_CEILING_DB - _FLOOR_DB) * (_SHADES - 1), 0, _SHADES - 1)
        data = _png(np.rint(shades).astype(np.uint8).T[::-1], rgb)
        return f"data:image/png;base64,{base64.b64encode(data).decode()}"

    def _look(self, spectra: NDArray[np.float32]) -> None:
        if not len(spectra):
            return
        total = np.concatenate(
            [np.zeros((len(spectra), 1)), np.cumsum(spectra.astype(np.float64) ** 2, axis=1)], axis=1
        )
        bins = np.arange(total.shape[1])
        below = np.stack([np.interp(self._edges, bins, row) for row in total])
        bands = np.diff(below, axis=1) / np.diff(self._edges)  # the mean power of a bin in each band
        columns = np.arange(self._frame, self._frame + len(spectra)) * (_SIZE // 2) * COLUMNS // self._length
        columns = np.minimum(columns, COLUMNS - 1)
        np.add.at(self._power, columns, bands)
        np.add.at(self._count, columns, 1)
        self._frame += len(spectra)

    def _filled(self) -> NDArray[np.float64]:
        """The mean of each column; those of a short song that no frame fell into are as their neighbours."""
        seen = np.flatnonzero(self._count)
        if not len(seen):
            return self._power
        mean = self._power[seen] / self._count[seen, None]
        return mean[np.searchsorted(seen, np.arange(COLUMNS), side="right").clip(1) - 1]


def portrait(blocks: Iterable[Samples], rate: int, length: int) -> Portrait:
    """Of all these blocks."""
    drawn = Portrait(rate, length)
    for block in blocks:
        drawn.add(block)
    return drawn


def _png(shades: NDArray[np.uint8], rgb: tuple[int, int, int]) -> bytes:
    """Shades 0 … 15 [rows, columns] of one colour, from transparent to opaque (PNG 1.2: palette, 4 bits)."""
    rows, columns = shades.shape
    packed = shades[:, 0::2] << 4 | shades[:, 1::2]
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), packed], axis=1).tobytes()
    alpha = bytes(round(255 * (shade / (_SHADES - 1)) ** 1.2) for shade in range(_SHADES))
    header = struct.pack(">IIBBBBB", columns, rows, 4, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", bytes(rgb) * _SHADES), (b"tRNS", alpha), (b"IDAT", zlib.compress(lines, 9)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in (*chunks, (b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

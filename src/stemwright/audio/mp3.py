"""mp3 files whole: LAME's frames between an ID3 tag and the Info frame that tells players the delay and the padding.

Why not PyAV's encoder: its wheels carry a LAME compiled without optimisation, 4 to 5 times slower (decision 0003).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import lameenc
import numpy as np

from stemwright.audio.formats import MP3_KBPS as KBPS
from stemwright.audio.formats import MP3_RATES as RATES
from stemwright.audio.signal import Samples

FRAME = 1152
ENCODER_DELAY = 576  # LAME's; a decoder adds 529

_TAG_BYTES = 192  # header, side information, Info and LAME fields


class Mp3Encoder:
    """Encodes float32 [2, n] at one of `RATES` with one of the bit rates `KBPS` into an open, seekable file.

    `head`, a tag, goes before the frames. With `length` promised, which has to be kept, the Info frame is right from
    the start and the file may be a pipe.
    """

    def __init__(self, file: BinaryIO, *, rate: int, kbps: int, head: bytes = b"", length: int | None = None) -> None:
        self._file, self._rate = file, rate
        self._kbps = kbps
        self._length = self._frames = self._bytes = 0
        self._unread = b""  # the start of a frame whose header is not complete
        self._skip = 0  # bytes of the current frame that are still to come
        self._lame = _lame(rate, self._kbps)
        self._promised = length
        self._info_position = len(head)
        file.write(head + (bytes(self._info_bytes) if length is None else self._promise(length)))

    def encode(self, block: Samples) -> None:
        self._length += block.shape[1]
        pcm = np.clip(np.rint(block.T * np.float32(32768.0)), -32768, 32767).astype("<i2")
        self._add(bytes(self._lame.encode(pcm.tobytes())))

    def close(self) -> None:
        """Flushes LAME and fills in the Info frame."""
        self._add(bytes(self._lame.flush()))
        if self._promised is None:
            self._file.seek(self._info_position)
            self._file.write(self._info_frame())
            self._file.seek(0, 2)

    def abandon(self) -> None:
        """Nothing to let go of: the file is the caller's."""

    @property
    def _info_kbps(self) -> int:
        return info_kbps(self._kbps, self._rate)

    @property
    def _info_bytes(self) -> int:
        return frame_bytes(self._info_kbps, self._rate)

    def _promise(self, length: int) -> bytes:
        """The Info frame of a file still to come."""
        self._length, self._frames = length, promised_frames(length)
        self._bytes = sum(frame_sizes(self._kbps, self._rate, self._frames))
        info = self._info_frame()
        self._length = self._frames = self._bytes = 0
        return info

    def _add(self, stream: bytes) -> None:
        """Writes LAME's output and counts the frames in it by walking from header to header."""
        self._file.write(stream)
        self._bytes += len(stream)
        data, position = self._unread + stream, self._skip
        while position + 4 <= len(data):
            kbps = KBPS[(data[position + 2] >> 4) - 1]
            position += frame_bytes(kbps, self._rate) + (data[position + 2] >> 1 & 1)
            self._frames += 1
        self._unread = data[position:]
        self._skip = max(0, position - len(data))

    def _info_frame(self) -> bytes:
        """A silent frame with the Info and LAME fields (gabriel.mp3-tech.org/mp3infotag.html)."""
        header = bytes([0xFF, 0xFB, (KBPS.index(self._info_kbps) + 1) << 4 | RATES.index(self._rate) << 2, 0x44])
        seek_table = bytes(percent * 256 // 100 for percent in range(100))
        info = struct.pack(">4sIII", b"Info", 0x0F, self._frames, self._bytes + self._info_bytes) + seek_table
        padding = self._frames * FRAME - ENCODER_DELAY - self._length
        lame = struct.pack(
            ">I9sBB8xBB3sBBHI2x",
            0,  # quality: not told
            b"LAME3.100",
            0x01,  # constant bit rate
            min(255, self._rate // 200),  # lowpass: none below half the rate
            0,
            min(255, self._kbps),
            (ENCODER_DELAY << 12 | padding).to_bytes(3, "big"),
            0x04,  # joint stereo
            0,
            0,
            self._bytes + self._info_bytes,
        )
        frame = header + bytes(32) + info + lame
        frame += struct.pack(">H", crc16(frame))
        return frame.ljust(self._info_bytes, b"\0")


def frame_bytes(kbps: int, rate: int) -> int:
    """The length of an unpadded MPEG-1 layer III frame."""
    return 144_000 * kbps // rate


def info_kbps(kbps: int, rate: int) -> int:
    """The bit rate of the Info frame: the file's, or the lowest whose frames have room for it."""
    return next(known for known in KBPS if known >= kbps and frame_bytes(known, rate) >= _TAG_BYTES)


def promised_frames(length: int) -> int:
    """How many frames LAME makes of so many samples: one for every 1152, and one more."""
    return -(-length // FRAME) + 1


def promised_bytes(length: int, *, rate: int, kbps: int) -> int:
    """The size of a file without tags of so many samples."""
    return frame_bytes(info_kbps(kbps, rate), rate) + sum(frame_sizes(kbps, rate, promised_frames(length)))


def frame_sizes(kbps: int, rate: int, frames: int) -> Iterator[int]:
    """The bytes of a stream's frames as LAME pads them: a byte more whenever the fractions have added up to one."""
    fraction = 144_000 * kbps % rate
    left = fraction
    for _ in range(frames):
        left -= fraction
        yield frame_bytes(kbps, rate) + (left < 0)
        left += rate if left < 0 else 0


def crc16(data: bytes) -> int:
    """CRC-16 with the polynomial 0x8005, reflected, as LAME's tag wants it."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def _lame(rate: int, kbps: int) -> lameenc.Encoder:
    lame = lameenc.Encoder()
    lame.set_channels(2)
    lame.set_in_sample_rate(rate)
    lame.set_out_sample_rate(rate)
    lame.set_bit_rate(kbps)
    # From 256 kbit/s on noise shaping has nothing left to win, and would cost as much again (decision 0003).
    lame.set_quality(7 if kbps >= 256 else 5)
    lame.silence()
    return lame

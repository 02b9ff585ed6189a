"""Sonivox, the small wavetable synthesizer of old telephones (Apache-2.0), played offline through its C interface."""

import ctypes
import ctypes.util
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import scipy.signal

from stemwright.errors import SoundSourceMissing
from stemwright.train.composing.score import Note

RATE = 44100
PACKAGE = "libsonivox3"


def _facts_of(number: Any) -> type[ctypes.Structure]:
    """What the library tells of itself, in integers of its width, which is a `long` or 32 bits."""
    names = ("voices", "channels", "rate", "frames")
    fields = [("version", number), ("checked", ctypes.c_ubyte), *((name, number) for name in names)]
    return type("Facts", (ctypes.Structure,), {"_fields_": fields})


@cache
def _library() -> tuple[ctypes.CDLL, Any, Any]:
    """The library, the type of its integers, and its facts."""
    name = ctypes.util.find_library("sonivox") or "libsonivox.so.3"
    try:
        lib = ctypes.CDLL(name)
    except OSError as error:
        raise SoundSourceMissing(name="Sonivox", path=name, package=PACKAGE) from error
    pointer = ctypes.c_void_p
    lib.EAS_Config.restype = pointer
    for number in (ctypes.c_long, ctypes.c_int32):
        facts = ctypes.cast(lib.EAS_Config(), ctypes.POINTER(_facts_of(number))).contents
        if 8000 <= facts.rate <= 96000 and 0 < facts.frames <= 4096:
            break
    else:
        raise SoundSourceMissing(name="Sonivox 3.6", path=name, package=PACKAGE)
    lib.EAS_Init.argtypes = [pointer]
    lib.EAS_Shutdown.argtypes = [pointer]
    lib.EAS_OpenMIDIStream.argtypes = [pointer, pointer, pointer]
    lib.EAS_CloseMIDIStream.argtypes = [pointer, pointer]
    lib.EAS_WriteMIDIStream.argtypes = [pointer, pointer, pointer, number]
    lib.EAS_Render.argtypes = [pointer, pointer, number, pointer]
    return lib, number, facts


def play_sonivox(notes: Sequence[Note], samples: int, program: int, *, drums: bool = False) -> np.ndarray:
    """The notes on a General MIDI program (or the drum kit), float32 [samples, 2]; a note begins within 6 ms of its
    time. Raises SoundSourceMissing."""
    lib, number, facts = _library()
    frames, rate, channels = int(facts.frames), int(facts.rate), int(facts.channels)
    engine, stream, made = ctypes.c_void_p(), ctypes.c_void_p(), number()
    lib.EAS_Init(ctypes.byref(engine))
    lib.EAS_OpenMIDIStream(engine, ctypes.byref(stream), None)
    channel = 9 if drums else 0

    def send(*message: int) -> None:
        lib.EAS_WriteMIDIStream(engine, stream, (ctypes.c_ubyte * len(message))(*message), len(message))

    try:
        if not drums:
            send(0xC0 | channel, program)
        out = np.zeros((samples * rate // RATE // frames + 2, frames, channels), np.int16)
        for block, messages in enumerate(_blocks(notes, len(out), rate / frames)):
            for message in messages:
                send(message[0] | channel, *message[1:])
            lib.EAS_Render(engine, out[block].ctypes.data, frames, ctypes.byref(made))
    finally:
        lib.EAS_CloseMIDIStream(engine, stream)
        lib.EAS_Shutdown(engine)
    mono = out.reshape(-1, channels).mean(1) / 32768
    raised = scipy.signal.resample_poly(mono, RATE, rate)[:samples].astype(np.float32)
    return np.repeat(raised[:, None], 2, 1)


def _blocks(notes: Sequence[Note], count: int, per_second: float) -> list[list[tuple[int, int, int]]]:
    """MIDI messages of every block: first the notes that end in it, then those that begin."""
    blocks: list[list[tuple[int, int, int]]] = [[] for _ in range(count)]
    events = []
    for note in notes:
        pitch, velocity = round(note.pitch), int(np.clip(round(note.velocity), 1, 127))
        first = max(0, int(note.start_seconds * per_second))
        last = max(first + 2, int((note.start_seconds + note.seconds) * per_second))
        if 0 <= pitch <= 127:
            events += [(last, 0, (0x80, pitch, 0)), (first, 1, (0x90, pitch, velocity))]
    for block, _, message in sorted(events):
        if block < count:
            blocks[block].append(message)
    return blocks

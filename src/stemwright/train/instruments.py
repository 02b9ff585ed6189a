"""General MIDI instruments from soundfonts, rendered by FluidSynth in floating point."""

import ctypes
import ctypes.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stemwright.errors import FluidSynthMissing, SoundSourceMissing
from stemwright.train.score import Note

RATE = 44100
DRUM_BANK = 128


class Control(NamedTuple):
    """A change of a MIDI controller at a time in seconds; controller -1 is the pitch bend (0-16383)."""

    start_seconds: float
    number: int
    value: float


PROGRAMS: dict[str, tuple[int, ...]] = {
    "piano": (0, 0, 0, 1, 1, 2, 3), "electric piano": (4, 4, 5), "organ": (16, 16, 17, 18, 19, 20), "clavi": (6, 7),
    "mallets": (8, 9, 10, 11, 12, 13), "accordion": (21, 22, 23), "acoustic guitar": (24, 25, 25), "clean guitar": (26, 27, 27, 28),
    "driven guitar": (29, 30), "upright": (32, 32, 35), "electric bass": (33, 33, 34, 34, 35), "slap bass": (36, 37), "synth bass": (38, 39),
    "solo strings": (40, 41, 42, 40, 110), "string section": (48, 48, 49, 49, 44), "pizzicato": (45,), "harp": (46,),
    "low strings": (42, 43), "synth strings": (50, 51), "solo brass": (56, 57, 58, 59, 60, 56, 60), "brass section": (61, 61, 61, 62, 63),
    "sax": (64, 65, 65, 66, 66, 67), "reed": (68, 69, 70, 71, 71), "flute": (72, 73, 73, 74, 75, 77, 79), "blown": (76, 78),
    "synth lead": (80, 81, 81, 82, 83, 84, 86, 87), "synth pad": (88, 89, 90, 91, 92, 93, 94, 95), "fx": (96, 97, 98, 99, 100, 101, 102, 103),
    "noises": (119, 121, 122, 123, 124, 125, 126, 127), "choir": (52, 53, 54), "world": (104, 105, 106, 107, 108),
}  # fmt: skip
DRUM_KITS = (0, 0, 0, 8, 16, 16, 24, 25, 32, 40, 48)


class SoundFont:
    """One soundfont held open in one FluidSynth; renders a part at a time, always from the same fresh state."""

    def __init__(self, path: Path) -> None:
        self._lib = _library()
        settings = self._lib.new_fluid_settings()
        for name, value in (("synth.sample-rate", float(RATE)), ("synth.gain", 0.4)):
            self._lib.fluid_settings_setnum(settings, name.encode(), ctypes.c_double(value))
        for name, value in (("synth.polyphony", 192), ("synth.reverb.active", 0), ("synth.chorus.active", 0)):
            self._lib.fluid_settings_setint(settings, name.encode(), value)
        self._synth = self._lib.new_fluid_synth(settings)
        self._id = self._lib.fluid_synth_sfload(self._synth, str(path).encode(), 0)
        if self._id < 0:
            raise SoundSourceMissing(name=path.name, path=str(path), package="its own")

    def render(
        self, notes: Sequence[Note], samples: int, program: int, *, drums: bool = False, controls: Sequence[Control] = ()
    ) -> np.ndarray:
        """The part as float32 [samples, 2]; a kit that the soundfont lacks falls back to its first."""
        lib, synth, channel = self._lib, self._synth, 9 if drums else 0
        lib.fluid_synth_system_reset(synth)
        bank = DRUM_BANK if drums else 0
        if lib.fluid_synth_program_select(synth, channel, self._id, bank, program) != 0:
            lib.fluid_synth_program_select(synth, channel, self._id, bank, 0)
        sound, place = np.zeros((samples, 2), np.float32), 0
        for at, kind, number, value in _events(notes, controls):
            if at >= samples:
                break
            self._write(sound, place, at)
            place = max(place, at)
            if kind == 0:
                lib.fluid_synth_noteoff(synth, channel, number)
            elif kind == 2:
                lib.fluid_synth_noteon(synth, channel, number, value)
            elif number < 0:
                lib.fluid_synth_pitch_bend(synth, channel, value)
            else:
                lib.fluid_synth_cc(synth, channel, number, value)
        self._write(sound, place, samples)
        return sound

    def _write(self, sound: np.ndarray, first: int, last: int) -> None:
        if last > first:
            left = sound[first:].ctypes.data_as(ctypes.c_void_p)
            self._lib.fluid_synth_write_float(self._synth, last - first, left, 0, 2, left, 1, 2)


def _events(notes: Sequence[Note], controls: Sequence[Control]) -> list[tuple[int, int, int, int]]:
    """(sample, kind, number, value) in order: note-offs, then controls, then note-ons of the same sample."""
    events = []
    for note in notes:
        pitch, start = round(note.pitch), max(0, round(note.start_seconds * RATE))
        if 0 <= pitch <= 127:
            events.append((start, 2, pitch, int(np.clip(round(note.velocity), 1, 127))))
            events.append((max(start + 64, round((note.start_seconds + note.seconds) * RATE)), 0, pitch, 0))
    for control in controls:
        top = 16383 if control.number < 0 else 127
        events.append((max(0, round(control.start_seconds * RATE)), 1, control.number, int(np.clip(round(control.value), 0, top))))
    return sorted(events)


@cache
def soundfont(path: str) -> SoundFont:
    """The soundfont of a path, opened once per process (the compressed ones take seconds to open)."""
    return SoundFont(Path(path))


@cache
def _library() -> ctypes.CDLL:
    name = ctypes.util.find_library("fluidsynth") or "libfluidsynth.so.3"
    try:
        lib = ctypes.CDLL(name)
    except OSError as error:
        raise FluidSynthMissing(library=name) from error
    for function in ("new_fluid_settings", "new_fluid_synth"):
        getattr(lib, function).restype = ctypes.c_void_p
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    lib.new_fluid_synth.argtypes = [pointer]
    lib.fluid_settings_setnum.argtypes = [pointer, ctypes.c_char_p, ctypes.c_double]
    lib.fluid_settings_setint.argtypes = [pointer, ctypes.c_char_p, integer]
    lib.fluid_synth_sfload.argtypes = [pointer, ctypes.c_char_p, integer]
    lib.fluid_synth_program_select.argtypes = [pointer, integer, integer, integer, integer]
    lib.fluid_synth_write_float.argtypes = [pointer, integer, pointer, integer, integer, pointer, integer, integer]
    for name, count in (("system_reset", 0), ("noteoff", 2), ("noteon", 3), ("pitch_bend", 2), ("cc", 3)):
        getattr(lib, f"fluid_synth_{name}").argtypes = [pointer] + [integer] * count
    return lib

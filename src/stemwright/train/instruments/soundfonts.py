"""General MIDI instruments from soundfonts, rendered by FluidSynth in floating point."""

import ctypes
import ctypes.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stemwright.errors import FluidSynthMissing, SoundSourceMissing
from stemwright.train.composing.score import Note
from stemwright.train.instruments.voicing import Voicing

RATE = 44100
DRUM_BANK = 128


class Control(NamedTuple):
    """A change of a MIDI controller at a time in seconds; controller -1 is the pitch bend (0-16383)."""

    start_seconds: float
    number: int
    value: float


PROGRAMS: dict[str, tuple[int, ...]] = {
    "piano": (0, 0, 0, 1, 1, 2, 3), "electric piano": (4, 4, 5), "organ": (16, 16, 17, 18, 19, 20), "clavi": (6, 7),
    "mallets": (8, 9, 10, 11, 12, 13), "accordion": (21, 22, 23), "acoustic guitar": (24, 25, 25),
    "clean guitar": (26, 27, 27, 28),
    "driven guitar": (29, 30), "upright": (32, 32, 35), "electric bass": (33, 33, 34, 34, 35), "slap bass": (36, 37),
    "synth bass": (38, 39),
    "solo strings": (40, 41, 42, 40, 110), "string section": (48, 48, 49, 49, 44), "pizzicato": (45,), "harp": (46,),
    "low strings": (42, 43), "synth strings": (50, 51), "solo brass": (56, 57, 58, 59, 60, 56, 60),
    "brass section": (61, 61, 61, 62, 63),
    "sax": (64, 65, 65, 66, 66, 67), "reed": (68, 69, 70, 71, 71), "flute": (72, 73, 73, 74, 75, 77, 79),
    "blown": (76, 78),
    "synth lead": (80, 81, 81, 82, 83, 84, 86, 87), "synth pad": (88, 89, 90, 91, 92, 93, 94, 95), "fx": (96, 97, 98,
    99, 100, 101, 102, 103),
    "noises": (119, 121, 122, 123, 124, 125, 126, 127), "choir": (52, 53, 54), "world": (104, 105, 106, 107, 108),
}  # fmt: skip
DRUM_KITS = (0, 0, 0, 8, 16, 16, 24, 25, 32, 40, 48)


class SoundFont:
    """One soundfont held in memory; every part has a synth of its own: nothing rings over from the last."""

    def __init__(self, path: Path) -> None:
        self._lib = _library()
        self._settings = self._lib.new_fluid_settings()
        for name, value in (("synth.sample-rate", float(RATE)), ("synth.gain", 0.4)):
            self._lib.fluid_settings_setnum(self._settings, name.encode(), ctypes.c_double(value))
        for name, value in (("synth.polyphony", 192), ("synth.reverb.active", 0), ("synth.chorus.active", 0)):
            self._lib.fluid_settings_setint(self._settings, name.encode(), value)
        self._keeper = self._lib.new_fluid_synth(self._settings)
        number = self._lib.fluid_synth_sfload(self._keeper, str(path).encode(), 0)
        if number < 0:
            raise SoundSourceMissing(name=path.name, path=str(path), package="its own")
        self._font = self._lib.fluid_synth_get_sfont_by_id(self._keeper, number)

    def render(
        self,
        notes: Sequence[Note],
        samples: int,
        program: int,
        *,
        drums: bool = False,
        controls: Sequence[Control] = (),
        voicing: Voicing | None = None,
    ) -> np.ndarray:
        """The part as float32 [samples, 2]; a bank that the soundfont lacks falls back to its first, a kit likewise."""
        voicing = voicing or Voicing()
        synth = self._lib.new_fluid_synth(self._settings)
        number = self._lib.fluid_synth_add_sfont(synth, self._font)
        try:
            channel, bank = (9, DRUM_BANK) if drums else (0, voicing.bank or 0)
            for preset in ((bank, program), (DRUM_BANK, program // 8 * 8) if drums else (0, program), (bank, 0)):
                if self._lib.fluid_synth_program_select(synth, channel, number, *preset) == 0:
                    break
            for generator, offset in voicing.generators:
                self._lib.fluid_synth_set_gen(synth, channel, generator, offset)
            played = voicing.touched(notes) if voicing != Voicing() else notes
            return self._play(synth, channel, _events(played, controls), samples)
        finally:
            self._lib.fluid_synth_all_sounds_off(synth, -1)
            self._lib.fluid_synth_remove_sfont(synth, self._font)
            self._lib.delete_fluid_synth(synth)

    def _play(self, synth: int, channel: int, events: list[tuple[int, int, int, int]], samples: int) -> np.ndarray:
        lib, place = self._lib, 0
        sound = np.zeros((samples, 2), np.float32)
        for at, kind, number, value in events:
            if at >= samples:
                break
            self._write(synth, sound, (place, at))
            place = max(place, at)
            if kind == 0:
                lib.fluid_synth_noteoff(synth, channel, number)
            elif kind == 2:
                lib.fluid_synth_noteon(synth, channel, number, value)
            elif number < 0:
                lib.fluid_synth_pitch_bend(synth, channel, value)
            else:
                lib.fluid_synth_cc(synth, channel, number, value)
        self._write(synth, sound, (place, samples))
        return sound

    def _write(self, synth: int, sound: np.ndarray, span: tuple[int, int]) -> None:
        first, last = span
        if last > first:
            left = sound[first:].ctypes.data_as(ctypes.c_void_p)
            self._lib.fluid_synth_write_float(synth, last - first, left, 0, 2, left, 1, 2)


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
        events.append(
            (max(0, round(control.start_seconds * RATE)), 1, control.number, int(np.clip(round(control.value), 0, top)))
        )
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
    for function in ("new_fluid_settings", "new_fluid_synth", "fluid_synth_get_sfont_by_id"):
        getattr(lib, function).restype = ctypes.c_void_p
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    lib.fluid_set_log_function.argtypes = [integer, pointer, pointer]
    for level in range(5):  # it writes to stderr what it thinks of every bank
        lib.fluid_set_log_function(level, None, None)
    lib.fluid_synth_get_sfont_by_id.argtypes = [pointer, integer]
    lib.delete_fluid_synth.argtypes = [pointer]
    for function in ("fluid_synth_add_sfont", "fluid_synth_remove_sfont"):
        getattr(lib, function).argtypes = [pointer, pointer]
    lib.new_fluid_synth.argtypes = [pointer]
    lib.fluid_settings_setnum.argtypes = [pointer, ctypes.c_char_p, ctypes.c_double]
    lib.fluid_settings_setint.argtypes = [pointer, ctypes.c_char_p, integer]
    lib.fluid_synth_sfload.argtypes = [pointer, ctypes.c_char_p, integer]
    lib.fluid_synth_program_select.argtypes = [pointer, integer, integer, integer, integer]
    lib.fluid_synth_set_gen.argtypes = [pointer, integer, integer, ctypes.c_float]
    lib.fluid_synth_write_float.argtypes = [pointer, integer, pointer, integer, integer, pointer, integer, integer]
    for name, count in (("all_sounds_off", 1), ("noteoff", 2), ("noteon", 3), ("pitch_bend", 2), ("cc", 3)):
        getattr(lib, f"fluid_synth_{name}").argtypes = [pointer] + [integer] * count
    return lib

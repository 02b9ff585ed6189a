"""One note of a sung line, in seconds: what a melody hands to a singer."""

from typing import NamedTuple


class Note(NamedTuple):
    """Onset and length in seconds, MIDI pitch (A4 = 69, fractions allowed), MIDI velocity 1-127."""

    start_seconds: float
    seconds: float
    pitch: float
    velocity: float

"""The room where a song is played: its plan, its length, the sounds a split may use, and a record of those used."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stemwright.train.instruments import PROGRAMS, Control, soundfont
from stemwright.train.score import Note, Plan
from stemwright.train.sources import usable

RATE = 44100


@dataclass
class Part:
    """What one player gives to the mix: sound [samples, 2], its family's effects, place and level beside its stem's."""

    sound: np.ndarray
    effects: str
    level_db: float = 0.0
    pan: float = 0.0
    width: float = 1.0


@dataclass
class Studio:
    """Hands out sounds and remembers which."""

    plan: Plan
    split: str
    samples: int
    used: set[str] = field(default_factory=set)

    def soundfont_part(
        self, rng: np.random.Generator, notes: Sequence[Note], instrument: str | int, *, drums: bool = False,
        controls: Sequence[Control] = (),
    ) -> np.ndarray:  # fmt: skip
        """The notes on a program, or one of a name of PROGRAMS, of one of the split's soundfonts."""
        fonts = usable(self.split, "soundfont")
        font = fonts[int(rng.integers(len(fonts)))]
        self.used.add(font.name)
        program = instrument if isinstance(instrument, int) else int(rng.choice(PROGRAMS[instrument]))
        return soundfont(str(font.file())).render(notes, self.samples, program, drums=drums, controls=controls)

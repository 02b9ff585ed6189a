"""The room where a song is played: its plan, its length, the sounds a split may use, and a record of those used."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stemwright.train.composing.score import Note, Plan
from stemwright.train.instruments.soundfonts import PROGRAMS, Control, soundfont
from stemwright.train.instruments.sources import Source, usable
from stemwright.train.instruments.voicing import MORE, MORE_KITS, Voicing, draw_kit_voicing, draw_voicing

RATE = 44100
# Three of the soundfonts hold much of the same recordings; the fourth is as often heard as all of them.
SHARES = {"GeneralUser GS": 2.5, "FluidR3 Mono": 0.6}
UNBENT = ("noises",)
# Banks and programs of noises in the Roland order, but for the voices among them.
NOISES = ((1, 120), (1, 121), (1, 122), (1, 124), (1, 125), (1, 127), (2, 120), (2, 122), (2, 123), (2, 124), (2, 125),
          (2, 127), (3, 122), (3, 123), (3, 124), (3, 125), (3, 126), (3, 127), (4, 122), (4, 124), (4, 125), (4, 126),
          (5, 122), (5, 124), (5, 125), (5, 126), (6, 125), (7, 125), (8, 125))  # fmt: skip


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

    @property
    def varied(self) -> bool:
        """Whether sounds are bent and mixed anew for every song; those of test stay as they are written."""
        return self.split != "test"

    def soundfont_part(
        self, rng: np.random.Generator, notes: Sequence[Note], instrument: str | int, *, drums: bool = False,
        controls: Sequence[Control] = (),
    ) -> np.ndarray:  # fmt: skip
        """The notes on a program, or one of a name of PROGRAMS, of one of the split's soundfonts.

        In songs that are learned from, the instrument is bent, and one in five is two instruments in one.
        """
        if not self.varied:
            fonts = usable(self.split, "soundfont")
            font = fonts[int(rng.integers(len(fonts)))]
            program = instrument if isinstance(instrument, int) else int(rng.choice(PROGRAMS[instrument]))
            return self._play(font, notes, program, drums=drums, controls=controls)
        sound = self._bent_part(rng, notes, instrument, drums=drums, controls=controls)
        if rng.random() < 0.2:
            second = self._bent_part(rng, notes, instrument, drums=drums, controls=controls)
            sound = sound + second * np.float32(10 ** (rng.uniform(-14, 0) / 20))
        return sound

    def noise_part(self, rng: np.random.Generator, notes: Sequence[Note]) -> np.ndarray | None:
        """The notes on one of the noises of a bank that has nothing else; None where the split has no such bank."""
        banks = usable(self.split, "noises")
        if not banks:
            return None
        bank, program = NOISES[int(rng.integers(len(NOISES)))]
        return self._play(banks[0], notes, program, drums=False, controls=(), voicing=Voicing(bank))

    def _bent_part(
        self, rng: np.random.Generator, notes: Sequence[Note], instrument: str | int, *, drums: bool,
        controls: Sequence[Control],
    ) -> np.ndarray:  # fmt: skip
        fonts = usable(self.split, "soundfont")
        odds = np.array([SHARES.get(font.name, 1.0) for font in fonts])
        font = fonts[int(rng.choice(len(fonts), p=odds / odds.sum()))]
        if drums:
            kit = int(rng.choice(MORE_KITS))
            return self._play(font, notes, kit, drums=True, controls=controls, voicing=draw_kit_voicing(rng))
        if isinstance(instrument, int):
            return self._play(font, notes, instrument, drums=False, controls=controls)
        presets = [(0, program) for program in PROGRAMS[instrument]] + list(MORE.get(instrument, ()))
        bank, program = presets[int(rng.integers(len(presets)))]
        voicing = draw_voicing(rng, instrument, bank) if instrument not in UNBENT else None
        return self._play(font, notes, program, drums=False, controls=controls, voicing=voicing)

    def _play(
        self, font: Source, notes: Sequence[Note], program: int, *, drums: bool, controls: Sequence[Control],
        voicing: Voicing | None = None,
    ) -> np.ndarray:  # fmt: skip
        self.used.add(font.name)
        held = soundfont(str(font.file()))
        return held.render(notes, self.samples, program, drums=drums, controls=controls, voicing=voicing)

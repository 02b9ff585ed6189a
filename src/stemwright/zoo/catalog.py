"""Model cards: TOML files as frozen, checked values. No weights are touched and no net is imported here."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from stemwright.errors import BadCard, UnknownModel
from stemwright.zoo import installed

CARDS = Path(str(files("stemwright"))) / "zoo" / "cards"
WEIGHTS = Path(str(files("stemwright"))) / "weights"
BUNDLED = "twelve"
TRAINED = "bandsplit"
"""The architecture that `stemwright train` makes."""
MAX_SEGMENT_SECONDS = 600


@dataclass(frozen=True)
class StftSizes:
    """The spectrum a mask net reads: samples per frame and between frames."""

    n_fft: int
    hop: int
    window: str = "hann"
    center: bool = True
    pad: str = "constant"

    def __post_init__(self) -> None:
        _check(_whole(self.n_fft, 16, 1 << 16), "stft.n_fft is not a whole number from 16 to 65536")
        _check(_whole(self.hop, 1, 1 << 16), "stft.hop is not a whole number above 0")
        _check(self.n_fft % self.hop == 0, "stft.n_fft is not a multiple of stft.hop")
        _check(self.window in ("hann", "sine"), "stft.window is neither hann nor sine")
        _check((self.center, self.pad) == (True, "constant"), "stft: only centred frames on zeros")


@dataclass(frozen=True)
class Card:
    """What is known about a model: where its weights lie, what it takes, what it gives, how good it is."""

    name: str
    architecture: str
    format: str
    weights: str
    sha256: str
    licence: str
    source: str
    rate: int
    stems: tuple[str, ...]
    stft: StftSizes
    segment_frames: int
    hop_frames: int
    mask_bins: tuple[int, ...]
    experimental: tuple[str, ...] = ()
    scores: dict[str, Any] = field(default_factory=dict)
    made_by: dict[str, Any] = field(default_factory=dict)
    home: Path = WEIGHTS

    def __post_init__(self) -> None:
        texts = (self.name, self.weights, self.sha256, self.licence, self.source)
        _check(all(isinstance(text, str) for text in texts), "a name, a file, the licence or the source is no text")
        _check(self.architecture == TRAINED, f"architecture {self.architecture!r} is not known")
        _check(self.format == "onnx", f"format {self.format!r} is not known")
        _check(len(self.sha256) == 64, "sha256 is not 64 hexadecimal digits")
        _check(_whole(self.rate, 8000, 192000), "rate is not a whole number from 8000 to 192000")
        _check(isinstance(self.stems, tuple) and all(map(is_stem, self.stems)), "a stem's name cannot be a file's")
        _check(len(set(map(str.casefold, self.stems))) == len(self.stems) > 0, "stems are missing or named twice")
        _check(set(self.experimental) <= set(self.stems), "experimental names a stem that the model does not have")
        _check(all(_whole(each, 0, 1 << 16) for each in self._sizes), "a size in frames or bins is not a whole number")
        _check(0 < self.hop_frames < self.segment_frames, "hop_frames is not between 0 and segment_frames")
        _check(self.mask_bins[:1] == (0,), "mask_bins does not start at 0")
        _check(list(self.mask_bins) == sorted(set(self.mask_bins)), "mask_bins does not ascend")
        _check(self.mask_bins[-1] <= self.stft.n_fft // 2, "mask_bins reaches past the last bin")
        _check(self.segment_seconds <= MAX_SEGMENT_SECONDS, f"a segment is longer than {MAX_SEGMENT_SECONDS} s")

    @property
    def _sizes(self) -> tuple[int, ...]:
        return self.segment_frames, self.hop_frames, *self.mask_bins

    @property
    def weights_path(self) -> Path:
        """The file with the weights."""
        return self.home / self.weights

    @property
    def segment_seconds(self) -> float:
        """How much of a song the model sees at once."""
        return (self.segment_frames - 1) * self.stft.hop / self.rate


@cache
def card(name: str) -> Card:
    """The card of a model; raises UnknownModel when there is none of that name."""
    if name not in names():
        raise UnknownModel(model=name)
    return read(CARDS / f"{name}.toml")


def names() -> list[str]:
    """Models that can be loaded, by name."""
    return sorted(path.stem for path in CARDS.glob("*.toml"))


def ours(name: str) -> Card | None:
    """The card of a net of our own: the bundled one, or one that somebody trained and took in; raises BadCard."""
    if name in names():
        return card(name)
    model = installed.find(name)
    if model is None or model.facts["architecture"] != TRAINED:
        return None
    return read(model.folder / "card.toml", home=model.folder)


def trained(name: str) -> Card:
    """The card of a net of our own; raises UnknownModel for any other model, BadCard."""
    found = ours(name)
    if found is None:
        raise UnknownModel(model=name)
    return found


def read(path: Path, *, home: Path = WEIGHTS) -> Card:
    """A card from its file, with the folder of its weights; raises BadCard with what is wrong with it."""
    try:
        fields: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        fields = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
        fields["stft"] = StftSizes(**fields["stft"])
        return Card(**fields, home=home)
    except (OSError, TypeError, ValueError, KeyError, RecursionError) as error:
        raise BadCard(path=path, reason=error) from error


def is_stem(name: object) -> bool:
    """Whether a stem can have that name: it becomes a file's, and nothing from elsewhere may lead out of a folder."""
    return isinstance(name, str) and re.fullmatch(r"\w[\w +&-]{0,39}", name) is not None


def _whole(value: object, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _check(holds: bool, complaint: str) -> None:  # noqa: FBT001  an assertion of data
    if not holds:
        raise ValueError(complaint)

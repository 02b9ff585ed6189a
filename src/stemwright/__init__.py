"""Stemwright: songs into stems. Importing it loads nothing; each name below is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemwright.audio.decode import Limits
    from stemwright.audio.signal import Audio
    from stemwright.engine.progress import Progress
    from stemwright.errors import Cancelled, StemwrightError
    from stemwright.outcome import SeparatedFiles
    from stemwright.separation import Separation, separate, separate_to
    from stemwright.zoo.loading import load

_HOMES = {
    "Audio": "stemwright.audio.signal",
    "Cancelled": "stemwright.errors",
    "Limits": "stemwright.audio.decode",
    "Progress": "stemwright.engine.progress",
    "SeparatedFiles": "stemwright.outcome",
    "Separation": "stemwright.separation",
    "StemwrightError": "stemwright.errors",
    "load": "stemwright.zoo.loading",
    "separate": "stemwright.separation",
    "separate_to": "stemwright.separation",
}

__all__ = [
    "Audio",
    "Cancelled",
    "Limits",
    "Progress",
    "SeparatedFiles",
    "Separation",
    "StemwrightError",
    "load",
    "separate",
    "separate_to",
]


def __getattr__(name: str) -> Any:
    # A module-level import here would bring the codecs into every process, the API's included (docs/decisions).
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

"""Stemwright: songs into stems. Importing it loads nothing; each name below is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemwright.audio.decode import Limits
    from stemwright.audio.signal import Audio
    from stemwright.batch.front import Batch, separate_all
    from stemwright.client.calls import Client
    from stemwright.client.receiving import Receiver
    from stemwright.client.webhooks import verify_webhook
    from stemwright.engine.progress import Progress
    from stemwright.errors import Cancelled, StemwrightError
    from stemwright.outcome import SeparatedFiles
    from stemwright.separation import Separation, separate, separate_to
    from stemwright.zoo.loading import load

_HOMES = {
    "Audio": "stemwright.audio.signal",
    "Batch": "stemwright.batch.front",
    "Cancelled": "stemwright.errors",
    "Client": "stemwright.client.calls",
    "Limits": "stemwright.audio.decode",
    "Progress": "stemwright.engine.progress",
    "SeparatedFiles": "stemwright.outcome",
    "Receiver": "stemwright.client.receiving",
    "Separation": "stemwright.separation",
    "StemwrightError": "stemwright.errors",
    "load": "stemwright.zoo.loading",
    "separate": "stemwright.separation",
    "separate_all": "stemwright.batch.front",
    "separate_to": "stemwright.separation",
    "verify_webhook": "stemwright.client.webhooks",
}

__all__ = [
    "Audio",
    "Batch",
    "Cancelled",
    "Client",
    "Limits",
    "Progress",
    "Receiver",
    "SeparatedFiles",
    "Separation",
    "StemwrightError",
    "load",
    "separate",
    "separate_all",
    "separate_to",
    "verify_webhook",
]


def __getattr__(name: str) -> Any:
    # A module-level import here would bring the codecs into every process, the API's included (docs/decisions).
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

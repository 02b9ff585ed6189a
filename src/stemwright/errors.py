"""Every error Stemwright raises: the docstring of the class is its message."""

from __future__ import annotations

import string


class StemwrightError(Exception):
    """Something went wrong in Stemwright."""

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(fields)

    def __str__(self) -> str:
        template = " ".join((self.__doc__ or "").split())
        return _Formatter().format(template, **self.fields)


class _Formatter(string.Formatter):
    """Leaves a placeholder visible when its field was not given: a message is never lost to a KeyError."""

    def get_value(self, key: int | str, args: object, kwargs: object) -> object:
        fields = kwargs if isinstance(kwargs, dict) else {}
        return fields.get(key, f"<{key}>")


# ---- audio ----------------------------------------------------------------------------------------------------------


class AudioError(StemwrightError):
    """The audio could not be read or written."""


class FileMissing(AudioError):
    """There is no file {path}. Check the path."""


class NotAFile(AudioError):
    """{path} is a folder, not an audio file. Give a file, or a folder to the command `stemwright separate`."""


class NotAudio(AudioError):
    """{path} is not audio that can be decoded ({reason}). Give an audio or video file, such as mp3, wav, flac, m4a or mp4."""


class NoAudioStream(AudioError):
    """{path} has no sound in it. Give a file with an audio stream."""


class EmptyAudio(AudioError):
    """{path} has no samples: it is empty or was cut off before the first one."""


class NotFinite(AudioError):
    """{path} holds a value that is not a number (NaN or infinity) at {seconds:.3f} s. Repair the file: every stem would be spoiled by it."""


class TooLong(AudioError):
    """{path} is longer than the limit of {max_seconds:g} s. Cut it, or raise the limit."""


class TooLarge(AudioError):
    """{path} is larger than the limit of {max_bytes} bytes."""


class UnknownFormat(AudioError):
    """There is no output format {format!r}. Choose one of: {choices}."""


class CannotWrite(AudioError):
    """{path} could not be written: {reason}. Nothing was left behind."""


class DiskFull(CannotWrite):
    """The disk is full: {path} could not be written. Free some space and run it again; nothing was left behind."""


# ---- engine, zoo ----------------------------------------------------------------------------------------------------


class UnknownStem(StemwrightError):
    """There is no stem {stem!r} in the model {model}. Choose from: {choices}."""


class UnknownModel(StemwrightError):
    """There is no model {model!r}. `stemwright models list` shows those that exist."""


class BadCard(StemwrightError):
    """The model card {path} is not valid: {reason}."""


class BadWeights(StemwrightError):
    """The weights {path} do not match their card: sha256 is {found}, the card says {expected}. Install them again."""


class Cancelled(StemwrightError):
    """The separation was cancelled."""

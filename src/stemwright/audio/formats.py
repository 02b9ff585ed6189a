"""What files of sound are called, and as what a stem can be written. No codec is loaded here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from stemwright.errors import BadSound, UnknownFormat

MP3_RATES = (44100, 48000, 32000)  # of MPEG-1, in the order of the header's field
MP3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
CONTENT_TYPES = {
    ".mp3": "audio/mpeg audio/mp3",
    ".wav": "audio/wav audio/x-wav audio/wave",
    ".wave": "audio/wav",
    ".flac": "audio/flac audio/x-flac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg audio/opus",
    ".spx": "audio/ogg",
    ".m4a": "audio/mp4 audio/x-m4a",
    ".m4b": "audio/mp4",
    ".m4r": "audio/mp4",
    ".aac": "audio/aac",
    ".aiff": "audio/aiff audio/x-aiff",
    ".aif": "audio/aiff",
    ".aifc": "audio/aiff",
    ".wma": "audio/x-ms-wma",
    ".mp2": "audio/mpeg",
    ".mpga": "audio/mpeg",
    ".ac3": "audio/ac3",
    ".eac3": "audio/eac3",
    ".dts": "audio/vnd.dts",
    ".caf": "audio/x-caf",
    ".ape": "audio/x-ape",
    ".wv": "audio/x-wavpack",
    ".tta": "audio/x-tta",
    ".tak": "audio/x-tak",
    ".au": "audio/basic",
    ".snd": "audio/basic",
    ".w64": "audio/x-w64",
    ".amr": "audio/amr",
    ".voc": "audio/x-voc",
    ".dsf": "audio/x-dsf",
    ".mpc": "audio/x-musepack",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm audio/webm",
    ".mkv": "video/x-matroska",
    ".mka": "audio/x-matroska",
    ".avi": "video/x-msvideo",
    ".flv": "video/x-flv",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
    ".ts": "video/mp2t",
    ".mts": "video/mp2t",
    ".m2ts": "video/mp2t",
    ".3gp": "video/3gpp",
    ".3g2": "video/3gpp2",
    ".ogv": "video/ogg",
}
"""What the names of songs end in, and their content type, then what else senders call it. What a system knows of types
differs from machine to machine, and a container knows next to nothing."""
EXTENSIONS = CONTENT_TYPES.keys()
"""What the names of songs end in; any file can be one all the same."""
_AAC_RATES = (32000, 44100, 48000, 64000, 88200, 96000)
_USUAL_BITS, _USUAL_KBPS, FLOAT_BITS = 16, 320, 32
_DIGITS = 6  # of any bits or bitrate


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file: FFmpeg's muxer, codec and sample format by bits, the rates it holds (none: any), options."""

    name: str
    muxer: str
    codecs: Mapping[int, tuple[str, str]]
    rates: tuple[int, ...] = ()
    kbps: Collection[int] = ()  # lossy
    codec_options: Mapping[str, str] = field(default_factory=dict[str, str])
    muxer_options: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def is_lossy(self) -> bool:
        return bool(self.kbps)

    def rate_for(self, rate: int) -> int:
        """The rate for sound at `rate`: the same if possible, else the next multiple or fraction of it, else 48000."""
        if not self.rates or rate in self.rates:
            return rate
        multiples = [known for known in self.rates if known % rate == 0]
        fractions = [known for known in self.rates if rate % known == 0]
        return min(multiples) if multiples else max(fractions, default=48000)


FORMATS = {
    "mp3": Format("mp3", "", {16: ("lame", "s16")}, MP3_RATES, MP3_KBPS),
    "wav": Format(
        "wav",
        "wav",
        {16: ("pcm_s16le", "s16"), 24: ("pcm_s24le", "s32"), FLOAT_BITS: ("pcm_f32le", "flt")},
        muxer_options={"rf64": "auto"},
    ),
    "flac": Format("flac", "flac", {16: ("flac", "s16"), 24: ("flac", "s32")}),
    "opus": Format(
        "opus",
        "ogg",
        {16: ("libopus", "flt")},
        (48000,),
        range(6, 511),
        codec_options={"compression_level": "5"},
        muxer_options={"page_duration": "100000"},  # 0.1 s: a player fetches whole pages
    ),
    "m4a": Format(
        "m4a",
        "mp4",
        {16: ("aac", "fltp")},
        _AAC_RATES,
        range(32, 513),
        # Substituted noise is another one in every decoder; intensity stereo, which this coder takes at any bitrate,
        # makes one side a copy of the other: at 320 kbit/s a voice is 18 dB above the error instead of 46.
        codec_options={"aac_coder": "fast", "aac_pns": "0", "aac_is": "0"},
        muxer_options={"brand": "M4A "},
    ),
}
_ALIASES = {"aac": "m4a"}


def format_named(name: str) -> Format:
    """The format of that name (case and a leading dot ignored). Raises UnknownFormat."""
    plain = name.lower().lstrip(".")
    found = FORMATS.get(_ALIASES.get(plain, plain))
    if found is None:
        raise UnknownFormat(format=name, choices=", ".join(FORMATS))
    return found


class Written(TypedDict, total=False):
    """How stems are written: fields of `Sound.of`."""

    format: str
    bits: int | None
    bitrate_kbps: int | None
    dither: bool


@dataclass(frozen=True, slots=True)
class Sound:
    """How a stem goes into a file: `bits` (32 is float) of a lossless one, `kbps` of a lossy one, dither at 16 bits."""

    kind: Format
    bits: int = _USUAL_BITS
    kbps: int = _USUAL_KBPS
    dither: bool = True

    @classmethod
    def of(
        cls, format: str = "mp3", *, bits: int | None = None, bitrate_kbps: int | None = None, dither: bool = True
    ) -> Sound:
        """A format and its numbers, which may stand in its name: "flac-24", "wav-32f", "opus-96".

        Raises UnknownFormat and BadSound.
        """
        if not isinstance(format, str):
            raise UnknownFormat(format=format, choices=", ".join(FORMATS))
        name, _, number = format.partition("-")
        kind = format_named(name)
        if number:
            named_bits, named_kbps = _numbers(kind, number, format)
            bits, bitrate_kbps = _agreed(named_bits, bits, format), _agreed(named_kbps, bitrate_kbps, format)
        if bits is not None and (kind.is_lossy or bits not in kind.codecs):
            other = "A lossy format has a bitrate instead" if kind.is_lossy else _choices(kind)
            raise BadSound(format=kind.name, wrong=f"{_bits(bits)} bits", choices=other)
        if bitrate_kbps is not None and bitrate_kbps not in kind.kbps:
            raise BadSound(format=kind.name, wrong=f"{bitrate_kbps!r} kbit/s", choices=_choices(kind))
        return cls(kind, bits or _USUAL_BITS, bitrate_kbps or _USUAL_KBPS, dither)

    @property
    def format(self) -> str:
        return self.kind.name

    @property
    def is_exact(self) -> bool:
        """More than 16 bits can tell."""
        return not self.kind.is_lossy and self.bits > _USUAL_BITS

    @property
    def is_float(self) -> bool:
        """Samples above full scale are kept as they are."""
        return self.bits == FLOAT_BITS

    @property
    def is_dithered(self) -> bool:
        return self.dither and not self.kind.is_lossy and self.bits == _USUAL_BITS


def _numbers(kind: Format, text: str, format: str) -> tuple[int | None, int | None]:
    """What stands behind the format's name, as bits or as kbit/s."""
    number = text.removesuffix("f") if text == f"{FLOAT_BITS}f" else text
    if not number.isdecimal() or len(number) > _DIGITS or number != str(int(number)):
        raise UnknownFormat(format=format, choices=", ".join(FORMATS))
    return (None, int(number)) if kind.is_lossy else (int(number), None)


def _agreed(named: int | None, told: int | None, format: str) -> int | None:
    """The number in the format's name, or the one told beside it; raises BadSound where they differ."""
    if None not in (named, told) and named != told:
        raise BadSound(format=format, wrong=repr(told), choices="Its name tells another number: give one of them")
    return told if named is None else named


def _bits(bits: int) -> str:
    return f"{bits}f" if bits == FLOAT_BITS else repr(bits)


def _choices(kind: Format) -> str:
    if isinstance(kind.kbps, range):
        return f"Choose from {kind.kbps.start} to {kind.kbps.stop - 1} kbit/s"
    if kind.is_lossy:
        return f"Choose one of these kbit/s: {', '.join(map(str, kind.kbps))}"
    return f"Choose one of these bits: {', '.join(map(_bits, kind.codecs))}"

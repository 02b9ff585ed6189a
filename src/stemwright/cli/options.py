"""Kinds of options, and those of `stemwright separate` that a list of songs can have as well."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from cyclopts import Parameter, validators

from stemwright.zoo.catalog import BUNDLED

Flag = Annotated[bool, Parameter(negative=())]
Count = Annotated[int, Parameter(validator=validators.Number(gte=1))]
Texts = Annotated[list[str] | None, Parameter(negative=())]


@Parameter(name="*")
@dataclass(frozen=True)
class Hearing:
    """What to hear.

    Parameters
    ----------
    stems
        Only these stems, for example `vocals,drums`; `none` where groups and mixes are enough. `stemwright models show
        MODEL` names them all.
    except_
        All but these; their sum is written too: `--except vocals` makes the karaoke track `no_vocals`.
    two
        Two stems: vocals and instrumental.
    rest
        One more stem under this name, with everything that no stem and no group has.
    group
        Several stems as one, as in `--group "band=guitar+keyboard+synth"`; may be repeated.
    mix
        A mix with gains in dB, as in `--mix "practice=vocals:-6,bass:-inf,*"`, where * is all others; may be repeated.
    preview
        Only so many seconds, of the loudest part.
    model
        One of those that `stemwright models list` shows.
    profile
        `upstream` makes a public model's stems equal to its own project's, even where they do not sum to the song.
    precision
        What a public model computes in; `auto` is the fastest here that stays 40 dB above its error.
    """

    stems: str | None = None
    except_: Annotated[str | None, Parameter(name="--except")] = None
    two: Flag = False
    rest: str | None = None
    group: Texts = None
    mix: Texts = None
    preview: float | None = None
    model: str = BUNDLED
    profile: Literal["consistent", "upstream"] = "consistent"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"


@Parameter(name="*")
@dataclass(frozen=True)
class Writing:
    """How it is written.

    Parameters
    ----------
    format
        mp3, wav, flac, opus or m4a; also with bits or kbit/s, as in `flac-24` or `mp3-192`.
    rate
        Samples per second; `keep` is the song's own.
    bits
        Of wav and flac files, 16 where none are given, whatever the song has; 32f is float (wav), which never clips.
    bitrate
        kbit/s of mp3, m4a and opus files, 320 where none are given.
    dither
        Shape the rounding to 16 bits into noise instead of distortion.
    name
        A template for the files below OUT, as in `--name "{artist} - {title} ({stem}).{ext}"`, or in
        `--name "{folder}/{song}/{stem}.{ext}"`, which keeps the folders of an album.
    silent
        What to do with stems in which there is nothing to hear.
    also
        Files of the whole song besides: stem.mp4 (DJ programs), dawproject, rpp (REAPER), karaoke (a video, from one),
        report and zip, separated by commas.
    report
        The same as `--also report`: a page to look at, with pictures, levels, tempo and key.
    """

    format: str = "mp3"
    rate: str = "keep"
    bits: Literal["16", "24", "32f"] | None = None
    bitrate: int | None = None
    dither: bool = True
    name: str | None = None
    silent: Literal["write", "skip"] = "write"
    also: str | None = None
    report: Flag = False


def texts(hearing: Hearing | None, writing: Writing | None) -> dict[str, Any]:
    """The options by the names that lists of songs call them."""
    told = asdict(hearing or Hearing()) | asdict(writing or Writing())
    told["also"] = ",".join(filter(None, (told["also"], "report" if told.pop("report") else None)))
    return {name.rstrip("_"): value for name, value in told.items()}

"""`stemwright separate`: songs, folders and lists of them in; stems, groups and mixes out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

from cyclopts import CycloptsError, Parameter

from stemwright.batch import songs as meant
from stemwright.batch.manifest import read_manifest
from stemwright.batch.running import separate_all
from stemwright.batch.wishes import Wish, checked, from_texts
from stemwright.cli.reports import report
from stemwright.errors import BadOption
from stemwright.zoo.catalog import BUNDLED

Flag = Annotated[bool, Parameter(negative=())]
Texts = Annotated[list[str] | None, Parameter(negative=())]


def separate(  # noqa: PLR0913  a command line has as many options as people have wishes
    *songs: Path,
    out: Path = Path("stems"),
    manifest: Path | None = None,
    stems: str | None = None,
    except_: Annotated[str | None, Parameter(name="--except")] = None,
    two: Flag = False,
    rest: str | None = None,
    group: Texts = None,
    mix: Texts = None,
    preview: float | None = None,
    format: str = "mp3",
    rate: str = "keep",
    bits: Literal["16", "24", "32f"] | None = None,
    bitrate: int | None = None,
    dither: bool = True,
    name: str | None = None,
    silent: Literal["write", "skip"] = "write",
    model: str = BUNDLED,
    profile: Literal["consistent", "upstream"] = "consistent",
    jobs: Annotated[int, Parameter(name="--jobs")] = 1,
    again: Flag = False,
    json: Flag = False,
) -> int:
    """Separate songs, or whole folders of them, into stems.

    A song `Tune.mp3` becomes `OUT/Tune/vocals.mp3` and so on. A song that is done already, with the same options, is
    skipped; one that fails does not stop the others.

    Parameters
    ----------
    songs
        Audio or video files, patterns such as `music/**/*.flac`, and folders that are searched for them.
    out
        The folder for the results.
    manifest
        A list of songs: paths a line, a CSV table or JSON lines with a `path` and these options.
    stems
        Only these stems, for example `vocals,drums`; `none` where groups and mixes are enough.
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
    format
        mp3, wav, flac, opus or m4a.
    rate
        Samples per second; `keep` is the song's own.
    bits
        Of wav and flac files; 32f is float (wav).
    bitrate
        kbit/s of mp3, m4a and opus files.
    dither
        Shape the rounding to 16 bits into noise instead of distortion.
    name
        A template for the files below OUT, as in `--name "{artist} - {title} ({stem}).{ext}"`.
    silent
        What to do with stems in which there is nothing to hear.
    model
        One of those that `stemwright models list` shows.
    profile
        `upstream` makes a public model's stems equal to its own project's, even where they do not sum to the song.
    jobs
        How many songs to separate at once.
    again
        Separate also what is done already.
    json
        Print one JSON object a line, for machines.
    """
    if not songs and manifest is None:
        raise CycloptsError(msg="Give at least one song or folder.")
    if jobs < 1:
        raise CycloptsError(msg="--jobs is the number of songs to separate at once: 1 or more.")
    texts = {"stems": stems, "except": except_, "rest": rest, "group": group, "mix": mix, "preview": preview}
    texts |= {"format": format, "rate": rate, "bits": bits, "bitrate": bitrate, "model": model, "profile": profile}
    texts |= {"name": name, "silent": silent, "two": two, "dither": dither}
    work = _work(songs, manifest, _wish(texts), out)
    with report(len(work), as_json=json) as told:
        separate_all(work, out, told, at_once=jobs, again=again)
    return told.status


def _wish(texts: dict[str, object]) -> Wish:
    """What the options mean; a name that does not exist is one error, not one for every song."""
    try:
        return checked(from_texts(texts))
    except BadOption as error:
        error.fields["option"] = f"--{error.fields['option']}"
        raise CycloptsError(msg=str(error)) from error


def _work(songs: tuple[Path, ...], manifest: Path | None, wish: Wish, out: Path) -> list[meant.Job]:
    listed = [] if manifest is None else read_manifest(manifest)
    return meant.jobs(
        [*((song, wish) for song in songs), *((song, cast(Wish, {**wish, **own})) for song, own in listed)], out
    )

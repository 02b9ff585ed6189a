"""`stemwright separate`: songs, folders and lists of them in; stems, groups and mixes out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

from cyclopts import CycloptsError, Parameter

from stemwright.batch import songs as meant
from stemwright.batch.manifest import read_manifest
from stemwright.batch.running import separate_jobs
from stemwright.batch.texts import from_texts
from stemwright.cli.options import Flag, Hearing, Writing, texts
from stemwright.cli.reports import report
from stemwright.errors import BadOption, StemwrightError
from stemwright.wish import Options, Wish
from stemwright.zoo.machine import keep_pages


def separate(
    *songs: Path,
    out: Path = Path("stems"),
    manifest: Path | None = None,
    hearing: Hearing | None = None,
    writing: Writing | None = None,
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
        A list of songs: paths a line (m3u too), a CSV table or JSON lines with a `path` and options of these names.
    jobs
        How many songs to separate at once.
    again
        Separate also what is done already.
    json
        Print one JSON object a line, for machines.
    """
    if not songs and manifest is None:
        raise CycloptsError(msg="Give at least one song or folder.")
    for song in songs:
        if str(song).startswith(("http:/", "https:/")) and not song.exists():
            address = str(song).replace(":/", "://", 1)  # a path has lost a slash of it
            raise CycloptsError(msg=f"{address} is an address, and songs are files here. Download it first.")
        if song.suffix.lower() in (".m3u", ".m3u8"):
            raise CycloptsError(msg=f"{song} is a list of songs. Give it with --manifest.")
    if jobs < 1:
        raise CycloptsError(msg="--jobs is the number of songs to separate at once: 1 or more.")
    work = _work(songs, manifest, texts(hearing, writing), out)
    keep_pages()
    with report(len(work), as_json=json) as told:
        separate_jobs(work, out, told, at_once=jobs, again=again)
    return told.status


def _work(songs: tuple[Path, ...], manifest: Path | None, told: dict[str, Any], out: Path) -> list[meant.Job]:
    options, wish = _asked(told)
    listed = [] if manifest is None else read_manifest(manifest)
    named = [(song, wish) for song in songs]
    return meant.jobs([*named, *((song, _for_one(_joined(options, own))) for song, own in listed)], out)


def _joined(options: Options, own: Options) -> Options:
    """A song's options before those of the command, whose bits and bitrate are of the command's format alone."""
    replaced = {"bits", "bitrate_kbps"} if "format" in own else set[str]()
    return cast(Options, {name: told for name, told in options.items() if name not in replaced} | own)


def _asked(told: dict[str, Any]) -> tuple[Options, Wish]:
    """What the options mean; a name that does not exist is one error, not one for every song."""
    try:
        options = from_texts(told)
        return options, Wish.of(**options)
    except BadOption as error:
        error.fields["option"] = f"--{error.fields['option']}"
        raise CycloptsError(msg=str(error)) from error


def _for_one(options: Options) -> Wish | StemwrightError:
    """What the options of a line of a list mean, or why that one song is not separated."""
    try:
        return Wish.of(**options)
    except StemwrightError as error:
        return error

"""`stemwright separate`: songs and folders in, a folder of stems for each song out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import CycloptsError, Parameter

from stemwright.audio.encode import format_named
from stemwright.cli.reports import Report, report
from stemwright.cli.songs import Job, jobs
from stemwright.errors import StemwrightError
from stemwright.separation import separate_to
from stemwright.zoo.catalog import BUNDLED
from stemwright.zoo.choice import choose

Flag = Annotated[bool, Parameter(negative=())]


def separate(
    *songs: Path,
    out: Path = Path("stems"),
    stems: str | None = None,
    two: Flag = False,
    rest: str | None = None,
    format: str = "mp3",
    model: str = BUNDLED,
    profile: Literal["consistent", "upstream"] = "consistent",
    json: Flag = False,
) -> int:
    """Separate songs, or whole folders of them, into stems.

    A song `Tune.mp3` becomes `OUT/Tune/vocals.mp3` and so on. A song that fails does not stop the others.

    Parameters
    ----------
    songs
        Audio or video files, and folders that are searched for them.
    out
        The folder for the results.
    stems
        Only these stems, for example `vocals,drums`.
    two
        Two stems: vocals and instrumental.
    rest
        One more stem under this name, with everything that `--stems` leaves out.
    format
        mp3, wav, flac, opus or m4a.
    model
        One of those that `stemwright models list` shows.
    profile
        `upstream` makes a public model's stems equal to its own project's, even where they do not sum to the song.
    json
        Print one JSON object a line, for machines.
    """
    if not songs:
        raise CycloptsError(msg="Give at least one song or folder.")
    wanted = [name.strip() for name in stems.split(",") if name.strip()] if stems is not None else None
    format = format_named(format).name
    choose(model, {"stems": wanted, "two": two, "rest": rest})  # a name that does not exist is one error, not one for every song
    work = jobs(songs, out)
    with report(len(work), as_json=json) as told:
        for job in work:
            _one(job, told, format=format, stems=wanted, two=two, rest=rest, model=model, profile=profile)
    return 1 if told.failed else 0


def _one(job: Job, told: Report, **wanted: object) -> None:
    told.started(job.song)
    try:
        job.check()
        files = separate_to(job.song, job.folder, on_progress=told.progress, **wanted)  # pyright: ignore[reportArgumentType]
    except StemwrightError as error:
        told.error(job.song, error)
    else:
        told.finished(job.song, job.folder, files)

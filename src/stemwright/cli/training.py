"""`stemwright train` and `stemwright evaluate`: doors to the recipe behind the bundled model."""

from __future__ import annotations

import json as jsons
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter, validators
from rich.console import Console

from stemwright.cli.options import Count, Flag, Texts
from stemwright.errors import ExtraMissing, FolderHasSounds, NobodyPlays

train = App(name="train", help="Make or take training songs, and train on them (needs `stemwright[train]`).")
Seconds = Annotated[float, Parameter(validator=validators.Number(gte=1, lte=3600))]
Split = Literal["train", "val", "test"]
# Seeds of the splits lie so far apart.
Seed = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=200_000_000))]

# Names of songs and folders are printed as they are: rich would take "[live]" for a style.
_told = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


@train.command
def compose(
    folder: Path,
    /,
    *,
    songs: Count = 8,
    seconds: Seconds = 30.0,
    split: Split = "train",
    seed: Seed = 0,
    workers: Count = 1,
) -> None:
    """Compose and render songs with their stems.

    Parameters
    ----------
    folder
        Where the data set is, or will be; what is there already is kept.
    songs
        How many songs the split shall have.
    seconds
        How long each one is; songs of another length that are there are kept, and told of.
    split
        train, val or test: no song, voice or sound font is in two of them.
    seed
        The number of the first song: the same number is always the same song.
    workers
        Processes that render side by side.
    """
    with _needing_extra():
        from stemwright.train import dataset
    made = dataset.compose(
        folder, songs, seconds, split=split, seed=seed, workers=workers, on_song=lambda song: _told.print(song["id"])
    )
    _told.print(f"{made} songs rendered into {folder}" + (f", {songs - made} were there" if made < songs else ""))
    if others := dataset.lasting_otherwise(folder / split, seconds):
        example = next(iter(others))
        _told.print(
            f"{len(others)} songs there are NOT of {seconds:g} s, such as {example} of {others[example]:g} s: "
            "they were kept. Delete their folders and compose again where they shall be as long as the others."
        )


@train.command
def take(
    folder: Path,
    data: Path,
    /,
    *,
    split: Split = "train",
    stem: Texts = None,
) -> int:
    """Take songs whose stems you have into a data set, to train on them beside composed ones or alone.

    Parameters
    ----------
    folder
        Folders of stems, one for each song (MUSDB18 too), or `.stem.mp4` files; it is only read.
    data
        Where the data set is, or will be; what is there already is kept.
    split
        train, val or test: a song is in one of them only.
    stem
        What a file holds whose name does not tell, as in `--stem "Take 3=guitar"`; may be repeated.
    """
    with _needing_extra():
        from stemwright.train import taking
        from stemwright.train.measuring import titles
    told = {"on_song": _told.print, "on_problem": lambda e: _told.print(str(e))}
    done = taking.take(folder, data, split=split, mapping=dict(titles.parsed(entry) for entry in stem or []), **told)
    there = f", {done.kept} were there" if done.kept else ""
    left_out = f", {done.left_out} left out" if done.left_out else ""
    _told.print(f"{done.taken} songs taken into {data / split}{there}{left_out}")
    return 1 if done.left_out else 0


@train.command
def song(
    folder: Path,
    /,
    *,
    seed: Seed = 0,
    seconds: Seconds = 60.0,
    genre: str | None = None,
    format: str = "wav",
    gentle: Flag = False,
) -> None:
    """Compose one song and write its stems and its mix: a demo, or something to measure with.

    Parameters
    ----------
    folder
        Where the files go.
    seed
        The number of the song: the same number is always the same song.
    seconds
        How long it is.
    genre
        One genre instead of a drawn one.
    format
        mp3, wav, flac, opus or m4a.
    gentle
        Mix it to please; songs to train with go to extremes.
    """
    from stemwright.audio.encode import open_stem
    from stemwright.audio.formats import Sound

    with _needing_extra():
        from stemwright.train.instruments import sources
        from stemwright.train.measuring.references import SOUNDS
        from stemwright.train.singing import voices as library
        from stemwright.train.song import RATE, render_song
    sound = Sound.of(format, dither=False)
    sources.refuse_missing("test")
    library.refuse_unfinished()
    folder.mkdir(parents=True, exist_ok=True)
    if there := sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SOUNDS):
        raise FolderHasSounds(folder=folder, example=there[0])
    rendered = render_song(seed, seconds, split="test", genre=genre, gentle=gentle)
    if not rendered.stems:
        raise NobodyPlays(seconds=seconds, seed=seed)
    for name, samples in {**rendered.stems, "mix": rendered.mix}.items():
        with open_stem(folder / f"{name}.{sound.format}", rate=RATE, format=sound) as writer:
            writer.write(samples.T)
    _told.print(f"{len(rendered.stems)} stems and their mix are in {folder}")


@train.command
def voices(folder: Path | None = None, /, *, workers: Count = 1) -> int:
    """Build the library of voices that sing in the training songs.

    Parameters
    ----------
    folder
        Where it is kept; the usual place by default.
    workers
        Processes that build side by side.
    """
    with _needing_extra():
        from stemwright.train.singing import voices as library
    place = folder or library.library_folder()
    for line in library.build(place, workers=workers):
        _told.print(line)
    built = sum(1 for _ in place.glob("*.npz"))
    _told.print(f"{built} voices are in {place}")
    return 0 if built else 1


@train.command(name="run")
def run_recipe(
    folder: Path,
    /,
    *,
    recipe: str = "twelve",
    device: str = "cpu",
    workers: Count = 1,
    until: Count | None = None,
    finish_steps: Count | None = None,
    start: str | None = None,
) -> None:
    """Run a whole recipe: songs, training, measuring, the graph and its card. It goes on where it was stopped.

    Parameters
    ----------
    folder
        Where songs, checkpoints and results are kept.
    recipe
        A recipe of the package, or the path of one (.toml).
    device
        cpu, cuda or mps.
    workers
        Processes that prepare songs and batches.
    until
        The step to end at in place of the recipe's; later than the last one, a run that had ended goes on.
    finish_steps
        Over how many steps before the end the learning rates fall to zero; the recipe's number by default.
    start
        The model whose weights a new run begins with, `twelve` or one of yours; a run that is there goes on by itself.
    """
    with _needing_extra():
        from stemwright.train import making
        from stemwright.train.learning import recipe as recipes
        from stemwright.zoo import catalog
    course = making.Course(device, workers, until, finish_steps, catalog.trained(start) if start else None)
    made = making.make(
        recipes.load_recipe(recipe),
        folder,
        course,
        on_row=lambda row: _told.print(jsons.dumps(row)),
        on_step=_told.print,
    )
    _told.print(f"The graph and its card are in {made}")


@train.command
def ship(folder: Path, /, *, recipe: str = "twelve") -> None:
    """Export and measure the weights as they are now, also while `run` goes on.

    Parameters
    ----------
    folder
        The folder that `run` works in.
    recipe
        The recipe it runs.
    """
    with _needing_extra():
        from stemwright.train import making
        from stemwright.train.learning import recipe as recipes
    loaded = recipes.load_recipe(recipe)
    made = making.ship(loaded, making.plan_of(loaded, folder), folder / "shipped", on_step=_told.print)
    _told.print(f"The graph and its card are in {made}")


def evaluate(
    folder: Path,
    /,
    *,
    model: str = "twelve",
    stem: Texts = None,
    limit: Count | None = None,
    out: Path | None = None,
    json: Flag = False,
) -> int:
    """Measure a model on songs whose stems are known, beside what needs no training.

    Parameters
    ----------
    folder
        Folders of stems, one for each song (MUSDB18 too), `.stem.mp4` files, or a composed data set.
    model
        A model or recipe that `stemwright models list` shows.
    stem
        What a file holds whose name does not tell, as in `--stem "Take 3=drums+bass"`; may be repeated.
    limit
        Only so many songs.
    out
        A folder for the report: json, text and a picture.
    json
        Print the report as JSON.
    """
    with _needing_extra():
        from stemwright.train.measuring import evaluate as measuring
        from stemwright.train.measuring import report as reports
        from stemwright.train.measuring import titles

    mapping = dict(titles.parsed(entry) for entry in stem or [])
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # told now, not after minutes of measuring
    heard = {"on_song": _told.print, "on_problem": lambda error: _told.print(str(error))}
    report = measuring.evaluate(measuring.Named.of(model), folder, mapping=mapping, limit=limit, **heard)
    if out is not None:
        reports.write(report, out)
    text: Any = jsons.dumps(report.as_json()) if json else reports.table(report)
    Console(highlight=False, soft_wrap=True).print(text, markup=False)
    if report.spoiled:
        _told.print(f"{report.spoiled} of {report.spoiled + report.songs} songs could not be measured")
    return 1 if report.spoiled else 0


@contextmanager
def _needing_extra() -> Iterator[None]:
    """Says how to install what training needs, where it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ExtraMissing(extra="train", missing=error.name) from error

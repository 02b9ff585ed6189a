"""`stemwright train` and `stemwright evaluate`: doors to the recipe behind the bundled model."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App
from rich.console import Console

from stemwright.errors import ExtraMissing

train = App(name="train", help="Make training songs and train the model (needs `stemwright[train]`).")


@train.command
def compose(
    folder: Path,
    /,
    *,
    songs: int = 8,
    seconds: float = 30.0,
    split: str = "train",
    seed: int = 0,
    workers: int = 1,
) -> None:
    """Compose and render songs with their stems.

    Parameters
    ----------
    folder
        Where the data set is, or will be; what is there already is kept.
    songs
        How many songs the split shall have.
    seconds
        How long each one is.
    split
        train, val or test: no song, voice or sound font is in two of them.
    seed
        The number of the first song: the same number is always the same song.
    workers
        Processes that render side by side.
    """
    try:
        from stemwright.train.dataset import compose as render
    except ImportError as error:
        raise ExtraMissing(extra="train", missing=error.name) from error
    console = Console(highlight=False, stderr=True)
    made = render(
        folder, songs, seconds, split=split, seed=seed, workers=workers, on_song=lambda song: console.print(song["id"])
    )
    console.print(f"{made} songs rendered into {folder}")

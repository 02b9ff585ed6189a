"""THE STORY of one separation: decode → load → run over time → derive → encode."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.decode import NO_LIMITS, Limits, Song, open_song, rereadable
from stemwright.audio.excerpt import open_excerpt
from stemwright.audio.formats import Sound, Written
from stemwright.audio.naming import STEM_ONLY
from stemwright.audio.signal import Audio, Samples
from stemwright.audio.tags import NO_TAGS, Tags
from stemwright.engine.files import all_or_none, there
from stemwright.engine.progress import Clock, IsCancelled, OnProgress, go_on, heeding
from stemwright.engine.spool import Spool, leaving_no_empty_folder, spools
from stemwright.errors import BadSamples, FixedRate, SameNameTwice
from stemwright.extras.making import Extras
from stemwright.extras.material import Material
from stemwright.outcome import Outcome, SeparatedFiles, Stem
from stemwright.outputs import Finished, Names, Silent, sane_silent, told, write_stems
from stemwright.wish import Hearing, Options, Wish
from stemwright.work import Work
from stemwright.zoo.choice import SONG, Choice, choose
from stemwright.zoo.profiles import Run, precise, running
from stemwright.zoo.wanted import refuse_strangers

__all__ = ["MIX", "Outcome", "SeparatedFiles", "Separation", "Source", "Stem", "fulfil", "separate", "separate_to"]

Array = NDArray[np.floating[Any] | np.integer[Any]]
Source = str | os.PathLike[str] | BinaryIO | Audio | Array
Listen = Callable[[str, Samples], None]

MIX = "mix"
"""What the song itself is called among the files of its stems."""


@dataclass(frozen=True, kw_only=True, eq=False)  # of arrays == is no yes or no
class Separation(Outcome):
    """A song's stems by name, float32 [2, n] at `rate` samples per second, full scale at 1.0: they sum to the song.

    No gain is applied; `save` applies `gain_db` where a file would clip. `facts` says what is in each stem.
    """

    stems: dict[str, Samples]
    tags: Tags = NO_TAGS

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        names: str = STEM_ONLY,
        silent: Silent = "write",
        **written: Unpack[Written],
    ) -> dict[str, Path]:
        """Writes every stem to `folder`/name.format; raises UnknownFormat, BadSound, BadTemplate, BadOption.

        Also CannotWrite and DiskFull.
        """
        sound, silent = Sound.of(**written), sane_silent(silent)
        about = {"model": self.model, "rate": sound.kind.rate_for(self.rate), "ext": sound.format}
        paths = Names.of(names, None).paths(Path(folder), self.stems, self.tags, **about)
        blocks = {name: [stem] for name, stem in self.stems.items()}
        gain = 1.0 if sound.is_float else 10 ** (self.gain_db / 20)
        done = Finished(blocks, gain, self.rate, self.tags, frozenset(self.silent))
        return write_stems(done, paths, sound, silent=silent)


def separate(
    source: Source,
    *,
    limits: Limits = NO_LIMITS,
    on_progress: OnProgress | None = None,
    cancelled: IsCancelled | None = None,
    **hearing: Unpack[Hearing],
) -> Separation:
    """Separates a song in memory: a path, a binary file object, an `Audio`, or an array [channels, n] with its `rate`.

    An array, bare or in an `Audio`, holds floats with full scale at 1.0, or int16, int32 or uint8 as files have them.
    With a bare one, `rate` is its own, in samples per second; of any other song it is the rate of the stems, the song's
    own by default. All stems of the `model` are made unless `stems`, `two`, `without`, `groups`, `mixes` (gains in dB)
    or `rest` choose: see `stemwright.zoo.wanted.Wanted`. `preview` takes so many seconds of the loudest part; `profile`
    and `precision` are told at `stemwright.wish.Wish`. `on_progress` gets `Progress` and may raise; `cancelled` is
    asked often, of a net before each of its layers, and ends the work with Cancelled.

    Raises, in a sentence that says what to do, an AudioError of `stemwright.errors` for a song that cannot be heard or
    is beyond its `limits`, a Misuse for what cannot be meant, NotPulled for a model that is not here; and TypeError for
    an option that there is not.
    """
    refuse_strangers(hearing, Hearing.__annotations__)
    wish = Wish.of(**hearing)
    choice = _chosen(wish)
    parts: dict[str, list[Samples]] = {name: [] for name in choice.names}
    with heeding(cancelled), _heard(source, wish, choice, limits) as (song, run):
        work = Work(choice, song, Clock(on_progress), run=run)
        with closing(work.blocks()) as blocks:
            for block in blocks:
                for part, stem in zip(parts.values(), block, strict=True):
                    part.append(stem.copy())
        joined = {name: np.concatenate(parts.pop(name), axis=1) for name in choice.names}
        return Separation(stems=joined, tags=song.tags, **work.outcome())


def separate_to(
    source: Source,
    folder: str | os.PathLike[str],
    *,
    mix: bool = False,
    listen: Listen | None = None,
    limits: Limits = NO_LIMITS,
    on_progress: OnProgress | None = None,
    cancelled: IsCancelled | None = None,
    **options: Unpack[Options],
) -> SeparatedFiles:
    """Separates a song into files in `folder`, in the memory of a few segments whatever its length.

    The options are those of `separate`, and `format` ("mp3", "flac-24" …), `bits` (16, 24, or 32 for floats),
    `bitrate_kbps` and `dither`; `names` is a template such as "{title} ({stem})", `silent` "skip" leaves out stems with
    nothing to hear, `also` makes files of the whole song: "stem.mp4", "dawproject", "rpp", "karaoke", "report", "zip".
    `mix` writes the song too; `listen` gets the name and the blocks, float32 [2, n], of every file before the gain.

    Raises what `separate` does, and UnknownFormat, BadSound, BadTemplate, CannotWrite or DiskFull; nothing half-written
    is left behind.
    """
    return fulfil(
        Wish.of(**options), source, folder,
        mix=mix, listen=listen, limits=limits, on_progress=on_progress, cancelled=cancelled,
    )  # fmt: skip


def fulfil(  # noqa: PLR0913  all but three are keywords, and each stands for itself
    wish: Wish,
    source: Source,
    folder: str | os.PathLike[str],
    *,
    names: Names | None = None,
    mix: bool = False,
    listen: Listen | None = None,
    limits: Limits = NO_LIMITS,
    on_progress: OnProgress | None = None,
    cancelled: IsCancelled | None = None,
) -> SeparatedFiles:
    """Makes the files of a wish; `names` are for one song among others.

    Finished stems wait in nameless files on the same disk for the common gain; at any error nothing is left behind.
    """
    more, folder, sound = Extras.of(wish.also, source), Path(folder), wish.sound
    naming = names or Names.of(wish.names or STEM_ONLY, source)
    choice = more.checked(_chosen(wish, with_quarters=more.need_quarters))
    spooled, tapped = _spooled(choice, mix=mix), [SONG] if mix or more.need_mix else []
    with heeding(cancelled), ExitStack() as tidy:
        song, run = tidy.enter_context(_heard(source, wish, choice, limits))
        about = {"model": wish.model, "rate": sound.kind.rate_for(song.rate), "ext": sound.format}
        paths = naming.paths(folder, spooled, song.tags, **about)
        places = [*paths.values(), *more.place(naming, folder, song.tags, choice.names, **about)]
        tidy.enter_context(leaving_no_empty_folder(folder, *{path.parent for path in places}))
        made, clock = tidy.enter_context(all_or_none({}, replaced=there(places))), Clock(on_progress)
        waiting = tidy.enter_context(spools(folder, [*choice.every, *tapped], exact=sound.is_exact))
        work = Work(choice, song, clock, run=run, sound=sound, tap=waiting.get(SONG), folder=folder)
        with closing(work.blocks()) as finished:
            for block in finished:
                work.each(Spool.write, [waiting[name] for name in choice.every], block)
        done = _finished(work, song, {name: waiting[kept] for name, kept in spooled.items()}, listen, mix=mix)
        made |= write_stems(done, paths, sound, title=naming.title, silent=wish.silent, on_written=work.encoded)
        files = _files(made, choice, work, sound)
        return more.make(Material(files, waiting, done, sound, work, naming), made) if more.kinds else files


def _chosen(wish: Wish, *, with_quarters: bool = False) -> Choice:
    precision = precise(wish.profile, wish.precision)
    return choose(wish.model, wish.wanted, precision=precision, with_quarters=with_quarters)


def _spooled(choice: Choice, *, mix: bool) -> dict[str, str]:
    """The name of each file of sound, and under which its samples wait; raises SameNameTwice."""
    if mix and MIX in choice.names:
        raise SameNameTwice(name=MIX)
    return {name: name for name in choice.names} | ({MIX: SONG} if mix else {})


def _finished(work: Work, song: Song, own: Mapping[str, Spool], listen: Listen | None, *, mix: bool) -> Finished:
    blocks = told(own, listen, {MIX: work.mix_factor} if mix else {})
    return Finished(blocks, work.gain, song.rate, song.tags, work.silent)


def _files(made: Mapping[str, Path], choice: Choice, work: Work, sound: Sound) -> SeparatedFiles:
    paths, facts = {name: made[name] for name in choice.names if name in made}, work.outcome(sound)
    mix = made.get(MIX) if MIX not in choice.names else None
    return SeparatedFiles(paths=paths, mix=mix, length=work.samples, mix_factor=work.mix_factor, **facts)


@contextmanager
def _heard(source: Source, wish: Wish, choice: Choice, limits: Limits) -> Iterator[tuple[Song, Run]]:
    """The opened song, and how a profile runs over it: that may measure the song before, which is then read twice.

    Upstream's stems are at the model's rate; raises FixedRate for another one.
    """
    own_rate, rate = choice.separator.rate, wish.rate
    if isinstance(source, np.ndarray):
        source, rate = _as_audio(source, rate), None
    if wish.profile == "upstream":
        if rate not in (None, own_rate):
            raise FixedRate(rate=own_rate)
        rate = own_rate
    with rereadable(source, limits) as again:

        def measured() -> Iterator[Samples]:
            with open_song(again, rate=own_rate, limits=limits) as song:
                for block in song.blocks():
                    go_on()
                    yield block

        run = running(wish.profile, choice.model, measured)
        with _opened(again, wish.preview, rate=rate, limits=limits) as song:
            yield song, run


def _opened(
    source: str | os.PathLike[str] | BinaryIO | Audio, preview: float | None, *, rate: int | None, limits: Limits
) -> Song:
    if preview is None:
        return open_song(source, rate=rate, limits=limits)
    return open_excerpt(source, preview, rate=rate, limits=limits)


def _as_audio(samples: Array, rate: int | None) -> Audio:
    """A bare array as the decoder takes it, by whose rule it is a song or none."""
    if rate is None:
        raise BadSamples(shape=samples.shape, dtype=samples.dtype, rate=rate)
    return Audio(cast(Samples, samples), rate)

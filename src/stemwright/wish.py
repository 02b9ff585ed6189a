"""What is asked for of one song: a value that is checked once, where somebody asks. Every default is here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Unpack, cast

from stemwright.audio.decode import sane_rate
from stemwright.audio.excerpt import refuse_endless
from stemwright.audio.formats import Sound, Written
from stemwright.audio.naming import Template
from stemwright.extras.making import extras, need_no_stems
from stemwright.outputs import Silent, sane_silent
from stemwright.zoo import catalog, loading, machine, profiles
from stemwright.zoo.wanted import Gains, Wanted, listed, outputs, refuse_strangers


class Hearing(Wanted, total=False):
    """What to hear: options of `separate`; all but those of `Wanted` are told at `Wish`."""

    model: str
    profile: str
    precision: str
    rate: int | None
    preview: float | None


class Options(Hearing, Written, total=False):
    """What to hear and how it is written: options of `separate_to` and `separate_all`."""

    names: str
    silent: Silent
    also: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What to make of a song, by `of`; what is wrong with it is raised there, before a song or a model is opened.

    `profile` "upstream" gives a public model's stems as its own project does, sum or no sum. `precision` "fp32", "bf16"
    or "fp16" is for public models; "auto" is the fastest that keeps 40 dB. `rate` is that of the stems, the song's own
    by default. `preview` takes so many seconds of the loudest part alone. `names` is a template, `silent` "skip" leaves
    out stems with nothing to hear, `also` what is in `extras.making.KINDS`.
    """

    wanted: Wanted = field(default_factory=Wanted)
    model: str = catalog.BUNDLED
    profile: str = "consistent"
    precision: str = "auto"
    rate: int | None = None
    preview: float | None = None
    sound: Sound = field(default_factory=Sound.of)
    names: str | None = None
    silent: Silent = "write"
    also: tuple[str, ...] = ()

    @classmethod
    def of(cls, **options: Unpack[Options]) -> Wish:
        """The wish that these options mean, which are read once; TypeError for one that there is not."""
        refuse_strangers(options, Options.__annotations__)
        own: dict[str, Any] = {name: value for name, value in options.items() if name in cls.__annotations__}
        if (rate := options.get("rate")) is not None:
            own["rate"] = sane_rate(rate)
        if "names" in options:
            Template(options["names"])
        own["also"] = extras(options.get("also", ()), preview=options.get("preview"))
        sound = Sound.of(**cast(Written, {name: options[name] for name in Written.__annotations__ if name in options}))
        wanted = {name: options[name] for name in Wanted.__annotations__ if name in options}
        return cls(wanted=listed(cast(Wanted, wanted)), sound=sound, **own)

    def __post_init__(self) -> None:
        self.outputs()
        sane_silent(self.silent)
        profiles.refuse(self.profile, self.model)
        machine.precision(self.precision)
        if self.preview is not None:
            refuse_endless(self.preview)

    def outputs(self) -> dict[str, Gains]:
        """The outputs that it means, by its model's own stems."""
        own, _ = loading.offered(self.model)
        return outputs(own, self.model, self.wanted, may_be_none=need_no_stems(self.also))

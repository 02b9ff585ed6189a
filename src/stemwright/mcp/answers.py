"""What the tools take and tell, in words that a language model reads: their descriptions go out with the schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import BaseModel, Field

State = Literal["running", "done", "failed"]
Stems = Literal["two", "twelve"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A separation asked for: of `song`, a path or an address, or of a song that a server has under two ids."""

    song: str | None = None
    task_id: str | None = None
    audio_id: str | None = None
    stems: Stems = "two"
    model: str | None = None
    format: str = "mp3"


class Task(BaseModel):
    """How a separation is getting on."""

    task_id: str = Field(description="What `status` and `download` want to know.")
    state: State
    stage: str | None = Field(default=None, description="What is being done just now.")
    progress: int = Field(description="Percent of the work.")
    seconds_left: float | None = Field(default=None, description="How long it will still take, once that can be told.")
    error: str | None = Field(default=None, description="Why it failed.")
    stems: list[str] = Field(default=[], description="What there is to download.")
    silent: list[str] = Field(default=[], description="Those of the stems in which there is nothing to hear.")


class Files(BaseModel):
    """Stems as files on this machine."""

    folder: str
    files: dict[str, str] = Field(description="The path of each stem's file.")


class Model(BaseModel):
    """A model or recipe that `separate` takes."""

    name: str
    about: str
    stems: list[str]
    here: bool = Field(description="Whether it is on this machine; others are fetched with `stemwright models pull`.")


class Separations(Protocol):
    """Where separations are done; every call returns soon, and raises a StemwrightError."""

    def separate(self, request: Request) -> Task: ...
    def status(self, task_id: str) -> Task: ...
    def download(self, task_id: str, folder: str | None) -> Files: ...
    def close(self) -> None: ...

"""The tools themselves, on the official SDK of the Model Context Protocol; this file alone knows it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Annotated, TypeVar

import anyio
from pydantic import Field

from stemwright.errors import ExtraMissing, StemwrightError
from stemwright.mcp.answers import Files, Model, Request, Separations, Stems, Task
from stemwright.mcp.here import Here

try:
    from mcp.server.mcpserver import Context, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp_types import ToolAnnotations
except ImportError as missing:
    raise ExtraMissing(missing="the Model Context Protocol SDK", extra="mcp") from missing

MOST_WAIT_SECONDS = 45.0
"""Assistants give up on a tool after a minute."""

INSTRUCTIONS = (
    "Splits songs into stems: vocals and instrumental, or twelve. `separate` begins and returns a task_id at once; "
    "call `status` with wait_seconds until the state is done, then `download` tells where the files are."
)

_T = TypeVar("_T")
_LOOKS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=True)

Song = Annotated[str | None, Field(description="An audio or video file on this machine, or its http(s) address.")]
TaskId = Annotated[str, Field(description="What `separate` returned.")]
OfTask = Annotated[str | None, Field(description="With a server: the task that made the song, instead of `song`.")]
OfAudio = Annotated[str | None, Field(description="With a server: the song's audio id in that task.")]
HowMany = Annotated[Stems, Field(description="two: vocals and instrumental. twelve: all that the model tells apart.")]
ModelName = Annotated[str | None, Field(description="Another model than the usual one.")]
FormatName = Annotated[str, Field(description="mp3, wav, flac, opus or m4a.")]
Wait = Annotated[float, Field(ge=0, description=f"Wait so long for the end, at most {MOST_WAIT_SECONDS:g} seconds.")]
Folder = Annotated[str | None, Field(description="In which folder to put a new one for the song's stems.")]


def server(separations: Separations) -> MCPServer[None]:
    """A server whose tools ask `separations`."""
    made: MCPServer[None] = MCPServer(
        "stemwright", title="Stemwright", instructions=INSTRUCTIONS, version=version("stemwright"), log_level="ERROR"
    )
    _add_tools(made, separations)
    if isinstance(separations, Here):
        _add_models(made, separations)
    return made


def _add_tools(made: MCPServer[None], separations: Separations) -> None:
    @made.tool(annotations=_WRITES)
    async def separate(
        song: Song = None,
        stems: HowMany = "two",
        format: FormatName = "mp3",
        model: ModelName = None,
        task_id: OfTask = None,
        audio_id: OfAudio = None,
    ) -> Task:
        """Begin to split a song into stems; returns at once with the task_id to ask `status` for."""
        request = Request(song=song, stems=stems, format=format, model=model, task_id=task_id, audio_id=audio_id)
        return await _told(partial(separations.separate, request))

    @made.tool(annotations=_LOOKS)
    async def status(task_id: TaskId, ctx: Context, wait_seconds: Wait = 0) -> Task:
        """Tell how a separation is getting on: state, stage, progress; wait for its end if asked to."""
        deadline = anyio.current_time() + min(wait_seconds, MOST_WAIT_SECONDS)
        while True:
            task = await _told(partial(separations.status, task_id))
            await ctx.report_progress(task.progress, 100, task.stage)
            left = deadline - anyio.current_time()
            if task.state != "running" or left <= 0:
                return task
            await anyio.sleep(min(1.0, left))

    @made.tool(annotations=_WRITES)
    async def download(task_id: TaskId, folder: Folder = None) -> Files:
        """Bring the stems of a separation that is done onto this machine, and tell their paths."""
        return await _told(partial(separations.download, task_id, folder))


def _add_models(made: MCPServer[None], here: Here) -> None:
    @made.tool(annotations=_LOOKS)
    async def models() -> list[Model]:
        """List the models and recipes that `separate` takes."""
        return await _told(here.models)


async def _told(call: Callable[[], _T]) -> _T:
    """The call's answer, from a thread that nobody waits for at the end; whatever goes wrong is one sentence."""
    try:
        return await anyio.to_thread.run_sync(call, abandon_on_cancel=True)
    except StemwrightError as error:
        raise ToolError(str(error)) from None
    except Exception as error:  # noqa: BLE001  an assistant can do nothing with a traceback
        raise ToolError(f"an unexpected error: {type(error).__name__}: {error}") from None

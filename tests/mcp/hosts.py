"""An assistant's side of `stemwright mcp`: the SDK's own client over stdio, as the hosts do it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TextIO

from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from stemwright.mcp.answers import Separations
from stemwright.mcp.tools import server

Answer = dict[str, Any]


class Host:
    """A session; `call` gives a tool's structured answer, `refused` the text of its error."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(self, tool: str, **arguments: Any) -> Answer:
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        return result.structured_content

    async def refused(self, tool: str, **arguments: Any) -> str:
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error
        (content,) = result.content
        return content.text  # type: ignore[union-attr]

    async def ended(self, task: Answer) -> Answer:
        """The task once it has ended, however long that takes here."""
        while task["state"] == "running":
            task = await self.call("status", task_id=task["task_id"], wait_seconds=30)
        return task


@asynccontextmanager
async def host(*arguments: str, log: TextIO, command: str = "stemwright", **environment: str) -> AsyncIterator[Host]:
    """A session with the server that a host's configuration starts."""
    found = str(Path(sys.executable).with_name(command))
    assert shutil.which(found)
    settings = {f"STEMWRIGHT_{name}": value for name, value in environment.items()}
    parameters = StdioServerParameters(command=found, args=list(arguments), env=settings)
    async with Client(stdio_client(parameters, errlog=log)) as client:
        yield Host(client)


@asynccontextmanager
async def here(separations: Separations) -> AsyncIterator[Host]:
    """A session with the tools in this process."""
    async with Client(server(separations)) as client:
        yield Host(client)


@contextmanager
def service(data: Path) -> Iterator[tuple[str, str]]:
    """`stemwright serve` with its bundled model: the address and a key."""
    command = [sys.executable, "-m", "stemwright", "serve", "--data", str(data), "--port", "0", "--json"]
    with data.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=os.environ)
        assert process.stdout
        try:
            ready = json.loads(process.stdout.readline())
            yield ready["url"], ready["key"]
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()

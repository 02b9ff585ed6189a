"""`stemwright mcp`: tools for AI assistants, over standard input and output."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

from cyclopts import CycloptsError, Parameter

from stemwright.cli import INTERRUPTED

if TYPE_CHECKING:
    from stemwright.mcp.answers import Separations


def mcp(
    *,
    url: Annotated[str | None, Parameter(env_var="STEMWRIGHT_URL")] = None,
    key: Annotated[str | None, Parameter(env_var="STEMWRIGHT_KEY")] = None,
    out: Path = Path("~/stems"),
) -> None:
    """Serve the tools separate, status and download to an AI assistant, over the Model Context Protocol (stdio).

    With a server's address and key it is the server that separates; without, this machine does.

    Parameters
    ----------
    url
        The address of a server that speaks the Suno stem API.
    key
        An API key of that server; better given as STEMWRIGHT_KEY, which no list of processes shows.
    out
        Where the stems go, a folder a song.
    """
    if bool(url) != bool(key):
        raise CycloptsError(msg="A server needs both an address and a key: --url and STEMWRIGHT_KEY.")
    from stemwright.mcp.tools import server

    with closing(_separations(url, key, out.expanduser().absolute())) as separations:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, partial(_end, separations))
        server(separations).run("stdio")


def _end(separations: Separations, _signal: int, _frame: FrameType | None) -> None:
    """Ends the process at once: the SDK's would wait for one more line of input."""
    separations.close()
    os._exit(INTERRUPTED)


def _separations(url: str | None, key: str | None, out: Path) -> Separations:
    if url and key:
        from stemwright.client.calls import Client
        from stemwright.mcp.remote import Remote

        return Remote(Client(url, key), out)
    from stemwright.mcp.here import Here
    from stemwright.server import network

    allowed = network.parse_networks(os.environ.get("STEMWRIGHT_ALLOW_NETWORKS", ""))
    return Here(out, network.Client(allowed))

"""The configurations in the guide start a server that answers, with the settings that they give."""

import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("mcp", reason="the Model Context Protocol SDK is not installed: pip install 'stemwright[mcp]'")

from tests.mcp.hosts import host

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "mcp.md").read_text("utf-8")
CONFIGURATIONS: list[dict[str, Any]] = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=["here", "server", "inputs"])
def test_a_configuration_of_the_page_starts(configuration: dict[str, Any], tmp_path: Path) -> None:
    (entry,) = (configuration.get("mcpServers") or configuration["servers"]).values()
    environment = {name.removeprefix("STEMWRIGHT_"): value for name, value in entry.get("env", {}).items()}

    async def session() -> set[str]:
        with (tmp_path / "log").open("w") as log:
            async with host(*entry["args"], command=entry["command"], log=log, **environment) as assistant:
                return {tool.name for tool in (await assistant.client.list_tools()).tools}

    tools = anyio.run(session)
    assert tools == {"separate", "status", "download"} | (set() if environment else {"models"})
    assert all(f"| `{tool}` |" in PAGE for tool in tools)

"""The guide's workflows say what the nodes understand."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.conftest import N8n

PACKAGE = "n8n-nodes-stemwright"
ROOT = Path(__file__).parents[2]
WORKFLOWS = [
    json.loads(text)
    for text in re.findall(r"```json\n(.*?)```", (ROOT / "docs/guide/n8n.md").read_text("utf-8"), re.DOTALL)
]
OURS = [node for workflow in WORKFLOWS for node in workflow["nodes"] if node["type"].startswith(f"{PACKAGE}.")]


@pytest.fixture(scope="session")
def descriptions(node: str) -> dict[str, Any]:
    return N8n(node, {}).run("describe")


def shown(field: dict[str, Any], given: dict[str, Any]) -> bool:
    """Whether n8n shows a field beside the parameters given."""
    rules = field.get("displayOptions", {})
    values = {name: given.get(name.removeprefix("/")) for kind in rules.values() for name in kind}
    visible = all(values[name] in wanted for name, wanted in rules.get("show", {}).items())
    return visible and not any(values[name] in unwanted for name, unwanted in rules.get("hide", {}).items())


def check(fields: list[dict[str, Any]], parameters: dict[str, Any], given: dict[str, Any]) -> None:
    known = {field["name"]: field for field in fields if shown(field, given)}
    assert set(parameters) <= set(known)
    for name, value in parameters.items():
        if known[name]["type"] == "options":
            assert value in [option["value"] for option in known[name]["options"]]
        elif known[name]["type"] == "collection":
            check(known[name]["options"], value, given)
        else:
            assert isinstance(value, {"boolean": bool, "number": (int, float)}.get(known[name]["type"], str))


@pytest.mark.parametrize("step", OURS, ids=lambda step: step["name"])
def test_its_parameters_are_fields_that_are_shown(step: dict[str, Any], descriptions: dict[str, Any]) -> None:
    description = descriptions[step["type"].removeprefix(f"{PACKAGE}.")]
    assert step["typeVersion"] in description["version"]
    assert "credentials" not in step  # an id of another n8n would mean nothing
    check(description["properties"], step["parameters"], step["parameters"])


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow["name"])
def test_its_connections_lead_from_node_to_node(workflow: dict[str, Any]) -> None:
    def ends() -> Iterator[str]:
        for start, outputs in workflow["connections"].items():
            yield start
            yield from (end["node"] for output in outputs["main"] for end in output)

    names = [node["name"] for node in workflow["nodes"]]
    assert set(ends()) == set(names)
    assert len(set(names)) == len(names)


def test_the_package_names_what_is_there() -> None:
    folder = ROOT / "integrations/n8n"
    package = json.loads((folder / "package.json").read_text())
    for built in package["n8n"]["nodes"] + package["n8n"]["credentials"]:
        source = folder / built.removeprefix("dist/").replace(".js", ".ts")
        assert source.exists()
        codex = source.with_suffix(".json")
        if codex.exists():
            name = source.name.split(".")[0]
            assert json.loads(codex.read_text())["node"] == f"{PACKAGE}.{name[0].lower()}{name[1:]}"
    assert not package.get("dependencies")
    assert package["license"] == "MIT"
    assert (folder / "LICENSE.md").read_text() == (ROOT / "LICENSE").read_text()

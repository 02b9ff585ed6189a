"""The contract itself: well-formed, its examples true, and neither more nor less than the routes there are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from starlette.routing import Route

from stemwright.server.http import errors, wire
from stemwright.server.http.app import create_app
from stemwright.server.http.calls import Api
from stemwright.server.http.errors import Meaning
from stemwright.server.http.routes.contract import console, document
from stemwright.server.settings import Settings
from stemwright.server.stem_names import NEAREST
from stemwright.server.store.blobs import Folder
from stemwright.server.store.database import Database
from tests.contract.validator import CONTRACT, METHODS, references

ROOT = Path(__file__).parents[2]


def contents(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every media type that has examples."""
    if isinstance(node, dict):
        if "schema" in node and "examples" in node:
            yield path, node
        for name, value in node.items():
            yield from contents(value, f"{path}/{name}")


def test_it_is_openapi_3_1_with_unique_operations() -> None:
    assert document()["openapi"] == "3.1.0"
    names = [operation.id for operation in CONTRACT.operations]
    assert len(names) == len(set(names)) == 18


def test_every_reference_leads_somewhere() -> None:
    for reference in set(references(document())):
        assert CONTRACT.follow({"$ref": reference})


@pytest.mark.parametrize("written", [document(), console()], ids=["service", "console"])
def test_nothing_in_it_is_unused(written: dict[str, Any]) -> None:
    used = {reference.removeprefix("#/components/") for reference in references(written)}
    kinds = ("schemas", "responses", "parameters", "headers", "examples")
    defined = {f"{kind}/{name}" for kind in kinds for name in written["components"].get(kind, ())}
    assert defined == used


@pytest.mark.parametrize("name", document()["components"]["schemas"])
def test_a_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(document()["components"]["schemas"][name])


@pytest.mark.parametrize(("path", "content"), list(contents(CONTRACT.document)), ids=lambda value: str(value)[:60])
def test_examples_are_true(path: str, content: dict[str, Any]) -> None:
    for example in content["examples"].values():
        CONTRACT.validate(CONTRACT.follow(example)["value"], content["schema"])


def test_there_is_an_operation_for_every_route_and_no_other(tmp_path: Path) -> None:
    app = create_app(Api(Settings(data=tmp_path), Database(f"sqlite:///{tmp_path}/x.db"), Folder(tmp_path)))
    routes = {route.path for route in app.routes if isinstance(route, Route)}
    written = {*document()["paths"], *console()["paths"]}
    assert {path.replace(":path}", "}") for path in routes} == written


@pytest.mark.parametrize(
    "operation", [each for each in CONTRACT.operations if not each.is_open], ids=lambda each: each.id
)
def test_codes_and_statuses_agree(operation) -> None:
    codes = operation.described["x-codes"]
    known = {meaning.code(dialect) for meaning in Meaning for dialect in codes}
    assert {*codes["apikley"], *codes["sunoapi"]} <= known
    statuses = {str(errors.status(code)) for dialect in codes.values() for code in dialect}
    assert statuses == set(operation.described["responses"])


def test_the_names_of_instruments_are_those_we_know() -> None:
    assert set(document()["components"]["schemas"]["StemName"]["enum"]) == set(NEAREST)


def test_the_request_has_the_fields_that_are_read() -> None:
    described = document()["components"]["schemas"]["CreateSeparation"]["properties"]
    assert set(described) == {field.alias or name for name, field in wire.Generate.model_fields.items()}


def test_the_defaults_it_tells_are_the_settings() -> None:
    settings, described = Settings(), document()["components"]["schemas"]["CreateSeparation"]["properties"]
    assert f"^({'|'.join(settings.formats)})(-" in described["format"]["pattern"]
    assert (
        f"{settings.rate_limit_creates} creates in {settings.rate_limit_seconds} seconds"
        in document()["info"]["description"]
    )


def test_the_published_files_are_the_served_ones() -> None:
    for name in ("openapi.yaml", "console.yaml", "llms.txt"):
        assert (ROOT / "contract" / name).resolve().parent == ROOT / "src/stemwright/server/http/page"
    assert yaml.safe_load((ROOT / "contract/openapi.yaml").read_text()) == document()


def test_methods_are_spelled_as_the_standard_has_them() -> None:
    for methods in document()["paths"].values():
        assert set(methods) <= {*METHODS, "parameters"}

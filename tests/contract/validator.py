"""Checks real answers against the published contract, and remembers which operations and codes were reached."""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx2
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from stemwright.server.http import errors
from stemwright.server.http.routes import contract

METHODS = ("get", "head", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Operation:
    """One operation of the contract."""

    id: str
    path: str
    method: str
    described: dict[str, Any]

    def matches(self, path: str) -> bool:
        one = re.sub(r"\\\{[^}]+\}", ".+" if "{path}" in self.path else "[^/]+", re.escape(self.path))
        return re.fullmatch(one, path) is not None

    @property
    def is_open(self) -> bool:
        return self.described.get("security") == []


@dataclass
class Contract:
    """A contract, its schemas closed: a field that it does not name is an error in an answer of ours."""

    written: dict[str, Any]
    root: str  # what begins the paths whose every answer is an envelope
    statuses: set[tuple[str, str]] = field(default_factory=set)
    codes: set[tuple[str, str, int]] = field(default_factory=set)

    @cached_property
    def document(self) -> dict[str, Any]:
        closed = copy.deepcopy(self.written)
        _close(closed)
        return closed

    @cached_property
    def operations(self) -> list[Operation]:
        return [
            Operation(described["operationId"], path, method, described)
            for path, methods in self.document["paths"].items()
            for method, described in methods.items()
            if method in METHODS
        ]

    @cached_property
    def _registry(self) -> Registry:
        return Registry().with_resource("urn:contract", Resource(self.document, DRAFT202012))

    def follow(self, thing: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in thing:
            found: Any = self.document
            for part in thing["$ref"].removeprefix("#/").split("/"):
                found = found[part.replace("~1", "/")]
            thing = found
        return thing

    def validate(self, value: object, schema: dict[str, Any]) -> None:
        """Raises a ValidationError that says where the value departs from the schema."""
        absolute = json.loads(json.dumps(schema).replace('"#/', '"urn:contract#/'))
        Draft202012Validator(absolute, registry=self._registry).validate(value)

    def find(self, method: str, path: str) -> Operation | None:
        found = [each for each in self.operations if each.method == method.lower() and each.matches(path)]
        return min(found, key=lambda each: (each.path.count("{"), -len(each.path)), default=None)

    def check(self, answer: httpx2.Response, *, dialect: str, always_200: bool = False) -> None:
        """Fail unless the contract foresees this answer to this request."""
        method, path = answer.request.method, answer.request.url.path
        operation = self.find(method, path)
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        envelope = answer.json() if path.startswith(self.root) and is_json and answer.content else None
        envelope = envelope if envelope and "code" in envelope else None
        status = answer.status_code
        if envelope is not None:
            status = errors.status(envelope["code"])
            assert answer.status_code == errors.status(envelope["code"], always_200=always_200)
        if operation is None:
            assert envelope is None or envelope["code"] == 404, f"{method} {path} is not in the contract"
            self._check_unknown(answer, method, path, dialect)
            return
        assert str(status) in operation.described["responses"], f"{operation.id} answers {status}, undocumented"
        self._check_body(answer, self.follow(operation.described["responses"][str(status)]))
        self.statuses.add((operation.id, str(status)))
        if envelope is not None and "x-codes" in operation.described:
            assert envelope["code"] in operation.described["x-codes"][dialect], f"{operation.id}: {envelope}"
            self.codes.add((operation.id, dialect, envelope["code"]))

    def check_callback(self, body: object) -> None:
        """Fail unless this is what the contract says a receiver gets."""
        self.validate(body, {"$ref": "#/components/schemas/Callback"})

    def _check_unknown(self, answer: httpx2.Response, method: str, path: str, dialect: str) -> None:
        if method != "HEAD":
            self.validate(answer.json(), {"$ref": "#/components/schemas/Error"})
        for operation in self.operations:  # a method that a known path does not have
            if operation.path == path and path.startswith(self.root) and "x-codes" in operation.described:
                self.codes.add((operation.id, dialect, 404))
                self.statuses.add((operation.id, "404"))

    def _check_body(self, answer: httpx2.Response, response: dict[str, Any]) -> None:
        if "content" not in response:
            assert not answer.content
            return
        kind = answer.headers["content-type"].partition(";")[0]
        content = response["content"].get(kind) or response["content"].get("*/*")
        assert content is not None, f"undocumented content type {kind}"
        if kind == "application/json" and answer.request.method != "HEAD":
            self.validate(answer.json(), content["schema"])


def _close(node: object) -> None:
    if isinstance(node, dict):
        if "properties" in node and isinstance(node["properties"], dict):
            node.setdefault("additionalProperties", False)
        for value in node.values():
            _close(value)
    elif isinstance(node, list):
        for value in node:
            _close(value)


def references(node: object) -> Iterator[str]:
    """Every `$ref` in the document."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


CONTRACT = Contract(contract.document(), "/api/")
CONSOLE = Contract(contract.console(), "/console/api/")


def contract_of(path: str) -> Contract:
    """Whose path it is: the service's, or the console's own."""
    return CONSOLE if path in ("/", "/console") or path.startswith("/console/") else CONTRACT

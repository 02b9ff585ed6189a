"""Reads what deploy/ says: the Dockerfile, compose.yaml with its variables, the chart with its values, the unit."""

import json
import re
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm"
TAG = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, in order, each with its arguments."""
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", (DEPLOY / "Dockerfile").read_text()))
    return [
        (name, " ".join(rest.split())) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)
    ]


def stage(name: str) -> list[tuple[str, str]]:
    """The instructions of a stage and of those that it begins from."""
    found: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for word, rest in instructions():
        if word == "FROM":
            origin, _, alias = rest.partition(" AS ")
            current = found[alias] = list(found.get(origin, []))
        current.append((word, rest))
    return found[name]


def last(name: str, word: str) -> str:
    """What holds in the end for one instruction of a stage."""
    return [rest for each, rest in stage(name) if each == word][-1]


def environment(name: str) -> dict[str, str]:
    """What a stage's ENV lines say."""
    lines = [rest for word, rest in stage(name) if word == "ENV"]
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def healthcheck(name: str) -> list[str]:
    """The command of the check."""
    return json.loads(last(name, "HEALTHCHECK").partition("CMD ")[2])


def compose(**variables: str) -> dict[str, Any]:
    """The services, with variables put in as Compose does."""

    def value(found: re.Match[str]) -> str:
        name, _, usual = found[1].partition(":")
        if usual.startswith("?") and name not in variables:
            raise KeyError(name)
        return variables.get(name, usual.removeprefix("-"))

    text = re.sub(r"(?m)^\s*#.*$", "", (DEPLOY / "compose.yaml").read_text())
    return yaml.safe_load(re.sub(r"(?<!\$)\$\{(.*?)\}", value, text).replace("$$", "$"))


def rendered(release: str = "stems", **changed: Any) -> list[dict[str, Any]]:
    """The chart's objects. The templates keep to values, `quote`, `add`, `if` and `if not`: no more."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for path, value in changed.items():
        *folders, name = path.split("__")
        place = values
        for folder in folders:
            place = place[folder]
        assert name in place
        place[name] = value
    names = {"Values": values, "Release": {"Name": release}}
    templates = sorted((CHART / "templates").glob("*.yaml"))
    texts = ["\n".join(_lines(path.read_text(), names)) for path in templates]
    return [each for text in texts for each in yaml.safe_load_all(text) if each]


def _lines(text: str, names: dict[str, Any]) -> Iterator[str]:
    open_ = [True]
    for line in text.splitlines():
        tag = TAG.fullmatch(line.strip())
        if tag and tag[1].startswith("if "):
            negative, _, path = tag[1].removeprefix("if ").rpartition(" ")
            open_.append(open_[-1] and bool(_value(path, names)) is not (negative == "not"))
        elif tag and tag[1] == "end":
            open_.pop()
        elif open_[-1]:
            yield TAG.sub(lambda found: _told(found[1], names), line)
    assert open_ == [True]


def _told(expression: str, names: dict[str, Any]) -> str:
    first, *pipes = [part.strip() for part in expression.split("|")]
    word, *others = first.split()
    value = sum(int(_value(each, names)) for each in others) if word == "add" else _value(first, names)
    assert pipes in ([], ["quote"]), expression
    return json.dumps(str(value)) if pipes else str(value)


def _value(path: str, names: dict[str, Any]) -> Any:
    if path.isdigit():
        return int(path)
    value: Any = names
    assert path.startswith("."), path
    for name in path[1:].split("."):
        value = value[name]
    return value


def unit() -> dict[str, dict[str, list[str]]]:
    """The systemd unit: every value of every key of every section."""
    parser = RawConfigParser(strict=False, dict_type=_Many, delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(DEPLOY / "stemwright.service")
    return {section: {key: value.split("\n") for key, value in parser.items(section)} for section in parser.sections()}


class _Many(dict):  # type: ignore[type-arg]
    """Keeps what a key is given twice."""

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, list) and key in self and isinstance(self[key], list):
            self[key].extend(value)
        else:
            super().__setitem__(key, value)

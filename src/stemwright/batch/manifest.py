"""A list of songs in a file: paths a line, a CSV table with options, or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from stemwright.batch.texts import from_texts
from stemwright.errors import BadManifest, BadOption, CannotRead, FileMissing
from stemwright.wish import Options


def read_manifest(path: Path) -> list[tuple[Path, Options]]:
    """The songs and what is wanted of each; relative paths are below the manifest's folder.

    A line of text is a path (blank lines and # are left out); a CSV file has a header with `path` and names of options
    (semicolons between several groups or mixes); a JSON line is an object with the same names. Raises FileMissing,
    CannotRead, BadManifest with the line.
    """
    songs: list[tuple[Path, Options]] = []
    for line, row in _rows(path, _text(path)):
        place = row.pop("path", None)
        if not isinstance(place, str) or not place.strip():
            raise BadManifest(path=path, line=line, reason="there is no path in it")
        try:
            songs.append((path.parent / place.strip(), from_texts(row)))
        except BadOption as error:
            raise BadManifest(path=path, line=line, reason=str(error).rstrip(".")) from None
    if not songs:
        raise BadManifest(path=path, line=1, reason="there is no song in it")
    return songs


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise FileMissing(path=path) from None
    except OSError as error:
        raise CannotRead(path=path, reason=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise CannotRead(path=path, reason="it is not text in UTF-8") from error


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows and their line numbers, by what the file looks like: a name tells little."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if first.startswith("{"):
        yield from _json_rows(path, text)
    elif path.suffix.lower() == ".csv":
        yield from _csv_rows(path, text)
    else:
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                yield number, {"path": line}


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    header = text.partition("\n")[0]
    sign = ";" if ";" in header and "," not in header else ","  # as spreadsheets write it where a comma is in numbers
    table = csv.DictReader(io.StringIO(text), strict=True, skipinitialspace=True, delimiter=sign)
    try:
        if "path" not in (table.fieldnames or ()):
            raise BadManifest(path=path, line=1, reason="the header has no column `path`")
        for row in table:
            if None in row or None in row.values():
                raise BadManifest(path=path, line=table.line_num, reason="it has not as many fields as the header")
            yield table.line_num, dict(row)
    except csv.Error as error:
        raise BadManifest(path=path, line=table.line_num, reason=str(error)) from None


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
        except ValueError as error:
            raise BadManifest(path=path, line=number, reason=f"it is not JSON ({error})") from None
        if not isinstance(row, dict):
            raise BadManifest(path=path, line=number, reason="it is not a JSON object")
        yield number, cast(dict[str, Any], row)

"""Tensors in other projects' files, found without reading them: PyTorch's zip archives and safetensors."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemwright.errors import HostileCheckpoint, UnreadableCheckpoint
from stemwright.zoo.checkpoints import pickled

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
EXPONENTS = {"F64": 0x7FF << 52, "F32": 0xFF << 23, "F16": 0x1F << 10, "BF16": 0xFF << 7}
"""Of floats, the bits that are all set where they are infinite or no number."""
NESTED = ("state", "state_dict", "model_state_dict", "model", "module", "ema", "net")
MAX_HEADER = 64 << 20
_PAGE = "it is a web page: what was fetched is not the file itself"
_NOT_ONE = {
    b"<!doctype": _PAGE,
    b"<html": _PAGE,
    b"version https://": "it is Git LFS's note of where the file is; fetch that with `git lfs pull`",
}
"""What other files begin with that people take for checkpoints."""


@dataclass(frozen=True)
class Tensor:
    """Numbers at a place in a file: `bits` are their raw bytes as unsigned integers of their size."""

    dtype: str
    bits: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.bits.shape


@dataclass(frozen=True)
class Checkpoint:
    """Everything a file holds: its tensors by name, plain facts beside them, and names of classes left as stubs."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    stubs: frozenset[str] = frozenset()


def read(path: Path) -> Checkpoint:
    """The tensors of a .th, .ckpt, .chpt, .pth, .pt or .safetensors file; raises ForeignError."""
    with path.open("rb") as file:
        start = file.read(16)
    if start[:4] == b"PK\x03\x04":
        return _torch(path)
    if len(start) > 8 and start[8:9] == b"{":
        return _safetensors(path)
    if start[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise UnreadableCheckpoint(
            reason="it is a bare pickle, or older than PyTorch 1.6's format; save it again with a newer one"
        )
    begun = (words for begin, words in _NOT_ONE.items() if start.lstrip().lower().startswith(begin))
    raise UnreadableCheckpoint(
        reason=next(begun, "it is neither a PyTorch archive nor safetensors") if start else "it is empty"
    )


def _torch(path: Path) -> Checkpoint:
    try:
        with zipfile.ZipFile(path) as archive:
            root = next(
                name.removesuffix("data.pkl") for name in archive.namelist() if name.split("/")[-1] == "data.pkl"
            )
            entries = _entries(archive, path.stat().st_size)
            if root + "byteorder" in entries and archive.read(root + "byteorder") != b"little":
                raise UnreadableCheckpoint(reason="its numbers are stored big end first")
            if any(name.startswith(root + "code/") for name in entries):
                raise HostileCheckpoint(what="TorchScript code; only plain weights are taken")
            if entries[root + "data.pkl"].file_size > pickled.MAX_BYTES:
                raise UnreadableCheckpoint(reason="its pickle is too large to be a description of tensors")
            value, stubs = pickled.read(archive.read(root + "data.pkl"))
    except StopIteration:
        raise UnreadableCheckpoint(
            reason="it is a zip file, and not one that PyTorch writes; if a checkpoint is in it, unpack that"
        ) from None
    except (zipfile.BadZipFile, struct.error, OSError, NotImplementedError, RuntimeError) as error:
        raise UnreadableCheckpoint(reason=f"its archive is damaged ({error})") from error
    views, facts = _unwrapped(value)
    raw = np.memmap(path, np.uint8, "r")
    places = {name: _place(entry, raw) for name, entry in entries.items() if name.startswith(root + "data/")}
    tensors = {name: _placed(name, view, raw, places.get(f"{root}data/{view.storage.key}")) for name, view in views}
    _no_bomb(tensors, len(raw))
    return Checkpoint(tensors, facts, frozenset(stubs))


def _entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """What lies in the archive, once; raises HostileCheckpoint for what PyTorch never writes."""
    entries: dict[str, zipfile.ZipInfo] = {}
    end = 0
    for entry in sorted(archive.infolist(), key=lambda each: each.header_offset):
        if entry.filename in entries:
            raise HostileCheckpoint(what=f"two entries named {entry.filename}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise HostileCheckpoint(what=f"a compressed or encrypted entry ({entry.filename})")
        if entry.header_offset < end or entry.header_offset + entry.file_size > size:
            raise HostileCheckpoint(what=f"overlapping entries ({entry.filename})")
        end = entry.header_offset + 30 + len(entry.filename.encode()) + entry.file_size
        entries[entry.filename] = entry
    return entries


def _place(entry: zipfile.ZipInfo, raw: NDArray[np.uint8]) -> tuple[int, int]:
    """First byte and length of a stored entry; its own header must say what the archive's directory says."""
    header = bytes(raw[entry.header_offset : entry.header_offset + 30])
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise UnreadableCheckpoint(reason=f"its archive is damaged at {entry.filename}")
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    start = entry.header_offset + 30
    if bytes(raw[start : start + name_length]) != entry.filename.encode():
        raise HostileCheckpoint(what=f"an entry under two names ({entry.filename})")
    start += name_length + extra_length
    if start + entry.file_size > len(raw):
        raise UnreadableCheckpoint(reason=f"it is cut off inside {entry.filename}")
    return start, entry.file_size


def _placed(name: str, view: pickled.TensorView, raw: NDArray[np.uint8], place: tuple[int, int] | None) -> Tensor:
    """A tensor's numbers where they lie; raises UnreadableCheckpoint when its sizes reach outside its storage."""
    if place is None:
        raise UnreadableCheckpoint(reason=f"the numbers of {name} are missing")
    size = SIZES[view.storage.dtype]
    held = min(place[1] // size, view.storage.count)
    reach = view.offset + sum((n - 1) * s for n, s in zip(view.shape, view.strides, strict=True)) + 1
    impossible = min((view.offset, *view.shape, *view.strides), default=0) < 0 or len(view.shape) > 8
    if impossible or (prod(view.shape) and (reach > held or prod(view.shape) > held)):
        raise UnreadableCheckpoint(reason=f"{name} has the shape {view.shape}, more than its {held} numbers")
    start = place[0] + view.offset * size
    flat = raw[start : place[0] + held * size]
    numbers = flat[: len(flat) // size * size].view(f"<u{size}")
    strides = [stride * size for stride in view.strides]
    return Tensor(view.storage.dtype, np.lib.stride_tricks.as_strided(numbers, view.shape, strides, writeable=False))


def _no_bomb(tensors: Mapping[str, Tensor], size: int) -> None:
    total = sum(tensor.bits.nbytes for tensor in tensors.values())
    if total > 2 * size:
        raise HostileCheckpoint(what=f"{total >> 20} MiB of tensors in a file of {size >> 20} MiB")


def _unwrapped(value: Any) -> tuple[list[tuple[str, pickled.TensorView]], dict[str, Any]]:
    """The tensors of a checkpoint however it is wrapped, and the plain values beside them."""
    facts: dict[str, Any] = {}
    for _ in range(4):
        if not isinstance(value, dict):
            raise UnreadableCheckpoint(reason="it holds no table of tensors; whole pickled models are not taken")
        facts |= {str(key): each for key, each in value.items() if _plain(each)}
        if (inner := _inner(value)) is None:
            break
        value = inner
    if value.get("__quantized"):
        raise UnreadableCheckpoint(reason="its weights are quantised with diffq; take the full-size checkpoint")
    if not (tensors := _views(value)):
        raise UnreadableCheckpoint(reason="it holds no tensors")
    return tensors, facts


def _inner(table: Mapping[Any, Any], deep: int = 3) -> dict[Any, Any] | None:
    """The table in this one that the weights are in: under one of its usual names, else the one with most tensors."""
    tables = {key: each for key, each in table.items() if isinstance(each, dict) and deep}
    within = deep - 1
    usual = [tables[key] for key in NESTED if key in tables and (_views(tables[key]) or _inner(tables[key], within))]
    if usual or _views(table):
        return usual[0] if usual else None
    others = [each for key, each in tables.items() if _views(each) and "optim" not in str(key)]
    return max(others, key=lambda each: len(_views(each)), default=None)


def _views(table: Mapping[Any, Any]) -> list[tuple[str, pickled.TensorView]]:
    return [(k, each) for k, each in table.items() if isinstance(each, pickled.TensorView) and isinstance(k, str)]


def _plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str | tuple | list | dict | pickled.Stub | pickled.Global)


def _safetensors(path: Path) -> Checkpoint:
    raw = np.memmap(path, np.uint8, "r")
    length = struct.unpack("<Q", bytes(raw[:8]))[0]
    if not 2 <= length <= min(MAX_HEADER, len(raw) - 8):
        raise UnreadableCheckpoint(reason="it is cut off, or not safetensors")
    try:
        header = json.loads(bytes(raw[8 : 8 + length]))
        facts = {name: _decoded(text) for name, text in header.pop("__metadata__", {}).items()}
        body = raw[8 + length :]
        tensors = {str(name): _section(str(name), entry, body) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableCheckpoint(reason=f"its header is broken ({error})") from error
    if not tensors:
        raise UnreadableCheckpoint(reason="it holds no tensors")
    _no_bomb(tensors, len(raw))
    return Checkpoint(tensors, facts)


def _decoded(text: str) -> Any:
    """Demucs writes its arguments as JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _section(name: str, entry: Mapping[str, Any], body: NDArray[np.uint8]) -> Tensor:
    (start, stop), shape, dtype = entry["data_offsets"], tuple(map(int, entry["shape"])), entry["dtype"]
    size = SIZES.get(dtype)
    if size is None:
        raise UnreadableCheckpoint(reason=f"{name} is stored as {dtype}, which is not known")
    if not 0 <= start <= stop <= len(body) or min(shape, default=0) < 0 or stop - start != prod(shape) * size:
        raise UnreadableCheckpoint(reason=f"{name} with shape {shape} does not fit its place in the file")
    return Tensor(dtype, body[start:stop].view(f"<u{size}").reshape(shape))


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
    """A safetensors file, tensor by tensor: nothing larger than one of them is in memory."""
    header: dict[str, Any] = {"__metadata__": dict(facts)}
    position = 0
    for name, tensor in tensors.items():
        length = prod(tensor.shape) * SIZES[tensor.dtype]
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [position, position + length],
        }
        position += length
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for chunk in _contiguous(tensors):
            file.write(chunk)


def _contiguous(tensors: Mapping[str, Tensor]) -> Iterator[memoryview]:
    for tensor in tensors.values():
        yield np.ascontiguousarray(tensor.bits).reshape(-1).view(np.uint8).data

"""Checkpoints made to harm: each is refused with a message, nothing is run, as a canary proves."""

from __future__ import annotations

import io
import json
import os
import pickle  # noqa: TID251  to make what must never be loaded
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stemwright import errors
from stemwright.zoo import foreign, installed
from stemwright.zoo.checkpoints import pickled

TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
Made = Callable[[Path], bytes]
H, U = errors.HostileCheckpoint, errors.UnreadableCheckpoint


class Runs:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def archive(
    data: bytes, *, storage: bytes = b"\0" * 64, compress: int = zipfile.ZIP_STORED, name: str = "a/data.pkl"
) -> bytes:
    """A PyTorch archive around a pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compress) as zipped:
        zipped.writestr(name, data)
        zipped.writestr("a/data/0", storage)
        zipped.writestr("a/version", b"3\n")
    return file.getvalue()


def tensors(shape: str, strides: str, *, count: int = 16, offset: int = 0, before: bytes = b"") -> bytes:
    """A pickle {"weight": tensor} with sizes of one's choice."""
    storage = f"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI{count}\ntQ".encode()
    sizes = f"I{offset}\n{shape}{strides}I00\nccollections\nOrderedDict\n)RtR".encode()
    return before + b"(dVweight\n" + TENSOR + b"(" + storage + sizes + b"s."


def system(canary: Path) -> Runs:
    return Runs(os.system, f"touch {canary}")


def executes(canary: Path) -> Runs:
    return Runs(exec, f"open({str(canary)!r}, 'w')")


def opens(canary: Path) -> Runs:
    return Runs(open, str(canary), "w")


def deep_key() -> bytes:
    """A key of tuples in tuples: hashing it would take 2^200 steps."""
    return b"(d(tp0\n" + b"".join(b"0g%d\ng%d\n\x86p%d\n" % (i, i, i + 1) for i in range(200)) + b"I1\ns."


def deep_set() -> bytes:
    """The same tuples in a frozen set."""
    deep = b"0g%d\ng%d\n\x86p%d\n"
    return b"(d\x8c\x01a(tp0\n" + b"".join(deep % (i, i, i + 1) for i in range(200)) + b"p999\n0(g999\n\x91s."


def overlapping(canary: Path) -> bytes:
    """A second entry that lies inside the first."""
    made = bytearray(archive(tensors("(I2\nI2\nt", "(I2\nI1\nt")))
    directory = made.rfind(b"PK\x01\x02", 0, made.rfind(b"PK\x01\x02"))
    struct.pack_into("<I", made, directory + 42, 4)
    return bytes(made)


def two_names(canary: Path) -> bytes:
    made = archive(tensors("(I2\nI2\nt", "(I2\nI1\nt"))
    return made.replace(b"a/data/0", b"a/data/1", 1)


def twice(canary: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("a/data.pkl", ONE)
        zipped.writestr("a/data.pk!", pickle.dumps(system(canary)))
    return file.getvalue().replace(b"data.pk!", b"data.pkl")


def shared(canary: Path) -> bytes:
    """A hundred tensors of one storage."""
    one = tensors("(I16384\nt", "(I1\nt", count=16384)[len(b"(dVweight\n") : -2]
    pickled = b"(d" + b"".join(b"Vw%d\n" % number + one + b"s" for number in range(100)) + b"."
    return archive(pickled, storage=bytes(65536))


def header(entries: dict[str, Any], body: bytes = b"\0" * 8) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + body


ONE, FOUR = tensors("(I1\nt", "(I1\nt"), tensors("(I4\nt", "(I1\nt")
SECTION = {"dtype": "U8", "shape": [4096], "data_offsets": [0, 4096]}
HOSTILE: dict[str, tuple[Made, type[Exception], str]] = {
    "os.system": (lambda c: archive(pickle.dumps({"w": system(c)}, 2)), H, r"system.*run code"),
    "os.system, protocol 5": (lambda c: archive(pickle.dumps(system(c), 5)), H, "run code"),
    "exec": (lambda c: archive(pickle.dumps({"w": executes(c)}, 2)), H, "exec"),
    "open for writing": (lambda c: archive(pickle.dumps(opens(c), 2)), H, r"io\.open|open"),
    "getattr": (lambda c: archive(b"cbuiltins\ngetattr\n."), H, "getattr"),
    "INST": (lambda c: archive(f"(Vtouch {c}\nios\nsystem\n.".encode()), H, "instruction INST"),
    "extension registry": (lambda c: archive(b"\x80\x02\x82\x01."), H, "instruction EXT1"),
    "bare pickle": (lambda c: pickle.dumps(system(c), 4), U, "bare pickle"),
    "pickle before the zip": (lambda c: pickle.dumps(system(c), 2) + archive(ONE), U, "bare pickle"),
    "TorchScript": (lambda c: archive(ONE).replace(b"a/version", b"a/code/x."), H, "TorchScript"),
    "compressed bomb": (lambda c: archive(ONE, storage=bytes(1 << 24), compress=8), H, "compressed"),
    "stride bomb": (lambda c: archive(tensors("(I99999999\nI99999999\nt", "(I0\nI0\nt")), U, "more than its 16"),
    "count that lies": (lambda c: archive(tensors("(I99999999\nt", "(I1\nt", count=1 << 40)), U, "more than its 16"),
    "shape past the storage": (lambda c: archive(tensors("(I4\nI5\nt", "(I5\nI1\nt")), U, r"\(4, 5\)"),
    "a number past the storage": (lambda c: archive(tensors("(I2\nt", "(I16\nt")), U, r"\(2,\)"),
    "the same storage a hundred times": (shared, H, "tensors in a file"),
    "negative stride": (lambda c: archive(tensors("(I4\nt", "(I-9\nt")), U, "numbers"),
    "negative offset": (lambda c: archive(tensors("(I4\nt", "(I1\nt", offset=-8)), U, "numbers"),
    "missing storage": (lambda c: archive(FOUR).replace(b"a/data/0", b"b/data/0"), U, "missing"),
    "overlapping entries": (overlapping, H, "overlapping"),
    "entry with two names": (two_names, H, "two names"),
    "two pickles": (twice, H, "two entries"),
    "cut off": (lambda c: archive(ONE)[:-40], U, "damaged"),
    "cut off in the pickle": (lambda c: archive(ONE[:-9]), U, "pickle"),
    "zip of something else": (lambda c: archive(b"", name="a/readme"), U, "not one that PyTorch writes"),
    "sets without end": (lambda c: archive(deep_set()), U, "key of type tuple"),
    "keys without end": (lambda c: archive(deep_key()), U, "key of type tuple"),
    "fraction without end": (lambda c: archive(b"(dVkwargs\ncfractions\nFraction\n(V1e999999999\ntRs."), U, "fraction"),
    "whole pickled model": (lambda c: archive(b"cdemucs.htdemucs\nHTDemucs\n)R."), U, "no table"),
    "header past the end": (lambda c: struct.pack("<Q", 1 << 60) + b"{" + bytes(64), U, "cut off"),
    "sections past the end": (lambda c: header({"w": {**SECTION, "data_offsets": [0, 9999]}}), U, "does not fit"),
    "shape beside its section": (lambda c: header({"w": {**SECTION, "shape": [9]}}, bytes(4096)), U, "not fit"),
    "the same section a thousand times": (
        lambda c: header({f"w{i}": SECTION for i in range(999)}, bytes(4096)),
        H, "tensors in a file"),
    "header nested without end": (lambda c: struct.pack("<Q", 99998) + b'{"w":' + b"[" * 99993 + bytes(8), U, "header"),
    "text": (lambda c: b"<html>404 not found</html>" * 9, U, "a web page"),
    "empty": (lambda c: b"", U, "it is empty"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_and_nothing_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_MODELS", str(tmp_path / "models"))
    canary, file = tmp_path / "canary", tmp_path / "evil.ckpt"
    make, error, message = HOSTILE[name]
    file.write_bytes(make(canary))
    with pytest.raises(error, match=message):
        foreign.add(file)
    assert not canary.exists()
    assert installed.names() == []
    assert [path.name for path in (tmp_path / "models").iterdir()] == []


def test_a_pickle_of_very_many_steps_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickled, "MAX_STEPS", 100)
    with pytest.raises(U, match="never ends"):
        pickled.read(b"(d" + b"I1\n0" * 60 + b".")


def test_the_canary_would_have_sung(tmp_path: Path) -> None:
    """The file that was refused does run code when it is unpickled."""
    pickle.loads(pickle.dumps({"w": system(tmp_path / "canary")}, 2))
    assert (tmp_path / "canary").exists()


YAML: dict[str, tuple[str, str]] = {
    "code": ("a: !!python/object/apply:os.system ['touch {canary}']", "python/object"),
    "import": ("a: !!python/module:os", "python/module"),
    "aliases without end": ("a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases"),
    "nested without end": ("a: " + "[" * 5000, "recursion"),
    "not a table": ("- 1", "not a table"),
    "no time": ("a: !!timestamp x", "groupdict"),
    "no number": ("a: !!int ''", "index"),
    "no truth": ("a: !!bool x", "x"),
    "a number of sixties without end": (f"a: {'1:' * 200}1.5", "too large"),
}


@pytest.mark.parametrize("name", YAML)
def test_a_hostile_yaml_is_refused_and_nothing_runs(name: str, tmp_path: Path) -> None:
    from stemwright.zoo.checkpoints import training_config

    text, message = YAML[name]
    (tmp_path / "its.yaml").write_text(text.replace("{canary}", str(tmp_path / "canary")))
    with pytest.raises(errors.BadConfig, match=message):
        training_config.read(tmp_path / "its.yaml")
    assert not (tmp_path / "canary").exists()

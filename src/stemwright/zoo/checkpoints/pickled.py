"""Reads a pickle as plain data and never runs it: a stack machine of our own that knows tensors and a few containers.

A pickle is a program for a stack machine. This one has no instruction that imports or calls anything: a global is only
a name, and calling a name builds a value for the handful of names below, an inert `Stub` for any other.
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from stemwright.errors import HostileCheckpoint, UnreadableCheckpoint

MAX_BYTES = 64 << 20
MAX_STEPS = 5_000_000


@dataclass(frozen=True)
class Global:
    """A name that the pickle would import; here it stays a name."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Stub:
    """An object of a class that is not known here: what it was, and nothing else."""

    what: str


@dataclass(frozen=True)
class Storage:
    """A run of numbers in the archive: its entry's key, what it holds and how many."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class TensorView:
    """A tensor as the pickle describes it, strides in elements; nothing has been read yet."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


DTYPES = {
    "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16", "DoubleStorage": "F64",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}  # fmt: skip
_DANGEROUS = re.compile(
    r"^(os|posix|nt|subprocess|builtins|__builtin__|sys|importlib|imp|runpy|pty|shutil|socket|ctypes|pickle|_pickle|dill"
    r"|cloudpickle|joblib|code|codeop|marshal|types|operator|functools|webbrowser|asyncio|multiprocessing|signal"
    r"|threading|tempfile|io|http|urllib|requests|torch\.hub|torch\.jit|torch\.serialization)(\.|$)"
)
_HARMLESS = {
    f"{module}.{name}"
    for module in ("builtins", "__builtin__")
    for name in ("set", "frozenset", "slice", "complex", "object", "dict", "list", "tuple", "int", "float", "bytearray")
} | {"types.SimpleNamespace", "functools.partial"}


@dataclass
class _Machine:
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def pop(self, count: int = 1) -> list[Any]:
        if count > len(self.stack):
            raise UnreadableCheckpoint(reason="its pickle takes more from the stack than there is")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def since_mark(self) -> list[Any]:
        if not self.marks:
            raise UnreadableCheckpoint(reason="its pickle has no mark where one is needed")
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def top(self) -> Any:
        if not self.stack:
            raise UnreadableCheckpoint(reason="its pickle takes from an empty stack")
        return self.stack[-1]


def read(data: bytes) -> tuple[Any, set[str]]:
    """The value a pickle describes and the names left as Stubs; raises UnreadableCheckpoint, HostileCheckpoint."""
    if len(data) > MAX_BYTES:
        raise UnreadableCheckpoint(reason=f"its pickle is larger than {MAX_BYTES >> 20} MiB")
    machine = _Machine()
    try:
        for step, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if opcode.name == "STOP":
                return machine.pop()[0], machine.seen
            if step > MAX_STEPS:
                raise UnreadableCheckpoint(reason="its pickle never ends")
            _step(machine, opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UnreadableCheckpoint(reason=f"its pickle is broken ({error})") from error
    raise UnreadableCheckpoint(reason="its pickle is cut off")


def _step(machine: _Machine, name: str, argument: Any) -> None:
    if name in _VALUES:
        machine.stack.append(_VALUES[name](argument))
    elif name in _MOVES:
        _MOVES[name](machine, argument)
    elif name not in ("PROTO", "FRAME"):
        raise HostileCheckpoint(what=f"the instruction {name}")


def _given(argument: Any) -> Any:
    return argument


_VALUES: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "BINFLOAT", "FLOAT"), _given),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING"), _given),
    **dict.fromkeys(("SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "LONG4"), _given),
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_DICT": lambda _: {},
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_SET": lambda _: set(),
}


def _global(machine: _Machine, module: str, name: str) -> None:
    found = Global(module, name)
    if _DANGEROUS.match(module) and str(found) not in _HARMLESS:
        raise HostileCheckpoint(what=f"{found}, which could run code")
    machine.stack.append(found)


def _stack_global(machine: _Machine) -> None:
    module, name = machine.pop(2)
    if not isinstance(module, str) or not isinstance(name, str):
        raise UnreadableCheckpoint(reason="its pickle names a class by something that is not a name")
    _global(machine, module, name)


def _put(machine: _Machine, key: int) -> None:
    machine.memo[key] = machine.top()


def _get(machine: _Machine, key: int) -> None:
    machine.stack.append(machine.memo[key])


def _append(machine: _Machine, values: list[Any]) -> None:
    target = machine.top()
    if isinstance(target, list):
        target.extend(values)


def _add(machine: _Machine, values: list[Any]) -> None:
    target = machine.top()
    if isinstance(target, set):
        target.update(_keys(values))


def _set(machine: _Machine, values: list[Any]) -> None:
    target = machine.top()
    if isinstance(target, dict):
        target.update(zip(_keys(values[0::2]), values[1::2], strict=True))


def _keys(values: list[Any]) -> list[Any]:
    """Plain values only: hashing tuples nested in tuples can take for ever."""
    for value in values:
        if not isinstance(value, str | bytes | int | float | bool | None):
            raise UnreadableCheckpoint(reason=f"its pickle has a key of type {type(value).__name__}")
    return values


def _call(machine: _Machine, *, count: int) -> None:
    what, arguments, *_ = machine.pop(count)
    machine.stack.append(_built(machine, what, arguments))


def _object(machine: _Machine, values: list[Any]) -> None:
    machine.stack.append(_built(machine, values[0], tuple(values[1:])))


def _state(machine: _Machine) -> None:
    machine.pop()  # an object's attributes: nothing here has any


def _storage(machine: _Machine) -> None:
    kind, storage, key, _, count = machine.pop()[0]
    dtype = DTYPES.get(storage.name) if isinstance(storage, Global) else None
    if kind != "storage" or dtype is None or not isinstance(key, str):
        raise UnreadableCheckpoint(reason="it stores numbers in a way that is not known")
    machine.stack.append(Storage(key, dtype, int(count)))


def _dict(machine: _Machine, values: list[Any]) -> None:
    machine.stack.append({})
    _set(machine, values)


def _dropped(_: list[Any]) -> None:
    """What the pickle takes off its stack and throws away."""


_MOVES: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "POP": lambda m, _: _dropped(m.pop()),
    "POP_MARK": lambda m, _: _dropped(m.since_mark()),
    "DUP": lambda m, _: m.stack.append(m.top()),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.since_mark())),
    "TUPLE1": lambda m, _: m.stack.append(tuple(m.pop(1))),
    "TUPLE2": lambda m, _: m.stack.append(tuple(m.pop(2))),
    "TUPLE3": lambda m, _: m.stack.append(tuple(m.pop(3))),
    "LIST": lambda m, _: m.stack.append(m.since_mark()),
    "DICT": lambda m, _: _dict(m, m.since_mark()),
    "FROZENSET": lambda m, _: m.stack.append(frozenset(_keys(m.since_mark()))),
    "APPEND": lambda m, _: _append(m, m.pop()),
    "APPENDS": lambda m, _: _append(m, m.since_mark()),
    "ADDITEMS": lambda m, _: _add(m, m.since_mark()),
    "SETITEM": lambda m, _: _set(m, m.pop(2)),
    "SETITEMS": lambda m, _: _set(m, m.since_mark()),
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": lambda m, _: _put(m, len(m.memo)),
    "GET": _get,
    "BINGET": _get,
    "LONG_BINGET": _get,
    "GLOBAL": lambda m, named: _global(m, *named.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: _stack_global(m),
    "BINPERSID": lambda m, _: _storage(m),
    "REDUCE": lambda m, _: _call(m, count=2),
    "NEWOBJ": lambda m, _: _call(m, count=2),
    "NEWOBJ_EX": lambda m, _: _call(m, count=3),
    "OBJ": lambda m, _: _object(m, m.since_mark()),
    "BUILD": lambda m, _: _state(m),
}


def _tensor(arguments: tuple[Any, ...]) -> TensorView:
    storage, offset, shape, strides = arguments[:4]
    if not isinstance(storage, Storage):
        raise UnreadableCheckpoint(reason="a tensor has no storage")
    return TensorView(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _pairs(given: Any = ()) -> dict[Any, Any]:
    pairs = list(given.items() if isinstance(given, dict) else given)
    return dict(zip(_keys([key for key, _ in pairs]), (value for _, value in pairs), strict=True))


def _fraction(arguments: tuple[Any, ...]) -> Fraction:
    text = "/".join(str(part) for part in arguments if isinstance(part, str | int))
    if not re.fullmatch(r"\d{1,9}(/[1-9]\d{0,8})?", text):  # Fraction("1e999999999") would take all memory
        raise UnreadableCheckpoint(reason="a fraction is not two small numbers")
    return Fraction(text)


_BUILDERS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "collections.OrderedDict": lambda arguments: _pairs(*arguments[:1]),
    "collections.defaultdict": lambda _: {},
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_parameter": lambda arguments: arguments[0],
    "torch._tensor._rebuild_from_type_v2": lambda arguments: _tensor(arguments[2]),
    "torch.Size": lambda arguments: tuple(*arguments[:1]),
    "fractions.Fraction": _fraction,
    "builtins.set": lambda arguments: set(_keys(list(*arguments[:1]))),
    "__builtin__.set": lambda arguments: set(_keys(list(*arguments[:1]))),
}


def _built(machine: _Machine, what: Any, arguments: Any) -> Any:
    name = str(what) if isinstance(what, Global) else f"an object of {type(what).__name__}"
    if name in _BUILDERS and isinstance(arguments, tuple):
        return _BUILDERS[name](arguments)
    machine.seen.add(name)
    return Stub(name)

"""The child process that reads another project's checkpoint: `python -m` this module, JSON in and out.

It never imports torch and never unpickles. It runs apart so that what a hostile file can still do, to take memory or
time, ends with the process.
"""

from __future__ import annotations

import errno
import json
import re
import sys
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from stemwright.errors import BadConfig, ForeignError, UnknownArchitecture, UnreadableCheckpoint
from stemwright.zoo import catalog, fitting
from stemwright.zoo.checkpoints import archive, mdx_nets, recognition, renaming, training_config

_ROFORMER = re.compile(
    r"bands\.\d+\.(norm\.gamma|linear\.(weight|bias))|(time|band)_angles|norm\.gamma"
    r"|blocks\.\d+\.(time|band)\.(norm\.gamma|attention\.\d+\.(norm\.gamma|(qkv|out)\.weight|gates\.(weight|bias))"
    r"|feedforward\.\d+\.(norm\.gamma|(up|down)\.(weight|bias)))|masks\.\d+\.bands\.\d+\.\d+\.(weight|bias)"
)
DEMUCS_STEMS = ("drums", "bass", "other", "vocals", "guitar", "piano")


def convert(source: Path, out: Path, config: Path | None) -> dict[str, Any]:
    """Writes safetensors under our names to `out`; returns what the card should say about them."""
    if is_graph(source):
        return _graph(source, out)
    checkpoint = archive.read(source)
    tensors, copies, strangers = _own(checkpoint.tensors)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    found = recognition.recognise(shapes)
    table = renaming.renamed(found.architecture, shapes)
    for name in renaming.silent(shapes):
        if (tensors[name].bits << 1).any():  # the highest bit is the sign of a zero
            raise UnknownArchitecture(reason=f"it is a RoFormer whose attention has biases ({name})")
        del table[name]
    left = sorted(theirs for theirs, ours in table.items() if not _ours(found.architecture, ours))
    if left:
        raise UnknownArchitecture(
            reason=f"it is a variant of {found.architecture} with {len(left)} tensors like {left[0]}"
        )
    _refuse_other_than_floats({theirs: tensors[theirs] for theirs in table})
    said = training_config.stated(config, found.architecture, found.kind)
    sizes, contradictions = _agreed(found, said)
    rate = _rate(checkpoint.facts) or said.rate or 44100
    told = _told(found, checkpoint.facts, rate)
    sizes |= told
    segment = sizes.get("segment", said.segment or found.segment)
    if (config or told) and (misfit := fitting.misfit(found.architecture, sizes, segment)):
        raise BadConfig(path=config, reason=misfit) if config else UnreadableCheckpoint(reason=misfit)
    archive.write(out, {ours: tensors[theirs] for theirs, ours in table.items()}, {"format": "pt"})
    stems, others_assumed = _stems(found, said.stems, checkpoint.facts)
    stated = {*told, *said.sizes, *(["segment"] if said.segment else [])}
    normalised = said.normalised
    if found.architecture == "scnet" and normalised is None:  # as its trainers do, unless their yaml says otherwise
        normalised, others_assumed = True, ("normalised", *others_assumed)
    return {
        "architecture": found.architecture,
        "sizes": sizes,
        "stems": list(stems),
        "segment": segment,
        "rate": rate,
        "normalised": bool(normalised),
        "overlap": None if told else said.overlap,  # a file of Demucs' own is not run by the project of the yaml
        "assumed": [name for name in (*found.assumed, *others_assumed) if name not in stated],
        "contradictions": [*copies, *contradictions],
        "left_out": sorted({*checkpoint.stubs, *strangers}),
        "dtype": next(iter(tensors.values())).dtype,
    }


def _own(tensors: Mapping[str, archive.Tensor]) -> tuple[dict[str, archive.Tensor], list[str], list[str]]:
    """The net's tensors without what its trainer put before their names; what that leaves out, in words and names."""
    first, *others = recognition.prefixes(tensors) or [""]
    taken = [
        name for name in tensors if name.startswith(first) and not (first == "" and name.startswith(tuple(others)))
    ]
    strangers = [name for name in tensors if not name.startswith((first, *others))]
    copies = [f"the net: it is there as {first or '(no name)'} and as {other}" for other in others[:3]]
    return {name.removeprefix(first): tensors[name] for name in taken}, copies, strangers[:50]


def _refuse_other_than_floats(tensors: Mapping[str, archive.Tensor]) -> None:
    """Raises UnreadableCheckpoint for weights that a net cannot run with: whole numbers (its counters may be), NaN."""
    for name, tensor in tensors.items():
        exponent = archive.EXPONENTS.get(tensor.dtype)
        if exponent is None and not name.endswith("num_batches_tracked"):
            raise UnreadableCheckpoint(reason=f"its weights in {name} are {tensor.dtype}, and a net's are floats")
        if exponent is not None and (tensor.bits & exponent == exponent).any():
            raise UnreadableCheckpoint(reason=f"its weights in {name} are not all numbers: the training has diverged")


def is_graph(source: Path) -> bool:
    """Whether a file is a graph, by the end of its name."""
    return source.suffix.lower() == ".onnx"


def _graph(source: Path, out: Path) -> dict[str, Any]:
    """An MDX-Net graph stays as it is; its sizes are in UVR's table."""
    from onnxruntime import InferenceSession

    sizes = mdx_nets.sizes_of(source)
    if sizes is None:
        raise UnknownArchitecture(reason="it is a graph that is not in the table of MDX-Net graphs")
    data = source.read_bytes()  # from bytes: a graph cannot make it open other files
    try:
        graph = InferenceSession(data, providers=["CPUExecutionProvider"]).get_inputs()[0]
    except Exception as error:  # onnxruntime's errors have no other common class
        raise UnreadableCheckpoint(reason=f"its graph cannot be opened ({str(error)[:200]})") from error
    if list(graph.shape[1:]) != [4, sizes["bins"], sizes["frames"]]:
        raise UnknownArchitecture(reason=f"its graph takes {graph.shape}, the table says {sizes}")
    out.write_bytes(data)
    stem = sizes.pop("stem")
    segment = 1024 * (sizes["frames"] - 1)
    return {
        "architecture": "mdx", "sizes": sizes, "stems": [stem], "segment": segment, "hop": segment - sizes["n_fft"],
        "assumed": [], "contradictions": [], "left_out": [], "dtype": "F32",
    }  # fmt: skip


def _ours(architecture: str, name: str) -> bool:
    """Whether a renamed tensor is one of the architecture's own; upstream's variants add others."""
    if architecture == "roformer":  # its variants hide inside the blocks
        return _ROFORMER.fullmatch(name) is not None
    heads = {
        "scnet": ("encoders.", "paths.", "decoders.", "mask.", "positions"),
        "tfc_tdf": ("first.", "encoders.", "downs.", "bottom.", "ups.", "decoders.", "last."),
        "htdemucs": ("encoders.", "decoders.", "wave_", "frequencies.", "widen", "narrow", "transformer."),
    }
    return name.startswith(heads[architecture])


def _agreed(found: recognition.Recognised, said: training_config.Stated) -> tuple[dict[str, Any], list[str]]:
    """The tensors' sizes, with the yaml's where the tensors are silent, and where the two contradict each other."""
    silent = {name: said.sizes[name] for name in found.assumed if name in said.sizes}
    known = {name: value for name, value in said.sizes.items() if name in found.sizes and name not in found.assumed}
    pairs = {name: (found.sizes[name], value) for name, value in known.items()}
    if said.stems:
        pairs["stems"] = (found.stems, len(said.stems))
    clashes = [
        f"{name}: the tensors say {_brief(tensors)}, the configuration {_brief(value)}"
        for name, (tensors, value) in pairs.items()
        if tensors != value
    ]
    return {**found.sizes, "stems": found.stems, **silent}, clashes


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) < 60 else f"{text[:50]} … ({len(value)})"


def _rate(facts: Mapping[str, Any]) -> int | None:
    """The sample rate that a Demucs file says its net was made for."""
    kwargs = facts.get("kwargs")
    rate = kwargs.get("samplerate") if isinstance(kwargs, dict) else None
    return rate if type(rate) is int and 8000 <= rate <= 192000 else None


def _told(found: recognition.Recognised, facts: Mapping[str, Any], rate: int) -> dict[str, Any]:
    """Demucs files carry the arguments their net was made with: of sizes that no tensor shows, they are believed."""
    kwargs = facts.get("kwargs")
    if found.architecture != "htdemucs" or not isinstance(kwargs, dict):
        return {}
    try:
        said = training_config.sizes("htdemucs", found.kind, {"htdemucs": kwargs})
    except ValueError as error:
        raise UnreadableCheckpoint(reason=f"of what its net was made with, {error}") from error
    told = {name: value for name, value in said.items() if name in found.assumed}
    seconds = _seconds(kwargs.get("segment"))
    return told | ({"segment": int(seconds * rate)} if seconds else {})


def _seconds(length: Any) -> int | float | Fraction | None:
    """A length as Demucs writes it, also as JSON; None for what is none."""
    if isinstance(length, dict) and length.get("_type") == "fraction":
        try:
            length = Fraction(int(length["numerator"]), int(length["denominator"]))
        except (KeyError, TypeError, ValueError, ArithmeticError):
            return None
    return length if isinstance(length, int | float | Fraction) and 0 < length < 600 else None


def _stems(
    found: recognition.Recognised, said: tuple[str, ...], facts: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the outputs and, when nothing states them, that they were assumed."""
    kwargs, args = facts.get("kwargs"), facts.get("args")
    written = [kwargs.get("sources")] if isinstance(kwargs, dict) else []
    written += list(args[:1]) if isinstance(args, list | tuple) else []
    for names in (*written, said):
        if isinstance(names, list | tuple) and len(names) == found.stems and all(map(catalog.is_stem, names)):
            return numbered(names), ()
    known = {1: ("vocals",), 2: ("vocals", "other"), 4: DEMUCS_STEMS[:4], 6: DEMUCS_STEMS}
    return known.get(found.stems) or tuple(f"stem-{i + 1}" for i in range(found.stems)), ("stems",)


def numbered(names: Sequence[str]) -> tuple[str, ...]:
    """The names, a number behind those that come again: two outputs of one name would be one file.

    >>> numbered(["vocals", "Vocals", "other"])
    ('vocals', 'Vocals-2', 'other')
    """
    given: dict[str, str] = {}
    for name in names:
        tries = (name, *(f"{name[:36]}-{number}" for number in range(2, len(names) + 2)))
        free = next(each for each in tries if each.casefold() not in given)
        given[free.casefold()] = free
    return tuple(given.values())


def main() -> None:
    """Reads one request from standard input, answers on standard output."""
    asked = json.load(sys.stdin)
    _limit(asked["memory_bytes"], asked["seconds"])
    try:
        answer = convert(Path(asked["source"]), Path(asked["out"]), Path(asked["config"]) if asked["config"] else None)
    except ForeignError as error:
        answer = {"error": type(error).__name__, "fields": {name: str(value) for name, value in error.fields.items()}}
    except OSError as error:  # the disk's, or a limit's of the system: no fault of the file
        answer = {"os_error": error.errno or errno.EIO}
    except MemoryError:
        answer = {"error": "ConversionStopped", "fields": {"limit": f"{asked['memory_bytes'] >> 20} MiB of memory"}}
    json.dump(answer, sys.stdout)


def _limit(memory_bytes: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: the parent's time limit remains
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()

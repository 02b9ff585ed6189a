"""Takes over other projects' checkpoints: read in a child process, installed as safetensors and a card."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from stemwright import errors
from stemwright.audio.parts import write_error
from stemwright.engine.progress import ASK_SECONDS, go_on
from stemwright.zoo import catalog, fitting, installed, loading, published, recipes
from stemwright.zoo.checkpoints import converting

SECONDS = 600
_ADDING = ".adding-"
_PLAINLY = {
    "normalized": "normalized (the scale of its spectrum)",
    "normalised": "whether songs are brought to one level before it (they are)",
}


@dataclass(frozen=True)
class Added:
    """A checkpoint that was taken over; `notes` are what its owner should know."""

    model: installed.Installed

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or contradicted, in words."""
        return notes(self.model.facts)


def add(
    source: Path,
    *,
    name: str | None = None,
    config: Path | None = None,
    stems: tuple[str, ...] = (),
    facts: dict[str, Any] | None = None,
) -> Added:
    """Installs a .th, .ckpt, .chpt, .pth, .safetensors or .onnx file as a model, once; raises ForeignError.

    Or the card (.toml) of a model that `stemwright train` made, with the graph beside it; raises BadCard, BadWeights.

    `config` is the yaml that came with it, `stems` names its outputs where nothing in the files does, `facts` are
    what a catalogue knows (licence, source, stems, what the files leave open) of its own model of that name. No code
    in the file is ever run.
    """
    for path in (source, *([config] if config else [])):
        if not path.is_file():
            raise errors.FileMissing(path=path)
    if source.suffix == ".toml":
        return _trained(source, name)
    model = name or _safe(source.stem)
    _free(model, from_catalogue=facts is not None)
    with _scratch() as scratch:
        weights = Path(scratch) / ("weights.onnx" if converting.is_graph(source) else "weights.safetensors")
        found = convert(source, weights, config=config)
        if stems:
            found["stems"] = _given(source, stems, outputs=len(found["stems"]))
            found["assumed"] = [each for each in found["assumed"] if each != "stems"]
        return Added(installed.install(model, weights, {**_completed(found, facts or {}), "from_file": source.name}))


def _trained(source: Path, name: str | None) -> Added:
    card = catalog.read(source, home=source.parent)
    model = name or card.name
    _free(model, from_catalogue=False)
    with _scratch() as scratch:
        weights = Path(scratch) / f"{model}.onnx"
        found = "missing"
        if card.weights_path.is_file():
            shutil.copyfile(card.weights_path, weights)
            found = installed.sha256(weights)
        if found != card.sha256:
            raise errors.BadWeights(path=card.weights_path, found=found, expected=card.sha256)
        loading.try_out(replace(card, weights=weights.name, home=weights.parent))
        facts = tomllib.loads(source.read_text("utf-8"))
        for made_anew in ("name", "weights", "sha256"):
            del facts[made_anew]
        return Added(installed.install(model, weights, facts))


def _scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder beside the models for one conversion; those that killed processes left, older than any may be, go."""
    models = installed.folder(create=True)
    for left in models.glob(f"{_ADDING}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > 2 * SECONDS:
                shutil.rmtree(left)
    return tempfile.TemporaryDirectory(dir=models, prefix=_ADDING)


def _completed(found: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """What was found, with what a catalogue knows; of what the files state themselves, they are believed."""
    found, facts = _with_names(found, tuple(facts.get("stems", ()))), {k: v for k, v in facts.items() if k != "stems"}
    stated = [name for name in ("segment", "normalised") if name in facts and name not in found["assumed"]]
    clashes = [
        f"{name}: the files say {_value(found[name])}, the catalogue {_value(facts[name])}"
        for name in stated
        if found[name] != facts[name]
    ]
    told = {name: value for name, value in facts.items() if name not in stated}
    assumed = [name for name in found["assumed"] if name not in facts]
    return {**found, **told, "assumed": assumed, "contradictions": [*found["contradictions"], *clashes]}


def _with_names(found: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    """The outputs under a catalogue's names; which of several is which the files say, where they say it."""
    said, is_stated = found["stems"], "stems" not in found["assumed"]
    if not known or (len(said) == len(known) and is_stated and sorted(said) == sorted(known)):
        return found
    if len(said) == len(known) and (len(said) == 1 or not is_stated):
        assumed = [name for name in found["assumed"] if name != "stems"]
        return {**found, "stems": list(known), "assumed": assumed}
    clash = f"stems: the files say {', '.join(said)}, the catalogue {', '.join(known)}"
    return {**found, "contradictions": [*found["contradictions"], clash]}


def _value(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _safe(title: str) -> str:
    """A file's name as a model's, without what a model's cannot have.

    >>> _safe("Kim Vocal (2)")
    'kim-vocal-2'
    """
    return re.sub(r"[^\w.+]+", "-", title.lower()).strip("-.+") or "model"


def _free(model: str, *, from_catalogue: bool) -> None:
    """Raises BadName, or NameTaken where a model of that name would hide another, or be hidden by it."""
    if not installed.is_name(model):
        raise errors.BadName(model=model)
    kept = {*catalog.names(), *recipes.names(), "recipes"}
    kept |= set() if from_catalogue else {card.name for card in published.listing() if card.weights or card.members}
    if model.casefold() in map(str.casefold, kept):
        raise errors.NameKept(model=model)
    if installed.find(model):
        raise errors.NameTaken(model=model)


def _given(source: Path, stems: tuple[str, ...], *, outputs: int) -> list[str]:
    """The names that were asked for, one for each output and each once; raises BadStems."""
    names = [stem.strip() for stem in stems]
    refused = partial(errors.BadStems, stems=", ".join(names), path=source)
    for name in names:
        if not catalog.is_stem(name):
            raise refused(reason=f"{name!r} cannot be a file's name, which it becomes")
    if len(names) != outputs:
        raise refused(reason=f"it has {outputs} outputs, not {len(names)}")
    if len({name.casefold() for name in names}) < outputs:
        raise refused(reason="two of them would be one file")
    return names


def convert(source: Path, out: Path, *, config: Path | None = None) -> dict[str, Any]:
    """Runs the child on one file; returns what it found, or raises the error that it met."""
    size = source.stat().st_size
    request = {
        "source": str(source.resolve()),
        "out": str(out),
        "config": str(config.resolve()) if config else None,
        "memory_bytes": (2 << 30) + 3 * size,
        "seconds": SECONDS,
    }
    kept = {key: value for key, value in os.environ.items() if key.startswith(("PYTHON", "PATH", "SYSTEMROOT", "LANG"))}
    with subprocess.Popen(
        [sys.executable, "-m", "stemwright.zoo.checkpoints.converting"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**kept, "OPENBLAS_NUM_THREADS": "1"},
    ) as child:
        try:
            said, complaints = _heard(child, json.dumps(request))
        except subprocess.TimeoutExpired:
            raise errors.ConversionStopped(path=source, limit=f"{SECONDS} s") from None
        finally:
            child.kill()
    if child.returncode:
        last = (complaints.strip().splitlines() or ["no message"])[-1]
        raise errors.ConversionStopped(path=source, limit=f"it may, or broke the reader ({last})")
    answer = json.loads(said)
    if "os_error" in answer:
        number = answer["os_error"]
        raise write_error(out.parent, OSError(number, os.strerror(number)))
    if "error" in answer:
        raise getattr(errors, answer["error"])(**{"path": source, **answer["fields"]})
    kind = answer["architecture"]
    if kind != "mdx" and (complaint := fitting.incomplete(kind, answer["sizes"], out)):
        raise errors.UnreadableCheckpoint(path=source, reason=f"its {kind} {complaint}")
    return answer


def _heard(child: subprocess.Popen[str], request: str) -> tuple[str, str]:
    """What it said to the request; raises Cancelled, or TimeoutExpired after SECONDS."""
    until, told = time.monotonic() + SECONDS, request
    while True:
        try:
            return child.communicate(told, timeout=ASK_SECONDS)
        except subprocess.TimeoutExpired:
            go_on()
            told = None
            if time.monotonic() > until:
                raise


def notes(facts: dict[str, Any]) -> tuple[str, ...]:
    """What the owner of an installed model should know of how its files were read, by its card."""
    told = [f"a contradiction, of which the first was believed; {clash}" for clash in facts.get("contradictions", ())]
    if assumed := [_PLAINLY.get(name) or str(name) for name in facts.get("assumed", ())]:
        told.append(f"nothing in the files states {', '.join(assumed)}: the usual values were taken")
    if left_out := facts.get("left_out"):
        told.append(f"not read, being no part of the net: {', '.join(left_out[:5])}")
    return tuple(told)

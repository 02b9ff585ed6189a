"""All that a run needs to go on after a kill: one safetensors file, replaced as a whole."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from stemwright.audio.parts import write_error
from stemwright.errors import BadCheckpoint, OtherRecipe

Parts = dict[str, nn.Module | Optimizer]
NEEDED = ("step", "seconds", "songs", "finish")
"""Facts without which no run goes on."""


def save(path: Path, parts: Parts, facts: dict[str, Any]) -> None:
    """Writes modules, optimisers and facts (JSON). Raises CannotWrite, DiskFull: then the last checkpoint is kept."""
    tensors = {f"{name}/{key}": value for name, part in parts.items() for key, value in _tensors(part).items()}
    unfinished = path.with_name(path.name + ".part")
    try:
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: value.contiguous() for key, value in tensors.items()}, unfinished, {"facts": json.dumps(facts)})
        unfinished.replace(path)
    except (OSError, SafetensorError) as error:
        unfinished.unlink(missing_ok=True)
        raise write_error(path, error if isinstance(error, OSError) else OSError(_number(error), str(error))) from error


def facts_of(path: Path, **expected: object) -> dict[str, Any]:
    """The facts of a checkpoint. Raises BadCheckpoint, and OtherRecipe when one differs from what is expected."""
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["facts"])
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise BadCheckpoint(path=path, reason=error) from error
    for field, value in expected.items():
        if facts.get(field) != value:
            raise OtherRecipe(path=path, field=field, found=facts.get(field), expected=value)
    if missing := [field for field in NEEDED if field not in facts]:
        raise BadCheckpoint(path=path, reason=f"it does not tell {', '.join(missing)}")
    return facts


def load(path: Path, parts: Parts) -> None:
    """Reads modules and optimisers in place. Raises BadCheckpoint."""
    try:
        with safe_open(path, "pt") as file:
            for name, part in parts.items():
                keys = [key for key in file.keys() if key.startswith(f"{name}/")]  # noqa: SIM118 - not a dict
                _restore(part, {key.removeprefix(f"{name}/"): file.get_tensor(key) for key in keys})
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise BadCheckpoint(path=path, reason=error) from error


def _number(error: Exception) -> int:
    """The system's number of an error that safetensors tells in words: `Os { code: 28, … }`."""
    found = re.search(r"code: (\d+)", str(error))
    return int(found[1]) if found else 0


def _tensors(part: nn.Module | Optimizer) -> dict[str, Tensor]:
    if isinstance(part, nn.Module):
        return dict(part.state_dict())
    state = part.state_dict()["state"]
    return {f"{i}/{key}": torch.as_tensor(value) for i, values in state.items() for key, value in values.items()}


def _restore(part: nn.Module | Optimizer, tensors: dict[str, Tensor]) -> None:
    if isinstance(part, nn.Module):
        part.load_state_dict(tensors)
        return
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, field = key.split("/", 1)
        state.setdefault(int(index), {})[field] = value
    part.load_state_dict({"state": state, "param_groups": part.state_dict()["param_groups"]})

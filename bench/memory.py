"""Peak memory against a song's length, for every family of nets: decode, whole-song normalisation, nets, encode.

    python bench/memory.py [--minutes 4 60] [--only scnet] [--model NAME] [--also report,zip]

The nets are small ones with random weights at 8 kHz, installed for the run: what could grow with a song is around
them, and an hour of a stem is 230 MB. `--model` takes one that is installed instead, with a song at 44.1 kHz, at
whatever length there is time for. `--also` has files of the whole song made besides. Each
length runs in a process of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

CHILD = """
import json, resource, sys, time
from stemwright.separation import separate_to
started = time.monotonic()
also = [*filter(None, sys.argv[4].split(","))]
files = separate_to(sys.argv[1], sys.argv[2], model=sys.argv[3], format="wav", also=also)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"mb": peak, "seconds": time.monotonic() - started, "stems": len(files.paths)}))
"""


RATE = 8000
SEGMENT = 1024 * 127


def nets() -> dict[str, Callable[[], tuple[Any, Any]]]:
    """A small net of each family of torch, and its config."""
    from stemwright.nets import htdemucs, roformer, scnet, tfc_tdf

    bands = tuple((first, first + 256 + (first == 768)) for first in range(0, 1025 - 256, 256))
    overlapping = tuple((max(0, first - 64), last) for first, last in bands)
    small: dict[str, Any] = {"dim": 16, "depth": 1, "heads": 2, "dim_head": 8, "hop": 1024, "stems": 2}
    demucs = htdemucs.HTDemucsConfig(stems=2, width=4, bottom=16, layers=1, heads=2, residual_compress=2)
    tdf = tfc_tdf.TfcTdfConfig(stems=2, width=4, growth=2, levels=3, blocks=1, n_fft=4096, hop=2048, bins=2048)
    configs = {
        "bs-roformer": (roformer.Roformer, roformer.RoformerConfig(**small, bands=bands)),
        "mel-band": (roformer.Roformer, roformer.RoformerConfig(**small, bands=overlapping, norm="each")),
        "scnet": (scnet.Scnet, scnet.ScnetConfig(stems=2, dims=(4, 4, 4, 4), dual_paths=2)),
        "tfc_tdf": (tfc_tdf.TfcTdf, tdf),
        "htdemucs": (htdemucs.HTDemucs, demucs),
    }
    return {name: lambda each=each: (each[0](each[1]), each[1]) for name, each in configs.items()}


FAMILIES = ("bs-roformer", "mel-band", "scnet", "tfc_tdf", "htdemucs", "mdx")


def install(name: str, scratch: Path) -> None:
    from safetensors.torch import save_file

    from stemwright.zoo import installed

    staged = scratch / name
    staged.mkdir()
    if name == "mdx":
        graph, facts = staged / "weights.onnx", {"n_fft": 2048, "bins": 1024, "frames": 128}
        graph.write_bytes(half_of_it())
        card = {"architecture": "mdx", "segment": SEGMENT, "hop": SEGMENT // 2, "stems": ["stem-1"], "sizes": facts}
        installed.install(name, graph, card)
        return
    net, config = nets()[name]()
    weights = staged / "weights.safetensors"
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, weights)
    sizes = dataclasses.asdict(config)
    stems = [f"stem-{index + 1}" for index in range(sizes.pop("stems"))]
    segment = sizes.get("segment", 2048 * 63 if name == "tfc_tdf" else SEGMENT)  # whole frames, 64 of them
    architecture = "roformer" if "band" in name or "roformer" in name else name
    card = {"architecture": architecture, "segment": segment, "hop": segment * 3 // 4, "rate": RATE, "stems": stems}
    installed.install(name, weights, {**card, "normalised": name == "scnet", "sizes": sizes})


def half_of_it() -> bytes:
    """A graph that gives half of what it gets."""
    from onnx import TensorProto, helper  # type: ignore[import-not-found]

    shape = ["batch", 4, 1024, 128]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("mix", "stem")]
    half = helper.make_node("Constant", [], ["half"], value=helper.make_tensor("half", TensorProto.FLOAT, [], [0.5]))
    graph = helper.make_graph([half, helper.make_node("Mul", ["mix", "half"], ["stem"])], "half", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return model.SerializeToString()


def blocks(minutes: float, rate: int) -> Iterator[np.ndarray]:
    """Noise that swells and fades."""
    random = np.random.default_rng(0)
    for second in range(round(minutes * 60)):
        yield (random.standard_normal((2, rate)) * 0.1 * abs(np.sin(second / 7))).astype(np.float32)


def peak(model: str, minutes: float, scratch: Path, *, rate: int, also: str) -> dict[str, float]:
    from stemwright.audio.encode import open_stem

    song = scratch / f"{minutes:g}.wav"
    if not song.exists():
        with open_stem(song, rate=rate, format="wav") as writer:
            for block in blocks(minutes, rate):
                writer.write(block)
    with tempfile.TemporaryDirectory(dir=scratch) as out:
        command = [sys.executable, "-c", CHILD, str(song), out, model, also]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[4, 60])
    parser.add_argument("--only", choices=FAMILIES)
    parser.add_argument("--model", help="one that is installed")
    parser.add_argument("--also", default="", help="files of the whole song besides, separated by commas")
    given = parser.parse_args()
    print(f"| net | {' | '.join(f'{minutes:g} min, MB' for minutes in given.minutes)} | more |")
    print("|---|" + "---|" * (len(given.minutes) + 1), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        if not given.model:
            os.environ["STEMWRIGHT_MODELS"] = str(Path(scratch) / "models")
        for name in [given.model or given.only] if given.model or given.only else FAMILIES:
            if not given.model:
                install(name, Path(scratch))
            rate = 44100 if given.model else RATE
            peaks = [peak(name, minutes, Path(scratch), rate=rate, also=given.also)["mb"] for minutes in given.minutes]
            told = f"{peaks[-1] / peaks[0] - 1:+.0%}"
            print(f"| {name} | {' | '.join(f'{mb:.0f}' for mb in peaks)} | {told} |", flush=True)


if __name__ == "__main__":
    main()

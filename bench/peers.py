"""Our speed and memory against upstream's own inference, side by side: the same random weights, the same song.

    python bench/peers.py --msst FOLDER [--peers FOLDER] [--only mel] [--seconds 60] [--timed 2]

`--msst` and `--peers` are the folders that bench/parity.py describes. Every peer runs its own path as its users do
(`demix` of MSST with the batch and overlap of its yaml, demucs' `apply_model` with one shift), ours is
`stemwright.separate` with a model that was taken over from the peer's checkpoint. Each run has a process of its own.
With `--timed N` only about N segments of each are run; the number that the whole song takes is counted with a stub and
multiplied, and the table says so. Ours loads its model within the time, once; the peer's is built before. That half
precision proves itself in full is part of every song of ours: it is timed apart, and counted once.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RATE = 44100
CONFIGS = {
    "mel": "KimberleyJensen/config_vocals_mel_band_roformer_kj.yaml",
    "bs": "viperx/model_bs_roformer_ep_317_sdr_12.9755.yaml",
    "scnet": "config_musdb18_scnet.yaml",
    "mdx23c": "config_vocals_mdx23c.yaml",
}
NAMES = {
    "mel": "Mel-Band RoFormer (Kim)",
    "bs": "BS-RoFormer (viperx)",
    "htdemucs": "HTDemucs",
    "scnet": "SCNet",
    "mdx23c": "TFC-TDF v3 (MDX23C)",
}
SOURCES = ["drums", "bass", "other", "vocals"]
DEMUCS: dict[str, Any] = {"channels": 48, "depth": 4, "t_layers": 5, "bottom_channels": 512, "dconv_mode": 3}


def spans(length: int, segment: int, hop: int) -> int:
    """How many segments cover so many samples."""
    return 1 + max(0, -(-(length - segment) // hop))


def song(seconds: float) -> np.ndarray:
    """Chords, a beat and noise, [2, n]."""
    at = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).standard_normal((2, len(at))) * 0.05
    beat = np.exp(-8 * (at % 0.5)) * noise * 4
    chord = sum(np.sin(2 * np.pi * 55 * 2 ** ((step + 3 * (at // 2 % 4)) / 12) * at) for step in (0, 7, 12, 16, 24, 31))
    return (np.stack([chord, np.roll(chord, 300)]) * 0.06 + beat + noise * 0.2).astype(np.float32)


def config_of(family: str) -> Any:
    import yaml
    from ml_collections import ConfigDict  # type: ignore[import-not-found]

    class Loader(yaml.SafeLoader):
        """Knows the one tag that these files have."""

    Loader.add_constructor(
        "tag:yaml.org,2002:python/tuple", lambda loader, node: tuple(loader.construct_sequence(node))
    )
    text = (Path(GIVEN.msst) / "configs" / CONFIGS[family]).read_text()
    return ConfigDict(yaml.load(text, Loader))  # noqa: TID251  a safe loader with one tag more


def upstream_net(family: str) -> Any:
    """Upstream's own net with random weights; gains that begin near zero count as much as trained ones."""
    import torch

    torch.manual_seed(0)
    if family == "htdemucs":
        from fractions import Fraction

        from demucs.htdemucs import HTDemucs  # type: ignore[import-not-found]

        net = HTDemucs(SOURCES, **DEMUCS, segment=Fraction(39, 5))
        for name, parameter in net.named_parameters():
            if name.endswith(".scale"):
                torch.nn.init.uniform_(parameter, 0.1, 0.5)
        return net.eval()
    config = config_of(family)
    if family in ("mel", "bs"):
        from models.bs_roformer import BSRoformer, MelBandRoformer  # type: ignore[import-not-found]

        return {"mel": MelBandRoformer, "bs": BSRoformer}[family](**dict(config.model)).eval()
    if family == "scnet":
        from models.scnet import SCNet  # type: ignore[import-not-found]

        return SCNet(**dict(config.model)).eval()
    from models.mdx23c_tfc_tdf_v3 import TFC_TDF_net  # type: ignore[import-not-found]

    return TFC_TDF_net(config).eval()


def make(family: str, folder: Path) -> None:
    """Saves the peer's checkpoint, and takes it over as a model of ours."""
    import torch

    from stemwright.zoo import foreign

    net, checkpoint = upstream_net(family), folder / f"{family}.ckpt"
    if family == "htdemucs":
        from fractions import Fraction

        kwargs = {**DEMUCS, "segment": Fraction(39, 5)}
        torch.save({"klass": type(net), "args": (SOURCES,), "kwargs": kwargs, "state": net.state_dict()}, checkpoint)
        foreign.add(checkpoint, name=family, facts={})
    else:
        torch.save(net.state_dict(), checkpoint)
        foreign.add(checkpoint, name=family, config=Path(GIVEN.msst) / "configs" / CONFIGS[family], facts={})


def run_peer(family: str, seconds: float, timed: int | None) -> dict[str, float]:
    """The peer's own inference over the song, or over as much of it as `timed` segments take."""
    import torch

    net, heard = upstream_net(family), [0]
    forward, step = net.forward, 0.75 * 7.8 * RATE
    if family != "htdemucs":
        config = config_of(family)
        step = config.audio.chunk_size / config.inference.num_overlap

    def counting(mix: torch.Tensor) -> torch.Tensor:
        heard[0] += len(mix)
        return forward(mix)

    def stub(mix: torch.Tensor) -> torch.Tensor:
        heard[0] += len(mix)
        stems = len(SOURCES) if family in ("htdemucs", "scnet") else 2 if family == "mdx23c" else 1
        return torch.zeros(len(mix), stems, *mix.shape[1:])

    net.forward = stub
    _peer_infers(family, net, song(seconds))
    needed, heard[0] = heard[0], 0
    net.forward = counting
    mix = song(seconds) if timed is None else song(timed * step / RATE)
    return _measured(lambda: _peer_infers(family, net, mix)) | {"segments": heard[0], "needed": needed}


def _peer_infers(family: str, net: Any, mix: np.ndarray) -> None:
    import torch

    if family == "htdemucs":
        from demucs.apply import apply_model  # type: ignore[import-not-found]

        with torch.no_grad():
            apply_model(net, torch.from_numpy((mix - mix.mean()) / mix.std())[None], shifts=1, split=True, overlap=0.25)
        return
    from utils.model_utils import demix  # type: ignore[import-not-found]

    if family == "scnet":
        mix = (mix - mix.mean(0).mean()) / mix.mean(0).std()
    demix(config_of(family), net, mix, torch.device("cpu"), family)


def run_ours(family: str, seconds: float, timed: int | None, precision: str) -> dict[str, float]:
    import stemwright
    from stemwright.zoo import halving, installed, loading

    proving, proof_seconds = halving.Halved._wanted_instead, [0.0]

    def timed_proving(*given: Any) -> Any:
        started = time.perf_counter()
        try:
            return proving(*given)
        finally:
            proof_seconds[0] += time.perf_counter() - started

    halving.Halved._wanted_instead = timed_proving  # type: ignore[method-assign]
    separator = loading.load(family, precision)
    needed = spans(round(seconds * RATE), separator.segment, separator.hop)
    if timed is not None:
        seconds = min(seconds, (separator.segment + (timed - 1) * separator.hop) / RATE)
    segments = spans(round(seconds * RATE), separator.segment, separator.hop)
    del separator
    loaded = _measured(lambda: loading.load(family, precision))["wall"]
    mix, done = song(seconds), []
    told = _measured(lambda: done.append(stemwright.separate(mix, rate=RATE, model=family, precision=precision)))
    proof = installed.folder() / family / "precision.json"
    snr = json.loads(proof.read_text()) if proof.exists() else {}
    ran = {"bf16": snr.get("cpu bf16", 0.0), "is_half": float(done[0].precision != "fp32")}
    return told | ran | {"segments": segments, "needed": needed, "loading": loaded, "proof": proof_seconds[0]}


def _measured(work: Callable[[], object]) -> dict[str, float]:
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    work()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu, "peak_mb": after.ru_maxrss / 1024}


def child(what: str, family: str, **more: str) -> dict[str, float]:
    """The same script again in a process of its own, for one thing alone."""
    command = [sys.executable, __file__, "--msst", GIVEN.msst, "--child", what, "--only", family]
    command += ["--seconds", str(GIVEN.seconds), *(["--peers", GIVEN.peers] if GIVEN.peers else [])]
    command += ["--timed", str(GIVEN.timed)] if GIVEN.timed else []
    done = subprocess.run(command, env={**os.environ, **more}, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def row(family: str, peer: dict[str, float], ours: dict[str, float], precision: str) -> str:
    once = ours["loading"] + ours["proof"]
    each = {"peer": peer["wall"] / peer["segments"], "ours": (ours["wall"] - once) / ours["segments"]}
    whole = {"peer": each["peer"] * peer["needed"], "ours": each["ours"] * ours["needed"] + once}
    cpu = [run["cpu"] / run["segments"] for run in (peer, ours)]
    snr = f"{ours['bf16']:.1f}" if ours["is_half"] else "-"
    return (
        f"| {NAMES[family]} | {precision} | {each['peer']:.2f} × {peer['needed']:.0f} | {each['ours']:.2f} × "
        f"{ours['needed']:.0f} + {once:.1f} | {cpu[0]:.1f} / {cpu[1]:.1f} | **{whole['peer'] / whole['ours']:.1f}** | "
        f"{GIVEN.seconds / whole['ours']:.2f} | {peer['peak_mb']:.0f} / {ours['peak_mb']:.0f} | {snr} |"
    )


def main() -> None:
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {GIVEN.seconds:g} s of audio"
        + (f"; about {GIVEN.timed} segments of each run, the rest multiplied" if GIVEN.timed else "")
    )
    print("| net | ours in | peer: s a segment × segments | ours: the same + loading and proof | ", end="")
    print("CPU-s a segment | × faster | × real time | ", end="")
    print("peak MB, all in | SNR dB |\n|---|---|---|---|---|---|---|---|---|", flush=True)
    for family in [GIVEN.only] if GIVEN.only else NAMES:
        with tempfile.TemporaryDirectory() as scratch:
            models = {"STEMWRIGHT_MODELS": str(Path(GIVEN.models or scratch))}
            if not (Path(models["STEMWRIGHT_MODELS"]) / family).exists():
                child("make", family, **models)
            if GIVEN.prepare:
                continue
            peer = child("peer", family)
            for precision in GIVEN.precisions.split(","):
                ours = child("ours", family, STEMWRIGHT_PRECISION=precision, **models)
                print(row(family, peer, ours, precision), flush=True)


def as_child() -> dict[str, float]:
    sys.path[:0] = [GIVEN.msst, *([GIVEN.peers] if GIVEN.peers else [])]
    if GIVEN.child == "peer":
        return run_peer(GIVEN.only, GIVEN.seconds, GIVEN.timed)
    if GIVEN.child == "make":
        with tempfile.TemporaryDirectory() as folder:
            make(GIVEN.only, Path(folder))
        return {}
    return run_ours(GIVEN.only, GIVEN.seconds, GIVEN.timed, "auto")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--msst", required=True, help="a checkout of Music-Source-Separation-Training")
    parser.add_argument("--peers", help="a folder with the peers' packages, if they are not installed")
    parser.add_argument("--only", choices=NAMES)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--timed", type=int, help="run about so many segments and multiply")
    parser.add_argument("--precisions", default="auto", help="ours in each of these, by commas")
    parser.add_argument("--models", help="a folder where the models are kept for the next time")
    parser.add_argument("--prepare", action="store_true", help="only make what --models keeps")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    GIVEN = parser.parse_args()
    if GIVEN.child:
        print(json.dumps(as_child()))
    else:
        main()

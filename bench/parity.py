"""Our nets against upstream's own code with the same weights: prints SNR in dB; `--pin` writes the suite's numbers.

Upstream is not a dependency: give the folders where its code lies. `--msst` is a checkout of ZFTurbo's
Music-Source-Separation-Training (ccc011a), `--scnet` one of starrytong's SCNet (5d95bf9); `--peers` is a folder with
demucs 4.1.0, einops, beartype, rotary-embedding-torch, librosa and ml_collections, if they are not installed.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import importlib.util
import json
import math
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

TESTS = Path(__file__).parents[1] / "tests" / "nets"
sys.path.append(str(TESTS))

from filled import CASES, filled, tones  # noqa: E402

from stemwright.engine import manners  # noqa: E402
from stemwright.zoo.checkpoints.renaming import renamed  # noqa: E402
from stemwright.zoo.networks import NetSeparator  # noqa: E402

ARCHITECTURES = {"RoFormer": "roformer", "SCNet": "scnet", "TFC": "tfc_tdf", "HTDemucs": "htdemucs"}
PINNED_SONGS = {"HTDemucs|14700", "HTDemucs|101429", "BS-RoFormer|14700", "SCNet|101429", "TFC-TDF v3|74188"}
NAMES: dict[str, list[str]] = {}
SOURCES = ["drums", "bass", "other", "vocals", "guitar", "piano"]


def snr_db(found: Tensor, expected: Tensor) -> float:
    error = (found.double() - expected.double()).pow(2).sum().item()
    return math.inf if error == 0 else 10 * math.log10(expected.double().pow(2).sum().item() / error)


def carried(name: str, architecture: str, ours: nn.Module, theirs: nn.Module) -> nn.Module:
    """Our weights under their names."""
    state, table = ours.state_dict(), renamed(architecture, theirs.state_dict())
    NAMES[name] = [*theirs.state_dict()]
    missing, unexpected = theirs.load_state_dict({old: state[new] for old, new in table.items()}, strict=False)
    assert not unexpected
    assert all(name.endswith("rotary_embed.freqs") for name in missing), missing
    assert set(table.values()) == set(state)
    return theirs.eval()


def roformer(kind: str, **kwargs: Any) -> nn.Module:
    from models.bs_roformer import BSRoformer, MelBandRoformer  # type: ignore[import-not-found]

    sizes: dict[str, Any] = {"dim": 32, "depth": 2, "stereo": True, "heads": 2, "dim_head": 16, "num_stems": 2}
    sizes |= {"time_transformer_depth": 1, "freq_transformer_depth": 1, "stft_hop_length": 441, "flash_attn": False}
    return {"bs": BSRoformer, "mel": MelBandRoformer}[kind](**{**sizes, "mask_estimator_depth": 2, **kwargs})


def scnet(module: str, **kwargs: Any) -> nn.Module:
    from models.scnet import scnet as plain  # type: ignore[import-not-found]
    from models.scnet import scnet_masked

    authors = load_authors()
    return {"plain": plain, "masked": scnet_masked, "authors": authors}[module].SCNet(
        dims=[4, 8, 12, 16], num_dplayer=4, **kwargs
    )


def load_authors() -> types.ModuleType:
    """starrytong's package has the name of a folder of MSST's: loaded by path."""
    folder = Path(GIVEN.scnet) / "scnet"
    spec = importlib.util.spec_from_file_location(
        "authors", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec
    sys.modules["authors"] = importlib.util.module_from_spec(spec)
    return importlib.import_module("authors.SCNet")


def tfc_tdf() -> nn.Module:
    from ml_collections import ConfigDict  # type: ignore[import-not-found]
    from models.mdx23c_tfc_tdf_v3 import TFC_TDF_net  # type: ignore[import-not-found]

    model = {"act": "gelu", "bottleneck_factor": 4, "growth": 4, "norm": "InstanceNorm", "num_blocks_per_scale": 2}
    model |= {"num_channels": 8, "num_scales": 3, "num_subbands": 4, "scale": [2, 2]}
    audio = {"n_fft": 2048, "hop_length": 512, "dim_f": 1024, "num_channels": 2}
    training = {"instruments": ["a", "b"], "target_instrument": None}
    return TFC_TDF_net(ConfigDict({"audio": audio, "model": model, "training": training}))


def demucs(stems: int, **kwargs: Any) -> nn.Module:
    from demucs.htdemucs import HTDemucs  # type: ignore[import-not-found]

    sizes: dict[str, Any] = {"channels": 8, "t_layers": 3, "segment": 1, "dconv_comp": 4, "dconv_mode": 3}
    return HTDemucs(SOURCES[:stems], **{**sizes, **kwargs})


UPSTREAM: dict[str, Callable[[], nn.Module]] = {
    "BS-RoFormer": lambda: roformer("bs"),
    "BS-RoFormer, skips, 2 deep": lambda: roformer(
        "bs", num_stems=1, time_transformer_depth=2, freq_transformer_depth=2, skip_connection=True, stft_hop_length=512
    ),
    "Mel-Band RoFormer": lambda: roformer("mel"),
    "Mel-Band RoFormer, 64 bands": lambda: roformer(
        "mel", num_stems=1, num_bands=64, stft_hop_length=512, zero_dc=False
    ),
    "SCNet": lambda: scnet("plain"),
    "SCNet, large's shares": lambda: scnet(
        "plain", band_SR=[0.225, 0.372, 0.403], expand=2, conv_depths=[2, 1, 1], compress=2
    ),
    "SCNet, its authors' code": lambda: scnet("authors"),
    "SCNet masked": lambda: scnet("masked"),
    "TFC-TDF v3": tfc_tdf,
    "HTDemucs": lambda: demucs(4, bottom_channels=32),
    "HTDemucs, 6 stems, short": lambda: demucs(6),
    "HTDemucs, plain decoder": lambda: demucs(4, bottom_channels=32, dconv_mode=1),
}


def forwards() -> dict[str, list[list[float]]]:
    """Prints the table; returns upstream's output of every case at a few samples of every stem."""
    print(f"{'net (same weights, fp32)':<34}{'SNR dB':>8}")
    pins = {}
    for name, (config, samples) in CASES.items():
        architecture = next(value for key, value in ARCHITECTURES.items() if key in name)
        ours, mix = filled(config), tones(samples)
        theirs = carried(name, architecture, ours, UPSTREAM[name]())
        with torch.inference_mode():
            found, expected = ours(mix), theirs(mix)
        expected = expected.view(found.shape)  # upstream drops the stem axis when there is one stem
        print(f"{name:<34}{snr_db(found, expected):>8.1f}")
        pins[name] = [[round(value, 7) for value in row] for row in expected[0, :, 1, 2000::3001].tolist()]
    return pins


def overlaps() -> None:
    """The same with four overlaps, as SCNet's and MDX23C's configurations have them."""
    for name in ("SCNet", "TFC-TDF v3"):
        config, segment = CASES[name]
        separator = NetSeparator(
            filled(config), tuple("abcd"[: config.stems]), rate=44100, segment=segment, hop=segment // 4
        )
        for length in (segment, 5 * segment + 17):
            mix = tones(length)[0]
            with torch.inference_mode(), contextlib.redirect_stdout(None):
                expected = as_msst(separator, mix, overlap=4)
            found = torch.from_numpy(ours_whole(name, separator, mix.numpy()))
            print(f"{name + ', 4 overlaps':<34}{length / 44100:>8.2f}{snr_db(found, expected):>8.1f}")


def songs() -> dict[str, list[list[float]]]:
    """Whole songs: our `upstream` manners against demucs' and MSST's own inference, for lengths that make edges."""
    pins = {}
    print(f"{'whole song':<34}{'seconds':>8}{'SNR dB':>8}")
    for name in ("HTDemucs", "BS-RoFormer", "Mel-Band RoFormer", "SCNet", "TFC-TDF v3"):
        config, segment = CASES[name]
        separator = NetSeparator(
            filled(config), tuple("abcd"[: config.stems]), rate=44100, segment=segment, hop=_hop(name, segment)
        )
        for length in (segment // 3, segment, int(2.3 * segment), 5 * segment + 17):
            mix = tones(length)[0]
            with torch.inference_mode(), contextlib.redirect_stdout(None):
                expected = (as_demucs if name == "HTDemucs" else as_msst)(separator, mix)
            found = ours_whole(name, separator, mix.numpy())
            print(f"{name:<34}{length / 44100:>8.2f}{snr_db(torch.from_numpy(found), expected):>8.1f}")
            if f"{name}|{length}" in PINNED_SONGS:
                pins[f"{name}|{length}"] = [
                    [round(value, 7) for value in row] for row in expected[:2, 1, ::3001].tolist()
                ]
    return pins


def _hop(name: str, segment: int) -> int:
    return int(0.75 * segment) if name == "HTDemucs" else segment // 2


def ours_whole(name: str, separator: NetSeparator, mix: np.ndarray) -> np.ndarray:
    blocks = [mix[:, start : start + 10000] for start in range(0, mix.shape[1], 10000)]
    if name not in {"HTDemucs", "SCNet"}:
        return np.concatenate([*manners.as_upstream(separator, blocks, manners.msst)], axis=-1)
    scale = manners.measured(blocks, unbiased=name == "HTDemucs")
    manner = manners.demucs if name == "HTDemucs" else manners.msst
    stems = manners.as_upstream(separator, scale.down(blocks), manner)
    return np.concatenate([*scale.up(stems)], axis=-1)


def as_demucs(separator: NetSeparator, mix: Tensor) -> Tensor:
    """As demucs.api.Separator.separate_tensor: normalised by the whole file, no shifts."""
    from demucs.apply import apply_model  # type: ignore[import-not-found]

    theirs = carried("HTDemucs", "htdemucs", separator.net, UPSTREAM["HTDemucs"]())
    ref = mix.mean(0)
    wav = (mix - ref.mean()) / (ref.std() + 1e-8)
    return apply_model(theirs, wav[None], shifts=0)[0] * (ref.std() + 1e-8) + ref.mean()


def as_msst(separator: NetSeparator, mix: Tensor, *, overlap: int = 2) -> Tensor:
    """As inference.py of MSST runs a song: batch 1, so many overlaps, SCNet normalised by the whole file."""
    from ml_collections import ConfigDict  # type: ignore[import-not-found]
    from utils.model_utils import demix  # type: ignore[import-not-found]

    name = next(name for name, (config, _) in CASES.items() if config == separator.net.config)
    architecture = next(value for key, value in ARCHITECTURES.items() if key in name)
    theirs = carried(name, architecture, separator.net, UPSTREAM[name]())
    instruments = [*"abcd"][: separator.net.config.stems]
    config = ConfigDict(
        {
            "audio": {"chunk_size": separator.segment},
            "inference": {"num_overlap": overlap, "batch_size": 1},
            "training": {"instruments": instruments, "target_instrument": None, "use_amp": False},
        }
    )
    mono = mix.numpy().mean(0)  # its normalize_audio, in the module of its plots
    mean, std = (mono.mean(), mono.std()) if name == "SCNet" else (0, 1)
    stems = demix(config, theirs, (mix.numpy() - mean) / std, torch.device("cpu"), "generic")
    return torch.stack([torch.from_numpy(stems[each]) for each in instruments]) * std + mean


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    sys.path[:0] = [GIVEN.msst, *([GIVEN.peers] if GIVEN.peers else [])]
    pins = forwards()
    whole = songs()
    overlaps()
    if GIVEN.pin:
        (TESTS.parent / "engine" / "upstream_songs.json").write_text(json.dumps(whole, indent=1) + "\n")
        (TESTS / "upstream.json").write_text(json.dumps(pins, indent=1) + "\n")
        names = "\n".join(f"{case}\t{name}" for case in NAMES for name in NAMES[case])
        (TESTS / "upstream_names.txt.gz").write_bytes(gzip.compress(names.encode(), mtime=0))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--msst", required=True)
    parser.add_argument("--scnet", required=True)
    parser.add_argument("--peers")
    parser.add_argument("--pin", action="store_true")
    GIVEN = parser.parse_args()
    main()

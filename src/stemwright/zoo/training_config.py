"""Training configurations of other projects (yaml), read without running their tags: sizes under our names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stemwright.errors import BadConfig
from stemwright.zoo.bands import mel_bands, split_bands

MAX_BYTES = 1 << 20

# Our name → where theirs says it. `mel`/`bs` differ in what they count as a mask head's depth.
_PLACES: dict[str, dict[str, str]] = {
    "roformer": {
        "dim": "model.dim", "depth": "model.depth", "heads": "model.heads", "dim_head": "model.dim_head",
        "time_depth": "model.time_transformer_depth", "band_depth": "model.freq_transformer_depth",
        "mask_expansion": "model.mlp_expansion_factor", "n_fft": "model.stft_n_fft", "hop": "model.stft_hop_length",
        "normalized": "model.stft_normalized", "zero_dc": "model.zero_dc", "skip": "model.skip_connection",
    },
    "scnet": {
        "dims": "model.dims", "kernels": "model.band_kernel", "strides": "model.band_stride",
        "conv_depths": "model.conv_depths", "compress": "model.compress", "conv_kernel": "model.conv_kernel",
        "dual_paths": "model.num_dplayer", "expand": "model.expand", "n_fft": "model.nfft", "hop": "model.hop_size",
        "normalized": "model.normalized", "shares": "model.band_SR",
    },
    "tfc_tdf": {
        "width": "model.num_channels", "growth": "model.growth", "levels": "model.num_scales",
        "blocks": "model.num_blocks_per_scale", "bottleneck": "model.bottleneck_factor",
        "subbands": "model.num_subbands", "scale": "model.scale", "norm": "model.norm", "activation": "model.act",
        "n_fft": "audio.n_fft",
        "hop": "audio.hop_length", "bins": "audio.dim_f",
    },
    "htdemucs": {
        "width": "htdemucs.channels", "growth": "htdemucs.growth", "depth": "htdemucs.depth",
        "kernel": "htdemucs.kernel_size", "stride": "htdemucs.stride", "context": "htdemucs.context",
        "residual_depth": "htdemucs.dconv_depth", "residual_compress": "htdemucs.dconv_comp",
        "bottom": "htdemucs.bottom_channels", "layers": "htdemucs.t_layers", "heads": "htdemucs.t_heads",
        "n_fft": "htdemucs.nfft", "subbands": "htdemucs.num_subbands",
    },
}  # fmt: skip


def read(path: Path) -> dict[str, Any]:
    """A yaml file as plain values: the safe loader, the tuple tag, no aliases; raises BadConfig."""
    try:
        import yaml
    except ImportError as error:
        raise BadConfig(path=path, reason="reading it needs PyYAML: pip install 'stemwright[torch]'") from error

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise BadConfig(path=path, reason="it uses aliases, which can grow without end")
            return super().compose_node(parent, index)

    def as_tuple(loader: yaml.SafeLoader, node: Any) -> tuple[Any, ...]:
        return tuple(loader.construct_sequence(node, deep=True))

    Loader.add_constructor("tag:yaml.org,2002:python/tuple", as_tuple)
    if path.stat().st_size > MAX_BYTES:
        raise BadConfig(path=path, reason="it is larger than 1 MiB")
    try:
        value = yaml.load(path.read_text("utf-8"), Loader)  # noqa: S506, TID251  a subclass of the safe loader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadConfig(path=path, reason=" ".join(str(error).split())) from error
    if not isinstance(value, dict):
        raise BadConfig(path=path, reason="it is not a table of settings")
    return value


def sizes(architecture: str, kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes that a configuration states, under our names."""
    said = {ours: _at(config, place) for ours, place in _PLACES[architecture].items()}
    said |= _translated(architecture, kind, config)
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in said.items() if value is not None
    }


def _translated(architecture: str, kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What has another meaning there than here."""
    if architecture == "roformer":
        depth, bands, widths = (
            _at(config, f"model.{key}") for key in ("mask_estimator_depth", "num_bands", "freqs_per_bands")
        )
        n_fft, rate = _at(config, "model.stft_n_fft") or 2048, _at(config, "model.sample_rate") or 44100
        return {
            "mask_hidden": depth if kind == "mel" or depth is None else depth - 1,
            "bands": mel_bands(bands, n_fft, rate)
            if kind == "mel" and bands
            else split_bands(tuple(widths))
            if widths
            else None,
        }
    if architecture == "scnet":
        shares = _at(config, "model.band_SR")
        return {"shares": tuple(shares[:2]) if shares else None}
    if architecture == "tfc_tdf":
        norm, activation = _at(config, "model.norm"), _at(config, "model.act")
        return {
            "norm": norm.lower().replace("norm", "").replace("none", "") or "none" if isinstance(norm, str) else None,
            "activation": activation,
        }
    length = _at(config, "training.segment")
    return {"segment": int(length * (_at(config, "training.samplerate") or 44100)) if length else None}


def segment(config: Mapping[str, Any]) -> int | None:
    """Samples that upstream separates at once."""
    length = _at(config, "inference.chunk_size") or _at(config, "audio.chunk_size")
    return int(length) if length else None


def is_normalised(config: Mapping[str, Any]) -> bool:
    """Whether upstream brings the whole song to mean 0 and deviation 1 before the net."""
    return bool(_at(config, "inference.normalize"))


def stems(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the net's outputs, in lower case: the target alone where there is one."""
    target, names = _at(config, "training.target_instrument"), _at(config, "training.instruments") or ()
    return (str(target).lower(),) if target else tuple(str(name).lower() for name in names)


def _at(config: Mapping[str, Any], place: str) -> Any:
    value: Any = config
    for key in place.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value

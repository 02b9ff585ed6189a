"""Training configurations of other projects (yaml), read without running their tags: sizes under our names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stemwright.errors import BadConfig
from stemwright.zoo.bands import Bands, mel_bands, split_bands

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
        "frequency_embedding": "htdemucs.freq_emb", "embedding_scale": "htdemucs.emb_scale",
        "max_period": "htdemucs.t_max_period",
    },
}  # fmt: skip

_FIXED = {
    "htdemucs.cac": True, "htdemucs.t_emb": "sin", "htdemucs.t_weight_pos_embed": 1, "htdemucs.t_gelu": True,
    "htdemucs.t_norm_in": True, "htdemucs.t_norm_first": True, "htdemucs.t_group_norm": False,
    "htdemucs.t_cross_first": False, "htdemucs.t_sparse_self_attn": False, "htdemucs.t_sparse_cross_attn": False,
}  # fmt: skip
"""What nets here are, and no tensor's name or shape shows: one that was trained otherwise would run, and be wrong."""

Kind = tuple[Callable[[Any], bool], str]
"""What a value may be, and the words for it."""


def _whole(low: int, high: int) -> Kind:
    return (lambda value: type(value) is int and low <= value <= high), f"a whole number from {low} to {high}"


def _wholes(length: int | None = None) -> Kind:
    holds = _whole(1, 1 << 16)[0]
    fits: Callable[[Any], bool] = lambda value: (  # noqa: E731  a table of rules
        isinstance(value, list | tuple) and len(value) > 0 and length in (None, len(value)) and all(map(holds, value))
    )
    return fits, f"a list of {length or ''} whole numbers above 0".replace("  ", " ")


def _words(pattern: str) -> Kind:
    return (lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None), f"like {pattern}"


def _are_shares(value: Any) -> bool:
    is_list = isinstance(value, list | tuple) and len(value) in (2, 3)
    return is_list and all(type(each) is float and 0 < each < 1 for each in value) and sum(value[:2]) < 1


_FLAG: Kind = (lambda value: isinstance(value, bool)), "true or false"
_FACTOR: Kind = (lambda value: type(value) in (int, float) and 0 < value <= 1e6), "a number above 0"
_SECONDS: Kind = (lambda value: type(value) in (int, float) and 0.1 <= value <= 600), "a number of seconds up to 600"
_RATE, _SEGMENT = _whole(8000, 192000), _whole(1 << 12, 600 * 44100)
_SIZE, _SIZE_OR_NONE, _LARGE = _whole(1, 4096), _whole(0, 4096), _whole(1, 1 << 16)
_KINDS: dict[str, Kind] = {
    "n_fft": _whole(16, 1 << 16), "hop": _LARGE, "bins": _LARGE,
    "normalized": _FLAG, "zero_dc": _FLAG, "skip": _FLAG,
    "context": _SIZE_OR_NONE, "residual_depth": _SIZE_OR_NONE, "bottom": _SIZE_OR_NONE,
    "frequency_embedding": _FACTOR, "embedding_scale": _FACTOR, "max_period": _FACTOR,
    "dims": _wholes(), "kernels": _wholes(3), "strides": _wholes(3), "conv_depths": _wholes(3), "scale": _wholes(2),
    "shares": (_are_shares, "a list of three parts of 1"),
    "norm": _words("(?i)(none|batch|instance|group[1-9][0-9]{0,3})(norm)?|(batch|instance|group)norm[0-9]{0,4}"),
    "activation": _words(r"gelu|relu|elu(\d+(\.\d+)?)?"),
}  # fmt: skip
"""Of sizes by our names; every other is a `_SIZE`."""


@dataclass(frozen=True)
class Stated:
    """What a configuration says, checked; what it leaves open is None or empty."""

    sizes: dict[str, Any] = field(default_factory=dict)
    segment: int | None = None
    stems: tuple[str, ...] = ()
    normalised: bool | None = None
    overlap: int | None = None
    rate: int | None = None


_MARKS = {
    "roformer": ("model.freq_transformer_depth", "model.time_transformer_depth", "model.freqs_per_bands"),
    "scnet": ("model.dims", "model.band_SR", "model.num_dplayer"),
    "tfc_tdf": ("model.num_scales", "model.num_blocks_per_scale"),
    "htdemucs": ("htdemucs.channels", "htdemucs.depth"),
}
"""What only the configurations of an architecture have."""


def stated(path: Path | None, architecture: str, kind: str) -> Stated:
    """What the yaml of a net of that architecture says, if there is one; raises BadConfig."""
    if path is None:
        return Stated()
    config = read(path)
    others = [family for family, marks in _MARKS.items() if any(_at(config, mark) is not None for mark in marks)]
    if others and architecture not in others:
        raise BadConfig(path=path, reason=f"it is of a net of the kind {others[0]}, the checkpoint is a {architecture}")
    try:
        said = sizes(architecture, kind, config)
        _refuse_other_windows(config, said.get("n_fft"))
        return Stated(said, segment(config), stems(config), is_normalised(config), overlap(config), rate(config))
    except ValueError as error:
        raise BadConfig(path=path, reason=error) from error


def read(path: Path) -> dict[str, Any]:
    """A yaml file as plain values: the safe loader, the tuple tag, aliases of short lists; raises BadConfig."""
    try:
        import yaml
    except ImportError as error:
        raise BadConfig(path=path, reason="reading it needs PyYAML: pip install 'stemwright[torch]'") from error

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            is_alias = self.check_event(yaml.AliasEvent)
            node = super().compose_node(parent, index)
            if is_alias and not _is_short(node):
                raise BadConfig(
                    path=path, reason="it uses aliases of more than short lists, which can grow without end"
                )
            return node

    def as_tuple(loader: yaml.SafeLoader, node: Any) -> tuple[Any, ...]:
        return tuple(loader.construct_sequence(node, deep=True))

    Loader.add_constructor("tag:yaml.org,2002:python/tuple", as_tuple)
    if path.stat().st_size > MAX_BYTES:
        raise BadConfig(path=path, reason="it is larger than 1 MiB")
    try:
        value = yaml.load(path.read_text("utf-8"), Loader)  # noqa: S506, TID251  a subclass of the safe loader
    except (yaml.YAMLError, AttributeError, LookupError, ArithmeticError, RecursionError, ValueError) as error:
        raise BadConfig(path=path, reason=" ".join(str(error).split())) from error
    if not isinstance(value, dict):
        raise BadConfig(path=path, reason="it is not a table of settings")
    return value


def _is_short(node: Any) -> bool:
    """Whether a yaml node is a value or a list of them, of little text: PyYAML refers to such instead of repeating."""
    texts = [getattr(each, "value", None) for each in (node.value if isinstance(node.value, list) else [node])]
    return all(isinstance(text, str) for text in texts) and sum(len(str(text)) + 4 for text in texts) < 1024


def sizes(architecture: str, kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes that a configuration states, under our names; raises ValueError for one that cannot be."""
    said = {ours: _valid(config, place, _KINDS.get(ours, _SIZE)) for ours, place in _PLACES[architecture].items()}
    said |= _translated(architecture, kind, config, said)
    for place, ours in _FIXED.items():
        _valid(config, place, ((lambda value, ours=ours: value == ours), f"{ours}, as in every net here"))
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in said.items() if value is not None
    }


def _translated(architecture: str, kind: str, config: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What has another meaning there than here."""
    if architecture == "roformer":
        depth = _valid(config, "model.mask_estimator_depth", _whole(1, 64))
        mel, bs = _mel(config, said["n_fft"] or 2048), _bs(config)
        bands = mel or bs if kind == "mel" else bs or mel  # the other kind's contradict the tensors
        return {"mask_hidden": depth if kind == "mel" or depth is None else depth - 1, "bands": bands}
    if architecture == "scnet":
        return {"shares": tuple(said["shares"][:2]) if said["shares"] else None}
    if architecture == "tfc_tdf":
        return {"norm": said["norm"] and (said["norm"].lower().replace("norm", "") or "none")}
    seconds, rate = _valid(config, "training.segment", _SECONDS), _valid(config, "training.samplerate", _RATE)
    return {"segment": int(seconds * (rate or 44100)) if seconds else None}


def _mel(config: Mapping[str, Any], n_fft: int) -> Bands | None:
    count, rate = _valid(config, "model.num_bands", _SIZE), _valid(config, "model.sample_rate", _RATE)
    try:
        return mel_bands(count, n_fft, rate or 44100) if count else None
    except IndexError:
        raise ValueError(f"model.num_bands is {count}, more than {n_fft} samples can tell apart") from None


def _bs(config: Mapping[str, Any]) -> Bands | None:
    widths = _valid(config, "model.freqs_per_bands", _wholes())
    return split_bands(tuple(widths)) if widths else None


def _refuse_other_windows(config: Mapping[str, Any], n_fft: int | None) -> None:
    """Raises ValueError for a window that is not a frame long: no net here has one."""
    for place in ("model.stft_win_length", "model.win_size"):
        if n_fft and (window := _valid(config, place, _LARGE)) not in (None, n_fft):
            raise ValueError(
                f"{place} is {window}, and a frame has {n_fft} samples: only windows of a whole one are known"
            )


def rate(config: Mapping[str, Any]) -> int | None:
    """The sample rate at which upstream opens songs."""
    return _valid(config, "audio.sample_rate", _RATE)


def segment(config: Mapping[str, Any]) -> int | None:
    """Samples that upstream separates at once."""
    places = ("inference.chunk_size", "audio.chunk_size")
    return next((length for place in places if (length := _valid(config, place, _SEGMENT))), None)


def is_normalised(config: Mapping[str, Any]) -> bool | None:
    """Whether upstream brings the whole song to mean 0 and deviation 1 before the net: not unless it is told to."""
    return bool(_valid(config, "inference.normalize", _FLAG)) if _at(config, "inference") is not None else None


def overlap(config: Mapping[str, Any]) -> int | None:
    """How often upstream hears every sample of a song."""
    return _valid(config, "inference.num_overlap", _whole(1, 64))


def stems(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the net's outputs, in lower case: the target alone where there is one."""
    listed: Kind = (lambda value: isinstance(value, list | tuple)), "a list of names"
    target, names = _at(config, "training.target_instrument"), _valid(config, "training.instruments", listed) or ()
    return (str(target).lower(),) if target else tuple(str(name).lower() for name in names)


def _valid(config: Mapping[str, Any], place: str, kind: Kind) -> Any:
    """The value there, None where there is none; raises ValueError when it is not what it has to be."""
    value, (holds, words) = _at(config, place), kind
    if value is not None and not holds(value):
        raise ValueError(f"{place} is {str(value)[:60]!r}, not {words}")
    return value


def _at(config: Mapping[str, Any], place: str) -> Any:
    value: Any = config
    for key in place.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value

"""Other projects' tensor names to ours, mechanically: one table of patterns for each architecture."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ROFORMER = [
    (r"band_split\.to_features\.(\d+)\.0\.gamma", r"bands.\1.norm.gamma"),
    (r"band_split\.to_features\.(\d+)\.1\.", r"bands.\1.linear."),
    (r"layers\.0\.0\.layers\.0\.0\.rotary_embed\.freqs", r"time_angles"),
    (r"layers\.0\.1\.layers\.0\.0\.rotary_embed\.freqs", r"band_angles"),
    (r"layers\.(\d+)\.0\.", r"blocks.\1.time."),
    (r"layers\.(\d+)\.1\.", r"blocks.\1.band."),
    (r"(blocks\.\d+\.(?:time|band))\.layers\.(\d+)\.0\.", r"\1.attention.\2."),
    (r"(blocks\.\d+\.(?:time|band))\.layers\.(\d+)\.1\.net\.0\.", r"\1.feedforward.\2.norm."),
    (r"(blocks\.\d+\.(?:time|band))\.layers\.(\d+)\.1\.net\.1\.", r"\1.feedforward.\2.up."),
    (r"(blocks\.\d+\.(?:time|band))\.layers\.(\d+)\.1\.net\.4\.", r"\1.feedforward.\2.down."),
    (r"(.*\.attention\.\d+)\.to_qkv\.", r"\1.qkv."),
    (r"(.*\.attention\.\d+)\.to_gates\.", r"\1.gates."),
    (r"(.*\.attention\.\d+)\.to_out\.0\.", r"\1.out."),
    (r"final_norm\.", r"norm."),
    (r"mask_estimators\.(\d+)\.to_freqs\.(\d+)\.0\.", r"masks.\1.bands.\2."),
]

_SCNET = [
    (r"encoder\.(\d+)\.SDlayer\.convs\.", r"encoders.\1.down."),
    (r"encoder\.(\d+)\.conv_modules\.", r"encoders.\1.modules_by_band."),
    (r"encoder\.(\d+)\.globalconv\.", r"encoders.\1.mix."),
    (r"separation_net\.dp_modules\.(\d+)\.norm_layers\.", r"paths.\1.norms."),
    (r"separation_net\.dp_modules\.(\d+)\.lstm_layers\.", r"paths.\1.lstms."),
    (r"separation_net\.dp_modules\.(\d+)\.linear_layers\.", r"paths.\1.linears."),
    (r"decoder\.(\d+)\.0\.conv\.", r"decoders.\1.fuse."),
    (r"decoder\.(\d+)\.1\.convtrs\.", r"decoders.\1.up."),
    (r"pos_embed_f$", r"positions"),
    (r"mask_layer\.", r"mask."),
]

_TFC_TDF = [
    (r"first_conv\.", r"first."),
    (r"final_conv\.", r"last."),
    (r"bottleneck_block\.", r"bottom."),
    (r"encoder_blocks\.(\d+)\.tfc_tdf\.", r"encoders.\1."),
    (r"encoder_blocks\.(\d+)\.downscale\.conv\.", r"downs.\1."),
    (r"decoder_blocks\.(\d+)\.upscale\.conv\.", r"ups.\1."),
    (r"decoder_blocks\.(\d+)\.tfc_tdf\.", r"decoders.\1."),
    (r"((?:encoders\.\d+|decoders\.\d+|bottom))\.blocks\.", r"\1."),
]

_HTDEMUCS = [
    (r"tencoder\.", r"wave_encoders."),
    (r"tdecoder\.", r"wave_decoders."),
    (r"encoder\.", r"encoders."),
    (r"decoder\.", r"decoders."),
    (r"(.*coders\.\d+)\.conv_tr\.", r"\1.conv."),
    (r"(.*coders\.\d+)\.dconv\.", r"\1.residual."),
    (r"(.*\.residual\.layers\.\d+\.\d+)\.scale$", r"\1.gain"),
    (r"freq_emb\.embedding\.", r"frequencies."),
    (r"channel_upsampler_t\.", r"widen_wave."),
    (r"channel_downsampler_t\.", r"narrow_wave."),
    (r"channel_upsampler\.", r"widen."),
    (r"channel_downsampler\.", r"narrow."),
    (r"crosstransformer\.norm_in\.", r"transformer.norm_spectrum."),
    (r"crosstransformer\.norm_in_t\.", r"transformer.norm_wave."),
    (r"crosstransformer\.layers\.", r"transformer.spectrum."),
    (r"crosstransformer\.layers_t\.", r"transformer.wave."),
    (r"(transformer\.\w+\.\d+)\.self_attn\.", r"\1.self."),
    (r"(transformer\.\w+\.\d+)\.cross_attn\.", r"\1.cross."),
    (r"(transformer\.\w+\.\d+)\.(self|cross)\.in_proj_", r"\1.\2.qkv."),
    (r"(transformer\.\w+\.\d+)\.(self|cross)\.out_proj\.", r"\1.\2.out."),
    (r"(transformer\.\w+\.\d+)\.linear1\.", r"\1.up."),
    (r"(transformer\.\w+\.\d+)\.linear2\.", r"\1.down."),
    (r"(transformer\.\w+\.\d+)\.gamma_1\.scale", r"\1.attention_scale.gain"),
    (r"(transformer\.\w+\.\d+)\.gamma_2\.scale", r"\1.feedforward_scale.gain"),
]

_TABLES = {"roformer": _ROFORMER, "scnet": _SCNET, "tfc_tdf": _TFC_TDF, "htdemucs": _HTDEMUCS}
_UNUSED = {"roformer": r".*rotary_embed\.freqs$"}  # every layer repeats the same angles; block 0's are kept

_IDLE = re.compile(r"(.*\.)?(total_ops|total_params|(stft_)?window|freq_indices|num_(freqs|bands)_per_(freq|band))")
"""What profilers leave at every layer, and what a net works out anew."""

# BS-RoFormer-SW registers biases for its attention, which are zero in the weights that were published.
_SILENT = re.compile(r"linear_6[24]_bias_0|layers\.\d+\.[01]\.layers\.\d+\.0\.(to_qkv|to_out\.0)\.bias")


def silent(names: Iterable[str]) -> list[str]:
    """Tensors that our nets have no place for and that change nothing as long as they are zero."""
    return [name for name in names if _SILENT.fullmatch(name)]


def renamed(architecture: str, names: Iterable[str]) -> dict[str, str]:
    """Their name → ours, for every tensor that the architecture uses; the rest is left out."""
    compiled = [(re.compile("^" + pattern), ours) for pattern, ours in _TABLES[architecture]]
    unused = re.compile(_UNUSED.get(architecture, "$^"))
    names = list(names)
    table = {}
    for name in names:
        ours = name
        for pattern, replacement in compiled:
            ours = pattern.sub(replacement, ours)
        if not unused.match(ours) and not _IDLE.fullmatch(name):
            table[name] = ours
    return _norms_of_demucs(table) if architecture == "htdemucs" else table


def _norms_of_demucs(table: dict[str, str]) -> dict[str, str]:
    """A crossing layer numbers its norms differently from a plain one: only its neighbours tell which it is."""
    crossing = {ours.split(".cross.")[0] for ours in table.values() if ".cross." in ours}
    norms = {True: ("norm", "norm_heard", "norm_feedforward"), False: ("norm", "norm_feedforward")}

    def ours(name: str) -> str:
        layer, found, parameter = re.match(r"^(transformer\.\w+\.\d+)?(\.norm[123])?(.*)$", name).groups()  # type: ignore[union-attr]
        if layer and found:
            return f"{layer}.{norms[layer in crossing][int(found[-1]) - 1]}{parameter}"
        return name.replace(".self.", ".attention.").replace(".cross.", ".attention.")

    return {theirs: ours(name) for theirs, name in table.items()}

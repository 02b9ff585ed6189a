"""Other projects' checkpoints become models, whatever they are wrapped in, and give the same numbers."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402
from upstream_files import CASES, architecture, filled, sizes, state, tones  # noqa: E402

from stemwright import errors  # noqa: E402
from stemwright.engine.progress import heeding  # noqa: E402
from stemwright.zoo import foreign, installed, networks, published  # noqa: E402
from stemwright.zoo.checkpoints import converting  # noqa: E402


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEMWRIGHT_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("STEMWRIGHT_PRECISION", "fp32")
    return tmp_path / "models"


def saved(path: Path, value: Any) -> Path:
    torch.save(value, path)
    return path


@pytest.mark.parametrize("case", CASES)
def test_sizes_are_recognised_from_names_and_shapes(case: str, tmp_path: Path) -> None:
    found = foreign.convert(saved(tmp_path / "x.ckpt", state(case)), tmp_path / "out")
    for name, size in sizes(case).items():
        if name in found["sizes"] and name not in found["assumed"]:
            assert (name, networks._tuples(found["sizes"][name])) == (name, size)
    assert found["architecture"] == architecture(case)


def with_biases(value: float) -> dict[str, Any]:
    """As BS-RoFormer-SW is published: one bias for all attentions, under its own name and in every layer."""
    found = state("BS-RoFormer")
    layers = [name.removesuffix("to_qkv.weight") for name in found if name.endswith("to_qkv.weight")]
    qkv, out = torch.full((96,), value), torch.full((32,), -0.0)
    shared = {"linear_62_bias_0": qkv, "linear_64_bias_0": out}
    return found | shared | {f"{at}to_qkv.bias": qkv for at in layers} | {f"{at}to_out.0.bias": out for at in layers}


def test_biases_of_attention_are_left_out_where_they_are_zero(tmp_path: Path) -> None:
    model = foreign.add(saved(tmp_path / "sw.ckpt", with_biases(0.0))).model
    plain = foreign.add(saved(tmp_path / "plain.ckpt", state("BS-RoFormer"))).model
    assert model.weights.read_bytes() == plain.weights.read_bytes()
    with pytest.raises(errors.UnknownArchitecture, match="attention has biases"):
        foreign.add(saved(tmp_path / "other.ckpt", with_biases(0.1)))


def test_what_cannot_be_loaded_says_what_it_is(tmp_path: Path) -> None:
    quantised = {"klass": "x", "args": (), "kwargs": {}, "state": {"__quantized": True, "weights": torch.zeros(3)}}
    with pytest.raises(errors.UnreadableCheckpoint, match="quantised with diffq; take the full-size"):
        foreign.add(saved(tmp_path / "q.th", quantised))
    polar = state("BS-RoFormer") | {"layers.0.0.layers.0.0.pope.bias": torch.zeros(3)}
    with pytest.raises(errors.UnknownArchitecture, match=r"variant of roformer with 1 tensors like .*pope\.bias"):
        foreign.add(saved(tmp_path / "polar.ckpt", polar))
    older = {"tencoder.0.conv.weight": torch.zeros(48, 2, 8), "encoder.0.conv.weight": torch.zeros(48, 4, 8, 1)}
    with pytest.raises(errors.UnknownArchitecture, match=r"without a transformer \(version 3 or older\)"):
        foreign.add(saved(tmp_path / "three.th", {"state": older}))


WRAPPINGS: dict[str, Callable[[Path, dict[str, Any]], Path]] = {
    "bare": lambda folder, tensors: saved(folder / "a.ckpt", tensors),
    "state": lambda folder, tensors: saved(folder / "a.th", {"klass": "HTDemucs", "state": tensors, "args": ()}),
    "state_dict": lambda folder, tensors: saved(
        folder / "a.ckpt",
        {"epoch": 3, "best": torch.tensor(1.0), "state_dict": {f"module.{k}": v for k, v in tensors.items()}},
    ),
    "model_state_dict": lambda folder, tensors: saved(
        folder / "a.chpt", {"model_state_dict": tensors, "optimizer_state_dict": {"state": {0: tensors}, "lr": 0.1}}
    ),
    "safetensors": lambda folder, tensors: (
        save_file({k: v.clone() for k, v in tensors.items()}, folder / "a.safetensors", {"klass": "x", "args": "[]"})
        or folder / "a.safetensors"
    ),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_checkpoint_gives_the_same_numbers_however_it_is_wrapped(wrapping: str, tmp_path: Path) -> None:
    case, mix = "HTDemucs", tones(44100)
    model = foreign.add(WRAPPINGS[wrapping](tmp_path, state(case)), name="mine").model
    model.facts["sizes"]["segment"] = 44100
    with torch.inference_mode():
        expected = filled(CASES[case][0])(mix).numpy()
    assert np.allclose(networks.open_installed(model)(mix.numpy()), expected, atol=1e-5)
    assert installed.verify("mine").facts["stems"] == ["drums", "bass", "other", "vocals"]


def beside(tensors: dict[str, Any]) -> dict[str, Any]:
    """What a Lightning trainer writes beside the weights."""
    paths = {"data": Path("/songs"), "config": PureWindowsPath("C:\\nets\\a.yaml")}
    loss = {"loss.window": torch.ones(4)}
    return {"state_dict": tensors | loss, "hyper_parameters": paths, "optimizer_states": [{"state": {0: tensors}}]}


TRAINERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "compiled, then parallel": lambda tensors: {f"module._orig_mod.{k}": v for k, v in tensors.items()},
    "parallel, then compiled": lambda tensors: {f"_orig_mod.module.{k}": v for k, v in tensors.items()},
    "lightning": lambda tensors: beside({f"net.{k}": v for k, v in tensors.items()}),
    "in a table of its own": lambda tensors: {
        "state": {"epoch": 3},
        "best": tensors,
        "optim": {"a": tensors, "b": tensors},
    },
    "profiled": lambda tensors: tensors | {"layers.0.total_ops": torch.zeros(1), "stft_window": torch.ones(4)},
    "with its average": lambda tensors: {
        f"{of}.{k}": v + (of == "ema_model") for k, v in tensors.items() for of in ("ema_model", "model")
    },
}


@pytest.mark.parametrize("trainer", TRAINERS)
def test_whatever_trainers_put_around_a_net_it_is_the_same_net(trainer: str, tmp_path: Path) -> None:
    tensors = state("BS-RoFormer")
    converting.convert(saved(tmp_path / "plain.ckpt", tensors), tmp_path / "plain", None)
    found = converting.convert(saved(tmp_path / "a b é.ckpt", TRAINERS[trainer](tensors)), tmp_path / "out", None)
    taken, plain = load_file(tmp_path / "out"), load_file(tmp_path / "plain")
    assert taken.keys() == plain.keys()
    assert all(torch.equal(taken[name], plain[name]) for name in plain)
    told = " ".join(foreign.notes(found))
    assert ("it is there as model. and as ema_model." in told) == (trainer == "with its average")
    assert ("no part of the net: loss.window, pathlib" in told) == (trainer == "lightning")


@pytest.mark.parametrize("case", ["BS-RoFormer", "SCNet", "TFC-TDF v3", "HTDemucs"])
def test_a_net_that_is_not_whole_is_refused_when_it_is_taken_in(case: str, tmp_path: Path) -> None:
    tensors = state(case)
    name = list(tensors)[-3]
    with pytest.raises(errors.UnreadableCheckpoint, match=f"{architecture(case)} lacks 1 of its tensors, such as"):
        foreign.add(saved(tmp_path / "a.ckpt", {key: tensor for key, tensor in tensors.items() if key != name}))
    with pytest.raises(errors.UnreadableCheckpoint, match=r"in the shape \(7, .*, not \("):
        foreign.add(saved(tmp_path / "b.ckpt", tensors | {name: torch.zeros(7, *tensors[name].shape)}))
    assert installed.names() == []


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool])
def test_weights_that_are_no_floats_are_refused_when_they_are_taken_in(dtype: torch.dtype, tmp_path: Path) -> None:
    whole = {name: tensor.to(dtype) for name, tensor in state("BS-RoFormer").items()}
    with pytest.raises(errors.UnreadableCheckpoint, match="a net's are floats"):
        foreign.add(saved(tmp_path / "a.ckpt", whole))
    assert installed.names() == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused_when_they_are_taken_in(
    value: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in state("BS-RoFormer").items()}
    name = next(name for name in tensors if name.endswith("to_qkv.weight"))
    tensors[name].view(-1)[7] = value
    with pytest.raises(errors.UnreadableCheckpoint, match=f"{name} are not all numbers"):
        foreign.add(saved(tmp_path / "a.ckpt", tensors))
    assert installed.names() == []


def test_names_that_ask_for_a_million_heads_build_nothing(tmp_path: Path) -> None:
    heads = {f"mask_estimators.{i}.to_freqs.0.0.0.bias": torch.zeros(1) for i in range(2, 9000)}
    with pytest.raises(
        errors.UnreadableCheckpoint, match="its roformer would have 558000 tensors or more, and here are"
    ):
        foreign.add(saved(tmp_path / "a.ckpt", state("BS-RoFormer") | heads))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\n<!DOCTYPE html><title>404</title>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"ID3 a song", "neither a PyTorch archive nor safetensors"),
    ],
)
def test_what_people_take_for_a_checkpoint_is_told_for_what_it_is(data: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "net.ckpt").write_bytes(data)
    with pytest.raises(errors.UnreadableCheckpoint, match=told):
        converting.convert(tmp_path / "net.ckpt", tmp_path / "out", None)


def test_a_zip_that_is_not_pytorchs_is_no_attack(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net.ckpt", b"0" * 1000)
    with pytest.raises(
        errors.UnreadableCheckpoint, match="not one that PyTorch writes; if a checkpoint is in it, unpack"
    ):
        converting.convert(tmp_path / "net.zip", tmp_path / "out", None)


def test_a_yaml_may_refer_to_a_short_list_again(tmp_path: Path) -> None:
    names = ["Vocals", "Other"]
    written = yaml.dump(
        {"training": {"instruments": names, "others": names}, "model": {"dim": 32, "unheard of": (1, 2)}}
    )
    assert "*id001" in written
    (tmp_path / "its own.yaml").write_text(written, "utf-8-sig")
    found = converting.convert(
        saved(tmp_path / "a.ckpt", state("BS-RoFormer")), tmp_path / "o", tmp_path / "its own.yaml"
    )
    assert found["stems"] == ["vocals", "other"]


@pytest.mark.parametrize(
    ("case", "said", "known", "stems", "told"),
    [
        ("BS-RoFormer", "[Other, Vocals]", ("vocals", "other"), ["other", "vocals"], ""),
        ("BS-RoFormer", "[a, b, c]", ("vocals", "other"), ["vocals", "other"], ""),
        ("BS-RoFormer", "[dry, wet]", ("vocals", "other"), ["dry", "wet"], "the catalogue vocals, other"),
        ("BS-RoFormer", "[dry, wet]", ("dry",), ["dry", "wet"], "the catalogue dry"),
        ("Mel-Band RoFormer, 64 bands", "[other]", ("instrumental",), ["instrumental"], ""),
    ],
)
def test_which_output_is_which_stem_the_files_say_before_a_catalogue(
    case: str, said: str, known: tuple[str, ...], stems: list[str], told: str, tmp_path: Path
) -> None:
    (tmp_path / "its.yaml").write_text(f"training: {{instruments: {said}}}")
    made = foreign.add(saved(tmp_path / "a.ckpt", state(case)), config=tmp_path / "its.yaml", facts={"stems": known})
    assert made.model.facts["stems"] == stems
    assert "stems" not in made.model.facts["assumed"]
    assert told in " ".join(made.notes)


def test_half_precision_is_kept_on_disk_and_widened_to_run(tmp_path: Path) -> None:
    halves = state("BS-RoFormer", lambda tensor: tensor.half())
    model = foreign.add(saved(tmp_path / "half.pth", halves)).model
    assert model.facts["dtype"] == "F16"
    separator = networks.open_installed(model)
    assert all(parameter.dtype == torch.float32 for parameter in separator.net.parameters())


def test_only_the_heads_asked_for_are_in_memory(tmp_path: Path) -> None:
    model = foreign.add(saved(tmp_path / "two.ckpt", state("BS-RoFormer")), stems=("horn", "harp")).model
    both, harp = networks.open_installed(model), networks.open_installed(model, ("harp",))
    mix = tones(44100).numpy()
    assert harp.stems == ("harp",)
    assert len(harp.net.masks) == 1  # type: ignore[arg-type]
    assert np.allclose(harp(mix)[:, 0], both(mix)[:, 1], atol=1e-6)


YAML = """
audio: {chunk_size: 131584, sample_rate: 44100}
model:
  dim: 64
  depth: 2
  stft_hop_length: 512
  mask_estimator_depth: 2
  freqs_per_bands: !!python/tuple [1000, 25]
training: {instruments: [Vocals, Other], target_instrument: null}
"""


def test_a_yaml_fills_in_what_tensors_do_not_show_and_its_contradictions_are_reported(tmp_path: Path) -> None:
    (tmp_path / "its.yaml").write_text(YAML)
    added = foreign.add(saved(tmp_path / "a.ckpt", state("BS-RoFormer")), config=tmp_path / "its.yaml")
    facts = added.model.facts
    assert (facts["segment"], facts["sizes"]["hop"], facts["stems"]) == (131584, 512, ["vocals", "other"])
    assert facts["sizes"]["dim"] == 32
    assert any("dim: the tensors say 32, the configuration 64" in note for note in added.notes)
    assert any("bands" in note for note in added.notes)


CONTRADICTIONS = {
    "training: {instruments: [a, b, c]}": "stems: the tensors say 2, the configuration 3",
    "model: {num_bands: 60}": "bands: the tensors say ((0, 2), (2, 4)",
    "model: {depth: 7}": "depth: the tensors say 2, the configuration 7",
}


@pytest.mark.parametrize("text", CONTRADICTIONS)
def test_a_yaml_that_contradicts_the_tensors_is_told_and_not_believed(text: str, tmp_path: Path) -> None:
    (tmp_path / "its.yaml").write_text(text)
    added = foreign.add(saved(tmp_path / "a.ckpt", state("BS-RoFormer")), config=tmp_path / "its.yaml")
    assert any(CONTRADICTIONS[text] in note for note in added.notes)
    assert (added.model.facts["stems"], "segment" in added.model.facts["assumed"]) == (["vocals", "other"], True)


def test_a_yaml_of_another_architecture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "its.yaml").write_text("model: {dims: [4, 32, 64, 128], num_dplayer: 6}\naudio: {chunk_size: 485100}")
    with pytest.raises(errors.BadConfig, match="of a net of the kind scnet, the checkpoint is a roformer"):
        foreign.add(saved(tmp_path / "a.ckpt", state("BS-RoFormer")), config=tmp_path / "its.yaml")


def test_how_an_scnet_scales_its_spectrum_is_the_yamls_to_say(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.ckpt", state("SCNet"))
    assert "normalized" in foreign.convert(file, tmp_path / "out")["assumed"]
    (tmp_path / "its.yaml").write_text("model: {normalized: false}")
    found = foreign.convert(file, tmp_path / "out", config=tmp_path / "its.yaml")
    assert (found["sizes"]["normalized"], "normalized" in found["assumed"]) == (False, False)


def test_the_rate_a_net_was_trained_at_is_the_one_it_runs_at(tmp_path: Path) -> None:
    (tmp_path / "its.yaml").write_text("audio: {sample_rate: 48000, chunk_size: 48000}")
    model = foreign.add(saved(tmp_path / "a.ckpt", state("BS-RoFormer")), config=tmp_path / "its.yaml").model
    assert networks.open_installed(model).rate == 48000
    demucs = {"klass": Fraction, "args": (), "kwargs": {"samplerate": 32000, "segment": 2}, "state": state("HTDemucs")}
    found = foreign.convert(saved(tmp_path / "b.th", demucs), tmp_path / "out")
    assert (found["rate"], found["segment"]) == (32000, 64000)


NONSENSE = {
    "model: {stft_n_fft: 2048, stft_win_length: 1024}": "model.stft_win_length is 1024",
    "audio: {chunk_size: -5}": "audio.chunk_size is '-5', not a whole number from 4096",
    "audio: {chunk_size: 99999999999}": "audio.chunk_size",
    "audio: {chunk_size: many}": "audio.chunk_size is 'many'",
    "model: {stft_hop_length: 0}": "model.stft_hop_length is '0', not a whole number from 1",
    "model: {stft_hop_length: 60000}": "between its frames are 60000 samples",
    "model: {stft_n_fft: -3}": "model.stft_n_fft",
    "model: {freqs_per_bands: abc}": "not a list of whole numbers above 0",
    "model: {zero_dc: 7}": "not true or false",
    "training: {instruments: 3}": "not a list of names",
}


@pytest.mark.parametrize("text", NONSENSE)
def test_what_cannot_be_in_a_yaml_is_refused_as_the_yamls_fault(text: str, tmp_path: Path) -> None:
    file = saved(tmp_path / "a.ckpt", state("BS-RoFormer"))
    (tmp_path / "its.yaml").write_text(text)
    with pytest.raises(errors.BadConfig, match=NONSENSE[text]) as refused:
        foreign.add(file, config=tmp_path / "its.yaml")
    assert "its.yaml" in str(refused.value)
    assert installed.names() == []


@pytest.mark.parametrize(
    ("case", "text", "message"),
    [
        ("HTDemucs", "htdemucs: {t_heads: 7}", "cannot have 7 heads"),
        ("HTDemucs", "training: {segment: hello}", "not a number of seconds"),
        ("SCNet", "model: {band_SR: 7}", "not a list of three parts of 1"),
        ("SCNet", "model: {band_stride: [1, 400, 16]}", "larger than the kernels"),
        ("TFC-TDF v3", "audio: {chunk_size: 100000}", "have to be a multiple of 8"),
    ],
)
def test_sizes_with_which_a_net_cannot_run_are_refused(case: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "its.yaml").write_text(text)
    with pytest.raises(errors.BadConfig, match=message):
        foreign.convert(saved(tmp_path / "a.ckpt", state(case)), tmp_path / "out", config=tmp_path / "its.yaml")


@pytest.mark.parametrize("name", ["../../evil", "a/b", "a\\b", ".hidden", "", "nul\0"])
def test_a_stem_never_leads_out_of_its_folder(name: str, tmp_path: Path) -> None:
    made = {"state": state("HTDemucs"), "kwargs": {"sources": [name, "x", "y", "z"]}}
    assert foreign.convert(saved(tmp_path / "a.th", made), tmp_path / "out")["stems"][0] == "drums"
    with pytest.raises(errors.BadStems, match="cannot be a file's name"):
        foreign.add(tmp_path / "a.th", name="b", stems=(name, "x", "y", "z"))


def test_two_outputs_never_have_one_name(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.ckpt", state("BS-RoFormer"))
    with pytest.raises(errors.BadStems, match="two of them would be one file"):
        foreign.add(file, stems=("a", "A"))
    (tmp_path / "its.yaml").write_text("training: {instruments: [Vocals, vocals]}")
    assert foreign.convert(file, tmp_path / "out", config=tmp_path / "its.yaml")["stems"] == ["vocals", "vocals-2"]
    assert converting.numbered(["a", "a", "a-2", "a"]) == ("a", "a-2", "a-2-2", "a-3")


def test_what_was_assumed_is_said(tmp_path: Path) -> None:
    added = foreign.add(saved(tmp_path / "a.ckpt", state("SCNet")))
    assert any("shares" in note and "one level before it (they are)" in note for note in added.notes)
    (tmp_path / "its.yaml").write_text("inference: {normalize: true}")
    found = foreign.convert(tmp_path / "a.ckpt", tmp_path / "out", config=tmp_path / "its.yaml")
    assert (found["normalised"], "normalised" in found["assumed"]) == (True, False)


def test_what_a_catalogue_knows_is_believed_where_the_files_say_nothing(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.ckpt", state("SCNet"))
    (tmp_path / "its.yaml").write_text("audio: {chunk_size: 44100}\ninference: {normalize: true}")
    known = {"segment": 30870, "normalised": False}
    facts = foreign.add(file, name="scnet-xl", facts=known).model.facts
    assert (facts["segment"], facts["normalised"]) == (30870, False)
    assert not {"segment", "normalised"} & set(facts["assumed"])
    added = foreign.add(file, name="scnet-small", config=tmp_path / "its.yaml", facts=known)
    assert (added.model.facts["segment"], added.model.facts["normalised"]) == (44100, True)
    assert any("normalised: the files say yes, the catalogue no" in note for note in added.notes)
    assert [published.published(name).normalised for name in ("scnet-large", "scnet-large-zf")] == [True, False]


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.ckpt", state("TFC-TDF v3"))
    foreign.add(file)
    with pytest.raises(errors.NameTaken):
        foreign.add(file)
    assert installed.names() == ["a"]


@pytest.mark.parametrize("name", ["twelve", "Twelve", "recipes", "kim-mel-vocals", "htdemucs-ft"])
def test_a_name_that_would_hide_another_model_is_kept(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.ckpt"
    file.write_bytes(b"")
    for given in (name, None):
        with pytest.raises(errors.NameKept, match="that Stemwright knows"):
            foreign.add(file, name=given)
    with pytest.raises(errors.NameKept if name in ("twelve", "Twelve", "recipes") else errors.UnreadableCheckpoint):
        foreign.add(file, name=name, facts={"licence": "as the catalogue says"})  # as `pull` takes in its own


def test_taking_in_is_left_in_its_middle_and_leaves_nothing(tmp_path: Path) -> None:
    torch.save(state("SCNet"), tmp_path / "net.ckpt")
    with heeding(lambda: True), pytest.raises(errors.Cancelled):
        foreign.add(tmp_path / "net.ckpt")
    assert list(installed.folder().iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_is_being_taken_in_stays(tmp_path: Path) -> None:
    old, new = (installed.folder(create=True) / name for name in (".adding-old", ".adding-new"))
    for left in (old, new):
        left.mkdir()
        (left / "weights.safetensors").write_bytes(b"half")
    os.utime(old, (0, 0))
    foreign.add(saved(tmp_path / "net.ckpt", state("SCNet")))
    assert sorted(path.name for path in installed.folder().iterdir()) == [".adding-new", "net"]


def test_a_files_name_becomes_a_models_and_one_that_cannot_be_is_said_at_once(tmp_path: Path) -> None:
    file = saved(tmp_path / "Kim Vocal (2).ckpt", state("BS-RoFormer"))
    added = foreign.add(file, stems=("vocals", " other "))
    assert (added.model.name, added.model.facts["stems"]) == ("kim-vocal-2", ["vocals", "other"])
    (tmp_path / "empty.ckpt").write_bytes(b"")
    for name in ("../up", "a b", "-x", ".x"):
        with pytest.raises(errors.BadName, match="Choose another name"):
            foreign.add(tmp_path / "empty.ckpt", name=name)


def test_a_graph_is_one_in_capitals_too(tmp_path: Path) -> None:
    (tmp_path / "NET.ONNX").write_bytes(b"no graph")
    with pytest.raises(errors.UnknownArchitecture, match="not in the table of MDX-Net graphs"):
        foreign.add(tmp_path / "NET.ONNX")


def test_a_variant_with_other_tensors_is_refused(tmp_path: Path) -> None:
    strange = state("BS-RoFormer") | {"segm.conv.weight": torch.zeros(3)}
    with pytest.raises(errors.UnknownArchitecture, match=r"variant of roformer with 1 tensors like segm"):
        foreign.add(saved(tmp_path / "a.ckpt", strange))

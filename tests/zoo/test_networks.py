"""Models of other projects, installed here, separate songs like the bundled one."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tiny  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from upstream_files import CASES as NETS  # noqa: E402
from upstream_files import filled, state, tones  # noqa: E402

import stemwright  # noqa: E402
from stemwright import errors  # noqa: E402
from stemwright.engine import manners  # noqa: E402
from stemwright.engine.separator import batch_of  # noqa: E402
from stemwright.engine.whole import Passing  # noqa: E402
from stemwright.nets.precision import Dense  # noqa: E402
from stemwright.zoo import foreign, halving, installed, loading, machine, networks, profiles, published  # noqa: E402
from stemwright.zoo.checkpoints import converting, mdx_nets  # noqa: E402

pytestmark = pytest.mark.usefixtures("models")
SONG = tones(60000).numpy()[0]


def add(tmp_path: Path, case: str, name: str, stems: tuple[str, ...] = ()) -> installed.Installed:
    torch.save(state(case), tmp_path / "its.ckpt")
    short = {"segment": 44100, "sizes": {}} if "HTDemucs" in case else {"segment": 30870}
    found = foreign.add(tmp_path / "its.ckpt", name=name, stems=stems).model
    facts = {**found.facts, **short, "sizes": {**found.facts["sizes"], "segment": 44100}}
    (found.folder / "card.toml").write_text(installed.toml(facts))
    return found


def test_a_model_of_four_stems_separates_a_song_into_stems_that_sum_to_it(tmp_path: Path) -> None:
    add(tmp_path, "HTDemucs", "net")
    done = stemwright.separate(SONG, rate=44100, model="net")
    assert list(done.stems) == ["drums", "bass", "other", "vocals"]
    assert np.abs(sum(done.stems.values()) - SONG).max() < 1e-5


def test_what_a_model_of_one_stem_leaves_is_the_other(tmp_path: Path) -> None:
    add(tmp_path, "BS-RoFormer, skips, 2 deep", "one", ("vocals",))
    done = stemwright.separate(SONG, rate=44100, model="one", two=True)
    assert list(done.stems) == ["vocals", "instrumental"]
    assert np.abs(sum(done.stems.values()) - SONG).max() < 1e-5


@pytest.mark.parametrize("stem", ["other", "Other"])
def test_what_a_model_of_the_rest_leaves_has_a_name_of_its_own(stem: str, tmp_path: Path) -> None:
    add(tmp_path, "BS-RoFormer, skips, 2 deep", "one", (stem,))
    done = stemwright.separate(SONG, rate=44100, model="one")
    assert list(done.stems) == [stem, "no_other"]
    assert np.abs(sum(done.stems.values()) - SONG).max() < 1e-5


def test_the_table_has_every_graph_that_a_card_knows_by_its_bytes() -> None:
    table = tomllib.loads(mdx_nets.TABLE.read_text("utf-8"))
    cards = [card for card in published.listing() if card.architecture == "mdx"]
    assert cards
    for card in cards:
        assert table[card.md5_tail or ""]["stem"] == card.stems[0]


def test_of_many_heads_only_those_asked_for_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(tmp_path, "BS-RoFormer", "many", ("harp", "horn"))
    monkeypatch.setattr(networks, "MOST_THAT_COVER", 1)
    opened: list[tuple[str, ...] | None] = []
    inner = networks.open_installed
    monkeypatch.setattr(
        networks,
        "open_installed",
        lambda model, stems=None, **how: (opened.append(stems), inner(model, stems, **how))[1],
    )
    done = stemwright.separate(SONG, rate=44100, model="many", stems=["horn"], rest="no horn")
    assert opened[-1] == ("horn",)
    assert np.abs(sum(done.stems.values()) - SONG).max() < 1e-5


def test_each_member_of_a_bag_gives_its_own_stem() -> None:
    class Fixed:
        rate, segment, hop, stems = 44100, 100, 50, ("drums", "bass")

        def __init__(self, level: float) -> None:
            self.level = level

        def __call__(self, mix: np.ndarray) -> np.ndarray:
            return np.full((len(mix), 2, 2, 100), self.level, np.float32)

    stems = networks.Bag([Fixed(1), Fixed(2)])(np.zeros((1, 2, 100), np.float32))
    assert stems[0, :, 0, 0].tolist() == [1, 2]


def test_a_public_model_that_is_not_here_says_what_to_pull() -> None:
    with pytest.raises(errors.NotPulled, match=r"913 MB under the licence MIT.*models pull kim-mel-vocals"):
        loading.load("kim-mel-vocals")
    with pytest.raises(errors.UnknownModel):
        loading.load("no-such-model")


def test_weights_that_do_not_fit_their_card_are_refused(tmp_path: Path) -> None:
    model = add(tmp_path, "SCNet", "odd")
    model.facts["sizes"]["dual_paths"] = 6
    with pytest.raises(errors.BadCard, match="paths"):
        networks.open_installed(model)
    with pytest.raises(errors.UnknownStem, match="harp"):
        networks.open_installed(model, ("harp",))


@pytest.mark.parametrize(
    "spoil", [Path.unlink, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"x" * 999)]
)
def test_weights_that_are_spoiled_or_gone_are_told(spoil: Callable[[Path], object]) -> None:
    spoil(tiny.install("spoiled", "roformer", ("vocals",)).weights)
    with pytest.raises(errors.BadWeights, match="Install them again"):
        stemwright.separate(SONG, rate=44100, model="spoiled")


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        ('"roformer"', '"mamba"', "no net of the kind 'mamba', a newer one may have"),
        ("dim = 16", 'dim = "16"', "remove the model, and pull it or take it in again"),
        ("[sizes]", "[lengths]", "remove the model, and pull it or take it in again"),
    ],
)
def test_a_card_of_another_version_is_told(written: str, instead: str, told: str) -> None:
    card = tiny.install("other", "roformer", ("vocals",)).folder / "card.toml"
    card.write_text(card.read_text().replace(written, instead))
    with pytest.raises(errors.BadCard, match=told):
        stemwright.separate(SONG, rate=44100, model="other")


def test_half_the_weights_give_the_same_net(tmp_path: Path) -> None:
    model = add(tmp_path, "Mel-Band RoFormer", "mel")
    mix = tones(30870).numpy()
    with torch.inference_mode():
        expected = filled(NETS["Mel-Band RoFormer"][0])(torch.from_numpy(mix)).numpy()
    assert np.allclose(networks.open_installed(model)(mix), expected, atol=1e-5)


def resident(path: Path) -> int:
    """Bytes of a file's pages that are in this process."""
    parts = Path("/proc/self/smaps").read_text().split("VmFlags")
    return sum(1024 * int(part.split("Rss:")[1].split()[0]) for part in parts if f" {path}\n" in part)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="no system here tells which pages are in memory")
@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_a_roformer_in_full_precision_gives_a_files_pages_back_and_keeps_what_is_its_own(
    kind: torch.dtype, tmp_path: Path
) -> None:
    wide = replace(tiny.BS, dim=128)
    tensors = {name: tensor.to(kind) for name, tensor in filled(wide).state_dict().items()}
    save_file(tensors, tmp_path / "weights.safetensors")
    card = {"architecture": "roformer", "sizes": asdict(wide), "stems": ["vocals"], "segment": 8820}
    model = installed.install("wide", tmp_path / "weights.safetensors", card)
    separator = networks.open_installed(model, precision="fp32")
    mix = tones(8820).numpy()
    first = separator(mix)
    assert resident(model.weights) < model.weights.stat().st_size / 4
    assert {layer.is_mapped for layer in separator.net.modules() if isinstance(layer, Dense)} == {kind == torch.float32}
    assert np.array_equal(separator(mix), first)
    assert np.abs(first).max() > 0.01


def test_a_graph_is_known_by_the_end_of_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx = pytest.importorskip("onnx")
    sizes = ["batch", 4, 400, 32]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "net", ends[:1], ends[1:])
    made = onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)])
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(errors.UnknownArchitecture, match="not in the table"):
        foreign.add(tmp_path / "net.onnx")
    row = '{ n_fft = 4096, bins = 400, frames = 32, compensate = 1.0, stem = "bass" }'
    (tmp_path / "table.toml").write_text(f"{mdx_nets.md5_tail(tmp_path / 'net.onnx')} = {row}")
    monkeypatch.setattr(mdx_nets, "TABLE", tmp_path / "table.toml")
    monkeypatch.setattr(foreign, "convert", lambda source, out, **_: converting.convert(source, out, None))
    separator = networks.open_installed(foreign.add(tmp_path / "net.onnx").model)
    assert separator.stems == ("bass",)
    assert separator(np.zeros((1, 2, separator.segment), np.float32)).shape == (1, 1, 2, 1024 * 31)


def test_the_upstream_profile_gives_upstreams_stems(tmp_path: Path) -> None:
    add(tmp_path, "HTDemucs", "net")
    done = stemwright.separate(SONG, rate=44100, model="net", profile="upstream")
    consistent = stemwright.separate(SONG, rate=44100, model="net")
    assert np.abs(sum(done.stems.values()) - SONG).max() > 1e-3
    assert np.abs(sum(consistent.stems.values()) - SONG).max() < 1e-5


def test_the_upstream_profile_is_full_precision_at_the_models_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STEMWRIGHT_PRECISION")
    monkeypatch.setattr(machine, "fastest", lambda _: ("bf16", "fp32"))
    add(tmp_path, "HTDemucs", "net")
    upstream = {"model": "net", "profile": "upstream"}
    assert stemwright.separate(SONG, rate=44100, **upstream).precision == "fp32"
    song = stemwright.Audio(SONG, 44100)
    assert stemwright.separate(song, rate=44100, **upstream).rate == 44100
    with pytest.raises(errors.FixedRate, match="44100 Hz"):
        stemwright.separate(song, rate=48000, **upstream)


def test_a_song_that_cancels_out_in_mono_is_separated_as_upstream_does(tmp_path: Path) -> None:
    """Its mono mix has no deviation to be divided by."""
    torch.save(state("SCNet"), tmp_path / "its.ckpt")
    model = foreign.add(tmp_path / "its.ckpt", name="net").model
    assert model.facts["normalised"]
    for song in (np.stack([SONG[0], -SONG[0]]), SONG * 0, np.ones((2, 1), np.float32)):
        done = stemwright.separate(song, rate=44100, model="net", profile="upstream")
        assert all(np.isfinite(stem).all() for stem in done.stems.values())


def test_a_net_of_one_channel_hears_each_side_by_itself(tmp_path: Path) -> None:
    torch.save(state("HTDemucs"), tmp_path / "its.ckpt")
    found = foreign.add(tmp_path / "its.ckpt", name="net").model

    class Mono(torch.nn.Module):
        """Two stems of one channel: what it hears, and twice that."""

        def forward(self, mix: torch.Tensor) -> torch.Tensor:
            assert mix.shape[1] == 1
            return torch.stack([mix, 2 * mix], dim=1)

    separator = networks.NetSeparator(Mono(), ("a", "b"), rate=44100, segment=9, hop=9, channels=1)
    mix = tones(9, batch=3).numpy()
    assert np.array_equal(separator(mix), np.stack([mix, 2 * mix], axis=1))
    assert found.facts["sizes"]["channels"] == 2


def test_weights_that_are_put_in_the_place_of_others_are_opened(tmp_path: Path) -> None:
    add(tmp_path, "HTDemucs", "net")
    before = loading.load("net")
    assert loading.load("net") is before
    installed.remove("net")
    torch.save(state("HTDemucs", lambda tensor: tensor * 1.01), tmp_path / "its.ckpt")
    foreign.add(tmp_path / "its.ckpt", name="net")
    assert loading.load("net") is not before


def test_answers_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    torch.save(state("SCNet", lambda tensor: tensor * 1e30), tmp_path / "its.ckpt")
    foreign.add(tmp_path / "its.ckpt", name="net")
    with pytest.raises(errors.SpoiledAnswer, match=r"net answered .* at 0\.0 s"):
        stemwright.separate(SONG, rate=44100, model="net")


def test_measuring_a_song_heeds_who_waits_no_more_and_its_limits(tmp_path: Path) -> None:
    torch.save(state("SCNet"), tmp_path / "its.ckpt")
    foreign.add(tmp_path / "its.ckpt", name="net")
    asked: list[int] = []
    with pytest.raises(errors.Cancelled):
        stemwright.separate(SONG, rate=44100, model="net", cancelled=lambda: not asked.append(1))
    assert len(asked) == 1
    with pytest.raises(errors.TooLong):
        stemwright.separate(SONG, rate=44100, model="net", limits=stemwright.Limits(max_seconds=0.5))


@pytest.mark.parametrize("overlap", [2, 4])
def test_the_upstream_profile_hears_every_sample_as_often_as_the_yaml_says(overlap: int, tmp_path: Path) -> None:
    torch.save(state("SCNet"), tmp_path / "its.ckpt")
    (tmp_path / "its.yaml").write_text(f"inference: {{num_overlap: {overlap}, chunk_size: 16384}}")
    model = foreign.add(tmp_path / "its.ckpt", name="net", config=tmp_path / "its.yaml").model
    separator = networks.open_installed(model)
    upstream = profiles.running("upstream", "net", lambda: [SONG])
    found = np.concatenate([*upstream(separator, [SONG], 44100, Passing(tmp_path, lambda _: None))], axis=-1)
    assert separator.hop == 16384 // 2  # that of the profile `consistent`
    separator.hop = 16384 // overlap
    expected = np.concatenate([*manners.as_upstream(separator, [SONG], manners.msst)], axis=-1)
    assert np.array_equal(found, expected)


def test_an_htdemucs_with_a_yaml_is_run_as_its_trainers_run_it(tmp_path: Path) -> None:
    torch.save(state("HTDemucs"), tmp_path / "its.ckpt")
    (tmp_path / "its.yaml").write_text("training: {segment: 1}\ninference: {num_overlap: 4}")
    trained = foreign.add(tmp_path / "its.ckpt", name="trained", config=tmp_path / "its.yaml").model.facts
    own = foreign.add(tmp_path / "its.ckpt", name="own").model.facts
    assert (trained["segment"], profiles._manner(trained)) == (44100, (manners.msst_htdemucs, None))
    assert profiles._manner(own) == (manners.demucs, True)


def test_the_bundled_model_has_no_upstream() -> None:
    with pytest.raises(errors.UnknownProfile, match="twelve has no profile 'upstream'"):
        profiles.refuse("upstream", "twelve")


def test_segments_side_by_side_give_what_they_give_alone(tmp_path: Path) -> None:
    separator = networks.open_installed(add(tmp_path, "SCNet", "quartet"))
    mixes = tones(30870, batch=3).numpy()
    alone = np.concatenate([separator(mixes[index : index + 1]) for index in range(3)])
    assert np.allclose(separator(mixes), alone, atol=1e-5)
    assert batch_of(separator) == machine.abreast("cpu")


def test_the_result_tells_the_precision_that_was_used(tmp_path: Path) -> None:
    add(tmp_path, "HTDemucs", "quartet")
    half = stemwright.separate(SONG, rate=44100, model="quartet", precision="bf16")
    full = stemwright.separate(SONG, rate=44100, model="quartet")
    assert (half.device, half.precision) == ("cpu", "bf16")
    assert (full.device, full.precision) == ("cpu", "fp32")  # as STEMWRIGHT_PRECISION says here
    assert 0 < np.abs(half.stems["bass"] - full.stems["bass"]).max() < 0.01
    with pytest.raises(errors.UnknownPrecision, match="int3"):
        stemwright.separate(SONG, rate=44100, model="quartet", precision="int3")


def rounded(net: torch.nn.Module, precision: str) -> torch.nn.Module:
    for parameter in net.parameters() if precision == "bf16" else ():
        parameter.requires_grad_(requires_grad=False).copy_(parameter.bfloat16())
    return net


@pytest.mark.parametrize(
    ("case", "stems"), [("HTDemucs", ()), ("SCNet", ()), ("BS-RoFormer, skips, 2 deep", ("vocals",))]
)
def test_every_song_proves_half_precision_anew(
    case: str, stems: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STEMWRIGHT_PRECISION")
    monkeypatch.setattr(machine, "fastest", lambda _: ("bf16", "fp32"))
    monkeypatch.setattr(networks, "_lowered", rounded)  # bf16 itself takes long on a CPU that has none
    monkeypatch.setattr(machine, "cores", lambda: 1)
    add(tmp_path, case, "net", stems)
    song = SONG[:, :30000]
    done = []
    for least_db in (0.0, 999.0, 0.0):  # the second song is one that nothing in half precision is fine enough for
        monkeypatch.setattr(halving, "LEAST_DB", least_db)
        done.append(stemwright.separate(song, rate=44100, model="net"))
    assert [each.precision for each in done] == ["bf16", "fp32", "bf16"]
    full = stemwright.separate(song, rate=44100, model="net", precision="fp32").stems
    assert all(np.array_equal(done[1].stems[name], full[name]) for name in full)

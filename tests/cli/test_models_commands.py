"""`stemwright models`: taking in, listing, verifying and removing a checkpoint of another project."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from stemwright.cli import run
from stemwright.zoo import published

torch = pytest.importorskip("torch")
sys.path.append(str(Path(__file__).parents[1] / "zoo"))

from tiny import install  # noqa: E402
from unreliable import serving  # noqa: E402
from upstream_files import state  # noqa: E402


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEMWRIGHT_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_a_checkpoint_is_taken_in_verified_and_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(state("SCNet"), tmp_path / "my net.ckpt")
    assert run(["models", "add", str(tmp_path / "my net.ckpt")]) == 0
    assert "my-net: scnet, stems drums, bass, other, vocals" in capsys.readouterr().out
    assert run(["models", "verify"]) == 0
    assert run(["models", "show", "my-net", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (shown["sizes"]["dual_paths"], shown["proved"]) == (4, {})
    assert run(["models", "show", "my-net"]) == 0
    assert shown["sha256"] in "".join(capsys.readouterr().out.split())  # long values are not cut off
    assert run(["models", "remove", "my-net"]) == 0
    assert run(["models", "remove", "my-net"]) == 2
    assert run(["models", "verify"]) == 0
    assert "only the bundled one" in capsys.readouterr().out


def test_the_public_models_are_listed_by_use_stem_and_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list", "--stem", "vocals", "--licences", "permissive", "--sort", "size", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["models"]
    assert [model["name"] for model in listed[:3]] == ["twelve", "scnet-small", "scnet-large"]


def test_a_use_that_no_model_has_is_said(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list", "--use", "vokals"]) == 0
    assert capsys.readouterr().out == "There is none of these. `stemwright models list` shows all.\n"


def test_a_forbidden_licence_is_said_and_nothing_is_fetched(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "pull", "dereverb-echo-sucial"]) == 1
    said = capsys.readouterr().err
    assert "licence CC-BY-NC-SA-4.0" in said
    assert "--yes" in said
    assert not list(models.glob("*/card.toml"))


def test_recipes_are_listed_and_shown_with_what_they_need(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list", "--use", "four", "--licences", "permissive", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["recipes"]
    assert [recipe["name"] for recipe in listed] == ["four-permissive"]
    assert [model["name"] for model in listed[0]["models"]] == ["kim-mel-vocals", "scnet-large"]
    assert run(["models", "show", "drums"]) == 0
    shown = capsys.readouterr().out
    assert "drumsep-5 (hh)" in shown
    assert "False" not in shown


def test_pulling_a_recipe_pulls_what_the_policy_allows_and_says_what_it_does_not(
    models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMWRIGHT_OFFLINE", "1")
    assert run(["models", "pull", "vocals"]) == 1
    said = capsys.readouterr().err
    assert "becruily-deux: licence CC-BY-NC-4.0" in said
    assert "leap-xe: licence none stated" in said
    assert not list(models.glob("*/card.toml"))


def test_a_broken_recipe_is_told_beside_the_list(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "recipes").mkdir(parents=True)
    (models / "recipes" / "mine.toml").write_text('[split]\nmodel = "foo"\nstems = { a = ["a"] }')
    assert run(["models", "list", "--json"]) == 0
    said = capsys.readouterr()
    assert "four" in {recipe["name"] for recipe in json.loads(said.out)["recipes"]}
    assert "mine.toml is not valid: there is no model foo" in said.err
    assert run(["models", "pull", "mine"]) == 1
    assert "there is no model foo" in capsys.readouterr().err


def broken_card(models: Path, name: str, text: str) -> None:
    (models / name).mkdir(parents=True)
    (models / name / "card.toml").write_text(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [("[", "is not valid"), ('weights = "w"\narchitecture = "scnet"\nstems = ["a"]', "sha256 is missing"),
     ('weights = "w"\narchitecture = "scnet"\nsha256 = "0"', "stems are missing")],
)  # fmt: skip
def test_a_broken_card_is_told_beside_the_others_and_can_be_removed(
    models: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    broken_card(models, "a", text)
    broken_card(models, "kim-mel-vocals", text)
    for command in (["verify"], ["show", "a"]):
        assert run(["models", *command]) == 1
        assert words in capsys.readouterr().err
    assert run(["separate", __file__, "--model", "a"]) == 1
    assert words in capsys.readouterr().err
    for more in ([], ["--json"]):
        assert run(["models", "list", "--here", *more]) == 0
        assert capsys.readouterr().err.count(words) == 2
    assert (run(["models", "remove", "a"]), run(["models", "remove", "kim-mel-vocals"]), run(["models", "verify"])) == (
        0, 0, 0)  # fmt: skip


def test_pulling_none_at_once_is_a_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "pull", "kim-mel-vocals", "--at-once", "0"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_folder_for_models_that_cannot_be_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "x.ckpt").write_bytes(b"x")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setenv("STEMWRIGHT_MODELS", str(place))
        assert run(["models", "add", str(tmp_path / "x.ckpt")]) == 1
        assert f"cannot be kept in {place}" in capsys.readouterr().err


def test_a_setting_that_means_nothing_is_told_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMWRIGHT_OFFLINE", "perhaps")
    assert run(["models", "pull", "vocals"]) == 1
    assert capsys.readouterr().err.count("STEMWRIGHT_OFFLINE is 'perhaps'") == 1


def test_a_bag_is_verified_and_removed_by_its_members(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("bass", "drums", "other", "vocals"):
        install(f"htdemucs-ft-{part}", "htdemucs", ("drums", "bass", "other", "vocals"))
    assert run(["models", "verify", "htdemucs-ft"]) == 0
    assert run(["models", "remove", "htdemucs-ft"]) == 0
    said = capsys.readouterr().out
    assert (said.count("as its card says"), said.count("removed")) == (4, 4)
    assert run(["models", "verify", "htdemucs-ft"]) == 2


@pytest.mark.parametrize("command", [["pull"], ["prefetch", "nonsense"]])
def test_fetching_what_nobody_named_is_a_misuse(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", *command]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("name", ["fast", "twelve", "mine"])
def test_pulling_what_is_here_says_so(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    install("mine", "roformer", ("vocals",))
    assert run(["models", "pull", name]) == 0
    assert f"{name}: here" in capsys.readouterr().out


def test_prefetching_prints_the_licences_and_says_when_none_is_allowed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMWRIGHT_OFFLINE", "on")
    assert run(["models", "prefetch", "karaoke", "--licences", "any"]) == 1
    assert "licence unknown (" in capsys.readouterr().err
    assert run(["models", "prefetch", "karaoke"]) == 1
    assert "policy 'permissive' allows" in capsys.readouterr().err


def test_a_list_by_score_shows_the_score_and_its_measure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    assert run(["models", "list", "--use", "four", "--sort", "score"]) == 0
    said = capsys.readouterr().out
    assert "average, dB (uSDR, MVSEP Multisong)" in said
    best = published.listing(use="four", sort="score")[0]
    (line,) = [line for line in said.splitlines() if line.split()[:1] == [best.name]]
    assert line.rstrip().endswith(f"{published.score(best, ('uSDR, MVSEP Multisong', 'average')):.2f}")


def test_nothing_in_a_name_or_a_card_moves_the_terminals_cursor(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken_card(models, "a", 'weights = "w"\narchitecture = "scnet\\u001b[2J"\nsha256 = "0"\nstems = ["x\\u0007"]')
    (models / "recipes").mkdir()
    (models / "recipes" / "bell\a.toml").write_text("")
    (models / "two words").mkdir()
    (models / "two words" / "card.toml").write_text("")  # no name of a model: it is not looked at
    for command in (["list"], ["show", "a"], ["verify"], ["pull", "\x1b[2J"], ["pull", "a"]):
        run(["models", *command])
    said = capsys.readouterr()
    assert "\\x1b[2J" in said.out
    assert "bell\\x07.toml" in said.err
    assert not {"\x1b", "\a"} & {*said.out, *said.err}
    assert "two words" not in said.out


def test_pulling_tells_what_was_assumed_and_contradicted_and_the_card_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(state("SCNet"), tmp_path / "net.ckpt")
    card = published.published("scnet-xl")
    assert card.weights
    assert card.config
    with serving() as server:
        server.files[f"/scnet-xl/{card.weights.file}"] = (tmp_path / "net.ckpt").read_bytes()
        server.files[f"/scnet-xl/{card.config.file}"] = b"model: {num_dplayer: 6}"
        monkeypatch.setenv("STEMWRIGHT_MIRROR", server.url)
        assert run(["models", "pull", "scnet-xl", "--yes"]) == 0
    said = capsys.readouterr().out
    assert "dual_paths: the tensors say 4, the configuration 6" in said
    assert "nothing in the files states shares" in said
    assert run(["models", "show", "scnet-xl", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [note in said for note in shown["read"]] == [True, True]
    assert shown["normalised"] is False


def test_what_was_fetched_of_a_model_can_be_removed(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrived = models / ".fetching" / "kim-mel-vocals"
    arrived.mkdir(parents=True)
    (arrived / "MelBandRoformer.ckpt.0.part").write_bytes(bytes(2_000_000))
    assert run(["models", "verify", "vocals-permissive"]) == 2
    assert run(["models", "remove", "vocals-permissive"]) == 0
    assert "kim-mel-vocals removed, 2 MB freed" in capsys.readouterr().out
    assert not arrived.exists()
    assert run(["models", "remove", "kim-mel-vocals"]) == 2


def test_a_model_that_was_taken_in_is_listed_with_its_stems(capsys: pytest.CaptureFixture[str]) -> None:
    install("mine", "scnet", ("harp", "rest"))
    for asked, is_in in (
        ([], True),
        (["--stem", "harp"], True),
        (["--stem", "vocals"], False),
        (["--use", "four"], False),
    ):
        assert run(["models", "list", *asked, "--json"]) == 0
        listed = {model["name"]: model for model in json.loads(capsys.readouterr().out)["models"]}
        assert ("mine" in listed) == is_in
    assert run(["models", "list", "--here"]) == 0
    assert "harp, rest  scnet" in capsys.readouterr().out
    assert run(["models", "list", "--use", "four"]) == 0
    assert "becruily-deux" in capsys.readouterr().out  # nothing is cut off where there is no terminal

"""Cards of public models: what is known of them, and what was measured."""

import tomllib
from pathlib import Path

import pytest

from stemwright import errors
from stemwright.zoo import installed, published


def test_cards_of_one_size_of_net_tell_what_was_measured_of_it() -> None:
    kim, same, other = (published.published(name).measured for name in ("kim-mel-vocals", "becruily-inst", "duality-2"))
    assert kim == same != other == published.Measured()
    assert kim.real_time
    assert kim.memory_mb
    one, bag = (published.published(name).measured.real_time for name in ("htdemucs", "htdemucs-ft"))
    assert one
    assert bag == pytest.approx(one / 4, rel=0.1)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("kim-mel-vocls", "Is it kim-mel-vocals or"),
        ("Kim-Mel-Vocals", "Is it kim-mel-vocals?"),
        ("vocal", "Is it vocals or vocals-permissive or"),
        ("zebra", "no model 'zebra'. `stemwright models list`"),
        ("x" * 5000, "`stemwright models list`"),
    ],
)
def test_a_misspelt_model_is_told_with_what_may_be_meant(asked: str, told: str, models: Path) -> None:
    with pytest.raises(errors.UnknownModel) as raised:
        published.members(asked)
    assert told in str(raised.value)


def test_a_file_that_is_given_as_a_model_is_to_be_taken_in(tmp_path: Path) -> None:
    (tmp_path / "net.ckpt").write_bytes(b"0")
    with pytest.raises(errors.NotTakenIn, match=r"Take it in: stemwright models add .*net\.ckpt"):
        published.members(str(tmp_path / "net.ckpt"))


def test_a_bag_of_which_a_part_is_missing_is_pulled_by_its_own_name(models: Path) -> None:
    facts = 'architecture = "htdemucs"\nweights = "w"\nsha256 = "0"\nstems = ["drums"]\n'
    (models / "htdemucs-ft-bass").mkdir(parents=True)
    (models / "htdemucs-ft-bass" / "card.toml").write_text(facts)
    assert installed.names() == ["htdemucs-ft-bass"]
    with pytest.raises(errors.NotPulled, match=r"htdemucs-ft is not .* 252 MB .* models pull htdemucs-ft --yes"):
        published.members("htdemucs-ft")


def test_what_an_interrupted_removal_left_goes_with_the_next(models: Path) -> None:
    for folder in ("m", ".removing-m"):
        (models / folder).mkdir(parents=True)
        (models / folder / "card.toml").write_text("x = 1")
    assert installed.names() == ["m"]
    assert installed.remove("m") == 5
    assert not list(models.iterdir())


@pytest.mark.parametrize("text", ["a\x7fb", "a\ud800b", 'é😀\x1b\x00\\"'])
def test_a_card_can_hold_whatever_a_file_calls_its_parts(text: str) -> None:
    held = tomllib.loads(installed.toml({"left_out": [text], "sizes": {"a": text}}))
    assert held["left_out"] == [held["sizes"]["a"]] == [text.replace("\ud800", "?")]

"""Outputs as gains of stems: what people ask for, and the fewest sums it can be mixed from."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwright.errors import BadMix, BadOption, NothingChosen, NothingLeft, SameNameTwice, UnknownStem
from stemwright.zoo.choice import LEFT_OVER, parts
from stemwright.zoo.wanted import Wanted, outputs

OWN = ("vocals", "backing_vocals", "drums", "bass", "guitar", "synth")


def made(**wanted: object) -> dict[str, set[str]]:
    return {name: set(gains) for name, gains in outputs(OWN, "six", Wanted(**wanted)).items()}  # type: ignore[typeddict-item]


def test_all_stems_are_wanted_by_default() -> None:
    assert list(made()) == list(OWN)


def test_all_but_some_and_their_sum() -> None:
    found = made(without=["vocals"])
    assert list(found) == [*OWN[1:], "no_vocals"]
    assert found["no_vocals"] == set(OWN) - {"vocals"}
    assert list(made(without=["vocals", "backing_vocals"]))[-1] == "no_vocals_backing_vocals"


def test_a_group_takes_the_place_of_its_members() -> None:
    assert list(made(groups={"band": ["guitar", "synth"]})) == ["vocals", "backing_vocals", "drums", "bass", "band"]
    assert list(made(groups={"band": ["guitar", "synth"]}, stems=["guitar"])) == ["guitar", "band"]
    assert made(groups={"vocals": ["vocals", "backing_vocals"]})["vocals"] == {"vocals", "backing_vocals"}


def test_no_single_stems_where_a_group_is_enough() -> None:
    assert made(stems=[], groups={"rhythm": ["drums", "bass"]}) == {"rhythm": {"drums", "bass"}}
    assert made(stems=["drums"], groups={"g": ["guitar"]}, rest="rest")["rest"] == {
        "vocals", "backing_vocals", "bass", "synth",
    }  # fmt: skip


def test_a_mix_has_gains_and_a_star_for_the_others() -> None:
    wanted = Wanted(stems=[], mixes={"practice": {"vocals": -20.0, "bass": -inf, "*": 0.0}, "two": {"drums": 6.0}})
    found = outputs(OWN, "six", wanted)
    assert found["practice"] == pytest.approx({"vocals": 0.1, "backing_vocals": 1, "drums": 1, "guitar": 1, "synth": 1})
    assert found["two"] == pytest.approx({"drums": 1.9953}, abs=1e-4)


def test_a_mix_can_be_made_of_groups() -> None:
    wanted = Wanted(stems=[], groups={"band": ["guitar", "synth"]}, mixes={"m": {"band": -20.0, "drums": 0.0}})
    assert outputs(OWN, "six", wanted)["m"] == pytest.approx({"guitar": 0.1, "synth": 0.1, "drums": 1})


def test_one_name_is_a_name_and_names_may_come_once() -> None:
    assert list(made(stems="drums", without="vocals", groups={"low": "bass"})) == ["drums", "low", "no_vocals"]
    assert list(made(without=iter(["vocals", "bass"]), stems=iter(["drums"]))) == ["drums", "no_vocals_bass"]


@pytest.mark.parametrize(
    ("stem", "near"),
    [
        ("voclas", "vocals"),
        ("Drums", "drums"),
        ("Backing Vocals", "backing_vocals"),
        ("gitar", "guitar"),
        ("base", "bass"),
    ],
)
def test_a_misspelt_stem_is_told_the_nearest(stem: str, near: str) -> None:
    with pytest.raises(UnknownStem, match=f"no stem '{stem}' in the model six. Is it {near}. Choose from: vocals"):
        made(without=[stem], groups={"low": ["bass"]})


def test_none_is_as_good_as_left_out() -> None:
    assert made(stems=["drums"], without=None, rest=None, groups=None, mixes=None, two=None) == made(stems=["drums"])


def test_what_nobody_can_want_is_not_passed_over() -> None:
    with pytest.raises(TypeError, match="no option 'stem'; there are stems, without"):
        made(stem=["drums"])


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        ({"groups": {"band": ["guitar", "theremin"]}}, UnknownStem, "no stem 'theremin' in the model six"),
        ({"without": ["vocal"]}, UnknownStem, "Choose from: vocals, backing_vocals"),
        ({"mixes": {"m": {"x": 0.0}}}, UnknownStem, "no stem 'x'"),
        ({"groups": {"drums": ["bass"]}}, SameNameTwice, "called 'drums'"),
        ({"rest": "vocals", "stems": ["vocals"]}, SameNameTwice, "called 'vocals'"),
        ({"rest": "karaoke"}, NothingLeft, "left for 'karaoke'"),
        ({"stems": []}, NothingChosen, "No stem, group or mix is left"),
        ({"without": OWN}, NothingChosen, "No stem, group or mix is left"),
        ({"mixes": {"m": {"drums": float("nan")}}}, BadMix, "nan dB is not a gain"),
        ({"mixes": {"m": {"drums": 90.0}}}, BadMix, "90.0 dB is not a gain"),
        ({"mixes": {"m": {"drums": -inf}}}, BadMix, "nothing to hear in it"),
        ({"mixes": {"m": {"drums": "-6"}}}, BadMix, "'-6' dB is not a gain"),
        ({"mixes": {"m": "drums"}}, BadOption, "mixes 'drums' cannot be understood"),
        ({"groups": ["low"]}, BadOption, "it is no mapping by names"),
        ({"groups": {"low": None}}, BadOption, "it is neither a name nor a list of names"),
        ({"stems": 5}, BadOption, "stems 5 cannot be understood"),
        ({"stems": ["bass"], "rest": ""}, BadOption, "the output '' cannot be understood"),
        ({"groups": {3: ["bass"]}}, BadOption, "the output 3 cannot be understood"),
        ({"mixes": {" ": {"drums": 0.0}}}, BadOption, "the output ' ' cannot be understood"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(wanted: dict, error: type, words: str) -> None:
    with pytest.raises(error, match=words) as raised:
        outputs(OWN, "six", wanted)  # type: ignore[arg-type]
    assert "--" not in str(raised.value)  # the library's user has no options of a command


def test_stems_that_are_never_heard_apart_are_never_made_apart() -> None:
    groups, gains = parts(OWN, outputs(OWN, "six", Wanted(stems=[], without=["vocals"])))
    assert (groups, gains) == ({"+".join(OWN[1:]): OWN[1:], LEFT_OVER: ("vocals",)}, None)
    groups, gains = parts(OWN, outputs(OWN, "six", Wanted(two=True)))
    assert (list(groups), gains) == (["vocals+backing_vocals", "drums+bass+guitar+synth"], None)
    groups, gains = parts(OWN, outputs(OWN, "six", Wanted(stems=["bass"])))
    assert groups == {"bass": ("bass",), LEFT_OVER: ("vocals", "backing_vocals", "drums", "guitar", "synth")}


@given(
    st.lists(st.sampled_from(OWN), unique=True),
    st.dictionaries(st.sampled_from("xyz"), st.dictionaries(st.sampled_from(OWN), st.floats(-40, 12), min_size=1)),
)
def test_the_parts_mixed_are_the_outputs(stems: list[str], mixes: dict[str, dict[str, float]]) -> None:
    if not stems and not mixes:
        return
    wanted = outputs(OWN, "six", Wanted(stems=stems, mixes=mixes))
    sound = np.random.default_rng(0).standard_normal((len(OWN), 50))
    groups, gains = parts(OWN, wanted)
    sums = np.array([sum(sound[OWN.index(name)] for name in members) for members in groups.values()])
    found = sums[: len(wanted)] if gains is None else gains @ sums[: gains.shape[1]]
    for row, heard in zip(found, wanted.values(), strict=True):
        np.testing.assert_allclose(row, sum(sound[OWN.index(n)] * gain for n, gain in heard.items()), atol=1e-5)

"""What files of stems are called, as people call them."""

import pytest

from stemwright.errors import BadOption, UnknownReference
from stemwright.train.measuring.titles import of_model, parsed, told


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("BassDrums30", "drums+bass"),
        ("PianoSynth30", "keyboard+synth"),
        ("Bass Guitar", "bass"),
        ("02 Lead Guitar (DI)", "guitar"),
        ("LEAD VOX", "vocals"),
        ("Backing_Vocals 2", "backing_vocals"),
        ("BGVs", "backing_vocals"),
        ("Backing Track", "accompaniment"),
        ("no_vocals", "accompaniment"),
        ("Hi-Hat", "drums"),
        ("Tenor Sax", "woodwinds"),
    ],
)
def test_a_title_tells_its_stem(title: str, name: str) -> None:
    assert told([title])[title].name == name


def test_what_nobody_claims_goes_to_other_or_to_the_nearest_kin() -> None:
    found = told(["vocals", "drums", "perc", "other"])
    assert found["vocals"].stems == ("vocals", "backing_vocals")
    assert found["drums"].stems == ("drums",)
    assert found["other"].stems == ("bass", "guitar", "keyboard", "strings", "brass", "woodwinds", "synth", "fx")


def test_files_that_overlap_are_told_together() -> None:
    found = told(["Kick", "BassDrums", "vocals", "instrumental"])
    assert {found["Kick"].name, found["BassDrums"].name} == {"drums+bass"}
    assert "instrumental" not in found


def test_what_tells_nothing_asks_for_a_mapping() -> None:
    with pytest.raises(UnknownReference, match="Take 3"):
        told(["Take 3"])
    assert told(["Take 3"], {"Take 3": "guitar+bass"})["Take 3"].name == "bass+guitar"


@pytest.mark.parametrize("entry", ["Take 3", "Take 3=", "=drums", "Take 3=drums+basss"])
def test_a_mapping_that_makes_no_sense_is_refused(entry: str) -> None:
    with pytest.raises(BadOption, match="--stem"):
        parsed(entry)


def test_a_mapping_by_a_file_with_its_ending() -> None:
    assert parsed("Mix=down.WAV=drums+other") == ("Mix=down", "drums+other")


def test_the_stems_of_public_models() -> None:
    assert of_model(["vocals", "instrumental"])["vocals"] == ("vocals", "backing_vocals")
    assert of_model(["drums", "bass", "other", "vocals", "guitar", "piano"])["other"] == (
        "strings", "brass", "woodwinds", "synth", "fx",
    )  # fmt: skip
    assert of_model(["similarity", "dry"]) == {"similarity": (), "dry": ()}

"""`make train-system` installs whatever the synthesizer plays and whoever speaks for it."""

from pathlib import Path

from stemwright import train
from stemwright.train.instruments import sources
from stemwright.train.singing import speakers

LISTED = set((Path(train.__file__).parent / "packages.txt").read_text().split())


def test_every_bank_of_sounds_is_installed() -> None:
    assert {source.package for source in sources.SOURCES} <= LISTED


def test_every_speaker_is_installed() -> None:
    assert {package for speaker in speakers.every_speaker() for package in speaker.package.split()} <= LISTED

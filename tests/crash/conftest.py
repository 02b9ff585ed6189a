"""A receiver, and whole services on either deployment."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crash.house import House, Receiver, receiver
from tests.servers import Deployment

# What has nothing to do with where things are kept is tried on one deployment.
ALONE = pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
FLEET = pytest.mark.parametrize("deployment", ["postgresql"], indirect=True)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


@contextmanager
def opened(hook: Receiver, deployment: Deployment, folder: Path, **given: object) -> Iterator[House]:
    """A running service with nothing in it."""
    with deployment.new(folder / "data") as places:
        house = House(places, hook, **given)  # type: ignore[arg-type]
        try:
            house.open()
            yield house
        finally:
            house.close()

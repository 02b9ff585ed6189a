"""One service for most tests, and others with settings of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.server.http.house import Caller, House, running
from tests.servers import Deployment

Serve = Callable[..., House]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, deployment: Deployment) -> Iterator[House]:
    """The service with the settings of a first start, its creates unlimited."""
    with deployment.new(tmp_path_factory.mktemp("house")) as places, running(**places) as house:
        yield house


@pytest.fixture
def serve(tmp_path: Path, deployment: Deployment) -> Iterator[Serve]:
    """Starts another service with the settings given."""
    with ExitStack() as stack:

        def start(**settings: Any) -> House:
            places = stack.enter_context(deployment.new(tmp_path / f"house{len(list(tmp_path.iterdir()))}"))
            return stack.enter_context(running(**places | settings))

        yield start


@pytest.fixture
def caller(house: House) -> Caller:
    return house.caller()


@pytest.fixture(params=["apikley", "sunoapi"])
def dialect(request: pytest.FixtureRequest) -> str:
    return request.param

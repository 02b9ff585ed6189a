"""One service for most tests, and others with settings of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from stemwright.server import opening
from stemwright.server.settings import Settings
from tests.server.http.house import Caller, House, running

Serve = Callable[..., House]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the schema in it, made once."""
    folder = tmp_path_factory.mktemp("template")
    database = opening.open_database(Settings(data=folder))
    with database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    database.dispose()
    return folder / "stemwright.db"


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[House]:
    """The service with the settings of a first start, its creates unlimited."""
    with running(tmp_path_factory.mktemp("house"), template) as house:
        yield house


@pytest.fixture
def serve(tmp_path: Path, template: Path) -> Iterator[Serve]:
    """Starts another service with the settings given."""
    with ExitStack() as stack:

        def start(**settings: Any) -> House:
            return stack.enter_context(
                running(tmp_path / f"house{len(list(tmp_path.iterdir()))}", template, **settings)
            )

        yield start


@pytest.fixture
def caller(house: House) -> Caller:
    return house.caller()


@pytest.fixture(params=["apikley", "sunoapi"])
def dialect(request: pytest.FixtureRequest) -> str:
    return request.param

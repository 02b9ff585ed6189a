"""What the contract's own tests need: to run last, and to know whether all of the wire's tests ran before."""

from pathlib import Path

import pytest

WIRE = Path(__file__).parents[1] / "server" / "http"


def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """What counts the others goes last."""
    items.sort(key=lambda item: item.path.name == "test_reached.py")


@pytest.fixture
def whole_suite(request: pytest.FixtureRequest) -> None:
    """Skips unless every test file of the wire is in this session."""
    collected = {item.path for item in request.session.items}
    if missing := sorted(path.name for path in WIRE.glob("test_*.py") if path not in collected):
        pytest.skip(f"counts only when these run too: {', '.join(missing)}")

"""The service under schemathesis: whatever is sent, the answers are those of the contract, and none is a fault of ours.

`bench/contract.py` asks for longer, and in sequences of calls.
"""

import pytest

from tests.contract.explorer import explore
from tests.server.http.house import running
from tests.servers import Deployment


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deployment", "dialect"), [("sqlite", "apikley"), ("postgresql", "sunoapi")], indirect=["deployment"]
)
def test_every_answer_is_promised(deployment: Deployment, tmp_path, dialect: str) -> None:
    with deployment.new(tmp_path) as places, running(**places) as house:
        found = explore(house, dialect=dialect, examples=2, phases=("examples", "coverage", "fuzzing"))
    assert found.complaint == ""
    assert found.statuses.total() > 500
    assert max(found.statuses) < 500

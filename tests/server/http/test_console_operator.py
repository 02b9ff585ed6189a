"""The console's page for operators, and its files."""

from pathlib import Path
from typing import Any

import pytest

from stemwright.server import fleet, keys
from stemwright.server.clock import now_ms
from stemwright.server.http.routes import console
from tests.server.http.house import Client, House

ROOT = "/console/api/operator"


@pytest.fixture
def operator(house: House) -> Client:
    return house.caller(scopes=("api", "admin")).signed_in()


def test_the_house_as_it_is(serve) -> None:
    house = serve()
    caller = house.caller(scopes=("api", "admin"))
    waiting, running = caller.created(), caller.created()
    house.execute(f"UPDATE tasks SET created = created - 60000 WHERE id = '{waiting}'")
    with house.database.transaction() as tx:
        worker = fleet.register(tx, version="1", device="cpu", model="twelve", now=now_ms())
    house.execute(f"UPDATE tasks SET state = 'separating', worker = '{worker}' WHERE id = '{running}'")
    told = caller.signed_in().get(ROOT).json()["data"]
    assert (told["queue"]["waiting"], told["queue"]["running"]) == (1, 1)
    assert 59 <= told["queue"]["oldestSeconds"] <= 90
    assert [(each["device"], each["tasks"], each["draining"]) for each in told["workers"]] == [("cpu", 1, False)]
    assert told["models"][0]["name"] == "twelve"
    assert told["models"][0]["bytes"] > 1_000_000


def test_accounts_by_name_with_their_balance(serve) -> None:
    house = serve()
    operator = house.caller(scopes=("api", "admin")).signed_in()
    for number in range(55):
        answer = operator.post(f"{ROOT}/accounts", json={"name": f"studio {number:02}", "credits": number})
        assert answer.status_code == 200
    first = operator.get(f"{ROOT}/accounts", params={"text": "STUDIO"}).json()["data"]
    second = operator.get(f"{ROOT}/accounts", params={"text": "studio", "after": first["next"]}).json()["data"]
    told = [(each["name"], each["balance"], each["keys"]) for page in (first, second) for each in page["accounts"]]
    assert told == [(f"studio {number:02}", number, 1) for number in range(55)]


def test_keys_that_have_expired_are_none_and_those_that_end_later_are(house: House, operator: Client) -> None:
    account = house.caller().account
    with house.database.transaction() as tx:
        keys.create(tx, account.id, expires=now_ms() - 1, now=now_ms())
        keys.rotate(tx, keys.create(tx, account.id, now=now_ms())[0].id, overlap_ms=60_000, now=now_ms())
    (told,) = operator.get(f"{ROOT}/accounts", params={"text": account.name}).json()["data"]["accounts"]
    assert told["keys"] == 3


def test_a_new_accounts_key_works(house: House, operator: Client) -> None:
    made = operator.post(f"{ROOT}/accounts", json={"name": "Lena's karaoke", "credits": 7}).json()["data"]
    answer = house.anonymous().get("/api/v1/generate/credit", headers={"X-API-Key": made["secret"]})
    assert answer.json()["data"] == 7
    assert operator.post(f"{ROOT}/accounts", json={"name": "Lena's karaoke"}).status_code == 409
    for name in ("a/b", "\u200b\u202e"):
        refused = operator.post(f"{ROOT}/accounts", json={"name": name})
        assert (refused.status_code, refused.json()["msg"][:32]) == (422, "name: must be one that can be re")


def test_grants_and_what_they_cannot_do(house: House, operator: Client) -> None:
    other = house.caller(balance=10)
    ask = lambda **fields: operator.post(f"{ROOT}/grants", json={"accountId": other.account.id, **fields})  # noqa: E731
    assert ask(amount=5, reason="thanks").json()["data"] == {"balance": 15}
    assert ask(amount=-15).json()["data"] == {"balance": 0}
    assert ask(amount=-1).status_code == 402
    assert ask(amount=0).status_code == 422
    assert ask(accountId="nobody", amount=1).status_code == 404
    entries = other.signed_in().get("/console/api/ledger").json()["data"]["entries"]
    assert [entry["reason"] for entry in entries][1] == "thanks"


def test_a_grant_is_made_once_however_often_the_same_is_asked_for(house: House, operator: Client) -> None:
    other = house.caller(balance=10)
    mine = operator.get("/console/api/session").json()["data"]["account"]["id"]

    def ask(amount: int) -> Any:
        fields = {"accountId": other.account.id, "amount": amount}
        return operator.post(f"{ROOT}/grants", json=fields, headers={"Idempotency-Key": "a wish"})

    with house.api.running.hold(mine, "a wish"):
        assert ask(5).status_code == 409
    assert ask(5).json() == ask(5).json()
    assert other.balance() == 15
    assert ask(6).status_code == 422


def test_the_door_closes_and_opens(serve) -> None:
    house = serve()
    operator = house.caller(scopes=("api", "admin")).signed_in()
    assert operator.post(f"{ROOT}/maintenance", json={"on": True}).json()["data"]["maintenanceSince"]
    assert house.caller().create().status_code == 503
    assert operator.post(f"{ROOT}/maintenance", json={"on": False}).json()["data"]["maintenanceSince"] is None
    assert house.caller().create().status_code == 200


# ---- its files -------------------------------------------------------------------------------------------------------


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build with nothing in it but what the test writes."""
    monkeypatch.setattr(console, "_folder", lambda: tmp_path)
    return tmp_path


def test_without_a_build_the_page_says_how_to_make_one(house: House, built: Path) -> None:
    answer = house.anonymous().get("/")
    assert "make console" in answer.text
    assert 'href="/docs"' in answer.text
    assert house.anonymous().get("/console/tasks").text == answer.text


def test_pages_run_what_is_ours_alone(house: House, built: Path) -> None:
    (built / "index.html").write_text("<html>console</html>")
    for path in ("/", "/console", "/console/tasks", "/console/task/abc", "/console/index.html"):
        answer = house.anonymous().get(path)
        assert answer.text == "<html>console</html>"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-cache"


def test_files_are_zipped_and_kept(house: House, built: Path) -> None:
    (built / "assets").mkdir()
    (built / "assets" / "a-1.js").write_text("x = 1;\n" * 1000)
    answer = house.anonymous().get("/console/assets/a-1.js")
    assert (answer.headers["Content-Encoding"], answer.text) == ("gzip", "x = 1;\n" * 1000)
    assert "immutable" in answer.headers["Cache-Control"]
    plain = house.anonymous().get("/console/assets/a-1.js", headers={"Accept-Encoding": "identity"})
    assert (plain.headers.get("Content-Encoding"), plain.content) == (None, answer.content)


def test_the_player_is_for_everybodys_pages(house: House, built: Path) -> None:
    (built / "stem-player.js").write_text("1")
    assert house.anonymous().get("/console/stem-player.js").headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["nothing.js", "..%2f..%2fcookies.py", ".secret.js", "assets/%2e%2e/index.html"])
def test_there_is_nothing_else(house: House, built: Path, path: str) -> None:
    (built / ".secret.js").write_text("x")
    assert house.anonymous().get(f"/console/{path}").status_code == 404


def test_the_contract_of_the_console_is_served(house: House) -> None:
    assert "/console/api/tasks" in house.anonymous().get("/console/api/openapi.json").json()["paths"]

"""The console's keys, ledger, usage and callbacks."""

import csv
import hashlib
import hmac
import io
import json
import shutil
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest

from stemwright.server import callbacks, credits, keys
from stemwright.server.clock import now_ms
from tests.server.http import sources
from tests.server.http.house import DAY_MS, Caller, Client, House
from tests.server.http.sources import source

ROOT = "/console/api"
VERIFY = Path(__file__).parents[3] / "console" / "src" / "verify"


@pytest.fixture
def browser(caller: Caller) -> Client:
    return caller.signed_in()


# ---- keys ------------------------------------------------------------------------------------------------------------


def test_a_new_key_works_and_is_shown_once(house: House, browser: Client) -> None:
    expires = now_ms() + DAY_MS
    asked = {"name": "karaoke bot", "dialect": "sunoapi", "expireTime": expires}
    made = browser.post(f"{ROOT}/keys", json=asked).json()["data"]
    answer = house.anonymous().get("/api/v1/generate/credit", headers={"X-API-Key": made["secret"]})
    assert answer.json()["data"] == 100
    listed = browser.get(f"{ROOT}/keys")
    assert made["secret"] not in listed.text
    first = listed.json()["data"]["keys"][0]
    assert (first["name"], first["dialect"], first["expireTime"], first["state"]) == (*asked.values(), "valid")


def test_a_new_key_is_bound_to_networks_and_a_rotated_one_to_others(house: House, browser: Client) -> None:
    for networks, code in (("10.0.0.0/8", 401), ("127.0.0.0/8, ::1", 200)):
        made = browser.post(f"{ROOT}/keys", json={"networks": networks}).json()["data"]
        answer = house.anonymous().get("/api/v1/generate/credit", headers={"X-API-Key": made["secret"]})
        assert answer.json()["code"] == code
        turned = browser.post(f"{ROOT}/keys/{made['key']['keyId']}/rotate", json={"networks": "192.0.2.7"}).json()
        answer = house.anonymous().get("/api/v1/generate/credit", headers={"X-API-Key": turned["data"]["secret"]})
        assert (turned["data"]["key"]["networks"], answer.json()["code"]) == ("192.0.2.7/32", 401)
    assert browser.post(f"{ROOT}/keys", json={"networks": "home"}).status_code == 422


def test_keys_with_a_past_or_too_much_power_are_refused(browser: Client) -> None:
    assert browser.post(f"{ROOT}/keys", json={"expireTime": 1}).status_code == 422
    assert browser.post(f"{ROOT}/keys", json={"admin": True}).status_code == 403


def test_a_bound_key_makes_none_that_is_freer(house: House, caller: Caller) -> None:
    """Or its time and its networks would bind only those who do not know of this page."""
    until, bound = now_ms() + DAY_MS, house.caller()
    house.execute(f"UPDATE keys SET expires = {until}, networks = '127.0.0.0/8' WHERE id = '{bound.key_id}'")
    browser = bound.signed_in()
    made = browser.post(f"{ROOT}/keys", json={}).json()["data"]["key"]
    assert (made["expireTime"], made["networks"]) == (until, "127.0.0.0/8")
    narrow = {"expireTime": until - 1, "networks": "127.0.0.0/16,127.1.0.1"}
    assert browser.post(f"{ROOT}/keys", json=narrow).status_code == 200
    with house.database.transaction() as tx:
        free, _ = keys.create(tx, bound.account.id, now=now_ms())
    for path in ("", f"/{made['keyId']}/rotate"):
        for freer in (
            {"expireTime": until + 1},
            {"networks": "127.0.0.1,10.0.0.0/8"},
            {"networks": "::1"},
            {"networks": ""},
        ):
            assert browser.post(f"{ROOT}/keys{path}", json=freer).status_code in (200, 422)
            assert all(
                key["expireTime"] <= until and key["networks"] for key in listed(browser) if key["keyId"] != free.id
            )
    assert browser.post(f"{ROOT}/keys/{free.id}/rotate", json={}).status_code == 422
    with house.database.read() as tx:
        assert keys.get(tx, free.id).revoked is None


def listed(browser: Client) -> list[dict]:
    return browser.get(f"{ROOT}/keys").json()["data"]["keys"]


@pytest.mark.parametrize("expires", [10**15, 10**30, -1])
def test_a_time_beyond_every_calendar_is_refused(browser: Client, expires: int) -> None:
    assert browser.post(f"{ROOT}/keys", json={"expireTime": expires}).status_code == 422
    offset = "0" * 30 + str(abs(expires))
    assert browser.get(f"{ROOT}/usage", params={"offsetMinutes": offset}).status_code == 422


def test_rotating_leaves_the_old_key_its_time(house: House, caller: Caller, browser: Client) -> None:
    url = f"{ROOT}/keys/{caller.key_id}/rotate"
    made = browser.post(url, json={"overlapHours": 1}).json()["data"]
    assert caller.balance() == 100
    states = {key["keyId"]: key["state"] for key in browser.get(f"{ROOT}/keys").json()["data"]["keys"]}
    assert states == {caller.key_id: "ending", made["key"]["keyId"]: "valid"}


def test_revoking_the_key_of_a_session_ends_both(house: House, caller: Caller, browser: Client) -> None:
    assert browser.delete(f"{ROOT}/keys/{caller.key_id}").status_code == 200
    assert browser.get(f"{ROOT}/keys").status_code == 401


# ---- credits ---------------------------------------------------------------------------------------------------------


def test_the_ledger_page_by_page(house: House, caller: Caller, browser: Client) -> None:
    with house.database.transaction() as tx:
        for number in range(60):
            credits.grant(tx, caller.account.id, 1, reason=f"number {number}", now=now_ms())
    first = browser.get(f"{ROOT}/ledger").json()["data"]
    second = browser.get(f"{ROOT}/ledger", params={"before": first["next"]}).json()["data"]
    sequences = [entry["sequence"] for page in (first, second) for entry in page["entries"]]
    assert (first["balance"], sequences, second["next"]) == (160, [*range(61, 0, -1)], None)


def test_the_ledger_as_a_table(house: House, caller: Caller, browser: Client) -> None:
    house.fail(caller.created(type="split_stem"), "input")
    rows = list(csv.DictReader(io.StringIO(browser.get(f"{ROOT}/ledger.csv").text.removeprefix("\ufeff"))))
    assert [(row["kind"], row["amount"], row["song"]) for row in rows] == [
        ("grant", "100", ""),
        ("charge", "-5", "song"),
        ("refund", "5", "song"),
    ]


def test_no_cell_begins_like_a_formula(house: House, caller: Caller, browser: Client) -> None:
    caller.created()
    house.execute(f"UPDATE tracks SET title = '=HYPERLINK(1)' WHERE account_id = '{caller.account.id}'")
    assert ",'=HYPERLINK(1)," in browser.get(f"{ROOT}/ledger.csv").text


def test_usage_by_day_and_key_where_the_reader_is(house: House, caller: Caller, browser: Client) -> None:
    day = 1_795_000_000_000 // DAY_MS
    house.api.clock, clock = (lambda: day * DAY_MS + DAY_MS // 2), house.api.clock
    try:
        late, early, failed = (caller.created(type="split_stem") for _ in range(3))
        house.fail(failed, "input")
        house.finish(late)
        house.execute(f"UPDATE tasks SET created = {day * DAY_MS - 1000} WHERE id = '{early}'")
        expected = {0: [(1, 5), (2, 5)], 60: [(3, 10)]}  # an hour east, the first falls on the same day
        for offset, told in expected.items():
            usage = browser.get(f"{ROOT}/usage", params={"days": 7, "offsetMinutes": offset}).json()["data"]
            assert [(each["tasks"], each["credits"]) for each in usage["days"]] == told
        assert {each["keyId"] for each in usage["days"]} == {caller.key_id}
        assert len(browser.get(f"{ROOT}/usage.csv").text.splitlines()) == 3
    finally:
        house.api.clock = clock


# ---- callbacks -------------------------------------------------------------------------------------------------------


def test_a_new_secret_signs_from_then_on(caller: Caller, browser: Client) -> None:
    old = browser.get(f"{ROOT}/secret").json()["data"]["secret"]
    new = browser.post(f"{ROOT}/secret").json()["data"]["secret"]
    assert old == caller.account.webhook_secret != new
    assert browser.get(f"{ROOT}/secret").json()["data"]["secret"] == new


def test_a_test_delivery_arrives_signed_like_a_real_one(browser: Client, caller: Caller) -> None:
    with source(sources.gives(b"{}", status=204)) as receiver:
        told = browser.post(f"{ROOT}/callbacks/test", json={"url": f"{receiver.url}/hook"}).json()["data"]
        headers, body = receiver.asked[0][2], receiver.asked[0][3]
    assert (told["status"], told["delivered"], told["body"]) == (204, True, body.decode())
    key = b64decode(caller.account.webhook_secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert json.loads(body)["data"]["vocal_removal_info"]["vocal_url"].endswith("_Vocals.mp3")


@pytest.mark.parametrize(("url", "problem"), [("ftp://x", "url"), ("", "url"), ("nonsense", "url")])
def test_where_no_test_can_go(browser: Client, url: str, problem: str) -> None:
    answer = browser.post(f"{ROOT}/callbacks/test", json={"url": url})
    assert (answer.status_code, answer.json()["msg"].partition(":")[0]) == (422, problem)


def test_a_test_reaches_no_private_address(serve) -> None:
    browser = serve(allow_networks=()).caller().signed_in()
    told = browser.post(f"{ROOT}/callbacks/test", json={"url": "http://127.0.0.1:1/"}).json()["data"]
    assert (told["status"], told["delivered"]) == (None, False)
    assert told["error"]


def test_deliveries_page_by_page(house: House, caller: Caller, browser: Client) -> None:
    made = [caller.created(callBackUrl="https://example.com/cb") for _ in range(52)]
    caller.created()
    for task_id in made:
        house.fail(task_id, "input")
    first = browser.get(f"{ROOT}/callbacks").json()["data"]
    second = browser.get(f"{ROOT}/callbacks", params={"after": first["next"]}).json()["data"]
    seen = [each["taskId"] for page in (first, second) for each in page["callbacks"]]
    assert (sorted(seen), len(first["callbacks"]), second["next"]) == (sorted(made), 50, None)


# ---- the code that the page shows ------------------------------------------------------------------------------------

PYTHON = """
import json, sys
exec(open(sys.argv[1]).read())
told = json.load(sys.stdin)
print(is_genuine(told["headers"], told["body"].encode(), told["secret"]))
"""
NODE = """
import { readFileSync } from "node:fs";
const { isGenuine } = await import(process.argv[2]);
const told = JSON.parse(readFileSync(0));
console.log(isGenuine(told.headers, Buffer.from(told.body), told.secret));
"""
JAVA = """
class Try { public static void main(String[] told) throws Exception {
  var headers = java.util.Map.of("webhook-id", told[0], "webhook-timestamp", told[1], "webhook-signature", told[2]);
  System.out.println(Verify.isGenuine(headers, told[3].getBytes("UTF-8"), told[4]));
} }
"""


def verdict(language: str, told: dict[str, Any], folder: Path) -> bool:
    """What the shown code says of a callback."""
    program = {"python": "python3", "javascript": "node", "java": "java"}[language]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not on this machine")
    if language == "java":
        signed = [told["headers"][name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")]
        file = folder / "Try.java"  # one file, its first class runs
        shown = (VERIFY / "Verify.java").read_text()
        imports = "\n".join(line for line in shown.splitlines() if line.startswith("import "))
        file.write_text(imports + JAVA + shown.replace(imports, ""))
        command = ["java", str(file), *signed, told["body"], told["secret"]]
    elif language == "javascript":
        (folder / "try.mjs").write_text(NODE)
        command = ["node", str(folder / "try.mjs"), str(VERIFY / "verify.mjs")]
    else:
        (folder / "try.py").write_text(PYTHON)
        command = ["python3", str(folder / "try.py"), str(VERIFY / "verify.py")]
    done = subprocess.run(command, input=json.dumps(told), capture_output=True, text=True, check=False)
    if "not found" in done.stderr or "only a JRE" in done.stderr or "jdk.compiler" in done.stderr:
        pytest.skip("this Java runs no source files")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().lower() == "true"


@pytest.mark.parametrize("language", ["python", "javascript", "java"])
def test_the_shown_code_tells_genuine_callbacks_from_others(
    house: House, caller: Caller, tmp_path: Path, language: str
) -> None:
    secret, body, now = caller.account.webhook_secret, json.dumps({"data": {"task_id": "x", "song": "Ä"}}), now_ms()
    headers = callbacks.signed_headers("msg_1", "x", body.encode(), secret=secret, now=now)
    genuine = {"headers": headers, "body": body, "secret": secret}
    rotated = headers | {"webhook-signature": f"v1,{b64encode(bytes(32)).decode()} {headers['webhook-signature']}"}
    old = callbacks.signed_headers("msg_1", "x", body.encode(), secret=secret, now=now - 600_000)
    assert verdict(language, genuine, tmp_path)
    assert verdict(language, genuine | {"headers": rotated}, tmp_path)
    assert not verdict(language, genuine | {"body": body + " "}, tmp_path)
    assert not verdict(language, genuine | {"headers": old}, tmp_path)

"""Outbound HTTP against real servers that misbehave, and addresses that must never be reached."""

import base64
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwright import errors
from stemwright.server import network
from stemwright.server.network import Client, is_public, parse_networks
from tests.server.http import sources
from tests.server.http.sources import SONG, source

LOCAL = parse_networks("127.0.0.0/8")
LIMITS = {"max_bytes": 100_000, "seconds": 10.0}


@pytest.fixture
def client() -> Client:
    return Client(LOCAL)


def fetch(client: Client, url: str, folder: Path, **limits: float) -> network.Fetched:
    return client.get_to_file(url, folder / "got", **{**LIMITS, **limits})  # type: ignore[arg-type]


# ---- which addresses ------------------------------------------------------------------------------------------------

PRIVATE = [
    *(
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "168.63.129.16",
    ),
    *(
        "100.64.0.1",
        "100.127.255.255",
        "192.0.2.1",
        "198.51.100.7",
        "203.0.113.9",
        "198.18.0.1",
        "192.0.0.8",
        "224.0.0.1",
    ),
    *("239.1.1.1", "240.0.0.1", "255.255.255.255", "192.88.99.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1"),
    *("fd12::1", "ff02::1", "2001:db8::1", "3fff::1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001::1"),
    *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "100::1", "5f00::1", "fec0::1", "4000::1"),
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.15.0.1",
    "172.32.0.1",
    "100.63.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "2a00:1450::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_let_through(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_every_ipv6_spelling_of_an_ipv4_address_is_refused(address) -> None:
    assert not is_public(f"::ffff:{address}")
    assert not is_public(f"::ffff:0:{address}")
    assert not is_public(f"64:ff9b::{address}")


@given(st.ip_addresses(network="10.0.0.0/8"))
def test_the_operator_can_open_a_network_and_only_that(address) -> None:
    assert is_public(str(address), parse_networks("10.0.0.0/8"))
    assert not is_public(str(address), parse_networks("192.168.0.0/16,127.0.0.1"))


def test_networks_are_read_from_a_list() -> None:
    assert parse_networks(" 127.0.0.0/8, fd00::/8,") == (ip_network("127.0.0.0/8"), ip_network("fd00::/8"))
    with pytest.raises(ValueError, match="nonsense"):
        parse_networks("nonsense")


NO_ADDRESS = [
    *("ftp://example.com", "file:///etc/passwd", "//example.com", "example.com", "http://", "http:///x", "gopher://x"),
    *("javascript:alert(1)", "http://a b/", "http://exa\nmple.com/", "http://[::1", "data:text/plain,x", ""),
    *("http://x:99999/", "http://0177.0.0.1/", "http://a.b :80/", " http://a.b/"),
]


@pytest.mark.parametrize("url", NO_ADDRESS)
def test_what_is_no_web_address_is_refused(client: Client, url: str, tmp_path: Path) -> None:
    with pytest.raises(errors.BadUrl):
        fetch(client, url, tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"])
def test_no_spelling_of_this_machine_gets_through(host: str, tmp_path: Path) -> None:
    with source(sources.gives()) as there, pytest.raises(errors.BlockedAddress):
        fetch(Client(), there.url.replace("127.0.0.1", host), tmp_path)
    assert there.asked == []


def test_every_answer_of_the_resolver_is_checked(tmp_path: Path) -> None:
    client = Client(LOCAL, resolve=lambda _host, _port: ["10.0.0.1", "169.254.169.254", "127.0.0.1"])
    with source(sources.gives()) as there:
        assert fetch(client, there.url.replace("127.0.0.1", "many.example"), tmp_path).size == len(SONG)
    with pytest.raises(errors.BlockedAddress):
        fetch(Client(resolve=lambda _host, _port: ["10.0.0.1", "::1"]), "http://many.example", tmp_path)


def test_of_many_addresses_only_those_that_may_be_are_connected_to(tmp_path: Path) -> None:
    client = Client(parse_networks("127.0.0.1"), resolve=lambda _host, _port: ["127.0.0.2", "127.0.0.1"])
    with source(sources.gives()) as there, socket.socket() as forbidden:
        port = int(there.url.rpartition(":")[2])
        forbidden.bind(("127.0.0.2", port))
        forbidden.listen()
        forbidden.setblocking(False)
        fetch(client, f"http://many.example:{port}", tmp_path, seconds=2.0)
        with pytest.raises(BlockingIOError):
            forbidden.accept()


def test_a_name_is_resolved_once_and_that_address_is_connected_to(tmp_path: Path) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    client = Client(LOCAL, resolve=lambda _host, _port: next(answers))
    with source(sources.gives()) as there:
        fetch(client, there.url.replace("127.0.0.1", "rebinding.example"), tmp_path)
    assert there.asked[0][2]["host"].startswith("rebinding.example:")
    assert next(answers) == ["10.0.0.1"]


def test_tls_asks_for_the_name_not_the_address(tmp_path: Path) -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def listen() -> None:
            connection, _ = listening.accept()
            with connection:
                heard.append(connection.recv(4096))

        thread = threading.Thread(target=listen)
        thread.start()
        client = Client(LOCAL, resolve=lambda _host, _port: ["127.0.0.1"])
        with pytest.raises(errors.Unreachable):
            fetch(client, f"https://named.example:{listening.getsockname()[1]}/", tmp_path)
        thread.join()
    assert b"named.example" in heard[0]


def test_a_server_without_tls_is_told_apart_from_none(client: Client, tmp_path: Path) -> None:
    with source(sources.gives()) as there, pytest.raises(errors.Unreachable, match="no TLS connection"):
        fetch(client, there.url.replace("http:", "https:"), tmp_path)


def test_certificates_are_checked() -> None:
    assert Client()._tls.verify_mode == ssl.CERT_REQUIRED
    assert Client()._tls.check_hostname


def test_proxies_of_the_environment_are_not_used(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with source(sources.gives()) as there:
        assert fetch(client, there.url, tmp_path).size == len(SONG)


# ---- fetching -------------------------------------------------------------------------------------------------------


def test_a_file_is_fetched_with_its_type_and_name(client: Client, tmp_path: Path) -> None:
    with source(sources.gives()) as there:
        fetched = fetch(client, f"{there.url}/a/my%20song.mp3?x=1#y", tmp_path)
    assert fetched == network.Fetched(len(SONG), "audio/mpeg", "my song.mp3")
    assert (tmp_path / "got").read_bytes() == SONG


def test_the_path_and_query_travel_byte_for_byte(client: Client, tmp_path: Path) -> None:
    wanted = "/a/../b//c;d?secret=a%2Fb%zz&x='|^\"<>{}[]&plus=1+1"
    with source(sources.gives()) as there:
        fetch(client, there.url + wanted, tmp_path)
    assert there.asked[0][1] == wanted


def test_a_space_in_an_address_is_sent_as_browsers_send_it(client: Client, tmp_path: Path) -> None:
    with source(sources.gives()) as there:
        fetched = fetch(client, f"{there.url}/r/1_Lead Vocal.mp3?for=a b", tmp_path)
    assert there.asked[0][1] == "/r/1_Lead%20Vocal.mp3?for=a%20b"
    assert fetched.name == "1_Lead Vocal.mp3"


@pytest.mark.parametrize(("userinfo", "sent"), [("me:s%40cret%3A", b"me:s@cret:"), ("token", b"token:")])
def test_the_name_and_password_in_an_address_are_for_its_host_alone(
    client: Client, tmp_path: Path, userinfo: str, sent: bytes
) -> None:
    with source(sources.gives()) as there, source(sources.redirects(there.url + "/song.mp3")) as start:
        fetch(client, start.url.replace("://", f"://{userinfo}@"), tmp_path)
        client.post_json(there.url.replace("://", f"://{userinfo}@"), b"{}", headers={})
    basic = "Basic " + base64.b64encode(sent).decode()
    assert [asked[2].get("authorization") for asked in start.asked + there.asked] == [basic, None, basic]


HOSTILE = [
    (sources.hangs, errors.FetchTimeout),
    (sources.drips, errors.FetchTimeout),
    (sources.drips_headers, errors.FetchTimeout),
    (sources.pours, errors.FetchTooLarge),
    (sources.announces_ten_gigabytes, errors.FetchTooLarge),
    (sources.redirects("/again"), errors.TooManyRedirects),
    (sources.redirects("http://10.0.0.1/"), errors.BlockedAddress),
    (sources.redirects("http://169.254.169.254/latest/meta-data"), errors.BlockedAddress),
    (sources.redirects("file:///etc/passwd"), errors.BadUrl),
    (sources.redirects("http://["), errors.BadUrl),
    (sources.gives(b"<html>", kind="text/html; charset=utf-8"), errors.FetchedPage),
    (sources.gives(status=404), errors.BadStatus),
    (sources.gives(status=500), errors.BadStatus),
    (sources.breaks_off, errors.FetchCutOff),
    (sources.talks_nonsense, errors.Unreachable),
]


@pytest.mark.parametrize(("misbehave", "error"), HOSTILE, ids=lambda value: getattr(value, "__name__", None))
def test_a_hostile_source_is_given_up_in_time(
    client: Client, tmp_path: Path, misbehave: Callable, error: type[errors.AddressError]
) -> None:
    started = time.monotonic()
    with source(misbehave) as there, pytest.raises(error):
        fetch(client, there.url, tmp_path, seconds=0.4 if error is errors.FetchTimeout else 10)
    assert time.monotonic() - started < 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("misbehave", [sources.hangs, sources.drips])
def test_a_fetch_ends_when_nobody_wants_it_any_more(client: Client, tmp_path: Path, misbehave: Callable) -> None:
    def look() -> None:
        raise LookupError

    with source(misbehave) as there, pytest.raises(LookupError):
        client.get_to_file(there.url, tmp_path / "got", max_bytes=1 << 30, seconds=60, on_wait=look)
    assert list(tmp_path.iterdir()) == []


def test_a_message_never_repeats_what_was_fetched(client: Client, tmp_path: Path) -> None:
    with source(sources.talks_nonsense) as there, pytest.raises(errors.Unreachable) as caught:
        fetch(client, there.url, tmp_path)
    assert str(caught.value) == "The address could not be reached (it does not answer as HTTP does)."


def test_three_redirects_are_followed_with_the_rest_of_the_time(client: Client, tmp_path: Path) -> None:
    with (
        source(sources.gives()) as last,
        source(sources.redirects(last.url)) as third,
        source(sources.redirects(third.url, 307)) as second,
        source(sources.redirects(second.url, 301)) as start,
    ):
        assert fetch(client, start.url, tmp_path).size == len(SONG)


def test_nobody_listens(client: Client, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(errors.Unreachable, match=r"\(no connection\)"):
        fetch(client, f"http://127.0.0.1:{port}/", tmp_path)


def test_what_cannot_be_written_here_is_not_the_addresss_fault(client: Client, tmp_path: Path) -> None:
    with source(sources.gives()) as there, pytest.raises(FileNotFoundError):
        fetch(client, there.url, tmp_path / "nowhere")


def test_a_name_that_does_not_exist(client: Client, tmp_path: Path) -> None:
    def unknown(_host: str, _port: int) -> list[str]:
        raise socket.gaierror

    with pytest.raises(errors.Unreachable, match="no such host"):
        fetch(Client(resolve=unknown), "http://nowhere.example/", tmp_path)


# ---- posting --------------------------------------------------------------------------------------------------------


def test_a_post_carries_its_headers_and_body(client: Client) -> None:
    with source(sources.gives(b'{"status":"received"}')) as there:
        assert client.post_json(there.url + "/cb?token=a%2Fb", b'{"a":1}', headers={"X-Y": "z"}) == 200
    method, path, headers, body = there.asked[0]
    assert (method, path, body) == ("POST", "/cb?token=a%2Fb", b'{"a":1}')
    assert (headers["content-type"], headers["x-y"]) == ("application/json", "z")


def test_a_post_follows_no_redirect(client: Client) -> None:
    with source(sources.gives()) as there, source(sources.redirects(there.url)) as start:
        assert client.post_json(start.url, b"{}", headers={}) == 302
    assert there.asked == []


@pytest.mark.parametrize("misbehave", [sources.pours, sources.gives(bytes(10 << 20))])
def test_an_answer_to_a_post_is_not_read_to_its_end(client: Client, misbehave: Callable) -> None:
    started = time.monotonic()
    with source(misbehave) as there:
        assert client.post_json(there.url, b"{}", headers={}) == 200
    assert time.monotonic() - started < 5


# ---- every spelling of what must not be reached, by the real client and real sockets --------------------------------

SPELLINGS = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0x0.0x0.0x1", "017700000001", "0177.1", "127.0.0.1."),
    *(
        "0.0.0.0",
        "0",
        "localhost",
        "LOCALHOST",
        "user@127.0.0.1",
        "good.example:80@127.0.0.1",
        "127.0.0.1%2f@127.0.0.1",
    ),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]", "[::127.0.0.1]"),
    *(
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "[fe80::1%25lo]",
        "[fe80::1%lo]",
        "169.254.169.254",
        "[fd00:ec2::254]",
    ),
    *("①②⑦.⓪.⓪.①", "127。0。0。1", "rebinds.example", "metadata.example", "mapped.example", "nat64.example"),
]
NAMES = {
    "rebinds.example": ["127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "nat64.example": ["64:ff9b::7f00:1"],
}


def resolved(host: str, port: int) -> list[str]:
    """Names of the test as a resolver would tell them; every other host as this machine does."""
    return NAMES.get(host) or list(network._resolve(host, port))


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_is_connected_to(host: str, tmp_path: Path) -> None:
    refused = (errors.BlockedAddress, errors.BadUrl, errors.Unreachable)
    with source(sources.gives()) as there:
        port = there.url.rpartition(":")[2]
        client = Client(resolve=resolved)
        for url in (f"http://{host}:{port}/", f"http://{host}:{port}/a?b#@good.example"):
            with pytest.raises(refused):
                fetch(client, url, tmp_path, seconds=3)
            with pytest.raises(refused):
                client.post_json(url, b"{}", headers={}, seconds=3)
    assert there.asked == []


HOPS = [*SPELLINGS[:9], "[::1]", "[::ffff:127.0.0.1]", "rebinds.example", "mapped.example"]


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is this machine only on Linux")
@pytest.mark.parametrize("host", HOPS)
def test_no_redirect_leads_to_another_spelling(host: str, tmp_path: Path) -> None:
    """The first hop is open to us, the second is not."""
    client = Client(parse_networks("127.0.0.2/32"), resolve=resolved)
    with source(sources.gives()) as secret:
        onward = sources.redirects(secret.url.replace("127.0.0.1", host))
        with (
            source(onward, host="127.0.0.2") as start,
            pytest.raises((errors.BlockedAddress, errors.BadUrl, errors.Unreachable)),
        ):
            fetch(client, start.url, tmp_path, seconds=3)
    assert (len(start.asked), secret.asked) == (1, [])

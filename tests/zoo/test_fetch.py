"""Fetching models from servers that are slow, cut, lie about length and serve wrong bytes."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unreliable import Server, serving

from stemwright import errors
from stemwright.zoo import fetch, files, foreign, installed, networks, published
from stemwright.zoo.fetch import Fetched, Settings
from stemwright.zoo.published import Download, Published

DATA = bytes(range(256)) * 4096
SHA = hashlib.sha256(DATA).hexdigest()
PATIENT = Settings(policy="any", timeout_seconds=1.0)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEMWRIGHT_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(fetch, "RETRY_SECONDS", 0.01)
    return tmp_path / "models"


def get(server: Server, folder: Path, *paths: str, seen: list[Fetched] | None = None, **known: object) -> Path:
    wanted = Download(
        "w.ckpt", tuple(server.url + path for path in paths), **{"bytes": len(DATA), "sha256": SHA, **known}
    )  # type: ignore[arg-type]
    on_fetched = (seen if seen is not None else []).append
    return fetch.fetch(wanted, folder, model="m", settings=PATIENT, on_fetched=on_fetched)


@pytest.mark.parametrize("behaviour", ["", "slow", "cut", "no-range", "busy"])
def test_a_file_arrives_whole_from_a_server_that_is(behaviour: str, server: Server, tmp_path: Path) -> None:
    server.files["/w"], server.behaviour["/w"] = DATA, behaviour
    assert get(server, tmp_path, "/w").read_bytes() == DATA
    assert [path.name for path in tmp_path.glob("*.part")] == []


def test_what_was_cut_is_resumed_where_it_ended(server: Server, tmp_path: Path) -> None:
    server.files["/w"], server.behaviour["/w"] = DATA, "cut"
    get(server, tmp_path, "/w")
    asked = server.asked("/w")
    assert asked[0] is None
    assert asked[1] == f"bytes={len(DATA) // 3}-"
    assert len(asked) == 4


def test_a_line_that_breaks_again_and_again_gets_there(server: Server, tmp_path: Path) -> None:
    server.files["/w"], server.behaviour["/w"] = DATA, "often"
    assert get(server, tmp_path, "/w").read_bytes() == DATA
    assert len(server.asked("/w")) > PATIENT.attempts


def test_a_later_call_resumes_what_an_earlier_one_left(server: Server, tmp_path: Path) -> None:
    server.files["/w"], server.behaviour["/w"] = DATA, "cut"
    with pytest.raises(errors.NotFetched, match="cut off after"):
        fetch.fetch(Download("w.ckpt", (server.url + "/w",), len(DATA), SHA), tmp_path, model="m",
                    settings=replace(PATIENT, attempts=1), on_fetched=lambda _: None)  # fmt: skip
    server.behaviour["/w"] = ""
    get(server, tmp_path, "/w")
    assert server.asked("/w")[-1] == f"bytes={len(DATA) // 3}-"


@pytest.mark.parametrize("versions", ["kept", "ignored", "none"])
def test_a_file_that_changed_between_two_tries_is_fetched_anew(versions: str, server: Server, tmp_path: Path) -> None:
    server.files["/w"], server.behaviour["/w"], server.versions = DATA[::-1], "cut", versions
    with pytest.raises(errors.NotFetched):
        fetch.fetch(Download("w.ckpt", (server.url + "/w",)), tmp_path, model="m",
                    settings=replace(PATIENT, attempts=1), on_fetched=lambda _: None)  # fmt: skip
    server.files["/w"], server.behaviour["/w"] = DATA, ""
    assert get(server, tmp_path, "/w", bytes=None, sha256=None).read_bytes() == DATA
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["w.ckpt"]


def test_a_file_without_a_known_hash_is_resumed_while_it_stays_the_same(server: Server, tmp_path: Path) -> None:
    server.files["/w"], server.behaviour["/w"] = DATA, "cut"
    assert get(server, tmp_path, "/w", bytes=None, sha256=None).read_bytes() == DATA
    assert server.asked("/w")[1] == f"bytes={len(DATA) // 3}-"


@pytest.mark.parametrize(
    ("behaviour", "complaint"),
    [
        ("lies", r"offers 1048583 bytes, the card says 1048576"),
        ("wrong", "other bytes"),
        ("gone", "answers 404"),
        ("more", "more bytes than it said"),
        ("elsewhere", "another range"),
    ],
)
def test_an_address_that_serves_it_wrong_is_left_for_the_next(
    behaviour: str, complaint: str, server: Server, tmp_path: Path
) -> None:
    server.files |= {"/bad": DATA, "/good": DATA}
    server.behaviour["/bad"] = behaviour
    assert get(server, tmp_path, "/bad", "/good").read_bytes() == DATA
    with pytest.raises(errors.NotFetched, match=complaint):
        get(server, tmp_path / "..", "/bad")


def test_a_length_that_lies_is_found_out_when_none_is_known(server: Server, tmp_path: Path) -> None:
    server.files["/w"], server.behaviour["/w"] = DATA, "lies"
    with pytest.raises(errors.NotFetched):
        get(server, tmp_path, "/w", bytes=None, sha256=None)
    assert not (tmp_path / "w.ckpt").exists()


def test_progress_counts_up_to_the_whole(server: Server, tmp_path: Path) -> None:
    server.files["/w"], seen = DATA, []
    get(server, tmp_path, "/w", seen=seen)
    assert [each.done for each in seen] == sorted(each.done for each in seen)
    assert seen[-1] == Fetched("m", "w.ckpt", len(DATA), len(DATA))


@pytest.fixture
def card(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Published:
    """A public model that our server has; the conversion itself is tested elsewhere."""
    server.files["/w"] = DATA
    weights = Download("w.ckpt", (server.url + "/w",), len(DATA), SHA)
    licence = ("CC-BY-NC-4.0", "its page", "noncommercial")
    made = Published("m", "BS-RoFormer", "roformer", "vocals", "x", ("vocals",), *licence, weights=weights)
    monkeypatch.setattr(fetch, "published", lambda name: replace(made, name=name))

    def copied(source: Path, out: Path, **_: object) -> dict[str, object]:
        out.write_bytes(source.read_bytes())
        return {"architecture": "roformer", "stems": ["vocals"], "sizes": {}, "assumed": [], "contradictions": [],
                "left_out": [], "segment": 1}  # fmt: skip

    monkeypatch.setattr(foreign, "convert", copied)
    return made


def test_a_pulled_model_is_installed_with_its_licence_and_verifies(card: Published, models: Path) -> None:
    fetch.pull("m", settings=PATIENT)
    assert installed.verify("m").facts["licence"] == "CC-BY-NC-4.0"
    assert [path.name for path in models.iterdir() if not path.name.startswith(".")] == ["m"]
    (models / "m" / "weights.safetensors").write_bytes(b"spoiled")
    with pytest.raises(errors.BadWeights):
        installed.verify("m")
    assert installed.remove("m") > 0
    assert installed.names() == []


@pytest.mark.parametrize("name", ["m", "twelve"])
def test_a_model_that_was_not_fetched_is_told_from_one_that_there_is_not(card: Published, name: str) -> None:
    for do in (installed.verify, installed.remove):
        with pytest.raises(errors.NotInstalled, match=f"'{name}' was not fetched"):
            do(name)


def test_what_turns_out_to_be_something_else_is_fetched_anew(
    card: Published, server: Server, monkeypatch: pytest.MonkeyPatch, models: Path
) -> None:
    """A page in the place of the weights, of which no sum is known: it is not kept for ever."""
    weights = Download("w.ckpt", (server.url + "/w",))
    monkeypatch.setattr(fetch, "published", lambda name: replace(card, name=name, weights=weights))
    copied = foreign.convert

    def strict(source: Path, out: Path, **more: Any) -> dict[str, Any]:
        if source.read_bytes().startswith(b"<html"):
            raise errors.UnreadableCheckpoint(path=source, reason="it is a web page")
        return copied(source, out, **more)

    monkeypatch.setattr(foreign, "convert", strict)
    server.files["/w"] = b"<html>come back later</html>"
    with pytest.raises(errors.UnreadableCheckpoint):
        fetch.pull("m", settings=PATIENT)
    server.files["/w"] = DATA
    assert [model.name for model in fetch.pull("m", settings=PATIENT)] == ["m"]


def test_a_configuration_is_read_before_the_weights_are_fetched(
    card: Published, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("yaml")
    config = Download("c.yaml", (server.url + "/c",))
    monkeypatch.setattr(fetch, "published", lambda name: replace(card, name=name, config=config))
    server.files["/c"] = b"<html>come back later</html>"
    with pytest.raises(errors.BadConfig):
        fetch.pull("m", settings=PATIENT)
    assert server.asked("/w") == []
    server.files["/c"] = b"audio: {chunk_size: 44100}"
    assert [model.name for model in fetch.pull("m", settings=PATIENT)] == ["m"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_disk_that_is_full_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "w.part").symlink_to("/dev/full")
    with pytest.raises(errors.DiskFull), fetch._writing(tmp_path / "w.part", "ab") as file:
        file.write(b"x")


def test_pulling_twice_asks_once(card: Published, server: Server) -> None:
    fetch.pull("m", settings=PATIENT)
    fetch.pull("m", settings=Settings(offline=True))
    assert len(server.requests) == 1


def test_a_licence_outside_the_policy_needs_a_yes(card: Published, server: Server) -> None:
    with pytest.raises(errors.LicenceForbids, match=r"CC-BY-NC-4\.0 \(its page\).*'permissive'"):
        fetch.pull("m", settings=Settings())
    assert server.requests == []
    assert fetch.pull("m", settings=Settings(), accepted=True)[0].name == "m"


def test_offline_says_so_and_asks_nothing(card: Published, server: Server) -> None:
    with pytest.raises(errors.Offline, match="STEMWRIGHT_OFFLINE"):
        fetch.pull("m", settings=Settings(offline=True, policy="any"))
    assert server.requests == []


def test_a_mirror_is_asked_first(card: Published, server: Server) -> None:
    server.files["/all/m/w.ckpt"] = DATA
    fetch.pull("m", settings=replace(PATIENT, mirror=f"{server.url}/all/"))
    assert [path for path, _ in server.requests] == ["/all/m/w.ckpt"]


def test_several_are_fetched_at_once_and_one_failure_leaves_the_others(
    card: Published, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.behaviour["/w"] = "slow"
    gone = Download("w.ckpt", (server.url + "/gone",))
    monkeypatch.setattr(
        fetch, "published", lambda name: replace(card, name=name, **({"weights": gone} if name == "c" else {}))
    )
    done = fetch.pull_many(["a", "b", "c"], settings=PATIENT)
    assert isinstance(done["c"], errors.NotFetched)
    assert installed.names() == ["a", "b"]
    assert server.most_together >= 2


def test_who_leaves_waits_for_no_server_and_begins_no_other_file(
    card: Published, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.behaviour["/w"] = "stalls"
    monkeypatch.setattr(fetch, "LEAVING_SECONDS", 0.01)

    once = threading.Lock()

    def ctrl_c(_: Fetched) -> None:
        if once.acquire(blocking=False):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fetch.pull_many(["a", "b", "c"], settings=replace(PATIENT, timeout_seconds=600), on_fetched=ctrl_c, at_once=1)
    assert len(server.requests) == 1
    server.is_over.set()
    while threads := [thread for thread in threading.enumerate() if "one_after_another" in thread.name]:
        threads[0].join()
    assert len(server.requests) == 1
    assert installed.names() == []


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_OFFLINE", "1")
    monkeypatch.setenv("STEMWRIGHT_LICENCES", "noncommercial")
    assert Settings.from_environment() == Settings(offline=True, policy="noncommercial")


@pytest.mark.parametrize(
    ("value", "is_offline"), [("on", True), ("YES", True), ("off", False), ("0", False), ("", False)]
)
def test_offline_is_switched_on_and_off(monkeypatch: pytest.MonkeyPatch, value: str, is_offline: bool) -> None:
    monkeypatch.setenv("STEMWRIGHT_OFFLINE", value)
    assert Settings.from_environment().offline == is_offline


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("STEMWRIGHT_OFFLINE", "1, on, true, yes, 0"), ("STEMWRIGHT_LICENCES", "permissive, noncommercial, any")],
)
def test_a_setting_that_means_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, allowed: str) -> None:
    monkeypatch.setenv(name, "anyy")
    with pytest.raises(errors.BadSetting, match=f"{name} is 'anyy': that is none of {allowed}"):
        Settings.from_environment()


@pytest.mark.parametrize("mirror", ["http://[::bad", "ftp://x", "nowhere"])
def test_a_mirror_that_is_no_address_is_told_and_the_next_one_asked(
    mirror: str, card: Published, server: Server
) -> None:
    assert fetch.pull("m", settings=replace(PATIENT, mirror=mirror))[0].name == "m"
    server.behaviour["/w"] = "gone"
    with pytest.raises(errors.NotFetched, match="not an address that can be asked"):
        fetch.pull("other", settings=replace(PATIENT, mirror=mirror))


def test_every_published_card_is_sound() -> None:
    cards = published.listing()
    assert len(cards) >= 45
    for each in cards:
        for part in filter(None, (each.weights, each.config)):
            assert all(url.startswith("https://") for url in part.urls)
            assert part.sha256 is None or len(part.sha256) == 64
        assert each.members or (each.weights and each.weights.urls)
        assert each.members or each.architecture in (*networks.NETS, "mdx")
        assert all(score.metric for score in each.scores)
        assert set(each.members) <= set(files.published())


def test_listing_filters_and_sorts() -> None:
    assert {card.licence_class for card in published.listing(policy="permissive")} == {"permissive"}
    assert {card.use for card in published.listing(use="karaoke")} == {"karaoke"}
    sizes = [card.bytes for card in published.listing(sort="size") if card.bytes]
    assert sizes == sorted(sizes)
    classes = dict.fromkeys(card.licence_class for card in published.listing(sort="licence"))
    assert tuple(classes) == published.LICENCE_CLASSES
    assert published.published("htdemucs-ft").bytes == 4 * 84141271


@pytest.mark.parametrize(
    ("use", "stem", "measure"),
    [
        (None, None, ("uSDR, MVSEP Multisong", "vocals")),
        ("four", None, ("uSDR, MVSEP Multisong", "average")),
        (None, "guitar", ("SDR, MVSep guitar board", "guitar")),
        (None, "kick", ("SDR, DrumSep test", "kick")),
    ],
)
def test_scores_are_compared_in_one_measure(use: str | None, stem: str | None, measure: tuple[str, str]) -> None:
    cards = published.listing(use=use, stem=stem, sort="score")
    assert published.measure(cards, stem) == measure
    scores = [published.score(card, measure) for card in cards]
    known = [each for each in scores if each is not None]
    assert len(known) > 1
    assert scores[: len(known)] == sorted(known, reverse=True)

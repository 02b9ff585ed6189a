"""Keys: shown once, stored as a hash, ended by revoking, rotating and time."""

import pytest
import sqlalchemy as sa

from stemwright.errors import AccountExists, AccountNotFound, InvalidKey, KeyEnded, KeyNotFound, KeyRevoked
from stemwright.server import accounts, keys
from stemwright.server.store.database import Database

from .conftest import NOW


def valid(database: Database, secret: str, now: int = NOW) -> bool:
    with database.read() as tx:
        try:
            keys.verify(tx, secret, now=now)
        except InvalidKey:
            return False
    return True


def test_a_key_says_who_holds_it(database: Database, account: accounts.Account) -> None:
    with database.transaction() as tx:
        key, secret = keys.create(tx, account.id, name="k", dialect="sunoapi", scopes=("api", "admin"), now=NOW)
        found = keys.verify(tx, secret, now=NOW)
    assert found == keys.Principal(account.id, key.id, "sunoapi", ("api", "admin"))
    assert secret.startswith("sw_")
    assert len(secret) >= 46  # 256 bits


def test_the_secret_is_stored_nowhere(database: Database, account: accounts.Account) -> None:
    with database.transaction() as tx:
        _, secret = keys.create(tx, account.id, now=NOW)
        stored = str(tx.execute(sa.text("SELECT * FROM keys")).all())
    assert secret not in stored


@pytest.mark.parametrize("wrong", ["", "sw_", "sw_" + "A" * 43, "x" * 5000, "sw_\x00"])
def test_an_unknown_key_is_refused(database: Database, wrong: str) -> None:
    assert not valid(database, wrong)


def test_a_revoked_key_ends_at_once(database: Database, account: accounts.Account) -> None:
    with database.transaction() as tx:
        key, secret = keys.create(tx, account.id, now=NOW)
    assert valid(database, secret)
    with database.transaction() as tx:
        keys.revoke(tx, key.id, now=NOW)
    assert not valid(database, secret)


def test_the_end_of_a_key_comes_no_later_and_may_come_sooner(database: Database, account: accounts.Account) -> None:
    with database.transaction() as tx:
        key, secret = keys.create(tx, account.id, now=NOW)
        keys.rotate(tx, key.id, overlap_ms=100, now=NOW)
        keys.rotate(tx, key.id, overlap_ms=10_000, now=NOW + 1)
        assert keys.get(tx, key.id).revoked == NOW + 100
        assert keys.revoke(tx, key.id, now=NOW + 2).revoked == NOW + 2
        assert keys.revoke(tx, key.id, now=NOW + 3).revoked == NOW + 2
    assert not valid(database, secret, NOW + 2)


def test_a_key_expires(database: Database, account: accounts.Account) -> None:
    with database.transaction() as tx:
        _, secret = keys.create(tx, account.id, expires=NOW + 10, now=NOW)
    assert valid(database, secret, NOW + 9)
    assert not valid(database, secret, NOW + 10)


def test_a_rotated_key_overlaps_with_the_new_one(database: Database, account: accounts.Account) -> None:
    with database.transaction() as tx:
        key, old = keys.create(tx, account.id, dialect="sunoapi", now=NOW)
        new_key, new = keys.rotate(tx, key.id, overlap_ms=100, now=NOW)
    assert new_key.dialect == "sunoapi"
    assert valid(database, old, NOW + 99)
    assert not valid(database, old, NOW + 100)
    assert valid(database, new, NOW + 100)


def test_what_is_not_there_is_said(database: Database, account: accounts.Account) -> None:
    with database.transaction() as tx:
        for missing in (lambda: keys.revoke(tx, "no", now=NOW), lambda: keys.rotate(tx, "no", now=NOW)):
            with pytest.raises(KeyNotFound):
                missing()
        with pytest.raises(AccountExists):
            accounts.create(tx, account.name, now=NOW)
        with pytest.raises(AccountNotFound):
            accounts.by_name(tx, "nobody")


def test_use_is_noted_at_most_once_a_minute(database: Database, account: accounts.Account) -> None:
    with database.transaction() as tx:
        key, _ = keys.create(tx, account.id, now=NOW)
        for later in (0, 30_000, 70_000):
            keys.touch(tx, key.id, now=NOW + later)
        assert keys.listing(tx, account.id)[0].used == NOW + 70_000


def test_a_key_is_good_in_its_networks_alone(database: Database, account: accounts.Account) -> None:
    with database.transaction() as tx:
        _, secret = keys.create(
            tx, account.id, networks=keys.networks_of("10.0.0.0/8, 2001:db8::/32,192.0.2.7"), now=NOW
        )
        holder = keys.verify(tx, secret, now=NOW)
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1", "192.0.2.7"):
        assert holder.is_welcome(address)
    for address in ("11.0.0.1", "::1", "192.0.2.8", "", "unknown", "10.1.2.3:80", "10.1.2.3%eth0"):
        assert not holder.is_welcome(address)


def test_no_network_at_all_is_everywhere_and_within_no_other() -> None:
    assert keys.is_inside("10.1.0.0/16,10.2.0.1/32", "10.0.0.0/8")
    assert not keys.is_inside("", "10.0.0.0/8")


def test_a_rotated_key_keeps_its_limits_or_gets_new_ones(database: Database, account: accounts.Account) -> None:
    with database.transaction() as tx:
        old, _ = keys.create(tx, account.id, networks="10.0.0.0/8", expires=NOW + 99, scopes=("read",), now=NOW)
        same, _ = keys.rotate(tx, old.id, now=NOW)
        other, _ = keys.rotate(tx, same.id, networks="", expires=NOW + 500, now=NOW)
        stored = keys.get(tx, other.id)
    assert (same.networks, same.expires, same.scopes) == ("10.0.0.0/8", NOW + 99, ("read",))
    assert (stored.networks, stored.expires, stored.scopes) == ("", NOW + 500, ("read",))


def test_a_key_that_has_expired_is_not_renewed_for_the_past(database: Database, account: accounts.Account) -> None:
    with database.transaction() as tx:
        old, _ = keys.create(tx, account.id, expires=NOW + 99, now=NOW)
        with pytest.raises(KeyEnded, match=old.id):
            keys.rotate(tx, old.id, now=NOW + 99)
        assert keys.get(tx, old.id).revoked is None
        keys.verify(tx, keys.rotate(tx, old.id, expires=NOW + 500, now=NOW + 99)[1], now=NOW + 99)


def test_a_key_that_was_revoked_has_no_successor(database: Database, account: accounts.Account) -> None:
    with database.transaction() as tx:
        old, _ = keys.create(tx, account.id, now=NOW)
        keys.revoke(tx, old.id, now=NOW + 5)
        with pytest.raises(KeyRevoked, match=old.id):
            keys.rotate(tx, old.id, expires=NOW + 500, now=NOW + 5)
        assert [key.id for key in keys.listing(tx, account.id)] == [old.id]


@pytest.mark.parametrize(
    "wrong", ["10.0.0.0/33", "example.com", "1.2.3", ",".join(f"10.0.{n}.0/24" for n in range(120))]
)
def test_networks_that_are_none(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        keys.networks_of(wrong)

"""Who has which sessions, with ``encrypt``: it opens with the secret only."""

from __future__ import annotations

import base64
import collections.abc as cabc
import hashlib
import typing as t

import ormsgpack
import pytest
import redis
from conftest import Clock
from visitors import given_to
from visitors import login
from visitors import look
from visitors import Request
from visitors import session_of

from wsgi_redis_session import SessionManager

MakeManager = cabc.Callable[..., SessionManager]

ADDRESS, AGENT = "203.0.113.77", "Mozilla/5.0 (X11; Linux x86_64)"
VISITOR = {"REMOTE_ADDR": ADDRESS, "HTTP_USER_AGENT": AGENT}


@pytest.fixture
def make(make_manager: MakeManager, clock: Clock) -> MakeManager:
    def make(**options: t.Any) -> SessionManager:
        defaults = {"encrypt": True, "user_key": "user", "clock": clock}
        return make_manager(**defaults | options)

    return make


def log_in_from(manager: SessionManager, header: str = "") -> str:
    exchange = manager.exchange(VISITOR | {"HTTP_COOKIE": header})
    session_of(exchange)["user"] = "4711"
    return (exchange.commit().cookie or header).partition(";")[0]


def seen_again(manager: SessionManager, header: str) -> str:
    request = Request(manager, header)
    request.session.get("user")
    return given_to(header, request)


def dumped(db: redis.Redis) -> bytes:
    """All that Redis has of users."""
    found = []
    for key in db.scan_iter(_type="hash"):
        found += [key, *(part for pair in db.hgetall(key).items() for part in pair)]
    assert found
    return b"\n".join(found)


def test_reader_of_redis_learns_neither_users_nor_where_they_are(
    make: MakeManager, db: redis.Redis
) -> None:
    guess = base64.urlsafe_b64encode(hashlib.sha256(b"4711").digest()[:18])
    log_in_from(make(encrypt=False))
    # It would be seen.
    assert guess in dumped(db)
    assert ADDRESS.encode() in dumped(db)
    db.delete(*db.scan_iter())
    log_in_from(make())
    assert guess not in dumped(db)
    assert ADDRESS.encode() not in dumped(db)
    assert b"Mozilla" not in dumped(db)


def test_site_knows_what_nobody_else_reads(make: MakeManager) -> None:
    manager = make()
    log_in_from(manager)
    (found,) = manager.of_user("4711")
    assert (found.address, found.user_agent) == (ADDRESS, AGENT)


def test_two_sites_with_one_secret_have_their_own_users(
    make: MakeManager, db: redis.Redis
) -> None:
    one, other = make(key_prefix="one:"), make(key_prefix="other:")
    log_in_from(one)
    log_in_from(other)
    names = {key.rpartition(b":")[2] for key in db.scan_iter(_type="hash")}
    assert len(names) == 2


#: How an index was made that the manager does not make itself.
BEFORE = {
    "an earlier secret": (
        {"secret_key": "first"},
        {"secret_key": "second", "secret_key_fallbacks": ["first"]},
        {"secret_key": "second"},
    ),
    "without encrypt": ({"encrypt": False}, {"encrypt": "migrate"}, {"encrypt": True}),
}


@pytest.mark.parametrize(("before", "now", "then"), BEFORE.values(), ids=BEFORE)
def test_users_are_found_while_their_sessions_are_sealed_anew(
    make: MakeManager,
    clock: Clock,
    before: dict[str, t.Any],
    now: dict[str, t.Any],
    then: dict[str, t.Any],
) -> None:
    manager = make(**now)
    header = log_in_from(make(**before))
    other = log_in_from(manager)
    assert {found.address for found in manager.of_user("4711")} == {ADDRESS}
    assert len(manager.of_user("4711")) == 2
    clock.move(1000)
    header = seen_again(manager, header)
    assert len(manager.of_user("4711")) == 2
    # By the next secret alone.
    manager = make(**then)
    assert len(manager.of_user("4711")) == 2
    assert manager.revoke_user("4711") == 2
    assert look(manager, header) == look(manager, other) == {}


@pytest.mark.parametrize(("before", "now", "then"), BEFORE.values(), ids=BEFORE)
def test_users_are_revoked_wherever_they_are_found(
    make: MakeManager,
    before: dict[str, t.Any],
    now: dict[str, t.Any],
    then: dict[str, t.Any],
) -> None:
    old, manager = make(**before), make(**now)
    one, two, kept = log_in_from(old), log_in_from(manager), log_in_from(old)
    leaving = Request(manager, log_in_from(old))
    leaving.session.destroy()
    leaving.commit()
    late = Request(manager, "")
    assert manager.revoke_user("4711", keep=manager.open(kept)) == 2
    assert look(manager, one) == look(manager, two) == {}
    assert look(manager, kept) == {"user": "4711"}
    assert len(manager.of_user("4711")) == 1
    # A login that was under way.
    late.session["user"] = "4711"
    assert late.commit() is None
    assert len(manager.of_user("4711")) == 1


def test_session_whose_details_were_damaged_is_found_and_ended(
    make: MakeManager, db: redis.Redis
) -> None:
    manager = make()
    header = log_in_from(manager)
    login(manager, user="4711")
    for key in db.scan_iter(_type="hash"):
        for field, value in db.hgetall(key).items():
            db.hset(key, field, value[:-1] + bytes([value[-1] ^ 1]))
    assert {found.address for found in manager.of_user("4711")} == {None}
    assert manager.revoke_user("4711") == 2
    assert look(manager, header) == {}


def test_login_after_a_revocation_outlives_the_change_of_secrets(
    make: MakeManager, clock: Clock
) -> None:
    one = make(secret_key="first", secret_key_fallbacks=["second"])
    ended = log_in_from(one)
    one.revoke_user("4711")
    for _ in range(5):
        one.ping()
    header = log_in_from(one)
    two = make(secret_key="second", secret_key_fallbacks=["first"])
    clock.move(1000)
    header = seen_again(two, header)
    assert look(two, header) == {"user": "4711"}
    assert look(two, ended) == {}
    confirming = Request(two, header)
    confirming.session.confirm()
    header = given_to(header, confirming)
    assert len(two.of_user("4711")) == 1
    assert two.revoke_user("4711") == 1
    assert look(two, header) == {}


@pytest.mark.parametrize(("before", "now", "then"), BEFORE.values(), ids=BEFORE)
def test_revocation_stands_for_sessions_of_another_library(
    make: MakeManager,
    db: redis.Redis,
    before: dict[str, t.Any],
    now: dict[str, t.Any],
    then: dict[str, t.Any],
) -> None:
    sid = "JvY0n0wO3l-1mSDCF9uSYDg0cEvLWFyPM8Zp5nLVk_4"
    db.set(f"session:{sid}", ormsgpack.packb({"user": "4711"}), ex=60)
    make(**before).revoke_user("4711")
    assert look(make(migrate_from="flask-session", **now), f"session={sid}") == {}

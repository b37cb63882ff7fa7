"""What stands in Redis and is not what we have written, and what would be too much."""

from __future__ import annotations

import collections.abc as cabc
import pickle
import threading
import typing as t

import pytest
import redis
from conftest import Clock
from gateway import busy_connections
from visitors import cookie_header
from visitors import given_to
from visitors import login
from visitors import look
from visitors import Request
from visitors import store

from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionTooLarge
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.model.record import digest
from wsgi_redis_session.model.serializer import MessagePackSerializer
from wsgi_redis_session.model.serializer import Serializer

MakeManager = cabc.Callable[..., SessionManager]


def key_of(manager: SessionManager, header: str) -> str:
    return manager.config.key_prefix + Request(manager, header).session.id


# Tombstones.


def test_tombstone_that_points_to_itself_hangs_nobody(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = store(manager, user="Ada")
    running, logout = Request(manager, header), Request(manager, header)
    session_id = logout.session.id
    db.set(key_of(manager, header), b"\0c" + session_id.encode(), px=60_000)
    assert manager.revoke(session_id) is False
    logout.session.destroy()
    assert "Max-Age=0" in str(logout.commit())
    assert look(manager, header) == {}
    running.session["x"] = 1
    assert running.commit() is None


def test_tombstones_that_lead_in_a_circle_are_a_new_session_and_an_event(
    make_manager: MakeManager,
    clock: Clock,
    db: redis.Redis,
    events: list[SessionEvent],
) -> None:
    manager = make_manager(rotate_interval=60, clock=clock)
    header = store(manager, user="Ada")
    clock.move(61)
    old, rotating = Request(manager, header), Request(manager, header)
    renewed = cookie_header(rotating.commit())
    key = manager.config.key_prefix + old.session.id
    new_key = key_of(manager, renewed)
    # Its session id opens nothing but its own tombstone, so the second one is closed.
    db.set(new_key, b"\0c" + old.session.id.encode(), px=60_000)
    assert db.get(key)[:2] == b"\0o"
    for jar in (header, renewed):
        assert look(manager, jar) == {}
        logout = Request(manager, jar)
        logout.session.destroy()
        logout.commit()
    assert manager.revoke(old.session.id) is False


@pytest.mark.parametrize("kind", [b"o", b"c", b"e", b"x", b""])
@pytest.mark.parametrize("rest", [b"", b"\xff" * 24, b"\xff" * 56, b"x" * 24, b"x" * 9])
def test_damaged_tombstone_is_a_new_session(
    manager: SessionManager, db: redis.Redis, kind: bytes, rest: bytes
) -> None:
    header = store(manager, user="Ada")
    running, logout = Request(manager, header), Request(manager, header)
    db.set(key_of(manager, header), b"\0" + kind + rest, px=60_000)
    assert look(manager, header) == {}
    running.session["x"] = 1
    assert running.commit() is None
    logout.session.destroy()
    assert "Max-Age=0" in str(logout.commit())
    assert look(manager, header) == {}


@pytest.mark.parametrize("renew", ["regenerate", "destroy", "login"])
def test_nothing_prolongs_a_tombstone(
    make_manager: MakeManager, clock: Clock, db: redis.Redis, renew: str
) -> None:
    manager = make_manager(user_key="user", clock=clock)
    header = store(manager, csrf="token")
    key = key_of(manager, header)
    late = Request(manager, header)
    request = Request(manager, header)
    if renew == "login":
        request.session["user"] = "Ada"
    else:
        getattr(request.session, renew)()
    request.commit()
    before = db.pttl(key)
    assert 0 < before <= 600_000
    clock.move(3600)  # by which a touch is due
    late.session["x"] = 1
    late.commit()
    for _ in range(3):
        again = Request(manager, header)
        again.session.get("x")
        again.commit()
    assert 0 < db.pttl(key) <= before


# Values.


def test_value_of_another_session_costs_no_connection_and_locks_nobody_out(
    make_manager: MakeManager, server: LocalServer, db: redis.Redis
) -> None:
    manager = make_manager(max_connections=5)
    ada, grace = store(manager, user="Ada"), store(manager, user="Grace")
    keys = key_of(manager, ada), key_of(manager, grace)
    db.set(keys[0], db.get(keys[1]), keepttl=True)
    received = db.info("stats")["total_connections_received"]
    for _ in range(10):
        assert look(manager, ada) == {}
    # Each time one connection is suspected, and no other one.
    assert db.info("stats")["total_connections_received"] <= received + 10
    assert busy_connections(manager) == 0
    logout = Request(manager, ada)
    logout.session.destroy()
    assert "Max-Age=0" in str(logout.commit())
    assert look(manager, ada) == {}
    assert look(manager, grace) == {"user": "Grace"}


def decide(name: str, base: t.Any, ours: t.Any, theirs: t.Any) -> t.Any:
    return theirs + ours - base


class Pickles:
    """A serializer whose errors are its own."""

    def dumps(self, value: t.Any) -> bytes:
        return pickle.dumps(value)

    def loads(self, data: bytes) -> t.Any:
        return pickle.loads(data)


@pytest.mark.plain
@pytest.mark.parametrize("serializer", [MessagePackSerializer(), Pickles()])
def test_damaged_bytes_reach_neither_on_conflict_nor_the_application(
    make_manager: MakeManager,
    db: redis.Redis,
    events: list[SessionEvent],
    serializer: Serializer,
) -> None:
    manager = make_manager(on_conflict=decide, serializer=serializer)
    header = store(manager, count=1, kept=1)
    one, two = Request(manager, header), Request(manager, header)
    two.session["count"] = b"12345678"
    two.commit()
    key, packed = key_of(manager, header), serializer.dumps(b"12345678")
    damaged = db.get(key).replace(packed, b"\xc1" * len(packed))
    db.set(key, damaged, keepttl=True)
    one.session["count"] = 5
    one.commit()
    assert "undecodable" in [event.name for event in events]
    assert look(manager, header) == {"count": 5, "kept": 1}


# Limits.


def at_once(number: int, act: cabc.Callable[[int], t.Any]) -> list[t.Any]:
    """What each of so many threads makes of its number, or raises."""
    results: list[t.Any] = [None] * number
    barrier = threading.Barrier(number)

    def run(n: int) -> None:
        barrier.wait()
        try:
            results[n] = act(n)
        except SessionTooLarge as error:
            results[n] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize(
    ("limit", "size", "unit"),
    [({"max_bytes": 100_000}, 9_000, "bytes"), ({"max_names": 10}, 1, "names")],
    ids=["max_bytes", "max_names"],
)
def test_limit_holds_for_what_forty_requests_at_once_store(
    make_manager: MakeManager,
    db: redis.Redis,
    limit: dict[str, int],
    size: int,
    unit: str,
) -> None:
    manager = make_manager(max_connections=40, operation_timeout=30, **limit)
    header = store(manager, base="x" * size)
    requests = [Request(manager, header) for _ in range(40)]
    for number, request in enumerate(requests):
        request.session[f"name-{number}"] = "x" * size

    results = at_once(40, lambda number: requests[number].commit())
    refused = {n for n, error in enumerate(results) if error is not None}
    found = look(manager, header)
    assert found.keys() == {"base"} | {
        f"name-{n}" for n in range(40) if n not in refused
    }
    assert len(found) == 10 if unit == "names" else 11
    assert all(f"max_{unit}=" in str(results[n]) for n in refused)
    (key,) = db.keys()
    assert db.strlen(key) <= 100_000


# Names and clocks.


def test_name_that_is_not_ascii_is_merged_whatever_the_client_s_encoding(
    make_manager: MakeManager, server: LocalServer
) -> None:
    client = redis.Redis(unix_socket_path=server.socket, encoding="latin-1")
    with client:
        manager = make_manager(client)
        header = store(manager, größe=1, заказ=1, 卖=1)
        one, two = Request(manager, header), Request(manager, header)
        one.session["größe"] = 2
        del one.session["заказ"]
        two.session["卖"] = 2
        two.session["新"] = 3
        one.commit()
        two.commit()
        assert look(manager, header) == {"größe": 2, "卖": 2, "新": 3}


def test_cookie_of_a_server_whose_clock_is_ahead_is_touched_and_put_right(
    make_manager: MakeManager, clock: Clock, db: redis.Redis
) -> None:
    wrong = Clock()
    wrong.move(86_400)
    header = store(make_manager(clock=wrong), user="Ada")
    manager = make_manager(clock=clock)
    (key,) = db.keys()
    db.pexpire(key, 1000)
    request = Request(manager, header)
    assert request.session["user"] == "Ada"
    assert db.pttl(key) > 86_000_000
    given = cookie_header(request.commit())
    # From here on it is touched as often as every other one.
    db.pexpire(key, 50_000_000)
    assert Request(manager, given).commit() is None
    assert db.pttl(key) <= 50_000_000
    clock.move(400)
    assert Request(manager, given).session["user"] == "Ada"
    assert db.pttl(key) > 86_000_000


# What is no index, and what is no session.


@pytest.mark.parametrize("damage", ["a string", "a mark", "an entry"])
def test_damaged_index_keeps_nobody_out(
    make_manager: MakeManager, db: redis.Redis, damage: str
) -> None:
    manager = make_manager(user_key="user")
    header = login(manager)
    (key,) = db.scan_iter(_type="hash")

    def spoil() -> None:
        db.delete(key)
        if damage == "a string":
            db.set(key, "none", px=50_000)
        else:
            db.hset(key, "mark" if damage == "a mark" else "A" * 24, "x")

    spoil()
    other = login(manager)
    assert [look(manager, one) for one in (header, other)] == [{"user": "Ada"}] * 2
    spoil()
    assert manager.of_user("Ada") == []
    spoil()
    assert manager.revoke_user("Ada") == 0
    spoil()
    request = Request(manager, header)
    request.session.regenerate()
    header = given_to(header, request)
    spoil()
    request = Request(manager, header)
    request.session.destroy()
    assert "=;" in str(request.commit())
    assert look(manager, header) == {}


def test_what_is_no_session_where_another_library_s_would_be_is_none(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(migrate_from="flask-session")
    sid = "JvY0n0wO3l-1mSDCF9uSYDg0cEvLWFyPM8Zp5nLVk_4"
    db.lpush(f"wsgi-session:{digest(sid)}", "x")
    assert look(manager, f"session={sid}") == {}

"""What is stored with ``encrypt``, what is refused then, and how it merges."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import sys
import typing as t

import ormsgpack
import pytest
import redis
from conftest import Clock
from conftest import SECRET_KEY
from visitors import commands
from visitors import cookie_header
from visitors import look
from visitors import Request
from visitors import session_of
from visitors import store

from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.request.exchange import Exchange

MakeManager = cabc.Callable[..., SessionManager]

#: Where the envelope and the map begin.
ENVELOPE, MAP = 58, 106

FOREIGN_SID = "JvY0n0wO3l-1mSDCF9uSYDg0cEvLWFyPM8Zp5nLVk_4"

Damage = cabc.Callable[[bytes, bytes], bytes]


@pytest.fixture
def sealing(make_manager: MakeManager, clock: Clock) -> SessionManager:
    return make_manager(encrypt=True, clock=clock)


def sealed_values(value: bytes) -> dict[str, bytes]:
    return t.cast("dict[str, bytes]", ormsgpack.unpackb(value[MAP:]))


def with_values(value: bytes, packed: dict[str, bytes]) -> bytes:
    return value[:MAP] + ormsgpack.packb(packed)


def key_id(value: bytes) -> bytes:
    return value[ENVELOPE : ENVELOPE + 8]


def is_sealed(value: bytes) -> bool:
    return bool(value[1] & 2)


# What is stored.


def test_neither_names_nor_values_are_readable(
    sealing: SessionManager, db: redis.Redis
) -> None:
    header = store(sealing, favourite="Ada Lovelace", cart=[b"bread", "cheese"])
    (key,) = db.keys()
    for word in (b"favourite", b"Ada", b"Lovelace", b"cart", b"bread", b"cheese"):
        assert word not in db.get(key)
    assert look(sealing, header) == {
        "favourite": "Ada Lovelace",
        "cart": [b"bread", "cheese"],
    }


def test_sealed_session_is_laid_out_as_documented(
    sealing: SessionManager, db: redis.Redis, clock: Clock
) -> None:
    store(sealing, name="Ada")
    value = db.get(db.keys()[0])
    assert value[:2] == b"\x01\x02"
    assert int.from_bytes(value[42:50]) == clock.time * 1000
    ((hidden, sealed),) = sealed_values(value).items()
    assert len(hidden) == 16
    assert sealed[:2] == b"\xc1s"
    assert len(sealed) == 2 + 12 + 4 + len("name") + 4 + 16


def test_equal_values_are_stored_as_different_bytes(
    sealing: SessionManager, db: redis.Redis
) -> None:
    header = store(sealing, one="same", two="same")
    store(sealing, one="same", two="same")
    sealed = [v for key in db.scan_iter() for v in sealed_values(db.get(key)).items()]
    assert len({value for _, value in sealed}) == 4
    assert len({name for name, _ in sealed}) == 4
    assert look(sealing, header) == {"one": "same", "two": "same"}


def test_value_that_did_not_change_is_not_sealed_again(
    sealing: SessionManager, db: redis.Redis
) -> None:
    request = Request(sealing, store(sealing, kept=1, changed=1))
    before = set(sealed_values(db.get(db.keys()[0])).items())
    request.session["changed"] = 2
    request.commit()
    after = set(sealed_values(db.get(db.keys()[0])).items())
    assert len(before & after) == 1


def test_read_takes_one_command_and_write_one_more(
    sealing: SessionManager, db: redis.Redis
) -> None:
    header = store(sealing, n=0)
    assert commands(db, lambda: look(sealing, header)) == {"get": 1}

    def write() -> None:
        request = Request(sealing, header)
        request.session["n"] += 1
        request.commit()

    write()
    assert commands(db, write)["evalsha"] == 1
    assert look(sealing, header) == {"n": 2}


def test_emptied_session_stays_sealed_and_is_not_prolonged(
    sealing: SessionManager, db: redis.Redis, clock: Clock
) -> None:
    header = store(sealing, n=0)
    request = Request(sealing, header)
    del request.session["n"]
    request.commit()
    (key,) = db.keys()
    assert is_sealed(db.get(key))
    before = db.pttl(key)
    clock.move(1000)
    assert look(sealing, header) == {}
    assert db.pttl(key) <= before


# What merges.


def test_two_requests_keep_each_others_names(
    sealing: SessionManager, db: redis.Redis
) -> None:
    header = store(sealing, a=1, b=2, c=3)
    one, two = Request(sealing, header), Request(sealing, header)
    one.session["a"] = 10
    del one.session["b"]
    two.session["c"] = 30
    two.session["d"] = 40
    one.commit()
    two.commit()
    assert look(sealing, header) == {"a": 10, "c": 30, "d": 40}
    assert two.session.copy() == {"a": 10, "c": 30, "d": 40}
    assert is_sealed(db.get(db.keys()[0]))


def test_conflict_is_decided_on_what_was_sealed(
    make_manager: MakeManager,
) -> None:
    def add(name: str, base: int, ours: int, theirs: int) -> int:
        return ours + theirs - base

    manager = make_manager(encrypt=True, on_conflict=add)
    header = store(manager, n=1, other=0)
    one, two = Request(manager, header), Request(manager, header)
    one.session["n"] += 1
    two.session["n"] += 10
    one.commit()
    two.commit()
    assert look(manager, header) == {"n": 12, "other": 0}


def test_closing_renewal_seals_everything_with_a_new_data_key(
    sealing: SessionManager, db: redis.Redis
) -> None:
    header = store(sealing, a=1)
    (old_key,) = db.keys()
    before = db.get(old_key)
    request = Request(sealing, header)
    request.session.regenerate()
    header = cookie_header(request.commit())
    (new_key,) = set(db.keys()) - {old_key}
    after = db.get(new_key)
    assert key_id(after) != key_id(before)
    assert not set(sealed_values(after)) & set(sealed_values(before))
    assert look(sealing, header) == {"a": 1}


def test_open_renewal_keeps_the_data_key_and_wraps_it_anew(
    make_manager: MakeManager, clock: Clock, db: redis.Redis
) -> None:
    manager = make_manager(encrypt=True, clock=clock, rotate_interval=60)
    header = store(manager, a=1)
    (old_key,) = db.keys()
    before = db.get(old_key)
    under_way = Request(manager, header)
    clock.move(100)
    request = Request(manager, header)
    rotated = cookie_header(request.commit())
    (new_key,) = set(db.keys()) - {old_key}
    after = db.get(new_key)
    assert key_id(after) == key_id(before)
    assert sealed_values(after) == sealed_values(before)
    assert after[ENVELOPE + 8 : MAP] != before[ENVELOPE + 8 : MAP]
    under_way.session["b"] = 2
    under_way.commit()
    assert look(manager, rotated) == {"a": 1, "b": 2}


def test_frozen_values_are_read_with_the_old_cookie(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(encrypt=True, user_key="user")
    header = store(manager, csrf="known before")
    request = Request(manager, header)
    request.session["user"] = "ada"
    request.commit()
    assert look(manager, header) == {"csrf": "known before"}
    assert not any(
        b"known before" in db.get(key) for key in db.scan_iter(_type="string")
    )


def test_values_of_another_library_are_frozen_sealed(
    make_manager: MakeManager, clock: Clock, db: redis.Redis
) -> None:
    options = {"migrate_from": "flask-session", "user_key": "user", "clock": clock}
    manager = make_manager(encrypt=True, **options)
    db.set(f"session:{FOREIGN_SID}", ormsgpack.packb({"csrf": "known before"}), ex=1000)
    request = Request(manager, f"session={FOREIGN_SID}")
    request.session["user"] = "ada"
    request.commit()
    assert not any(
        b"known before" in db.get(key) for key in db.scan_iter(_type="string")
    )
    assert look(manager, f"session={FOREIGN_SID}") == {"csrf": "known before"}


# What is refused.


def moved_to_another_name(value: bytes, other: bytes) -> bytes:
    (one, sealed), (two, _) = sealed_values(value).items()
    return with_values(value, {one: sealed, two: sealed})


def exchanged(value: bytes, other: bytes) -> bytes:
    (one, first), (two, second) = sealed_values(value).items()
    return with_values(value, {one: second, two: first})


def from_another_session(value: bytes, other: bytes) -> bytes:
    return with_values(value, sealed_values(other))


def value_from_another_session(value: bytes, other: bytes) -> bytes:
    names, values = sealed_values(value), sealed_values(other).values()
    return with_values(value, dict(zip(names, values, strict=True)))


def envelope_of_another_session(value: bytes, other: bytes) -> bytes:
    return value[:ENVELOPE] + other[ENVELOPE:MAP] + value[MAP:]


def bound_anew(value: bytes, other: bytes) -> bytes:
    return other[:34] + value[34:42] + other[42:]


def plain_value(value: bytes, other: bytes) -> bytes:
    name = next(iter(sealed_values(value)))
    return with_values(value, {name: ormsgpack.packb("Eve")})


def plain_session(value: bytes, other: bytes) -> bytes:
    packed = {"user": ormsgpack.packb("Eve")}
    return value[:1] + b"\0" + value[2:ENVELOPE] + ormsgpack.packb(packed)


def short(value: bytes, other: bytes) -> bytes:
    return value[: ENVELOPE + 20]


def short_value(value: bytes, other: bytes) -> bytes:
    packed = {name: sealed[:9] for name, sealed in sealed_values(value).items()}
    return with_values(value, packed)


DAMAGES: list[Damage] = [
    moved_to_another_name,
    exchanged,
    from_another_session,
    value_from_another_session,
    envelope_of_another_session,
    bound_anew,
    plain_value,
    plain_session,
    short,
    short_value,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_not_sealed_here_is_a_new_session_and_an_event(
    sealing: SessionManager,
    db: redis.Redis,
    events: list[SessionEvent],
    damage: Damage,
) -> None:
    ada = store(sealing, user="Ada", theme="dark")
    (key,) = db.keys()
    store(sealing, user="Grace", theme="light")
    (other,) = set(db.keys()) - {key}
    db.set(key, damage(db.get(key), db.get(other)), keepttl=True)
    request = Request(sealing, ada)
    assert request.session.copy() == {}
    assert "undecodable" in [event.name for event in events]
    # Nor is anybody locked out.
    request.session["user"] = "Ada"
    assert look(sealing, cookie_header(request.commit())) == {"user": "Ada"}


def test_no_changed_byte_changes_a_value(
    sealing: SessionManager, db: redis.Redis
) -> None:
    values = {"user": "Ada", "theme": "dark"}
    header = store(sealing, **values)
    (key,) = db.keys()
    value = db.get(key)
    refused = 0
    for at in range(len(value)):
        changed = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
        db.set(key, changed, keepttl=True)
        found = look(sealing, header)
        assert found in ({}, values)
        refused += not found
    # All but the kind and the writers' revisions, which merging changes.
    assert refused == len(value) - 1 - 32


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_that_a_save_meets_is_never_merged_into(
    sealing: SessionManager, db: redis.Redis, damage: Damage
) -> None:
    header = store(sealing, user="Ada", theme="dark")
    (key,) = db.keys()
    store(sealing, user="Grace", theme="light")
    (other,) = set(db.keys()) - {key}
    request = Request(sealing, header)
    foreign = db.get(other)[2:10]
    damaged = damage(db.get(key), db.get(other))
    db.set(key, damaged[:2] + foreign + damaged[10:], keepttl=True)
    request.session["n"] = 1
    with contextlib.suppress(SessionUnavailable):
        request.commit()
    assert look(sealing, header) in ({}, {"n": 1})


def test_sealed_session_is_a_new_one_where_encryption_is_off(
    sealing: SessionManager,
    make_manager: MakeManager,
    events: list[SessionEvent],
) -> None:
    header = store(sealing, user="Ada")
    assert look(make_manager(encrypt=False), header) == {}
    assert events[-1].name == "undecodable"
    assert look(sealing, header) == {"user": "Ada"}


# From plain sessions, and from one secret to the next.


def test_migrating_reads_plain_sessions_and_seals_what_it_saves(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    header = store(make_manager(encrypt=False), user="Ada", n=1)
    manager = make_manager(encrypt="migrate")
    request = Request(manager, header)
    assert request.session["user"] == "Ada"
    request.session["n"] = 2
    request.commit()
    assert is_sealed(db.get(db.keys()[0]))
    assert look(make_manager(encrypt=True), header) == {"user": "Ada", "n": 2}


def test_two_requests_that_seal_a_plain_session_at_once_lose_nothing(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    header = store(make_manager(encrypt=False), user="Ada")
    one_worker = make_manager(encrypt="migrate")
    other_worker = make_manager(encrypt="migrate")
    one, two = Request(one_worker, header), Request(other_worker, header)
    one.session["a"] = 1
    two.session["b"] = 2
    one.commit()
    drawn = key_id(db.get(db.keys()[0]))
    two.commit()
    assert key_id(db.get(db.keys()[0])) == drawn
    assert look(one_worker, header) == {"user": "Ada", "a": 1, "b": 2}


def test_touch_seals_a_plain_session_that_is_only_read(
    make_manager: MakeManager, clock: Clock, db: redis.Redis
) -> None:
    header = store(make_manager(clock=clock, encrypt=False), user="Ada")
    manager = make_manager(clock=clock, encrypt="migrate")
    request = Request(manager, header)
    assert request.session["user"] == "Ada"
    assert request.commit() is None
    assert not is_sealed(db.get(db.keys()[0]))
    clock.move(1000)
    request = Request(manager, header)
    assert request.session["user"] == "Ada"
    assert request.commit() is not None
    assert is_sealed(db.get(db.keys()[0]))
    assert look(make_manager(clock=clock, encrypt=True), header) == {"user": "Ada"}


def test_session_that_is_only_read_outlives_the_secret_that_wrapped_it(
    make_manager: MakeManager, clock: Clock
) -> None:
    options = {"clock": clock, "encrypt": True}
    header = store(make_manager(secret_key="first", **options), user="Ada")
    both = make_manager(secret_key="second", secret_key_fallbacks=["first"], **options)
    clock.move(1000)
    request = Request(both, header)
    assert request.session["user"] == "Ada"
    header = cookie_header(request.commit())
    assert look(make_manager(secret_key="second", **options), header) == {"user": "Ada"}


def test_workers_with_another_first_secret_share_sessions(
    make_manager: MakeManager, clock: Clock
) -> None:
    options = {"clock": clock, "encrypt": True}
    new = make_manager(secret_key="b", secret_key_fallbacks=["a"], **options)
    old = make_manager(secret_key="a", secret_key_fallbacks=["b"], **options)
    header = store(old, n=0)
    for round_ in range(4):
        clock.move(1000)
        for manager in (new, old):
            one, two = Request(old, header), Request(new, header)
            one.session["n"] = two.session["n"] = round_
            one.session[f"one {round_}"] = two.session[f"two {round_}"] = True
            given = (one.commit(), two.commit())[manager is new]
            header = cookie_header(given) if given else header
    names = {f"{who} {n}" for who in ("one", "two") for n in range(4)}
    assert look(new, header) == {"n": 3} | dict.fromkeys(names, True)
    assert look(old, header) == look(new, header)


def test_session_does_not_open_under_another_prefix(
    make_manager: MakeManager, db: redis.Redis, events: list[SessionEvent]
) -> None:
    staging = make_manager(encrypt=True, key_prefix="staging:")
    header = store(staging, user="admin")
    (key,) = db.keys()
    db.set(key.replace(b"staging:", b"live:"), db.get(key), px=60_000)
    assert look(staging, header) == {"user": "admin"}
    assert look(make_manager(encrypt=True, key_prefix="live:"), header) == {}
    assert events[-1].name == "undecodable"


#: How a session may be used without ever being saved.
USES: dict[str, cabc.Callable[[Exchange], object]] = {
    "is never to be saved": lambda found: setattr(session_of(found), "modified", False),
    "is looked at while streaming": lambda found: found.close_headers(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_touch_seals_a_session_however_it_is_used(
    make_manager: MakeManager,
    clock: Clock,
    db: redis.Redis,
    use: cabc.Callable[[Exchange], object],
) -> None:
    header = store(make_manager(clock=clock, encrypt=False), user="Ada")
    manager = make_manager(clock=clock, encrypt="migrate")
    clock.move(1000)
    exchange = manager.exchange({"HTTP_COOKIE": header})
    use(exchange)
    assert session_of(exchange)["user"] == "Ada"
    exchange.finish("200 OK", [])
    exchange.save_and_close()
    assert is_sealed(db.get(db.keys()[0]))
    assert look(make_manager(clock=clock, encrypt=True), header) == {"user": "Ada"}


def test_what_may_be_saved_alone_may_be_merged(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(encrypt=True, max_bytes=40_000)
    header = store(manager, **{f"name-{number}": number for number in range(990)})
    assert db.strlen(db.keys()[0]) > 50_000
    one, two = Request(manager, header), Request(manager, header)
    one.session["name-1"] = two.session["name-2"] = "new"
    one.commit()
    two.commit()
    found = look(manager, header)
    assert found["name-1"] == found["name-2"] == "new"


def test_touch_that_cannot_seal_harms_nobody(
    make_manager: MakeManager, clock: Clock, server: LocalServer, db: redis.Redis
) -> None:
    header = store(make_manager(clock=clock, encrypt=False), user="Ada")
    manager = make_manager(clock=clock, encrypt="migrate")
    clock.move(1000)
    request = Request(manager, header)
    assert request.session["user"] == "Ada"
    limit = db.config_get("maxmemory")["maxmemory"]
    db.config_set("maxmemory", 1)
    try:
        assert request.commit() is None
    finally:
        db.config_set("maxmemory", limit)
    assert look(manager, header) == {"user": "Ada"}


def test_response_that_is_shared_is_not_made_private_by_sealing(
    make_manager: MakeManager, clock: Clock
) -> None:
    header = store(make_manager(clock=clock, encrypt=False), user="Ada")
    manager = make_manager(clock=clock, encrypt="migrate")
    clock.move(1000)
    exchange = manager.exchange({"HTTP_COOKIE": header})
    assert session_of(exchange)["user"] == "Ada"
    headers = exchange.save("200 OK", [("Cache-Control", "public, max-age=60")])
    assert ("Cache-Control", "public, max-age=60") in headers
    assert not any(name == "Set-Cookie" for name, _ in headers)


def test_encryption_without_its_extra_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "wsgi_redis_session.model.seal", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(
        ConfigurationError, match="it needs the package cryptography"
    ) as caught:
        SessionManager("redis://localhost", secret_key=SECRET_KEY, encrypt=True)
    assert caught.value.option == "encrypt"


def test_secret_keys_are_what_signs_the_cookies(make_manager: MakeManager) -> None:
    header = store(make_manager(encrypt=True), user="Ada")
    again = make_manager(encrypt=True, secret_key=SECRET_KEY.encode())
    assert look(again, header) == {"user": "Ada"}

"""What somebody gains who has a dump of Redis, and more.

Each attack is first shown to work where it should, so that its failure says something.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import itertools
import re
import typing as t

import ormsgpack
import pytest
import redis
from conftest import Clock
from conftest import SECRET_KEY
from visitors import cookie_header
from visitors import look
from visitors import Request
from visitors import store

from wsgi_redis_session import SessionManager
from wsgi_redis_session.errors import Undecodable
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.model.record import digest
from wsgi_redis_session.model.record import Stored
from wsgi_redis_session.model.record import Tombstone
from wsgi_redis_session.model.seal import Seal
from wsgi_redis_session.model.values import OWN_NAMES
from wsgi_redis_session.store import layout

MakeManager = cabc.Callable[..., SessionManager]
Dump = dict[bytes, bytes]

VALUES = {"user": "ada", "iban": "DE02120300000000202051"}


@pytest.fixture
def sealing(
    make_manager: MakeManager, clock: Clock, server: LocalServer
) -> SessionManager:
    return make_manager(
        encrypt=True, clock=clock, user_key="user", rotate_interval=3600
    )


def dumped(db: redis.Redis) -> Dump:
    """Everything that Redis has."""
    return {key: t.cast("bytes", db.get(key)) for key in db.scan_iter(_type="string")}


def sid_of(header: str) -> str:
    return header.partition("=")[2].partition(".")[0]


def candidates(dump: Dump) -> set[str]:
    """Whatever in a dump could be taken for a session id: all keys, every run of bytes
    as long as one, and what is written as one."""
    found = set[str]()
    for key, value in dump.items():
        found.add(key.decode().rpartition(":")[2])
        for size, at in itertools.product((8, 18, 24, 32), range(len(value))):
            piece = value[at : at + size]
            found.add(base64.urlsafe_b64encode(piece).decode().rstrip("="))
        found |= {text.decode() for text in re.findall(rb"[A-Za-z0-9_-]{16,}", value)}
    return found


def sessions_in(dump: Dump) -> list[Stored]:
    """Sessions, and those that tombstones keep."""
    found = [layout.parse(value) for value in dump.values()]
    kept = [what.frozen if isinstance(what, Tombstone) else what for what in found]
    return [stored for stored in kept if stored is not None]


def opened(dump: Dump, sids: cabc.Iterable[str]) -> list[dict[str, bytes]]:
    """What all secrets and these session ids open, but for what the library itself
    keeps there."""
    seal = Seal([SECRET_KEY.encode()], "wsgi-session:", accepts_plain=False)
    found = []
    for stored, sid in itertools.product(sessions_in(dump), sids):
        try:
            values = seal.open(stored, sid, "", 0).packed
        except Undecodable:
            continue
        found.append({n: values[n] for n in values if n not in OWN_NAMES})
    return found


def packed(**values: str) -> dict[str, bytes]:
    return {name: ormsgpack.packb(value) for name, value in values.items()}


def test_session_id_and_secret_together_open_a_session(
    sealing: SessionManager, db: redis.Redis
) -> None:
    header = store(sealing, **VALUES)
    assert opened(dumped(db), [sid_of(header)]) == [packed(**VALUES)]


def test_dump_and_all_secrets_open_no_session(
    sealing: SessionManager, clock: Clock, db: redis.Redis
) -> None:
    store(sealing, **VALUES)
    header = store(sealing, csrf="known to the visitor", n="1")
    login = Request(sealing, header)
    login.session["user"] = "ada"
    login.commit()
    ended = Request(sealing, store(sealing, **VALUES))
    ended.session.destroy()
    ended.commit()
    header = store(sealing, **VALUES)
    clock.move(4000)
    Request(sealing, header).commit()  # its old id leads to the new one for a minute
    dump = dumped(db)
    assert len(sessions_in(dump)) == 4
    tried = candidates(dump)
    assert len(tried) > 3000
    assert opened(dump, tried) == []


def test_dump_and_all_secrets_make_no_cookie(
    sealing: SessionManager, make_manager: MakeManager, db: redis.Redis, clock: Clock
) -> None:
    store(sealing, **VALUES)
    attacker = make_manager(encrypt=True, clock=clock)
    now = int(clock.time * 1000)
    for sid in candidates(dumped(db)):
        cookie = attacker.cookie.write(sid, now, False, now, secure=False, max_age=None)
        assert look(attacker, cookie.partition(";")[0]) == {}


def test_dump_and_the_session_id_from_before_a_login_open_nothing_since(
    sealing: SessionManager, db: redis.Redis
) -> None:
    planted = store(sealing, csrf="known to the attacker")
    before = dumped(db)
    login = Request(sealing, planted)
    login.session.update(VALUES)
    header = cookie_header(login.commit())
    after = dumped(db)
    known = sid_of(planted)
    # The visitor's own session opens, and what the attacker knew, as it was.
    whole = packed(csrf="known to the attacker", **VALUES)
    assert opened(after, [sid_of(header)]) == [whole]
    assert opened(after, [known]) == [packed(csrf="known to the attacker")]
    # Nor does anything in the tombstone or in either dump lead on.
    tried = {known, *candidates(after), *candidates(before)}
    assert whole not in opened(after, tried)
    tombstone = layout.read_tombstone(after[f"wsgi-session:{digest(known)}".encode()])
    with pytest.raises(Undecodable):
        tombstone.successor_of(known)
    # Nor is the data key from before that of the new session.
    key_ids = {stored.envelope[:8] for stored in sessions_in(after)}
    assert len(key_ids) == 2
    assert {stored.envelope[:8] for stored in sessions_in(before)} < key_ids


def test_whoever_writes_in_redis_can_be_nobody_else(
    sealing: SessionManager, db: redis.Redis
) -> None:
    """With a session of his own, and every value that is stored."""
    admin = store(sealing, user="admin")
    own = store(sealing, user="eve")
    dump = dumped(db)
    own_key = f"wsgi-session:{digest(sid_of(own))}".encode()
    (admin_key,) = dump.keys() - {own_key}
    mine, other = dump[own_key], dump[admin_key]
    header, envelope = 58, 106
    attempts = [
        other,
        other[:34] + mine[34:42] + other[42:],
        mine[:header] + other[header:],
        mine[:envelope] + other[envelope:],
        mine[:1] + b"\0" + mine[2:header] + ormsgpack.packb(packed(user="admin")),
        b"\0o" + digest(sid_of(admin)).encode() + bytes(32),
        b"\0c" + digest(sid_of(admin)).encode() + other,
        b"\0c"
        + digest(sid_of(admin)).encode()
        + mine[:1]
        + b"\0"
        + mine[2:header]
        + ormsgpack.packb(packed(user="admin")),
    ]
    for value in attempts:
        db.set(own_key, value, px=60_000)
        assert look(sealing, own) == {}
    db.set(own_key, mine, px=60_000)
    assert look(sealing, own) == {"user": "eve"}
    assert look(sealing, admin) == {"user": "admin"}


def test_whoever_writes_in_redis_can_bring_back_what_the_same_session_was(
    sealing: SessionManager, db: redis.Redis
) -> None:
    """What is left, as the documentation says."""
    header = store(sealing, credit="5")
    (key,) = dumped(db)
    before = dumped(db)[key]
    request = Request(sealing, header)
    request.session["credit"] = "0"
    request.commit()
    db.set(key, before, px=60_000)
    assert look(sealing, header) == {"credit": "5"}

"""What stands in Redis under the keys of sessions."""

from __future__ import annotations

import collections
import contextlib
import random
import typing as t

import ormsgpack
import redis

from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer

from .mutations import damaged
from .mutations import deep

_VALUES: dict[str, t.Any] = {
    "user": "ada",
    "cart": [{"sku": "a-1", "quantity": 2}, {"sku": "b-2", "quantity": 1}],
    "theme": "dark",
}

#: In milliseconds: what stands there as a tombstone, stands there for some seconds, so
#: that its visitor is given a new session.
TTL = 50_000


class Clock:
    """A clock that stands still until it is moved; in seconds."""

    time = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time


class Values(t.NamedTuple):
    """What came of the values."""

    values: int
    #: How each was read: as it was, as another session, or as none.
    read: collections.Counter[str]
    #: Saves that met a damaged value, and were refused.
    refused: int
    events: collections.Counter[str]


class Site:
    """A server with sessions of every kind, and the values that they may have."""

    def __init__(self, server: LocalServer, draw: random.Random, sealed: bool) -> None:
        self.clock = Clock()
        self.events: collections.Counter[str] = collections.Counter()
        self.sessions = SessionManager(
            server.url,
            secret_key="a test",
            encrypt=sealed,
            user_key="user",
            rotate_interval=3600,
            clock=self.clock,
            # A busy machine may take its time.
            operation_timeout=60,
            connect_timeout=60,
            read_timeout=60,
            on_event=self._note,
        )
        self.db = redis.Redis.from_url(server.url)
        self.draw = draw
        self.sealed = sealed
        self.seeds = self._genuine()

    def _note(self, event: SessionEvent) -> None:
        self.events[event.name] += 1

    def store(self, **values: t.Any) -> str:
        """Store a new session; the ``Cookie`` header that names it."""
        session = self.sessions.open("")
        session.update(values)
        return self.saved(session, "")

    def saved(self, session: t.Any, header: str) -> str:
        """Commit; the header that the browser sends from then on."""
        cookie = self.sessions.commit(session).cookie
        return header if cookie is None else cookie.partition(";")[0]

    def _genuine(self) -> list[bytes]:
        """Sessions, and every kind of tombstone."""
        self.store(**_VALUES)
        self.store(csrf="known before")
        self.store(n=0)
        header = self.store(csrf="known before")
        session = self.sessions.open(header)
        session["user"] = "ada"
        self.saved(session, header)
        session = self.sessions.open(self.store(**_VALUES))
        session.destroy()
        self.saved(session, "")
        header = self.store(**_VALUES)
        self.clock.time += 4000
        self.saved(self.sessions.load(header), header)
        found: t.Any = [self.db.get(key) for key in self.db.scan_iter(_type="string")]
        return [value for value in found if value is not None]

    def value(self, own: bytes) -> bytes:
        """Something to put under a key; of half of them, the header is right."""
        draw = self.draw
        way = draw.random()
        if way < 0.05:
            return draw.randbytes(draw.choice((0, 1, 2, 59, 200)))
        if way < 0.06 and not self.sealed:
            return own[:58] + ormsgpack.packb({"user": deep(draw)})
        if way < 0.5:
            return damaged(draw, own, self.seeds)
        if way < 0.75:
            start = 106 if self.sealed else 58
            return own[:start] + damaged(draw, own[start:], self.seeds)
        if way < 0.8:
            return own[:58] + ormsgpack.packb({"user": ormsgpack.packb("eve")})
        return damaged(draw, draw.choice(self.seeds), [own])


def fuzz_values(count: int, seed: int, *, sealed: bool) -> Values:
    """Store so many values; raises where a request does, or somebody is locked out."""
    draw = random.Random(seed)
    read: collections.Counter[str] = collections.Counter()
    refused = 0
    with LocalServer() as server:
        site = Site(server, draw, sealed)
        for number in range(count):
            if number % 1000 == 0:
                site.db.flushdb()
                header, key, own = _session(site)
            value = site.value(own)
            if number % 10 == 9:
                refused += _meet(site, header, key, value)
            else:
                site.db.set(key, value, px=TTL)
                read[_visit(site, header)] += 1
            site.db.set(key, own, px=TTL)
        site.sessions.disconnect()
        site.db.close()
    return Values(count, read, refused, site.events)


def _session(site: Site) -> tuple[str, str, bytes]:
    header = site.store(**_VALUES)
    session = site.sessions.load(header)
    key = f"{site.sessions.config.key_prefix}{session.id}"
    own: t.Any = site.db.get(key)
    return header, key, own


def _visit(site: Site, header: str) -> str:
    """Read a session under whose key anything may stand, and store something: the next
    request has it."""
    site.clock.time += site.draw.choice((0, 0, 400))  # and touches fall due
    session = site.sessions.open(header)
    found = session.copy()
    if site.sealed:
        found.pop("late", None)
        # Whoever writes in Redis can take values away, and that is all.
        assert all(_VALUES.get(name) == found[name] for name in found), found
    session["visits"] = 1
    kept = site.sessions.open(site.saved(session, header))
    assert kept["visits"] == 1, "locked out"
    return "whole" if found == _VALUES else "other" if found else "none"


def _meet(site: Site, header: str, key: str, value: bytes) -> bool:
    """A request saves, and what it had loaded was damaged meanwhile; whether it was
    told so."""
    session = site.sessions.load(header)
    site.db.set(key, value, px=TTL)
    session["late"] = 1
    is_refused = True
    with contextlib.suppress(SessionUnavailable):
        site.saved(session, header)
        is_refused = False
    _visit(site, header)
    return is_refused

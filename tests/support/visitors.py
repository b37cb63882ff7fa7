"""Requests of one visitor, taken apart so that a test decides how they interleave."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import redis

from wsgi_redis_session import Session
from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session.request.exchange import Exchange


def cookie_header(set_cookie: str | None) -> str:
    """What a browser sends back for a Set-Cookie value."""
    assert set_cookie is not None
    return set_cookie.partition(";")[0]


def store(manager: SessionManager, **values: t.Any) -> str:
    """Store a new session; the Cookie header that names it."""
    session = manager.open("")
    session.update(values)
    return cookie_header(manager.commit(session).cookie)


def session_of(exchange: Exchange) -> Session:
    """What the application has of a request."""
    return exchange.parts.session_class(exchange)


def look(manager: SessionManager, header: str) -> dict[str, t.Any]:
    """What the next request with this Cookie header sees."""
    return manager.open(header).copy()


def commands(db: redis.Redis, action: cabc.Callable[[], object]) -> dict[str, int]:
    """How often the server was asked for what, according to itself."""
    db.config_resetstat()
    action()
    stats = db.info("commandstats")
    return {
        name.removeprefix("cmdstat_"): stat["calls"]
        for name, stat in stats.items()
        if not name.startswith(("cmdstat_config", "cmdstat_info"))
    }


def names(events: list[SessionEvent]) -> list[str]:
    """What was told, in its order."""
    return [event.name for event in events]


def pass_time(db: redis.Redis, seconds: float) -> None:
    """Let time pass for all that is stored."""
    for key in db.scan_iter():
        # A time that is not positive deletes it at once.
        db.pexpire(key, round(db.pttl(key) - seconds * 1000))


def assert_nothing_is_left(db: redis.Redis) -> None:
    """Nothing but what says, for a minute, that a session has ended."""
    for key in db.scan_iter():
        assert db.get(key) == b"\0e"
        assert 0 < db.pttl(key) <= 60_000


class Request:
    """A request that has loaded its session and has not committed it yet."""

    def __init__(self, manager: SessionManager, header: str) -> None:
        self.manager = manager
        self.header = header
        self.session: Session = manager.load(header)

    def commit(self) -> str | None:
        """The Set-Cookie value of the response."""
        return self.manager.commit(self.session).cookie


def login(manager: SessionManager, header: str = "", user: t.Any = "Ada") -> str:
    """Log in; the browser's cookie."""
    return store_more(manager, header, user=user)


def given_to(header: str, request: Request) -> str:
    """The browser's cookie after a request."""
    given = request.commit()
    return header if given is None else cookie_header(given)


def store_more(manager: SessionManager, header: str, **values: t.Any) -> str:
    request = Request(manager, header)
    request.session.update(values)
    return given_to(header, request)


def rotated(manager: SessionManager, header: str) -> str:
    request = Request(manager, header)
    request.session.get("user")
    return given_to(header, request)

"""Requests of one visitor, taken apart so that a test decides how they interleave."""

from __future__ import annotations

import typing as t

from wsgi_redis_session import Session
from wsgi_redis_session import SessionManager


def cookie_header(set_cookie: str | None) -> str:
    """What a browser sends back for a Set-Cookie value."""
    assert set_cookie is not None
    return set_cookie.partition(";")[0]


def store(manager: SessionManager, **values: t.Any) -> str:
    """Store a new session; the Cookie header that names it."""
    session = manager.open("")
    session.update(values)
    return cookie_header(manager.commit(session).cookie)


def look(manager: SessionManager, header: str) -> dict[str, t.Any]:
    """What the next request with this Cookie header sees."""
    return manager.open(header).copy()


class Request:
    """A request that has loaded its session and has not committed it yet."""

    def __init__(self, manager: SessionManager, header: str) -> None:
        self.manager = manager
        self.header = header
        self.session: Session = manager.load(header)

    def commit(self) -> str | None:
        """The Set-Cookie value of the response."""
        return self.manager.commit(self.session).cookie

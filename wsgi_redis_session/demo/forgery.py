"""Cookies that were never given to anybody, and what becomes of those who send them."""

from __future__ import annotations

import dataclasses
import secrets
import typing as t

from ..manager import SessionManager
from ..middleware import get_session

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One cookie that was tried."""

    what: str
    #: Who that is, "" for somebody whom the library does not know.
    user: str
    #: Whether it opened a session.
    works: bool


def own_cookie(sessions: SessionManager, environ: WSGIEnvironment) -> str:
    """The genuine value of the cookie that opened a request's session, or "".

    A browser may send others of that name with it.
    """
    name, sid = sessions.config.cookie_name, get_session(environ).sid
    for value in sorted(sessions.cookie.values(environ.get("HTTP_COOKIE", ""))):
        if value.startswith(f"{sid}.") and sessions.cookie.read(f"{name}={value}"):
            return value
    return ""


def forged(cookie: str) -> dict[str, str]:
    """A genuine cookie, and what somebody could make of it."""
    sid, created, kind, rest = cookie.split(".", 3)
    changed = ("A" if sid[0] != "A" else "B") + sid[1:]
    return {
        "your own cookie": cookie,
        "one letter of it changed": f"{changed}.{created}.{kind}.{rest}",
        "an id somebody made up": f"{secrets.token_urlsafe()}.{created}.{kind}.{rest}",
        "made to last a month": f"{sid}.{created}.{'p' if kind == 's' else 's'}.{rest}",
        "the signature left out": cookie.rpartition(".")[0],
    }


def attempts(sessions: SessionManager, cookie: str) -> list[Attempt]:
    """Come with each of them, as a browser would."""
    found = []
    for what, value in forged(cookie).items():
        session = sessions.load(f"{sessions.config.cookie_name}={value}")
        found.append(Attempt(what, session.get("user", ""), not session.new))
    return found

"""Other devices of a visitor, for a page that runs on one only."""

from __future__ import annotations

import typing as t

from ..manager import SessionManager
from ..model.info import SessionInfo

#: What they call themselves, and where they come from (RFC 5737).
_DEVICES = {
    "phone": ("Safari on a phone", "192.0.2.17"),
    "tablet": ("Chrome on a tablet", "198.51.100.4"),
}


def log_in(sessions: SessionManager, user: str, device: str) -> str:
    """The ``Cookie`` header of a device after it has logged in. Raises
    :exc:`KeyError` for one that is not known."""
    user_agent, address = _DEVICES[device]
    environ = {"HTTP_USER_AGENT": user_agent, "REMOTE_ADDR": address}
    session = sessions.session_class(sessions.exchange(environ))
    session["user"] = user
    cookie = sessions.commit(session).cookie or ""
    return cookie.partition(";")[0]


def who(sessions: SessionManager, cookie_header: str) -> str | None:
    """Who is logged in on the device that sends this header."""
    user: str | None = sessions.load(cookie_header).get("user")
    return user


def shown(info: SessionInfo) -> dict[str, t.Any]:
    """A session as the list of devices has it."""
    return {
        "name": _name(info.user_agent or ""),
        "address": info.address or "",
        "current": info.current,
    }


def _name(user_agent: str) -> str:
    """A browser's name as people say it; a user agent of a real one names them all."""
    for mark, name in (
        ("Firefox/", "Firefox"),
        ("Edg/", "Edge"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ):
        if mark in user_agent:
            return name
    return user_agent or "a browser"

"""What happens to sessions, and who is told.

Every event goes to the logger ``wsgi_redis_session`` and to the ``on_event`` option.
No event carries a session id, a stored value or a secret.
"""

from __future__ import annotations

import collections.abc as cabc
import logging
import typing as t

logger = logging.getLogger("wsgi_redis_session")

EventName = t.Literal[
    "created",
    "destroyed",
    "regenerated",
    "rotated",
    "rejected",
    "unknown",
    "lost",
    "undecodable",
    "unavailable",
    "desynchronised",
    "late",
    "migrated",
]

#: A failure is a warning; what any visitor can cause, or does every day, is not.
_LEVELS: dict[EventName, int] = {
    "created": logging.DEBUG,
    "destroyed": logging.DEBUG,
    "regenerated": logging.DEBUG,
    "rotated": logging.DEBUG,
    "rejected": logging.INFO,
    "unknown": logging.INFO,
    "lost": logging.WARNING,
    "undecodable": logging.WARNING,
    "unavailable": logging.WARNING,
    "desynchronised": logging.WARNING,
    "late": logging.ERROR,
    "migrated": logging.INFO,
}


#: So many characters of an event's text are kept.
_MAX_DETAIL = 500


class SessionEvent(t.NamedTuple):
    """One thing that happened to a session.

    ``name`` is one of

    ``created``, ``regenerated``, ``destroyed``
        the application stored the first value, gave the session a new session id, or
        ended it;
    ``rotated``
        a session id was old and was replaced, see ``rotate_interval``;
    ``rejected``
        a cookie was malformed, forged, or signed with a secret that is not known;
    ``unknown``
        a cookie of ours names a session that has ended or expired;
    ``lost``
        changes were dropped, because the session ended or got a new session id while
        the request ran, or because Redis was away and ``on_unavailable`` is
        ``"anonymous"``;
    ``undecodable``
        the stored bytes cannot be read, and the visitor gets a new session;
    ``unavailable``
        Redis could not be asked;
    ``desynchronised``
        a connection gave the reply to somebody else's question, and was closed;
    ``migrated``
        a session that another library had stored became one of ours;
    ``late``
        a change needed a cookie after the headers had left.

    ``session_id`` is :attr:`Session.id <wsgi_redis_session.Session.id>`, safe to log,
    or ``None`` where no session is known; ``detail`` says more in words.
    """

    name: EventName
    session_id: str | None = None
    detail: str = ""


class EventLog:
    """Tells the logger and the application's ``on_event``."""

    def __init__(
        self, on_event: cabc.Callable[[SessionEvent], object] | None = None
    ) -> None:
        self.on_event = on_event

    def emit(
        self, name: EventName, session_id: str | None = None, detail: str = ""
    ) -> None:
        """Report one event; an observer that fails is logged and harms nobody."""
        session_id, detail = session_id and _one_line(session_id), _one_line(detail)
        level = _LEVELS[name]
        if logger.isEnabledFor(level):
            logger.log(level, "session %s: %s %s", session_id or "-", name, detail)
        if self.on_event is None:
            return
        try:
            self.on_event(SessionEvent(name, session_id, detail))
        except Exception:  # the observer's code may raise anything
            logger.exception("on_event failed for the event %r", name)


def _one_line(text: str) -> str:
    """Names in a session may come from a visitor, who is not to forge lines in a log
    (ASVS 5.0, V16.4.1), nor to fill it."""
    if len(text) > _MAX_DETAIL:
        text = f"{text[:_MAX_DETAIL]}..."
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)

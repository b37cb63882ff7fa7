"""What happens to sessions, and who is told.

Every event goes to the observers, which the option ``on_event`` names, and all but
``loaded`` and ``saved`` to the logger ``wsgi_redis_session``. No event carries a
session id, a secret or a stored value, but for who the user is.
"""

from __future__ import annotations

import collections.abc as cabc
import logging
import typing as t

from .outage_log import logger as logger  # the one that all events go to
from .outage_log import OutageLog

EventName = t.Literal[
    "created",
    "loaded",
    "saved",
    "merged",
    "conflict",
    "regenerated",
    "rotated",
    "migrated",
    "destroyed",
    "revoked",
    "expired",
    "unknown",
    "rejected",
    "lost",
    "late",
    "undecodable",
    "unavailable",
    "desynchronised",
]

#: A failure is a warning; what any visitor can cause, or does every day, is not. What
#: is not here happens with each request, and is for observers only.
_LEVELS: dict[EventName, int] = {
    "created": logging.DEBUG,
    "merged": logging.DEBUG,
    "conflict": logging.DEBUG,
    "regenerated": logging.DEBUG,
    "rotated": logging.DEBUG,
    "migrated": logging.INFO,
    "destroyed": logging.DEBUG,
    "revoked": logging.INFO,
    "expired": logging.INFO,
    "unknown": logging.INFO,
    "rejected": logging.INFO,
    "lost": logging.WARNING,
    "late": logging.ERROR,
    "undecodable": logging.WARNING,
    "unavailable": logging.WARNING,
    "desynchronised": logging.WARNING,
}

#: So many characters of an event's text are kept.
_MAX_DETAIL = 500


class SessionEvent(t.NamedTuple):
    """One thing that happened to a session.

    ``name`` is one of

    ``created``, ``regenerated``, ``destroyed``
        the application stored the first value, gave the session a new session id, or
        ended it;
    ``loaded``, ``saved``
        a request looked at a session, or stored changes in it; only observers are told;
    ``merged``
        others had saved since the request had loaded the session, and both kept their
        changes;
    ``conflict``
        both had changed the same name, and ``on_conflict`` has decided;
    ``rotated``
        a session id was old and was replaced, see ``rotate_interval``;
    ``migrated``
        a session that another library had stored became one of ours;
    ``revoked``
        somebody else has ended the session: an operator, or its user elsewhere, by a
        login beyond ``max_sessions_per_user``, too;
    ``expired``
        a cookie of ours names a session that is over by the cookie's own times;
    ``unknown``
        a cookie of ours names a session that has ended for another reason;
    ``rejected``
        a cookie was malformed, forged, or signed with a secret that is not known;
    ``lost``
        changes were dropped, because the session ended or got a new session id while
        the request ran, or because Redis was away and ``on_unavailable`` is
        ``"anonymous"``;
    ``late``
        a change needed a cookie after the headers had left;
    ``undecodable``
        the stored bytes cannot be read, and the visitor gets a new session;
    ``unavailable``
        Redis could not be asked;
    ``desynchronised``
        a connection gave the reply to somebody else's question, and was closed.

    Every field but the first is ``None``, or empty, where it is not known.
    """

    name: EventName
    #: :attr:`Session.id <wsgi_redis_session.Session.id>`, safe to log.
    session_id: str | None = None
    #: More, in words.
    detail: str = ""
    #: When it happened, in seconds since the epoch.
    time: float = 0.0
    #: Whose session it is, by ``user_key``: a digest that only the secret key makes,
    #: or with ``event_users="plain"`` the identifier itself.
    user: str | None = None
    #: ``REMOTE_ADDR`` of the request, as far as ``keep_address`` allows.
    address: str | None = None
    #: Its ``User-Agent``, with ``keep_user_agent``.
    agent: str | None = None
    #: How long loading or saving took, in seconds, where Redis was asked.
    duration: float | None = None


#: Is called with each event.
Observer = cabc.Callable[[SessionEvent], object]


class Circumstances(t.NamedTuple):
    """Whose session and which request an event is about; see :class:`SessionEvent`."""

    user: str | None = None
    address: str | None = None
    agent: str | None = None
    duration: float | None = None


UNKNOWN = Circumstances()


class Tell(t.Protocol):
    """Reports an event of a request."""

    def __call__(
        self,
        name: EventName,
        session_id: str | None = None,
        detail: str = "",
        *,
        duration: float | None = None,
    ) -> None: ...


def _standing_still() -> float:
    return 0.0


class EventLog:
    """Tells the logger and any number of observers.

    ``clock`` returns the seconds since the epoch; without one, an outage never ends. An
    observer that fails is logged; it harms neither the request nor the other observers.
    Observers are told of each event, the logger of an outage in few lines, see
    :class:`OutageLog`.
    """

    def __init__(
        self,
        on_event: Observer | cabc.Iterable[Observer] | None = None,
        clock: cabc.Callable[[], float] = _standing_still,
    ) -> None:
        self.outage = OutageLog(clock)
        #: Those who are told of each event.
        self.observers = [on_event] if callable(on_event) else [*(on_event or ())]
        #: Those who come and go; while there are none, nobody has to be told.
        self.listeners: cabc.Collection[object] = ()
        self._tell_listeners: Observer | None = None
        self._clock = clock

    def listen(self, listeners: cabc.Collection[object], tell: Observer) -> None:
        """Call ``tell`` with each event while there is anything in ``listeners``."""
        self.listeners, self._tell_listeners = listeners, tell

    def is_heard(self, name: EventName) -> bool:
        """Whether anybody will be told of such an event."""
        if self.observers or self.listeners:
            return True
        return name in _LEVELS and logger.isEnabledFor(_LEVELS[name])

    def emit(
        self,
        name: EventName,
        session_id: str | None = None,
        detail: str = "",
        about: Circumstances = UNKNOWN,
        *,
        is_outage: bool = False,
    ) -> None:
        """Report one event.

        ``is_outage`` says that Redis did not answer, as ``unavailable`` always does.
        """
        is_outage = is_outage or name == "unavailable"
        if not (is_outage or self.is_heard(name)):
            return
        event = SessionEvent(
            name,
            session_id and _one_line(session_id),
            _one_line(detail),
            self._clock(),
            about.user and _one_line(about.user),
            about.address and _one_line(about.address),
            about.agent and _one_line(about.agent),
            about.duration,
        )
        if is_outage:
            self.outage.met(*_line(event), event=event)
        elif name in _LEVELS:
            extra = {"session_event": event}
            logger.log(_LEVELS[name], *_line(event), extra=extra)
        for observe in self.observers:
            report(observe, event)
        if self.listeners and self._tell_listeners is not None:
            report(self._tell_listeners, event)


def _line(event: SessionEvent) -> tuple[str, str, str, str, str]:
    """What is logged; ``session_event`` of the logging record is the event itself."""
    known = {"user": event.user, "address": event.address}
    about = ", ".join(f"{name} {value}" for name, value in known.items() if value)
    return (
        "session %s: %s %s%s",
        event.session_id or "-",
        event.name,
        event.detail,
        about and f" ({about})",
    )


def report(observe: Observer, event: SessionEvent) -> None:
    """Tell one observer; one that fails is logged and harms nobody."""
    try:
        observe(event)
    except Exception:  # the observer's code may raise anything
        logger.exception("an observer failed for the event %r", event.name)


def _one_line(text: str) -> str:
    """Names in a session and headers come from visitors, who are not to forge lines in
    a log (ASVS 5.0, V16.4.1), nor to fill it."""
    if len(text) > _MAX_DETAIL:
        text = f"{text[:_MAX_DETAIL]}..."
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)

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

#: How often an outage is told about while it lasts, and how long there must have been
#: none before it is over, in seconds.
_OUTAGE_INTERVAL = 10


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


class OutageLog:
    """Tells the logger about an outage: once, then how often it was met, each ten
    seconds, and when it is over. A busy site would fill its log otherwise.

    Threads that meet it in the same instant may be counted as one.
    """

    def __init__(self, clock: cabc.Callable[[], float]) -> None:
        self._clock = clock
        #: Whether there is one, as far as anybody has noticed.
        self.is_on = False
        self._began = self._met = self._told = 0.0
        self._times = self._times_told = 0

    def met(self, text: str, *args: object) -> None:
        """Somebody was hindered, in these words, which are put together as the logger
        does."""
        now = self._met = self._clock()
        is_first, self.is_on = not self.is_on, True
        if is_first:
            self._began = self._told = now
            self._times, self._times_told = 1, 0
            logger.warning(text, *args)
            return
        self._times += 1
        # A clock may be set back.
        if 0 <= now - self._told < _OUTAGE_INTERVAL:
            return
        times = self._times - self._times_told
        self._told, self._times_told = now, self._times
        logger.warning(
            "sessions unavailable for %.0f s, %d times since the last line; %s",
            now - self._began,
            times,
            text % args,
        )

    def answered(self) -> None:
        """Redis has answered somebody; to be called only while :attr:`is_on`.

        An outage of one node of a cluster, or of writing alone, goes on between the
        answers, so it is over only when nobody has met it for ten seconds.
        """
        if not self.is_on or 0 <= self._clock() - self._met < _OUTAGE_INTERVAL:
            return
        self.is_on = False
        logger.warning(
            "sessions available again: unavailable %d times in %.0f s",
            self._times,
            self._met - self._began,
        )


def _standing_still() -> float:
    return 0.0


class EventLog:
    """Tells the logger and the application's ``on_event``.

    ``clock`` returns seconds; without one, an outage never ends. The observer is told
    of each event; the logger of an outage in few lines, see :class:`OutageLog`.
    """

    def __init__(
        self,
        on_event: cabc.Callable[[SessionEvent], object] | None = None,
        clock: cabc.Callable[[], float] = _standing_still,
    ) -> None:
        self.on_event = on_event
        self.outage = OutageLog(clock)

    def emit(
        self,
        name: EventName,
        session_id: str | None = None,
        detail: str = "",
        *,
        is_outage: bool = False,
    ) -> None:
        """Report one event; an observer that fails is logged and harms nobody.

        ``is_outage`` says that Redis did not answer, as ``unavailable`` always does.
        """
        session_id, detail = session_id and _one_line(session_id), _one_line(detail)
        level, text = _LEVELS[name], "session %s: %s %s"
        if is_outage or name == "unavailable":
            self.outage.met(text, session_id or "-", name, detail)
        elif logger.isEnabledFor(level):
            logger.log(level, text, session_id or "-", name, detail)
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

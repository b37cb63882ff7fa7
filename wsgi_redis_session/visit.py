"""One request's way to its session: from the browser's cookie to what is stored."""

from __future__ import annotations

import typing as t

from .config import SessionConfig
from .cookie import SessionCookie
from .cookie import Ticket
from .errors import HeadersAlreadySent
from .errors import SessionUnavailable
from .errors import Undecodable
from .events import EventLog
from .events import EventName
from .lifetimes import Lifetimes
from .record import digest
from .record import Record
from .serializer import Serializer
from .store import RedisStore

if t.TYPE_CHECKING:
    from .legacy import LegacyReader


class Site(t.NamedTuple):
    """What all requests of a site share."""

    config: SessionConfig
    cookie: SessionCookie
    events: EventLog
    legacy: LegacyReader | None
    lifetimes: Lifetimes
    serializer: Serializer
    store: RedisStore


class Visit:
    """Where the session of one request comes from.

    It is the :class:`~wsgi_redis_session.session.Source` of a session.
    """

    __slots__ = (
        "bears_outage",
        "closed",
        "complete",
        "failure",
        "gone",
        "had_cookie",
        "header",
        "raises_once",
        "renew_cookie",
        "script_name",
        "site",
        "tickets",
    )

    def __init__(self, site: Site, header: str, script_name: str) -> None:
        self.site = site
        self.header = header
        self.script_name = script_name
        #: Genuine cookies whose sessions may be alive.
        self.tickets: list[Ticket] = []
        #: Whether the browser sent a cookie of our name at all.
        self.had_cookie = False
        #: Whether the session was prolonged, and its cookie is to be as well.
        self.renew_cookie = False
        #: Whether the session ended while the request ran.
        self.gone = False
        #: Whether nothing of the application runs any more but to close the body.
        self.complete = False
        #: Whether the request is over.
        self.closed = False
        #: Whether the session reads as empty in an outage. Nothing can be saved in it.
        self.bears_outage = site.config.on_unavailable == "anonymous"
        #: Whether it does so when the outage was raised once, as error pages need it.
        self.raises_once = False
        #: Why nobody knows which session this is.
        self.failure: SessionUnavailable | None = None

    def load(self) -> Record:
        """Ask Redis, once: an outage is not waited for again in the same request."""
        if self.failure is not None:
            return self._without_redis(self.failure)
        site = self.site
        tickets = site.cookie.read(self.header)
        self.had_cookie = tickets is None or bool(tickets)
        self.tickets = tickets or []
        try:
            record = self._first_alive() or self._foreign()
        except SessionUnavailable as failure:
            self.failure = failure
            site.events.emit("unavailable", None, str(failure.__cause__ or failure))
            return self._without_redis(failure)
        if record is None and tickets is None:
            site.events.emit("rejected", None, "the cookie is not one of ours")
        return record or self.fresh()

    def _without_redis(self, failure: SessionUnavailable) -> Record:
        if self.bears_outage:
            return self.fresh()
        self.bears_outage = self.raises_once
        raise SessionUnavailable(failure.detail) from failure.__cause__

    def fresh(self) -> Record:
        """A new session."""
        return Record.fresh(self.site.lifetimes.now(), self.site.config.permanent)

    def undecodable(self, record: Record) -> None:
        """Report stored values that cannot be read."""
        self.site.events.emit("undecodable", record.id, "a value cannot be read")

    def refuse(self, record: Record, change: str) -> t.NoReturn:
        """Report a change that came after the headers, and raise."""
        message = f"{change} needs a cookie, but the headers have left"
        self.site.events.emit("late", record.id, message)
        raise HeadersAlreadySent(
            f"{message}; do it before the first byte of the body is sent."
        )

    def _first_alive(self) -> Record | None:
        for ticket in list(self.tickets):
            try:
                record = self._find(ticket)
            except Undecodable as error:
                self._emit("undecodable", ticket, str(error))
            else:
                if record is not None:
                    return record
                self._emit("unknown", ticket, "ended or expired")
            self.tickets.remove(ticket)
        return None

    def _foreign(self) -> Record | None:
        """The session that another library's cookie names."""
        site = self.site
        if site.legacy is None:
            return None
        for value in site.cookie.values(self.header):
            sid = site.legacy.sid(value)
            stored = sid and site.store.load_foreign(site.config.migrate_prefix + sid)
            if not sid or not stored:
                continue
            try:
                values, permanent = site.legacy.loads(stored)
                packed = {
                    name: site.serializer.dumps(value) for name, value in values.items()
                }
            except (TypeError, ValueError) as error:
                site.events.emit("undecodable", digest(sid), str(error))
            else:
                fresh = Record.fresh(site.lifetimes.now(), permanent)
                return fresh._replace(packed=packed, foreign_sid=sid)
        return None

    def _find(self, ticket: Ticket) -> Record | None:
        lifetimes, store = self.site.lifetimes, self.site.store
        if lifetimes.is_over(ticket.created):
            return None
        due = lifetimes.is_touch_due(ticket.issued, ticket.permanent)
        expiry = lifetimes.expiry(ticket.created) if due else None
        ttl = expiry.of(ticket.permanent) if expiry is not None else None
        record = store.load(ticket.sid, ttl)
        if record is None:
            return None
        self.renew_cookie = due
        if (record.created, record.permanent) != ticket[1:3]:
            return self._corrected(record, due)
        return record

    def _corrected(self, record: Record, was_touched: bool) -> Record | None:
        """What is stored is true, whatever an older cookie says."""
        expiry = self.site.lifetimes.expiry(record.created)
        if expiry is None:
            return None
        if was_touched:
            self.site.store.touch(record, expiry.of(record.permanent))
        self.renew_cookie = True
        return record

    def _emit(self, name: EventName, ticket: Ticket, detail: str) -> None:
        self.site.events.emit(name, digest(ticket.sid), detail)

"""From the browser's cookie to what is stored."""

from __future__ import annotations

import collections.abc as cabc
import enum
import typing as t

from ..config import SessionConfig
from ..errors import Undecodable
from ..events import EventLog
from ..events import EventName
from ..events import Tell
from ..http.cookie import SessionCookie
from ..http.cookie import Ticket
from ..lifetimes import Lifetimes
from ..lifetimes import MAX_LINKS
from ..model.packing import Packing
from ..model.record import digest
from ..model.record import Record
from ..model.record import State
from ..model.record import Tombstone
from ..model.session import Session
from ..store.sessions import RedisStore
from ..transport.deadline import Deadline
from .directory import Directory
from .directory import Request
from .turns import Turns
from .user import UserKey

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Predecessor(t.Protocol):
    """Another library's session, whose place one of ours is to take."""

    #: Its session id.
    sid: str
    #: Its contents, as a new session of ours.
    record: Record

    def retire(
        self,
        deadline: Deadline,
        seen: Record,
        tombstone: Tombstone,
        ttl: int,
        *,
        freeze: bool,
    ) -> Record | Tombstone | None:
        """Let the session of ours that the tombstone names take its place, for as many
        milliseconds; with ``freeze`` the tombstone keeps what was seen.

        ``None`` if that was done; else what has become of it meanwhile.
        """

    def end(self, deadline: Deadline) -> None:
        """End it, and what took its place."""


class Adoption(t.Protocol):
    """Finds sessions that another library has stored."""

    def find(
        self, deadline: Deadline, values: cabc.Iterable[str], tell: Tell
    ) -> cabc.Iterator[tuple[str, Predecessor | Tombstone]]:
        """What the values of a browser's cookies name: session ids, each with its
        session or with what became of it."""


class Outage(enum.Enum):
    """What a look at a session does while Redis does not answer."""

    #: It raises, each time.
    RAISE = enum.auto()
    #: It raises once; then the session reads as empty, as error pages need it.
    RAISE_ONCE = enum.auto()
    #: The session reads as empty. Nothing can be saved in it.
    READ_EMPTY = enum.auto()


class Found(t.NamedTuple):
    """The session that a request gets, and what is known of it."""

    #: What is stored; for one that is not live any more, what can still be read.
    base: Record
    state: State
    #: Whether the session was prolonged, and its cookie is to be as well.
    is_cookie_due: bool = False
    #: Whether the session id is so old that it is to be replaced.
    is_rotation_due: bool = False
    #: What stands in the place of a session that was renewed or ended.
    tombstone: Tombstone | None = None
    #: The digest of the session id where it stands.
    old_id: str = ""
    #: Another library's session that this one is to replace.
    predecessor: Predecessor | None = None


class Loader:
    """Finds out which session a request gets, asking Redis as little as possible.

    Its methods raise :exc:`~wsgi_redis_session.SessionUnavailable`.
    """

    def __init__(
        self,
        store: RedisStore,
        cookie: SessionCookie,
        lifetimes: Lifetimes,
        adoption: Adoption | None,
        directory: Directory | None,
        config: SessionConfig,
    ) -> None:
        self._store = store
        self._cookie = cookie
        self._lifetimes = lifetimes
        self._adoption = adoption
        self._directory = directory
        self._permanent = config.permanent

    def fresh(self) -> Record:
        """A new session."""
        return Record.fresh(self._lifetimes.now(), self._permanent)

    def find(
        self, deadline: Deadline, tickets: list[Ticket], request: Request, header: str
    ) -> Found | None:
        """The session that one of these cookies names; where none is alive, what is
        left of the first one of which something is left.

        ``header`` is the whole ``Cookie`` header, in which those of another library may
        be.
        """
        left: Found | None = None
        for ticket in tickets:
            try:
                found = self._find(deadline, ticket)
                if found is not None and found.is_cookie_due:
                    found = self._noticed(deadline, ticket, found, request)
            except Undecodable as error:
                _tell_undecodable(request, deadline, ticket.sid, error)
                continue
            if found is not None and found.state is State.LIVE:
                return found
            self._tell_over(request, deadline, ticket, is_gone=found is None)
            left = left or found
        if self._adoption is None:
            return left
        return self._find_predecessor(deadline, request, header) or left

    def _noticed(
        self, deadline: Deadline, ticket: Ticket, found: Found, request: Request
    ) -> Found | None:
        """A session that begins to idle anew, when the index knows of it; or what has
        become of it meanwhile: its cookie must not be given again then."""
        directory = self._directory
        if directory is None or not directory.knows(found.base):
            return found
        directory.notice(deadline, found.base, request.visitor)
        again = self._find(deadline, ticket)
        if again is None or (again.state, again.base.id) != (State.LIVE, found.base.id):
            directory.leave(deadline, found.base)
        return again

    def _find_predecessor(
        self, deadline: Deadline, request: Request, header: str
    ) -> Found | None:
        """The session that a cookie of another library names."""
        assert self._adoption is not None
        values = self._cookie.values(header)
        for sid, what in self._adoption.find(deadline, values, request.tell):
            if not isinstance(what, Tombstone):
                if self._directory and self._directory.refuses(deadline, what.record):
                    what.end(deadline)
                    continue
                return Found(what.record, State.LIVE, predecessor=what)
            try:
                found = self._follow(deadline, sid, what)
            except Undecodable as error:
                _tell_undecodable(request, deadline, sid, error)
                continue
            if found is not None:
                return found
        return None

    def _find(self, deadline: Deadline, ticket: Ticket) -> Found | None:
        """``None`` where there is nothing any more."""
        lifetimes = self._lifetimes
        due = lifetimes.due(
            ticket.created, ticket.permanent, ticket.drawn, ticket.issued
        )
        if due is None:
            return None
        is_touch_due, is_rotation_due = due
        touch = lifetimes.touch() if is_touch_due else None
        found = self._store.load(deadline, ticket.sid, ticket.drawn, touch)
        if type(found) is Tombstone:
            return self._follow(deadline, ticket.sid, found)
        # What is stored is true, whatever the cookie says.
        if found.created != ticket.created and lifetimes.is_over(found.created):
            return None
        return Found(found, State.LIVE, is_touch_due, is_rotation_due)

    def _follow(self, deadline: Deadline, sid: str, found: Tombstone) -> Found | None:
        """Go where a session id leads that is not that of a session any more."""
        lifetimes, store = self._lifetimes, self._store
        for _ in range(MAX_LINKS):
            if found.state is not State.MOVED:
                return self._left(sid, found)
            sid = found.successor_of(sid)
            successor = store.load(deadline, sid, lifetimes.now(), lifetimes.touch())
            if isinstance(successor, Record):
                is_over = lifetimes.is_over(successor.created)
                return None if is_over else Found(successor, State.LIVE, True)
            found = successor
        raise Undecodable("its tombstones lead in a circle")

    def _left(self, sid: str, found: Tombstone) -> Found | None:
        """What is left of a session that was renewed or ended."""
        if found.state is State.GONE:
            return None
        base, frozen = self.fresh(), found.frozen
        if frozen is not None:
            base = base._replace(
                created=frozen.created,
                permanent=frozen.permanent,
                packed=frozen.packed,
            )
        return Found(base, found.state, tombstone=found, old_id=digest(sid))

    def _tell_over(
        self, request: Request, deadline: Deadline, ticket: Ticket, *, is_gone: bool
    ) -> None:
        """A cookie names a session that is not alive any more."""
        times = ticket.created, ticket.issued, ticket.permanent
        is_expired = is_gone and self._lifetimes.has_expired(*times)
        name: EventName = "expired" if is_expired else "unknown"
        request.tell(name, digest(ticket.sid), duration=deadline.spent)


def _tell_undecodable(
    request: Request, deadline: Deadline, sid: str, error: Undecodable
) -> None:
    request.tell("undecodable", digest(sid), str(error), duration=deadline.spent)


class Parts(t.NamedTuple):
    """The parts of a manager, each made once, which all requests share."""

    config: SessionConfig
    cookie: SessionCookie
    #: ``None`` where nobody says who is logged in.
    directory: Directory | None
    events: EventLog
    lifetimes: Lifetimes
    loader: Loader
    #: How long a load or a commit may take, in seconds.
    operation_timeout: float
    packing: Packing
    session_class: type[Session]
    store: RedisStore
    turns: Turns
    user_key: UserKey

    def written(
        self, record: Record, environ: WSGIEnvironment, script_name: str
    ) -> str:
        """The ``Set-Cookie`` value for a session."""
        expiry = self.lifetimes.expiry(record.created)
        max_age = expiry.permanent / 1000 if expiry and record.permanent else None
        return self.cookie.write(
            record.sid,
            record.created,
            record.permanent,
            record.drawn,
            secure=environ.get("wsgi.url_scheme") == "https",
            max_age=max_age,
            script_name=script_name,
        )

    def cleared(self, environ: WSGIEnvironment, script_name: str) -> str:
        """The ``Set-Cookie`` value that makes the browser forget its session."""
        is_secure = environ.get("wsgi.url_scheme") == "https"
        return self.cookie.clear(secure=is_secure, script_name=script_name)

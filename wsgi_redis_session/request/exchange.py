"""All that a door holds of one request: its session, and how it is saved."""

from __future__ import annotations

import collections.abc as cabc
import functools
import threading
import time
import typing as t

from ..errors import HeadersAlreadySent
from ..errors import SessionUnavailable
from ..events import Circumstances
from ..events import EventName
from ..events import UNKNOWN
from ..http.cookie import Ticket
from ..http.headers import Headers
from ..http.headers import is_shared
from ..http.headers import with_session
from ..http.visitor import Visitor
from ..model.draft import Draft
from ..model.outcome import Outcome
from ..model.outcome import UNCHANGED
from ..model.record import digest
from ..model.record import Record
from ..model.record import State
from ..model.record import Tombstone
from ..model.source import Stage
from ..transport.deadline import Deadline
from .commit import Commit
from .loading import Found
from .loading import Outage
from .loading import Parts
from .loading import Predecessor

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: What a session needs that is looked at for the first time when its request is over.
_KEPT = ("HTTP_COOKIE", "REMOTE_ADDR", "HTTP_USER_AGENT")


class Exchange:
    """One request and its response, as far as they concern the session.

    A door opens it with the request, has the application use a session of it, and then
    calls :meth:`finish` with the response's head, :meth:`save_late` when the body has
    been read, and :meth:`close`; or :meth:`abandon` where the application failed.

    It is the source of its session. ``environ`` says how the request came when the
    cookie is written: what stands further inside may have corrected it by then.
    """

    def __init__(self, parts: Parts, environ: WSGIEnvironment) -> None:
        self.parts = parts
        self.environ = environ
        self._script_name: str = environ.get("SCRIPT_NAME", "")
        if parts.directory is not None:
            self._began = time.monotonic_ns()
        self.stage = Stage.OPEN
        self.accessed = False
        #: The session as it was loaded, from the first look until the request is over.
        self.draft: Draft | None = None
        # The lock that is needed while it is loaded, and what is reported after that.
        self._locks: dict[str, t.ContextManager[object]] = {}
        self._held: list[cabc.Callable[[], None]] | None = None
        is_borne = parts.config.on_unavailable == "anonymous"
        self.outage = Outage.READ_EMPTY if is_borne else Outage.RAISE
        #: Why nobody knows which session this is.
        self.failure: SessionUnavailable | None = None
        #: Whether this may end with the body that the application has returned, by
        #: :func:`~.body.end_with_body`; and whether nobody else will end it.
        self.ends_with_body = self.has_left = False
        #: What the response has to tell the browser.
        self.outcome = UNCHANGED

    def load(self) -> Draft:
        """The session that the browser's cookie names, or a new one.

        Redis is asked once: an outage is not waited for again in the same request.
        Events come at the end: observers may look at the session, too. Raises
        :exc:`~wsgi_redis_session.SessionUnavailable`.
        """
        # Threads that the request has started may all look first, at the same time.
        with self._locks.setdefault("load", threading.RLock()):
            if self.draft is not None:
                return self.draft
            held = self._held = []
            try:
                return self._find()
            finally:
                self._held = None
                for emit in held:
                    emit()

    def _find(self) -> Draft:
        #: Whether its cookie is to be prolonged; whether its session id is too old.
        self.is_cookie_due = self.is_rotation_due = False
        #: Another library's session that this one is to replace.
        self.predecessor: Predecessor | None = None
        #: What stands where a session was renewed or ended, and that id's digest.
        self.tombstone: Tombstone | None = None
        self.old_id = ""
        #: The digests of session ids that the browser came with, and that were dealt
        #: with but for a logout.
        self.dealt_with: list[str] = []
        if self.failure is not None:
            return self._read_empty(self.failure)
        parts, deadline = self.parts, Deadline(self.parts.operation_timeout)
        header: str = self.environ.get("HTTP_COOKIE", "")
        tickets = parts.cookie.read(header)
        #: Whether the browser has sent a cookie of our name at all.
        self.had_cookie = tickets is None or bool(tickets)
        #: Genuine cookies, whose sessions may be alive.
        self.tickets: list[Ticket] = tickets or []
        try:
            found = parts.loader.find(deadline, self.tickets, self, header)
        except SessionUnavailable as failure:
            self.failure = failure
            self.tell("unavailable", None, str(failure), duration=deadline.spent)
            return self._read_empty(failure)
        if self.tickets and parts.events.outage.is_on:
            parts.events.outage.answered()
        if found is None:
            if tickets is None:
                self.tell("rejected", None, "the cookie is not one of ours")
            return self._begin()
        return self._go_on(found, deadline)

    def _go_on(self, found: Found, deadline: Deadline) -> Draft:
        """Go on with a session, or with what is left of one."""
        parts, base, state = self.parts, found.base, found.state
        self.is_cookie_due = found.is_cookie_due
        self.is_rotation_due = found.is_rotation_due
        self.predecessor, self.tombstone = found.predecessor, found.tombstone
        self.old_id = found.old_id
        if state is State.LIVE and (parts.events.observers or parts.events.listeners):
            self.tell("loaded", base.id, packed=base.packed, duration=deadline.spent)
        self.draft = Draft(base, state, parts.packing, self)
        return self.draft

    def _read_empty(self, failure: SessionUnavailable) -> Draft:
        if self.outage is Outage.READ_EMPTY:
            return self._begin()
        if self.outage is Outage.RAISE_ONCE:
            self.outage = Outage.READ_EMPTY
        raise SessionUnavailable(failure.detail) from failure.__cause__

    def _begin(self) -> Draft:
        """Begin a new session."""
        self.draft = Draft(self.fresh(), State.NEW, self.parts.packing, self)
        return self.draft

    @property
    def age(self) -> int:
        """How long ago the request began, in microseconds."""
        return (time.monotonic_ns() - self._began) // 1000

    @property
    def visitor(self) -> Visitor:
        """Who has sent it, as far as that may be kept."""
        return Visitor.of(self.environ, self.parts.config)

    def now(self) -> int:
        """In milliseconds since the epoch."""
        return self.parts.lifetimes.now()

    def fresh(self) -> Record:
        """A new session."""
        return self.parts.loader.fresh()

    def undecodable(self, record: Record) -> None:
        """Report stored values that cannot be read."""
        self.tell("undecodable", record.id, "a value cannot be read")

    def refuse(self, record: Record, change: str) -> t.NoReturn:
        """Report a change that came after the headers, and raise."""
        message = f"{change} needs a cookie, but the headers have left"
        self.tell("late", record.id, message, packed=record.packed)
        raise HeadersAlreadySent(
            f"{message}; do it before the first byte of the body is sent."
        )

    def tell(
        self,
        name: EventName,
        session_id: str | None = None,
        detail: str = "",
        *,
        packed: cabc.Mapping[str, bytes] | None = None,
        duration: float | None = None,
        is_outage: bool = False,
    ) -> None:
        """Report an event of this request, about a session that holds so much."""
        parts, about = self.parts, UNKNOWN
        if parts.events.is_heard(name):
            about = Circumstances(parts.user_key.shown(packed), *self.visitor, duration)
        event = name, session_id, detail, about
        emit = functools.partial(parts.events.emit, *event, is_outage=is_outage)
        emit() if self._held is None else self._held.append(emit)

    def commit(self, *, may_rotate: bool = True) -> Outcome:
        """Do what the application wants with its session, before the browser knows.

        Raises what :meth:`SessionManager.commit
        <wsgi_redis_session.SessionManager.commit>` does.
        """
        draft, stage = self.draft, self.stage
        if draft is None or stage is Stage.FAILED or stage is Stage.OVER:
            return UNCHANGED
        is_late = stage is Stage.STREAMING
        is_due = self.is_cookie_due or self.is_rotation_due or self.predecessor
        is_stale = self.is_cookie_due and draft.base.is_stale
        if draft.is_untouched and not (is_stale if is_late else is_due):
            return UNCHANGED
        outcome = Commit(self, draft, is_late=is_late, may_rotate=may_rotate).run()
        if outcome.cookie is not None:
            self.outcome = outcome  # a second commit has none for the same session id
        if draft.replaced and (names := draft.overtaken()):
            detail = f"another request has changed it; dropped: {names}"
            self.tell("lost", draft.base.id, detail)
        return outcome

    def save(self, status: str, headers: Headers) -> Headers:
        """Save the session; the response's headers, with what the session means for
        them. Headers that need nothing come back as they are.

        Where it raises, nothing is saved any more.
        """
        if self.draft is not None:
            try:
                may_rotate = not (self.is_rotation_due and is_shared(status, headers))
                self.commit(may_rotate=may_rotate)
            except BaseException:
                self.abandon()
                raise
        return self.mark(status, headers)

    def mark(self, status: str, headers: Headers) -> Headers:
        """The headers of a response, with what was saved before."""
        name, accessed = self.parts.config.cookie_name, self.accessed
        return with_session(status, headers, self.outcome, name=name, accessed=accessed)

    def finish(self, status: str, headers: Headers) -> Headers:
        """Save the session, and let nothing need a cookie from here on."""
        if self.draft is not None or self.accessed:
            headers = self.save(status, headers)
        if self.stage is Stage.OPEN:
            self.stage = Stage.STREAMING
        return headers

    def save_late(self) -> None:
        """Save what has changed since the headers have left.

        Where it raises, nothing is saved any more.
        """
        self.close_headers()
        draft = self.draft
        if draft is None or (draft.is_untouched and not self.is_cookie_due):
            return
        try:
            self.commit()
        except BaseException:
            self.abandon()
            raise

    def close_headers(self) -> None:
        """The headers have left: nothing may need a cookie from here on."""
        if self.stage is Stage.OPEN:
            self.stage = Stage.STREAMING

    def abandon(self) -> None:
        """The application has failed: nothing is saved any more."""
        if self.stage is not Stage.OVER:
            self.stage = Stage.FAILED

    def close(self) -> None:
        """The request is over: changing its session is an error from here on.

        What refers to this is let go, and so nothing is left to the garbage collector.
        """
        self.stage, self.draft = Stage.OVER, None
        kept: WSGIEnvironment = {}
        for name in _KEPT:
            if name in self.environ:
                kept[name] = self.environ[name]
        self.environ = kept

    def save_and_close(self) -> None:
        """Save what has changed since the headers have left; the request is over."""
        try:
            self.save_late()
        finally:
            self.close()

    def write_cookie(self, record: Record) -> str:
        """The ``Set-Cookie`` value for a session; one that is empty needs none."""
        self.is_cookie_due = False
        if not record.packed:
            return self.clear_cookie()
        return self.parts.written(record, self.environ, self._script_name)

    def clear_cookie(self) -> str:
        """The ``Set-Cookie`` value that makes the browser forget its session."""
        return self.parts.cleared(self.environ, self._script_name)

    def forget(self) -> None:
        """What the browser came with has been dealt with."""
        self.dealt_with = self.named
        if self.predecessor is not None:
            self.dealt_with.append(digest(self.predecessor.sid))
        self.tickets, self.old_id = [], ""
        self.is_cookie_due = self.is_rotation_due = False
        self.predecessor = None

    @property
    def named(self) -> list[str]:
        """The digests of all session ids that the browser came with."""
        old = [self.old_id] if self.old_id else []
        return [*self.dealt_with, *(digest(one.sid) for one in self.tickets), *old]

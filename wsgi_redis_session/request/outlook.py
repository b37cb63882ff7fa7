"""What one commit knows of its session by now."""

from __future__ import annotations

import typing as t

from ..errors import SessionUnavailable
from ..events import EventName
from ..model.draft import Draft
from ..model.record import Record
from ..model.record import shortened
from ..model.record import State
from ..model.record import Stored
from ..model.record import Tombstone
from ..transport.deadline import Deadline
from .step import Sight
from .turns import Contention
from .version import Version

if t.TYPE_CHECKING:
    from .exchange import Exchange


class Outlook:
    """The session as it was last seen, and as the request would store it.

    What it asks raises :exc:`~wsgi_redis_session.SessionUnavailable`.
    """

    def __init__(
        self, exchange: Exchange, draft: Draft, version: Version, deadline: Deadline
    ) -> None:
        self._exchange = exchange
        self._deadline = deadline
        self._session_id = draft.base.id
        #: To be left at the end; ``None`` where nobody else was met.
        self.contention: Contention | None = None
        self.version = version
        self.sight = Sight(draft.state, was_live=draft.state is State.GONE)
        #: What stands in the place of the session, once that is known.
        self.tombstone = exchange.tombstone

    @property
    def earlier_device(self) -> bytes:
        """That of the session before somebody has logged in with it."""
        return self._frozen.device if self._frozen else b""

    def parted(self) -> Record:
        """A session of the request's own, with what it may take along."""
        return self.version.parted(self._frozen, self._exchange.now())

    @property
    def _frozen(self) -> Stored | None:
        return self.tombstone.frozen if self.tombstone else None

    def follow(self, sid: str) -> Record | Tombstone:
        """What is stored where the session has moved to from this session id."""
        assert self.tombstone is not None
        parts, now = self._exchange.parts, self._exchange.now()
        return parts.store.follow(self._deadline, sid, self.tombstone, now)

    def see(self, found: Tombstone) -> None:
        """The session is not there any more."""
        self.tombstone = found
        self.sight = Sight(found.state, was_live=True)

    def meet(self, theirs: Record) -> None:
        """Others have saved, so that this request is to try again."""
        if self.contention is None:
            turns = self._exchange.parts.turns
            self.contention = Contention(turns, self._session_id, self._deadline)
        self.contention.met()
        if self._deadline.left <= 0:
            raise SessionUnavailable("too many requests write this session at once")
        decided = self.version.rebase(theirs)
        if decided:
            self.tell("conflict", theirs, ", ".join(map(shortened, decided)))

    def tell(
        self,
        name: EventName,
        record: Record,
        detail: str = "",
        *,
        is_outage: bool = False,
    ) -> None:
        """Report an event of the commit, about a session."""
        self._exchange.tell(
            name,
            record.id,
            detail,
            packed=record.packed,
            duration=self._deadline.spent,
            is_outage=is_outage,
        )

    def ask_age(self) -> None:
        """Find out how long ago the session was renewed or ended."""
        assert self.tombstone is not None
        parts = self._exchange.parts
        left = parts.store.left(self._deadline, self._exchange.old_id)
        age = parts.lifetimes.age(self.tombstone, left)
        self.sight = self.sight._replace(age=age)

    def ask_successor(self) -> None:
        """Find out whether it goes on under another session id."""
        assert self.tombstone is not None
        store = self._exchange.parts.store
        goes_on = store.goes_on(self._deadline, self.tombstone.successor)
        self.sight = self.sight._replace(goes_on=goes_on)

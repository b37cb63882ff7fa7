"""A session under a new session id, until it has taken the place of the old one."""

from __future__ import annotations

from ..lifetimes import EMPTY_TTL
from ..lifetimes import Expiry
from ..lifetimes import MOVED_TTL
from ..lifetimes import RENEWED_TTL
from ..model.record import Record
from ..model.record import State
from ..model.record import Tombstone
from ..transport.deadline import Deadline
from .loading import Parts
from .loading import Predecessor
from .step import UserChange


class Successor:
    """What one commit stores under a session id that nobody knows yet.

    Whatever stops the commit leaves it where only its TTL ends it, or takes it back
    with :meth:`discard`.
    """

    def __init__(self, parts: Parts, deadline: Deadline) -> None:
        self._parts = parts
        self._deadline = deadline
        #: What is stored; ``None`` where nothing is, or everybody may know it.
        self.record: Record | None = None

    def store(self, record: Record, expiry: Expiry) -> Record:
        """Store a new session; anew, if there is one already."""
        store, before = self._parts.store, self.record
        ttl = expiry.of(record.permanent)
        if not record.packed:
            ttl = min(EMPTY_TTL, expiry.transient)
        if before is not None:
            record = record.under(before.sid, before.drawn)
            store.replace(self._deadline, record, ttl)
        while before is None and not store.create(self._deadline, record, ttl):
            record = record.renamed(record.drawn)
        self.record = record
        return record

    def succeed(
        self, seen: Record, user: UserChange, predecessor: Predecessor | None
    ) -> Record | Tombstone | None:
        """Take the place of the old session, and shut out whoever has its session id.

        ``None`` if that was done; else what has become of the old one since it was
        ``seen``.
        """
        new = self._stored
        state = State.ENDED if user is UserChange.LOGOUT else State.RENEWED
        tombstone = Tombstone(state, new.id)
        freeze = self._parts.user_key.names_nobody(seen.packed)
        if predecessor is not None:
            return predecessor.retire(
                self._deadline, seen, tombstone, RENEWED_TTL, freeze=freeze
            )
        # What others save for a user who leaves stays behind.
        is_left_behind = user in (UserChange.SWITCH, UserChange.LOGOUT)
        return self._parts.store.retire(
            self._deadline,
            seen,
            tombstone,
            RENEWED_TTL,
            whatever=is_left_behind,
            freeze=freeze,
        )

    def follow(
        self, seen: Record, predecessor: Predecessor | None, expiry: Expiry
    ) -> Record | Tombstone | None:
        """The same, while the old session id stays good for those who have it."""
        new = self._stored
        if predecessor is None:
            tombstone = Tombstone.moved(seen.sid, new)
            return self._parts.store.retire(self._deadline, seen, tombstone, MOVED_TTL)
        # Its browser may come back with the old cookie as long as that is good.
        return predecessor.retire(
            self._deadline,
            seen,
            Tombstone.moved(predecessor.sid, new),
            expiry.of(new.permanent),
            freeze=False,
        )

    def discard(self) -> None:
        """What is stored comes to nothing."""
        if self.record is not None:
            self._parts.store.discard(self._deadline, self.record)
            self.record = None

    @property
    def _stored(self) -> Record:
        assert self.record is not None
        return self.record

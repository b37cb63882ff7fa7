"""A session under a new session id, until it has taken the place of the old one."""

from __future__ import annotations

import typing as t

from ..lifetimes import EMPTY_TTL
from ..lifetimes import Expiry
from ..lifetimes import MOVED_TTL
from ..lifetimes import RENEWED_TTL
from ..model.record import Record
from ..model.record import State
from ..model.record import Tombstone
from ..transport.deadline import Deadline
from .loading import Predecessor
from .step import UserChange

if t.TYPE_CHECKING:
    from .exchange import Exchange


class Successor:
    """What one commit stores under a session id that nobody knows yet.

    Whatever stops the commit leaves it where only its TTL ends it, or takes it back
    with :meth:`discard`.
    """

    def __init__(self, exchange: Exchange, deadline: Deadline) -> None:
        self._parts = exchange.parts
        self._deadline = deadline
        self._request = exchange
        # The sessions that are too many once this one has taken its place.
        self._surplus: list[tuple[str, bytes]] = []
        #: What is stored; ``None`` where nothing is, or everybody may know it.
        self.record: Record | None = None

    def store(
        self,
        record: Record,
        expiry: Expiry,
        continued: str = "",
        counts_as: bytes = b"",
    ) -> Record | None:
        """Store a new session; anew, if there is one already.

        ``continued`` is the digest of the session that it continues for the same user,
        ``counts_as`` the device that it may be as well.
        ``None`` where all the user's sessions were revoked, so that there must be none.
        """
        parts, before = self._parts, self.record
        ttl = expiry.of(record.permanent)
        if not record.packed:
            ttl = min(EMPTY_TTL, expiry.transient)
        if before is not None:
            record = record.under(before.sid, before.drawn)
        directory = parts.directory
        if directory is not None:
            surplus = directory.enter(
                self._deadline, record, ttl, self._request, continued, counts_as
            )
            if surplus is None:
                self.record = record
                self.discard()
                return None
            self._surplus = surplus
        if before is not None:
            return self._kept(
                parts.store.replace(self._deadline, before, record, expiry)
            )
        while (stored := parts.store.create(self._deadline, record, ttl)) is None:
            if directory is not None and directory.knows(record):
                return None  # whoever has ended it has found it there
            record = record.renamed(record.drawn)
        return self._kept(stored)

    def _kept(self, record: Record | None) -> Record | None:
        self.record = record or self.record
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

    def tidy(self, old: Record | None = None) -> None:
        """The session has taken the old one's place: what is not there any more leaves
        the index of users."""
        directory = self._parts.directory
        if directory is not None:
            if old is not None:
                directory.leave(self._deadline, old)
            directory.end_surplus(self._deadline, self._stored, self._surplus)

    def discard(self) -> None:
        """What is stored comes to nothing."""
        if self.record is not None:
            self._parts.store.discard(self._deadline, self.record)
            if self._parts.directory is not None:
                self._parts.directory.leave(self._deadline, self.record)
            self.record = None

    @property
    def _stored(self) -> Record:
        assert self.record is not None
        return self.record

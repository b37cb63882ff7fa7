"""Sessions that another library has stored become ours, each once.

Which of ours it became is kept under the digest of its session id, as long as that
one lives: its browser may come back with the old cookie in a week.
"""

from __future__ import annotations

import collections.abc as cabc
import itertools

from ..events import Tell
from ..lifetimes import ENDED_TTL
from ..lifetimes import Lifetimes
from ..model.record import digest
from ..model.record import Record
from ..model.record import State
from ..model.record import Tombstone
from ..model.serializer import Serializer
from ..store.sessions import RedisStore
from ..transport.deadline import Deadline
from .inheritance import heir
from .inheritance import Inheritance
from .reader import LegacyReader

#: Of several cookies, as many are looked at.
_MAX_CANDIDATES = 4


class Adoption:
    """Finds sessions that another library has stored under a prefix."""

    def __init__(
        self,
        reader: LegacyReader,
        serializer: Serializer,
        store: RedisStore,
        lifetimes: Lifetimes,
        prefix: str,
    ) -> None:
        self._reader = reader
        self._serializer = serializer
        self._store = store
        self._inheritance = Inheritance(store, prefix)
        self._lifetimes = lifetimes

    def find(
        self, deadline: Deadline, values: cabc.Iterable[str], tell: Tell
    ) -> cabc.Iterator[tuple[str, Adoptable | Tombstone]]:
        """What the values of a browser's cookies name: session ids, each with its
        session or with what became of it.

        Raises :exc:`~wsgi_redis_session.SessionUnavailable`.
        """
        sids = filter(None, map(self._reader.sid, values))
        for sid in itertools.islice(sids, _MAX_CANDIDATES):
            # In this order: one that is adopted leaves its tombstone first.
            record = self.load(deadline, sid, tell)
            tombstone = self._inheritance.tombstone(deadline, sid)
            if tombstone is not None:
                if record is not None:
                    self._inheritance.delete(
                        deadline, sid
                    )  # whoever adopted it did not come so far
                yield sid, tombstone
            elif record is not None:
                yield sid, Adoptable(self, sid, record, tell)

    def load(self, deadline: Deadline, sid: str, tell: Tell) -> Record | None:
        """What is stored, as a new session of ours."""
        stored = self._inheritance.load(deadline, sid)
        if not stored:
            return None
        try:
            values, permanent = self._reader.loads(stored)
            packed = {
                name: self._serializer.dumps(value) for name, value in values.items()
            }
        except (TypeError, ValueError) as error:
            tell("undecodable", digest(sid), str(error), duration=deadline.spent)
            return None
        return heir(sid, packed, permanent, self._lifetimes.now())

    def retire(
        self,
        deadline: Deadline,
        sid: str,
        seen: Record,
        tombstone: Tombstone,
        ttl: int,
        *,
        freeze: bool,
        tell: Tell,
    ) -> Record | Tombstone | None:
        """See :meth:`Adoptable.retire`."""
        inheritance = self._inheritance
        now = self.load(deadline, sid, tell)
        if now is None:
            return inheritance.tombstone(deadline, sid) or Tombstone(State.GONE)
        if now.packed != seen.packed:
            return seen._replace(packed=now.packed)
        frozen = seen.under(sid, seen.drawn) if freeze else None
        found = inheritance.claim(deadline, sid, tombstone, ttl, frozen)
        if found is None:
            inheritance.delete(deadline, sid)
        return found

    def end(self, deadline: Deadline, sid: str) -> None:
        """See :meth:`Adoptable.end`."""
        ended = Tombstone(State.ENDED)
        if self._inheritance.claim(deadline, sid, ended, ENDED_TTL) is not None:
            self._store.end(deadline, digest(sid))
        self._inheritance.delete(deadline, sid)


class Adoptable:
    """A session of another library's, whose place one of ours is to take."""

    def __init__(
        self, adoption: Adoption, sid: str, record: Record, tell: Tell
    ) -> None:
        self._adoption = adoption
        self.sid = sid
        self.record = record
        self._tell = tell

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
        return self._adoption.retire(
            deadline,
            self.sid,
            seen,
            tombstone,
            ttl,
            freeze=freeze,
            tell=self._tell,
        )

    def end(self, deadline: Deadline) -> None:
        """End it, and what took its place."""
        self._adoption.end(deadline, self.sid)

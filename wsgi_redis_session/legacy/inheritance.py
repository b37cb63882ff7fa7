"""What another library has stored, and the tombstones that say which session of ours it
became."""

from __future__ import annotations

import collections.abc as cabc
import hashlib

from ..errors import Undecodable
from ..model.record import digest
from ..model.record import Record
from ..model.record import State
from ..model.record import Tombstone
from ..store import layout
from ..store.commands import Commands
from ..store.commands import digits
from ..store.sessions import RedisStore
from ..transport.deadline import Deadline


def heir(
    sid: str, packed: cabc.Mapping[str, bytes], permanent: bool, now: int
) -> Record:
    """A session of another library as a new one of ours. Each request that finds it
    makes one, until it is one of ours; they are all on the same device."""
    device = hashlib.sha256(b"device " + sid.encode()).digest()[:8]
    return Record.fresh(now, permanent)._replace(packed=packed, device=device)


class Inheritance:
    """Sessions of another library, under its own keys, by its own session ids.

    Every method raises :exc:`~wsgi_redis_session.SessionUnavailable` where Redis did
    not answer, and may be repeated after a lost reply.
    """

    def __init__(self, store: RedisStore, prefix: str) -> None:
        self._store = store
        self._commands = Commands(store.transport)
        self._key_prefix = store.key_prefix
        self._prefix = prefix

    def load(self, deadline: Deadline, sid: str) -> bytes | None:
        """What the library has stored, if it is a string."""
        try:
            value = self._commands.get(deadline, self._prefix + sid)
        except Undecodable:
            return None
        return value if isinstance(value, bytes) else None

    def delete(self, deadline: Deadline, sid: str) -> None:
        """Delete it."""
        self._commands.write(deadline, "DEL", self._prefix + sid)

    def tombstone(self, deadline: Deadline, sid: str) -> Tombstone | None:
        """What became of it, if it is one of ours by now."""
        try:
            value = self._commands.get(deadline, self._key_prefix + digest(sid))
        except Undecodable:
            return Tombstone(State.GONE)
        return None if value is None else self._store.tombstone(value, sid)

    def claim(
        self,
        deadline: Deadline,
        sid: str,
        tombstone: Tombstone,
        ttl: int,
        frozen: Record | None = None,
    ) -> Tombstone | None:
        """Put a tombstone where the session would be if it were ours; the one that is
        there already, if there is one."""
        key = self._key_prefix + digest(sid)
        value = layout.write_tombstone(tombstone)
        if frozen is not None:
            value += self._store.value(frozen)
        if self._commands.write(deadline, "SET", key, value, "NX", "PX", digits(ttl)):
            return None
        found = self._commands.read(deadline, "GET", key)
        if found is None or found == value:
            return None  # it was us, and the reply was lost
        return self._store.tombstone(found, sid)

"""Sessions in Redis: which key, which script, and what their replies mean.

A session is one string. Its key is the ``key_prefix`` and the digest of the session
id, so nothing in Redis is a usable cookie. Every key has a TTL.
"""

from __future__ import annotations

import functools
import typing as t

from ..errors import SessionUnavailable
from ..errors import Undecodable
from ..lifetimes import EMPTY_TTL
from ..lifetimes import ENDED_TTL
from ..lifetimes import Expiry
from ..lifetimes import RENEWED_TTL
from ..lifetimes import Touch
from ..model.changes import Changes
from ..model.record import digests
from ..model.record import Record
from ..model.record import State
from ..model.record import Tombstone
from ..transport.deadline import Deadline
from ..transport.transport import Transport
from . import layout
from .commands import Commands
from .commands import digits
from .scripts import END
from .scripts import Merging
from .scripts import RETIRE
from .scripts import SAVE
from .scripts import TOUCH

#: How often a session is followed to its successor: more often than one is renewed
#: while a tombstone lives.
MAX_LINKS = 64

_ENDED = layout.write_tombstone(Tombstone(State.ENDED))
_GONE = Tombstone(State.GONE)


class Limits(t.NamedTuple):
    """How large a stored session may be; 0 is no limit."""

    max_bytes: int
    max_names: int


@t.final
class Saved(t.NamedTuple):
    """What is stored now."""

    record: Record
    #: Whether the session had been empty, so that its cookie was taken back.
    revived: bool
    #: Whether others had saved meanwhile.
    merged: bool = False


class Conflict(t.NamedTuple):
    """Others have changed the same names; nothing was written."""

    theirs: Record


class TooLarge(t.NamedTuple):
    """With what others have saved it would be too large; nothing was written."""

    #: How many bytes, or names, it would have.
    size: int
    unit: str
    limit: int


class RedisStore:
    """Loads, creates, saves, retires and ends sessions.

    Every method raises :exc:`~wsgi_redis_session.SessionUnavailable` where Redis did
    not answer, and may be repeated after a lost reply.
    """

    def __init__(self, transport: Transport, key_prefix: str, limits: Limits) -> None:
        self.transport = transport
        self.key_prefix = key_prefix
        self._commands = Commands(transport)
        self._limits = limits

    def load(
        self, deadline: Deadline, sid: str, drawn: int, touch: Touch | None = None
    ) -> Record | Tombstone:
        """What is stored under a session id that was drawn then; with ``touch`` prolong
        it as well.

        Raises :exc:`~wsgi_redis_session.errors.Undecodable` for a value that is not one
        of ours, or not this session's.
        """
        session_id, binding = digests(sid)
        key = self.key_prefix + session_id
        is_ours = functools.partial(layout.is_bound, binding=binding)
        if touch is None:
            value = self._commands.get(deadline, key, is_ours)
        else:
            args = tuple(map(digits, touch))
            value = self._commands.run(deadline, TOUCH, key, args, is_ours)
        if value is None:
            return _GONE
        found = layout.parse(value)
        if type(found) is Tombstone:
            return found
        return found.under(sid, session_id, drawn)

    def follow(
        self, deadline: Deadline, sid: str, tombstone: Tombstone, now: int
    ) -> Record | Tombstone:
        """What is stored where a tombstone leads that was found under ``sid``."""
        try:
            return self.load(deadline, tombstone.successor_of(sid), now)
        except Undecodable:
            return _GONE

    def create(self, deadline: Deadline, record: Record, ttl: int) -> bool:
        """Store a new session; false if the session id is taken."""
        key = self.key_prefix + record.id
        value = layout.write(record)
        if self._commands.write(deadline, "SET", key, value, "NX", "PX", digits(ttl)):
            return True
        # Taken, or it was us and the reply was lost.
        stored = self.load(deadline, record.sid, record.drawn)
        return isinstance(stored, Record) and stored.revision == record.revision

    def replace(self, deadline: Deadline, record: Record, ttl: int) -> None:
        """Store a session whose session id nobody else knows yet."""
        key = self.key_prefix + record.id
        self._commands.write(
            deadline, "SET", key, layout.write(record), "PX", digits(ttl)
        )

    def discard(self, deadline: Deadline, record: Record) -> None:
        """Remove a session whose session id nobody else knows."""
        self._commands.write(deadline, "DEL", self.key_prefix + record.id)

    def save(
        self,
        deadline: Deadline,
        base: Record,
        ours: Record,
        changes: Changes,
        expiry: Expiry,
        *,
        sets_kind: bool,
        detect_conflicts: bool = False,
    ) -> Saved | Conflict | TooLarge | Tombstone:
        """Replace what was loaded, or merge into what others have saved meanwhile.

        ``ours`` is stored under its own session id, which is that of ``base`` or of its
        successor.

        Raises :exc:`~wsgi_redis_session.SessionUnavailable` also where a reply was lost
        and, with ``detect_conflicts``, nobody can tell any more whether it was saved.
        """
        names = [name.encode() for name in (*changes.changed, *changes.removed)]
        if detect_conflicts:
            names += [base.packed.get(name, b"") for name in changes.names]
        empty_ttl = min(EMPTY_TTL, expiry.transient)
        merging = Merging(
            transient_ttl=expiry.transient,
            permanent_ttl=expiry.permanent,
            empty_ttl=empty_ttl,
            max_bytes=self._limits.max_bytes,
            max_names=self._limits.max_names,
            sets_kind=sets_kind,
            changed=len(changes.changed),
            removed=len(changes.removed),
        ).pack()
        ttl = expiry.of(ours.permanent) if ours.packed else empty_ttl
        head = (base.revision, layout.write(ours), b"%d" % ttl)
        letter, data = self._commands.change(
            deadline,
            SAVE,
            self.key_prefix + ours.id,
            ours.revision,
            (*head, merging, *names),
            (*head, Merging.again(merging), *names),
        )
        if letter == b"S":
            return Saved(ours, revived=not base.packed)
        if letter == b"M":
            merged = _read_stored(data[1:], ours)
            return Saved(merged, revived=data[:1] == b"1", merged=True)
        if letter == b"C":
            return Conflict(_read_stored(data, ours))
        if letter == b"B":
            return TooLarge(int(data), "bytes", self._limits.max_bytes)
        if letter == b"N":
            return TooLarge(int(data), "names", self._limits.max_names)
        if letter == b"U":
            raise SessionUnavailable(
                "a reply of Redis was lost, and so many others have saved since that "
                "nobody can tell whether this session was saved"
            )
        return layout.tombstone_or_gone(data) if letter == b"T" else _GONE

    def retire(
        self,
        deadline: Deadline,
        old: Record,
        tombstone: Tombstone,
        ttl: int,
        *,
        whatever: bool = False,
        freeze: bool = False,
    ) -> Record | Tombstone | None:
        """Put a tombstone in the place of a session whose successor is stored.

        ``None`` if that was done. If others have saved since ``old`` was seen, what
        they have saved is returned, and nothing is done, but with ``whatever``. With
        ``freeze`` the tombstone keeps the session as it is.
        """
        letter, data = self._commands.change(
            deadline,
            RETIRE,
            self.key_prefix + old.id,
            tombstone.successor.encode("ascii"),
            (
                layout.write_tombstone(tombstone),
                digits(ttl),
                b"" if whatever else old.revision,
                old.binding,
                b"1" if freeze else b"0",
            ),
        )
        if letter == b"S":
            return None
        if letter == b"C":
            return _read_stored(data, old)
        return layout.tombstone_or_gone(data) if letter == b"T" else _GONE

    def end(self, deadline: Deadline, session_id: str) -> bool:
        """End a session, by its digest, or what took its place; whether there was
        anything to end."""
        seen = set[str]()
        while session_id and session_id not in seen and len(seen) < MAX_LINKS:
            seen.add(session_id)
            echo = session_id.encode("ascii")
            args = (echo, _ENDED, digits(ENDED_TTL), digits(RENEWED_TTL))
            key = self.key_prefix + session_id
            letter, data = self._commands.change(deadline, END, key, echo, args)
            if letter != b"T":
                return letter == b"E"
            session_id = layout.successor(data)
        return False

    def goes_on(self, deadline: Deadline, session_id: str) -> bool:
        """Whether there is a session under this digest, or one that took its place."""
        seen = set[str]()
        while session_id and session_id not in seen and len(seen) < MAX_LINKS:
            seen.add(session_id)
            key = self.key_prefix + session_id
            head = self._commands.read(deadline, "GETRANGE", key, "0", "25")
            if not layout.is_tombstone(head):
                return bool(head)
            session_id = layout.successor(head)
        return False

    def left(self, deadline: Deadline, session_id: str) -> int:
        """How long what is under a digest will be there yet, in milliseconds; 0 where
        there is nothing."""
        return max(
            0, int(self._commands.read(deadline, "PTTL", self.key_prefix + session_id))
        )

    def ping(self, deadline: Deadline) -> bool:
        """Whether Redis answers; it raises where it does not."""
        # A command about a key, so that a cluster has one to send it to.
        self._commands.read(deadline, "PTTL", f"{self.key_prefix}ping")
        return True


def _read_stored(value: bytes, known: Record) -> Record:
    """A value that a script has returned for a session that we know."""
    try:
        return layout.read(value).under(known.sid, known.id, known.drawn)
    except Undecodable as error:
        raise SessionUnavailable(f"what is stored cannot be read: {error}") from error

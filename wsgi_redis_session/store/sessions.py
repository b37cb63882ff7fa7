"""Sessions in Redis: which key, which script, and what their replies mean.

A session is one string. Its key is the ``key_prefix`` and the digest of the session
id, so nothing in Redis is a usable cookie. Every key has a TTL.
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

from ..errors import SessionUnavailable
from ..errors import Undecodable
from ..lifetimes import EMPTY_TTL
from ..lifetimes import ENDED_TTL
from ..lifetimes import Expiry
from ..lifetimes import MAX_LINKS
from ..lifetimes import RENEWED_TTL
from ..lifetimes import Touch
from ..model.changes import Changes
from ..model.record import digests
from ..model.record import Record
from ..model.record import State
from ..model.record import Stored
from ..model.record import Tombstone
from ..transport.deadline import Deadline
from ..transport.transport import Transport
from . import layout
from .commands import Commands
from .commands import digits
from .commands import Reply
from .results import Conflict
from .results import Limits
from .results import Saved
from .results import TooLarge
from .scripts import END
from .scripts import merging
from .scripts import RETIRE
from .scripts import SAVE
from .scripts import TOUCH

if t.TYPE_CHECKING:
    from ..model.seal import Seal

_ENDED = layout.write_tombstone(Tombstone(State.ENDED))
_GONE = Tombstone(State.GONE)

#: Of many sessions, so many are asked for in one go.
_AT_ONCE = 100


class RedisStore:
    """Loads, creates, saves, retires and ends sessions.

    Every method raises :exc:`~wsgi_redis_session.SessionUnavailable` where Redis did
    not answer, and may be repeated after a lost reply.
    """

    def __init__(
        self, transport: Transport, key_prefix: str, limits: Limits, seal: Seal | None
    ) -> None:
        self.transport = transport
        self.key_prefix = key_prefix
        self._commands = Commands(transport)
        self._limits = limits
        self._seal = seal
        self._open = Stored.under if seal is None else seal.open

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
            return self._opened(found, sid)
        return self._open(found, sid, session_id, drawn)

    def tombstone(self, value: bytes, sid: str) -> Tombstone:
        """What a tombstone says that was found under a session id; of one that cannot
        be read, nothing is known but that the session is gone."""
        try:
            return self._opened(layout.read_tombstone(value), sid)
        except Undecodable:
            return _GONE

    def _opened(self, tombstone: Tombstone, sid: str) -> Tombstone:
        """A tombstone with the values that it keeps as they were before sealing."""
        frozen = tombstone.frozen
        if frozen is None:
            return tombstone
        packed = dict(self._open(frozen, sid, "", 0).packed)
        return tombstone._replace(frozen=frozen._replace(packed=packed))

    def follow(
        self, deadline: Deadline, sid: str, tombstone: Tombstone, now: int
    ) -> Record | Tombstone:
        """What is stored where a tombstone leads that was found under ``sid``."""
        for _ in range(MAX_LINKS):
            try:
                sid = tombstone.successor_of(sid)
                found = self.load(deadline, sid, now)
            except Undecodable:
                return _GONE
            if isinstance(found, Record) or found.state is not State.MOVED:
                return found
            tombstone = found
        return _GONE

    def create(self, deadline: Deadline, record: Record, ttl: int) -> Record | None:
        """Store a new session; how it is stored, ``None`` if its id is taken."""
        if self._seal is not None:
            record = self._seal.close(record)
        key = self.key_prefix + record.id
        value = layout.write(record)
        if self._commands.write(deadline, "SET", key, value, "NX", "PX", digits(ttl)):
            return record
        # Taken, or it was us and the reply was lost.
        stored = self.load(deadline, record.sid, record.drawn)
        if not (isinstance(stored, Record) and stored.revision == record.revision):
            return None
        # WAIT takes what writes nothing for replicated.
        self._commands.write(deadline, "PEXPIRE", key, digits(ttl))
        return record

    def replace(
        self, deadline: Deadline, before: Record, record: Record, expiry: Expiry
    ) -> Record | None:
        """Store a session anew whose session id nobody else knows yet; how it is
        stored, ``None`` if it has ended."""
        changes = Changes(record.packed, [], [])
        result = self.save(deadline, before, record, changes, expiry, sets_kind=True)
        return result.record if isinstance(result, Saved) else None

    def value(self, record: Record) -> bytes:
        """What is stored of a session that was none of ours."""
        return layout.write(self._seal.close(record) if self._seal else record)

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

        ``ours`` has the session id of ``base``, or of its successor.

        Raises :exc:`~wsgi_redis_session.SessionUnavailable` also where a reply was lost
        and, with ``detect_conflicts``, nobody can tell any more whether it was saved.
        """
        if self._seal is not None:
            ours = self._seal.close(ours)
            names = self._seal.words(changes.names, base, ours, detect_conflicts)
        else:
            names = changes.words(base.packed if detect_conflicts else None)
        empty = min(EMPTY_TTL, expiry.transient)
        once, again = merging(expiry, empty, self._limits, changes, sets_kind=sets_kind)
        ttl = expiry.of(ours.permanent) if ours.packed else empty
        head = (base.revision, layout.write(ours), b"%d" % ttl)
        key, args = self.key_prefix + ours.id, (*head, once, *names)
        letter, data = self._commands.change(
            deadline, SAVE, key, ours.revision, args, (*head, again, *names)
        )
        if letter == b"S":
            return Saved(ours, revived=not base.packed)
        return self._not_as_it_was(letter, data, ours)

    def _not_as_it_was(
        self, letter: bytes, data: bytes, ours: Record
    ) -> Saved | Conflict | TooLarge | Tombstone:
        """What came of saving a session that is not any more what was loaded."""
        if letter == b"M":
            merged = self._read(data[1:], ours)
            return Saved(merged, revived=data[:1] == b"1", merged=True)
        if letter == b"C":
            return Conflict(self._read(data, ours))
        if letter == b"B":
            return TooLarge(int(data), "bytes", self._limits.max_bytes)
        if letter == b"N":
            return TooLarge(int(data), "names", self._limits.max_names)
        if letter == b"U":
            raise SessionUnavailable(
                "a reply of Redis was lost, and so many others have saved since that "
                "nobody can tell whether this session was saved"
            )
        return self.tombstone(data, ours.sid) if letter == b"T" else _GONE

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
            return self._read(data, old)
        return self.tombstone(data, old.sid) if letter == b"T" else _GONE

    def end(self, deadline: Deadline, session_id: str) -> bool:
        """End a session, by its digest, or what took its place; whether there was
        anything to end."""
        seen = set[str]()
        while session_id and session_id not in seen and len(seen) < MAX_LINKS:
            seen.add(session_id)
            letter, data = self._end(deadline, session_id)
            if letter != b"T":
                return letter == b"E"
            session_id = layout.successor(data)
        return False

    def bar(self, deadline: Deadline, session_id: str) -> bool:
        """End a session, by its digest, and whatever is about to be stored there; not
        what took its place. Whether there was one."""
        return self._end(deadline, session_id, b"1")[0] == b"E"

    def _end(self, deadline: Deadline, session_id: str, bars: bytes = b"0") -> Reply:
        echo = session_id.encode("ascii")
        args = (echo, _ENDED, digits(ENDED_TTL), digits(RENEWED_TTL), bars)
        key, again = self.key_prefix + session_id, (*args, b"1")
        return self._commands.change(deadline, END, key, echo, (*args, b"0"), again)

    def barred(self, deadline: Deadline, seen: Record) -> Tombstone | None:
        """End a session that must not go on; ``None`` if that was done, else what has
        become of it meanwhile."""
        if self.bar(deadline, seen.id):
            return None
        found = self.load(deadline, seen.sid, seen.drawn)
        return found if isinstance(found, Tombstone) else None

    def is_alive(self, deadline: Deadline, session_id: str) -> bool:
        """Whether there is a session under this digest."""
        key = self.key_prefix + session_id
        value = self._commands.read(deadline, "GETRANGE", key, "0", layout.HEAD)
        return layout.head(value) is not None

    def kinds(
        self, deadline: Deadline, session_ids: list[str]
    ) -> cabc.Iterator[bool | None]:
        """Whether the sessions under these digests are permanent; ``None`` for one that
        is not there."""
        for at in range(0, len(session_ids), _AT_ONCE):
            keys = [self.key_prefix + one for one in session_ids[at : at + _AT_ONCE]]
            commands = [("GETRANGE", key, "0", layout.HEAD) for key in keys]
            for value in self._commands.all(deadline.renewed(), commands):
                head = layout.head(value) if isinstance(value, bytes) else None
                yield None if head is None else head.permanent

    def goes_on(self, deadline: Deadline, session_id: str) -> bool:
        """Whether it goes on, here or elsewhere, and nobody has logged out."""
        seen = set[str]()
        while session_id and session_id not in seen and len(seen) < MAX_LINKS:
            seen.add(session_id)
            key = self.key_prefix + session_id
            head = self._commands.read(deadline, "GETRANGE", key, "0", "25")
            if not layout.is_tombstone(head):
                return bool(head)
            session_id = "" if layout.is_ended(head) else layout.successor(head)
        return False

    def left(self, deadline: Deadline, session_id: str) -> int:
        """How long what is under a digest will be there yet, in milliseconds; 0 where
        there is nothing."""
        key = self.key_prefix + session_id
        return max(0, int(self._commands.read(deadline, "PTTL", key)))

    def _read(self, value: bytes, known: Record) -> Record:
        """A value that a script has returned for a session that we know."""
        try:
            return self._open(layout.read(value), known.sid, known.id, known.drawn)
        except Undecodable as error:
            raise SessionUnavailable(f"what is stored is damaged: {error}") from error

"""Sessions in Redis: which key, which script, and what their replies mean.

A session is one string. Its key is the ``key_prefix`` and the digest of the session
id, so nothing in Redis is a usable cookie. Every key has a TTL.
"""

from __future__ import annotations

import typing as t

from redis.exceptions import NoScriptError
from redis.exceptions import ResponseError

from . import layout
from .changes import Changes
from .errors import SessionUnavailable
from .errors import Undecodable
from .lifetimes import EMPTY_TTL
from .lifetimes import ENDED_TTL
from .lifetimes import Expiry
from .lifetimes import Touch
from .record import digest
from .record import digests
from .record import Record
from .record import State
from .record import Tombstone
from .scripts import END
from .scripts import Merging
from .scripts import RETIRE
from .scripts import SAVE
from .scripts import Script
from .scripts import TOUCH
from .transport import Check
from .transport import Command
from .transport import Transport

#: How often a session is followed to its successor: more often than one is renewed
#: while a tombstone lives.
MAX_LINKS = 64

_ENDED = layout.write_tombstone(Tombstone(State.ENDED))
_GONE = Tombstone(State.GONE)


class Limits(t.NamedTuple):
    """How large a stored session may be; 0 is no limit."""

    max_bytes: int
    max_names: int


class Saved(t.NamedTuple):
    """What is stored now."""

    record: Record
    #: Whether the session had been empty, so that its cookie was taken back.
    revived: bool


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
        self._limits = limits

    def load(
        self, sid: str, drawn: int, touch: Touch | None = None
    ) -> Record | Tombstone:
        """What is stored under a session id that was drawn then; with ``touch`` prolong
        it as well.

        Raises :exc:`~wsgi_redis_session.errors.Undecodable` for a value that is not one
        of ours, or not this session's.
        """
        session_id, binding = digests(sid)
        key = self.key_prefix + session_id

        def is_ours(reply: t.Any) -> bool:
            return reply is None or layout.is_bound(reply, binding)

        try:
            if touch is None:
                value = self.transport.send(("GET", key), is_ours)
            else:
                args = tuple(map(_digits, touch))
                value = self._run(TOUCH, key, args, is_ours)
        except ResponseError as error:
            if "WRONGTYPE" in str(error):
                raise Undecodable("the key holds no string") from error
            raise SessionUnavailable from error
        if value is None:
            return _GONE
        if not is_ours(value):
            raise Undecodable("the value is that of another session")
        if layout.is_tombstone(value):
            return layout.read_tombstone(value)
        return layout.read(value).under(sid, session_id, drawn)

    def follow(self, sid: str, tombstone: Tombstone, now: int) -> Record | Tombstone:
        """What is stored where a tombstone leads that was found under ``sid``."""
        try:
            return self.load(tombstone.successor_of(sid), now)
        except Undecodable:
            return _GONE

    def create(self, record: Record, ttl: int) -> bool:
        """Store a new session; false if the session id is taken."""
        key = self.key_prefix + record.id
        value = layout.write(record)
        if self._send("SET", key, value, "NX", "PX", _digits(ttl)):
            return True
        # Taken, or it was us and the reply was lost.
        stored = self.load(record.sid, record.drawn)
        return isinstance(stored, Record) and stored.revision == record.revision

    def replace(self, record: Record, ttl: int) -> None:
        """Store a session whose session id nobody else knows yet."""
        key = self.key_prefix + record.id
        self._send("SET", key, layout.write(record), "PX", _digits(ttl))

    def discard(self, record: Record) -> None:
        """Remove a session whose session id nobody else knows."""
        self._send("DEL", self.key_prefix + record.id)

    def save(
        self,
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
        names = [name.encode() for name in changes.names]
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
            is_again=False,
            changed=len(changes.changed),
            removed=len(changes.removed),
        )
        ttl = expiry.of(ours.permanent) if ours.packed else empty_ttl
        head = (base.revision, layout.write(ours), _digits(ttl))
        letter, data = self._ask(
            SAVE,
            ours.id,
            ours.revision,
            (*head, merging.pack(), *names),
            (*head, merging._replace(is_again=True).pack(), *names),
        )
        if letter == b"S":
            return Saved(ours, revived=not base.packed)
        if letter == b"M":
            return Saved(_read(data[1:], ours), revived=data[:1] == b"1")
        if letter == b"C":
            return Conflict(_read(data, ours))
        if letter == b"B":
            return TooLarge(int(data), "bytes", self._limits.max_bytes)
        if letter == b"N":
            return TooLarge(int(data), "names", self._limits.max_names)
        if letter == b"U":
            raise SessionUnavailable(
                "a reply of Redis was lost, and so many others have saved since that "
                "nobody can tell whether this session was saved"
            )
        return _read_tombstone(data) if letter == b"T" else _GONE

    def retire(
        self,
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
        letter, data = self._ask(
            RETIRE,
            old.id,
            tombstone.successor.encode("ascii"),
            (
                layout.write_tombstone(tombstone),
                _digits(ttl),
                b"" if whatever else old.revision,
                old.binding,
                b"1" if freeze else b"0",
            ),
        )
        if letter == b"S":
            return None
        if letter == b"C":
            return _read(data, old)
        return _read_tombstone(data) if letter == b"T" else _GONE

    def end(self, session_id: str) -> bool:
        """End a session, by its digest, or what took its place; whether there was
        anything to end."""
        seen = set[str]()
        while session_id and session_id not in seen and len(seen) < MAX_LINKS:
            seen.add(session_id)
            echo = session_id.encode("ascii")
            args = (echo, _ENDED, _digits(ENDED_TTL))
            letter, data = self._ask(END, session_id, echo, args)
            if letter != b"T":
                return letter == b"E"
            session_id = layout.successor(data)
        return False

    def goes_on(self, session_id: str) -> bool:
        """Whether there is a session under this digest, or one that took its place."""
        seen = set[str]()
        while session_id and session_id not in seen and len(seen) < MAX_LINKS:
            seen.add(session_id)
            head = self._send("GETRANGE", self.key_prefix + session_id, "0", "25")
            if not layout.is_tombstone(head):
                return bool(head)
            session_id = layout.successor(head)
        return False

    def left(self, session_id: str) -> int:
        """How long what is under a digest will be there yet, in milliseconds; 0 where
        there is nothing."""
        return max(0, int(self._send("PTTL", self.key_prefix + session_id)))

    # What another library has stored.

    def load_foreign(self, key: str) -> bytes | None:
        """What another library has under a key, if it is a string."""
        try:
            value = self.transport.send(("GET", key))
        except ResponseError as error:
            if "WRONGTYPE" in str(error):
                return None
            raise SessionUnavailable from error
        return value if isinstance(value, bytes) else None

    def load_tombstone(self, foreign_sid: str) -> Tombstone | None:
        """What became of another library's session, if it is one of ours by now."""
        value = self._send("GET", self.key_prefix + digest(foreign_sid))
        return None if value is None else _read_tombstone(value)

    def claim(
        self,
        foreign_sid: str,
        tombstone: Tombstone,
        ttl: int,
        frozen: Record | None = None,
    ) -> Tombstone | None:
        """Put a tombstone where another library's session would be if it were ours;
        the one that is there already, if there is one."""
        key = self.key_prefix + digest(foreign_sid)
        value = layout.write_tombstone(tombstone)
        if frozen is not None:
            value += layout.write(frozen)
        if self._send("SET", key, value, "NX", "PX", _digits(ttl)):
            return None
        found = self._send("GET", key)
        if found is None or found == value:
            return None  # it was us, and the reply was lost
        return _read_tombstone(found)

    def delete_foreign(self, key: str) -> None:
        """Delete what another library has stored."""
        self._send("DEL", key)

    def _ask(
        self,
        script: Script,
        session_id: str,
        echo: bytes,
        args: Command,
        again: Command = (),
    ) -> tuple[bytes, bytes]:
        """Run a script on one session; the letter of its reply and what follows.

        Every reply of ours begins with ``echo``.
        """
        end = len(echo)

        def is_ours(reply: t.Any) -> bool:
            return isinstance(reply, bytes) and reply[:end] == echo

        try:
            reply = self._run(
                script, self.key_prefix + session_id, args, is_ours, again or args
            )
        except ResponseError as error:
            raise SessionUnavailable from error
        if not is_ours(reply):
            raise SessionUnavailable("Redis answered somebody else's question twice")
        return reply[end : end + 1], reply[end + 1 :]

    def _run(
        self,
        script: Script,
        key: str,
        args: Command,
        is_ours: Check,
        again: Command = (),
    ) -> t.Any:
        rest = ("1", key)
        send = self.transport.send
        try:
            return send(
                ("EVALSHA", script.sha, *rest, *args),
                is_ours,
                ("EVALSHA", script.sha, *rest, *(again or args)),
            )
        except NoScriptError:
            return send(
                ("EVAL", script.source, *rest, *args),
                is_ours,
                ("EVAL", script.source, *rest, *(again or args)),
            )

    def _send(self, *command: str | bytes) -> t.Any:
        try:
            return self.transport.send(command)
        except ResponseError as error:
            raise SessionUnavailable from error


def _digits(number: int) -> bytes:
    # hiredis ends the process if it is interrupted while it packs a number.
    return b"%d" % number


def _read(value: bytes, known: Record) -> Record:
    """A value that a script has returned for a session that we know."""
    try:
        return layout.read(value).under(known.sid, known.id, known.drawn)
    except Undecodable as error:
        raise SessionUnavailable from error


def _read_tombstone(value: bytes) -> Tombstone:
    """Where it cannot be read, nothing is known of the session that was there."""
    try:
        return layout.read_tombstone(value)
    except Undecodable:
        return _GONE

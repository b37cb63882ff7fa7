"""Sessions in Redis: keys, values and scripts. Nothing else sends a Redis command.

A session is one string. Its key is the ``key_prefix`` and the digest of the session
id, so nothing in Redis is a usable cookie. Its value is

====== ===== ========================================================================
offset bytes
====== ===== ========================================================================
0      1     format, 1
1      1     flags: 1 = permanent
2      8     revision: drawn at random by whoever wrote the value
10     8     binding: more of the same SHA-256, so that a value under a wrong key, or
             the reply to somebody else's question, is found out
18     8     created: milliseconds since the epoch, big-endian
26           a MessagePack map from name (str) to packed value (bin)
====== ===== ========================================================================

A session that got a new session id leaves a trace for a minute, with which requests
that are still on their way find its successor: a 0 byte; ``1``, or ``0`` where they may
end it but save nothing into it; the successor's digest (24 bytes); and what others had
saved meanwhile, if they had. It is never loaded. One that was emptied is kept as an
empty map for as long. Every key has a TTL.
"""

from __future__ import annotations

import inspect
import struct
import typing as t

import ormsgpack
from redis import Redis
from redis.exceptions import ChildDeadlockedError
from redis.exceptions import NoScriptError
from redis.exceptions import RedisClusterException
from redis.exceptions import RedisError
from redis.exceptions import ResponseError

from .errors import SessionUnavailable
from .errors import Undecodable
from .lifetimes import Expiry
from .record import Changes
from .record import digest
from .record import digests
from .record import Record
from .scripts import DELETE
from .scripts import RETIRE
from .scripts import SAVE
from .scripts import Script

_HEADER = struct.Struct(">BB8s8sQ")
_MERGE = struct.Struct(">QQQ??II")
_FORMAT = 1
_PERMANENT = 1
_TRACE = b"\0"

#: What a client does that nobody has put something around.
_PLAIN = Redis.execute_command if inspect.isfunction(Redis.execute_command) else None

#: What redis-py raises; not all of it is a RedisError.
_FAILURES = (RedisError, RedisClusterException, ChildDeadlockedError, OSError)

#: How long a session that was replaced or emptied leaves a trace, in milliseconds:
#: longer than a request takes that had loaded it before.
TRACE_TTL = 60_000


class Client(t.Protocol):
    """What the store needs of redis-py's ``Redis`` and ``RedisCluster``."""

    def execute_command(self, *args: t.Any, **options: t.Any) -> t.Any:
        """Send a command and return its reply."""


class Gone(t.NamedTuple):
    """The session has ended; nothing was written."""


class Moved(t.NamedTuple):
    """The session got a new session id; nothing was written."""

    successor: str


class Conflict(t.NamedTuple):
    """Others have changed the same names; nothing was written."""

    theirs: Record


class Saved(t.NamedTuple):
    """What is stored now."""

    record: Record
    #: Whether the session had been empty, so that its cookie was taken back.
    revived: bool


class RedisStore:
    """Loads, creates, saves, touches and deletes sessions.

    Every method raises :exc:`~wsgi_redis_session.SessionUnavailable` from what redis-py
    raised. All of them may be repeated after a lost reply.
    """

    def __init__(self, client: Client, key_prefix: str) -> None:
        self.client = client
        self.key_prefix = key_prefix
        # A client with a single connection has a lock for it, a cluster many pools.
        self._pool: t.Any = None
        if isinstance(client, Redis) and client.connection is None:
            self._pool = client.connection_pool

    def load(self, sid: str, ttl: int | None = None) -> Record | None:
        """The session of a session id; with ``ttl`` (milliseconds) prolong it as well.

        Raises :exc:`~wsgi_redis_session.errors.Undecodable` for a value that is not
        one of ours.
        """
        session_id, binding = digests(sid)
        key = self.key_prefix + session_id
        command = ("GET", key) if ttl is None else ("GETEX", key, "PX", ttl)
        try:
            value = self._send(*command)
        except _FAILURES as error:
            if _is_of_another_type(error):
                raise Undecodable("the key holds no string") from error
            raise SessionUnavailable from error
        if value is None:
            return None
        if not isinstance(value, bytes):
            self._desynchronised()
        if value[:1] == _TRACE:
            return None
        return self._record(sid, (session_id, binding), value)

    def create(self, record: Record, ttl: int) -> bool:
        """Store a new session; false if the session id is taken."""
        key = self.key_prefix + record.id
        if self._execute("SET", key, _encode(record), "NX", "PX", ttl):
            return True
        # Taken, or it was us and the reply was lost.
        stored = self.load(record.sid)
        return stored is not None and stored.revision == record.revision

    def save(
        self,
        base: Record,
        ours: Record,
        changes: Changes,
        expiry: Expiry,
        *,
        successor: str | None = None,
        detect_conflicts: bool = False,
    ) -> Saved | Conflict | Moved | Gone:
        """Replace what was loaded, or merge into what others have saved meanwhile.

        With ``successor``, save into the session that took the place of this one.
        """
        names = [*changes.changed, *changes.removed]
        loaded = (
            [base.packed.get(name, b"") for name in names] if detect_conflicts else []
        )
        empty = min(TRACE_TTL, expiry.transient)
        letter, data = self._run(
            SAVE,
            successor or base.id,
            ours.revision,
            b"" if successor else base.revision,
            _encode(ours),
            expiry.of(ours.permanent) if ours.packed else empty,
            _MERGE.pack(
                expiry.transient,
                expiry.permanent,
                empty,
                successor is None,
                ours.permanent != base.permanent,
                len(changes.changed),
                len(changes.removed),
            ),
            *names,
            *loaded,
        )
        if letter == b"S":
            return Saved(ours, revived=not base.packed)
        if letter == b"M":
            stored = self._merged(ours, data[1:], bound=successor is None)
            return Saved(stored, revived=data[:1] == b"1")
        if letter == b"C":
            return Conflict(self._merged(ours, data, bound=successor is None))
        return Moved(data.decode("ascii")) if letter == b"N" else Gone()

    def touch(self, record: Record, ttl: int) -> None:
        """Let the session expire in ``ttl`` milliseconds."""
        self._execute("PEXPIRE", self.key_prefix + record.id, ttl)

    def retire(
        self,
        base: Record,
        new: Record,
        *,
        successor: str | None = None,
        same_user: bool = True,
    ) -> Record | Moved | Gone | None:
        """End a session whose place a new one takes.

        Returns what others have saved into it since ``base`` was loaded, or ``None``
        if nobody has. With ``successor``, end the one that took its place already.
        Without ``same_user``, requests that are still running save nothing any more.
        """
        letter, data = self._run(
            RETIRE,
            successor or base.id,
            new.id.encode("ascii"),
            new.id,
            b"" if successor else base.revision,
            b"" if successor else base.digests[1],
            TRACE_TTL,
            "1" if same_user else "0",
        )
        if letter == b"S":
            bound = successor is None
            return self._merged(base, data, bound=bound) if data else None
        return Moved(data.decode("ascii")) if letter == b"N" else Gone()

    def delete(self, session_id: str) -> None:
        """End a session, by its digest, and the one that took its place."""
        while True:
            echo = session_id.encode("ascii")
            letter, data = self._run(DELETE, session_id, echo, session_id)
            if letter != b"N":
                return
            session_id = data.decode("ascii")

    def load_foreign(self, key: str) -> bytes | None:
        """What another library has stored under a key."""
        try:
            value = self._send("GET", key)
        except _FAILURES as error:
            if _is_of_another_type(error):
                return None  # none of the values that we look for
            raise SessionUnavailable from error
        return value if isinstance(value, bytes) else None

    def claim(self, foreign_sid: str, new: Record) -> bool:
        """Let a new session take the place of another library's; false if another
        request has put one there already."""
        key = self.key_prefix + digest(foreign_sid)
        trace = _TRACE + b"1" + new.id.encode("ascii")
        if self._execute("SET", key, trace, "NX", "PX", TRACE_TTL):
            return True
        # It was us, if the reply was lost.
        return bool(self._execute("GET", key) == trace)

    def delete_foreign(self, key: str) -> bool:
        """Delete what another library has stored; false if it was gone."""
        return bool(self._execute("DEL", key))

    def _run(
        self, script: Script, session_id: str, echo: bytes, *args: t.Any
    ) -> tuple[bytes, bytes]:
        """Run a script on one session; the letter of its reply and what follows.

        Every reply of ours begins with ``echo``.
        """
        rest = (1, self.key_prefix + session_id, *args)
        try:
            reply = self._send("EVALSHA", script.sha, *rest)
        except NoScriptError:
            reply = self._execute("EVAL", script.source, *rest)
        except _FAILURES as error:
            raise SessionUnavailable from error
        end = len(echo)
        if not isinstance(reply, bytes) or reply[:end] != echo:
            self._desynchronised()
        letter = reply[end : end + 1]
        if letter == b"B":
            self._desynchronised()
        return letter, reply[end + 1 :]

    def _execute(self, *args: t.Any) -> t.Any:
        try:
            return self._send(*args)
        except _FAILURES as error:
            raise SessionUnavailable from error

    def _send(self, *command: t.Any) -> t.Any:
        """One command over one connection of the pool, which is half of what redis-py's
        ``execute_command`` costs. That one is called where somebody listens to it, for
        tracing, say, or where there is more to it."""
        client = self.client
        pool = self._pool
        if pool is None or type(client).execute_command is not _PLAIN:
            return client.execute_command(*command)
        connection = pool.get_connection()
        try:
            try:
                connection.send_command(*command)
                return connection.read_response()
            except Exception as error:  # which of them to retry, redis-py decides
                return _retry(connection, command, error)
        except ResponseError:
            raise
        except BaseException:
            # Its reply may still be on the way: nobody else is to read it.
            connection.disconnect()
            raise
        finally:
            pool.release(connection)

    def _record(self, sid: str, known: tuple[str, bytes], value: bytes) -> Record:
        """Raises where a value is not one of ours, or not this session's."""
        record, binding = _decode(sid, known, value)
        if binding != known[1]:
            self._desynchronised()
        return record

    def _merged(self, mine: Record, value: bytes, *, bound: bool) -> Record:
        """A value that a script has returned for a session that we know."""
        try:
            if bound:
                return self._record(mine.sid, mine.digests, value)
            return _decode(mine.sid, mine.digests, value)[0]
        except Undecodable as error:
            raise SessionUnavailable from error

    def _desynchronised(self) -> t.NoReturn:
        """Drop all connections: one of them answers somebody else's questions."""
        pool = getattr(self.client, "connection_pool", None)
        if pool is not None:
            pool.disconnect()
        else:
            disconnect = getattr(self.client, "disconnect_connection_pools", None)
            if disconnect is not None:
                disconnect()
        raise SessionUnavailable(
            "Redis answered with a value that does not belong to this session: its "
            "connection was out of step, or the value was moved to another key."
        )


def _retry(connection: t.Any, command: tuple[t.Any, ...], failure: Exception) -> t.Any:
    """Let redis-py decide what becomes of a first attempt that failed."""
    failures = [failure]

    def ask() -> t.Any:
        if failures:
            raise failures.pop()
        connection.send_command(*command)
        return connection.read_response()

    def hang_up(error: Exception) -> None:
        connection.disconnect()

    return connection.retry.call_with_retry(ask, hang_up)


def _is_of_another_type(error: Exception) -> bool:
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")


def _encode(record: Record) -> bytes:
    header = _HEADER.pack(
        _FORMAT,
        _PERMANENT if record.permanent else 0,
        record.revision,
        record.digests[1],
        record.created,
    )
    return header + ormsgpack.packb(record.packed)


def _decode(sid: str, known: tuple[str, bytes], value: bytes) -> tuple[Record, bytes]:
    if len(value) <= _HEADER.size or value[0] != _FORMAT:
        raise Undecodable("the value has no header of ours")
    _, flags, revision, binding, created = _HEADER.unpack_from(value)
    try:
        packed = ormsgpack.unpackb(value[_HEADER.size :])
    except ValueError as error:
        raise Undecodable("the value is no MessagePack map") from error
    if not isinstance(packed, dict) or not set(map(type, packed.values())) <= {bytes}:
        raise Undecodable("the value is no map of packed values")
    is_permanent = bool(flags & _PERMANENT)
    return Record(sid, known, created, is_permanent, revision, packed), binding

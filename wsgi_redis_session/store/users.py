"""Which sessions a user has: an index, so that nobody needs to look at all sessions.

A user's key is the ``key_prefix``, ``user:`` and a digest of the user; it lives twice
as long as the last of the sessions. It is a hash. The field ``mark`` says when all the
user's sessions were revoked, in microseconds by the server's clock (8 bytes), when that
was so of the device that was kept (8 bytes), and which that is (8 bytes, or none). Each
other field is the digest of a session id and says

====== ===== ========================================================================
offset bytes
====== ===== ========================================================================
0      8     when its user logged in, in microseconds by the server's clock
8      8     when this was written, by the same clock
16     8     the session's TTL then, in milliseconds
24     8     the device as which it counts where their number is limited
32     8     device: the same as in the session
40     8     when the session began: milliseconds since the epoch
48     8     when it was last seen, likewise
56     1     1 if it is permanent
57           a MessagePack array: the address and the user agent, nil where not kept
====== ===== ========================================================================

With the option ``encrypt`` that array is sealed with the secret, from which the digest
of the user is made as well. So with several secrets a user has several keys: all are
looked at, and what is seen goes under the first one.

A session is entered before it is stored. So whatever stops a login leaves at worst an
entry without a session, never a session that the index does not know.
"""

from __future__ import annotations

import hashlib
import struct
import typing as t

import ormsgpack

from ..errors import SessionUnavailable
from ..model.record import is_digest
from ..model.record import url_safe_base64
from ..transport.deadline import Deadline
from ..transport.transport import Transport
from .commands import Commands
from .commands import digits
from .scripts import DEVICES
from .scripts import ENTER

if t.TYPE_CHECKING:
    from ..model.seal import Seal
    from ..model.seal import UserSeal

#: Who a session belongs to, as applications name them.
User = str

_TIMES = struct.Struct(">QQQ8s")
_KNOWN = struct.Struct(">8sQQ?")
_SIZE = struct.Struct(">I")
_NUMBER = struct.Struct(">Q")
_SURPLUS = struct.Struct(">24s8s")
_DIGEST_BYTES = 24


class Known(t.NamedTuple):
    """What is known of a user's session, for the user to recognise it by."""

    #: Drawn at random for a browser; it stays when the session id changes.
    device: bytes
    #: When the session began, in milliseconds since the epoch.
    created: int
    #: When it was last seen, likewise.
    seen: int
    permanent: bool
    address: str | None = None
    user_agent: str | None = None


class Entry(t.NamedTuple):
    """A session in a user's index, which may have ended since."""

    id: str
    #: When its user logged in, in microseconds by the server's clock.
    entered: int
    #: How long ago this was written, in milliseconds.
    age: int
    known: Known
    #: The device as which it counts where their number is limited.
    counts_as: bytes
    #: Under which of the user's keys, where there are several.
    place: int


class Entered(t.NamedTuple):
    """A session is in its user's index."""

    #: How many microseconds ago all the user's sessions were revoked; ``None`` where
    #: they were not, or that is not for this session.
    revoked: int | None
    #: The sessions that are too many now: the digests of their session ids, and the
    #: devices as which they count.
    surplus: list[tuple[str, bytes]]


class UserIndex:
    """Which sessions a user has.

    Every method raises :exc:`~wsgi_redis_session.SessionUnavailable` where Redis did
    not answer, and may be repeated after a lost reply.
    """

    def __init__(
        self, transport: Transport, key_prefix: str, seal: Seal | None
    ) -> None:
        self._commands = Commands(transport)
        self._prefix = f"{key_prefix}user:"
        self._seals: list[UserSeal | None] = [*seal.of_users] if seal else []
        if seal is None or seal.accepts_plain:
            self._seals.append(None)

    def enter(
        self,
        deadline: Deadline,
        user: User,
        session_id: str,
        known: Known,
        ttl: int,
        *,
        before: str = "",
        limit: int = 0,
        counts_as: bytes = b"",
    ) -> Entered | None:
        """Enter a session, by its digest, with its TTL in milliseconds.

        ``before`` is the digest of the session in whose place it comes, or its own
        where it was only seen; it is empty for a login, which makes the others too many
        that are above the ``limit``, and ``counts_as`` its own device or another one.
        ``None`` where it was there before all the user's sessions were revoked.
        """
        echo, head = session_id.encode("ascii"), _KNOWN.pack(*known[:4])
        details = ormsgpack.packb([known.address, known.user_agent])
        if seal := self._seals[0]:
            details = seal.close(details, echo + head)
        words = echo, before.encode("ascii"), head + details
        args = (*words, digits(ttl), digits(limit), counts_as)
        key = self._keys(user)[0]
        letter, data = self._commands.change(deadline, ENTER, key, echo, args)
        if letter == b"R" and (found := self._elsewhere(deadline, user, before)):
            self._commands.write(deadline, "HSET", key, before, found)
            letter, data = self._commands.change(deadline, ENTER, key, echo, args)
        if letter == b"R":
            return None
        (age,) = _NUMBER.unpack_from(data)
        surplus = _SURPLUS.iter_unpack(data[_NUMBER.size :])
        return Entered(
            age or None, [(found.decode("ascii"), device) for found, device in surplus]
        )

    def _elsewhere(self, deadline: Deadline, user: User, session_id: str) -> bytes:
        """What another of the user's keys says of a session that was not revoked."""
        for key in self._keys(user)[1:]:
            found = self._field(deadline, key, session_id)
            if len(found) < _TIMES.size + _KNOWN.size:
                continue
            mark = self._field(deadline, key, "mark")
            device, *_ = _KNOWN.unpack_from(found, _TIMES.size)
            if mark[16:] == device or found[:8] > mark[:8]:
                return found
        return b""

    def leave(self, deadline: Deadline, user: User, session_ids: list[str]) -> None:
        """Remove sessions that have ended."""
        for key in self._keys(user):
            self._commands.write(deadline, "HDEL", key, *session_ids)

    def is_marked(self, deadline: Deadline, user: User, device: bytes) -> bool:
        """Whether all sessions of a user were revoked that are as old as any, those of
        this device included."""
        for key in self._keys(user):
            mark = self._field(deadline, key, "mark")
            before = mark[8:16] if mark[16:] == device else mark[:8]
            if before.strip(b"\0"):
                return True
        return False

    def entries(self, deadline: Deadline, user: User) -> list[Entry]:
        """The sessions of a user, in no order, with some that have ended."""
        found: dict[str, Entry] = {}
        for place in range(len(self._seals)):
            _, entries = self._devices(deadline, user, place, b"0", b"", b"0")
            found = {entry.id: entry for entry in entries} | found
        return [*found.values()]

    def mark(self, deadline: Deadline, user: User, kept: bytes, ttl: int) -> list[int]:
        """All sessions of a user are about to end, but those of the device that is
        kept; for so many milliseconds none is taken in whose request began before.

        Returns when that was, in microseconds by the server's clock, for each of the
        user's keys.
        """
        args = b"1", kept, digits(ttl)
        places = range(len(self._seals))
        return [self._devices(deadline, user, place, *args)[0] for place in places]

    def _keys(self, user: User) -> list[str]:
        """A user's keys, the one first under which everything is entered."""
        return [self._prefix + _digest(user, seal) for seal in self._seals]

    def _field(self, deadline: Deadline, key: str, field: str) -> bytes:
        found: bytes | None = self._commands.read(deadline, "HGET", key, field)
        return found or b""

    def _devices(
        self, deadline: Deadline, user: User, place: int, *args: bytes
    ) -> tuple[int, list[Entry]]:
        seal = self._seals[place]
        digest = _digest(user, seal)
        echo = digest.encode("ascii")
        _, data = self._commands.change(
            deadline, DEVICES, self._prefix + digest, echo, (echo, *args)
        )
        try:
            return _read(data, place, seal)
        except (struct.error, ValueError) as error:
            message = f"the index of a user cannot be read: {error}"
            raise SessionUnavailable(message) from error


def _read(data: bytes, place: int, seal: UserSeal | None) -> tuple[int, list[Entry]]:
    (now,) = _NUMBER.unpack_from(data)
    at, found = _NUMBER.size, []
    while at < len(data):
        session_id = data[at : at + _DIGEST_BYTES].decode("latin-1")
        at += _DIGEST_BYTES
        (size,) = _SIZE.unpack_from(data, at)
        at += _SIZE.size
        if is_digest(session_id):  # else it was not written here
            value = data[at : at + size]
            entered, written, _, counts_as = _TIMES.unpack_from(value)
            known = _known(session_id, value[_TIMES.size :], seal)
            age = (now - written) // 1000
            found.append(Entry(session_id, entered, age, known, counts_as, place))
        at += size
    return now, found


def _known(session_id: str, value: bytes, seal: UserSeal | None) -> Known:
    """What is known of a session; without what cannot be read, because it is to be
    found all the same when it is to end."""
    head, details = value[: _KNOWN.size], value[_KNOWN.size :]
    known = Known(*_KNOWN.unpack(head))
    try:
        if seal is not None:
            details = seal.open(details, session_id.encode("ascii") + head)
        address, user_agent = ormsgpack.unpackb(details)
    except (ValueError, TypeError):
        return known
    return known._replace(address=address, user_agent=user_agent)


def _digest(user: User, seal: UserSeal | None) -> str:
    raw = user.encode("utf-8", "surrogatepass")
    name = seal.name(raw) if seal else hashlib.sha256(raw).digest()
    return url_safe_base64(name[:18]).decode("ascii")

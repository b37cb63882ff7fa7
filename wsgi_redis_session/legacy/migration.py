"""All sessions that another library has stored become ours, at once.

Each keeps the time that it had left, and leaves a tombstone under the digest of its
session id, by which its browser is recognised when it comes with its old cookie. A
migration that was broken off anywhere is gone on with by starting it again: what has
become ours is not there any more under its old key.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import dataclasses
import itertools
import typing as t

from ..errors import Undecodable
from ..lifetimes import Lifetimes
from ..model.record import digest
from ..model.record import Record
from ..model.record import Tombstone
from ..model.serializer import Serializer
from ..store import layout
from ..store.commands import Commands
from ..store.commands import digits
from ..store.sessions import RedisStore
from ..store.survey import escaped
from ..transport.deadline import Deadline
from ..transport.question import Command
from .inheritance import heir
from .reader import LegacyReader
from .reader import SID

#: So many are in memory at the same time.
_CHUNK = 100


@dataclasses.dataclass
class Tally:
    """What has become of so many sessions."""

    #: What was found under the prefix.
    keys: int = 0
    #: Sessions that became ours, or would.
    migrated: int = 0
    #: Sessions without a value, which are left to expire.
    empty: int = 0
    #: Those that somebody else had migrated before, or ended.
    settled: int = 0
    #: Those that are left as they are, by the reason.
    unreadable: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )

    def add(self, other: Tally) -> None:
        """Count these as well."""
        self.keys += other.keys
        self.migrated += other.migrated
        self.empty += other.empty
        self.settled += other.settled
        self.unreadable += other.unreadable


class _Old(t.NamedTuple):
    """A session as the other library has it, and as it is to be."""

    key: str
    sid: str
    new: Record
    #: In milliseconds.
    ttl: int


class Migration:
    """Goes through all keys of another library.

    Raises :exc:`~wsgi_redis_session.SessionUnavailable`.
    """

    def __init__(
        self,
        reader: LegacyReader,
        serializer: Serializer,
        store: RedisStore,
        lifetimes: Lifetimes,
        *,
        admit: cabc.Callable[[Deadline, Record], bool] | None,
        prefix: str,
        seconds: float,
    ) -> None:
        self._reader = reader
        self._serializer = serializer
        self._store = store
        # Tells the index of users; false where all the user's sessions were revoked.
        self._admit = admit
        self._transport = store.transport
        self._commands = Commands(store.transport)
        self._key_prefix = store.key_prefix
        self._lifetimes = lifetimes
        self._prefix = prefix
        self._seconds = seconds

    def run(self, *, dry: bool) -> cabc.Iterator[Tally]:
        """Migrate step by step, each a chunk of sessions or one more look for some;
        ``dry`` only reads. It may be left between any two steps."""
        pattern = f"{escaped(self._prefix)}*"
        for keys in self._transport.scan(pattern, self._deadline()):
            found = (key.decode("latin-1") for key in keys)
            theirs = (k for k in found if SID.fullmatch(k[len(self._prefix) :]))
            yield Tally()
            while chunk := [*itertools.islice(theirs, _CHUNK)]:
                yield self._migrate(chunk, dry=dry)

    def _migrate(self, keys: list[str], *, dry: bool) -> Tally:
        tally = Tally(keys=len(keys))
        found = [old for old in self._load(keys, tally) if old is not None]
        if dry:
            tally.migrated = len(found)
            return tally
        if self._admit is not None:
            count = len(found)
            found = [old for old in found if self._admit(self._deadline(), old.new)]
            tally.settled = count - len(found)
        # Whatever stops this leaves each session as it was, or under both keys, or
        # with a tombstone that leads to the new one.
        self._write(
            self._set(old, old.new.id, self._store.value(old.new)) for old in found
        )
        claimed = self._write(
            self._set(old, digest(old.sid), _tombstone(old)) for old in found
        )
        taken = [old for old, reply in zip(found, claimed, strict=True) if not reply]
        stands = self._write(("GET", self._key(digest(old.sid))) for old in taken)
        settled = [
            old
            for old, tombstone in zip(taken, stands, strict=True)
            if tombstone != _tombstone(old)  # else a client has asked twice
        ]
        self._write(("DEL", self._key(old.new.id)) for old in settled)
        self._write(("DEL", old.key) for old in found)
        tally.settled += len(settled)
        tally.migrated = len(found) - len(settled)
        return tally

    def _load(self, keys: list[str], tally: Tally) -> cabc.Iterator[_Old | None]:
        commands: list[Command] = []
        end = f"{self._reader.max_size}"
        for key in keys:
            commands += [("GETRANGE", key, "0", end), ("PTTL", key)]
        replies = self._commands.all(self._deadline(), commands)
        for key, value, ttl in zip(keys, replies[::2], replies[1::2], strict=True):
            try:
                yield self._read(key, value, ttl, tally)
            except (TypeError, ValueError) as error:
                tally.unreadable[str(error)] += 1

    def _read(self, key: str, value: t.Any, ttl: int, tally: Tally) -> _Old | None:
        if isinstance(value, Undecodable):
            raise value
        if value == b"":
            return None  # it has ended since
        if layout.is_ours(value):
            tally.keys -= 1
            return None  # both have the same prefix
        values, permanent = self._reader.loads(value)
        if not values:
            tally.empty += 1
            return None
        packed = {name: self._serializer.dumps(values[name]) for name in values}
        sid = key[len(self._prefix) :]
        new = heir(sid, packed, permanent, self._lifetimes.now())
        expiry = self._lifetimes.expiry(new.created)
        assert expiry is not None  # it begins now
        longest = expiry.of(permanent)
        left = min(ttl, longest) if ttl > 0 else longest
        return _Old(key, sid, new.revised(packed, permanent), left)

    def _write(self, commands: cabc.Iterable[Command]) -> list[t.Any]:
        return self._commands.all(self._deadline(), [*commands])

    def _set(self, old: _Old, session_id: str, value: bytes) -> Command:
        """Where there is something, a revocation say, it stays."""
        return "SET", self._key(session_id), value, "NX", "PX", digits(old.ttl)

    def _key(self, session_id: str) -> str:
        return self._key_prefix + session_id

    def _deadline(self) -> Deadline:
        return Deadline(self._seconds)


def _tombstone(old: _Old) -> bytes:
    return layout.write_tombstone(Tombstone.moved(old.sid, old.new))

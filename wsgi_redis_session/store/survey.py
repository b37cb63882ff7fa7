"""What is stored, for people who look at it: no session ids, and values only where
somebody asks for one session."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import functools
import typing as t

from redis.exceptions import ResponseError

from ..errors import SessionUnavailable
from ..errors import Undecodable
from ..model.info import SessionInfo
from ..model.record import is_digest
from ..model.record import Stored
from ..model.record import Tombstone
from ..transport.deadline import Deadline
from ..transport.question import Command
from ..transport.question import Question
from ..transport.transport import Transport
from . import layout
from .commands import Commands


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One key in Redis, as it was found."""

    key: str
    #: What is left of it, in milliseconds.
    ttl: int
    value: bytes = dataclasses.field(repr=False)

    @property
    def size(self) -> int:
        """How many bytes the value takes."""
        return len(self.value)

    def read(self) -> Stored | Tombstone | None:
        """What it says; ``None`` for what is none of ours, or cannot be read."""
        try:
            if layout.is_tombstone(self.value):
                return layout.read_tombstone(self.value)
            return layout.read(self.value)
        except Undecodable:
            return None

    @property
    def names(self) -> dict[str, int]:
        """The names of a session, and how many bytes each value takes; empty for
        anything else."""
        stored = self.read()
        if not isinstance(stored, Stored):
            return {}
        return {name: len(packed) for name, packed in stored.packed.items()}


class Glance(t.NamedTuple):
    """What is known of a session without its names and values."""

    #: :attr:`Session.id <wsgi_redis_session.Session.id>`.
    id: str
    #: How many bytes it takes.
    size: int
    #: How long it will be there if nobody uses it, in milliseconds.
    ttl: int
    head: layout.Head


class Batch(t.NamedTuple):
    """What one step of a survey has found."""

    sessions: list[Glance]
    #: Sessions that have moved or ended lately.
    tombstones: int
    #: What is under a session's key and none of ours.
    others: int


class Survey:
    """Looks at what is stored under a prefix, and only looks.

    However many sessions there are, each command is short, and no more than some
    hundred sessions are in memory. Raises
    :exc:`~wsgi_redis_session.SessionUnavailable`.
    """

    def __init__(self, transport: Transport, key_prefix: str, seconds: float) -> None:
        self._transport = transport
        self._commands = Commands(transport)
        self._prefix = key_prefix
        self._seconds = seconds

    @functools.cached_property
    def server(self) -> dict[str, str]:
        """What the server says of itself."""
        return self.info(self._transport, "server")

    def info(self, node: Transport, section: str = "default") -> dict[str, str]:
        """What a server says of itself, or of a part of it."""
        reply = self.ask(node, "INFO", section)
        if isinstance(reply, dict):  # a client that was given has read it
            return {str(name): str(value) for name, value in reply.items()}
        lines = reply.decode("utf-8", "replace").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def nodes(self) -> cabc.Iterator[Transport]:
        """Each server that has sessions."""
        yield from self._transport.nodes(Deadline(self._seconds))

    @property
    def keys(self) -> int:
        """How many keys there are, whosever they are."""
        return sum(int(self.ask(node, "DBSIZE")) for node in self.nodes())

    def entry(self, session_id: str) -> Entry | None:
        """What is stored of a session."""
        return self._entry(self._prefix + session_id)

    def entries(self) -> cabc.Iterator[Entry]:
        """What is stored of all sessions, in no order, each perhaps more than once."""
        for keys in self.scan(sessions_pattern(self._prefix)):
            for key in keys:
                entry = self._entry(key)
                if entry is not None:
                    yield entry

    def batches(self) -> cabc.Iterator[Batch]:
        """The same for many sessions, some at a time: one batch, which may be empty,
        for about :data:`~wsgi_redis_session.transport.transport.SCAN_COUNT` keys."""
        for keys in self.scan(sessions_pattern(self._prefix)):
            yield self._glances(keys)

    def sessions(self) -> cabc.Iterator[SessionInfo]:
        """All sessions, in no order, each perhaps more than once."""
        for batch in self.batches():
            for found in batch.sessions:
                yield SessionInfo(
                    id=found.id,
                    device=found.head.device.hex(),
                    created=found.head.created / 1000,
                    permanent=found.head.permanent,
                )

    def users(self) -> cabc.Iterator[int]:
        """How many users have sessions, step by step."""
        for keys in self.scan(f"{escaped(self._prefix)}user:{'?' * 24}"):
            yield len(keys)

    def scan(self, pattern: str) -> cabc.Iterator[list[str]]:
        """The keys that match a pattern, some at a time."""
        for keys in self._transport.scan(pattern, Deadline(self._seconds)):
            yield [key.decode("utf-8", "replace") for key in keys]

    def ask(self, node: Transport, *command: str) -> t.Any:
        """The reply of one server to a command that changes nothing."""
        try:
            return node.send(Question(Deadline(self._seconds), command))
        except ResponseError as error:
            place = node.place
            raise SessionUnavailable(f"{place} refuses a command: {error}") from error

    def _glances(self, keys: list[str]) -> Batch:
        keys = [key for key in keys if is_digest(key[len(self._prefix) :])]
        commands: list[Command] = []
        for key in keys:
            head = ("GETRANGE", key, "0", layout.HEAD)
            commands += [head, ("STRLEN", key), ("PTTL", key)]
        replies = self._commands.all(Deadline(self._seconds), commands)
        batch = Batch([], 0, 0)
        for key, head, size, ttl in zip(
            keys, replies[::3], replies[1::3], replies[2::3], strict=True
        ):
            if head == b"":
                continue  # it has ended since
            is_text = isinstance(head, bytes)
            found = layout.head(head) if is_text else None
            if found is not None:
                session_id = key[len(self._prefix) :]
                batch.sessions.append(Glance(session_id, size, ttl, found))
            elif is_text and layout.is_tombstone(head):
                batch = batch._replace(tombstones=batch.tombstones + 1)
            else:
                batch = batch._replace(others=batch.others + 1)
        return batch

    def _entry(self, key: str) -> Entry | None:
        is_string = self.ask(self._transport, "TYPE", key) in (b"string", "string")
        value = self.ask(self._transport, "GET" if is_string else "DUMP", key)
        ttl = self.ask(self._transport, "PTTL", key)
        return None if value is None else Entry(key, ttl, value)


def sessions_pattern(key_prefix: str) -> str:
    """A pattern that the keys of sessions match: the digest of a session id is so
    long."""
    return escaped(key_prefix) + "?" * 24


def escaped(text: str) -> str:
    """A text as a pattern that matches nothing else."""
    return "".join(f"\\{char}" if char in "*?[]\\^-" else char for char in text)

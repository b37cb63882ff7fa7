"""What is stored, for people who look at it: no session ids, and values only as their
size."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import functools
import typing as t

from redis.exceptions import ResponseError

from ..errors import SessionUnavailable
from ..errors import Undecodable
from ..model.record import Stored
from ..model.record import Tombstone
from ..transport.deadline import Deadline
from ..transport.question import Question
from ..transport.transport import Transport
from . import layout


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


class Survey:
    """Looks at what is stored under a prefix, and only looks.

    Raises :exc:`~wsgi_redis_session.SessionUnavailable`.
    """

    def __init__(self, transport: Transport, key_prefix: str, seconds: float) -> None:
        self._transport = transport
        self._prefix = key_prefix
        self._seconds = seconds

    @functools.cached_property
    def server(self) -> dict[str, str]:
        """What the server says of itself."""
        reply = self._ask("INFO", "server")
        if isinstance(reply, dict):  # a client that was given has read it
            return {str(name): str(value) for name, value in reply.items()}
        lines = reply.decode("utf-8", "replace").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def entry(self, session_id: str) -> Entry | None:
        """What is stored of a session."""
        return self._entry(self._prefix + session_id)

    def entries(self) -> cabc.Iterator[Entry]:
        """What is stored of all sessions, in no order, each perhaps more than once."""
        pattern = f"{_escaped(self._prefix)}*"
        for keys in self._transport.scan(pattern, Deadline(self._seconds)):
            for key in keys:
                entry = self._entry(key.decode("utf-8", "replace"))
                if entry is not None:
                    yield entry

    def _entry(self, key: str) -> Entry | None:
        is_string = self._ask("TYPE", key) in (b"string", "string")
        value = self._ask("GET" if is_string else "DUMP", key)
        ttl = self._ask("PTTL", key)
        return None if value is None else Entry(key, ttl, value)

    def _ask(self, *command: str) -> t.Any:
        try:
            return self._transport.send(Question(Deadline(self._seconds), command))
        except ResponseError as error:
            place = self._transport.place
            raise SessionUnavailable(f"{place} refuses a command: {error}") from error


def _escaped(text: str) -> str:
    """A text as a pattern that matches nothing else."""
    return "".join(f"\\{char}" if char in "*?[]\\^-" else char for char in text)

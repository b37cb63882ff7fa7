"""Where a session comes from, as draft and session see it: its request."""

from __future__ import annotations

import enum
import typing as t

from .record import Record

if t.TYPE_CHECKING:
    from .draft import Draft


class Stage(enum.Enum):
    """How far a request has come, and so what its session can still do."""

    #: Everything is possible.
    OPEN = enum.auto()
    #: The headers have left: nothing may need a cookie any more.
    STREAMING = enum.auto()
    #: The application failed: nothing is saved any more.
    FAILED = enum.auto()
    #: The request is over: nothing may change any more.
    OVER = enum.auto()


class Source(t.Protocol):
    """Where a session comes from: its request, as draft and session see it."""

    stage: Stage
    #: Whether the application has looked at the session.
    accessed: bool

    def load(self) -> Draft:
        """Find the session that the browser's cookie names, or a new one."""

    def fresh(self) -> Record:
        """A new session."""

    def now(self) -> int:
        """Milliseconds since the epoch."""

    def undecodable(self, record: Record) -> None:
        """Take note of stored values that cannot be read."""

    def refuse(self, record: Record, change: str) -> t.NoReturn:
        """Take note of a change that came after the headers, and raise."""

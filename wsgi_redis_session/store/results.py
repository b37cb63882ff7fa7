"""How large a session may be, and what comes of saving one."""

from __future__ import annotations

import typing as t

from ..model.record import Record


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
    """Others have changed the same names, or sealed the session with another data key;
    nothing was written."""

    theirs: Record


class TooLarge(t.NamedTuple):
    """With what others have saved it would be too large; nothing was written."""

    #: How many bytes, or names, it would have.
    size: int
    unit: str
    limit: int

    def __str__(self) -> str:
        return (
            f"the session would have {self.size} {self.unit}, more than "
            f"max_{self.unit}={self.limit}, and was not saved."
        )

"""What Redis does by itself, in Lua. Each script works on one key, and its first lines
name what it takes and what it returns."""

from __future__ import annotations

import hashlib
import pkgutil
import struct
import typing as t


class Script:
    """A Lua script, and the digest by which the server knows it."""

    def __init__(self, name: str) -> None:
        data = pkgutil.get_data(__name__, f"{name}.lua")
        assert data is not None  # only a loader without files has none
        self.source = data.decode()
        self.sha = hashlib.sha1(data, usedforsecurity=False).hexdigest()


SAVE = Script("save")
RETIRE = Script("retire")
END = Script("end")
TOUCH = Script("touch")


class Merging(t.NamedTuple):
    """What ``save.lua`` takes to merge, in its order; TTLs in milliseconds."""

    transient_ttl: int
    permanent_ttl: int
    empty_ttl: int
    #: 0 for no limit, as is the next one.
    max_bytes: int
    max_names: int
    sets_kind: bool
    changed: int
    removed: int
    is_again: bool = False

    def pack(self) -> bytes:
        """One argument in the place of nine, each of which the server would have to
        take in."""
        return _MERGING.pack(*self)

    @staticmethod
    def again(packed: bytes) -> bytes:
        """The same, for a command that is sent again."""
        return packed[:-1] + b"\1"


_MERGING = struct.Struct(">QQQQQ?II?")

"""What Redis does by itself, in Lua. Each script works on one key, and its first lines
name what it takes and what it returns."""

from __future__ import annotations

import hashlib
import pkgutil
import struct

from ..lifetimes import Expiry
from ..model.changes import Changes
from .results import Limits


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
ENTER = Script("enter")
DEVICES = Script("devices")


def merging(
    expiry: Expiry, empty_ttl: int, limits: Limits, changes: Changes, *, sets_kind: bool
) -> tuple[bytes, bytes]:
    """What ``save.lua`` takes to merge; and the same for a command that is sent again.

    It is one argument in the place of nine, each of which the server would have to take
    in.
    """
    packed = _MERGING.pack(
        expiry.transient,
        expiry.permanent,
        empty_ttl,
        limits.max_bytes,
        limits.max_names,
        sets_kind,
        len(changes.changed),
        len(changes.removed),
        False,
    )
    return packed, packed[:-1] + b"\1"


_MERGING = struct.Struct(">QQQQQ?II?")

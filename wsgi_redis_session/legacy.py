"""Sessions that other libraries left in Redis."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from .errors import Undecodable


class LegacyReader:
    """Placeholder until the reader is there: it knows no session."""

    def __init__(
        self, secret_keys: cabc.Iterable[str | bytes], *, allow_pickle: bool
    ) -> None:
        self.allow_pickle = allow_pickle

    def sid(self, cookie_value: str) -> str | None:
        return None

    def loads(self, data: bytes) -> tuple[dict[str, t.Any], bool]:
        raise Undecodable("not one of ours")

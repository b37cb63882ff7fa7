"""A session's values as bytes, and what is said of those that cannot be."""

from __future__ import annotations

import typing as t

from ..errors import NotSerializable
from .record import shortened
from .serializer import Serializer


class Packing:
    """Packs values and unpacks them, by a serializer."""

    def __init__(self, serializer: Serializer) -> None:
        self.serializer = serializer
        #: Unpacks one value; raises what the serializer does.
        self.loads = serializer.loads

    def dumps(self, name: str, value: t.Any) -> bytes:
        """Pack one value.

        Raises :exc:`~wsgi_redis_session.NotSerializable` naming the session's key.
        """
        try:
            return self.serializer.dumps(value)
        except (TypeError, ValueError) as error:
            raise NotSerializable(
                f"session[{shortened(name)}] was not saved, nor anything else in this "
                f"session: {error}"
            ) from error

    def keeps(self, value: t.Any, packed: bytes) -> bool:
        """Whether a value is what was unpacked from these bytes, as far as can be told:
        what is too deep to be compared cannot have been stored here."""
        try:
            return bool(self.loads(packed) == value)
        except RecursionError:
            return True

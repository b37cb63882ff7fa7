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
        """Whether a value is what was unpacked from these bytes."""
        try:
            return _same(self.loads(packed), value)
        except RecursionError:
            return False


def _same(one: t.Any, other: t.Any) -> bool:
    """Whether two values are equal, however deep they are."""
    pairs = [(one, other)]
    while pairs:
        one, other = pairs.pop()
        kind = type(one)
        if kind is dict and type(other) is dict and one.keys() == other.keys():
            pairs += [(one[key], other[key]) for key in one]
        elif kind in (list, tuple) and type(other) is kind and len(one) == len(other):
            pairs += zip(one, other, strict=True)
        elif one != other:
            return False
    return True

"""Long values take less room in Redis: a serializer around another one."""

from __future__ import annotations

import typing as t
import zlib

from ..errors import NotSerializable
from ..errors import Undecodable
from .serializer import MessagePackSerializer
from .serializer import Serializer

#: MessagePack never begins with the first byte; the second one says what follows.
_COMPRESSED = b"\xc1z"
#: What another serializer has begun with the same byte.
_AS_IT_IS = b"\xc1r"

#: The fastest one. The best one makes a tenth less of a long value, and takes twice the
#: time for that.
_LEVEL = 1


class CompressedSerializer:
    """Compresses what another serializer makes of long values, with zlib.

    ``SessionManager(serializer=CompressedSerializer())``. Each value is compressed by
    itself, if it has ``threshold`` bytes or more and becomes shorter by it. Shorter
    ones gain little, and a session's values are mostly short: ``python
    benchmarks/packing.py`` measures both. What was stored before is read as it is.

    ``max_bytes`` is how large a value may be before it is compressed: a few thousand
    bytes could otherwise be unpacked to millions.

    **Keep a secret and what somebody else chooses in different values.** A compressed
    value is the shorter, the more its parts have in common. Where one value holds a
    secret, such as a CSRF token, and text that a visitor chooses, and whoever watches
    learns its length, from Redis, a backup or a metric, that visitor guesses the secret
    piece by piece: the right guess is the one that adds least. This is how CRIME and
    BREACH read cookies through TLS; encryption hides no length. Under different names
    they do not meet.
    """

    def __init__(
        self,
        serializer: Serializer | None = None,
        *,
        threshold: int = 1024,
        max_bytes: int = 8 * 1024 * 1024,
    ) -> None:
        self._serializer = serializer or MessagePackSerializer()
        self._threshold = threshold
        self._max_bytes = max_bytes

    def dumps(self, value: t.Any, /) -> bytes:
        """Raises :exc:`~wsgi_redis_session.NotSerializable` for a value that is too
        large to be read again, and what the other serializer does."""
        packed = self._serializer.dumps(value)
        if len(packed) > self._max_bytes:
            raise NotSerializable(
                f"it takes {len(packed)} bytes before it is compressed, more than "
                f"max_bytes={self._max_bytes}"
            )
        if len(packed) >= self._threshold:
            compressed = _COMPRESSED + zlib.compress(packed, _LEVEL)
            if len(compressed) < len(packed):
                return compressed
        return _AS_IT_IS + packed if packed[:1] == _AS_IT_IS[:1] else packed

    def loads(self, data: bytes, /) -> t.Any:
        """Raises :exc:`~wsgi_redis_session.errors.Undecodable` for what is damaged or
        too large, and what the other serializer does."""
        mark = data[: len(_COMPRESSED)]
        if mark == _COMPRESSED:
            data = self._unpacked(data[len(mark) :])
        elif mark == _AS_IT_IS:
            data = data[len(mark) :]
        return self._serializer.loads(data)

    def _unpacked(self, data: bytes) -> bytes:
        unpacking = zlib.decompressobj()
        try:
            packed = unpacking.decompress(data, self._max_bytes)
        except zlib.error as error:
            raise Undecodable(f"the value cannot be decompressed: {error}") from error
        if not unpacking.eof or unpacking.unused_data:
            raise Undecodable("the compressed value is too large, or not complete")
        return packed

"""Sessions that other libraries left in Redis: whose they are, and what is in them.

Flask-Session 0.7 and newer writes MessagePack or JSON; its earlier versions and the
classic Flask snippet write pickles. The first bytes of a value decide which of the
three it is, and only that one is tried.
"""

from __future__ import annotations

import collections.abc as cabc
import json
import pickle
import re
import struct
import typing as t

import ormsgpack
from itsdangerous import BadSignature
from itsdangerous import Signer
from itsdangerous import want_bytes

from ..errors import Undecodable
from ..model.messagepack import count_tuple_keys
from .unpickler import note
from .unpickler import Plain

#: What a session id of theirs looks like.
SID = re.compile(r"[A-Za-z0-9_-]{16,128}")
#: With an HMAC-SHA1 behind it.
_SIGNED_SID = re.compile(rf"{SID.pattern}\.[A-Za-z0-9_-]{{27}}")

_JSON = re.compile(rb"\{")
_MSGPACK = re.compile(rb"\x80\Z|[\x81-\x8f\xde\xdf]")
#: Protocols 2 to 5 say which they are; 0 and 1 begin with the dictionary.
_PICKLE = re.compile(rb"\x80[\x02-\x05]|[(}]")

#: Aware datetimes were written as timestamps, which are UTC.
_OPTIONS = ormsgpack.OPT_DATETIME_AS_TIMESTAMP_EXT | ormsgpack.OPT_NON_STR_KEYS

#: In bytes, as it is stored; then in values, characters and bytes, as it is read. It is
#: more where sessions of ours may have more.
MAX_SIZE = 1024 * 1024

#: A list adds one level, a dictionary in a pickle three. The default serializer can
#: store all that is within.
_MAX_DEPTH = 150

#: Tuples can be chosen to have one hash, and then 80 kB of them take a second.
_MAX_TUPLE_KEYS = 1000

#: What bytes that are no session make the decoders raise.
_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    Warning,  # where warnings are errors
    pickle.UnpicklingError,
    struct.error,
)


class LegacyReader:
    """Reads the sessions of Flask-Session 0.3 to 0.8 and of the classic snippet.

    ``secret_keys`` verify the cookies that Flask-Session has signed. Pickles are read
    only with ``allow_pickle``, cookies that nobody has signed not with ``only_signed``.
    """

    def __init__(
        self,
        secret_keys: cabc.Iterable[str | bytes],
        *,
        allow_pickle: bool,
        only_signed: bool = False,
        max_bytes: int | None = None,
    ) -> None:
        self._signer = Signer(
            [want_bytes(key) for key in secret_keys],
            salt="flask-session",
            key_derivation="hmac",
        )
        self._allow_pickle = allow_pickle
        self._only_signed = only_signed
        #: No session of more bytes is read.
        self.max_size = max(MAX_SIZE, max_bytes or 0)

    def sid(self, cookie_value: str) -> str | None:
        """The session id that a cookie holds, signed or not."""
        if SID.fullmatch(cookie_value):
            return None if self._only_signed else cookie_value
        if not _SIGNED_SID.fullmatch(cookie_value):
            return None
        try:
            return self._signer.unsign(cookie_value).decode("ascii")
        except BadSignature:
            return None

    def loads(self, data: bytes) -> tuple[dict[str, t.Any], bool]:
        """A session's names and values, and whether it was permanent.

        Raises :exc:`~wsgi_redis_session.errors.Undecodable`, which says nothing of
        what was stored but the name of a type that a pickle must not contain.
        """
        if len(data) > self.max_size:
            raise Undecodable(f"it has more than {self.max_size} bytes")
        try:
            values = Plain(self.max_size, _MAX_DEPTH).of(self._decode(data))
        except Undecodable:
            raise
        except _UNREADABLE as error:
            raise Undecodable(f"it cannot be read: {type(error).__name__}") from error
        if type(values) is not dict or not all(map(_is_name, values)):
            raise Undecodable("it is no dictionary with strings as its keys")
        permanent = bool(values.pop("_permanent", False))
        return values, permanent

    def _decode(self, data: bytes) -> t.Any:
        if _JSON.match(data):
            return json.loads(data.decode(), parse_constant=_refuse_constant)
        if _MSGPACK.match(data):
            if count_tuple_keys(data) > _MAX_TUPLE_KEYS:
                raise Undecodable(f"more than {_MAX_TUPLE_KEYS} keys are tuples")
            return ormsgpack.unpackb(data, option=_OPTIONS)
        if not _PICKLE.match(data):
            raise Undecodable("it is neither MessagePack nor JSON nor a pickle")
        if not self._allow_pickle:
            raise Undecodable("it is a pickle, and pickles are not allowed")
        return note(data)


def _refuse_constant(name: str) -> t.NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _is_name(key: t.Any) -> bool:
    # A session cannot store a name with a lone surrogate.
    return type(key) is str and key == key.encode("utf-8", "replace").decode()

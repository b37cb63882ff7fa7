"""Session values to bytes and back: what comes out equals what went in.

MessagePack, with an extension type for each Python type that it does not know. Its
keys are strings only here, so a dictionary with other keys is an extension too.
Subclasses of the types below come back as the type itself.
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import sys
import typing as t
from datetime import date
from datetime import datetime
from datetime import time
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import ormsgpack
from markupsafe import Markup
from ormsgpack import Ext

from ..errors import NotSerializable
from ..errors import Undecodable
from . import moments
from .messagepack import count_levels
from .messagepack import most_levels

_OPTIONS = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)

#: ormsgpack unpacks so many levels at once and no more, and so many again in each
#: extension, so that somebody's extensions in each other would fill the whole stack.
_LEVELS = 1000

#: So many may stand in extensions by the look of it, before they are counted.
_MOST_LEVELS = 2 * _LEVELS

# Stored values name their types by these numbers: never reuse one.
_TUPLE = 1
_SET = 2
_FROZENSET = 3
_MARKUP = 4
_UUID = 5
_DECIMAL = 6
_DATETIME = 7
_DATE = 8
_TIME = 9
_TIMEDELTA = 10
_INT = 11
_DICT = 12
_STR = 13


class Serializer(t.Protocol):
    """What ``SessionManager(serializer=...)`` takes."""

    def dumps(self, value: t.Any, /) -> bytes:
        """Turn one session value into bytes; equal values into equal bytes.

        Raise :exc:`TypeError` or :exc:`ValueError` for a value that cannot be stored.
        """

    def loads(self, data: bytes, /) -> t.Any:
        """Turn the bytes back; raise :exc:`ValueError` where they cannot be read."""


class MessagePackSerializer:
    """The default serializer: None, bool, int, float, str, bytes, list, tuple, dict
    with any keys, set, frozenset, Markup, UUID, Decimal, date, time, datetime and
    timedelta, nested up to 100 levels."""

    def dumps(self, value: t.Any, /) -> bytes:
        """Raises :exc:`~wsgi_redis_session.errors.NotSerializable` naming the type."""
        try:
            return _pack(value)
        except TypeError:
            # Keys that are no strings, lone surrogates, or what cannot be stored: the
            # error does not tell, and does not say where.
            return _pack_with_care(value)

    def loads(self, data: bytes, /) -> t.Any:
        """Raises :exc:`~wsgi_redis_session.errors.Undecodable`."""
        try:
            return ormsgpack.unpackb(data, ext_hook=_restore)
        except (ValueError, LookupError, RecursionError) as error:
            raise Undecodable(str(error)) from error


def _pack(value: t.Any) -> bytes:
    return ormsgpack.packb(value, default=_stand_in, option=_OPTIONS)


def _pack_with_care(value: t.Any) -> bytes:
    try:
        return _pack(_portable(value))
    except NotSerializable:
        raise
    except RecursionError:
        reason = "it contains itself or is nested too deeply"
        raise NotSerializable(f"{_refused(value)}: {reason}") from None
    except TypeError as error:
        raise NotSerializable(f"{_refused(value)}: {error}") from error


def _portable(value: t.Any) -> t.Any:
    """Rebuild a value out of what MessagePack packs without asking."""
    if type(value) in _NATIVE:
        return value
    return _stand_in(value, _portable)


def _as_it_is(value: t.Any) -> t.Any:
    return value


#: Prepares a value that stands inside another one.
_Inner = cabc.Callable[[t.Any], t.Any]


def _stand_in(value: t.Any, inner: _Inner = _as_it_is) -> t.Any:
    """Stand in for a value that MessagePack does not know, or not well enough."""
    build = _BUILDERS.get(type(value))
    if build is not None:
        return build(value, inner)
    for kind, build in _BUILDERS.items():
        if isinstance(value, kind):
            return build(value, inner)
    # As Flask's serializer does; lazy strings have it too.
    html = None if isinstance(value, type) else getattr(value, "__html__", None)
    if callable(html):
        return _from_markup(html(), inner)
    raise NotSerializable(_refused(value))


def _refused(value: t.Any) -> str:
    return f"a {type(value).__module__}.{type(value).__qualname__} cannot be stored"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_plain_key(key: t.Any) -> bool:
    return isinstance(key, str) and not isinstance(key, Markup) and _is_unicode(key)


def _from_str(value: str, inner: _Inner) -> t.Any:
    plain = str.__str__(value)
    if _is_unicode(plain):
        return plain
    return Ext(_STR, plain.encode("utf-8", "surrogatepass"))


def _from_markup(value: str, inner: _Inner) -> t.Any:
    return Ext(_MARKUP, str.__str__(value).encode("utf-8", "surrogatepass"))


def _from_int(value: int, inner: _Inner) -> t.Any:
    plain = int.__index__(value)
    if -(2**63) <= plain < 2**64:
        return plain
    size = plain.bit_length() // 8 + 1
    return Ext(_INT, plain.to_bytes(size, "big", signed=True))


def _from_float(value: float, inner: _Inner) -> t.Any:
    return float.__pos__(value)


def _from_bytes(value: bytes, inner: _Inner) -> t.Any:
    return bytes.__getitem__(value, slice(None))


def _from_list(value: list[t.Any], inner: _Inner) -> t.Any:
    return [inner(item) for item in value]


def _from_tuple(value: tuple[t.Any, ...], inner: _Inner) -> t.Any:
    return Ext(_TUPLE, _pack([inner(item) for item in value]))


def _from_dict(value: dict[t.Any, t.Any], inner: _Inner) -> t.Any:
    if all(_is_plain_key(key) for key in value):
        return {str.__str__(key): inner(item) for key, item in value.items()}
    return Ext(_DICT, _pack([inner(part) for pair in value.items() for part in pair]))


def _from_set(value: cabc.Set[t.Any], inner: _Inner) -> t.Any:
    # In the order of their bytes, so that equal sets are equal bytes. What a member
    # contains is packed here, or each level of nesting would do it twice.
    members = sorted(map(_portable, value), key=_pack)
    return Ext(_SET if isinstance(value, set) else _FROZENSET, _pack(members))


def _from_datetime(value: datetime, inner: _Inner) -> t.Any:
    return Ext(_DATETIME, moments.to_text(value).encode())


def _from_time(value: time, inner: _Inner) -> t.Any:
    return Ext(_TIME, moments.to_text(value).encode())


def _from_date(value: date, inner: _Inner) -> t.Any:
    return Ext(_DATE, date.isoformat(value).encode())


def _from_timedelta(value: timedelta, inner: _Inner) -> t.Any:
    return Ext(_TIMEDELTA, _pack([value.days, value.seconds, value.microseconds]))


def _from_uuid(value: UUID, inner: _Inner) -> t.Any:
    return Ext(_UUID, value.bytes)


def _from_decimal(value: Decimal, inner: _Inner) -> t.Any:
    return Ext(_DECIMAL, Decimal.__str__(value).encode())


_NATIVE = frozenset({type(None), bool, float, bytes, bytearray, memoryview, Ext})

# A subclass is taken for the first of its bases here.
_BUILDERS: dict[type, cabc.Callable[[t.Any, _Inner], t.Any]] = {
    Markup: _from_markup,
    str: _from_str,
    int: _from_int,
    float: _from_float,
    bytes: _from_bytes,
    list: _from_list,
    tuple: _from_tuple,
    dict: _from_dict,
    set: _from_set,
    frozenset: _from_set,
    datetime: _from_datetime,
    date: _from_date,
    time: _from_time,
    timedelta: _from_timedelta,
    UUID: _from_uuid,
    Decimal: _from_decimal,
}


def _restore(code: int, data: bytes, levels: int = _MOST_LEVELS) -> t.Any:
    """The value of an extension, which may have so many levels."""
    rebuild = _NESTING.get(code)
    if rebuild is not None:
        return rebuild(_unpack(data, levels))
    restore = _RESTORERS.get(code)
    if restore is None:
        raise ValueError(f"unknown type {code}")
    return restore(data)


def _unpack(data: bytes, levels: int) -> t.Any:
    levels -= min(_LEVELS, most_levels(data))
    if levels < 0:
        if count_levels(data, _NESTING) > _LEVELS:
            raise ValueError("it is nested too deeply")
        levels = sys.maxsize
    return ormsgpack.unpackb(data, ext_hook=functools.partial(_restore, levels=levels))


def _to_dict(flat: list[t.Any]) -> dict[t.Any, t.Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


#: What is made of the values in an extension.
_NESTING: dict[int, cabc.Callable[[list[t.Any]], t.Any]] = {
    _TUPLE: tuple,
    _SET: set,
    _FROZENSET: frozenset,
    _TIMEDELTA: lambda parts: timedelta(*parts),
    _DICT: _to_dict,
}

_RESTORERS: dict[int, cabc.Callable[[bytes], t.Any]] = {
    _MARKUP: lambda data: Markup(  # noqa: S704  # it was Markup when it was stored
        data.decode("utf-8", "surrogatepass")
    ),
    _UUID: lambda data: UUID(bytes=data),
    _DECIMAL: lambda data: Decimal(data.decode()),
    _DATETIME: lambda data: moments.to_datetime(data.decode()),
    _DATE: lambda data: date.fromisoformat(data.decode()),
    _TIME: lambda data: moments.to_time(data.decode()),
    _INT: lambda data: int.from_bytes(data, "big", signed=True),
    _STR: lambda data: data.decode("utf-8", "surrogatepass"),
}

"""Pickles read without trusting who wrote them.

A pickle is a program. Here it can name nothing but what is in ``_MAKERS``, and it runs
in two steps. :func:`note` makes nothing, it only notes what the pickle wants made;
:class:`Plain` makes it, and counts while it does: a short pickle can describe an
enormous value, or one so deep that hashing it would end the process.
"""

from __future__ import annotations

import collections.abc as cabc
import io
import operator
import pickle
import reprlib
import typing as t
from datetime import date
from datetime import datetime
from datetime import time
from datetime import timedelta
from datetime import timezone
from decimal import Decimal
from uuid import UUID

from markupsafe import Markup

from ..errors import Undecodable


def note(data: bytes) -> t.Any:
    """What :class:`Plain` turns into the value that was pickled.

    Raises whatever the bytes make the standard library's unpickler raise.
    """
    return _Unpickler(io.BytesIO(data)).load()


class _Call:
    """What a pickle wants made of ``args``; without them, only that it is named."""

    __slots__ = ("args", "make")

    def __init__(self, make: cabc.Callable[..., t.Any], args: t.Any = None) -> None:
        self.make = make
        self.args = args

    def __setitem__(self, key: t.Any, value: t.Any) -> None:
        self.args[0].append((key, value))

    def add(self, value: t.Any) -> None:
        self.args[0].append(value)


class _Str2(bytes):
    """A ``str`` of Python 2: text, or what a datetime is made of."""

    def text(self) -> str:
        try:
            return self.decode()
        except UnicodeDecodeError:
            return self.decode("latin-1")


def _check_hashes(keys: list[t.Any]) -> None:
    # Numbers can be chosen to have one hash, and then take a minute instead of a
    # millisecond. By chance a few do.
    if len(set(map(hash, keys))) < len(keys) - 100:
        raise ValueError("too many keys with the same hash")


def _dict(pairs: list[t.Any]) -> dict[t.Any, t.Any]:
    _check_hashes([key for key, _ in pairs])
    return dict(pairs)


def _set(members: list[t.Any]) -> set[t.Any]:
    _check_hashes(members)
    return set(members)


def _frozenset(members: list[t.Any]) -> frozenset[t.Any]:
    return frozenset(_set(members))


def _moment(kind: type[date | time]) -> cabc.Callable[..., t.Any]:
    # Of the bytes in a pickle these types check the month only; replace() does all.
    return lambda *state: kind(*state).replace()


def _uuid(state: dict[str, t.Any]) -> UUID:
    return UUID(int=operator.index(state["int"]))


def _decimal(text: str | _Str2) -> Decimal:
    return Decimal(text.text() if isinstance(text, _Str2) else str.__str__(text))


def _markup(text: str) -> Markup:
    return Markup(str.__str__(text))  # noqa: S704  # it was Markup when it was stored


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError("bytes are encoded as latin1")
    return text.encode("latin-1")


def _reconstructor(*args: t.Any) -> t.NoReturn:
    raise TypeError("its arguments are taken apart by the unpickler")


def _named_only(*args: t.Any) -> t.NoReturn:
    raise TypeError("it stands beside what is to be made")


#: Everything that a pickle may name, under the names of Python 2 too, with what makes
#: it.
_MAKERS: dict[str, cabc.Callable[..., t.Any]] = {
    "__builtin__.bytes": b"".join,  # of nothing; all others are encoded
    "__builtin__.frozenset": _frozenset,
    "__builtin__.object": _named_only,
    "__builtin__.set": _set,
    "__builtin__.unicode": _named_only,
    "_codecs.encode": _encode,
    "builtins.frozenset": _frozenset,
    "builtins.set": _set,
    "collections.OrderedDict": _dict,
    "copy_reg._reconstructor": _reconstructor,
    "datetime.date": _moment(date),
    "datetime.datetime": _moment(datetime),
    "datetime.time": _moment(time),
    "datetime.timedelta": timedelta,
    "datetime.timezone": timezone,
    "decimal.Decimal": _decimal,
    "flask.Markup": _markup,
    "jinja2.Markup": _markup,
    "jinja2._markupsafe.Markup": _markup,
    "jinja2.utils.Markup": _markup,
    "markupsafe.Markup": _markup,
    "uuid.UUID": _uuid,
}

#: No persistent ids, no extensions, no buffers, and no way to make an object that the
#: types above do without.
_OPCODES = """
    PROTO FRAME MARK STOP POP POP_MARK DUP PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET
    LONG_BINGET GLOBAL STACK_GLOBAL NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2
    LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE
    SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 EMPTY_LIST LIST
    APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 SETITEM SETITEMS ADDITEMS
""".split()  # noqa: SIM905  # fifty quoted names are harder to read


class _Unpickler(pickle._Unpickler):
    """The first step: numbers, strings, lists and tuples; of all else, a note.

    The unpickler written in C cannot serve: it makes and hashes what it reads at once,
    makes room for as many references as a pickle claims, and lets a pickle set
    attributes of every class that it may name.
    """

    stack: list[t.Any]
    append: cabc.Callable[[t.Any], None]
    pop_mark: cabc.Callable[[], list[t.Any]]

    dispatch: t.ClassVar[dict[int, cabc.Callable[[t.Any], None]]] = {
        getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]]
        for name in _OPCODES
    }

    def find_class(self, module: str, name: str) -> _Call:
        full_name = f"{module}.{name}"
        if full_name not in _MAKERS:
            raise Undecodable(f"it contains {reprlib.repr(full_name)}")
        return _Call(_MAKERS[full_name])

    def _decode_string(self, value: bytes) -> _Str2:
        return _Str2(value)

    def _load_call(self) -> None:
        args = self.stack.pop()
        call = self.stack.pop()
        if call.make is _reconstructor:
            call, _, state = args
            args = (state,)
        # The very same arguments: copies would multiply without end.
        self.append(_Call(call.make, args or ([],)))

    def _load_state(self) -> None:
        state = self.stack.pop()
        if self.stack[-1].make is not _uuid:
            raise TypeError("nothing else has a state")
        self.stack[-1].args = (state,)

    def _load_dict(self) -> None:
        items = self.pop_mark()
        pairs = list(zip(items[::2], items[1::2], strict=True))
        self.append(_Call(_dict, (pairs,)))

    def _load_frozenset(self) -> None:
        items = self.pop_mark()
        self.append(_Call(_frozenset, (items,)))

    dispatch |= {
        pickle.BUILD[0]: _load_state,
        pickle.DICT[0]: _load_dict,
        pickle.EMPTY_DICT[0]: lambda self: self.append(_Call(_dict, ([],))),
        pickle.EMPTY_SET[0]: lambda self: self.append(_Call(_set, ([],))),
        pickle.FROZENSET[0]: _load_frozenset,
        pickle.NEWOBJ[0]: _load_call,
        pickle.REDUCE[0]: _load_call,
    }


_LEAVES = frozenset({type(None), bool, int, float, str, bytes, datetime})


class Plain:
    """Makes plain values, ``max_size`` of them and of their characters and bytes.

    What is referred to twice is made twice, and counts twice.
    """

    def __init__(self, max_size: int, max_depth: int) -> None:
        self._left = max_size
        self._max_depth = max_depth

    def of(self, value: t.Any, depth: int = 0) -> t.Any:
        """Copy a value, making what was only noted in it."""
        kind = type(value)
        self._count(value, kind, depth)
        if kind in _LEAVES:
            return value
        if kind is _Str2:
            return value.text()
        if kind is list or kind is tuple:
            return kind(self.of(item, depth + 1) for item in value)
        if kind is dict:
            return dict(self.of(pair, depth) for pair in value.items())
        if kind is _Call:
            return value.make(*[self._argument(arg, depth + 1) for arg in value.args])
        raise TypeError("nothing else is expected")

    def _argument(self, value: t.Any, depth: int) -> t.Any:
        made = self.of(value, depth)
        return value if type(value) is _Str2 else made

    def _count(self, value: t.Any, kind: type, depth: int) -> None:
        self._left -= 1
        if kind in (str, bytes, _Str2):
            self._left -= len(value)
        elif kind is int:
            self._left -= value.bit_length() // 8
        if self._left < 0 or depth > self._max_depth:
            raise Undecodable("it is too large or nested too deeply")

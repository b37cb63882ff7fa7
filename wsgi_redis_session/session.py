"""The session that an application sees: a mapping that knows what it was loaded from.

It loads itself when the application first looks, unpacks a value when it is first
asked for, and finds out by itself what has changed, however deep. It sends nothing:
``regenerate()`` and ``destroy()`` record what the application wants, and the manager
does it when the request is committed.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from datetime import date
from datetime import datetime
from datetime import time
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from markupsafe import Markup

from .errors import NotSerializable
from .record import Changes
from .record import Record
from .record import shortened
from .serializer import Serializer

#: Values that nobody can change once they have them.
_IMMUTABLE = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        str,
        bytes,
        Markup,
        UUID,
        Decimal,
        date,
        time,
        datetime,
        timedelta,
    }
)


class Source(t.Protocol):
    """Where a session comes from; the manager's side of it."""

    def load(self) -> Record:
        """Find the session that the browser's cookie names, or a new one."""

    def fresh(self) -> Record:
        """A new session."""

    def undecodable(self, record: Record) -> None:
        """Take note of stored values that cannot be read."""

    def refuse(self, record: Record, change: str) -> t.NoReturn:
        """Take note of a change that came after the headers, and raise."""


class Session(cabc.MutableMapping[str, t.Any]):
    """A visitor's data, kept in Redis; used like a dictionary.

    Names are strings, values are what the serializer takes. Changes are saved when
    the response starts, those made while its body streams at its end. Changing a
    nested value needs no flag.

    Looking at it for the first time loads it, which raises
    :exc:`~wsgi_redis_session.SessionUnavailable` while Redis does not answer.
    """

    __slots__ = (
        "__weakref__",
        "_ended",
        "_forced",
        "_looked",
        "_modified",
        "_packed",
        "_permanent",
        "_record",
        "_removed",
        "_renewed",
        "_sealed",
        "_serializer",
        "_source",
        "_touched",
        "_values",
        "accessed",
    )

    def __init__(self, source: Source, serializer: Serializer) -> None:
        self._source = source
        self._serializer = serializer
        self._record: Record | None = None
        # Every name in its order, with None for a value that was set by this request.
        self._packed: dict[str, bytes | None] = {}
        # What the application was given or has set.
        self._values: dict[str, t.Any] = {}
        # Names that it has set (True), or whose value it may have changed.
        self._touched: dict[str, bool] = {}
        self._removed = False
        self._permanent = False
        self._forced: bool | None = None
        self._renewed = False
        self._ended: Record | None = None
        self._sealed = False
        self._looked = False
        self._modified = False
        #: Whether the application has looked at the session, so that its response
        #: depends on the cookie.
        self.accessed = False

    # What the session is.

    @property
    def new(self) -> bool:
        """Whether nothing is stored for this visitor yet."""
        record = self._look()
        return not (record.stored or record.foreign_sid)

    @property
    def id(self) -> str:
        """A one-way digest of the session id: safe to show and to log, useless as a
        cookie. It changes with :meth:`regenerate`."""
        return self._look().id

    @property
    def sid(self) -> str:
        """The secret in the visitor's cookie. Never log it or show it."""
        return self._look().sid

    @property
    def created(self) -> float:
        """When the session began, in seconds since the epoch."""
        return self._look().created / 1000

    @property
    def permanent(self) -> bool:
        """Whether the session outlives the browser, for ``permanent_lifetime``."""
        self._look()
        return self._permanent

    @permanent.setter
    def permanent(self, value: bool) -> None:
        record = self._look()
        if self._sealed and bool(value) != self._permanent:
            self._source.refuse(record, "a session that becomes permanent or temporary")
        self._permanent = bool(value)

    @property
    def modified(self) -> bool:
        """Whether the application has changed the session.

        Setting it to ``True`` saves the session even if nothing in it has changed,
        which prolongs it; setting it to ``False`` keeps it from being saved, until
        another name is set or removed.
        """
        if self._forced is not None or self._record is None:
            return self._forced or False
        if self._modified or self._renewed or self._is_set():
            return True
        if self._ended is not None and self._ended.stored:
            return True
        if self._permanent != self._record.permanent and self._packed:
            return True
        try:
            changes = self._changes()
        except NotSerializable:
            return True
        return bool(changes.changed or changes.removed)

    @modified.setter
    def modified(self, value: bool) -> None:
        self._look()
        self._forced = bool(value)

    def regenerate(self) -> None:
        """Give the session a new session id and end the old one; the data stay.

        Do this whenever the visitor gains rights, above all at login, against session
        fixation (OWASP Session Management Cheat Sheet, "Renew the Session ID After Any
        Privilege Level Change"). The option ``user_key`` does it by itself.
        """
        record = self._look()
        if self._sealed:
            self._source.refuse(record, "a new session id")
        self._renewed = True

    def destroy(self) -> None:
        """End the session: its data go, and its cookie never works again.

        What is stored afterwards goes into a new session.
        """
        record = self._look()
        self._ended = self._ended or record
        self._begin_anew()

    # The mapping.

    def __getitem__(self, name: str) -> t.Any:
        record = self._look()
        if name in self._values:
            return self._values[name]
        packed = self._packed[name]
        assert packed is not None  # a value without its bytes is in _values
        try:
            value = self._serializer.loads(packed)
        except ValueError:
            self._source.undecodable(record)
            ours = [name for name, is_set in self._touched.items() if is_set]
            values = {name: self._values[name] for name in ours}
            self._begin_anew()
            self.update(values)
            raise KeyError(name) from None
        self._values[name] = value
        if type(value) not in _IMMUTABLE:
            self._touched[name] = False
        return value

    def __setitem__(self, name: str, value: t.Any) -> None:
        record = self._look()
        if not isinstance(name, str):
            raise TypeError(
                f"names in a session are strings, not {type(name).__qualname__}"
            )
        name.encode()  # a lone surrogate has no bytes
        if self._sealed and not record.stored:
            self._source.refuse(record, f"{shortened(name)} in a new session")
        name = str.__str__(name)
        self._packed.setdefault(name, None)
        self._values[name] = value
        self._touched[name] = True
        self._forced = None if self._forced is False else self._forced

    def __delitem__(self, name: str) -> None:
        record = self._look()
        del self._packed[name]
        self._values.pop(name, None)
        self._touched.pop(name, None)
        self._removed = self._removed or name in record.packed
        self._forced = None if self._forced is False else self._forced

    def __iter__(self) -> cabc.Iterator[str]:
        self._look()
        # Unpacked first: one unreadable value ends the session, not the loop.
        for name in list(self._packed):
            self.get(name)
        return iter(list(self._packed))

    def __len__(self) -> int:
        self._look()
        return len(self._packed)

    def popitem(self) -> tuple[str, t.Any]:
        """Remove and return the name that was added last, and its value."""
        for name in reversed(self):
            return name, self.pop(name)
        raise KeyError("the session is empty")

    def clear(self) -> None:
        """Remove every name. :meth:`destroy` is what ends the session for good."""
        self._look()
        for name in list(self._packed):
            del self[name]

    def __reversed__(self) -> cabc.Iterator[str]:
        return reversed(list(self))

    def __or__(self, other: cabc.Mapping[str, t.Any]) -> dict[str, t.Any]:
        return dict(self) | dict(other)

    def __ror__(self, other: cabc.Mapping[str, t.Any]) -> dict[str, t.Any]:
        return dict(other) | dict(self)

    def __ior__(self, other: t.Any) -> t.Self:  # type: ignore[misc]  # as with dict
        self.update(other)
        return self

    def copy(self) -> dict[str, t.Any]:
        """A plain dictionary of the names and values."""
        return dict(self)

    def __repr__(self) -> str:
        if self._record is None:
            return "<Session not loaded>"
        state = " permanent" if self._permanent else ""
        state += "" if self._record.stored else " new"
        return f"<Session {self._record.id}{state}>"

    # The manager's side.

    def _seal(self) -> None:
        """The headers have left: nothing may need a cookie any more."""
        self._sealed = True

    def _is_set(self) -> bool:
        """Whether a name was set or removed, and not only changed inside."""
        return self._removed or any(self._touched.values())

    def _is_settled(self) -> bool:
        """Whether nothing can have changed since the last commit."""
        return not (self._looked or self._touched)

    def _is_clean(self, record: Record) -> bool:
        """Whether the application can have changed nothing."""
        return not (
            self._touched
            or self._removed
            or self._renewed
            or self._forced
            or self._ended is not None
            or self._permanent != record.permanent
        )

    def _look(self) -> Record:
        self.accessed = self._looked = True
        record = self._record
        if record is None:
            record = self._source.load()
            self._base(record)
        return record

    def _base(self, record: Record) -> None:
        self._record = record
        self._packed = dict(record.packed)
        self._permanent = record.permanent
        self._removed = False
        self._renewed = False
        self._forced = None

    def _begin_anew(self) -> None:
        self._values.clear()
        self._touched.clear()
        self._base(self._source.fresh())

    def _changes(self) -> Changes:
        """Pack what may have changed and compare it with what was loaded.

        Raises :exc:`~wsgi_redis_session.NotSerializable` naming the session's key.
        """
        assert self._record is not None
        base = self._record.packed
        if self._forced is False:
            return Changes(base, [], [])
        packed: dict[str, t.Any] = self._packed.copy()
        changed = []
        for name in self._touched:
            packed[name] = data = self._dumps(name, self._values[name])
            if data != base.get(name):
                changed.append(name)
        removed = [name for name in base if name not in packed] if self._removed else []
        return Changes(packed, changed, removed)

    def _dumps(self, name: str, value: t.Any) -> bytes:
        try:
            return self._serializer.dumps(value)
        except (TypeError, ValueError) as error:
            raise NotSerializable(
                f"session[{shortened(name)}] was not saved, nor anything else in this "
                f"session: {error}"
            ) from error

    def _saved(self, record: Record, changes: Changes) -> None:
        """Go on from what is stored now, which others may have had a part in."""
        if record.packed is not changes.packed:
            for name in list(self._values):
                if record.packed.get(name) != changes.packed.get(name):
                    del self._values[name]
        self._modified = True
        self._touched = {
            name: False
            for name, value in self._values.items()
            if type(value) not in _IMMUTABLE
        }
        self._ended = None
        self._base(record)

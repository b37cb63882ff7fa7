"""One request's working copy of a session.

It unpacks a value when it is first asked for, and finds out by itself what has changed,
however deep. It sends nothing: it records what the application wants, and the commit
does it.
"""

from __future__ import annotations

import typing as t

from ..errors import NotSerializable
from ..errors import SessionClosed
from .changes import Changes
from .packing import Packing
from .record import Record
from .record import shortened
from .record import State
from .source import Source
from .source import Stage
from .values import IMMUTABLE


class Draft:
    """One request's working copy of a session, and what the application wants of it.

    ``state`` is what was known of the session when it was loaded, ``base`` what was
    loaded then, or stored since: what all changes are measured against.
    """

    __slots__ = (
        "_handed_out",
        "_has_removed",
        "_packed",
        "_source",
        "_values",
        "base",
        "ended",
        "has_saved",
        "must_save",
        "packing",
        "permanent",
        "replaced",
        "state",
        "wants_new_sid",
    )

    def __init__(
        self, base: Record, state: State, packing: Packing, source: Source
    ) -> None:
        #: Packs and unpacks values.
        self.packing = packing
        self._source = source
        #: What ``destroy()`` was called on.
        self.ended: Record | None = None
        #: Whether this request has saved the session before.
        self.has_saved = False
        self.state = state
        #: What the application may still hold of a name, where others' has taken its
        #: place: the value, and what was its own of it.
        self.replaced: dict[str, tuple[t.Any, bytes]] = {}
        self._begin(base, {}, {})

    def _begin(
        self, base: Record, values: dict[str, t.Any], handed_out: dict[str, bool]
    ) -> None:
        self.base = base
        # What the application was given or has set.
        self._values = values
        # Names that it has set (True), or whose value it may have changed.
        self._handed_out = handed_out
        # Every name in its order, with None for a value that was set by this request.
        self._packed: dict[str, bytes | None] = dict(base.packed)
        self._has_removed = False
        self.permanent = base.permanent
        #: Whether ``regenerate()`` was called.
        self.wants_new_sid = False
        #: What ``session.modified`` was set to.
        self.must_save: bool | None = None

    @property
    def is_new(self) -> bool:
        """Whether nothing is stored for this visitor."""
        return self.state is not State.LIVE

    # The values.

    def names(self) -> list[str]:
        """All names in their order."""
        return list(self._packed)

    def value(self, name: str) -> t.Any:
        """The value of a name; raises :exc:`KeyError`.

        One that cannot be read ends the session: what this request has set goes on in
        a new one.
        """
        if name in self._values:
            return self._values[name]
        packed = self._packed[name]
        assert packed is not None  # a value without its bytes is in _values
        try:
            value = self.packing.loads(packed)
        except Exception:  # whatever a serializer makes of bytes that are damaged
            self._forget_all_but_assigned()
            raise KeyError(name) from None
        self._values[name] = value
        if type(value) not in IMMUTABLE:
            self._handed_out[name] = False
        return value

    def assign(self, name: str, value: t.Any) -> None:
        """Set a name, which is to be a string."""
        name.encode()  # a lone surrogate has no bytes
        if self._source.stage is not Stage.OPEN:
            is_new = not self.base.stored
            self._check_stage(f"{shortened(name)} in a new session" if is_new else "")
        name = str.__str__(name)
        self._packed.setdefault(name, None)
        self._values[name] = value
        self._handed_out[name] = True
        if self.must_save is False:
            self.must_save = None

    def remove(self, name: str) -> None:
        """Remove a name; raises :exc:`KeyError`."""
        self._check_stage()
        del self._packed[name]
        self._values.pop(name, None)
        self._handed_out.pop(name, None)
        self._has_removed = self._has_removed or name in self.base.packed
        if self.must_save is False:
            self.must_save = None

    @property
    def assigned(self) -> set[str]:
        """Names that this request has set, even to the value that they had."""
        return {name for name, is_set in self._handed_out.items() if is_set}

    # What the application wants.

    def set_modified(self, modified: bool) -> None:
        """Whether the session is to be saved, whatever has changed."""
        self._check_stage()
        self.must_save = modified

    def set_permanent(self, permanent: bool) -> None:
        """Whether the session is to outlive the browser."""
        is_other = permanent != self.permanent
        change = "a session that becomes permanent or temporary"
        self._check_stage(change if is_other else "")
        self.permanent = permanent

    def renew(self) -> None:
        """The session is to get a new session id."""
        self._check_stage("a new session id")
        self.wants_new_sid = True

    def end(self) -> None:
        """The session is to end; what is set from now on goes into a new one."""
        self._check_stage()
        self.ended = self.ended or self.base
        self.replaced.clear()
        self.state = State.NEW
        self._begin(self._source.fresh(), {}, {})

    @property
    def sets_kind(self) -> bool:
        """Whether the session is to become permanent, or temporary."""
        return self.permanent != self.base.permanent

    @property
    def may_be_login(self) -> bool:
        """Whether this is what the login of an application looks like that renews its
        session by itself."""
        return self.wants_new_sid and any(self._handed_out.values())

    def to_end(self) -> Record:
        """What is to end; the session itself, if ``destroy()`` was not called."""
        if self.ended is None:
            self.end()
        assert self.ended is not None
        return self.ended

    # What has become of it.

    @property
    def is_untouched(self) -> bool:
        """Whether the application can have changed nothing."""
        return not (
            self._handed_out
            or self._has_removed
            or self.wants_new_sid
            or self.must_save
            or self.ended is not None
            or self.permanent != self.base.permanent
            or self.replaced
        )

    @property
    def is_modified(self) -> bool:
        """What ``session.modified`` says."""
        if self.must_save is not None:
            return self.must_save
        if self.has_saved or self.wants_new_sid or self._is_set():
            return True
        if self.ended is not None and self.ended.stored:
            return True
        if self.sets_kind and self._packed:
            return True
        try:
            changes = self.changes()
        except NotSerializable:
            return True
        return bool(changes.changed or changes.removed)

    def _is_set(self) -> bool:
        return self._has_removed or any(self._handed_out.values())

    def changes(self) -> Changes:
        """Pack what may have changed and compare it with what was loaded.

        Raises :exc:`~wsgi_redis_session.NotSerializable` naming the session's key.
        """
        base = self.base.packed
        if self.must_save is False:
            return Changes(base, [], [])
        packed: dict[str, t.Any] = self._packed.copy()
        changed = []
        for name, is_set in self._handed_out.items():
            data = self._pack(name, is_set)
            packed[name] = data
            if data != base.get(name):
                changed.append(name)
        removed = (
            [name for name in base if name not in packed] if self._has_removed else []
        )
        return Changes(packed, changed, removed)

    def _pack(self, name: str, is_set: bool) -> bytes:
        value = self._values[name]
        try:
            return self.packing.dumps(name, value)
        except NotSerializable:
            # Others may have stored what this serializer reads but does not write.
            stored = self.base.packed.get(name)
            if is_set or stored is None or not self.packing.keeps(value, stored):
                raise
            return stored

    def report_undecodable(self, record: Record) -> None:
        """Report that values of a session cannot be read."""
        self._source.undecodable(record)

    def settle(self, stored: Record, changes: Changes) -> None:
        """Go on from what is stored now, which others may have had a part in."""
        if stored.packed is not changes.packed:
            for name in list(self._values):
                own = changes.packed.get(name)
                if stored.packed.get(name) != own:
                    value = self._values.pop(name)
                    if own is not None and type(value) not in IMMUTABLE:
                        self.replaced[name] = value, own
        handed_out = {
            name: False
            for name, value in self._values.items()
            if type(value) not in IMMUTABLE
        }
        self.has_saved = True
        self.ended = None
        self.state = State.LIVE
        must_save = self.must_save
        self._begin(stored, self._values, handed_out)
        self.must_save = False if must_save is False else None

    def overtaken(self) -> str:
        """The names whose values the application has changed since others' have taken
        their place, so that nobody sees that any more. They are named once."""
        changed = [name for name in self.replaced if self._is_overtaken(name)]
        for name in changed:
            del self.replaced[name]
        return ", ".join(map(shortened, changed))

    def _is_overtaken(self, name: str) -> bool:
        value, own = self.replaced[name]
        if self._values.get(name) is value:
            return False  # it was set once more
        try:
            return self.packing.dumps(name, value) != own
        except NotSerializable:
            return not self.packing.keeps(value, own)

    def lose(self, changes: Changes) -> None:
        """Go on as if everything had been saved, though nothing was or will be."""
        self.settle(self.base.revised(changes.packed, self.permanent), changes)
        self.state = State.GONE

    def _forget_all_but_assigned(self) -> None:
        self.report_undecodable(self.base)
        values = {name: self._values[name] for name in self.assigned}
        self.state = State.NEW
        self._begin(self._source.fresh(), {}, {})
        for name, value in values.items():
            self.assign(name, value)

    def _check_stage(self, needs_cookie: str = "") -> None:
        """Raise where nothing can change any more, or nothing that needs a cookie."""
        stage = self._source.stage
        if stage is Stage.OVER:
            raise SessionClosed(
                "The request of this session is over, so nothing can be stored in it "
                "any more. Change it before the response ends; elsewhere, in a thread "
                "say, work with copies of its values."
            )
        if stage is Stage.STREAMING and needs_cookie:
            self._source.refuse(self.base, needs_cookie)

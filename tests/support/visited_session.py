"""A session, and what it asks of who holds it, without a server."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from wsgi_redis_session import HeadersAlreadySent
from wsgi_redis_session import Session
from wsgi_redis_session.model.draft import Draft
from wsgi_redis_session.model.packing import Packing
from wsgi_redis_session.model.record import Record
from wsgi_redis_session.model.record import State
from wsgi_redis_session.model.serializer import MessagePackSerializer
from wsgi_redis_session.model.serializer import Serializer
from wsgi_redis_session.model.source import Stage

CREATED = 1_800_000_000_500


class CountingSerializer(MessagePackSerializer):
    """Tells what was packed and what was unpacked."""

    def __init__(self) -> None:
        self.dumped: list[t.Any] = []
        self.loaded: list[t.Any] = []

    def dumps(self, value: t.Any, /) -> bytes:
        self.dumped.append(value)
        return super().dumps(value)

    def loads(self, data: bytes, /) -> t.Any:
        value = super().loads(data)
        self.loaded.append(value)
        return value


class Shelf:
    """A source of one session, which says what it was asked."""

    def __init__(self, record: Record | None, serializer: Serializer) -> None:
        self.record = record
        self.serializer = serializer
        self.stage = Stage.OPEN
        self.accessed = False
        self.draft: Draft | None = None
        self.loads = 0
        self.unreadable: list[Record] = []
        self.refused: list[str] = []

    def load(self) -> Draft:
        self.loads += 1
        state = State.NEW if self.record is None else State.LIVE
        base = self.record or self.fresh()
        self.draft = Draft(base, state, Packing(self.serializer), self)
        return self.draft

    def fresh(self) -> Record:
        return Record.fresh(CREATED)

    def undecodable(self, record: Record) -> None:
        self.unreadable.append(record)

    def refuse(self, record: Record, change: str) -> t.NoReturn:
        self.refused.append(change)
        raise HeadersAlreadySent(change)


def stored(packed: dict[str, bytes], *, permanent: bool = False) -> Record:
    return Record.fresh(CREATED).revised(packed, permanent)


class Visitor:
    """A session, and what is around it."""

    def __init__(
        self,
        values: dict[str, t.Any] | None = None,
        unreadable: cabc.Iterable[str] = (),
        *,
        permanent: bool = False,
    ) -> None:
        pack = MessagePackSerializer().dumps
        packed = {name: pack(value) for name, value in (values or {}).items()}
        packed.update((name, b"\xc1") for name in unreadable)
        self.record = stored(packed, permanent=permanent) if packed else None
        self.serializer = CountingSerializer()
        self.shelf = Shelf(self.record, self.serializer)
        self.session = Session(self.shelf)

    @property
    def draft(self) -> Draft:
        """What was loaded, now if it was not before."""
        if self.shelf.draft is None:
            len(self.session)
        assert self.shelf.draft is not None
        return self.shelf.draft

    def changes(self) -> tuple[list[str], list[str]]:
        """The names that are to be saved, and those that are to be removed."""
        changes = self.draft.changes()
        return changes.changed, changes.removed

    def save(self) -> None:
        """As a commit does."""
        changes = self.draft.changes()
        ours = self.draft.base.revised(changes.packed, self.session.permanent)
        self.draft.settle(ours, changes)

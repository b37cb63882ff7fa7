"""What a request would store: its changes, on top of what others have stored."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from ..config import MISSING
from ..config import SessionConfig
from ..errors import SessionTooLarge
from ..model.changes import Changes
from ..model.draft import Draft
from ..model.record import Record
from ..model.record import shortened
from ..model.record import Stored
from ..model.values import AUTHENTICATED
from ..model.values import CSRF
from ..model.values import OWN_NAMES
from .step import UserChange


class Version:
    """A session as one request would store it.

    Raises :exc:`~wsgi_redis_session.NotSerializable` for a value that cannot be stored.
    """

    def __init__(self, draft: Draft, config: SessionConfig) -> None:
        self._draft = draft
        self._config = config
        #: What the request did to what it had loaded.
        self.own = draft.changes()
        #: Whether the session becomes permanent by it, or temporary.
        self.sets_kind = draft.sets_kind
        #: The session as it was last seen, and what the request does to that.
        self.seen = draft.base
        self.changes = self.own
        # Whether nothing that others have kept for themselves may come along.
        self._shuts_out = False

    @property
    def named(self) -> str:
        """What the request has changed, as an event says it."""
        names = [*map(shortened, self.changes.names)]
        if self._draft.sets_kind:
            names.append("whether it is permanent")
        return ", ".join(names)

    def shut_out(self, user: UserChange, authenticated: int | None) -> None:
        """The session is to get a new session id that shuts the old one out: what the
        library itself keeps in it changes, too."""
        packed = dict(self.own.packed)
        if CSRF not in self._draft.assigned:
            packed.pop(CSRF, None)
        if authenticated is not None:
            packed[AUTHENTICATED] = self._draft.packing.dumps(
                AUTHENTICATED, authenticated
            )
        elif user is UserChange.LOGOUT:
            packed.pop(AUTHENTICATED, None)
        self.own = self.changes = Changes.between(self._draft.base.packed, packed)
        self._shuts_out = True

    def rebase(self, theirs: Record) -> list[str]:
        """Bring the changes onto what others have stored meanwhile; where both have
        changed a name, ``on_conflict`` decides. These names are returned."""
        base, changes = self.seen.packed, self.changes
        packed = self._onto(theirs.packed)
        decide, decided = self._config.on_conflict, []
        for name in changes.names if decide is not None else ():
            versions = [
                side.get(name) for side in (base, changes.packed, theirs.packed)
            ]
            if decide is None or versions[2] == versions[0] or name in OWN_NAMES:
                continue
            values = self._unpacked(versions, theirs)
            if values is None:
                continue
            value = decide(name, *values)
            decided.append(name)
            if value is MISSING:
                packed.pop(name, None)
            else:
                packed[name] = self._draft.packing.dumps(name, value)
        self.seen = theirs
        self.changes = Changes.between(theirs.packed, packed)
        return decided

    def _unpacked(
        self, versions: list[bytes | None], theirs: Record
    ) -> list[t.Any] | None:
        """What ``on_conflict`` is to decide between; ``None`` where one of it cannot be
        read, so that ours counts."""
        loads = self._draft.packing.loads
        try:
            return [MISSING if one is None else loads(one) for one in versions]
        except Exception:  # whatever a serializer makes of bytes that are damaged
            self._draft.report_undecodable(theirs)
            return None

    def whole(self) -> Record:
        """Everything: what others have stored, and our changes to it."""
        draft = self._draft
        permanent = draft.permanent if self.sets_kind else self.seen.permanent
        return self.seen.revised(self._checked(self.changes.packed), permanent)

    def renewed(self, user: UserChange, now: int) -> Record:
        """The session as it goes on under a new session id."""
        if user is UserChange.SWITCH:
            return self.assigned(now)._replace(device=self.seen.device)
        whole = self.whole()
        if user is UserChange.LOGOUT:
            # What the request had seen, and nothing that others save meanwhile.
            whole = whole._replace(packed=self._checked(self.own.packed))
        return whole.renamed(now)

    def assigned(self, now: int) -> Record:
        """A session that begins with the names that the request has set, and no others,
        because the rest is not its user's."""
        packed = self.changes.packed
        names = self._draft.assigned | {AUTHENTICATED}
        kept = {name: packed[name] for name in packed if name in names}
        return self._anew(kept, now, created=now)

    def parted(self, frozen: Stored | None, now: int) -> Record:
        """A session of the request's own, with what an old one had held when it was
        renewed, as far as that may be known."""
        if frozen is None:
            return self.assigned(now)
        packed = self._onto(frozen.packed)
        return self._anew(packed, now, created=frozen.created)

    def _onto(self, theirs: cabc.Mapping[str, bytes]) -> dict[str, bytes]:
        packed = self.changes.onto(theirs)
        if self._shuts_out and CSRF not in self._draft.assigned:
            packed.pop(CSRF, None)  # of whoever had the old session id
        return packed

    def _anew(
        self, packed: cabc.Mapping[str, bytes], now: int, *, created: int
    ) -> Record:
        record = Record.fresh(now)._replace(created=created)
        return record.revised(self._checked(packed), self._draft.permanent)

    def _checked(self, packed: cabc.Mapping[str, bytes]) -> cabc.Mapping[str, bytes]:
        """Raises :exc:`~wsgi_redis_session.SessionTooLarge`."""
        max_bytes, max_names = self._config.max_bytes, self._config.max_names
        if not self.changes.changed:
            return packed
        if max_names is not None and len(packed) > max_names:
            raise SessionTooLarge(
                f"The session would have {len(packed)} names, more than "
                f"max_names={max_names}, and was not saved. Keep many values under one "
                "name, as a list or a dictionary, or raise max_names."
            )
        total = sum(map(len, packed)) + sum(map(len, packed.values()))
        if max_bytes is not None and total > max_bytes:
            name = max(packed, key=lambda name: len(packed[name]))
            raise SessionTooLarge(
                f"The session would take {total} bytes, more than "
                f"max_bytes={max_bytes}, and was not saved: session[{shortened(name)}] "
                f"alone takes {len(packed[name])}. Keep large values elsewhere and "
                "a reference here, or raise max_bytes."
            )
        return packed

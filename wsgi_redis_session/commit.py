"""What becomes of a session at the end of a request, before the browser knows."""

from __future__ import annotations

import typing as t

from .config import MISSING
from .config import OnConflict
from .errors import SessionTooLarge
from .errors import SessionUnavailable
from .events import EventName
from .lifetimes import Expiry
from .record import Changes
from .record import digest
from .record import Record
from .record import shortened
from .session import Session
from .store import Gone
from .store import Moved
from .store import Saved
from .visit import Visit

#: How often a session is followed to its successor, or a conflict resolved anew,
#: before the contention counts as an outage.
_ATTEMPTS = 32


class Outcome(t.NamedTuple):
    """What the response has to tell the browser."""

    #: The ``Set-Cookie`` value, or ``None`` where the browser's cookie stands.
    cookie: str | None = None
    #: The same cookie is only to live longer: a response that is meant for shared
    #: caches may go without it.
    renewal: bool = False


#: The browser's cookie stands.
UNCHANGED = Outcome()


class Commit:
    """One commit of one session that was looked at."""

    def __init__(
        self,
        session: Session,
        record: Record,
        visit: Visit,
        *,
        secure: bool,
        headers_sent: bool,
    ) -> None:
        self.session = session
        self.visit = visit
        self.site = visit.site
        self.secure = secure
        self.headers_sent = headers_sent
        self.changes = session._changes()
        # What was loaded: what all changes are measured against.
        self.record = record
        key = self.site.config.user_key
        self.is_user_changed = key is not None and (
            self.changes.packed.get(key) != record.packed.get(key)
        )

    def run(self) -> Outcome:
        """Raises what :meth:`SessionManager.commit` promises."""
        try:
            return self._apply()
        except SessionUnavailable as failure:
            if self.visit.failure is None:
                reason = str(failure.__cause__ or failure)
                self._emit("unavailable", self.record, reason)
            # A logout or a login that did not happen is never reported as one.
            is_vital = (
                self.session._ended or self.session._renewed or self.is_user_changed
            )
            if is_vital or self.site.config.on_unavailable == "raise":
                raise
            return self._lose("Redis is away")

    def _apply(self) -> Outcome:
        session, record = self.session, self.record
        if self.visit.failure is not None and (session._ended or self._is_wanted()):
            raise SessionUnavailable from self.visit.failure
        if session._ended is not None:
            return self._start_anew(session._ended)
        if self.visit.gone:
            return self._lose("it ended while the request ran")
        if record.foreign_sid:
            return self._migrate()
        if not record.stored:
            return self._create() if self.changes.packed else UNCHANGED
        if self.is_user_changed and not self.changes.packed:
            session.destroy()
            return self._start_anew(record)
        if session._renewed or self.is_user_changed:
            return self._regenerate()
        if self._is_wanted():
            return self._save()
        return self._keep()

    def _is_wanted(self) -> bool:
        """Whether there is anything to save."""
        session = self.session
        if session._forced is not None:
            return session._forced
        return (
            bool(self.changes.changed or self.changes.removed or session._renewed)
            or session._permanent != self.record.permanent
        )

    def _keep(self) -> Outcome:
        """Nothing to save; a cookie that is getting old is written again."""
        if not self.visit.renew_cookie or self.headers_sent:
            return UNCHANGED
        return Outcome(self._cookie(self.record), renewal=True)

    def _start_anew(self, ended: Record) -> Outcome:
        """End the session, and every other one that the browser named with it."""
        sids = [ticket.sid for ticket in self.visit.tickets]
        if ended.stored:
            sids.append(ended.sid)
        if ended.foreign_sid:
            self.site.store.delete_foreign(self._foreign_key(ended))
            sids.append(ended.foreign_sid)
        for session_id in dict.fromkeys(map(digest, sids)):
            self.site.store.delete(session_id)
        self.visit.tickets.clear()
        self.session._ended = None
        if ended.stored:
            self._emit("destroyed", ended)
        if self.changes.packed and not self.record.stored:
            return self._create()
        is_known = self.visit.had_cookie or ended.stored
        if not is_known or self.headers_sent:
            return UNCHANGED
        return self._without_cookie()

    def _create(self) -> Outcome:
        if self.headers_sent:
            self.visit.refuse(self.record, "a new session")
        ours = self._ours()
        expiry = self._expiry(ours)
        if expiry is None:
            return self._lose("its lifetime is over")
        ours = self._create_under_free_sid(ours, expiry)
        self.session._saved(ours, self.changes)
        self._emit("created", ours)
        return Outcome(self._cookie(ours))

    def _migrate(self) -> Outcome:
        """Put a session of ours in the place of another library's, once."""
        if self.headers_sent:
            self.visit.refuse(self.record, "a session of another library")
        session, record = self.session, self.record
        if not self.changes.packed:
            session.destroy()
            return self._start_anew(record)
        ours = self._ours()._replace(foreign_sid="")
        expiry = self._expiry(ours)
        if expiry is None:
            return self._lose("its lifetime is over")
        new = self._create_under_free_sid(ours, expiry)
        is_late = not self.site.store.claim(record.foreign_sid, new)
        if is_late:
            # Go on in the one that another request has put there.
            self.site.store.delete(new.id)
            new = new._replace(packed=record.packed).renamed(record.foreign_sid)
            self.record = session._record = new
            return self._save() if self._is_wanted() else UNCHANGED
        if not self.site.store.delete_foreign(self._foreign_key(record)):
            self.site.store.delete(new.id)
            return self._lose("it ended while the request ran")
        session._saved(new, self.changes)
        self._emit("migrated", new)
        return Outcome(self._cookie(new))

    def _foreign_key(self, record: Record) -> str:
        return self.site.config.migrate_prefix + record.foreign_sid

    def _save(self) -> Outcome:
        base, ours, changes = self.record, self._ours(), self.changes
        expiry = self._expiry(ours)
        if expiry is None:
            return self._lose("its lifetime is over")
        successor = None
        for _ in range(_ATTEMPTS):
            result = self.site.store.save(
                base,
                ours,
                changes,
                expiry,
                successor=successor,
                detect_conflicts=self.site.config.on_conflict is not None,
            )
            if isinstance(result, Saved):
                return self._saved(result, moved=successor is not None)
            if isinstance(result, Gone):
                return self._lose("it ended while the request ran")
            if isinstance(result, Moved):
                successor = result.successor
            else:
                changes = self._resolve(base, changes, result.theirs)
                base = result.theirs
                ours = base.revised(changes.packed, ours.permanent)
        raise SessionUnavailable("too many requests write this session at once")

    def _saved(self, result: Saved, *, moved: bool) -> Outcome:
        record = result.record
        is_new_cookie_due = (
            self.visit.renew_cookie
            or self.session._forced
            or result.revived
            or record.permanent != self.record.permanent
        )
        self.session._saved(record, self.changes)
        # Who moved the session has given the browser its cookie.
        if moved or self.headers_sent:
            return UNCHANGED
        if not record.packed:
            return self._without_cookie()
        return Outcome(self._cookie(record)) if is_new_cookie_due else UNCHANGED

    def _regenerate(self) -> Outcome:
        """Create the new session, then end the old one: a session that others have
        ended meanwhile does not escape, and what others have saved is not lost."""
        if self.headers_sent:
            self.visit.refuse(self.record, "a new session id")
        ours = self._ours().renamed()
        expiry = self._expiry(ours)
        if expiry is None:
            return self._lose("its lifetime is over")
        new = self._create_under_free_sid(ours, expiry)
        theirs = self._retire(new)
        if isinstance(theirs, Gone):
            self.site.store.delete(new.id)
            return self._lose("it ended while the request ran")
        if theirs is not None:
            new = self._catch_up(new, theirs, expiry)
        self.session._saved(new, self.changes)
        self.visit.tickets.clear()
        self._emit("regenerated", new, f"was {self.record.id}")
        return Outcome(self._cookie(new))

    def _retire(self, new: Record) -> Record | Gone | None:
        # What is still running for a user who has left is not for the next one's eyes.
        had_user = self.site.config.user_key in self.record.packed
        same_user = not (had_user and self.is_user_changed)
        successor = None
        for _ in range(_ATTEMPTS):
            result = self.site.store.retire(
                self.record, new, successor=successor, same_user=same_user
            )
            if not isinstance(result, Moved):
                return result
            successor = result.successor
        raise SessionUnavailable("too many requests renew this session at once")

    def _catch_up(self, new: Record, theirs: Record, expiry: Expiry) -> Record:
        """Bring into the new session what others had saved into the old one."""
        merged = self._resolve(self.record, self.changes, theirs)
        is_ours = new.permanent != self.record.permanent
        ours = new.revised(
            merged.packed, new.permanent if is_ours else theirs.permanent
        )
        names = Changes(merged.packed, list(merged.packed), list(new.packed))
        result = self.site.store.save(new, ours, names, expiry)
        return result.record if isinstance(result, Saved) else ours

    def _resolve(self, base: Record, changes: Changes, theirs: Record) -> Changes:
        """Our changes, told against what others have stored meanwhile; where both have
        changed a name, ``on_conflict`` decides."""
        packed = changes.onto(theirs.packed)
        decide = self.site.config.on_conflict
        for name in [*changes.changed, *changes.removed] if decide else ():
            versions = [
                side.get(name) for side in (base.packed, changes.packed, theirs.packed)
            ]
            if versions[2] == versions[0]:
                continue
            value = t.cast(OnConflict, decide)(name, *map(self._unpack, versions))
            if value is MISSING:
                packed.pop(name, None)
            else:
                packed[name] = self.session._dumps(name, value)
        return Changes.between(theirs.packed, packed)

    def _unpack(self, packed: bytes | None) -> t.Any:
        return MISSING if packed is None else self.site.serializer.loads(packed)

    def _lose(self, reason: str) -> Outcome:
        """Drop the changes. No cookie: the browser may already have a newer one."""
        names = [*self.changes.changed, *self.changes.removed]
        if names:
            dropped = ", ".join(map(shortened, names))
            self._emit("lost", self.record, f"{reason}; dropped: {dropped}")
        self.visit.gone = True
        self.session._saved(self._ours(), self.changes)
        return UNCHANGED

    def _ours(self) -> Record:
        """The session as this request wants it stored."""
        limit = self.site.config.max_bytes
        packed = self.changes.packed
        if limit is not None and self.changes.changed:
            total = sum(map(len, packed)) + sum(map(len, packed.values()))
            if total > limit:
                name = max(packed, key=lambda name: len(packed[name]))
                raise SessionTooLarge(
                    f"The session would take {total} bytes, more than "
                    f"max_bytes={limit}, and was not saved: session[{shortened(name)}] "
                    f"alone takes {len(packed[name])}. Keep large values elsewhere and "
                    "a reference here, or raise max_bytes."
                )
        return self.record.revised(packed, self.session._permanent)

    def _create_under_free_sid(self, record: Record, expiry: Expiry) -> Record:
        for _ in range(_ATTEMPTS):
            if self.site.store.create(record, expiry.of(record.permanent)):
                return record
            record = record.renamed()
        raise SessionUnavailable("no session id is free")

    def _expiry(self, record: Record) -> Expiry | None:
        return self.site.lifetimes.expiry(record.created)

    def _cookie(self, record: Record) -> str | None:
        self.visit.renew_cookie = False
        expiry = self._expiry(record)
        max_age = expiry.permanent / 1000 if expiry and record.permanent else None
        return self.site.cookie.write(
            record.sid,
            record.created,
            record.permanent,
            secure=self.secure,
            max_age=max_age,
            script_name=self.visit.script_name,
        )

    def _without_cookie(self) -> Outcome:
        return Outcome(
            self.site.cookie.clear(
                secure=self.secure, script_name=self.visit.script_name
            )
        )

    def _emit(self, name: EventName, record: Record, detail: str = "") -> None:
        self.site.events.emit(name, record.id, detail)

"""Does what a request wants with its session, before the browser knows.

What is to be done says :func:`~wsgi_redis_session.request.step.next_step`. Each step
either has an outcome, or teaches the commit something that the next step depends on.
"""

from __future__ import annotations

import typing as t

from ..errors import SessionTooLarge
from ..errors import SessionUnavailable
from ..events import EventName
from ..model.draft import Draft
from ..model.outcome import Outcome
from ..model.outcome import UNCHANGED
from ..model.record import Record
from ..model.record import State
from ..model.record import Tombstone
from ..store.results import Conflict
from ..store.results import Saved
from ..store.results import TooLarge
from ..transport.deadline import Deadline
from .outlook import Outlook
from .step import next_step
from .step import Sight
from .step import Step
from .step import Wish
from .successor import Successor
from .wishes import wished

if t.TYPE_CHECKING:
    from .exchange import Exchange

#: Why a login or another request came to nothing.
_REVOKED = "all the user's sessions were revoked"


class Commit:
    """One commit of a session that was looked at."""

    def __init__(
        self, exchange: Exchange, draft: Draft, *, is_late: bool, may_rotate: bool
    ) -> None:
        parts = exchange.parts
        self._exchange = exchange
        self._parts = parts
        self._draft = draft
        version, self._wish = wished(exchange, draft, may_rotate, is_late)
        self._deadline = Deadline(parts.operation_timeout)
        self._outlook = Outlook(exchange, draft, version, self._deadline)
        #: What is stored under a new session id that nobody knows yet.
        self._successor: Successor | None = None
        self._drawn = b""  # by an attempt to save, whose reply may have got lost

    def run(self) -> Outcome:
        """Raises what :meth:`SessionManager.commit` promises."""
        failure = self._exchange.failure
        try:
            if failure is not None and (self._wish.ends or not self._wish.is_void):
                raise SessionUnavailable(failure.detail) from failure
            outcome = None
            while outcome is None:
                outcome = self._take(next_step(self._wish, self._outlook.sight))
            self._discard()
            return outcome
        except SessionUnavailable as error:
            if failure is None:
                self._outlook.tell("unavailable", self._draft.base, str(error))
            is_dropped = self._parts.config.on_unavailable == "anonymous"
            if not (self._wish.is_passing or (is_dropped and self._wish.may_be_lost)):
                raise
            return self._lose("Redis is away", is_outage=True)
        except SessionTooLarge:
            self._discard()
            raise
        finally:
            if self._outlook.contention is not None:
                self._outlook.contention.leave()

    def _take(self, step: Step) -> Outcome | None:
        """Take a step; ``None`` where the next one is to be asked for."""
        match step:
            case Step.KEEP:
                return self._keep()
            case Step.SAVE:
                return self._save()
            case Step.CREATE:
                return self._create(self._outlook.version.whole())
            case Step.PART:
                return self._create(self._outlook.parted())
            case Step.RENEW | Step.MOVE:
                return self._renew(is_closing=step is Step.RENEW)
            case Step.FOLLOW:
                return self._follow()
            case Step.END:
                return self._end()
            case Step.DROP:
                return self._lose("it ended or was renewed while the request ran")
            case Step.ASK_AGE:
                self._outlook.ask_age()
            case Step.ASK_SUCCESSOR:
                self._outlook.ask_successor()
            case Step.REFUSE:
                stored = self._draft.base.stored
                change = "a new session id" if stored else "a new session"
                self._exchange.refuse(self._draft.base, change)
        return None

    def _keep(self) -> Outcome:
        exchange, is_live = self._exchange, self._outlook.sight.state is State.LIVE
        if self._wish.is_late or not (exchange.is_cookie_due and is_live):
            return UNCHANGED
        seen = self._outlook.version.seen
        if seen is not self._draft.base:
            self._draft.settle(seen, self._outlook.version.own)
        return Outcome(exchange.write_cookie(seen), renewal=True)

    def _save(self) -> Outcome | None:
        version = self._outlook.version
        expiry = self._parts.lifetimes.expiry(version.seen.created)
        if expiry is None:
            return self._lose("its lifetime is over")
        whole = version.whole()
        self._drawn = whole.revision
        directory = self._parts.directory if version.sets_kind else None
        if directory is not None:
            # It may live longer from now on, and so does what the index knows of it.
            directory.notice(self._deadline, whole, self._exchange.visitor)
        result = self._parts.store.save(
            self._deadline,
            version.seen,
            whole,
            version.changes,
            expiry,
            sets_kind=version.sets_kind,
            detect_conflicts=self._parts.config.on_conflict is not None,
        )
        if type(result) is Saved:
            return self._saved(result)
        if isinstance(result, TooLarge):
            raise SessionTooLarge(f"With what others have stored meanwhile, {result}")
        if isinstance(result, Conflict):
            self._outlook.meet(result.theirs)
        else:
            if directory is not None:
                directory.leave(self._deadline, whole)
            self._outlook.see(result)
        return None

    def _saved(self, result: Saved) -> Outcome:
        exchange, record = self._exchange, result.record
        is_of_another_kind = record.permanent != self._draft.base.permanent
        self._draft.settle(record, self._outlook.version.own)
        events = self._parts.events
        if result.merged:
            self._outlook.tell("merged", record)
        if events.observers or events.listeners:
            self._outlook.tell("saved", record)
        if self._wish.is_late:
            return UNCHANGED
        if not record.packed:
            return Outcome(exchange.clear_cookie())
        if exchange.is_cookie_due or result.revived or is_of_another_kind:
            return Outcome(exchange.write_cookie(record), renewal=not self._wish.saves)
        return UNCHANGED

    def _create(self, record: Record) -> Outcome:
        """Store a new session."""
        if not record.packed:
            return Outcome(self._exchange.clear_cookie())
        expiry = self._parts.lifetimes.expiry(record.created)
        if expiry is None:
            return self._lose("its lifetime is over")
        successor = self._begin_successor()
        # Where a form was sent twice, one browser logs in twice.
        new = successor.store(record, expiry, counts_as=self._outlook.earlier_device)
        if new is None:
            return self._lose(_REVOKED)
        outcome = self._go_on_as(new, "created")
        successor.tidy()
        return outcome

    def _renew(self, *, is_closing: bool) -> Outcome | None:
        """Store the session under a new session id, which nobody knows yet, then retire
        the old one, if it is still what was seen: a session that others have ended does
        not escape, and nothing that others have saved is lost."""
        user, predecessor = self._wish.user, self._exchange.predecessor
        record = self._outlook.version.renewed(user, self._parts.lifetimes.now())
        expiry = self._parts.lifetimes.expiry(record.created)
        if expiry is None:
            return self._lose("its lifetime is over")
        if is_closing and record.sealed:
            record = record.unsealed()
        seen = self._outlook.version.seen
        continued = "" if self._wish.logs_in else seen.id
        successor = self._begin_successor()
        new = successor.store(record, expiry, continued)
        if new is None:
            return self._refused(seen if continued else None)
        if is_closing:
            found = successor.succeed(seen, user, predecessor)
        else:
            found = successor.follow(seen, predecessor, expiry)
        if isinstance(found, Tombstone):
            self._outlook.see(found)
            return None
        if found is not None:
            self._outlook.tell("merged", found)
            self._meet(found)
            return None
        if predecessor is not None:
            outcome = self._go_on_as(new, "migrated")
        else:
            name: EventName = "regenerated" if is_closing else "rotated"
            outcome = self._go_on_as(new, name, f"was {seen.id}")
        successor.tidy(seen)
        return outcome

    def _refused(self, seen: Record | None) -> Outcome | None:
        """All the user's sessions were revoked. So a login is none; and where it is a
        session that goes on, it ends, if it has not got a new session id meanwhile."""
        if seen is None:
            return self._lose(_REVOKED)
        if self._exchange.predecessor is not None:
            self._exchange.predecessor.end(self._deadline)
            return self._lose(_REVOKED)
        found = self._parts.store.barred(self._deadline, seen)
        if found is None:
            return self._lose(_REVOKED)
        self._outlook.see(found)
        return None

    def _follow(self) -> Outcome | None:
        """Go on with the session under its new session id."""
        exchange, adopts = self._exchange, self._wish.adopts
        if not self._wish.closes:
            self._discard()
        old = exchange.predecessor or self._outlook.version.seen
        found = self._outlook.follow(old.sid)
        self._wish = self._wish._replace(rotates=False, adopts=False)
        # Whoever moved it gives the browser its cookie; but where each request has
        # come with another library's, each answer replaces that.
        exchange.forget()
        exchange.is_cookie_due, exchange.outcome = adopts, UNCHANGED
        if isinstance(found, Tombstone):
            self._outlook.see(found)
        elif self._drawn and found.has(self._drawn):
            return self._saved(Saved(found, revived=False, merged=True))
        else:
            self._outlook.sight = Sight(State.LIVE, was_live=True)
            self._meet(found)
        return None

    def _meet(self, theirs: Record) -> None:
        try:
            self._outlook.meet(theirs)
        except Exception:  # of on_conflict's
            self._discard()
            raise

    def _end(self) -> Outcome | None:
        """End the session, and every other one that the browser named with it."""
        exchange, draft = self._exchange, self._draft
        ended = draft.to_end()
        if exchange.predecessor is not None:
            exchange.predecessor.end(self._deadline)
        for session_id in dict.fromkeys([*exchange.named, *ended.ids]):
            self._parts.store.end(self._deadline, session_id)
        is_known = exchange.had_cookie or ended.stored
        draft.ended = None
        exchange.forget()
        exchange.dealt_with.clear()
        if ended.stored:
            self._outlook.tell("destroyed", ended)
            if self._parts.directory is not None:
                self._parts.directory.leave(self._deadline, ended)
        self._outlook.version, wish = wished(exchange, draft, False, self._wish.is_late)
        if not wish.is_empty:
            self._wish = Wish(user=wish.user, saves=True, is_late=wish.is_late)
            self._outlook.sight = Sight(State.NEW)
            return None
        if not is_known or wish.is_late:
            return UNCHANGED
        return Outcome(exchange.clear_cookie())

    def _lose(self, reason: str, *, is_outage: bool = False) -> Outcome:
        """Drop the changes. No cookie: the browser may already have a newer one."""
        lost = self._outlook.version.named
        if lost:
            detail = f"{reason}; dropped: {lost}"
            self._outlook.tell("lost", self._draft.base, detail, is_outage=is_outage)
        self._draft.lose(self._outlook.version.own)
        self._exchange.forget()
        if not is_outage:
            self._exchange.outcome = UNCHANGED
        return UNCHANGED

    def _go_on_as(self, record: Record, name: EventName, detail: str = "") -> Outcome:
        """The session has a session id that the browser is to learn."""
        self._successor = None
        self._draft.settle(record, self._outlook.version.own)
        self._exchange.forget()
        self._outlook.tell(name, record, detail)
        return Outcome(self._exchange.write_cookie(record))

    def _begin_successor(self) -> Successor:
        if self._successor is None:
            self._successor = Successor(self._exchange, self._deadline)
        return self._successor

    def _discard(self) -> None:
        """What was to become the session is none."""
        if self._successor is not None:
            self._successor.discard()
            self._successor = None

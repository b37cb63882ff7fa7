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
from ..model.record import digest
from ..model.record import Record
from ..model.record import shortened
from ..model.record import State
from ..model.record import Tombstone
from ..store.sessions import Conflict
from ..store.sessions import Saved
from ..store.sessions import TooLarge
from ..transport.deadline import Deadline
from .step import next_step
from .step import Sight
from .step import Step
from .step import UserChange
from .step import Wish
from .successor import Successor
from .turns import Turn
from .version import Version

if t.TYPE_CHECKING:
    from .exchange import Exchange

#: The longest pause of those who contend for a session in several processes, in
#: seconds.
_LONGEST_PAUSE = 0.05


class Commit:
    """One commit of a session that was looked at."""

    def __init__(
        self, exchange: Exchange, draft: Draft, *, is_late: bool, may_rotate: bool
    ) -> None:
        parts = exchange.parts
        self._exchange = exchange
        self._parts = parts
        self._draft = draft
        version = self._version = Version(draft, parts.config)
        changes = version.changes
        self._wish = Wish(
            ends=draft.ended is not None,
            user=parts.user_key.change(draft, draft.base.packed, changes.packed),
            renews=draft.wants_new_sid,
            saves=version.is_changed,
            is_empty=not changes.packed,
            may_be_login=parts.user_key.name is None and draft.may_be_login,
            rotates=may_rotate and exchange.is_rotation_due,
            adopts=exchange.predecessor is not None and draft.state is State.LIVE,
            is_late=is_late,
        )
        self._sight = Sight(draft.state, was_live=draft.state is State.GONE)
        #: What stands in the place of the session, once that is known.
        self._tombstone = exchange.tombstone
        self._deadline = Deadline(parts.operation_timeout)
        #: What is stored under a new session id that nobody knows yet.
        self._successor: Successor | None = None
        self._attempts = 0
        self._turn: Turn | None = None

    def run(self) -> Outcome:
        """Raises what :meth:`SessionManager.commit` promises."""
        failure = self._exchange.failure
        try:
            if failure is not None and (self._wish.ends or not self._wish.is_void):
                raise SessionUnavailable(failure.detail) from failure
            outcome = None
            while outcome is None:
                outcome = self._take(next_step(self._wish, self._sight))
            self._discard()
            return outcome
        except SessionUnavailable as error:
            if failure is None:
                self._tell("unavailable", self._draft.base, str(error))
            if not self._may_be_lost:
                raise
            return self._lose("Redis is away", is_outage=True)
        finally:
            if self._turn is not None:
                self._turn.leave()

    @property
    def _may_be_lost(self) -> bool:
        """A login or a logout that did not happen is never reported as one."""
        wish = self._wish
        if wish.ends or wish.renews or wish.user is not UserChange.NONE:
            return False
        is_only_rotating = wish.rotates and not (wish.saves or wish.adopts)
        return is_only_rotating or self._parts.config.on_unavailable == "anonymous"

    def _take(self, step: Step) -> Outcome | None:
        """Take a step; ``None`` where the next one is to be asked for."""
        match step:
            case Step.KEEP:
                return self._keep()
            case Step.SAVE:
                return self._save()
            case Step.CREATE:
                return self._create(self._version.whole())
            case Step.PART:
                frozen = self._tombstone.frozen if self._tombstone else None
                now = self._parts.lifetimes.now()
                return self._create(self._version.parted(frozen, now))
            case Step.RENEW | Step.MOVE:
                return self._renew(is_closing=step is Step.RENEW)
            case Step.FOLLOW:
                self._follow()
            case Step.END:
                return self._end()
            case Step.DROP:
                return self._lose("it ended or was renewed while the request ran")
            case Step.ASK_AGE:
                self._ask_age()
            case Step.ASK_SUCCESSOR:
                self._ask_successor()
            case Step.REFUSE:
                stored = self._draft.base.stored
                change = "a new session id" if stored else "a new session"
                self._exchange.refuse(self._draft.base, change)
        return None

    def _keep(self) -> Outcome:
        exchange, is_live = self._exchange, self._sight.state is State.LIVE
        if self._wish.is_late or not (exchange.is_cookie_due and is_live):
            return UNCHANGED
        seen = self._version.seen
        if seen is not self._draft.base:
            self._draft.settle(seen, self._version.own)
        return Outcome(exchange.write_cookie(seen), renewal=True)

    def _save(self) -> Outcome | None:
        version = self._version
        expiry = self._parts.lifetimes.expiry(version.seen.created)
        if expiry is None:
            return self._lose("its lifetime is over")
        result = self._parts.store.save(
            self._deadline,
            version.seen,
            version.whole(),
            version.changes,
            expiry,
            sets_kind=self._draft.sets_kind,
            detect_conflicts=self._parts.config.on_conflict is not None,
        )
        if type(result) is Saved:
            return self._saved(result)
        if isinstance(result, TooLarge):
            raise SessionTooLarge(
                f"With what others have stored meanwhile, the session would have "
                f"{result.size} {result.unit}, more than max_{result.unit}="
                f"{result.limit}, and was not saved."
            )
        if isinstance(result, Conflict):
            self._meet(result.theirs)
        else:
            self._see(result)
        return None

    def _saved(self, result: Saved) -> Outcome:
        exchange, record = self._exchange, result.record
        is_of_another_kind = record.permanent != self._draft.base.permanent
        self._draft.settle(record, self._version.own)
        events = self._parts.events
        if result.merged:
            self._tell("merged", record)
        if events.observers or events.listeners:
            self._tell("saved", record)
        if self._wish.is_late:
            return UNCHANGED
        if not record.packed:
            return Outcome(exchange.clear_cookie())
        if exchange.is_cookie_due or result.revived or is_of_another_kind:
            return Outcome(exchange.write_cookie(record))
        return UNCHANGED

    def _create(self, record: Record) -> Outcome:
        """Store a new session."""
        if not record.packed:
            return Outcome(self._exchange.clear_cookie())
        expiry = self._parts.lifetimes.expiry(record.created)
        if expiry is None:
            return self._lose("its lifetime is over")
        successor = self._begin_successor()
        return self._go_on_as(successor.store(record, expiry), "created")

    def _renew(self, *, is_closing: bool) -> Outcome | None:
        """Store the session under a new session id, which nobody knows yet, then retire
        the old one, if it is still what was seen: a session that others have ended does
        not escape, and nothing that others have saved is lost."""
        user, predecessor = self._wish.user, self._exchange.predecessor
        record = self._version.renewed(user, self._parts.lifetimes.now())
        expiry = self._parts.lifetimes.expiry(record.created)
        if expiry is None:
            return self._lose("its lifetime is over")
        successor = self._begin_successor()
        new, seen = successor.store(record, expiry), self._version.seen
        if is_closing:
            found = successor.succeed(seen, user, predecessor)
        else:
            found = successor.follow(seen, predecessor, expiry)
        if isinstance(found, Tombstone):
            self._see(found)
            return None
        if found is not None:
            self._tell("merged", found)
            self._meet(found)
            return None
        if predecessor is not None:
            return self._go_on_as(new, "migrated")
        was = f"was {seen.id}"
        return self._go_on_as(new, "regenerated" if is_closing else "rotated", was)

    def _follow(self) -> None:
        """Go on with the session under its new session id."""
        exchange, adopts = self._exchange, self._wish.adopts
        assert self._tombstone is not None
        now = self._parts.lifetimes.now()
        if not self._wish.closes:
            self._discard()
        found = self._parts.store.follow(
            self._deadline, self._old_sid, self._tombstone, now
        )
        self._wish = self._wish._replace(rotates=False, adopts=False)
        # Whoever moved it gives the browser its cookie; but where each request has
        # come with another library's, each answer replaces that.
        exchange.forget()
        exchange.is_cookie_due = adopts
        if isinstance(found, Tombstone):
            self._see(found)
        else:
            self._sight = Sight(State.LIVE, was_live=True)
            self._meet(found)

    def _end(self) -> Outcome | None:
        """End the session, and every other one that the browser named with it."""
        exchange, draft, store = self._exchange, self._draft, self._parts.store
        ended = draft.take_ended()
        sids = [ticket.sid for ticket in exchange.tickets]
        if ended.stored:
            sids.append(ended.sid)
        if exchange.predecessor is not None:
            exchange.predecessor.end(self._deadline)
        ids = [exchange.old_id] if exchange.old_id else []
        for session_id in dict.fromkeys([*map(digest, sids), *ids]):
            store.end(self._deadline, session_id)
        is_known = exchange.had_cookie or ended.stored
        exchange.forget()
        if ended.stored:
            self._tell("destroyed", ended)
        self._version = Version(draft, self._parts.config)
        if self._version.changes.packed:
            self._wish = Wish(saves=True, is_late=self._wish.is_late)
            self._sight = Sight(State.NEW)
            return None
        if not is_known or self._wish.is_late:
            return UNCHANGED
        return Outcome(exchange.clear_cookie())

    def _ask_age(self) -> None:
        assert self._tombstone is not None
        left = self._parts.store.left(self._deadline, self._exchange.old_id)
        age = self._parts.lifetimes.age(self._tombstone, left)
        self._sight = self._sight._replace(age=age)

    def _ask_successor(self) -> None:
        assert self._tombstone is not None
        goes_on = self._parts.store.goes_on(self._deadline, self._tombstone.successor)
        self._sight = self._sight._replace(goes_on=goes_on)

    def _lose(self, reason: str, *, is_outage: bool = False) -> Outcome:
        """Drop the changes. No cookie: the browser may already have a newer one."""
        lost = [*map(shortened, self._version.changes.names)]
        if self._draft.sets_kind:
            lost.append("whether it is permanent")
        if lost:
            dropped = ", ".join(lost)
            detail = f"{reason}; dropped: {dropped}"
            self._tell("lost", self._draft.base, detail, is_outage=is_outage)
        self._draft.lose(self._version.own)
        self._exchange.forget()
        return UNCHANGED

    def _go_on_as(self, record: Record, name: EventName, detail: str = "") -> Outcome:
        """The session has a session id that the browser is to learn."""
        self._successor = None
        self._draft.settle(record, self._version.own)
        self._exchange.forget()
        self._tell(name, record, detail)
        if not record.packed:
            return Outcome(self._exchange.clear_cookie())
        return Outcome(self._exchange.write_cookie(record))

    def _see(self, found: Tombstone) -> None:
        """The session is not there any more."""
        self._tombstone = found
        self._sight = Sight(found.state, was_live=True)

    def _meet(self, theirs: Record) -> None:
        """Others have saved, so that this request is to try again."""
        self._attempts += 1
        # What we have just learnt is old after a pause. So every second attempt only
        # finds out what is stored by then, and the next one is made at once.
        if self._turn is None and self._attempts == 2:
            self._turn = self._parts.turns.queue(self._draft.base.id)
            self._turn.wait(self._deadline)
        elif self._attempts % 2 == 0:
            self._deadline.pause(_LONGEST_PAUSE)
        if self._deadline.left <= 0:
            raise SessionUnavailable("too many requests write this session at once")
        decided = self._version.rebase(theirs)
        if decided:
            self._tell("conflict", theirs, ", ".join(map(shortened, decided)))

    @property
    def _old_sid(self) -> str:
        predecessor = self._exchange.predecessor
        return self._version.seen.sid if predecessor is None else predecessor.sid

    def _begin_successor(self) -> Successor:
        if self._successor is None:
            self._successor = Successor(self._parts, self._deadline)
        return self._successor

    def _discard(self) -> None:
        """What was to become the session is none."""
        if self._successor is not None:
            self._successor.discard()
            self._successor = None

    def _tell(
        self,
        name: EventName,
        record: Record,
        detail: str = "",
        *,
        is_outage: bool = False,
    ) -> None:
        self._exchange.tell(
            name,
            record.id,
            detail,
            packed=record.packed,
            duration=self._deadline.spent,
            is_outage=is_outage,
        )

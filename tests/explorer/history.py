"""What happened in one schedule, as it can be seen from outside of the library."""

from __future__ import annotations

import functools
import typing as t

from .grounds import Ground
from .request import Request
from .request import View
from .schedule import AGAIN
from .schedule import Step
from .site import Start

#: Stands among a session's names for whether it is permanent.
PERMANENT = "(permanent)"

#: How long a moved or ended session is remembered under its old key, in seconds.
CLOSED_FOR, OPEN_FOR = 600.0, 60.0

#: How long a session is kept that was emptied, in seconds.
EMPTY_FOR = 60.0

#: How old a cookie is when it is given again.
TOUCHED_AFTER = 300.0

#: Commands, and what is none, after which nothing is different for others.
_NO_DEEDS = ((), ("DEL",), ("HDEL",), ("GET",), ("GETRANGE",), ("PTTL",))

#: How long what comes with the old cookie is dropped, in seconds.
DROPPED_FOR = 5.0


class Found(t.NamedTuple):
    """What a cookie reaches when all is over."""

    view: View
    #: ``session.id``; two cookies reach the same session if it is the same.
    session_id: str
    permanent: bool
    #: What the response gave in turn.
    given: str | None
    error: BaseException | None


class Deed:
    """What a request did, in the words of the promises."""

    def __init__(self, request: Request, ground: Ground) -> None:
        self.request = request
        self.name = request.name
        self.given = request.given
        self.cookie = request.cookie
        #: What the application saw before it did anything.
        self.before: View = request.seen[0] if request.seen else {}
        self.removed = request.removed
        self.assigned = dict(request.assigned)
        #: The answer is an error, or there was none: nobody was told that it is done.
        self.failed = request.error is not None or request.killed
        #: It was told that its changes were dropped.
        self.dropped = any(event.name == "lost" for event in request.events)
        self.acknowledged = not (self.failed or self.dropped)
        #: One of its commands was carried out twice.
        self.retried = False
        self.ground = ground
        #: It is no request: the session is revoked.
        self.is_outside = request.operation.outside is not None
        #: What it means for the session id: "end", "leave" (nobody is logged in any
        #: more, other names stay), "switch", "login", "renew", or nothing.
        self.change = self._change()
        #: Somebody may hold the old cookie who must gain nothing.
        self.closes = self.change in ("renew", "login", "switch", "leave")
        self.ends = self.change in ("end", "leave")

    @property
    def changes(self) -> View:
        """What it wants stored, and None for what it removed."""
        made: View = dict.fromkeys(self.removed) | self.assigned
        if self.change != "switch":
            # Who assigns what was there before has changed nothing.
            same = [name for name in made if made[name] == self.before.get(name)]
            made = {name: value for name, value in made.items() if name not in same}
        # What holds nothing cannot be permanent.
        holds = bool(self.before or self.assigned)
        if self.request.made_permanent is not None and holds:
            made[PERMANENT] = self.request.made_permanent
        return made

    @property
    def empties(self) -> bool:
        """Whether it removed all that it saw, so that nothing is left to be kept."""
        return (
            bool(self.before) and not self.assigned and self.removed >= {*self.before}
        )

    def wrote(self, value: t.Any) -> bool:
        """Whether a value says that it is from this request."""
        return value == self.name or (type(value) is tuple and self.name in value)

    def _change(self) -> str:
        request, user = self.request, self.ground.user
        if request.destroyed or self.is_outside:
            return "end"
        if self.ground.has_user_key:
            before = self.before.get(user)
            after = self.assigned.get(user, None if user in self.removed else before)
            if before != after:
                if before is None:
                    return "login"
                rest = (set(self.before) | set(self.assigned)) - self.removed
                return "switch" if after else "leave" if rest else "end"
        return "renew" if request.regenerated else ""


def is_faulty(steps: list[Step]) -> bool:
    """Whether a command was struck by a fault."""
    return any(len(step.token) > 1 for step in steps)


class History:
    """One schedule: its requests, its steps, and what is there when all is over."""

    def __init__(
        self,
        ground: Ground,
        start: Start,
        requests: list[Request],
        steps: list[Step],
        *,
        found: dict[str, Found],
        lifetimes: dict[str, int],
        owners: dict[str, str],
        owners_later: dict[str, str],
        listed: dict[str, set[str]],
        elapsed: float,
    ) -> None:
        self.ground = ground
        self.start = start
        self.steps = steps
        self.found = found
        self.lifetimes = lifetimes
        #: Who each session that is stored belongs to, by its id.
        self.owners = owners
        #: The same when the user has logged in once more; only where a fault struck.
        self.owners_later = owners_later
        #: The sessions that each user is told to have.
        self.listed = listed
        #: How far the clock was moved, in seconds.
        self.elapsed = elapsed
        self.deeds = [Deed(request, ground) for request in requests]
        tokens = {step.token for step in steps}
        for deed in self.deeds:
            deed.retried = deed.name + AGAIN in tokens

    @functools.cached_property
    def initial(self) -> View:
        """What the session held before the first request."""
        return {**self.ground.values, PERMANENT: self.ground.permanent}

    @functools.cached_property
    def expired(self) -> bool:
        """Whether the session ended because nobody used it."""
        return self.elapsed >= 86400

    @functools.cached_property
    def closers(self) -> list[Deed]:
        """Who has renewed the session id so that the old cookie is shut out, and has
        been given the new one."""
        return [d for d in self.deeds if d.closes and d.acknowledged and d.given]

    @functools.cached_property
    def enders(self) -> list[Deed]:
        """Who has ended the session, or may have: some were not answered."""
        return [deed for deed in self.deeds if deed.ends]

    @functools.cached_property
    def uncertain(self) -> bool:
        """Whether somebody may have shut out the old cookie who was not answered."""
        return any(deed.closes and deed.failed for deed in self.deeds)

    @functools.cached_property
    def shut_twice(self) -> bool:
        """Whether two may have shut out one cookie, each with a session of its own."""
        shut = [d.cookie for d in self.deeds if d.closes and not d.dropped]
        return len(shut) > len(set(shut))

    def follows(self, later: Deed, earlier: Deed) -> bool:
        """Whether one came with the cookie that the other had been given, or with one
        that was given for that."""
        cookie, known = later.cookie, {None, later.given}
        while cookie not in known:
            if later is not earlier and cookie == earlier.given != earlier.cookie:
                return True
            known.add(cookie)
            givers = [deed.cookie for deed in self.deeds if deed.given == cookie]
            cookie = givers[0] if givers else None
        return False

    def inherited(self, deed: Deed) -> View:
        """What those assigned whose session a request came with."""
        values: View = {}
        for other in self.deeds:
            if self.follows(deed, other):
                values |= other.assigned
        return values

    def is_superseded(self, deed: Deed) -> bool:
        """Whether the cookie that it was given was shut out or ended in turn."""
        return any(
            (other.closes or other.ends) and other.cookie == deed.given
            for other in self.deeds
            if other is not deed
        )

    def content(self, cookie: str) -> View:
        """What a cookie reaches at the end, and whether it is permanent."""
        found = self.found[cookie]
        return {**found.view, PERMANENT: found.permanent}

    def since(self, earlier: Deed, later: Deed) -> tuple[float, float]:
        """How many seconds lie between the two at least, and at most."""
        one, two = earlier.request.times, later.request.times
        return two[0] - one[-1], two[-1] - one[0]

    @functools.cached_property
    def current(self) -> str:
        """The old cookie, or the one that took its place when it was renewed openly so
        long ago that the old one is not known any more."""
        if self.ground.opens == "rotated" and self.elapsed > OPEN_FOR:
            return next((d.given for d in self.deeds if d.given), self.start.cookie)
        return self.start.cookie

    @property
    def touch_is_due(self) -> bool:
        """Whether cookies may be given again because they are old."""
        return self.ground.due or self.elapsed >= TOUCHED_AFTER

    def is_own(self, deed: Deed) -> bool:
        """Whether a cookie that it was given is that of a session of its own, or of one
        that it has renewed."""
        return (
            deed.closes
            or deed.request.destroyed
            or deed.cookie is None
            or self.is_late(deed)
            or self.is_stranded(deed)
        )

    def is_stranded(self, deed: Deed) -> bool:
        """Whether it came with a cookie that had been forgotten, or may have been."""
        closed = any(self.since(o, deed)[1] >= CLOSED_FOR for o in self.before(deed))
        emptied = any(
            other.empties
            and self.effective(other) < deed.request.last
            and deed.request.times[-1] - other.request.times[-1] >= EMPTY_FOR
            for other in self.deeds
            if other is not deed
        )
        return (closed or emptied) or (
            self.ground.opens == "rotated"
            and any(
                other is not deed
                and bool(other.given)
                and self.since(other, deed)[1] >= OPEN_FOR
                for other in self.deeds
            )
        )

    @functools.cached_property
    def unclear(self) -> bool:
        """Whether somebody's cookie may have been forgotten, so that what he did is in
        another session."""
        return any(self.is_stranded(deed) for deed in self.deeds)

    def before(self, deed: Deed) -> list[Deed]:
        """Who had shut out or ended what its cookie names when it began."""
        return [
            other
            for other in self.deeds
            if other is not deed
            and (other.ends or (other.closes and other.cookie == deed.cookie))
            and other.acknowledged
            and self.effective(other) < deed.request.first
        ]

    def effective(self, deed: Deed, last: int | None = None) -> int:
        """The step at which a request did what it had done by its last step.

        A command that is sent again has done it the first time; and what a request
        looks up or cleans up after that is nothing more.
        """
        last = deed.request.last if last is None else last
        own = [n for n in range(last + 1) if self.steps[n].token[0] == deed.name]
        stored = {
            s.command[1] for n in own if (s := self.steps[n]).command[:1] == ("SET",)
        }
        if deed.request.destroyed and deed.assigned and len(own) > 1:
            # What it stores after that is in a session of its own.
            while len(own) > 1 and self.steps[own[-1]].command[:1] == ("SET",):
                own.pop()
        while len(own) > 1 and self.steps[own[-1]].command[:1] in _NO_DEEDS:
            if self.steps[own[-1]].command[:2] in {("DEL", key) for key in stored}:
                # It has taken back what it had begun.
                return last
            own.pop()
        if len(own) > 1 and self.steps[own[-2]].token == deed.name + AGAIN:
            return own[-2]
        return own[-1] if own else last

    def is_late(self, deed: Deed) -> bool:
        """Whether it began when somebody had shut out or ended what its cookie
        names."""
        return bool(self.before(deed))

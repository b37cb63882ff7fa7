"""What becomes of a session at the end of a request: the whole policy, as one function.

It asks nobody and does nothing. A commit does what it says, and asks again with what it
has learnt, until there is nothing more to do.
"""

from __future__ import annotations

import enum
import typing as t

from ..lifetimes import ON_ITS_WAY
from ..model.record import State


class UserChange(enum.Enum):
    """What a request does to who is logged in, by the option ``user_key``."""

    NONE = enum.auto()
    #: Nobody was, and somebody is now.
    LOGIN = enum.auto()
    #: Somebody else is.
    SWITCH = enum.auto()
    #: Nobody is any more.
    LOGOUT = enum.auto()


class Wish(t.NamedTuple):
    """What a request wants with its session."""

    #: ``destroy()`` was called.
    ends: bool = False
    user: UserChange = UserChange.NONE
    #: ``regenerate()`` was called.
    renews: bool = False
    #: Something is to be stored.
    saves: bool = False
    #: There would be no name in it.
    is_empty: bool = False
    #: It may be the login of an application that has no ``user_key`` and renews the
    #: session by itself: names were assigned.
    may_be_login: bool = False
    #: Its session id is old and is to be replaced in passing.
    rotates: bool = False
    #: It is another library's, and is to become one of ours.
    adopts: bool = False
    #: The headers have left, so that no cookie can be set.
    is_late: bool = False

    @property
    def logs_in(self) -> bool:
        """Whether the session names a user that it did not name before."""
        return self.user in (UserChange.LOGIN, UserChange.SWITCH)

    @property
    def closes(self) -> bool:
        """Whether the session is to get a new session id that shuts the old one out."""
        return self.renews or self.user is not UserChange.NONE

    @property
    def is_void(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.saves or self.closes or self.rotates or self.adopts)


class Sight(t.NamedTuple):
    """What is known of the session that a request wants something with."""

    state: State
    #: Whether it was live when the request has loaded it.
    was_live: bool = False
    #: How long ago it was renewed or ended, in milliseconds; asked only where it
    #: matters.
    age: int | None = None
    #: Whether it goes on under another session id; asked only where it matters.
    goes_on: bool | None = None


class Step(enum.Enum):
    """What to do next."""

    #: Leave everything as it is.
    KEEP = enum.auto()
    #: Store a new session, with what this request sees in it.
    CREATE = enum.auto()
    #: Store a new session, with what this request may take along.
    PART = enum.auto()
    #: Store what has changed.
    SAVE = enum.auto()
    #: Give the session a new session id, and shut out whoever has the old one.
    RENEW = enum.auto()
    #: Give it a new session id in passing.
    MOVE = enum.auto()
    #: Go on with the session under its new session id.
    FOLLOW = enum.auto()
    #: End it.
    END = enum.auto()
    #: Drop the changes, and say so.
    DROP = enum.auto()
    #: A cookie would have to be set, and the headers have left.
    REFUSE = enum.auto()
    #: Find out how long ago it was renewed or ended.
    ASK_AGE = enum.auto()
    #: Find out whether it goes on under another session id.
    ASK_SUCCESSOR = enum.auto()


def next_step(wish: Wish, sight: Sight) -> Step:
    """What to do with a session of which so much is known."""
    if wish.ends:
        return Step.END
    if sight.state is State.LIVE:
        return _step_with_live(wish)
    if wish.is_void:
        return Step.KEEP
    if sight.state is State.MOVED:
        return Step.FOLLOW
    step = _step_with_lost(wish, sight)
    if wish.is_late and step in (Step.CREATE, Step.PART):
        # What holds nothing needs no cookie.
        return Step.KEEP if wish.is_empty else Step.REFUSE
    return step


def _step_with_live(wish: Wish) -> Step:
    if wish.is_empty and wish.user is UserChange.LOGOUT:
        return Step.END
    if wish.is_late and (wish.closes or wish.adopts):
        return Step.REFUSE
    if wish.closes:
        return Step.RENEW
    if wish.adopts or (wish.rotates and not wish.is_late):
        return Step.MOVE
    return Step.SAVE if wish.saves else Step.KEEP


def _step_with_lost(wish: Wish, sight: Sight) -> Step:
    """There is no session, or none any more that this request may store anything in."""
    if sight.state is State.NEW:
        return Step.KEEP if wish.is_empty else Step.CREATE
    if sight.state is State.RENEWED and (wish.logs_in or wish.may_be_login):
        # A login is in its own right, but does not outlive a logout that came after.
        if sight.goes_on is None:
            return Step.ASK_SUCCESSOR
        if sight.goes_on:
            return Step.PART if sight.was_live else Step.CREATE
    if sight.state is State.RENEWED and wish.user is UserChange.LOGOUT:
        return Step.END
    if sight.was_live:
        return Step.DROP
    if not (wish.saves or wish.logs_in):
        return Step.KEEP
    # A response of its own might overwrite the cookie that its browser has just got.
    if sight.age is None:
        return Step.ASK_AGE
    return Step.DROP if sight.age < ON_ITS_WAY else Step.CREATE

"""How long sessions live: the only place that does arithmetic with the clock."""

from __future__ import annotations

import typing as t

from .config import SessionConfig
from .model.record import State
from .model.record import Tombstone

#: A session in use is prolonged at most this often, in seconds.
_TOUCH_INTERVAL = 300.0

#: How long a session that was emptied is kept, in milliseconds: longer than a request
#: takes that had loaded it before.
EMPTY_TTL = 60_000

#: The same for the tombstone of one that ended.
ENDED_TTL = 60_000

#: How long an old session id is good for that was replaced in passing.
MOVED_TTL = 60_000

#: How long somebody who comes with a session id that was renewed is told from a
#: stranger: longer than a request runs, or a form lies open before it is sent again.
RENEWED_TTL = 600_000

#: Clocks and the way to Redis make a difference of this much.
_SLACK = 5_000

#: How often a session is followed to its successor: more often than one is renewed
#: while a tombstone lives.
MAX_LINKS = 64

#: Longer than anything, and yet a number that Redis can reckon with.
_FOREVER = 1 << 50

#: A response that was sent before may take as long to reach its browser.
ON_ITS_WAY = 5_000


class Expiry(t.NamedTuple):
    """The TTLs in milliseconds that a session would get now."""

    transient: int
    permanent: int

    def of(self, permanent: bool) -> int:
        """The one of a permanent session, or of one that ends with the browser."""
        return self.permanent if permanent else self.transient


class Touch(t.NamedTuple):
    """How far a session is prolonged that is used now, in milliseconds."""

    transient: int
    permanent: int
    #: What is to be added to when a session began, for what is left of its lifetime.
    lifetime_from_now: int


class Lifetimes:
    """The durations of a configuration, and its clock. All in milliseconds."""

    def __init__(self, config: SessionConfig) -> None:
        self._clock = config.clock
        self._transient = int(config.seconds("idle_timeout") * 1000)
        self._permanent = int(config.seconds("permanent_lifetime") * 1000)
        self._lifetime = (
            None if config.lifetime is None else int(config.seconds("lifetime") * 1000)
        )
        self._rotate_interval = (
            None
            if config.rotate_interval is None
            else int(config.seconds("rotate_interval") * 1000)
        )
        self._touch_interval = {
            permanent: min(_TOUCH_INTERVAL, idle / 20 / 1000)
            if config.touch_interval is None
            else config.seconds("touch_interval")
            for permanent, idle in ((False, self._transient), (True, self._permanent))
        }

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return int(self._clock() * 1000)

    def is_over(self, created: int) -> bool:
        """Whether a session that began then has ended, however much it was used."""
        return (
            self._lifetime is not None
            and self._clock() * 1000 >= created + self._lifetime
        )

    def expiry(self, created: int) -> Expiry | None:
        """How long a session that began then may still live without being used;
        ``None`` where it is over."""
        if self._lifetime is None:
            return Expiry(self._transient, self._permanent)
        left = created + self._lifetime - int(self._clock() * 1000)
        if left <= 0:
            return None
        return Expiry(min(self._transient, left), min(self._permanent, left))

    @property
    def longest_ttl(self) -> int:
        """No session lives longer without being used."""
        return max(self._transient, self._permanent)

    def touch(self) -> Touch:
        """How far a session is prolonged that is used now."""
        lifetime = _FOREVER if self._lifetime is None else self._lifetime
        return Touch(self._transient, self._permanent, lifetime - self.now())

    def last_used(self, created: int, permanent: bool, left: int) -> int | None:
        """When a session was used for the last time, within the touch interval, by how
        long it will be there yet; ``None`` where that says how old it is instead."""
        ends = self.now() + left
        if self._lifetime is not None and ends >= created + self._lifetime - _SLACK:
            return None
        idle = self._permanent if permanent else self._transient
        return max(created, min(self.now(), ends - idle))

    def has_expired(self, created: int, issued: float, permanent: bool) -> bool:
        """Whether a session that is gone must have expired by now: it began then, and
        its cookie was last written so many seconds after the epoch."""
        idle = self._permanent if permanent else self._transient
        return self.is_over(created) or self._clock() - issued >= idle / 1000

    def due(
        self, created: int, permanent: bool, drawn: int, issued: float
    ) -> tuple[bool, bool] | None:
        """What a session needs whose cookie was ``issued`` then, in seconds since the
        epoch: whether it is to be prolonged when it is used, and whether its session
        id, ``drawn`` then, is to be replaced. ``None`` where its lifetime is over.

        What lies in the future was written by a clock that was wrong.
        """
        now = self._clock()
        if self._lifetime is not None and now * 1000 >= created + self._lifetime:
            return None
        interval = self._touch_interval[permanent]
        is_touch_due = not -interval < now - issued < interval
        rotation = self._rotate_interval
        if rotation is None or -rotation < now * 1000 - drawn < rotation:
            return is_touch_due, False
        return is_touch_due, True

    def age(self, tombstone: Tombstone, left: int) -> int:
        """How long ago a session was renewed or ended whose tombstone has so long to
        live yet."""
        is_plain_end = tombstone.state is State.ENDED and not tombstone.successor
        return (ENDED_TTL if is_plain_end else RENEWED_TTL) - left

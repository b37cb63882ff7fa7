"""How long sessions live: the only place that does arithmetic with the clock."""

from __future__ import annotations

import typing as t

from .config import SessionConfig

#: A session in use is prolonged at most this often, in seconds.
_TOUCH_INTERVAL = 300.0


class Expiry(t.NamedTuple):
    """The TTLs in milliseconds that a session would get now."""

    transient: int
    permanent: int

    def of(self, permanent: bool) -> int:
        """The one of a permanent session, or of one that ends with the browser."""
        return self.permanent if permanent else self.transient


class Lifetimes:
    """The durations of a configuration, and its clock. All in milliseconds."""

    def __init__(self, config: SessionConfig) -> None:
        self._clock = config.clock
        self._transient = int(config.seconds("idle_timeout") * 1000)
        self._permanent = int(config.seconds("permanent_lifetime") * 1000)
        self._lifetime = (
            None if config.lifetime is None else int(config.seconds("lifetime") * 1000)
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
        left = created + self._lifetime - self.now()
        if left <= 0:
            return None
        return Expiry(min(self._transient, left), min(self._permanent, left))

    def is_touch_due(self, issued: float, permanent: bool) -> bool:
        """Whether a cookie was written so long ago (in seconds since the epoch) that
        its session is to be prolonged when it is used."""
        return self._clock() - issued >= self._touch_interval[permanent]

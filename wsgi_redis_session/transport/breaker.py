"""Meets an outage once, so that not every request meets it."""

from __future__ import annotations

#: So many failures in a row open it.
_FAILURES = 3

#: For how long, in seconds, before somebody may try again.
_PAUSE = 1.0


class Breaker:
    """Keeps requests from waiting for a server that does not answer.

    After three failures in a row nobody asks for a second; then one request does, while
    the others still do not, and its success closes the breaker. The next one tries a
    second after this one began, however long it waits, so that a server that is back is
    noticed within a second. Times are those of the monotonic clock.
    """

    __slots__ = ("failures", "open_until")

    def __init__(self) -> None:
        #: How many there were in a row.
        self.failures = 0
        #: When somebody may ask again; 0 while all may.
        self.open_until = 0.0

    def refuses(self, now: float) -> bool:
        """Whether this request is not to ask; to be called only while it is open."""
        if now < self.open_until:
            return True
        # This one tries, and the others wait for what becomes of it.
        self.open_until = now + _PAUSE
        return False

    def failed(self, now: float) -> None:
        """The server did not answer."""
        self.failures += 1
        if self.failures == _FAILURES:
            self.open_until = now + _PAUSE

    def succeeded(self) -> None:
        """The server has answered."""
        self.failures = 0
        self.open_until = 0.0

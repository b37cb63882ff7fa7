"""What is logged of an outage: few lines, however busy the site is."""

from __future__ import annotations

import collections.abc as cabc
import logging

logger = logging.getLogger("wsgi_redis_session")

#: How often an outage is told about while it lasts, and how long there must have been
#: none before it is over, in seconds.
_OUTAGE_INTERVAL = 10


class OutageLog:
    """Tells the logger about an outage: once, then how often it was met, each ten
    seconds, and when it is over. A busy site would fill its log otherwise.

    Threads that meet it in the same instant may be counted as one.
    """

    def __init__(self, clock: cabc.Callable[[], float]) -> None:
        self._clock = clock
        #: Whether there is one, as far as anybody has noticed.
        self.is_on = False
        self._began = self._met = self._told = 0.0
        self._times = self._times_told = 0

    def met(self, text: str, *args: object, event: object = None) -> None:
        """Somebody was hindered, in these words, which are put together as the logger
        does."""
        now = self._met = self._clock()
        is_first, self.is_on = not self.is_on, True
        if is_first:
            self._began = self._told = now
            self._times, self._times_told = 1, 0
            logger.warning(text, *args, extra={"session_event": event})
            return
        self._times += 1
        # A clock may be set back.
        if 0 <= now - self._told < _OUTAGE_INTERVAL:
            return
        times = self._times - self._times_told
        self._told, self._times_told = now, self._times
        logger.warning(
            "sessions unavailable for %.0f s, %d times since the last line; %s",
            now - self._began,
            times,
            text % args,
        )

    def answered(self) -> None:
        """Redis has answered somebody; to be called only while :attr:`is_on`.

        An outage of one node of a cluster, or of writing alone, goes on between the
        answers, so it is over only when nobody has met it for ten seconds.
        """
        if not self.is_on or 0 <= self._clock() - self._met < _OUTAGE_INTERVAL:
            return
        self.is_on = False
        logger.warning(
            "sessions available again: unavailable %d times in %.0f s",
            self._times,
            self._met - self._began,
        )

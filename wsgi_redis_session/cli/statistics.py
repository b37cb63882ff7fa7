"""Figures of any number of sessions, in little memory."""

from __future__ import annotations

import heapq
import typing as t

from ..lifetimes import Lifetimes
from ..store.survey import Batch
from ..store.survey import Glance

#: The upper ends of a histogram's classes in seconds, and what they are called.
CLASSES = (
    (60.0, "under a minute"),
    (3_600.0, "under an hour"),
    (86_400.0, "under a day"),
    (7 * 86_400.0, "under a week"),
    (30 * 86_400.0, "under 30 days"),
    (float("inf"), "longer"),
)

#: So many of the largest and of the oldest are named.
_NAMED = 5


class Histogram:
    """How many lengths of time are in each class."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys((name for _, name in CLASSES), 0)

    def add(self, seconds: float) -> None:
        """Count one."""
        for limit, name in CLASSES:
            if seconds < limit:
                self.counts[name] += 1
                return


class Most:
    """The few sessions that have most of something, or all that were added if they are
    fewer."""

    def __init__(self, count: int) -> None:
        self._count = count
        # The session ids decide where two have as much.
        self._heap: list[tuple[int, str, Glance]] = []

    def add(self, amount: int, session: Glance) -> None:
        """Take a session into account that has so much of it."""
        if len(self._heap) < self._count:
            heapq.heappush(self._heap, (amount, session.id, session))
        elif amount > self._heap[0][0]:
            heapq.heapreplace(self._heap, (amount, session.id, session))

    @property
    def sessions(self) -> list[Glance]:
        """Each once, those who have most first."""
        found = {name: session for _, name, session in sorted(self._heap, reverse=True)}
        return [*found.values()]


class Statistics:
    """What is known of all sessions together."""

    def __init__(self, lifetimes: Lifetimes) -> None:
        self._lifetimes = lifetimes
        self.sessions = self.permanent = self.bytes = 0
        self.tombstones = self.others = self.users = 0
        #: How long ago sessions began, and were used for the last time.
        self.ages, self.idle = Histogram(), Histogram()
        self.largest, self.oldest = Most(_NAMED), Most(_NAMED)

    def add(self, batch: Batch) -> None:
        """Take what one step of a survey has found into account."""
        self.tombstones += batch.tombstones
        self.others += batch.others
        now = self._lifetimes.now()
        for session in batch.sessions:
            head = session.head
            self.sessions += 1
            self.permanent += head.permanent
            self.bytes += session.size
            self.ages.add((now - head.created) / 1000)
            used = self._lifetimes.last_used(head.created, head.permanent, session.ttl)
            if used is not None:
                self.idle.add((now - used) / 1000)
            self.largest.add(session.size, session)
            self.oldest.add(-head.created, session)

    def as_dict(self) -> dict[str, t.Any]:
        """For a program to read."""
        return {
            "sessions": self.sessions,
            "permanent": self.permanent,
            "users": self.users,
            "bytes": self.bytes,
            "tombstones": self.tombstones,
            "others": self.others,
            "ages": self.ages.counts,
            "idle": self.idle.counts,
            "largest": [session.id for session in self.largest.sessions],
            "oldest": [session.id for session in self.oldest.sessions],
        }

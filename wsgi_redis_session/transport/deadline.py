"""How long one operation may take, all its commands together."""

from __future__ import annotations

import random
import time


class Deadline:
    """When a load or a commit has taken long enough, counted from when this is made."""

    __slots__ = ("_seconds", "end")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        #: By the monotonic clock.
        self.end = time.monotonic() + seconds

    def renewed(self) -> Deadline:
        """As long a time, counted from now."""
        return Deadline(self._seconds)

    @property
    def left(self) -> float:
        """How many seconds are left; not more than zero when it is over."""
        return self.end - time.monotonic()

    @property
    def spent(self) -> float:
        """How many seconds have gone by since this was made."""
        return self._seconds - self.left

    def pause(self, longest: float) -> None:
        """Let others go first for up to so many seconds, by chance, so that those who
        met once do not meet again."""
        longest = min(longest, max(0.0, self.left))
        time.sleep(random.uniform(0, longest))  # noqa: S311  # nothing secret

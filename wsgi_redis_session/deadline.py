"""How long one operation may take, all its commands together."""

from __future__ import annotations

import random
import time

#: The longest pause between two attempts, in seconds.
_LONGEST_PAUSE = 0.05


class Deadline:
    """When an operation has taken long enough, counted from when this is made."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """How many seconds are left; negative when it is over."""
        return self._end - time.monotonic()

    def pause(self, attempt: int) -> bool:
        """Let others go first, longer each time, and by chance, so that those who met
        once do not meet again; whether there is time for another attempt."""
        longest = min(_LONGEST_PAUSE, 0.0005 * 2**attempt)
        time.sleep(random.uniform(0, longest))  # noqa: S311  # nothing secret
        return self.left > 0

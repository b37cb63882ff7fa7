"""Who contends for one session in this process goes one after the other."""

from __future__ import annotations

from ..transport.deadline import Deadline

#: How long it takes until the next one looks whether it is its turn, in seconds, and
#: how often it looks at most.
_LOOKS_EVERY, _LOOKS = 0.005, 100


class Turn:
    """A place in the queue for a session; to be left in any case."""

    def __init__(self, queues: dict[str, list[Turn]], session_id: str) -> None:
        self._queues = queues
        self._session_id = session_id
        self._queue = queues.setdefault(session_id, [])
        self._queue.append(self)

    def wait(self, deadline: Deadline) -> None:
        """Until it has come, but not for more than half of the time that is left: who
        is before us may have been stopped."""
        latest = deadline.left / 2
        for _ in range(_LOOKS):
            place = self._queue.index(self)
            if place == 0 or deadline.left <= latest:
                return
            deadline.pause(place * _LOOKS_EVERY)

    def leave(self) -> None:
        """Let the next one go."""
        self._queue.remove(self)
        if not self._queue:
            self._queues.pop(self._session_id, None)


class Turns:
    """The queues of a process, one for each session for which several contend.

    They are a courtesy that saves everybody's time, and no lock: who does not wait, in
    another process or because two have just missed each other, does no harm.
    """

    def __init__(self) -> None:
        self._queues: dict[str, list[Turn]] = {}

    def queue(self, session_id: str) -> Turn:
        """Queue up."""
        return Turn(self._queues, session_id)

"""Who contends for one session in this process goes one after the other."""

from __future__ import annotations

from ..transport.deadline import Deadline

#: How long it takes until the next one looks whether it is its turn, in seconds, and
#: how often it looks at most.
_LOOKS_EVERY, _LOOKS = 0.005, 100

#: The longest pause of those who contend in several processes, in seconds.
_LONGEST_PAUSE = 0.05


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


class Contention:
    """What one request does that meets others, again and again, on one session."""

    def __init__(self, turns: Turns, session_id: str, deadline: Deadline) -> None:
        self._turns = turns
        self._session_id = session_id
        self._deadline = deadline
        self._attempts = 0
        self._turn: Turn | None = None

    def met(self) -> None:
        """Others have saved: let some go first, before the next attempt.

        What was learnt is old after a pause. So every second attempt only finds out
        what is stored by then, and the next one is made at once.
        """
        self._attempts += 1
        if self._turn is None and self._attempts == 2:
            self._turn = self._turns.queue(self._session_id)
            self._turn.wait(self._deadline)
        elif self._attempts % 2 == 0:
            self._deadline.pause(_LONGEST_PAUSE)

    def leave(self) -> None:
        """There will be no other attempt."""
        if self._turn is not None:
            self._turn.leave()

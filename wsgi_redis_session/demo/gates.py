"""Where requests wait for one another, so that an experiment always happens as told."""

from __future__ import annotations

import collections
import threading

#: Seconds after which nobody waits any more.
PATIENCE = 20


class Gates:
    """Gates by name. Requests stand before them until somebody opens."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._changed = threading.Condition()
        self._standing = collections.Counter[str]()
        self._open: set[str] = set()

    def stand(self, name: str) -> None:
        """Wait until the gate is opened. A gate without a name is open."""
        if not name:
            return
        with self._changed:
            self._standing[name] += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: name in self._open, self._patience)
            self._standing[name] -= 1
            if not self._standing[name]:
                del self._standing[name]
                self._open.discard(name)

    def gather(self, name: str, number: int) -> bool:
        """Wait until so many stand before a gate; false if they do not come."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._standing[name] >= number, self._patience
            )

    def open(self, name: str) -> None:
        """Let all go who stand before a gate."""
        with self._changed:
            if name in self._standing:
                self._open.add(name)
                self._changed.notify_all()

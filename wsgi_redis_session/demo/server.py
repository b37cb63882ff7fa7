"""The switch of the server that the demo has started."""

from __future__ import annotations

import threading

from ..local_server import LocalServer
from ..manager import SessionManager
from ..transport.deadline import Deadline
from ..transport.question import Question

#: Seconds after which a server that nobody starts again starts by itself.
_LONGEST = 15


class Switch:
    """Stops the server, with what it holds on disk, and starts it again."""

    def __init__(self, local: LocalServer, sessions: SessionManager) -> None:
        self._local = local
        self._transport = sessions.store.transport
        self._timeout = sessions.config.seconds("operation_timeout")
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def stop(self) -> None:
        """Stop the server; the next request finds nobody there."""
        with self._lock:
            if self._timer is None:
                self._transport.send(Question(Deadline(self._timeout), ("SAVE",)))
                self._local.stop()
                self._timer = threading.Timer(_LONGEST, self.start)
                self._timer.daemon = True
                self._timer.start()

    def start(self) -> None:
        """Start the server, with what it held."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
                self._local.start()

    def close(self) -> None:
        """Nothing starts by itself from here on."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()

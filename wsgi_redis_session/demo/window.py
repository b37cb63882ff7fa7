"""What is stored, and who is told when it changes: a terminal, and the open pages."""

from __future__ import annotations

import collections
import collections.abc as cabc
import itertools
import threading

from ..errors import SessionUnavailable
from ..events import SessionEvent
from ..local_server import server_name
from ..manager import SessionManager
from ..model.record import State
from ..model.record import Tombstone
from ..store.survey import Entry
from ..store.survey import Survey

#: More is not shown.
_MAX_ENTRIES = 1000
_MAX_EVENTS = 8

#: Seconds after which a page asks again, whatever happened: sessions also expire.
_HEARTBEAT = 5

_TOMBSTONES = {
    State.MOVED: "a tombstone: this session has a new id, the old one works for now",
    State.RENEWED: "a tombstone: this session got a new id, the old one is dead",
    State.ENDED: "a tombstone: this session has ended",
}


def duration(seconds: float) -> str:
    """A length of time in its two largest units, as ``23 h 59 min``."""
    rest = max(round(seconds), 0)
    counts = []
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        counts.append((count, "day" if (unit, count) == ("days", 1) else unit))
    while len(counts) > 1 and not counts[0][0]:
        del counts[0]
    words = [f"{count} {unit}" for count, unit in counts[:2] if count]
    return " ".join(words) or "0 s"


def content(entry: Entry) -> str:
    """What kind of content an entry has, in words that a terminal can show."""
    stored = entry.read()
    if isinstance(stored, Tombstone):
        return _TOMBSTONES[stored.state]
    if stored is None:
        return "no session"
    if stored.envelope:
        return "a sealed session"
    # Others chose the names: no control character of theirs gets to a terminal.
    shown = [name if name.isidentifier() else ascii(name) for name in stored.packed]
    return ", ".join(shown) or "an empty session"


class Window:
    """Looks at what the sessions of a manager are in Redis, and only looks.

    Raises :exc:`~wsgi_redis_session.SessionUnavailable`.
    """

    def __init__(self, sessions: SessionManager) -> None:
        self.sessions = sessions
        self.prefix = sessions.store.key_prefix
        self._survey = Survey(
            sessions.store.transport,
            self.prefix,
            sessions.config.seconds("operation_timeout"),
        )

    @property
    def server(self) -> str:
        """Which server it is, and its version."""
        return server_name(self._survey.server)

    def entry(self, session_id: str) -> Entry | None:
        """What is stored of a session."""
        return self._survey.entry(session_id)

    def entries(self) -> dict[str, Entry]:
        """What is stored of all sessions, by key."""
        found = itertools.islice(self._survey.entries(), _MAX_ENTRIES)
        return {entry.key: entry for entry in sorted(found, key=lambda e: e.key)}


class Report:
    """Shows what is stored whenever it has changed."""

    def __init__(self, window: Window, show: cabc.Callable[[str], object]) -> None:
        self._window = window
        self._show = show
        self._lock = threading.Lock()
        self._known: dict[str, Entry] = {}

    def update(self, cause: str) -> bool:
        """Compare with what was there last time, and show what is different; whether
        anything is. ``cause`` is the heading."""
        with self._lock:
            try:
                entries = self._window.entries()
            except SessionUnavailable as error:
                self._show(f"{cause}\n    the store does not answer: {error.__cause__}")
                return True
            known, self._known = self._known, entries
            marks = {
                key: _mark(known.get(key), entry) for key, entry in entries.items()
            }
            gone = [key for key in known if key not in entries]
            if not gone and all(mark == " " for mark in marks.values()):
                return False
            lines = [_line(marks[key], entry) for key, entry in entries.items()]
            self._show("\n".join([cause, *lines, *map(_gone_line, gone)]))
            return True


def _mark(before: Entry | None, now: Entry) -> str:
    if before is None:
        return "+"
    return " " if before.value == now.value else "*"


def _line(mark: str, entry: Entry) -> str:
    left, size = duration(entry.ttl / 1000), len(entry.value)
    return f"  {mark} {entry.key}  {left:>12}  {size:>5} bytes  {content(entry)}"


def _gone_line(key: str) -> str:
    return f"  - {key}  gone"


class Trail:
    """The last events; its :meth:`add` is the manager's ``on_event``."""

    def __init__(self) -> None:
        self._events = collections.deque[SessionEvent](maxlen=_MAX_EVENTS)

    def add(self, event: SessionEvent) -> None:
        """Remember an event, unless it is the last one again or one that each request
        has; forget the oldest."""
        last = [known[:3] for known in itertools.islice(self._events, 1)]
        if event.name not in ("loaded", "saved") and event[:3] not in last:
            self._events.appendleft(event)

    def __iter__(self) -> cabc.Iterator[SessionEvent]:
        """The newest first."""
        return iter(list(self._events))


class Feed:
    """Tells every open page that something has changed, by server-sent events (HTML
    Standard, section 9.2). It says neither what nor whose: a page asks for its own."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._number = 0

    def publish(self) -> None:
        """Something has changed."""
        with self._changed:
            self._number += 1
            self._changed.notify_all()

    def stream(self, heartbeat: float = _HEARTBEAT) -> cabc.Iterator[bytes]:
        """The body of a response that does not end."""
        number = self._number
        yield b"retry: 1000\n\n"
        while True:
            with self._changed:
                self._changed.wait_for(self._later_than(number), heartbeat)
                number = self._number
            yield b"event: change\ndata: %d\n\n" % number

    def _later_than(self, number: int) -> cabc.Callable[[], bool]:
        return lambda: self._number > number

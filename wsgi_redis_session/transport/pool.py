"""Links to one server that nobody uses at the moment."""

from __future__ import annotations

import collections.abc as cabc
import os
import queue
import typing as t
import weakref

from redis.exceptions import ConnectionError as RedisConnectionError

#: How long nobody asks whether a link is still in order, in seconds: as long as a
#: request may take from its first command to its next one.
_MOMENT = 0.05


class AllInUse(RedisConnectionError):
    """No link was given back in time."""


class _Permit:
    """The right to have one link open. When nobody holds it any more, however that came
    about, it goes back by itself."""

    __slots__ = ("_place",)

    def __init__(self, place: weakref.ref[_Place]) -> None:
        self._place = place

    def __del__(self) -> None:
        place = self._place()
        if place is not None:
            place.permits.append(type(self)(self._place))
            place.tell()


class _Place:
    """Where the links of one process are: idle ones, and permits to open more.

    Each step is a single operation of a list, so that it needs no lock, and a thread or
    greenlet that is interrupted in between loses nothing: what it had taken out and put
    nowhere is closed by Python itself, and its permit goes back.
    """

    def __init__(self, size: int) -> None:
        self.pid = os.getpid()
        #: What its links are known by.
        self.key = object()
        self.idle: list[t.Any] = []
        self.permits: list[_Permit] = []
        #: One entry for each who waits.
        self.waiting: list[None] = []
        self._size = size
        # gevent may have put one here that lets other greenlets run.
        self._returned: queue.SimpleQueue[None] = queue.SimpleQueue()
        here = weakref.ref(self)
        self.permits.extend(_Permit(here) for _ in range(size))

    def tell(self) -> None:
        """Something was put back: let somebody look who waits for it."""
        if self.waiting and self._returned.qsize() < self._size:
            self._returned.put(None)

    def wait(self, seconds: float) -> None:
        """Wait until something was put back; raises :exc:`queue.Empty`."""
        self.waiting.append(None)
        try:
            if not self.idle and not self.permits:
                self._returned.get(timeout=max(0.0, seconds))
        finally:
            self.waiting.pop()


class Pool:
    """Hands out links to one server, at most ``size`` of them at a time.

    ``make`` makes a link that is not open yet. The link that was given back last is
    handed out first.
    """

    def __init__(self, make: cabc.Callable[[], t.Any], size: int) -> None:
        self._make = make
        self._size = size
        self._place = _Place(size)

    def take(self, now: float, *, surely: bool = False) -> t.Any:
        """A link that is in order, or one that is still to be opened; ``None`` where
        all are in use.

        ``now`` is the time by the monotonic clock. A link that was in use a moment ago
        counts as in order, but not with ``surely``.
        """
        place = self._place
        if place.pid != os.getpid():
            # Those of the process that this one was forked from are not ours.
            place = self._place = _Place(self._size)
        if place.idle:
            try:
                link = place.idle.pop()
            except IndexError:
                pass  # somebody else was faster
            else:
                if surely or now - link.asked_at >= _MOMENT:
                    self._look_after(link)
                return link
        return self._new(place)

    def _look_after(self, link: t.Any) -> None:
        """Close a link that is closed at the other end, or has an unread reply."""
        try:
            link.in_doubt = link.is_open and link.is_stale()
        except BaseException:  # another greenlet may run meanwhile, and a timeout end
            link.in_doubt = True  # its socket may still be told not to wait
            self.give_back(link)
            raise
        if link.in_doubt:
            link.close()

    def _new(self, place: _Place) -> t.Any:
        try:
            permit = place.permits.pop()
        except IndexError:
            return None
        link = self._make()
        link.permit, link.home = permit, place.key
        return link

    def wait(self, seconds: float) -> None:
        """Wait until a link was given back.

        Raises :exc:`AllInUse` if that takes longer.
        """
        try:
            self._place.wait(seconds)
        except queue.Empty:
            raise AllInUse(
                f"all {self._size} connections are in use (max_connections)"
            ) from None

    def give_back(self, link: t.Any) -> None:
        """Take a link back; it is closed if it is in doubt."""
        if link.in_doubt:
            link.close()
        place = self._place
        if link.home is place.key:
            place.idle.append(link)
            if place.waiting:
                place.tell()

    @property
    def busy(self) -> int:
        """How many links are in use."""
        place = self._place
        return self._size - len(place.permits) - len(place.idle)

    def drop(self) -> None:
        """Close all links, those that are in use when they are given back."""
        place, self._place = self._place, _Place(self._size)
        while place.idle:
            try:
                place.idle.pop().close()
            except IndexError:
                return

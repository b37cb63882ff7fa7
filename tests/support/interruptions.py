"""Interrupts requests wherever they wait: one at its first wait, one at its second, and
so on. Prints how many were interrupted, and what was wrong afterwards.

``python interruptions.py early|late``: whether gevent patches before redis-py is
imported or after it.
"""

# ruff: noqa: E402  # gevent patches what is imported after it
from __future__ import annotations

import sys

if sys.argv[1] == "late":
    import redis  # noqa: F401  # to have it before gevent patches

from gevent import monkey

monkey.patch_all()

import collections.abc as cabc
import contextlib
import itertools
import json
import socket
import typing as t

import gevent
import greenlet
from deployed_site import PATIENCE
from gateway import busy_connections
from gateway import changing
from gateway import Gateway

from wsgi_redis_session import Session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.transport.pool import Pool


class Interruption(gevent.Timeout):
    pass


class Place(t.NamedTuple):
    """Sessions in a pool, and how their connections are when a request comes."""

    sessions: SessionManager
    before: cabc.Callable[[t.Any], object]

    @property
    def pool(self) -> Pool:
        transport: t.Any = self.sessions.store.transport
        return t.cast(Pool, transport._server._pool)

    def get(
        self, visitor: Gateway, change: cabc.Callable[[Session], object]
    ) -> dict[str, t.Any]:
        """Let a visitor change a session; what it is then."""
        found: dict[str, t.Any] = {}

        def step(session: Session) -> None:
            change(session)
            found.update(session)

        visitor.get(SessionMiddleware(changing(step), self.sessions))
        return found


def forgive(session: Session) -> None:
    """An application that goes on without its session if that takes too long."""
    with contextlib.suppress(Interruption):
        session.update(a=2)


#: What a request does, and what its session may be if it was interrupted.
STEPS: dict[str, tuple[cabc.Callable[[Session], object], list[dict[str, int]]]] = {
    "read": (lambda session: session.get("a"), [{"a": 1}]),
    "write": (lambda session: session.update(a=2), [{"a": 1}, {"a": 2}]),
    "forgive": (forgive, [{"a": 1}, {"a": 2}]),
    # The new session's cookie may not have come through.
    "regenerate": (lambda session: session.regenerate(), [{"a": 1}, {}]),
    "destroy": (lambda session: session.destroy(), [{"a": 1}, {}]),
}


def leave(pool: Pool) -> None:
    """Nothing is special."""


def hold(pool: Pool) -> None:
    """Somebody else has the only connection, and gives it back in a while."""
    link = pool.take(0)

    def release() -> None:
        for _ in range(3):
            gevent.sleep(0)
        pool.give_back(link)

    gevent.spawn(release)


def waiting(call: cabc.Callable[..., t.Any]) -> cabc.Callable[..., t.Any]:
    """A socket's method that always lets others run, as if Redis were far away."""

    def wait(*args: t.Any) -> t.Any:
        gevent.sleep(0)
        return call(*args)

    return wait


def is_interrupted(run: cabc.Callable[[], object], number: int) -> bool:
    """Run in a greenlet that is interrupted at its wait of that number, if it has so
    many."""
    hub, waits = gevent.get_hub(), 0
    ran = gevent.spawn(run)

    def trace(event: str, switch: tuple[object, object]) -> None:
        nonlocal waits
        if switch == (ran, hub):
            waits += 1
            if waits == number:
                hub.loop.run_callback(ran.throw, Interruption())

    greenlet.settrace(trace)
    try:
        with contextlib.suppress(Interruption):
            ran.get()
    finally:
        greenlet.settrace(None)
    return waits >= number


def interrupt(place: Place, step: str, number: int) -> tuple[bool, list[object]]:
    """Whether the request was interrupted, and what is wrong after it."""
    change, possible = STEPS[step]
    visitor, other = Gateway(), Gateway()
    place.get(visitor, lambda session: session.update(a=1))
    place.get(other, lambda session: session.update(b=1))
    place.before(place.pool)
    interrupted = is_interrupted(lambda: place.get(visitor, change), number)
    for _ in range(5):
        gevent.sleep(0)  # whoever holds a connection gives it back
    if busy_connections(place.sessions):
        return interrupted, ["a connection is lost"]
    found = [place.get(one, lambda session: None) for one in (visitor, other)]
    is_right = found[0] in possible and found[1] == {"b": 1}
    return interrupted, [] if is_right else found


def interrupt_everywhere(place: Place) -> tuple[int, list[object]]:
    total = 0
    for step in STEPS:
        for number in itertools.count(1):
            interrupted, wrong = interrupt(place, step, number)
            if wrong:
                return total, [step, number, *wrong]
            total += interrupted
            if not interrupted:
                break
    return total, []


def interrupt_one_of_two(place: Place, *, first: bool) -> list[object]:
    """Interrupt one who waits for the only connection, when it is given back; whether
    another one who waits for it gets it."""
    pool = place.pool
    link = pool.take(0)

    def wait() -> None:
        while (found := pool.take(0)) is None:
            pool.wait(2 * PATIENCE)
        pool.give_back(found)

    waits = [gevent.spawn(wait) for _ in "12"]
    gevent.sleep(0)
    gevent.sleep(0)
    if first:
        gevent.get_hub().loop.run_callback(waits[0].throw, Interruption())
    pool.give_back(link)
    if not first:
        gevent.get_hub().loop.run_callback(waits[0].throw, Interruption())
    gevent.joinall(waits, timeout=PATIENCE)
    if waits[1].successful() and pool.busy == 0:
        return []
    return ["nobody gets the connection", first]


def report(url: str) -> dict[str, t.Any]:
    total, wrong = 0, []

    def place(places: int, before: cabc.Callable[[t.Any], object]) -> Place:
        options = {"max_connections": places, "pool_timeout": 2 * PATIENCE}
        options["operation_timeout"] = 2 * PATIENCE
        return Place(SessionManager(url, secret_key="a test", **options), before)

    for made in (
        place(2, lambda pool: pool.drop()),
        place(2, leave),
        place(1, hold),
    ):
        interrupted, found = interrupt_everywhere(made)
        total += interrupted
        wrong += found
    for first in (True, False):
        wrong += interrupt_one_of_two(place(1, leave), first=first)
    return {"interrupted": total, "wrong": wrong}


if __name__ == "__main__":
    # Interruptions are wanted here and need no traceback.
    gevent.get_hub().NOT_ERROR = (BaseException,)
    for method in ("connect", "recv", "recv_into", "sendall"):
        call = getattr(socket.socket, method)
        setattr(socket.socket, method, waiting(call))
    with LocalServer() as server:
        print(json.dumps(report(server.url)))

"""Requests that a signal's handler interrupts anywhere, as gunicorn does with a worker
that takes too long. Prints how many were interrupted, how often a session was somebody
else's, and how many connections were lost.

.. code-block:: console

    $ python tests/support/signals.py [INTERRUPTS]

Half of the requests read sessions of ours, the others sessions of another library,
whose values nothing binds to their session ids.
"""

from __future__ import annotations

import gc
import itertools
import json
import random
import signal
import sys
import typing as t

import ormsgpack
import redis
from gateway import busy_connections
from visitors import look
from visitors import store

from wsgi_redis_session import SessionManager
from wsgi_redis_session.local_server import LocalServer

NAMES = ("ada", "grace")


class Interrupted(BaseException):
    pass


def interrupt(number: int, frame: object) -> t.NoReturn:
    raise Interrupted


def read(sessions: SessionManager, header: str, seconds: float) -> str | None:
    """The name in a session, unless the signal comes first."""
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        name: str = sessions.open(header)["name"]
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Interrupted:
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return name


def leave(url: str) -> dict[str, str]:
    """Sessions of another library; their Cookie headers, by name."""
    with redis.Redis.from_url(url, protocol=2) as client:
        for name in NAMES:
            client.set(f"session:{name:x<20}", ormsgpack.packb({"name": name}))
    return {name: f"session={name:x<20}" for name in NAMES}


def report(url: str, wanted: int) -> dict[str, int]:
    options: dict[str, t.Any] = {"migrate_from": "flask-session", "retries": 0}
    sessions = SessionManager(url, secret_key="a test", max_connections=5, **options)
    ours = {name: store(sessions, name=name) for name in NAMES}
    jars = [ours, leave(url)]
    interrupts = wrong = 0
    dice = random.Random(1)
    for number in itertools.count():
        if interrupts >= wanted:
            break
        name, jar = NAMES[number % 2], jars[number // 2 % 2]
        found = read(sessions, jar[name], dice.uniform(0.00001, 0.0005))
        interrupts += found is None
        wrong += found not in (None, name)
    gc.collect()
    wrong += sum(
        look(sessions, jar[name])["name"] != name for jar in jars for name in jar
    )
    lost = busy_connections(sessions)
    return {"interrupts": interrupts, "wrong": wrong, "lost": lost}


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, interrupt)
    # What Python cannot raise, in a finalizer, it would print.
    sys.unraisablehook = lambda unraisable: None
    with LocalServer() as server:
        print(json.dumps(report(server.url, int((sys.argv[1:] or ["10000"])[0]))))

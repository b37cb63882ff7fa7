"""What a session costs, next to the Redis commands that it cannot do without.

.. code-block:: console

    $ python benchmarks/bench.py [--rounds N] [--calls N] [--visitors N] [--tcp]

The script starts a server of its own, on a unix socket or with ``--tcp`` on the
loopback interface, and plays the WSGI server itself, in one thread. A session has
about 500 bytes or 20 KB: one name holds a number, the others half a kilobyte each.
Each request is of another visitor, and all 2,000 come before one comes again.

GET, SET, GET + SET
    an application that does that with redis-py and a value of this size
no middleware, untouched
    one that does nothing, bare and in the middleware
read, write
    one that reads the number, and one that adds one to it
touch
    one that reads it when session and cookie are due to be prolonged
create
    one that fills the session of a new visitor
Flask ..., Flask-Session ...
    the same in Flask, with redis-py, this library or Flask-Session as it comes; left
    out where Flask-Session is not installed

A time is what one request takes from the gateway to its return, all included. That of
"untouched" and of the rows in Flask is what it takes beyond the same application
without a session. A ratio is that time over the one of its reference, for the same
size. The process ends with 1 if a limit does not hold; those of what asks Redis are for
500 bytes.

In each round every case has its turn, in random order, and is called 50 times in a row,
because on a small virtual machine the time of a round trip wanders by a fifth within
seconds. Differences and ratios are those of one round, so that what slows the machine
down slows both; and the median over the rounds drops those in which an interruption hit
only one of the two. Means would be made of the interruptions, and minima of the moments
in which the server happened to be awake already. With ``--calls 1`` each request finds
in the processor's caches what a request of another kind has left there, which makes all
Python code about three times as slow, redis-py's included. The server has a processor
of its own, as in production; else the kernel puts both on the same one now and then,
which halves the time of a round trip.
"""

from __future__ import annotations

import argparse
import collections.abc as cabc
import dataclasses
import importlib.util
import itertools
import operator
import os
import platform
import random
import socket
import statistics
import sys
import time
import typing as t
from importlib.metadata import version
from wsgiref.util import FileWrapper

import redis

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.local_server import LocalServer

try:
    import flask
    import flask_session

    from wsgi_redis_session.flask import Session
except ImportError:
    flask_session = None

SECRET_KEY = "not a secret, this is a benchmark"

#: Bytes in Redis, about.
SIZES = {"500 bytes": 500, "20 KB": 20_000}

#: Rounds that come before those that count.
WARM_UP = 10

Call = cabc.Callable[[], t.Any]
Use = cabc.Callable[[t.Any], object]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table."""

    name: str
    call: Call
    #: The row whose time is not counted.
    minus: str | None = None
    #: The row that the time is divided by.
    over: str | None = None
    #: The largest ratio; without a reference, the largest time in microseconds.
    limit: float | None = None


def contents(size: int) -> dict[str, t.Any]:
    """The names and values of a session."""
    lines = [
        {"article": f"A-{number}", "title": "Something", "pieces": number}
        for number in range(12)
    ]
    return {"visits": 1, **{f"cart {number}": lines for number in range(size // 440)}}


def ignore(session: t.Any) -> None:
    """Do what most requests do with their session."""


def read(session: t.Any) -> None:
    assert session["visits"]


def write(session: t.Any) -> None:
    session["visits"] += 1


def gateway(app: t.Any, cookies: cabc.Sequence[str] = ("",)) -> Call:
    """Something that sends the request of the next visitor to an application.

    It returns the response's headers.
    """
    headers = itertools.cycle([f"theme=dark; consent=yes; {one}" for one in cookies])
    template = {
        "wsgi.errors": sys.stderr,
        "wsgi.version": (1, 0),
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.input_terminated": True,
        "wsgi.input": sys.stdin.buffer,
        "wsgi.url_scheme": "http",
        "SERVER_SOFTWARE": "gunicorn",
        "REQUEST_METHOD": "GET",
        "QUERY_STRING": "",
        "RAW_URI": "/",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost:8000",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0",
        "HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "PATH_INFO": "/",
        "SCRIPT_NAME": "",
    }
    sent: list[tuple[str, str]] = []

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        assert status == "200 OK"
        sent[:] = headers

    def call() -> list[tuple[str, str]]:
        environ = template.copy()
        environ["HTTP_COOKIE"] = next(headers)
        body = app(environ, start_response)
        for _part in body:
            pass
        if hasattr(body, "close"):
            body.close()
        return sent

    return call


def cookies_of(app: t.Any, visitors: int) -> list[str]:
    """The cookies that an application gives to new visitors."""
    call = gateway(app)
    given = [dict(call())["Set-Cookie"] for _ in range(visitors)]
    return [cookie.partition(";")[0] for cookie in given]


def answering(use: Use) -> t.Any:
    """An application that does something and answers."""

    def app(environ: t.Any, start_response: t.Any) -> list[bytes]:
        use(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]

    return app


def commands(url: str, size: int, visitors: int) -> dict[str, Use]:
    """What redis-py does without us, by the name of its row."""
    client = redis.Redis.from_url(url, protocol=2)
    value = os.urandom(size)
    keys = [f"bare:{size}:{number}" for number in range(visitors)]
    for key in keys:
        client.set(key, value)
    turn = itertools.cycle(keys)

    def get(_: t.Any) -> None:
        client.get(next(turn))

    def set_(_: t.Any) -> None:
        client.set(next(turn), value)

    def get_and_set(_: t.Any) -> None:
        key = next(turn)
        client.get(key)
        client.set(key, value)

    return {"GET": get, "SET": set_, "GET + SET": get_and_set}


def wsgi_cases(url: str, size: int, visitors: int) -> cabc.Iterator[Case]:
    """The middleware, and what it is measured against."""
    sessions = SessionManager(url, secret_key=SECRET_KEY)
    always_due = SessionManager(url, secret_key=SECRET_KEY, touch_interval=0)
    # What nobody comes back to does not fill the server's memory.
    short_lived = SessionManager(url, secret_key=SECRET_KEY, idle_timeout=1)
    values = contents(size)

    def wrapped(use: Use, manager: SessionManager = sessions) -> t.Any:
        app = answering(lambda environ: use(get_session(environ)))
        return SessionMiddleware(app, manager)

    def fill(session: t.Any) -> None:
        session.update(values)

    cookies = cookies_of(wrapped(fill), visitors)

    for name, use in commands(url, size, visitors).items():
        yield Case(name=name, call=gateway(answering(use)))
    idle = answering(ignore)
    yield Case(name="no middleware", call=gateway(idle, cookies))
    yield Case(
        name="untouched",
        call=gateway(SessionMiddleware(idle, sessions), cookies),
        minus="no middleware",
        limit=10,
    )
    for name, use, manager, reference, limit in (
        ("read", read, sessions, "GET", 1.4),
        ("write", write, sessions, "GET + SET", 1.3),
        ("touch", read, always_due, "GET", None),
    ):
        call = gateway(wrapped(use, manager), cookies)
        yield Case(
            name=name, call=call, over=reference, limit=limit if size < 1000 else None
        )
        # The next case meets each visitor at another time.
        cookies = cookies[visitors // 3 :] + cookies[: visitors // 3]
    yield Case(name="create", call=gateway(wrapped(fill, short_lived)), over="SET")


def flask_cases(url: str, size: int, visitors: int) -> cabc.Iterator[Case]:
    """The same in Flask, with this library and with Flask-Session."""
    values = contents(size)

    def site(use: Use, extension: t.Any = None, **config: t.Any) -> t.Any:
        def answer() -> str:
            use(flask.session)
            return "done"

        app = flask.Flask(__name__, static_folder=None)
        app.add_url_rule("/", view_func=answer)
        app.config.update(config)
        if extension is not None:
            extension(app)
        return app

    yield Case(name="Flask", call=gateway(site(ignore)))
    for name, use in commands(url, size, visitors).items():
        if name != "SET":
            call = gateway(site(use))
            yield Case(name=f"Flask {name}", call=call, minus="Flask")
    client = redis.Redis.from_url(url, protocol=2)
    for prefix, extension, config in (
        ("Flask", Session, {"SECRET_KEY": SECRET_KEY, "SESSION_REDIS": url}),
        (
            "Flask-Session",
            flask_session.Session,
            {"SESSION_TYPE": "redis", "SESSION_REDIS": client},
        ),
    ):
        fill = site(lambda session: session.update(values), extension, **config)
        cookies = cookies_of(fill, visitors)
        for name, use, reference, limit in (
            ("untouched", ignore, None, 10 if extension is Session else None),
            ("read", read, "Flask GET", None),
            ("write", write, "Flask GET + SET", None),
        ):
            yield Case(
                name=f"{prefix} {name}",
                call=gateway(site(use, extension, **config), cookies),
                minus="Flask",
                over=reference,
                limit=limit,
            )


def measure(calls: list[Call], rounds: int, in_a_row: int) -> list[list[float]]:
    """The time of each call in each round, in microseconds."""
    times: list[list[float]] = [[0.0] * rounds for _ in calls]
    order = list(range(len(calls)))
    # The same order in each run.
    dice = random.Random(1)
    for number in range(-WARM_UP, rounds):
        dice.shuffle(order)
        for index in order:
            call = calls[index]
            start = time.perf_counter_ns()
            for _ in range(in_a_row):
                call()
            end = time.perf_counter_ns()
            times[index][max(number, 0)] = (end - start) / in_a_row / 1000
    return times


def report(cases: list[Case], times: list[list[float]]) -> bool:
    """Print a table; whether all limits hold."""
    total = {case.name: row for case, row in zip(cases, times, strict=True)}
    costs = {
        case.name: _each(operator.sub, total[case.name], total[case.minus])
        if case.minus
        else total[case.name]
        for case in cases
    }
    print(f"  {'':24}{'us':>7}   {'over':16}{'ratio':>6}   limit")
    holds = True
    for case in cases:
        cost = result = statistics.median(costs[case.name])
        line = f"  {case.name:24}{cost:7.1f}   {case.over or '':16}"
        if case.over:
            ratios = _each(operator.truediv, costs[case.name], costs[case.over])
            result = statistics.median(ratios)
            line += f"{result:6.2f}"
        if case.limit:
            is_kept = result <= case.limit
            holds = holds and is_kept
            line = f"{line:56}   {case.limit:g} {'holds' if is_kept else 'EXCEEDED'}"
        print(line.rstrip())
    return holds


def _each(
    operation: cabc.Callable[[float, float], float], row: list[float], by: list[float]
) -> list[float]:
    return list(map(operation, row, by))


def keep_apart(server: LocalServer) -> None:
    """Give the server a processor of its own, where there is one."""
    if hasattr(os, "sched_setaffinity"):
        first, *others = sorted(os.sched_getaffinity(0))
        if others:
            os.sched_setaffinity(server.pid, others)
            os.sched_setaffinity(0, {first})


def open_port(server: LocalServer) -> str:
    """Let the server listen on the loopback interface as well; its URL there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with redis.Redis.from_url(server.url, protocol=2) as client:
        client.config_set("bind", "127.0.0.1", "port", port)
    return f"redis://127.0.0.1:{port}/0"


def describe(server: LocalServer, url: str) -> str:
    """All that the times depend on."""
    is_fast = importlib.util.find_spec("hiredis")
    return ", ".join(
        [
            f"{server.describe()} at {url.partition('://')[0]}://",
            f"redis-py {version('redis')}",
            f"hiredis {version('hiredis')}" if is_fast else "without hiredis",
            f"Flask-Session {version('flask-session')}"
            if flask_session
            else "Flask-Session is not installed",
            f"Python {platform.python_version()}",
            f"{os.cpu_count()} processors",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="What a session costs.")
    parser.add_argument("--rounds", type=int, default=100, help="default: 100")
    parser.add_argument("--calls", type=int, default=50, help="in a row; default: 50")
    parser.add_argument("--tcp", action="store_true", help="not by a unix socket")
    parser.add_argument("--visitors", type=int, default=2000, help="default: 2000")
    options = parser.parse_args()
    sources = [wsgi_cases, flask_cases] if flask_session else [wsgi_cases]
    with LocalServer() as server:
        keep_apart(server)
        url = open_port(server) if options.tcp else server.url
        print(describe(server, url))
        tables = [
            [case for source in sources for case in source(url, size, options.visitors)]
            for size in SIZES.values()
        ]
        calls = [case.call for cases in tables for case in cases]
        times = iter(measure(calls, options.rounds, options.calls))
    holds = True
    for title, cases in zip(SIZES, tables, strict=True):
        rounds = f"median of {options.rounds} rounds of {options.calls} calls"
        print(f"\nA session of {title}, {rounds}")
        holds = report(cases, [next(times) for _ in cases]) and holds
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())

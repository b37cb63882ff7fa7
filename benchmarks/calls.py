"""How many Python calls a request costs, counted and not timed.

.. code-block:: console

    $ python benchmarks/calls.py

In a process that serves, each wait for Redis empties the processor's caches, so what a
request costs is how much Python it runs. A count of the calls says that without any
noise: it is the same in each run, on each machine. It depends on the versions of
Python, Flask and redis-py, and on whether hiredis is installed.

Each figure is the number of calls of a request to a Flask application, as cProfile
counts them, less those of the same request to the same application without sessions:
in the middleware around it, then as ``flask.session``, for a URL and for a client of
redis-py, as README.rst configures the first and Flask-Session's the second. The last
rows are what redis-py and Flask-Session themselves take.
"""

from __future__ import annotations

import collections.abc as cabc
import cProfile
import gc
import importlib.util
import pstats
import sys
import typing as t
from importlib.metadata import version

import flask
import redis
from visits import contents
from visits import gateway
from visits import ignore
from visits import read
from visits import SECRET_KEY
from visits import write

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.flask import Session
from wsgi_redis_session.local_server import LocalServer

#: What a request does with its session, by the name of its column.
USES = {"untouched": ignore, "read": read, "write": write}

#: Bytes in Redis, about.
SIZE = 1000

#: Requests that are counted; the first ones of an application do more.
REQUESTS = 20

Use = cabc.Callable[[t.Any], object]


def flask_site(answer: Use, extension: t.Any = None, **config: t.Any) -> t.Any:
    """A Flask application that does something with ``flask.session`` and answers."""
    app = flask.Flask(__name__, static_folder=None)
    app.config.update(SECRET_KEY=SECRET_KEY, **config)

    def view() -> str:
        answer(flask.session)
        return "done"

    app.add_url_rule("/", view_func=view)
    if extension is not None:
        extension(app)
    return app


def plain_site(answer: Use) -> t.Any:
    """The same application; the answer is made of the WSGI environment."""
    app = flask.Flask(__name__, static_folder=None)

    def view() -> str:
        answer(flask.request.environ)
        return "done"

    app.add_url_rule("/", view_func=view)
    return app


def calls(app: t.Any, cookie: str) -> float:
    """The calls of one request, on average over some."""
    call = gateway(app, [cookie])
    for _ in range(REQUESTS):
        call()
    # What earlier applications have left is not collected at this one's cost.
    gc.collect()
    gc.disable()
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(REQUESTS):
        call()
    profile.disable()
    gc.enable()
    return float(pstats.Stats(profile).total_calls) / REQUESTS  # type: ignore[attr-defined]


def cookie_of(app: t.Any) -> str:
    """The cookie that an application gives to a new visitor."""
    return dict(gateway(app)())["Set-Cookie"].partition(";")[0]


def fill(session: t.Any) -> None:
    session.update(contents(SIZE))


def middleware_row(**options: t.Any) -> list[float]:
    sessions = SessionManager(secret_key=SECRET_KEY, **options)

    def wrapped(use: Use) -> t.Any:
        site = plain_site(lambda environ: use(get_session(environ)))
        return SessionMiddleware(site, sessions)

    cookie = cookie_of(wrapped(fill))
    without = calls(plain_site(ignore), cookie)
    idle = SessionMiddleware(plain_site(ignore), sessions)
    return [
        calls(idle if use is ignore else wrapped(use), cookie) - without
        for use in USES.values()
    ]


def flask_row(extension: t.Any, **config: t.Any) -> list[float]:
    cookie = cookie_of(flask_site(fill, extension, **config))
    without = calls(plain_site(ignore), cookie)
    return [
        calls(flask_site(use, extension, **config), cookie) - without
        for use in USES.values()
    ]


def bare_row(client: redis.Redis) -> list[float]:
    client.set("bare", b"x" * SIZE)
    without = calls(plain_site(ignore), "")

    def get_and_set(_: t.Any) -> None:
        client.set("bare", client.get("bare"))

    uses = [lambda _: client.get("bare"), get_and_set]
    return [0.0, *(calls(plain_site(use), "") - without for use in uses)]


def rows(url: str) -> cabc.Iterator[tuple[str, list[float]]]:
    """All rows of the table."""
    client = redis.Redis.from_url(url)
    as_usual = {"SESSION_TYPE": "redis", "SESSION_REDIS": client}
    yield "middleware, URL", middleware_row(redis=url)
    yield "middleware, client", middleware_row(redis=client)
    yield "Flask, URL", flask_row(Session, SESSION_REDIS=url)
    yield "Flask, client, permanent", flask_row(Session, **as_usual)
    yield "GET, GET + SET", bare_row(client)
    if importlib.util.find_spec("flask_session"):
        import flask_session

        row = flask_row(flask_session.Session, **as_usual)
        yield f"Flask-Session {version('flask-session')}", row


def main() -> int:
    is_fast = importlib.util.find_spec("hiredis") is not None
    print(
        f"Python {sys.version.split()[0]}, Flask {version('flask')}, "
        f"redis-py {version('redis')}, {'with' if is_fast else 'without'} hiredis"
    )
    print(f"{'calls per request':26}" + "".join(f"{name:>11}" for name in USES))
    with LocalServer() as server:
        for name, row in rows(server.url):
            print(f"{name:26}" + "".join(f"{count:11.1f}" for count in row))
    return 0


if __name__ == "__main__":
    sys.exit(main())

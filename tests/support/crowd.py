"""A site for many visitors at the same time, and the visitors."""

from __future__ import annotations

import collections.abc as cabc
import http.client
import json
import os
import threading
import typing as t

from deployed_site import dispatch
from deployed_site import PATIENCE
from gateway import ask
from gateway import busy_connections
from served_site import count
from wsgi_apps import App
from wsgi_apps import Environ
from wsgi_apps import plain
from wsgi_apps import TEXT

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager


def enter(environ: Environ) -> list[bytes]:
    """Begin a session in the visitor's name."""
    get_session(environ)["name"] = environ["QUERY_STRING"]
    return [b"welcome"]


def name(environ: Environ) -> list[bytes]:
    return [str(get_session(environ).get("name")).encode()]


def visit(environ: Environ) -> list[bytes]:
    """Count, and say who it is."""
    return [b"%s %s" % (count(environ), *name(environ))]


def meeting(parties: int) -> App:
    """A page that nobody leaves before so many are on it. Each reads its session before
    that, and writes it afterwards."""
    barrier = threading.Barrier(parties, timeout=PATIENCE)

    def meet(environ: Environ) -> list[bytes]:
        before = name(environ)
        barrier.wait()
        get_session(environ)["met"] = True
        return before if name(environ) == before else [b"somebody else"]

    return plain(meet)


def crowded_site(parties: int) -> App:
    """Pages that use the session, and know nothing of how it came there."""
    pages = {"/enter": plain(enter), "/visit": plain(visit), "/name": plain(name)}
    return dispatch(pages, meeting(parties))


def counted(app: App, sessions: SessionManager) -> App:
    """The application, and a page that tells how many places the pool has, how many of
    them are taken, and which connection this process uses."""

    def places(environ: Environ, start_response: t.Any) -> list[bytes]:
        start_response("200 OK", [TEXT])
        connection = ask(sessions, "CLIENT", "ID")
        places, taken = sessions.config.max_connections, busy_connections(sessions)
        found = {"free": places - taken, "taken": taken}
        found |= {"pid": os.getpid(), "connection": connection}
        return [json.dumps(found).encode()]

    return dispatch({"/places": places}, app)


def interrupted(app: App) -> App:
    """The application, given up by gevent.Timeout after as many seconds as the query
    says; 503 then."""
    from gevent import Timeout  # the other servers' processes do not need it

    def interrupt(environ: Environ, start_response: t.Any) -> t.Any:
        with Timeout(float(environ["QUERY_STRING"]), False):
            return app(environ, start_response)
        start_response("503 Sorry", [TEXT])
        return [b""]

    return dispatch({"/visit": interrupt}, app)


class Visitor:
    """A browser that asks now and looks at the answer later."""

    def __init__(self, port: int, name: str) -> None:
        self.port = port
        self.name = name
        self.cookie = ""
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, path: str) -> None:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=PATIENCE
        )
        connection.request("GET", path, headers={"Cookie": self.cookie})
        self._connection = connection

    def answer(self) -> tuple[int, str]:
        assert self._connection
        response = self._connection.getresponse()
        body = response.read().decode()
        self._connection.close()
        if cookie := response.headers["Set-Cookie"]:
            self.cookie = cookie.partition(";")[0]
        return response.status, body


def all_at_once(
    visitors: cabc.Sequence[Visitor], paths: cabc.Iterable[str]
) -> list[tuple[int, str]]:
    """Each visitor's answer; all have asked before the first one looks at it."""
    for visitor, path in zip(visitors, paths, strict=True):
        visitor.ask(path)
    return [visitor.answer() for visitor in visitors]

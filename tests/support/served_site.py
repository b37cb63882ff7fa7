"""The site that test_servers.py puts on real servers, in this process or another."""

from __future__ import annotations

import collections.abc as cabc
import io
import itertools
import json
import os
import typing as t
from wsgiref.util import FileWrapper

import redis
from gateway import busy_connections
from wsgi_apps import App
from wsgi_apps import Environ
from wsgi_apps import plain
from wsgi_apps import SHAPES
from wsgi_apps import TEXT

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware

SECRET_KEY = "not a secret, this is a test"

#: What /download sends: of no round size, and more than a socket takes at once.
CONTENT = bytes(range(251)) * 8192

#: The list in Redis that says how the endless responses have ended.
ENDED = "test:ended"


def count(environ: Environ) -> bytes:
    session = get_session(environ)
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"]).encode()


def data(environ: Environ) -> bytes:
    return json.dumps(get_session(environ).copy()).encode()


def download(environ: Environ, start_response: t.Any) -> t.Any:
    start_response("200 OK", [TEXT, ("Content-Length", str(len(CONTENT)))])
    wrap = environ.get("wsgi.file_wrapper", FileWrapper)
    return wrap(io.BytesIO(CONTENT), 4096)


def counted_download(environ: Environ, start_response: t.Any) -> t.Any:
    count(environ)
    return download(environ, start_response)


def endless(environ: Environ, start_response: t.Any) -> cabc.Iterator[bytes]:
    session = get_session(environ)
    start_response("200 OK", [TEXT])
    try:
        for part in itertools.count(1):
            session["parts"] = part
            yield b"." * 65536
    finally:
        session["closed"] = True


class Reporting:
    """A body that tells in Redis when it was closed, and what was left behind."""

    def __init__(self, body: t.Any, sessions: SessionManager, url: str) -> None:
        self.body = body
        self.sessions = sessions
        self.url = url

    def __iter__(self) -> cabc.Iterator[bytes]:
        return iter(self.body)

    def close(self) -> None:
        self.body.close()
        with redis.Redis.from_url(self.url) as client:
            client.rpush(ENDED, busy_connections(self.sessions))


def bare_site() -> App:
    """The pages that need a session."""
    pages: dict[str, App] = {"/count": plain(lambda environ: [count(environ)])}
    pages["/data"] = plain(lambda environ: [data(environ)])
    pages["/download"] = counted_download
    pages["/endless"] = endless
    for name in SHAPES:
        pages[f"/{name}"] = SHAPES[name](count)
    return lambda environ, start_response: pages[environ["PATH_INFO"]](
        environ, start_response
    )


def served_site(url: str) -> App:
    """The whole site; below /without are pages outside of the middleware."""
    sessions = SessionManager.from_env(redis=url, secret_key=SECRET_KEY)
    site = SessionMiddleware(bare_site(), sessions)

    def state(environ: Environ) -> list[bytes]:
        state = {"pid": os.getpid(), "busy": busy_connections(sessions)}
        return [json.dumps(state).encode()]

    pages: dict[str, App] = {"/without/download": download, "/state": plain(state)}
    for name in SHAPES:
        pages[f"/without/{name}"] = SHAPES[name](lambda environ: b"1")

    def application(environ: Environ, start_response: t.Any) -> t.Any:
        page = pages.get(environ["PATH_INFO"], site)
        body = page(environ, start_response)
        if environ["PATH_INFO"] == "/endless":
            return Reporting(body, sessions, url)
        return body

    return application

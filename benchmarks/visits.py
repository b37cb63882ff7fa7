"""What all benchmarks do with a session, and a gateway that plays the server."""

from __future__ import annotations

import collections.abc as cabc
import itertools
import os
import socket
import sys
import typing as t
from wsgiref.util import FileWrapper

from wsgi_redis_session.local_server import LocalServer

SECRET_KEY = "not a secret, this is a benchmark"

Call = cabc.Callable[[], t.Any]
Use = cabc.Callable[[t.Any], object]


def contents(size: int) -> dict[str, t.Any]:
    """The names and values of a session that takes about so many bytes in Redis."""
    lines = [
        {"article": f"A-{number}", "title": "Something", "pieces": number}
        for number in range(12)
    ]
    if size < 440:
        return {"visits": 1, "cart": lines[: size // 37]}
    return {"visits": 1, **{f"cart {number}": lines for number in range(size // 440)}}


def ignore(session: t.Any) -> None:
    """Do what most requests do with their session."""


def read(session: t.Any) -> None:
    """Look at one value."""
    assert session["visits"]


def write(session: t.Any) -> None:
    """Change one value."""
    session["visits"] += 1


def gateway(
    app: t.Any, cookies: cabc.Sequence[str] = ("",), *, follows: bool = False
) -> Call:
    """Something that sends the request of the next visitor to an application; with
    ``follows``, of the first one, who keeps each new cookie.

    It returns the response's headers.
    """
    headers = itertools.cycle([f"theme=dark; consent=yes; {one}" for one in cookies])
    kept = [cookies[0]]
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

    def start_response(status: str, headers: list[tuple[str, str]], *_: t.Any) -> None:
        assert status == "200 OK", status
        sent[:] = headers

    def call() -> list[tuple[str, str]]:
        environ = template.copy()
        environ["HTTP_COOKIE"] = kept[0] if follows else next(headers)
        body = app(environ, start_response)
        for _part in body:
            pass
        if hasattr(body, "close"):
            body.close()
        if follows:
            given = {name.lower(): value for name, value in sent}
            kept[0] = given["set-cookie"].partition(";")[0]
        return sent

    return call


def cookies_of(app: t.Any, visitors: int) -> list[str]:
    """The cookies that an application gives to new visitors."""
    call = gateway(app)
    given = [{name.lower(): value for name, value in call()} for _ in range(visitors)]
    return [headers["set-cookie"].partition(";")[0] for headers in given]


def keep_apart(server: LocalServer) -> None:
    """Give the server a processor of its own, where there is one: else the kernel puts
    both on the same one now and then, which halves the time of a round trip."""
    if hasattr(os, "sched_setaffinity"):
        first, *others = sorted(os.sched_getaffinity(0))
        if others:
            os.sched_setaffinity(server.pid, others)
            os.sched_setaffinity(0, {first})


def open_port(client: t.Any) -> int:
    """Let a client's server listen on the loopback interface as well; the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    client.config_set("bind", "127.0.0.1")
    client.config_set("port", port)
    return port

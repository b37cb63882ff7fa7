"""Many requests that all change one session at the same time, on two workers of
gunicorn. Each stores a name of its own and adds one to a sum, which ``on_conflict``
adds up. Prints how many of them were refused, how many names there are, and the sum.

.. code-block:: console

    $ python tests/support/contention.py [REQUESTS]

Who is refused has met others until ``operation_timeout`` was over, one second. Where
the machine is too busy for that, set ``SESSION_OPERATION_TIMEOUT`` and
``SESSION_READ_TIMEOUT`` in the environment.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import http.client
import json
import pathlib
import socket
import sys
import tempfile
import threading
import time
import typing as t

from deployed_site import dispatch
from deployed_site import PATIENCE
from deployed_site import running
from served_site import data
from wsgi_apps import App
from wsgi_apps import Environ
from wsgi_apps import plain

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.local_server import LocalServer

#: So many requests at a time, and in one session.
VISITORS, SESSION = 20, 500

WORKERS = {
    "gthread": ["--worker-class", "gthread", "--threads", "10"],
    "gevent": ["--worker-class", "gevent"],
}

#: gevent has to come first.
PATCHED = "from gevent import monkey; monkey.patch_all()\n"


def add_up(name: str, base: t.Any, ours: t.Any, theirs: t.Any) -> t.Any:
    return theirs + ours - base


def begin(environ: Environ) -> list[bytes]:
    get_session(environ)["sum"] = 0
    return [b""]


def add(environ: Environ) -> list[bytes]:
    session = get_session(environ)
    session[environ["QUERY_STRING"]] = True
    session["sum"] += 1
    return [b""]


def busy_site() -> App:
    """What gunicorn serves; its sessions are where ``SESSION_REDIS`` says."""
    sessions = SessionManager.from_env(secret_key="a test", on_conflict=add_up)
    pages: dict[str, App] = {"/begin": plain(begin), "/add": plain(add)}
    pages["/data"] = plain(lambda environ: [data(environ)])
    return SessionMiddleware(dispatch(pages, plain(lambda environ: [b""])), sessions)


@contextlib.contextmanager
def serving(server: LocalServer, worker: str, **variables: str) -> cabc.Iterator[int]:
    """The site on two workers; its port."""
    with (
        tempfile.TemporaryDirectory() as name,
        socket.create_server(("127.0.0.1", 0), backlog=64) as listener,
    ):
        directory = pathlib.Path(name)
        first = PATCHED if worker == "gevent" else ""
        (directory / "gunicorn.conf.py").write_text(
            f"{first}control_socket_disable = True\n"
        )
        command = [sys.executable, "-m", "gunicorn", "--workers", "2"]
        command += [*WORKERS[worker], "--bind", f"fd://{listener.fileno()}"]
        command += ["contention:busy_site()"]
        variables["SESSION_REDIS"] = server.url
        with running(command, directory, listener.fileno(), **variables):
            yield listener.getsockname()[1]


def get(port: int, path: str, cookie: str = "") -> tuple[int, bytes, str]:
    """Status and body, and the Cookie header that the browser sends from then on."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Cookie": cookie})
        response = connection.getresponse()
        given = response.headers.get("Set-Cookie", cookie)
        return response.status, response.read(), given.partition(";")[0]


def crowd(port: int, cookie: str, requests: int) -> list[int]:
    """The statuses of so many requests in one session."""
    numbers = iter(range(requests))
    statuses: list[int] = []

    def visit() -> None:
        for number in numbers:
            statuses.append(get(port, f"/add?n{number}", cookie)[0])

    threads = [threading.Thread(target=visit) for _ in range(VISITORS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def report(
    server: LocalServer, worker: str, requests: int, **variables: str
) -> dict[str, t.Any]:
    """What becomes of so many requests, with these variables in the environment."""
    statuses: list[int] = []
    total = names = 0
    with serving(server, worker, **variables) as port:
        began = time.monotonic()
        while len(statuses) < requests:
            cookie = get(port, "/begin")[2]
            statuses += crowd(port, cookie, min(SESSION, requests - len(statuses)))
            # A machine that is too busy to answer is asked again.
            while (found := get(port, "/data", cookie))[0] != 200:
                pass
            stored = json.loads(found[1])
            total += stored.pop("sum")
            names += len(stored)
        seconds = time.monotonic() - began
    refused = len(statuses) - statuses.count(200)
    return {
        "workers": f"2 {worker}",
        "requests": len(statuses),
        "refused": refused,
        "sum": total,
        "names": names,
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    with LocalServer() as server:
        for worker in WORKERS:
            number = int((sys.argv[1:] or ["10000"])[0])
            print(json.dumps(report(server, worker, number)), flush=True)

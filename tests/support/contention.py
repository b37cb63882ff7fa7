"""Many requests that all change one session at the same time, on two workers of
gunicorn. Each stores a name of its own and adds one to a sum, which ``on_conflict``
adds up. Prints how many of them were refused, how many names there are, and the sum.

.. code-block:: console

    $ python tests/support/contention.py [REQUESTS]

Each session begins unsealed; with ``SESSION_ENCRYPT=migrate`` in the environment it is
sealed while all write to it.

Who is refused has met others until ``operation_timeout`` was over, one second. Where
the machine is too busy for that, set ``SESSION_OPERATION_TIMEOUT`` and
``SESSION_READ_TIMEOUT`` in the environment.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import threading
import time
import typing as t

from deployed_site import dispatch
from deployed_site import gunicorn
from deployed_site import PATIENCE
from deployed_site import WORKERS
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

SECRET_KEY = "not a secret, this is a test"

#: The workers that serve many requests at a time.
CONCURRENT = [worker for worker in WORKERS if worker != "sync"]


def add_up(name: str, base: t.Any, ours: t.Any, theirs: t.Any) -> t.Any:
    return theirs + ours - base


def begin(sessions: SessionManager) -> str:
    """Store a new session; the Cookie header that names it."""
    session = sessions.open("")
    session["sum"] = 0
    cookie = sessions.commit(session).cookie
    assert cookie is not None
    return cookie.partition(";")[0]


def add(environ: Environ) -> list[bytes]:
    session = get_session(environ)
    session[environ["QUERY_STRING"]] = True
    session["sum"] += 1
    return [b""]


def busy_site() -> App:
    """What gunicorn serves; its sessions are where ``SESSION_REDIS`` says."""
    sessions = SessionManager.from_env(secret_key=SECRET_KEY, on_conflict=add_up)
    pages: dict[str, App] = {"/add": plain(add)}
    pages["/data"] = plain(lambda environ: [data(environ)])
    return SessionMiddleware(dispatch(pages, plain(lambda environ: [b""])), sessions)


def get(port: int, path: str, cookie: str) -> tuple[int, bytes]:
    """Status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Cookie": cookie})
        response = connection.getresponse()
        return response.status, response.read()


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
    beginner = SessionManager(server.url, secret_key=SECRET_KEY, encrypt=False)
    variables["SESSION_REDIS"] = server.url
    with gunicorn("contention:busy_site()", worker, 2, **variables) as port:
        began = time.monotonic()
        while len(statuses) < requests:
            cookie = begin(beginner)
            statuses += crowd(port, cookie, min(SESSION, requests - len(statuses)))
            # A machine that is too busy to answer is asked again.
            while (found := get(port, "/data", cookie))[0] != 200:
                pass
            stored = json.loads(found[1])
            total += stored.pop("sum")
            names += len(stored)
        seconds = time.monotonic() - began
    beginner.disconnect()
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
        for worker in CONCURRENT:
            number = int((sys.argv[1:] or ["10000"])[0])
            print(json.dumps(report(server, worker, number)), flush=True)

"""Uses a manager before and after forking, in all processes at the same time; each
prints what it has seen, and its connection to Redis.

``python forks.py URL``
"""

from __future__ import annotations

import json
import os
import sys

from gateway import ask
from gateway import Gateway
from served_site import count
from wsgi_apps import plain

from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware

CHILDREN = 4


def run(url: str) -> None:
    sessions = SessionManager(url, secret_key="a test")
    app = SessionMiddleware(plain(lambda environ: [count(environ)]), sessions)
    visitor = Gateway()

    def visit(times: int) -> None:
        bodies = [visitor.get(app).body.decode() for _ in range(times)]
        connection = ask(sessions, "CLIENT", "ID")
        line = {"pid": os.getpid(), "connection": connection, "bodies": bodies}
        os.write(1, json.dumps(line).encode() + b"\n")

    visit(1)
    children = []
    for _ in range(CHILDREN):
        if not (child := os.fork()):
            visitor.jar.clear()
            visit(100)
            os._exit(0)
        children.append(child)
    visit(100)
    for child in children:
        os.waitpid(child, 0)
    visit(1)


if __name__ == "__main__":
    run(sys.argv[1])

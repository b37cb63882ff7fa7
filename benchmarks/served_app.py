"""The application that ``served.py`` has gunicorn serve, as its environment says."""

from __future__ import annotations

import os
import threading
import time
import typing as t

import flask
from peers import bare_flask
from peers import commands_in_flask
from peers import flask_sessions
from peers import ours_in_flask
from visits import read
from visits import write

_SITES = {
    "bare": bare_flask,
    "redis-py": commands_in_flask,
    "ours": ours_in_flask,
    "Flask-Session": flask_sessions,
}
_last: dict[str, int] = {}


def contend(session: t.Any) -> str | None:
    """Write a name of the thread's own; or count the names whose last value is lost."""
    if flask.request.query_string:
        return str(sum(session.get(name) != value for name, value in _last.items()))
    name = f"writer {threading.get_ident()}"
    session[name] = _last[name] = time.perf_counter_ns()
    return None


_USES = {"read": read, "write": write, "contend": contend}

application = _SITES[os.environ["BENCH_SITE"]](
    os.environ["BENCH_REDIS"], _USES[os.environ["BENCH_USE"]]
)

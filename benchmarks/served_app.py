"""The application that ``served.py`` has gunicorn serve, as its environment says."""

from __future__ import annotations

import os

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
_USES = {"read": read, "write": write}

application = _SITES[os.environ["BENCH_SITE"]](
    os.environ["BENCH_REDIS"], _USES[os.environ["BENCH_USE"]]
)

"""Requests a second and latencies under gunicorn, beside Flask-Session.

One worker, of the classes gthread and gevent, on a unix socket's Redis or behind a
proxy that adds a millisecond each way around; as many connections as named, 300
sessions, each request of a random one; to contend, all of the same one, in which each
thread writes a name of its own. wrk drives it where it is installed, else
``client.py``. The cases take turns, and what is shown is the median of the rounds; a
ratio is one of the same round, in which the sites come one after the other.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
import urllib.request

from visits import contents
from visits import cookies_of

HERE = pathlib.Path(__file__).parent

SESSIONS = 300
WORKERS = {"gthread": ["--threads", "16"], "gevent": []}
FLASK_SESSION = "Flask-Session"
SITES = ("bare", "redis-py", "ours", FLASK_SESSION)
USES = ("read", "write")
#: For which all requests are of one session.
CONTEND = "contend"


class Load(t.NamedTuple):
    """What a server did under load; latencies in milliseconds."""

    worker: str
    site: str
    use: str
    connections: int
    requests_per_second: float
    #: Of Flask-Session's, in the same round.
    ratio: float
    latencies: dict[str, float]
    errors: int
    #: Names whose last value is not there, where writers contend.
    lost: int


@contextlib.contextmanager
def served(worker: str, site: str, use: str, url: str) -> cabc.Iterator[int]:
    """gunicorn with one site; the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        command = [sys.executable, "-m", "gunicorn", "--workers", "1"]
        command += ["--worker-class", worker, *WORKERS[worker], "--log-level", "error"]
        command += ["--bind", f"fd://{listener.fileno()}", "served_app:application"]
        environment = {"BENCH_SITE": site, "BENCH_USE": use, "BENCH_REDIS": url}
        process = subprocess.Popen(
            command,
            cwd=HERE,
            env=os.environ | environment,
            pass_fds=[listener.fileno()],
        )
        try:
            yield listener.getsockname()[1]
        finally:
            process.terminate()
            process.wait(20)


def load(port: int, connections: int, seconds: float, cookies: list[str]) -> t.Any:
    """Drive a server; what the client reports."""
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory, "cookies")
        file.write_text("\n".join(cookies))
        if shutil.which("wrk"):
            return _wrk(port, connections, seconds, file)
        command = [sys.executable, str(HERE / "client.py"), str(port)]
        command += [str(connections), str(seconds), str(file)]
        output = subprocess.run(command, check=True, capture_output=True, text=True)
        return json.loads(output.stdout)


def _wrk(port: int, connections: int, seconds: float, file: pathlib.Path) -> t.Any:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    command += ["--timeout", "10s", "-s", str(HERE / "wrk.lua")]
    command += [f"http://127.0.0.1:{port}/", str(file)]
    output = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(output.stdout.splitlines()[-1])


def measure(
    url: str,
    workers: cabc.Collection[str],
    connections: cabc.Collection[int],
    rounds: int,
    seconds: float,
) -> list[Load]:
    """Each combination, in turns."""
    from peers import flask_sessions
    from peers import ours_in_flask

    def fill(session: t.Any) -> None:
        for name, value in contents(1000).items():
            session[name] = value

    cookies = {
        "bare": [""] * SESSIONS,
        "redis-py": [""] * SESSIONS,
        "ours": cookies_of(ours_in_flask(url, fill), SESSIONS),
        FLASK_SESSION: cookies_of(flask_sessions(url, fill), SESSIONS),
    }
    cases = [
        (worker, site, use, count)
        for worker in workers
        for use in USES
        for count in connections
        for site in SITES
    ]
    if 16 in connections:
        sites = ("ours", FLASK_SESSION)
        cases += [(worker, site, CONTEND, 16) for worker in workers for site in sites]
    found: dict[tuple[str, str, str, int], list[t.Any]] = {case: [] for case in cases}
    for _ in range(rounds):
        for case in cases:
            worker, site, use, count = case
            visitors = cookies[site][:1] if use == CONTEND else cookies[site]
            with served(worker, site, use, url) as port:
                load(port, min(count, 4), 0.5, visitors)  # it is warm then
                found[case].append(load(port, count, seconds, visitors))
                is_checked = use == CONTEND
                found[case][-1]["lost"] = _lost(port, visitors[0]) if is_checked else 0
    return [
        Load(
            *case,
            statistics.median(_rates(runs)),
            statistics.median(
                ours / theirs
                for ours, theirs in zip(
                    _rates(runs),
                    _rates(found[case[0], FLASK_SESSION, *case[2:]]),
                    strict=True,
                )
            ),
            {
                name: statistics.median(run["latencies"][name] for run in runs)
                for name in ("p50", "p99", "p99.9")
            },
            sum(run["errors"] for run in runs),
            sum(run["lost"] for run in runs),
        )
        for case, runs in found.items()
    ]


def _rates(runs: list[t.Any]) -> list[float]:
    return [run["requests_per_second"] for run in runs]


def _lost(port: int, cookie: str) -> int:
    """How many names of the session have not the value that was written last."""
    time.sleep(0.5)  # requests of those who have gone are saved by then
    url = f"http://127.0.0.1:{port}/?lost"
    request = urllib.request.Request(url, headers={"Cookie": cookie})
    with urllib.request.urlopen(request) as response:
        return int(response.read())


def text(title: str, loads: list[Load]) -> str:
    """A table: requests a second, what that is of Flask-Session's, latencies."""
    lines = [
        title,
        "",
        f"{'worker':9}{'use':7}{'conns':>6}  {'site':15}{'req/s':>8}{'ratio':>7}"
        f"{'p50 ms':>9}{'p99 ms':>9}{'p99.9':>9}{'errors':>8}{'lost':>6}",
    ]
    for load in loads:
        times = "".join(f"{load.latencies[n]:9.2f}" for n in ("p50", "p99", "p99.9"))
        lines.append(
            f"{load.worker:9}{load.use:7}{load.connections:6}  {load.site:15}"
            f"{load.requests_per_second:8.0f}{load.ratio:7.2f}{times}{load.errors:8}{load.lost:6}"
        )
    return "\n".join(lines)

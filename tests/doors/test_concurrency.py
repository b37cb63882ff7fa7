"""Many requests at once, in greenlets, threads and forked processes."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import json
import os
import pathlib
import random
import resource
import socket
import subprocess
import sys
import typing as t

import pytest
import redis
from crowd import all_at_once
from crowd import Visitor
from deployed_site import PACKAGES
from deployed_site import PATIENCE
from deployed_site import running
from deployed_site import SUPPORT

from wsgi_redis_session.local_server import LocalServer

#: gevent patches what the manager needs before it is imported, or only when gunicorn
#: has forked its workers.
PATCHED = {
    "early": "from gevent import monkey; monkey.patch_all()\n",
    "late": "",
}

CONFIGURATION = """\
import crowd
from gateway import ask
from wsgi_redis_session import SessionManager, SessionMiddleware

control_socket_disable = True
worker_connections = 2000
# A crowd on a busy machine takes its time.
patience = dict.fromkeys(["pool_timeout", "read_timeout", "operation_timeout"], 60)
sessions = SessionManager(secret_key="a test", max_connections={places}, **patience)

def post_worker_init(worker):
    site = SessionMiddleware(worker.wsgi, sessions)
    worker.wsgi = crowd.counted({outer}(site), sessions)
"""


@contextlib.contextmanager
def gunicorn(
    directory: pathlib.Path, server: LocalServer, *options: str
) -> cabc.Iterator[int]:
    """``myapp`` on as many workers as the options say; the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=2000) as listener:
        command = [sys.executable, "-m", "gunicorn", *options, "myapp:application"]
        command += ["--bind", f"fd://{listener.fileno()}", "--backlog", "2000"]
        with running(command, directory, listener.fileno(), SESSION_REDIS=server.url):
            yield listener.getsockname()[1]


def arrange(
    directory: pathlib.Path,
    *,
    places: int,
    parties: int = 1,
    first: str = "",
    outer: str = "",
) -> None:
    configuration = first + CONFIGURATION.format(places=places, outer=outer)
    (directory / "gunicorn.conf.py").write_text(configuration)
    (directory / "myapp.py").write_text(
        f"from crowd import crowded_site\napplication = crowded_site({parties})\n"
    )


def enter(port: int, number: int) -> list[Visitor]:
    """So many visitors, each in a session that knows its name."""
    visitors = [Visitor(port, f"visitor-{n}") for n in range(number)]
    paths = [f"/enter?{visitor.name}" for visitor in visitors]
    assert all_at_once(visitors, paths) == [(200, "welcome")] * number
    return visitors


def look(port: int) -> dict[str, int]:
    """What /places says."""
    visitor = Visitor(port, "somebody")
    visitor.ask("/places")
    return json.loads(visitor.answer()[1])


def assert_all_meet(port: int, number: int) -> None:
    """All visitors are on the page at the same time, each in its own session."""
    visitors = enter(port, number)
    names = [(200, visitor.name) for visitor in visitors]
    assert all_at_once(visitors, ["/meet"] * number) == names
    assert all_at_once(visitors, ["/name"] * number) == names


@pytest.fixture(autouse=True)
def files() -> cabc.Iterator[None]:
    """Enough of them for a connection of each visitor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, enough), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("patched", PATCHED)
def test_500_greenlets_share_20_connections(
    server: LocalServer, tmp_path: pathlib.Path, patched: str
) -> None:
    arrange(tmp_path, places=20, parties=500, first=PATCHED[patched])
    with gunicorn(tmp_path, server, "--worker-class", "gevent") as port:
        assert_all_meet(port, 500)
        found = look(port)
    assert (found["free"], found["taken"]) == (20, 0)


@pytest.mark.parametrize("patched", PATCHED)
def test_timeouts_at_random_moments_cost_no_connection_and_no_session(
    server: LocalServer, tmp_path: pathlib.Path, patched: str
) -> None:
    moments = random.Random(4)
    first = PATCHED[patched]
    arrange(tmp_path, places=5, first=first, outer="crowd.interrupted")
    with gunicorn(tmp_path, server, "--worker-class", "gevent") as port:
        visitors = enter(port, 100)
        possible = [{0} for _ in visitors]
        statuses = set()
        for _ in range(8):
            seconds = [moments.uniform(0, 0.1) for _ in visitors]
            answers = all_at_once(visitors, [f"/visit?{s:.6f}" for s in seconds])
            for n, (status, text) in enumerate(answers):
                statuses.add(status)
                if status == 200:
                    visits, name = text.split()
                    assert name == visitors[n].name
                    assert int(visits) - 1 in possible[n]
                    possible[n] = {int(visits)}
                else:
                    # It may have been too late, and the visit was stored.
                    possible[n] |= {visits + 1 for visits in possible[n]}
        assert statuses == {200, 503}
        names = [(200, visitor.name) for visitor in visitors]
        assert all_at_once(visitors, ["/name"] * len(visitors)) == names
        found = look(port)
    assert (found["free"], found["taken"]) == (5, 0)


def run(program: str, *arguments: str) -> list[t.Any]:
    """What a program of the tests prints, line by line."""
    output = subprocess.run(
        [sys.executable, SUPPORT / program, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGES), str(SUPPORT)])},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    ).stdout
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("patched", PATCHED)
def test_interruption_wherever_a_request_waits_costs_nothing(patched: str) -> None:
    (found,) = run("interruptions.py", patched)
    assert found["wrong"] == []
    assert found["interrupted"] > 50


def test_128_visitors_on_64_threads_share_20_connections(
    server: LocalServer, tmp_path: pathlib.Path
) -> None:
    arrange(tmp_path, places=20, parties=64)
    options = ["--worker-class", "gthread", "--threads", "64"]
    with gunicorn(tmp_path, server, *options) as port:
        assert_all_meet(port, 128)
        found = look(port)
    assert (found["free"], found["taken"]) == (20, 0)


def test_processes_share_no_connection_that_was_used_before_they_were_forked(
    server: LocalServer,
) -> None:
    first, *others, last = run("forks.py", server.url)
    assert first["pid"] == last["pid"]
    assert first["connection"] == last["connection"]
    assert len({line["pid"] for line in others}) == 5
    assert len({line["connection"] for line in others}) == 5
    for line in others:
        begin = 2 if line["pid"] == first["pid"] else 1
        assert line["bodies"] == [str(visits + begin) for visits in range(100)]
    assert (first["bodies"], last["bodies"]) == (["1"], ["102"])


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_gunicorns_workers_share_no_connection_with_the_arbiter_or_each_other(
    server: LocalServer, db: redis.Redis, tmp_path: pathlib.Path, worker: str
) -> None:
    first = PATCHED["early" if worker == "gevent" else "late"]
    arrange(tmp_path, places=20, first=first)
    with (tmp_path / "gunicorn.conf.py").open("a") as configuration:
        configuration.write(
            "def when_ready(arbiter):\n"
            "    connection = ask(sessions, 'CLIENT', 'ID')\n"
            "    ask(sessions, 'RPUSH', 'test:arbiter', str(connection))\n"
        )
    options = ["--worker-class", worker, "--workers", "3", "--preload"]
    with gunicorn(tmp_path, server, *options) as port:
        assert_all_meet(port, 20)
        owners = {int(db.blpop(["test:arbiter"], timeout=PATIENCE)[1]): 0}
        while len({*owners.values()}) < 4:
            found = look(port)
            assert owners.setdefault(found["connection"], found["pid"]) == found["pid"]
        connected = {int(client["id"]) for client in db.client_list()}
        assert {*owners} <= connected

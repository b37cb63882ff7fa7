"""Sessions mounted in gunicorn's configuration, and what may happen to its workers."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import shutil
import signal
import sys
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

import every_server
import pytest
import redis
from deployed_site import EXAMPLES
from deployed_site import GO
from deployed_site import HOLDING
from deployed_site import PATIENCE
from deployed_site import READS
from deployed_site import running
from deployed_site import SENDFILE
from served_site import CONTENT
from served_site import ENDED
from serving import Browser
from serving import listening

from wsgi_redis_session.local_server import LocalServer

WORKERS = {
    "sync": ["--worker-class", "sync"],
    "gthread": ["--worker-class", "gthread", "--threads", "4"],
    "gevent": ["--worker-class", "gevent"],
}

MYAPP = """\
from deployed_site import untouched_site
application = untouched_site()
"""

CONFIGURATION = """\
from deployed_site import observed, report_sendfile
from wsgi_redis_session import SessionManager, SessionMiddleware

control_socket_disable = True
graceful_timeout = 5  # gunicorn 23 does not stop a worker that is about to start
sessions = SessionManager(secret_key="a test")

def post_worker_init(worker):
    report_sendfile()
    site = SessionMiddleware(worker.wsgi, sessions)
    worker.wsgi = observed(site, sessions, generation=1)
"""

#: gevent says when it comes too late to patch what the manager has imported.
PATCHED = "from gevent import monkey; monkey.patch_all()\n"


class Visitor(Browser):
    """Somebody who tries again when the server hangs up without an answer: before
    version 24, gunicorn does that to a connection that has just been made to a thread
    worker that ends."""

    def open(self, path: str) -> tuple[http.client.HTTPResponse, bytes]:
        while True:
            with contextlib.suppress(ConnectionResetError):
                return super().open(path)


class Site(t.NamedTuple):
    """A site on gunicorn."""

    port: int
    directory: pathlib.Path
    worker: str
    #: The process id of its arbiter.
    pid: int

    def state(self) -> dict[str, t.Any]:
        return json.loads(Visitor(self.port).read("/state"))

    def log(self) -> str:
        return (self.directory / "server.log").read_text()


@contextlib.contextmanager
def gunicorn(
    server: LocalServer, directory: pathlib.Path, worker: str, *options: str
) -> cabc.Iterator[Site]:
    """What the directory holds on two workers; connections wait until they are up."""
    with listening() as listener:
        bind = f"fd://{listener.fileno()}"
        command = [sys.executable, "-W", "error", "-W", "ignore::ResourceWarning"]
        command += ["-m", "gunicorn", "--bind", bind, "--workers", "2"]
        command += [*WORKERS[worker], *options]
        with running(
            command, directory, listener.fileno(), SESSION_REDIS=server.url
        ) as process:
            site = Site(listener.getsockname()[1], directory, worker, process.pid)
            yield site
    # It was started to ignore the listeners that gunicorn itself leaves open.
    assert "Traceback" not in site.log()
    assert "Warning" not in site.log()


@contextlib.contextmanager
def mounted(
    server: LocalServer, directory: pathlib.Path, worker: str, *options: str
) -> cabc.Iterator[Site]:
    """An application as it is, with sessions from gunicorn.conf.py."""
    first = PATCHED if worker == "gevent" else ""
    (directory / "gunicorn.conf.py").write_text(first + CONFIGURATION)
    (directory / "myapp.py").write_text(MYAPP)
    with gunicorn(server, directory, worker, *options, "myapp:application") as site:
        yield site


def poll(look: cabc.Callable[[], t.Any]) -> None:
    """Look until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline


def visiting(visitor: Visitor) -> cabc.Iterator[None]:
    """Visit for as long as the test wants; none of the visits is lost."""
    deadline = time.monotonic() + PATIENCE
    for visits in itertools.count(1):
        assert visitor.read("/count") == str(visits).encode()
        yield
        assert time.monotonic() < deadline


@pytest.fixture(
    scope="module",
    params=[(worker, preload) for worker in WORKERS for preload in ("", "--preload")],
    ids=lambda param: " ".join(param).strip(),
)
def running_site(
    request: pytest.FixtureRequest,
    _server: LocalServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> cabc.Iterator[Site]:
    worker, preload = request.param
    options = [preload] if preload else []
    directory = tmp_path_factory.mktemp("site")
    with mounted(_server, directory, worker, *options) as site:
        yield site


@pytest.fixture
def site(running_site: Site, db: redis.Redis) -> Site:
    """Of each worker class, with and without ``preload_app``; Redis is empty."""
    return running_site


@pytest.fixture
def port(site: Site) -> int:
    return site.port


test_visitors_at_the_same_time_are_kept_apart = (
    every_server.test_visitors_at_the_same_time_are_kept_apart
)
test_responses_are_framed_as_without_the_middleware = (
    every_server.test_responses_are_framed_as_without_the_middleware
)


def test_session_goes_on_whichever_worker_answers(site: Site) -> None:
    workers = set()
    for _ in visiting(Visitor(site.port)):
        workers.add(site.state()["pid"])
        if len(workers) == 2:
            break


def test_client_that_leaves_leaves_no_connection_and_no_greenlet(
    site: Site, db: redis.Redis
) -> None:
    browser = Browser(site.port)
    assert browser.read("/count") == b"1"
    for visits in (b"2", b"3"):
        browser.leave_in_mid_stream("/endless")
        assert db.blpop([ENDED], timeout=PATIENCE) == (ENDED.encode(), b"0")
        assert browser.read("/count") == visits
    assert json.loads(browser.read("/data"))["closed"] is True
    # The greenlet that counts them is one itself.
    poll(lambda: site.state()["greenlets"] <= 1)


def test_file_is_sent_by_gunicorns_sendfile(site: Site, db: redis.Redis) -> None:
    def sent(path: str) -> tuple[bytes, t.Any, t.Any]:
        db.delete(SENDFILE, READS)
        body = Browser(site.port).read(path)
        reads = db.blpop([READS], timeout=PATIENCE)
        return body, db.hgetall(SENDFILE), reads

    body, calls, reads = sent("/real_file")
    assert body == CONTENT
    assert calls[b"socket"] == b"1"
    # The one of gevent's sockets is a loop in Python.
    assert (b"os" in calls, reads[1] == b"0") == (site.worker != "gevent",) * 2
    assert sent("/without/real_file") == (body, calls, reads)


def test_worker_that_is_killed_in_mid_request_harms_no_session(
    site: Site, db: redis.Redis
) -> None:
    browser = Browser(site.port)
    assert browser.read("/count") == b"1"
    for visits in (b"2", b"3"):
        with ThreadPoolExecutor() as threads:
            answer = threads.submit(browser.read, "/hold")
            _, pid = db.blpop([HOLDING], timeout=PATIENCE)
            os.kill(int(pid), signal.SIGKILL)
            with pytest.raises((ConnectionError, http.client.HTTPException)):
                answer.result(PATIENCE)
        assert browser.read("/count") == visits
    assert json.loads(browser.read("/data")) == {"visits": 3}


def test_worker_that_is_killed_in_mid_stream_keeps_what_the_client_has_seen(
    site: Site, db: redis.Redis
) -> None:
    browser = Browser(site.port)
    assert browser.read("/count") == b"1"
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(browser.read, "/hold_stream")
        _, pid = db.blpop([HOLDING], timeout=PATIENCE)
        os.kill(int(pid), signal.SIGKILL)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            answer.result(PATIENCE)
    assert json.loads(browser.read("/data")) == {"visits": 2}
    assert browser.read("/count") == b"3"


def test_reload_takes_the_new_configuration_and_loses_no_session(
    site: Site, db: redis.Redis
) -> None:
    configuration = site.directory / "gunicorn.conf.py"
    text, old = configuration.read_text(), site.state()["generation"]
    new = text.replace(f"generation={old}", f"generation={old + 1}")
    configuration.write_text(new)
    with ThreadPoolExecutor() as threads:
        busy = Visitor(site.port)
        answer = threads.submit(busy.read, "/hold")
        assert db.blpop([HOLDING], timeout=PATIENCE)
        os.kill(site.pid, signal.SIGHUP)
        for _ in visiting(Visitor(site.port)):
            if site.state()["generation"] > old:
                break
        db.rpush(GO, 1)
        assert answer.result(PATIENCE) == b"1"
        assert busy.read("/count") == b"2"


@pytest.mark.parametrize("worker", WORKERS)
def test_graceful_stop_saves_the_session_of_the_last_request(
    server: LocalServer, db: redis.Redis, tmp_path: pathlib.Path, worker: str
) -> None:
    with mounted(server, tmp_path, worker) as site, ThreadPoolExecutor() as threads:
        browser = Browser(site.port)
        assert browser.read("/count") == b"1"
        answer = threads.submit(browser.read, "/hold")
        assert db.blpop([HOLDING], timeout=PATIENCE)
        os.kill(site.pid, signal.SIGTERM)
        poll(lambda: "Handling signal: term" in site.log())
        db.rpush(GO, 1)
        assert answer.result(PATIENCE) == b"2"
    with mounted(server, tmp_path, worker) as site:
        browser.port = site.port
        assert browser.read("/count") == b"3"


@pytest.mark.parametrize("worker", WORKERS)
def test_worker_that_has_served_its_max_requests_takes_no_session_along(
    server: LocalServer, db: redis.Redis, tmp_path: pathlib.Path, worker: str
) -> None:
    with mounted(server, tmp_path, worker, "--max-requests", "3") as site:
        workers = set()
        for _ in visiting(Visitor(site.port)):
            workers.add(site.state()["pid"])
            if len(workers) == 4:
                break


@pytest.mark.parametrize("worker", WORKERS)
def test_application_may_come_from_a_factory(
    server: LocalServer, tmp_path: pathlib.Path, worker: str
) -> None:
    (tmp_path / "myapp.py").write_text(
        "from deployed_site import deployed_site\n"
        "def create_app(name):\n"
        "    assert name == 'production'\n"
        "    return deployed_site()\n"
    )
    (tmp_path / "gunicorn.conf.py").write_text(
        (PATCHED if worker == "gevent" else "")
        + "wsgi_app = 'myapp:create_app(\"production\")'\n"
    )
    with gunicorn(server, tmp_path, worker) as site:
        browser = Browser(site.port)
        assert [browser.read("/count") for _ in range(3)] == [b"1", b"2", b"3"]


def test_example_runs_as_its_readme_says(
    server: LocalServer, tmp_path: pathlib.Path
) -> None:
    shutil.copytree(EXAMPLES / "gunicorn", tmp_path, dirs_exist_ok=True)
    with listening() as listener:
        command = [sys.executable, "-W", "error", "-W", "ignore::ResourceWarning"]
        command += ["-m", "gunicorn", "--bind", f"fd://{listener.fileno()}"]
        variables = {"SESSION_REDIS": server.url, "SECRET_KEY": "a test"}
        with running(command, tmp_path, listener.fileno(), **variables):
            browser = Browser(listener.getsockname()[1])
            assert [browser.read("/") for _ in range(2)] == [b"visit 1\n", b"visit 2\n"]

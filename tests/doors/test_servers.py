"""Sessions on the servers that people use."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import typing as t
import wsgiref.simple_server

import every_server
import pytest
import redis
import waitress.server
import werkzeug.serving
from deployed_site import PATIENCE
from served_site import ENDED
from served_site import served_site
from serving import Browser
from serving import in_thread
from serving import listening

import wsgi_redis_session
from wsgi_redis_session.local_server import LocalServer

Serve = cabc.Callable[[LocalServer, pathlib.Path], t.ContextManager[int]]


@contextlib.contextmanager
def gunicorn(
    listener: socket.socket, directory: pathlib.Path, *options: str
) -> cabc.Iterator[int]:
    """Serve ``myapp:application`` of a directory; connections wait until it is up."""
    packages = pathlib.Path(wsgi_redis_session.__file__).parents[1]
    support = pathlib.Path(__file__).parents[1] / "support"
    paths = [directory, support, packages]
    command = [sys.executable, "-W", "error", "-m", "gunicorn", "--workers", "2"]
    command += ["--bind", f"fd://{listener.fileno()}", *options, "myapp:application"]
    with (directory / "gunicorn.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
            pass_fds=[listener.fileno()],
            stdout=log,
            stderr=log,
        )
    try:
        yield listener.getsockname()[1]
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()


def on_gunicorn(*options: str) -> Serve:
    @contextlib.contextmanager
    def serve(server: LocalServer, directory: pathlib.Path) -> cabc.Iterator[int]:
        (directory / "myapp.py").write_text(
            "from served_site import served_site\n"
            f"application = served_site({server.url!r})\n"
        )
        with listening() as listener, gunicorn(listener, directory, *options) as port:
            yield port

    return serve


@contextlib.contextmanager
def on_waitress(server: LocalServer, directory: pathlib.Path) -> cabc.Iterator[int]:
    with listening() as listener:
        serving = waitress.server.create_server(
            served_site(server.url), sockets=[listener]
        )
        with in_thread(serving.run):
            try:
                yield listener.getsockname()[1]
            finally:
                # In its own thread; a loop without sockets ends.
                serving.trigger.pull_trigger(serving.close)
        serving.task_dispatcher.shutdown()


@contextlib.contextmanager
def on_socketserver(serving: t.Any) -> cabc.Iterator[int]:
    try:
        with in_thread(lambda: serving.serve_forever(poll_interval=0.01)):
            try:
                yield serving.server_port
            finally:
                serving.shutdown()
    finally:
        serving.server_close()


def on_werkzeug(server: LocalServer, directory: pathlib.Path) -> t.ContextManager[int]:
    return on_socketserver(
        werkzeug.serving.make_server(
            "127.0.0.1", 0, served_site(server.url), threaded=True
        )
    )


class QuietHandler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *args: t.Any) -> None:
        pass


class PatientServer(wsgiref.simple_server.WSGIServer):
    request_queue_size = 64


def on_wsgiref(server: LocalServer, directory: pathlib.Path) -> t.ContextManager[int]:
    return on_socketserver(
        wsgiref.simple_server.make_server(
            "127.0.0.1", 0, served_site(server.url), PatientServer, QuietHandler
        )
    )


SERVERS: dict[str, Serve] = {
    "gunicorn sync": on_gunicorn("--worker-class", "sync"),
    "gunicorn gthread": on_gunicorn("--worker-class", "gthread", "--threads", "4"),
    "waitress": on_waitress,
    "werkzeug": on_werkzeug,
    "wsgiref": on_wsgiref,
}


@pytest.fixture(params=SERVERS.values(), ids=SERVERS)
def port(
    request: pytest.FixtureRequest, server: LocalServer, tmp_path: pathlib.Path
) -> cabc.Iterator[int]:
    with request.param(server, tmp_path) as port:
        yield port


test_visitors_at_the_same_time_are_kept_apart = (
    every_server.test_visitors_at_the_same_time_are_kept_apart
)
test_responses_are_framed_as_without_the_middleware = (
    every_server.test_responses_are_framed_as_without_the_middleware
)
test_download_arrives_whole_and_with_the_session = (
    every_server.test_download_arrives_whole_and_with_the_session
)
test_no_connection_to_redis_stays_out_of_the_pool = (
    every_server.test_no_connection_to_redis_stays_out_of_the_pool
)


def test_client_that_leaves_in_mid_stream_leaves_nothing_behind(
    port: int, db: redis.Redis
) -> None:
    browser = Browser(port)
    assert browser.read("/count") == b"1"
    for visits in (b"2", b"3"):
        browser.leave_in_mid_stream("/endless")
        ended = db.blpop([ENDED], timeout=PATIENCE)
        assert ended == (ENDED.encode(), b"0")
        assert browser.read("/count") == visits
    assert json.loads(browser.read("/data"))["closed"] is True


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_visitor_does_not_notice_that_gunicorn_was_restarted(
    server: LocalServer, tmp_path: pathlib.Path, worker: str
) -> None:
    serve = on_gunicorn("--worker-class", worker)
    visits, jar = 0, {}
    for _ in range(2):
        with serve(server, tmp_path) as port:
            browser = Browser(port)
            browser.jar = jar
            for _ in range(5):
                visits += 1
                assert browser.read("/count") == str(visits).encode()


def test_connection_that_was_made_before_the_fork_is_not_shared(
    server: LocalServer, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "myapp.py").write_text(
        "from gateway import Gateway\n"
        "from served_site import served_site\n"
        f"application = served_site({server.url!r})\n"
        "gateway = Gateway()\n"
        "assert gateway.get(application, gateway.environ(PATH_INFO='/count')).parts\n"
    )
    with listening() as listener, gunicorn(listener, tmp_path, "--preload") as port:
        every_server.test_visitors_at_the_same_time_are_kept_apart(port)


def test_gunicorns_configuration_gives_sessions_to_an_application_as_it_is(
    server: LocalServer, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "myapp.py").write_text(
        "from served_site import bare_site\napplication = bare_site()\n"
    )
    (tmp_path / "gunicorn.conf.py").write_text(
        "from wsgi_redis_session import SessionManager, SessionMiddleware\n"
        f"sessions = SessionManager({server.url!r}, secret_key='a test')\n"
        "def post_worker_init(worker):\n"
        "    worker.wsgi = SessionMiddleware(worker.wsgi, sessions)\n"
    )
    with listening() as listener, gunicorn(listener, tmp_path) as port:
        browser = Browser(port)
        assert [browser.read("/count") for _ in range(4)] == [b"1", b"2", b"3", b"4"]

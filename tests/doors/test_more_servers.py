"""Sessions on servers written in C, and on those that are made for something else."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import importlib.util
import json
import os
import pathlib
import shutil
import sys
import tempfile
import typing as t

import a2wsgi
import cheroot.wsgi
import every_server
import pytest
import redis
import uvicorn
from deployed_site import deployed_site
from deployed_site import EXAMPLES
from deployed_site import LONG
from deployed_site import PATIENCE
from deployed_site import READS
from deployed_site import running
from served_site import CONTENT
from served_site import ENDED
from serving import Browser
from serving import in_thread
from serving import listening
from serving import program
from serving import wait_for
from wsgi_apps import SHAPES

from wsgi_redis_session.local_server import LocalServer

Serve = cabc.Callable[[LocalServer, pathlib.Path], t.ContextManager[int]]

#: They replace a head that has not left yet (PEP 3333, "Error Handling"); hardly any of
#: the servers can do that.
ERROR_PAGES = ["error_page", "generated_error_page"]

#: Servers that have no means of their own to send a file.
READERS = ["cheroot", "uvicorn"]

MYAPP = "from deployed_site import deployed_site\napplication = deployed_site()\n"


def on_uwsgi(*options: str) -> Serve:
    @contextlib.contextmanager
    def serve(server: LocalServer, directory: pathlib.Path) -> cabc.Iterator[int]:
        (directory / "myapp.py").write_text(MYAPP)
        with listening() as listener:
            command = [program("uwsgi"), "--http-socket", f"fd://{listener.fileno()}"]
            command += ["--master", "--need-app", "--die-on-term", *options]
            command += ["--module", "myapp:application"]
            with running(
                command, directory, listener.fileno(), SESSION_REDIS=server.url
            ):
                yield listener.getsockname()[1]

    return serve


@contextlib.contextmanager
def on_cheroot(server: LocalServer, directory: pathlib.Path) -> cabc.Iterator[int]:
    serving = cheroot.wsgi.Server(("127.0.0.1", 0), deployed_site(), numthreads=4)
    serving.prepare()
    with in_thread(serving.serve):
        try:
            yield serving.bind_addr[1]
        finally:
            serving.stop()


@contextlib.contextmanager
def on_uvicorn(server: LocalServer, directory: pathlib.Path) -> cabc.Iterator[int]:
    site = a2wsgi.WSGIMiddleware(deployed_site())
    with listening() as listener:
        config = uvicorn.Config(site, log_level="warning", lifespan="off")
        serving = uvicorn.Server(config)
        with in_thread(lambda: serving.run([listener])):
            try:
                yield listener.getsockname()[1]
            finally:
                serving.should_exit = True
        site.executor.shutdown()


@contextlib.contextmanager
def on_apache(server: LocalServer, directory: pathlib.Path) -> cabc.Iterator[int]:
    """mod_wsgi-express, whose Apache takes no listener that is open already."""
    (directory / "myapp.py").write_text(MYAPP)
    with listening() as listener:
        port = listener.getsockname()[1]
    # Apache does not serve as root, and in a namespace of its own nobody is.
    namespace = ["unshare", "--user", "--map-user=65534"]
    command = [] if os.geteuid() else namespace
    command += [program("mod_wsgi-express"), "start-server", "--log-to-terminal"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--locale", "C.UTF-8"]
    command += ["--processes", "2", "--threads", "4", "--enable-sendfile"]
    with tempfile.TemporaryDirectory() as root:
        command += ["--server-root", root, "--application-type", "module", "myapp"]
        with running(command, directory, SESSION_REDIS=server.url):
            wait_for(port)
            yield port


SERVERS: dict[str, Serve] = {
    "uwsgi": on_uwsgi("--processes", "2"),
    "uwsgi threads": on_uwsgi("--threads", "4", "--offload-threads", "1"),
    "cheroot": on_cheroot,
    "uvicorn": on_uvicorn,
}
# It has no wheels: it takes a compiler, and Apache with its headers (apache2-dev).
if importlib.util.find_spec("mod_wsgi"):
    SERVERS["mod_wsgi"] = on_apache


@pytest.fixture(scope="module", params=SERVERS)
def running_server(
    request: pytest.FixtureRequest,
    _server: LocalServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> cabc.Iterator[tuple[str, int]]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("SESSION_REDIS", _server.url)
        directory = tmp_path_factory.mktemp("site")
        with SERVERS[request.param](_server, directory) as port:
            yield request.param, port


@pytest.fixture
def name(running_server: tuple[str, int]) -> str:
    return running_server[0]


@pytest.fixture
def port(running_server: tuple[str, int], db: redis.Redis) -> int:
    """Where each server listens; Redis is empty."""
    return running_server[1]


test_visitors_at_the_same_time_are_kept_apart = (
    every_server.test_visitors_at_the_same_time_are_kept_apart
)
test_download_arrives_whole_and_with_the_session = (
    every_server.test_download_arrives_whole_and_with_the_session
)
test_no_connection_to_redis_stays_out_of_the_pool = (
    every_server.test_no_connection_to_redis_stays_out_of_the_pool
)


def test_responses_are_framed_as_without_the_middleware(port: int) -> None:
    ours = {"date", "set-cookie", "vary", "cache-control"}

    def look(path: str) -> tuple[t.Any, ...]:
        response, body = Browser(port).open(path)
        headers = [(field.lower(), value) for field, value in response.getheaders()]
        kept = [header for header in headers if header[0] not in ours]
        return response.version, response.status, response.reason, kept, body

    pages = {*SHAPES, "download", "real_file"} - {*ERROR_PAGES}
    assert {page: look(f"/{page}") for page in pages} == {
        page: look(f"/without/{page}") for page in pages
    }


def test_error_page_arrives_even_where_the_server_cannot_replace_a_head(
    port: int,
) -> None:
    for page in ERROR_PAGES:
        response, body = Browser(port).open(f"/{page}")
        assert (response.status, body) == (500, b"1")


def test_file_is_sent_as_without_the_middleware(
    name: str, port: int, db: redis.Redis
) -> None:
    def sent(path: str) -> tuple[bytes, int]:
        body = Browser(port).read(path)
        _, reads = db.blpop([READS], timeout=PATIENCE)
        return body, int(reads)

    ours = sent("/real_file")
    assert ours == sent("/without/real_file")
    assert ours[0] == CONTENT
    assert (ours[1] == 0) == (name not in READERS)


def test_client_that_leaves_in_mid_stream_leaves_nothing_behind(
    name: str, port: int, db: redis.Redis
) -> None:
    browser = Browser(port)
    assert browser.read("/count") == b"1"
    for visits in (b"2", b"3"):
        browser.leave_in_mid_stream("/long")
        assert db.blpop([ENDED], timeout=PATIENCE) == (ENDED.encode(), b"0")
        assert browser.read("/count") == visits
    left = json.loads(browser.read("/data"))
    assert left["closed"] is True
    # uvicorn does not tell a2wsgi, which makes the whole body for nobody.
    assert left["parts"] < LONG - 1 or name == "uvicorn"


@pytest.mark.parametrize("server_name", ["uwsgi", "waitress"])
def test_example_runs_as_its_readme_says(
    server_name: str, server: LocalServer, tmp_path: pathlib.Path
) -> None:
    example = EXAMPLES / server_name
    shutil.copytree(example, tmp_path, dirs_exist_ok=True)
    with listening() as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    uwsgi = [program("uwsgi"), "--http-socket", address, "--ini", "uwsgi.ini"]
    serve = [sys.executable, "-W", "error", "serve.py"]
    command = uwsgi if server_name == "uwsgi" else serve
    variables = {"SESSION_REDIS": server.url, "SECRET_KEY": "a test"}
    with running(command, tmp_path, LISTEN=address, **variables):
        port = int(address.rpartition(":")[2])
        wait_for(port)
        browser = Browser(port)
        assert [browser.read("/") for _ in range(2)] == [b"visit 1\n", b"visit 2\n"]

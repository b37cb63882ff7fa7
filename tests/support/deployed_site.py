"""A site for servers in processes of their own, and how tests start and end those."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import gc
import io
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import typing as t
from wsgiref.util import FileWrapper

import redis
from gateway import busy_connections
from served_site import bare_site
from served_site import CONTENT
from served_site import count
from served_site import download
from served_site import Reporting
from served_site import SECRET_KEY
from wsgi_apps import App
from wsgi_apps import Environ
from wsgi_apps import SHAPES
from wsgi_apps import TEXT

import wsgi_redis_session
from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware

#: Seconds after which something that does not happen is a failure.
PATIENCE = 20

SUPPORT = pathlib.Path(__file__).parent
EXAMPLES = SUPPORT.parents[1] / "examples"

#: Where the package is, in the tree or installed.
PACKAGES = pathlib.Path(wsgi_redis_session.__file__).parents[1]

#: The list in Redis of the processes that wait in the middle of a request, and the one
#: that lets them go on.
HOLDING, GO = "test:holding", "test:go"

#: The list in Redis of how often Python code has read in each file that was sent.
READS = "test:reads"

#: The hash in Redis of how often the server has called sendfile() of socket and os.
SENDFILE = "test:sendfile"

#: gunicorn's options for a kind of worker.
WORKERS = {
    "sync": ["--worker-class", "sync"],
    "gthread": ["--worker-class", "gthread", "--threads", "10"],
    "gevent": ["--worker-class", "gevent"],
}

#: gevent has to come first.
PATCHED = "from gevent import monkey; monkey.patch_all()\n"

#: How many parts /long has: more than all buffers between server and client hold.
LONG = 1024


def client() -> redis.Redis:
    return redis.Redis.from_url(os.environ["SESSION_REDIS"])


def wait_for_the_test() -> None:
    with client() as db:
        db.rpush(HOLDING, os.getpid())
        assert db.blpop([GO], timeout=PATIENCE)


def hold(environ: Environ, start_response: t.Any) -> list[bytes]:
    """Wait while the session has changed and is not saved yet."""
    body = count(environ)
    wait_for_the_test()
    start_response("200 OK", [TEXT])
    return [body]


def hold_stream(environ: Environ, start_response: t.Any) -> cabc.Iterator[bytes]:
    """Wait while a part of the body is out, and changes since are not saved yet."""
    start_response("200 OK", [TEXT])
    yield count(environ)
    get_session(environ)["late"] = True
    wait_for_the_test()
    yield b"."


def long(environ: Environ, start_response: t.Any) -> cabc.Iterator[bytes]:
    session = get_session(environ)
    start_response("200 OK", [TEXT])
    try:
        for part in range(LONG):
            session["parts"] = part
            yield b"." * 65536
    finally:
        session["closed"] = True


class WatchedFile(io.FileIO):
    """A file that tells in Redis how often Python code has read in it."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes | None:
        self.reads += 1
        return super().read(-1 if size is None else size)

    def __next__(self) -> bytes:
        self.reads += 1
        return super().__next__()

    def close(self) -> None:
        if not self.closed:
            super().close()
            with client() as db:
                db.rpush(READS, self.reads)


def file(environ: Environ, start_response: t.Any) -> t.Any:
    """A real file, whose content the kernel can send."""
    with tempfile.NamedTemporaryFile() as made:
        made.write(CONTENT)
        made.flush()
        body = WatchedFile(made.name)
    start_response("200 OK", [TEXT, ("Content-Length", str(len(CONTENT)))])
    wrap = environ.get("wsgi.file_wrapper", FileWrapper)
    return wrap(body, 4096)


def counted_file(environ: Environ, start_response: t.Any) -> t.Any:
    count(environ)
    return file(environ, start_response)


def dispatch(pages: cabc.Mapping[str, App], other: App) -> App:
    return lambda environ, start_response: pages.get(environ["PATH_INFO"], other)(
        environ, start_response
    )


def untouched_site() -> App:
    """Pages that use the session, and know nothing of how it came there."""
    pages: dict[str, App] = {"/hold": hold, "/hold_stream": hold_stream}
    pages |= {"/long": long, "/real_file": counted_file}
    return dispatch(pages, bare_site())


def greenlets() -> int:
    """How many greenlets serve requests."""
    if "gevent" not in sys.modules:
        return 0
    from gevent import Greenlet  # gunicorn has imported it, and others do not need it

    return sum(isinstance(one, Greenlet) and not one.dead for one in gc.get_objects())


def observed(app: App, sessions: SessionManager, generation: int = 1) -> App:
    """The application, and outside of it pages that tell what goes on."""

    def state(environ: Environ, start_response: t.Any) -> list[bytes]:
        start_response("200 OK", [TEXT])
        found = {"pid": os.getpid(), "generation": generation}
        found |= {"busy": busy_connections(sessions), "greenlets": greenlets()}
        return [json.dumps(found).encode()]

    def reporting(environ: Environ, start_response: t.Any) -> Reporting:
        body = app(environ, start_response)
        return Reporting(body, sessions, os.environ["SESSION_REDIS"])

    pages: dict[str, App] = {"/state": state, "/endless": reporting, "/long": reporting}
    pages |= {"/without/real_file": file, "/without/download": download}
    for name in SHAPES:
        pages[f"/without/{name}"] = SHAPES[name](lambda environ: b"1")
    return dispatch(pages, app)


def deployed_site() -> App:
    """The whole site; where its sessions are is in the environment."""
    sessions = SessionManager.from_env(secret_key=SECRET_KEY)
    return observed(SessionMiddleware(untouched_site(), sessions), sessions)


def report_sendfile() -> None:
    """From now on, tell in Redis when the server calls sendfile()."""
    for owner, name in (socket.socket, "socket"), (os, "os"):
        call = getattr(owner, "sendfile")  # noqa: B009  # the same line for both

        def sendfile(*args: t.Any, call: t.Any = call, name: str = name, **kw: t.Any):
            with client() as db:
                db.hincrby(SENDFILE, name)
            return call(*args, **kw)

        setattr(owner, "sendfile", sendfile)  # noqa: B010  # as above


@contextlib.contextmanager
def running(
    command: list[str], directory: pathlib.Path, *fds: int, **variables: str
) -> cabc.Iterator[subprocess.Popen[bytes]]:
    """A server that can import the package, the tests and what is in the directory. It
    and its processes are gone when the test is over."""
    paths = os.pathsep.join(map(str, [directory, SUPPORT, PACKAGES]))
    with (directory / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=os.environ | {"PYTHONPATH": paths} | variables,
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
        )
    try:
        yield process
        process.terminate()
        process.wait(PATIENCE)
    finally:
        # Workers that it has left, or all of it when the test or its end has failed.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def gunicorn(
    app: str, worker: str, workers: int, **variables: str
) -> cabc.Iterator[int]:
    """An application on so many workers of gunicorn; its port."""
    with (
        tempfile.TemporaryDirectory() as name,
        socket.create_server(("127.0.0.1", 0), backlog=64) as listener,
    ):
        directory = pathlib.Path(name)
        first = PATCHED if worker == "gevent" else ""
        (directory / "gunicorn.conf.py").write_text(
            f"{first}control_socket_disable = True\n"
        )
        command = [sys.executable, "-m", "gunicorn", "--workers", str(workers)]
        command += [*WORKERS[worker], "--bind", f"fd://{listener.fileno()}", app]
        with running(command, directory, listener.fileno(), **variables):
            yield listener.getsockname()[1]

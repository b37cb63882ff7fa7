"""The site on gunicorn, in processes of its own."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import typing as t

_TESTS = pathlib.Path(__file__).parents[1]

#: What each class of workers needs.
_WORKERS = {
    "sync": ["--workers", "4"],
    "gthread": ["--workers", "2", "--threads", "50"],
    "gevent": ["--workers", "2"],
}

_PATIENCE = 60


class Served:
    """A site that runs."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self._process = process

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        path = f"/proc/{self._process.pid}/task/{self._process.pid}/children"
        return [*map(int, pathlib.Path(path).read_text().split())]

    def oldest_memory(self) -> float:
        """What the worker that has served longest holds in memory, in MB."""
        status = pathlib.Path(f"/proc/{self.workers()[0]}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def kill_youngest_worker(self) -> None:
        """End it without a warning; the server starts another."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.workers()[-1], signal.SIGKILL)


@contextlib.contextmanager
def gunicorn(
    app: str, worker: str = "gthread", **variables: str
) -> cabc.Iterator[Served]:
    """An application, given as ``module:callable()``, on several workers.

    They end with the block, and so do those that were left when one was killed.
    """
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        listener = stack.enter_context(
            socket.create_server(("127.0.0.1", 0), backlog=2000)
        )
        log = stack.enter_context(open(f"{directory}/log", "ab"))
        paths = [_TESTS.parent, _TESTS, _TESTS / "support"]
        command = [sys.executable, "-m", "gunicorn", app, "--worker-class", worker]
        command += ["--bind", f"fd://{listener.fileno()}", *_WORKERS[worker]]
        command += ["--timeout", "120", "--keep-alive", "60"]
        process = subprocess.Popen(
            command,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
            | variables,
            cwd=directory,
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
        )
        try:
            served = Served(listener.getsockname()[1], process)
            _wait(served, process, pathlib.Path(directory, "log"))
            yield served
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(served: Served, process: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    end = time.monotonic() + _PATIENCE
    while not served.workers():
        is_hopeless = process.poll() is not None or time.monotonic() > end
        assert not is_hopeless, log.read_text()[-2000:]
        time.sleep(0.05)


def variables(site: str, url: str, **options: t.Any) -> dict[str, str]:
    """What :func:`sites.site` finds in the environment."""
    return {
        "FAULTS_SITE": site,
        "FAULTS_REDIS": url,
        "FAULTS_OPTIONS": json.dumps(options),
    }

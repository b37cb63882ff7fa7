"""The demo's command in a process of its own, and a browser without a window."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import http.cookiejar
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import typing as t
import urllib.parse
import urllib.request


class Demo:
    """The command in a process of its own, and what it started."""

    def __init__(self, process: subprocess.Popen[str], directory: str) -> None:
        self.process = process
        #: Where it keeps temporary files.
        self.directory = pathlib.Path(directory)
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_for("Ctrl-C ends")
        (self.url,) = re.findall(r"page +(\S+)", self.text)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self._queue.put(line)
        self._queue.put("")

    def wait_for(self, text: str) -> None:
        """Read until a line with that text; the end of the output is the line ""."""
        while True:
            line = self._queue.get(timeout=30)
            self.lines.append(line)
            if text in line and (text or not line):
                return
            assert line, f"the demo ended early: {self.text}"

    def end(self, number: int) -> int:
        """Send a signal to its process group, as a terminal does; its exit code."""
        os.killpg(self.process.pid, number)
        self.wait_for("")
        return self.process.wait(timeout=30)


class Browser:
    """Follows redirects and keeps cookies."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(self.jar),
        )

    def get(self, path: str = "") -> str:
        return self._open(path, None)

    def post(self, path: str, **form: str) -> str:
        return self._open(path, urllib.parse.urlencode(form).encode())

    def send_cookie(self, name: str, value: str) -> None:
        """Have a cookie that another browser was given."""
        self._opener.addheaders.append(("Cookie", f"{name}={value}"))

    def _open(self, path: str, data: bytes | None) -> str:
        url = urllib.parse.urljoin(self.url, path)
        with self._opener.open(url, data, timeout=30) as response:
            return t.cast(str, response.read().decode())


@contextlib.contextmanager
def running_demo(**environ: str) -> cabc.Iterator[Demo]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("SESSION_REDIS", "SECRET_KEY")
    }
    # A short path: a unix socket's may have no more than about 100 characters.
    with tempfile.TemporaryDirectory(prefix="demo-") as directory:
        process = subprocess.Popen(
            [
                sys.executable,
                *("-W", "error", "-m", "wsgi_redis_session", "demo", "--port", "0"),
            ],
            env={**inherited, "TMPDIR": directory, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,
            # These tests may run under nohup, whose children ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        try:
            yield Demo(process, directory)
        finally:
            process.kill()  # what it has started ends all the same
            process.wait()

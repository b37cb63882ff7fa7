"""Sites on real servers: where they listen, and who visits them."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import http.client
import os
import shutil
import socket
import struct
import sys
import threading
import time
from http.cookies import SimpleCookie

from deployed_site import PATIENCE


class Browser:
    """A visitor with a cookie jar."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.jar: dict[str, str] = {}

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={self.jar[name]}" for name in self.jar)

    def open(self, path: str) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=PATIENCE
        )
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Cookie": self.cookie})
            response = connection.getresponse()
            body = response.read()
        for header in response.headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(header).items():
                self.jar[name] = morsel.value
        return response, body

    def read(self, path: str) -> bytes:
        return self.open(path)[1]

    def leave_in_mid_stream(self, path: str) -> None:
        """Read a little of a page, then break the connection."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            lines = [f"GET {path} HTTP/1.1", "Host: test", f"Cookie: {self.cookie}"]
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            assert connection.recv(1024).startswith(b"HTTP/1.")
            # Closing sends a reset, as a browser does that wants nothing more.
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@contextlib.contextmanager
def listening() -> cabc.Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener


@contextlib.contextmanager
def in_thread(run: cabc.Callable[[], object]) -> cabc.Iterator[None]:
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def is_running(pid: int) -> bool:
    """Whether there is a process of that id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def program(name: str) -> str:
    """A program of this environment."""
    found = shutil.which(name, path=os.path.dirname(sys.executable))
    assert found, f"{name} was not found: pip install 'wsgi-redis-session[test]'"
    return found


def wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline

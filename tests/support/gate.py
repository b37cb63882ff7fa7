"""What lies between a client and a server: a network that fails."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
import typing as t

_LOCAL = "127.0.0.1"


class Gate:
    """One address for a server, which may change. It forwards bytes until it is told
    otherwise."""

    def __init__(self, target: int) -> None:
        #: The port of the server behind it.
        self.target = target
        #: How many of all replies are cut in the middle, from 0 to 1.
        self.cut = 0.0
        #: How late replies are, in seconds.
        self.lag = 0.0
        self._luck = random.Random(1)
        self._connections: set[socket.socket] = set()
        self._fillers: list[socket.socket] = []
        self._listener = socket.create_server((_LOCAL, 0), backlog=500)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"redis://{_LOCAL}:{self.port}/0"
        self._serve()

    def _serve(self) -> None:
        threading.Thread(
            target=self._accept, args=(self._listener,), daemon=True
        ).start()

    def swallow(self) -> None:
        """From now on nobody learns whether there is anything at this address."""
        self._stop()
        self._listener = self._listen(backlog=0)
        # The system drops who comes when there is no place left to wait in.
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect((_LOCAL, self.port))
            self._fillers.append(filler)

    def open(self) -> None:
        """Forward again."""
        self._stop()
        self._listener = self._listen(backlog=500)
        self._serve()

    def _listen(self, backlog: int) -> socket.socket:
        return socket.create_server((_LOCAL, self.port), backlog=backlog)

    def _stop(self) -> None:
        for each in [self._listener, *self._fillers]:
            # close() alone does not wake up who is waiting in accept()
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._fillers.clear()
        self.hang_up()

    def hang_up(self) -> None:
        """End all connections."""
        for connection in [*self._connections]:
            _end(connection)

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket()
            try:
                server.connect((_LOCAL, self.target))
            except OSError:
                client.close()
                continue
            self._connections |= {client, server}
            for one, other in (client, server), (server, client):
                threading.Thread(
                    target=self._forward, args=(one, other, one is server), daemon=True
                ).start()

    def _forward(self, one: socket.socket, other: socket.socket, replies: bool) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                if replies and self.lag:
                    time.sleep(self.lag)
                if replies and self._luck.random() < self.cut:
                    other.sendall(data[: len(data) // 2])
                    break
                other.sendall(data)
        self._connections -= {one, other}
        _end(one)
        _end(other)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()

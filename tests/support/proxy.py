"""A proxy between a client and Redis that loses what a test wants to be lost."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import socket
import tempfile
import threading
import typing as t


class Proxy:
    """Forwards whole commands and replies over unix sockets.

    ``on_reply(command, reply)`` is called before each reply is passed on, with the
    command's words and the raw reply. It returns what the client gets instead, or
    ``None`` to close the connection, so that the reply is lost.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.directory = tempfile.TemporaryDirectory()
        self.socket = f"{self.directory.name}/proxy.sock"
        self.url = f"unix://{self.socket}"
        self.on_reply: cabc.Callable[[list[bytes], bytes], bytes | None] = (
            lambda command, reply: reply
        )
        self.commands: list[list[bytes]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.socket)
        self._listener.listen()
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_replies(self, command: str, times: int = 1) -> None:
        """Lose the next replies to a command, which the server has carried out."""
        left = times

        def on_reply(words: list[bytes], reply: bytes) -> bytes | None:
            nonlocal left
            if words[0].decode() == command and left and b"NOSCRIPT" not in reply:
                left -= 1
                return None
            return reply

        self.on_reply = on_reply

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        # close() alone does not wake up who is waiting in accept() or recv()
        for connection in [self._listener, *self._connections]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.directory.cleanup()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.target)
            self._connections += [client, server]
            threading.Thread(
                target=self._serve, args=(client, server), daemon=True
            ).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        requests, replies = client.makefile("rb"), server.makefile("rb")
        with client, server, requests, replies, contextlib.suppress(OSError):
            while raw := _read(requests):
                words = raw.split(b"\r\n")[2::2]
                self.commands.append(words)
                server.sendall(raw)
                answer = self.on_reply(words, _read(replies))
                if answer is None:
                    return
                client.sendall(answer)


def _read(stream: t.BinaryIO) -> bytes:
    """One RESP value, raw."""
    line = stream.readline()
    if line[:1] == b"$" and line[1:2] != b"-":
        return line + stream.read(int(line[1:]) + 2)
    if line[:1] == b"*":
        return line + b"".join(_read(stream) for _ in range(int(line[1:])))
    return line

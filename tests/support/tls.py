"""TLS in front of a server, whether it was built with TLS or not."""

from __future__ import annotations

import contextlib
import pathlib
import select
import socket
import ssl
import threading
import typing as t

import trustme


class Certificate(t.NamedTuple):
    """A certificate, its private key and the authority that issued it, in files."""

    cert: pathlib.Path
    key: pathlib.Path
    authority: pathlib.Path


def certificate(directory: pathlib.Path, name: str) -> Certificate:
    """A new one for a host's name or address, of a new authority."""
    directory.mkdir()
    made = Certificate(*(directory / name for name in ("cert", "key", "authority")))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(made.authority)
    issued = authority.issue_cert(name)
    issued.cert_chain_pems[0].write_to_path(made.cert)
    issued.private_key_pem.write_to_path(made.key)
    return made


class TLSProxy:
    """Passes on what comes over TLS to a unix socket, and back. Use it in a ``with``
    statement.

    With ``client``, it serves only who has that certificate.
    """

    def __init__(
        self, target: str, own: Certificate, client: Certificate | None = None
    ) -> None:
        self.target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(own.cert, own.key)
        if client is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(client.authority)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[ssl.SSLSocket] = []
        self._serving: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @property
    def port(self) -> int:
        return t.cast(int, self._listener.getsockname()[1])

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        # close() alone does not wake up who is waiting in accept() or select()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._serving:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                client = self._context.wrap_socket(
                    plain, server_side=True, do_handshake_on_connect=False
                )
                thread = threading.Thread(target=self._serve, args=[client])
                self._connections.append(client)
                self._serving.append(thread)
                thread.start()

    def _serve(self, client: ssl.SSLSocket) -> None:
        # A client that does not take our certificate, or has none itself, sees why.
        with client, contextlib.suppress(OSError):
            client.do_handshake()
            with socket.socket(socket.AF_UNIX) as server:
                server.connect(self.target)
                while _pass_on(client, server):
                    pass


def _pass_on(client: ssl.SSLSocket, server: socket.socket) -> bool:
    """What comes next, from either side; false at its end."""
    # What was decrypted already does not show up in the socket.
    pair = [client, server]
    ready = [client] if client.pending() else select.select(pair, [], [])[0]
    for source in ready:
        data = source.recv(65536)
        (server if source is client else client).sendall(data)
        if not data:
            return False
    return True

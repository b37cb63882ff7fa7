"""One connection to a server of Redis: redis-py opens it, we ask over it.

What redis-py does for each command, it does for all that its users may want; one
command with its reply costs a third of that here.
"""

from __future__ import annotations

import _socket  # what sockets are without gevent, eventlet or TLS
import collections.abc as cabc
import signal
import socket
import struct
import sys
import typing as t

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .deadline import Deadline

#: An extra, which redis-py has imported where it is installed.
hiredis: t.Any = sys.modules.get("hiredis")

Command = tuple[str | bytes, ...]

#: Whether the kernel can watch the time that a plain socket waits. One of Python's with
#: a timeout asks before each sending and each reading whether it has to wait, which
#: takes a sixth of a short command. The bytes are a ``struct timeval`` (socket(7)).
_KERNEL_WAITS = sys.platform == "linux" and sys.maxsize > 2**32 and hiredis is not None
_TIMEVAL = struct.Struct("ll")

#: A socket takes no time at all for "do not wait", and the kernel for "for ever".
LEAST = 0.001

_CHUNK = 65536
_INCOMPLETE = object()


def _timeval(seconds: float) -> bytes:
    # Nothing at all would be for ever.
    return _TIMEVAL.pack(int(seconds), int(seconds % 1 * 1_000_000) or 1)


def _is_timed() -> bool:
    return signal.getitimer(signal.ITIMER_REAL)[0] > 0


class Link:
    """What a link adds to a connection of redis-py, from which it inherits as well.

    A link is in order while each question was answered completely. Any exception in
    between leaves it in doubt, and it is to be closed, because what it reads next may
    be the answer to somebody else's question.
    """

    #: Whether an answer may be on its way that nobody reads.
    in_doubt = False
    #: Whether it was opened and not closed since, at this end.
    is_open = False
    #: When the last question was asked, by the monotonic clock.
    asked_at = float("-inf")
    #: The right to have this connection, and the place where it is kept while idle.
    permit: object = None
    home: object = None
    #: Finds out host and port, where these are not fixed.
    locate: cabc.Callable[[Deadline], tuple[str, int]] | None = None

    # redis-py's.
    host: str
    port: int
    _sock: t.Any
    _parser: t.Any
    connect: cabc.Callable[[], None]
    disconnect: cabc.Callable[[], None]
    can_read: cabc.Callable[[], bool]
    pack_command: cabc.Callable[..., list[bytes]]

    def open(self, seconds: float, usual_seconds: float) -> None:
        """Connect, or connect anew, in so many seconds; each sending and each reading
        may usually take ``usual_seconds``. Raises what redis-py does."""
        self.in_doubt = True
        self.close()
        self._usual_seconds = usual_seconds
        self._opening = Deadline(seconds)
        try:
            self.connect()
        except (RedisError, OSError):
            raise
        except Exception as error:  # of a host that is no name, or a user's function
            raise RedisConnectionError(f"{type(error).__name__}: {error}") from error
        # A signal lets the kernel begin to wait anew; a timer does that all the time.
        is_plain = type(self._sock).recv is _socket.socket.recv
        self._is_in_kernel = _KERNEL_WAITS and is_plain and not _is_timed()
        if self._is_in_kernel:
            self._sock.settimeout(None)
            limit = _timeval(usual_seconds)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._wait_at_most(usual_seconds)
        if hiredis is not None:
            self._reader = hiredis.Reader(
                protocolError=InvalidResponse,
                replyError=self._parser.parse_error,
                notEnoughData=_INCOMPLETE,
            )
        self.is_open = True
        self.in_doubt = False

    @property
    def _left(self) -> float:
        """How long the next step may take while it is opened, in seconds: each of a
        host's addresses, the handshakes, each reply."""
        return max(LEAST, self._opening.left)

    @_left.setter
    def _left(self, seconds: object) -> None:
        """What redis-py would have it be."""

    socket_connect_timeout = socket_timeout = _left

    def read_response(self, *args: t.Any, **options: t.Any) -> t.Any:
        """redis-py's, which reads nothing but while it opens a connection."""
        self._sock.settimeout(self._left)
        return super().read_response(*args, **options)  # type: ignore[misc]  # redis-py's class comes after this one

    def close(self) -> None:
        """Close it at this end."""
        self.is_open = False
        self.disconnect()

    def is_stale(self) -> bool:
        """Whether the server has closed it, or an unread reply is in it."""
        try:
            if not self._is_in_kernel:
                is_stale = self.can_read()
                self._wait_at_most(self._usual_seconds)  # redis-py has set another
                return is_stale
            self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except (RedisError, OSError):
            return True
        return True

    def _wait_at_most(self, seconds: float) -> None:
        """Let each reading take so long, which is not 0; and each sending, which rarely
        waits, but for the longer time that was said first."""
        if self._is_in_kernel:
            limit = _timeval(seconds)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        else:
            self._sock.settimeout(seconds)

    def ask(
        self,
        command: Command,
        then: Command | None = None,
        *,
        seconds: float | None = None,
    ) -> t.Any:
        """Send a command and return its reply; an error of the server's is returned.

        With ``then``, send that in the same packet, and return both replies.
        ``seconds`` is how long each sending and each reading may take this time.
        Raises redis-py's :exc:`ConnectionError` or :exc:`TimeoutError`.
        """
        self.in_doubt = True
        sock = self._sock
        try:
            if seconds is not None:
                self._wait_at_most(seconds)
            if then is None:
                sock.sendall(self._pack(command))
                reply = self._read()
            else:
                sock.sendall(self._pack(command) + self._pack(then))
                reply = self._read(), self._read(is_next=True)
        except (TimeoutError, BlockingIOError) as error:
            raise RedisTimeoutError("it did not answer in time") from error
        except OSError as error:
            raise RedisConnectionError(str(error)) from error
        if seconds is not None:
            self._wait_at_most(self._usual_seconds)
        self.in_doubt = False
        return reply

    def ask_all(self, commands: cabc.Sequence[Command]) -> list[t.Any]:
        """The replies to commands that are sent in one go. Raises as :meth:`ask`."""
        self.in_doubt = True
        try:
            self._sock.sendall(b"".join(map(self._pack, commands)))
            replies = [self._read(is_next=at > 0) for at in range(len(commands))]
        except (TimeoutError, BlockingIOError) as error:
            raise RedisTimeoutError("it did not answer in time") from error
        except OSError as error:
            raise RedisConnectionError(str(error)) from error
        self.in_doubt = False
        return replies

    if hiredis is not None:
        _pack = staticmethod(hiredis.pack_command)  # a function of C

        def _read(self, *, is_next: bool = False) -> t.Any:
            sock, reader = self._sock, self._reader
            reply = reader.gets() if is_next else _INCOMPLETE
            while reply is _INCOMPLETE:
                data = sock.recv(_CHUNK)
                if not data:
                    raise RedisConnectionError("the server closed the connection")
                reader.feed(data)
                reply = reader.gets()
            return reply

    else:

        def _pack(self, command: Command) -> bytes:  # type: ignore[misc]  # a method
            return b"".join(self.pack_command(*command))

        def _read(self, *, is_next: bool = False) -> t.Any:
            try:
                return self._parser.read_response()
            except RedisConnectionError as error:
                # An error of the server's that redis-py takes for one of these.
                if getattr(error, "status_code", None):
                    return error
                raise

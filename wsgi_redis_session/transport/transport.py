"""How a command reaches Redis: one server, a cluster, or a client that was given."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import time
import typing as t

from redis.exceptions import ChildDeadlockedError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError
from redis.exceptions import RedisClusterException
from redis.exceptions import RedisError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ..errors import SessionUnavailable
from ..events import EventLog
from .breaker import Breaker
from .deadline import Deadline
from .question import Command
from .question import Misdirected
from .question import Question
from .server import NotReplicated
from .server import Server

#: What redis-py raises; not all of it is a RedisError.
FAILURES = (RedisError, RedisClusterException, ChildDeadlockedError, OSError)

#: How many keys a SCAN looks at in one go.
SCAN_COUNT = 100


class Transport(t.Protocol):
    """How a command reaches Redis; it knows what may be asked again, and when."""

    #: Which server it is, for people; without user and password.
    place: str

    @property
    def protection(self) -> str | None:
        """What keeps others from reading what is sent, in words; "" for nothing, and
        ``None`` where that is not known."""

    @property
    def is_doubtful(self) -> bool:
        """Whether a reply may be that to somebody else's command."""

    def send(self, question: Question) -> t.Any:
        """The reply to a question.

        Raises redis-py's :exc:`ResponseError` for a command that Redis refuses,
        :exc:`~wsgi_redis_session.transport.question.Misdirected` where no reply can be
        that to this question, and :exc:`~wsgi_redis_session.SessionUnavailable` for all
        other failures.
        """

    def send_all(
        self, deadline: Deadline, commands: cabc.Sequence[Command]
    ) -> list[t.Any]:
        """The replies to many commands, few packets for all of them; an error of the
        server's stands where its reply would. Nothing is asked a second time.

        Raises :exc:`~wsgi_redis_session.SessionUnavailable`; nobody knows then which
        of them were carried out.
        """

    def nodes(self, deadline: Deadline) -> cabc.Iterator[Transport]:
        """Each server that has keys of its own."""

    def scan(self, pattern: str, deadline: Deadline) -> cabc.Iterator[list[bytes]]:
        """The keys that match a pattern, some at a time, each at least once; on every
        server that has its own."""

    def drop(self) -> None:
        """Close all connections; the next command opens new ones."""


class ServerTransport:
    """To one server; ``place`` says to people which one it is."""

    def __init__(self, server: Server, place: str, protection: str = "") -> None:
        self.protection = protection
        self.is_doubtful = False
        self._server = server
        self.place = place

    def send(self, question: Question) -> t.Any:
        """See :meth:`Transport.send`."""
        try:
            return self._server.ask(question)
        except MovedError as error:
            raise SessionUnavailable(
                f"{self.place} is a node of a cluster: write redis+cluster:// in the "
                "place of redis:// in its URL"
            ) from error
        except ResponseError:
            raise
        except NotReplicated as error:
            raise SessionUnavailable(str(error)) from error
        except FAILURES as error:
            raise unavailable(self.place, error) from error

    def send_all(
        self, deadline: Deadline, commands: cabc.Sequence[Command]
    ) -> list[t.Any]:
        """See :meth:`Transport.send_all`."""
        try:
            return self._server.ask_all(deadline, commands)
        except FAILURES as error:
            raise unavailable(self.place, error) from error

    def nodes(self, deadline: Deadline) -> cabc.Iterator[Transport]:
        """See :meth:`Transport.nodes`."""
        yield self

    def scan(self, pattern: str, deadline: Deadline) -> cabc.Iterator[list[bytes]]:
        """See :meth:`Transport.scan`."""
        yield from _scanned(self.send, pattern, deadline)

    @property
    def busy(self) -> int:
        """How many connections are in use at the moment."""
        return self._server.busy

    def drop(self) -> None:
        """See :meth:`Transport.drop`."""
        self._server.drop()


class Client(t.Protocol):
    """What is needed of redis-py's ``Redis`` and ``RedisCluster``."""

    def execute_command(self, *args: t.Any, **options: t.Any) -> t.Any:
        """Send a command and return its reply."""


class ClientTransport:
    """Through a client that somebody else has made, with its own timeouts and retries:
    an instrumented one, one with a single connection, of a cluster or of a Sentinel."""

    def __init__(
        self, client: Client, events: EventLog, *, is_doubtful: bool = False
    ) -> None:
        self.protection = None
        self.is_doubtful = is_doubtful
        self.client = client
        self.place = _place_of(client)
        self._events = events
        # Of those servers that have not answered the last time.
        self._breakers: dict[str, Breaker] = {}

    def send(self, question: Question) -> t.Any:
        """See :meth:`Transport.send`."""
        breaker = self._breaker(question) if self._breakers else None
        if breaker and breaker.open_until and breaker.refuses(time.monotonic()):
            raise SessionUnavailable(
                f"{self.place}: it did not answer several times, and is left alone for "
                "a second"
            )
        try:
            reply = self._send(question)
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            breaker = breaker or self._breaker(question)
            breaker.failed(time.monotonic())
            raise unavailable(self.place, error) from error
        except ResponseError:
            raise
        except FAILURES as error:
            raise unavailable(self.place, error) from error
        if breaker and breaker.failures:
            breaker.succeeded()
        return reply

    def _breaker(self, question: Question) -> Breaker:
        """That of the server, or of the cluster's node that has the key."""
        node_of = getattr(self.client, "get_node_from_key", None)
        name = ""
        if node_of is not None:
            # A cluster may not know any more who has it.
            with contextlib.suppress(*FAILURES):
                name = node_of(question.key).name
        return self._breakers.setdefault(name, Breaker())

    def _send(self, question: Question) -> t.Any:
        reply = self.client.execute_command(*question.command)
        if question.is_ours is None or question.is_ours(reply):
            return reply
        detail = "a reply was meant for somebody else"
        self._events.emit("desynchronised", None, detail)
        self.drop()
        reply = self.client.execute_command(*(question.again or question.command))
        if question.is_ours(reply):
            return reply
        raise Misdirected

    def send_all(
        self, deadline: Deadline, commands: cabc.Sequence[Command]
    ) -> list[t.Any]:
        """See :meth:`Transport.send_all`; such a client is asked one by one."""
        return [self._reply(Question(deadline.renewed(), words)) for words in commands]

    def _reply(self, question: Question) -> t.Any:
        try:
            return self.send(question)
        except ResponseError as error:
            return error

    def nodes(self, deadline: Deadline) -> cabc.Iterator[Transport]:
        """See :meth:`Transport.nodes`."""
        get_primaries = getattr(self.client, "get_primaries", None)
        if get_primaries is None:
            yield self
            return
        for node in get_primaries():
            client = self.client.get_redis_connection(node)  # type: ignore[attr-defined]  # it is a cluster's
            yield ClientTransport(client, self._events)

    def scan(self, pattern: str, deadline: Deadline) -> cabc.Iterator[list[bytes]]:
        """See :meth:`Transport.scan`."""
        for node in self.nodes(deadline):
            yield from _scanned(node.send, pattern, deadline)

    def drop(self) -> None:
        """See :meth:`Transport.drop`."""
        pool = getattr(self.client, "connection_pool", None)
        if pool is not None:
            pool.disconnect()
        else:
            disconnect = getattr(self.client, "disconnect_connection_pools", None)
            if disconnect is not None:
                disconnect()


def shown_place(settings: cabc.Mapping[str, t.Any]) -> str:
    """Which server the arguments of a connection lead to, for people."""
    host, port = settings.get("host", "localhost"), settings.get("port", 6379)
    return f"Redis at {settings.get('path') or f'{host}:{port}'}"


def _place_of(client: t.Any) -> str:
    """The same of a client that was given, as far as it says."""
    pool: t.Any = getattr(client, "connection_pool", None)
    if hasattr(pool, "service_name"):
        return f"Redis ({pool.service_name!r})"
    settings = getattr(pool, "connection_kwargs", None)
    return "Redis" if settings is None else shown_place(settings)


def unavailable(place: str, error: BaseException) -> SessionUnavailable:
    """The error for one of redis-py's; it names server and failure, and no secret."""
    return SessionUnavailable(f"{place}: {error}")


def _scanned(
    send: cabc.Callable[[Question], t.Any], pattern: str, deadline: Deadline
) -> cabc.Iterator[list[bytes]]:
    cursor = b"0"
    while True:
        command = ("SCAN", cursor, "MATCH", pattern, "COUNT", b"%d" % SCAN_COUNT)
        try:
            found, keys = send(Question(deadline.renewed(), command))
        except ResponseError as error:
            raise SessionUnavailable(str(error)) from error
        cursor = found if isinstance(found, bytes) else b"%d" % found
        yield keys
        if cursor == b"0":
            return

"""How a command reaches Redis, and what becomes of one that is not answered."""

from __future__ import annotations

import collections.abc as cabc
import inspect
import typing as t

from redis import Redis
from redis.exceptions import ChildDeadlockedError
from redis.exceptions import RedisClusterException
from redis.exceptions import RedisError
from redis.exceptions import ResponseError

from .errors import SessionUnavailable
from .events import EventLog

#: What a client does that nobody has put something around.
_PLAIN = Redis.execute_command if inspect.isfunction(Redis.execute_command) else None

#: What redis-py raises; not all of it is a RedisError.
_FAILURES = (RedisError, RedisClusterException, ChildDeadlockedError, OSError)

Command = tuple[str | bytes, ...]

#: Whether a reply can be that to a command.
Check = cabc.Callable[[t.Any], bool]


class Client(t.Protocol):
    """What is needed of redis-py's ``Redis`` and ``RedisCluster``."""

    def execute_command(self, *args: t.Any, **options: t.Any) -> t.Any:
        """Send a command and return its reply."""


class Transport:
    """Sends commands through a client of redis-py, and asks again where that is safe.

    Every command that is sent here may be repeated after its reply was lost.
    """

    def __init__(self, client: Client, events: EventLog) -> None:
        self.client = client
        self._events = events
        # A client with a single connection has a lock for it, a cluster many pools.
        self._pool: t.Any = None
        if isinstance(client, Redis) and client.connection is None:
            self._pool = client.connection_pool

    def send(
        self, command: Command, is_ours: Check | None = None, again: Command = ()
    ) -> t.Any:
        """The reply to one command.

        A reply that ``is_ours`` says no to was meant for somebody else: the connection
        that gave it is dropped, and the command is sent over a fresh one. ``again`` is
        what is sent in its place when it is not known whether it was carried out.

        Raises :exc:`ResponseError` for a command that Redis refuses by an error that
        is for the caller to read, and
        :exc:`~wsgi_redis_session.SessionUnavailable` for all other failures.
        """
        try:
            reply = self._send(command, again or command, is_ours)
            if is_ours is None or is_ours(reply):
                return reply
            self._events.emit(
                "desynchronised", None, "a reply was meant for somebody else"
            )
            return self._send(again or command, again or command, None)
        except ResponseError:
            raise
        except _FAILURES as error:
            raise SessionUnavailable from error

    def drop(self) -> None:
        """Close all connections; the next command opens a new one."""
        pool = getattr(self.client, "connection_pool", None)
        if pool is not None:
            pool.disconnect()
        else:
            disconnect = getattr(self.client, "disconnect_connection_pools", None)
            if disconnect is not None:
                disconnect()

    def _send(self, command: Command, again: Command, is_ours: Check | None) -> t.Any:
        """One command over one connection of the pool, which is half of what redis-py's
        ``execute_command`` costs. That one is called where somebody listens to it, for
        tracing, say, or where there is more to it."""
        client = self.client
        pool = self._pool
        if pool is None or type(client).execute_command is not _PLAIN:
            reply = client.execute_command(*command)
            if is_ours is not None and not is_ours(reply):
                self.drop()
            return reply
        connection = pool.get_connection()
        try:
            try:
                connection.send_command(*command)
                reply = connection.read_response()
            except Exception as error:  # which of them to retry, redis-py decides
                return _retry(connection, again, error)
            if is_ours is not None and not is_ours(reply):
                connection.disconnect()
            return reply
        except ResponseError:
            raise
        except BaseException:
            # Its reply may still be on the way: nobody else is to read it.
            connection.disconnect()
            raise
        finally:
            pool.release(connection)


def _retry(connection: t.Any, command: Command, failure: Exception) -> t.Any:
    """Let redis-py decide what becomes of a first attempt that failed."""
    failures = [failure]

    def ask() -> t.Any:
        if failures:
            raise failures.pop()
        connection.send_command(*command)
        return connection.read_response()

    def hang_up(error: Exception) -> None:
        connection.disconnect()

    return connection.retry.call_with_retry(ask, hang_up)

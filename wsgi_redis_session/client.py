"""From what the user gave for Redis to a client that can serve, or a clear error."""

from __future__ import annotations

import inspect
import os
import queue
import re
import time
import typing as t
from urllib.parse import parse_qsl
from urllib.parse import urlsplit

from redis import BlockingConnectionPool
from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from .config import SessionConfig
from .errors import ConfigurationError
from .events import logger
from .options import named_by
from .transport import Client

#: Valkey's schemes mean the same protocol under another name.
_SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "unix": "unix",
    "valkey": "redis",
    "valkeys": "rediss",
}

#: How long nobody asks whether a connection is still in order, in seconds: as long as
#: a request may take from its first command to its next one.
_MOMENT = 0.05

_DEFAULT_URL = "redis://localhost:6379/0"


def connect(redis: str | Client | None, config: SessionConfig) -> Client:
    """A client for a URL; a client that was given is checked and returned.

    ``None`` stands for the environment variable ``SESSION_REDIS``, and where that is
    not set for ``redis://localhost:6379/0``. Nothing is sent: Redis may come up later.

    Raises :exc:`~wsgi_redis_session.ConfigurationError`.
    """
    if redis is None:
        with named_by({"redis": "SESSION_REDIS"}):
            return _from_url(os.environ.get("SESSION_REDIS", _DEFAULT_URL), config)
    return _from_url(redis, config) if isinstance(redis, str) else _checked(redis)


def _from_url(url: str, config: SessionConfig) -> Client:
    try:
        pool = _pool(url, config)
    except (TypeError, ValueError, RedisError) as error:
        message = f"redis={_shown(url)!r} cannot work: {error}"
        raise ConfigurationError(message, "redis") from None
    return _checked(Redis(connection_pool=pool))


class _Stack:
    """What a pool needs of :class:`queue.LifoQueue`, for a tenth of what that costs."""

    def __init__(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self.queue: list[t.Any] = []
        # One for each thing in the list. Looked up when a pool is made, and again after
        # a fork: by then gevent may have put one there that loses nothing when a
        # greenlet's timeout strikes.
        self._permits: queue.SimpleQueue[None] = queue.SimpleQueue()

    def put_nowait(self, item: t.Any) -> None:
        """Raises :exc:`queue.Full`."""
        if len(self.queue) >= self.maxsize:
            raise queue.Full
        self.queue.append(item)
        self._permits.put(None)

    def get(self, block: bool = True, timeout: float | None = None) -> t.Any:
        """Raises :exc:`queue.Empty`."""
        self._permits.get(block, timeout)
        return self.queue.pop()


class _Pool(BlockingConnectionPool):
    """Hands out an idle connection that is in order without further ado.

    redis-py counts and times all that goes in and out, even where nobody asks, which
    takes a tenth of a round trip on the same machine.
    """

    #: The connection that was given back last, and when.
    _latest: tuple[t.Any, float] = (None, float("-inf"))

    def get_connection(self, *args: t.Any, **options: t.Any) -> t.Any:
        """Otherwise wait for one, open one or repair one, as redis-py does."""
        connection = self._idle() if self.pid == os.getpid() else None
        if connection is None:
            return super().get_connection()  # type: ignore[no-untyped-call]  # redis-py
        return connection

    def _idle(self) -> t.Any:
        """A connection that is open, at both ends, and has no unread reply in it."""
        try:
            connection = self.pool.get(block=False)
        except queue.Empty:
            return None
        is_in_order = False
        try:
            # One that is closed would open itself if it were asked.
            if getattr(connection, "_sock", None) is not None:
                latest, released = self._latest
                is_new = time.monotonic() - released < _MOMENT
                is_in_order = (
                    connection is latest and is_new
                ) or not connection.can_read()
        except (RedisError, OSError):
            pass
        finally:
            if not is_in_order:
                self.pool.put_nowait(connection)
        return connection if is_in_order else None

    def release(self, connection: t.Any) -> None:
        """Take a connection back."""
        # redis-py 6 does not know connections that must be made anew.
        must_reconnect = getattr(connection, "should_reconnect", bool)()
        # After a fork, get_connection() forgets all that is in this pool.
        if connection.pid == self.pid and not must_reconnect:
            self._latest = connection, time.monotonic()
            self.pool.put_nowait(connection)
        else:
            super().release(connection)  # type: ignore[no-untyped-call]  # redis-py


def _pool(url: str, config: SessionConfig) -> _Pool:
    scheme, colon, rest = url.partition("://")
    if not colon or scheme not in _SCHEMES:
        raise ValueError(
            f"its scheme must be one of {', '.join(_SCHEMES)}, as in "
            f"{_DEFAULT_URL!r}; any other server can be given as a client of redis-py."
        )
    url = f"{_SCHEMES[scheme]}://{rest}"
    _check_url(url)
    retry = Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.1), config.retries)
    pool = _Pool.from_url(
        url,
        # RESP3 turns off the check for unread replies in redis-py 8.
        protocol=2,
        socket_connect_timeout=config.seconds("connect_timeout"),
        socket_timeout=config.seconds("read_timeout"),
        retry=retry,
        max_connections=config.max_connections,
        timeout=config.seconds("pool_timeout"),
        queue_class=_Stack,
    )
    # A query parameter that cannot work is found out here, not in a request.
    made = pool.connection_kwargs
    for name in ("socket_connect_timeout", "socket_timeout"):
        if not 0 < made[name] < float("inf"):
            raise ValueError(f"{name} must be a number of seconds, more than zero.")
    if made["retry"] is not retry:
        raise ValueError("retry is no part of a URL; there is the option retries.")
    pool.connection_class(**made)
    return pool


def _check_url(url: str) -> None:
    """What redis-py would silently take for something else."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("its host or port cannot be read.") from None
    is_socket = parts.scheme == "unix"
    if "#" in url or (not is_socket and "@" in parts.path + parts.query):
        raise ValueError(
            "it must have @, /, ? and # in a user name, password or value as %40, %2F, "
            "%3F and %23."
        )
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if is_socket and (parts.hostname or not parts.path.strip("/")):
        raise ValueError("it names no socket; write unix:///path/to/redis.sock.")
    try:
        parts.port  # noqa: B018  # raises for a port that is no number
    except ValueError:
        raise ValueError("its host or port cannot be read.") from None
    path = "" if is_socket else parts.path.strip("/")
    if not query.get("db", path or "0").isdecimal():
        raise ValueError(f"the database must be a number, as in {_DEFAULT_URL!r}.")


def _checked(client: t.Any) -> Client:
    """Refuse a client that cannot serve, warn about one that is not safe."""
    execute = getattr(client, "execute_command", None)
    if execute is None or isinstance(client, type):
        given = client if isinstance(client, type) else type(client)
        what = "the class" if given is client else "a"
        raise ConfigurationError(
            "redis must be a URL or a client of redis-py, not "
            f"{what} {given.__qualname__}.",
            "redis",
        )
    if inspect.iscoroutinefunction(execute):
        raise ConfigurationError(
            "redis is an asyncio client; WSGI needs redis.Redis or "
            "redis.cluster.RedisCluster.",
            "redis",
        )
    encoder = getattr(client, "get_encoder", lambda: None)()
    if getattr(encoder, "decode_responses", False):
        raise ConfigurationError(
            "redis is a client with decode_responses=True, but sessions are bytes: "
            "give the sessions a client of their own without it.",
            "redis",
        )
    if any(map(_is_notified, _pools(client))):
        logger.warning(
            "The client given for redis uses RESP3 with maintenance notifications, "
            "which turns off redis-py's check for unread replies: give it protocol=2."
        )
    return t.cast(Client, client)


def _pools(client: t.Any) -> list[t.Any]:
    """The connection pool of a client, or those of a cluster's nodes."""
    if hasattr(client, "connection_pool"):
        return [client.connection_pool]
    nodes: list[t.Any] = getattr(client, "get_nodes", list)()
    return [
        node.redis_connection.connection_pool
        for node in nodes
        if node.redis_connection is not None
    ]


def _is_notified(pool: t.Any) -> bool:
    return bool(getattr(pool, "maint_notifications_enabled", bool)())


def _shown(url: str) -> str:
    """A URL as it was given, without what is or may be user, password or query."""
    found = re.match(r"\s*(?:[a-z][a-z\d+.-]*:)?//", url, re.IGNORECASE)
    start = found[0] if found else ""
    rest, *query = re.split("[?#]", url.removeprefix(start), maxsplit=1)
    if "@" in "".join(query):
        return f"{start}..."  # all of it may be a password that has a "?"
    is_socket = start.strip().lower() == "unix://"
    if is_socket and (rest.startswith("/") or "@/" in rest):
        return f"{start}/{rest.rpartition('@/')[2].removeprefix('/')}"
    _, at, place = rest.rpartition("@")
    return start + (place if at else _without_password(place))


def _without_password(place: str) -> str:
    """Where a host was left out, a password stands in the place of the port; only the
    addresses of IPv6 have other colons."""
    colons = r"(?is)(\A\[[\da-f:.]*\]?)|:(?!\d{0,5}(?:[/,]|$)).*"
    return re.sub(colons, lambda found: found[1] or ":...", place)

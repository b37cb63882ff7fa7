"""From what the user gave for Redis to a client that can serve, or a clear error."""

from __future__ import annotations

import inspect
import os
import typing as t
from urllib.parse import parse_qsl
from urllib.parse import urlsplit

from redis import BlockingConnectionPool
from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from .config import SessionConfig
from .errors import ConfigurationError
from .events import logger
from .store import Client

#: Valkey's schemes mean the same protocol under another name.
_SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "unix": "unix",
    "valkey": "redis",
    "valkeys": "rediss",
}

_DEFAULT_URL = "redis://localhost:6379/0"


def connect(redis: str | Client | None, config: SessionConfig) -> Client:
    """A client for a URL; a client that was given is checked and returned.

    ``None`` stands for the environment variable ``SESSION_REDIS``, and where that is
    not set for ``redis://localhost:6379/0``. Nothing is sent: Redis may come up later.

    Raises :exc:`~wsgi_redis_session.ConfigurationError`.
    """
    if redis is None:
        redis = os.environ.get("SESSION_REDIS", _DEFAULT_URL)
    return _from_url(redis, config) if isinstance(redis, str) else _checked(redis)


def _from_url(url: str, config: SessionConfig) -> Client:
    scheme, colon, rest = url.partition("://")
    if not colon or scheme not in _SCHEMES:
        raise ConfigurationError(
            f"redis={_shown(url)!r} cannot work: its scheme must be one of "
            f"{', '.join(_SCHEMES)}, as in {_DEFAULT_URL!r}; any other server can be "
            "given as a client of redis-py."
        )
    url = f"{_SCHEMES[scheme]}://{rest}"
    _check_url(url)
    retry = Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.1), config.retries)
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            # RESP3 turns off the check for unread replies in redis-py 8.
            protocol=2,
            socket_connect_timeout=config.seconds("connect_timeout"),
            socket_timeout=config.seconds("read_timeout"),
            retry=retry,
            max_connections=config.max_connections,
            timeout=config.seconds("pool_timeout"),
        )
        # A query parameter that does not exist is found out here, not in a request.
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"redis={_shown(url)!r} cannot work: {error}"
        ) from None
    return _checked(Redis(connection_pool=pool))


def _check_url(url: str) -> None:
    """What redis-py would silently take for something else."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises for a port that is no number
    except ValueError:
        raise ConfigurationError(
            f"redis={_shown(url)!r} cannot work: its host or port cannot be read."
        ) from None
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme == "unix":
        if not parts.path.strip("/"):
            raise ConfigurationError(
                f"redis={_shown(url)!r} cannot work: it names no socket; write "
                "unix:///path/to/redis.sock."
            )
        database = query.get("db", "0")
    else:
        database = query.get("db", parts.path.strip("/") or "0")
    if not database.isdecimal():
        raise ConfigurationError(
            f"redis={_shown(url)!r} cannot work: the database must be a number, as in "
            f"{_DEFAULT_URL!r}."
        )


def _checked(client: t.Any) -> Client:
    """Refuse a client that cannot serve, warn about one that is not safe."""
    execute = getattr(client, "execute_command", None)
    if execute is None:
        raise ConfigurationError(
            f"redis must be a URL or a client of redis-py, not a "
            f"{type(client).__qualname__}."
        )
    if inspect.iscoroutinefunction(execute):
        raise ConfigurationError(
            "redis is an asyncio client; WSGI needs redis.Redis or "
            "redis.cluster.RedisCluster."
        )
    encoder = getattr(client, "get_encoder", lambda: None)()
    if getattr(encoder, "decode_responses", False):
        raise ConfigurationError(
            "redis is a client with decode_responses=True, but sessions are bytes: "
            "give the sessions a client of their own without it."
        )
    pool = getattr(client, "connection_pool", None)
    notified = getattr(pool, "maint_notifications_enabled", lambda: False)
    if notified():
        logger.warning(
            "The client given for redis uses RESP3 with maintenance notifications, "
            "which turns off redis-py's check for unread replies: give it protocol=2."
        )
    return t.cast(Client, client)


def _shown(url: str) -> str:
    """A URL without user and password."""
    scheme, colon, rest = url.partition("://")
    return f"{scheme}{colon}{rest.rpartition('@')[2]}".partition("?")[0]

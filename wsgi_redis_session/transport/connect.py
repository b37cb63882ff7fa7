"""From what the user gave for Redis to a way there, or a clear error."""

from __future__ import annotations

import functools
import inspect
import os
import typing as t

from redis import BlockingConnectionPool
from redis import Connection
from redis import ConnectionPool
from redis import Redis
from redis import SSLConnection
from redis import UnixDomainSocketConnection
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from ..config import SessionConfig
from ..errors import ConfigurationError
from ..events import EventLog
from ..events import logger
from ..options import named_by
from .cluster import ClusterTransport
from .link import Link
from .sentinels import Sentinels
from .server import Patience
from .server import Server
from .transport import Client
from .transport import ClientTransport
from .transport import ServerTransport
from .transport import shown_place
from .transport import Transport
from .urls import Address
from .urls import DEFAULT_URL
from .urls import parse
from .urls import shown
from .urls import Target

#: What a client does that nobody has put something around.
_PLAIN = Redis.execute_command if inspect.isfunction(Redis.execute_command) else None

_PLAIN_POOLS = (ConnectionPool, BlockingConnectionPool)
_PLAIN_CONNECTIONS = (Connection, SSLConnection, UnixDomainSocketConnection)

#: Settings of a connection that ours has otherwise, or does without.
_OURS = (
    "cache",
    "connection_pool",
    "event_dispatcher",
    "legacy_responses",
    "maint_notifications_config",
    "retry",
    "retry_on_error",
    "retry_on_timeout",
    "timeout",
)


def connect(
    redis: str | Client | Transport | None, config: SessionConfig, events: EventLog
) -> Transport:
    """The way to the server that a URL names, or over a client that was given.

    ``None`` stands for the environment variable ``SESSION_REDIS``, and where that is
    not set for ``redis://localhost:6379/0``. What is a transport already is returned.
    Nothing is sent: Redis may come up later.

    Raises :exc:`~wsgi_redis_session.ConfigurationError`.
    """
    if redis is None:
        with named_by({"redis": "SESSION_REDIS"}):
            return _by_url(os.environ.get("SESSION_REDIS", DEFAULT_URL), config, events)
    if isinstance(redis, str):
        return _by_url(redis, config, events)
    if isinstance(redis, (ServerTransport, ClusterTransport, ClientTransport)):
        return redis
    client = _checked(redis)
    target = target_of(client)
    if target is not None:
        return Builder(target, config, events).transport()
    _warn(client)
    if config.wait_replicas:
        raise ConfigurationError(
            f"wait_replicas={config.wait_replicas} cannot work with the client that is "
            "given for redis: give its URL.",
            "wait_replicas",
        )
    return ClientTransport(client, events, is_doubtful=is_doubtful(client))


def _by_url(url: str, config: SessionConfig, events: EventLog) -> Transport:
    try:
        target = parse(url)
        if target.settings.get("decode_responses"):
            raise ValueError("decode_responses=True, but sessions are bytes.")
        builder = Builder(target, config, events)
        builder.link()
    except (TypeError, ValueError, RedisError) as error:
        message = f"redis={shown(url)!r} cannot work: {error}"
        raise ConfigurationError(message, "redis") from None
    return builder.transport()


#: So many clients a server has by default, and for each there is a permit.
_MAX_CONNECTIONS = 10_000

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Builder:
    """Makes what a target needs, with the limits of a configuration."""

    def __init__(self, target: Target, config: SessionConfig, events: EventLog) -> None:
        self._target = target
        self._events = events
        given, seconds = target.settings, config.seconds
        self.patience = Patience(
            given.get("socket_connect_timeout") or seconds("connect_timeout"),
            min(
                given.get("socket_timeout") or seconds("read_timeout"),
                seconds("operation_timeout"),
            ),
            seconds("pool_timeout"),
            config.retries,
        )
        # Without a limit, the clients of redis-py 6 and 7 have one of 2 ** 31.
        limit = given.get("max_connections") or config.max_connections
        self._max_connections = min(limit, _MAX_CONNECTIONS)
        self._wait_replicas = config.wait_replicas
        self._settings = {
            name: value for name, value in given.items() if name not in _OURS
        }
        self._settings.pop("max_connections", None)
        # RESP3 turns off the check for unread replies in redis-py 8.
        self._settings |= {"protocol": 2, "retry": Retry(NoBackoff(), 0)}
        self._class = type("Link", (Link, target.connection_class), {})

    def transport(self) -> Transport:
        """The way to the target."""
        target = self._target
        if target.kind == "cluster":
            hosts = [host for host, _ in target.addresses]
            protection = self._protection(hosts)
            return ClusterTransport(target.addresses, self._node, protection)
        if target.kind == "sentinel":
            make = functools.partial(self.link, locate=self._sentinels().primary)
            hosts = [host for host, _ in target.addresses]
            return ServerTransport(
                self._server(make),
                f"Redis ({target.service!r})",
                self._protection(hosts),
            )
        hosts = [self._settings.get("host", "localhost")]
        return ServerTransport(
            self._server(self.link),
            shown_place(self._settings),
            self._protection(hosts),
        )

    def link(self, **more: t.Any) -> Link:
        """A link that is not open yet."""
        locate = more.pop("locate", None)
        link: t.Any = self._class(**{**self._settings, **more})
        link.locate = locate
        return t.cast(Link, link)

    def _node(self, address: Address) -> Server:
        host, port = address
        return self._server(functools.partial(self.link, host=host, port=port))

    def _server(self, make: t.Any) -> Server:
        return Server(
            make,
            self._max_connections,
            self.patience,
            self._events,
            self._wait_replicas,
        )

    def _sentinels(self) -> Sentinels:
        target, patience = self._target, self.patience
        seconds = min(patience.connect_timeout, patience.read_timeout) / 4
        return Sentinels(target.sentinels, target.service, seconds)

    def _protection(self, hosts: list[str]) -> str:
        """What keeps others from reading what is sent; "" for nothing."""
        connection = self._target.connection_class
        if issubclass(connection, SSLConnection):
            return "TLS"
        if issubclass(connection, UnixDomainSocketConnection):
            return "a Unix socket"
        is_local = all(host in _LOOPBACK for host in hosts)
        return "this machine only" if is_local else ""


def target_of(client: t.Any) -> Target | None:
    """What a client's connections are made from, if it is as redis-py makes it, so that
    nothing is missed when it is left alone."""
    pool: t.Any = getattr(client, "connection_pool", None)
    is_plain = (
        type(client) is Redis
        and Redis.execute_command is _PLAIN
        and client.connection is None
        and type(pool) in _PLAIN_POOLS
        and pool.connection_class in _PLAIN_CONNECTIONS
        and not pool.connection_kwargs.get("retry_on_error")
    )
    if not is_plain:
        return None
    settings = {**pool.connection_kwargs, "max_connections": pool.max_connections}
    return Target("server", pool.connection_class, settings, [])


def _checked(client: t.Any) -> Client:
    """Refuse a client that cannot serve."""
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
    return t.cast(Client, client)


def is_doubtful(client: t.Any) -> bool:
    """Whether a client that is used as it is does not look for unread replies."""
    return any(map(_is_notified, _pools(client)))


def _warn(client: t.Any) -> None:
    if is_doubtful(client):
        logger.warning(
            "The client given for redis can give one request the reply to another "
            "one after a timeout, because it does not look for unread replies. Make "
            "it with protocol=2, or give the URL in its place."
        )


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

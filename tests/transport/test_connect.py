from __future__ import annotations

import collections.abc as cabc
import contextlib
import inspect
import logging
import pathlib
import traceback
import typing as t

import pytest
import redis.asyncio
import redis.asyncio.cluster
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel
from topologies import Cluster
from visitors import look
from visitors import store

import wsgi_redis_session.transport.connect
from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import SessionConfig
from wsgi_redis_session import SessionManager
from wsgi_redis_session.events import EventLog
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.transport.cluster import ClusterTransport
from wsgi_redis_session.transport.connect import Builder
from wsgi_redis_session.transport.connect import target_of
from wsgi_redis_session.transport.transport import ClientTransport
from wsgi_redis_session.transport.transport import ServerTransport
from wsgi_redis_session.transport.urls import DEFAULT_URL
from wsgi_redis_session.transport.urls import parse

CONFIG = SessionConfig()


def connect(given: t.Any, config: SessionConfig = CONFIG) -> t.Any:
    return wsgi_redis_session.transport.connect.connect(given, config, EventLog())


def link(url: str, **options: t.Any) -> t.Any:
    """A connection, not open yet, as a URL and options make it."""
    return Builder(parse(url), SessionConfig(**options), EventLog()).link()


def refusal(given: t.Any) -> str:
    """The message, after a look at everything that a traceback would show."""
    with pytest.raises(ConfigurationError) as caught:
        connect(given)
    assert "hush" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.option == "redis"
    return str(caught.value)


def has_notifications(kind: type) -> bool:
    """Whether this redis-py has maintenance notifications in clients of that kind."""
    return "maint_notifications_config" in inspect.signature(kind).parameters


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", {}),
        ("redis://cache", {"host": "cache"}),
        ("redis://cache:6380/2", {"host": "cache", "port": 6380, "db": 2}),
        ("redis://cache?db=2", {"host": "cache", "db": 2}),
        ("redis://[::1]:6380/0", {"host": "::1", "port": 6380, "db": 0}),
        ("valkey://cache:6380/2", {"host": "cache", "port": 6380, "db": 2}),
        (
            "redis://user:a%40%2F%23%3Fb@cache",
            {"host": "cache", "username": "user", "password": "a@/#?b"},
        ),
        ("redis://cache?client_name=a%40b", {"host": "cache", "client_name": "a@b"}),
        ("unix:///run/redis.sock", {"path": "/run/redis.sock"}),
        ("unix:///run/redis.sock?db=3", {"path": "/run/redis.sock", "db": 3}),
        (
            "unix://user:secret@/run/redis@1.sock",
            {"path": "/run/redis@1.sock", "username": "user", "password": "secret"},
        ),
    ],
)
def test_url_says_where_redis_is(url: str, expected: dict[str, t.Any]) -> None:
    made = parse(url).settings
    names = ("host", "port", "db", "path", "username", "password", "client_name")
    assert {name: made[name] for name in names if name in made} == expected
    for name, value in expected.items():
        assert getattr(link(url), name) == value


@pytest.mark.parametrize("url", ["rediss://cache", "valkeys://cache"])
def test_url_with_tls_connects_with_tls(url: str) -> None:
    assert isinstance(link(url), redis.SSLConnection)


@pytest.mark.parametrize(
    ("url", "kind", "addresses", "service"),
    [
        ("redis+cluster://a", "cluster", [("a", 6379)], ""),
        ("redis+cluster://a:1,b:2/", "cluster", [("a", 1), ("b", 2)], ""),
        ("valkey+cluster://u:p@a:1,b/0?socket_timeout=2", "cluster", [("a", 1)], ""),
        ("redis+cluster://[::1]:1,b", "cluster", [("::1", 1), ("b", 6379)], ""),
        ("redis+sentinel://a,b:1/main/3", "sentinel", [("a", 26379), ("b", 1)], "main"),
        ("valkey+sentinel://:p%2Fw@a/main", "sentinel", [("a", 26379)], "main"),
    ],
)
def test_url_may_name_several_servers(
    url: str, kind: str, addresses: list[tuple[str, int]], service: str
) -> None:
    target = parse(url)
    assert (target.kind, target.service) == (kind, service)
    assert target.addresses[: len(addresses)] == addresses
    assert target.settings.get("password") in {None, "p", "p/w"}
    assert ("password" in target.settings) == ("@" in url)
    assert target.settings.get("db", 0) == (3 if url.endswith("/3") else 0)
    assert isinstance(connect(url), ClusterTransport | ServerTransport)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis+cluster://u:hush@a,:1/0", "hosts or ports"),
        ("redis+cluster://u:hush@a:x,b/0", "hosts or ports"),
        ("redis+cluster://u:hush@a,b/1", "only the database 0"),
        ("redis+sentinel://u:hush@a,b", "names no service"),
        ("redis+sentinel://u:hush@a,b//0", "names no service"),
        ("redis+sentinel://u:hush@a,b/main/first", "must be a number"),
        ("redis+sentinel://a,b/main/0?password=hush@x", "%40"),
        ("redis+sentinel://a,b/main/0?sentinel_password=hush@x", "%40"),
        ("redis+sentinel://a,b/main/0?client_name=hush#x", "%23"),
        ("redis+cluster://a,b/?password=hush@x", "%40"),
        ("redis+socket://u:hush@a", "scheme"),
        ("unix+cluster://u:hush@/run/redis.sock", "scheme"),
    ],
)
def test_url_of_several_servers_that_cannot_work_is_refused(
    url: str, reason: str
) -> None:
    assert reason in refusal(url)


@pytest.mark.parametrize("url", ["rediss+cluster://a", "valkeys+sentinel://a/main"])
def test_several_servers_may_be_reached_with_tls(url: str) -> None:
    assert parse(url).connection_class is redis.SSLConnection


def test_made_link_waits_for_nothing_forever() -> None:
    assert link("redis://cache").protocol == 2
    assert link("redis://cache").retry.get_retries() == 0
    patience = Builder(parse("redis://cache"), CONFIG, EventLog()).patience
    assert patience == (1.0, 1.0, 1.0, 1)


def test_limits_are_options_and_may_stand_in_the_url() -> None:
    limits = {"connect_timeout": 2, "read_timeout": 3, "pool_timeout": 4}
    config = SessionConfig(**limits, operation_timeout=5, retries=0, max_connections=7)
    target = parse("redis://cache")
    assert Builder(target, config, EventLog()).patience == (2.0, 3.0, 4.0, 0)
    target = parse("redis://cache?socket_timeout=0.5&socket_connect_timeout=0.25")
    assert Builder(target, config, EventLog()).patience == (0.25, 0.5, 4.0, 0)


def test_nothing_is_waited_for_when_the_operation_is_over() -> None:
    config = SessionConfig(read_timeout=3, operation_timeout=2)
    assert Builder(parse("redis://cache"), config, EventLog()).patience[1] == 2


def test_nothing_is_sent_when_a_manager_is_made(
    server: LocalServer, db: redis.Redis, clients: cabc.Callable[..., t.Any]
) -> None:
    def counted() -> tuple[int, int]:
        stats = db.info("stats")
        return stats["total_connections_received"], stats["total_commands_processed"]

    connections, commands = counted()
    for given in (server.url, clients(unix_socket_path=server.socket)):
        SessionManager(given, secret_key="key").open("")
    assert counted() == (connections, commands + 1)


def test_manager_is_made_while_redis_is_away(tmp_path: pathlib.Path) -> None:
    SessionManager(f"unix://{tmp_path}/redis.sock", secret_key="key")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "scheme"),
        ("cache:6379", "scheme"),
        ("hush:hush@cache:6379", "scheme"),
        ("redis:hush@cache", "scheme"),
        ("//user:hush@cache", "scheme"),
        ("http://user:hush@cache", "scheme"),
        ("hush@cache://redis", "scheme"),
        ("redis://user:hush@cache:port/0", "host or port"),
        ("redis://user:hush", "host or port"),
        ("redis://:hush/0", "host or port"),
        ("redis:hush", "scheme"),
        ("redis://user:hush@cache:99999/0", "host or port"),
        ("redis://user:hush@[::1/0", "host or port"),
        ("redis://user:hush@cache/first", "must be a number"),
        ("redis://user:hush@cache/0/1", "must be a number"),
        ("redis://user:hush@cache/-1", "must be a number"),
        ("redis://cache?db=first&password=hush", "must be a number"),
        ("redis://cache?db=&password=hush", "must be a number"),
        ("valkey://user:hush@cache/first", "must be a number"),
        ("unix:///run/redis.sock?db=first&password=hush", "must be a number"),
        ("unix://", "names no socket"),
        ("unix:///", "names no socket"),
        ("unix://user:hush@", "names no socket"),
        ("unix://run/redis.sock", "names no socket"),
        ("redis://user:hush@cache?nonsense=1", "'nonsense'"),
        ("redis://cache?password=hush&nonsense=1", "'nonsense'"),
        ("redis://user:hush@cache?socket_timeout=soon", "'socket_timeout'"),
        ("redis://user:hush@cache?socket_timeout=0", "socket_timeout"),
        ("redis://cache?socket_timeout=hush", "'socket_timeout'"),
        ("redis://user:hush@cache?socket_timeout=inf", "socket_timeout"),
        ("redis://user:hush@cache?socket_connect_timeout=-1", "socket_connect_timeout"),
        ("redis://user:hush@cache?max_connections=-1", "max_connections"),
        ("redis://user:hush@cache?retry=3", "retry"),
        ("redis://user:hush@cache?protocol=7", "protocol"),
        ("rediss://user:hush@cache?ssl_cert_reqs=nonsense", "nonsense"),
        ("redis://:hush#hush@cache/0", "%23"),
        ("redis://:#hush@cache/0", "%23"),
        ("redis://:?hush@cache/0", "%3F"),
        ("redis://:?hush=hush@cache/0", "%3F"),
        ("redis://:/hush@cache/0", "%2F"),
        ("redis://:hush/hush@cache:1/0", "%2F"),
        ("redis://:123#hush@cache/0", "%23"),
    ],
)
def test_url_that_cannot_work_is_refused_without_showing_its_password(
    url: str, reason: str
) -> None:
    message = refusal(url)
    assert message.startswith("redis=")
    assert " cannot work: " in message
    assert reason in message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("valkeys://user:hush@cache:6380/x?password=hush", "valkeys://cache:6380/x"),
        ("redis://user:hush@cache:port/0", "redis://cache:port/0"),
        ("redis://user:hush@cache:99999/0", "redis://cache:99999/0"),
        ("redis://[::1]:6380/first", "redis://[::1]:6380/first"),
        ("redis://user:hush@[::1/0", "redis://[::1/0"),
        ("redis://cache:/first", "redis://cache:/first"),
        ("memcached+tls://user:hush@cache/0", "memcached+tls://cache/0"),
        ("//user:hush@cache", "//cache"),
        (" redis://cache", " redis://cache"),
        ("cache:6379", "cache:6379"),
        ("unix:///run/redis@1:2.sock?db=x", "unix:///run/redis@1:2.sock"),
        ("unix://user:hush@/run/redis@1.sock?db=x", "unix:///run/redis@1.sock"),
        ("unix://run/redis.sock", "unix://run/redis.sock"),
    ],
)
def test_refused_url_is_shown_as_it_was_given(url: str, shown: str) -> None:
    assert refusal(url).startswith(f"redis={shown!r} cannot work: ")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        # The host was forgotten.
        ("redis://user:hush", "redis://user:..."),
        ("redis://:hush/hush", "redis://:..."),
        ("redis://:123456/0", "redis://:..."),
        ("redis://user:12\nhush", "redis://user:..."),
        # The user information has something in it that ends it.
        ("redis://:hush?hush@cache/0", "redis://..."),
        ("redis://:hush#hush@cache/0", "redis://..."),
        ("unix://user:hush@/hush@/run/redis.sock?db=x", "unix:///run/redis.sock"),
        # The query has.
        ("redis://cache?password=hush@hush", "redis://..."),
    ],
)
def test_what_may_be_a_password_is_not_shown(url: str, shown: str) -> None:
    assert refusal(url).startswith(f"redis={shown!r} cannot work: ")


def test_environment_variable_names_the_server(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    monkeypatch.setenv("SESSION_REDIS", server.url)
    manager = SessionManager(secret_key="key")
    assert look(manager, store(manager, a=1)) == {"a": 1}


def test_environment_variable_is_not_read_where_a_server_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SESSION_REDIS", "nonsense")
    connect("redis://cache")


def test_without_anything_it_is_the_local_redis(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SESSION_REDIS", raising=False)
    made = parse(DEFAULT_URL).settings
    assert (made["host"], made["port"], made["db"]) == ("localhost", 6379, 0)
    connect(None)


@pytest.mark.parametrize(
    "url", ["", "cache:6379", "redis://:hush@cache:port", "redis://cache?nonsense=1"]
)
def test_error_in_the_environment_variable_names_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_REDIS", url)
    assert refusal(None).startswith("SESSION_REDIS=")


def test_client_that_decodes_replies_is_refused_by_the_name_of_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SESSION_REDIS", "redis://cache?decode_responses=True")
    message = refusal(None)
    assert message.startswith("SESSION_REDIS='redis://cache' cannot work: decode_resp")


@pytest.fixture
def clients() -> cabc.Iterator[cabc.Callable[..., t.Any]]:
    """Make clients of redis-py, and close them."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(redis.Redis(**options))


def test_plain_client_lends_its_settings_and_is_left_alone(
    server: LocalServer, db: redis.Redis
) -> None:
    client = redis.Redis(unix_socket_path=server.socket, db=3, protocol=3)
    manager = SessionManager(client, secret_key="key")
    header = store(manager, a=1)
    assert look(manager, header) == {"a": 1}
    assert not db.keys()
    with redis.Redis(unix_socket_path=server.socket, db=3) as other:
        assert len(other.keys()) == 1
    assert not client.connection_pool._in_use_connections
    assert not client.connection_pool._available_connections
    manager.disconnect()


def test_plain_client_keeps_the_timeouts_that_it_was_given() -> None:
    client = redis.Redis(socket_timeout=0.3, max_connections=7)
    transport = connect(client)
    assert isinstance(transport, ServerTransport)
    given = target_of(client)
    assert given is not None
    assert Builder(given, CONFIG, EventLog()).patience.read_timeout == 0.3


class Subclass(redis.Redis):
    pass


class OddConnection(redis.Connection):
    pass


@pytest.mark.parametrize(
    "make",
    [
        lambda: Subclass(protocol=2),
        lambda: redis.Redis(
            protocol=2, retry_on_error=[redis.exceptions.ReadOnlyError]
        ),
        lambda: redis.Redis(
            connection_pool=redis.ConnectionPool(
                connection_class=OddConnection, protocol=2
            )
        ),
        lambda: Sentinel([("localhost", 1)]).master_for("service", protocol=2),
    ],
)
def test_client_that_may_do_more_than_redis_py_is_used_itself(
    make: cabc.Callable[[], t.Any],
) -> None:
    client = make()
    transport = connect(client)
    assert isinstance(transport, ClientTransport)
    assert transport.client is client
    client.close()


def test_instrumented_client_is_used_itself(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced: list[t.Any] = []
    original = redis.Redis.execute_command

    def execute_command(self: t.Any, *args: t.Any, **options: t.Any) -> t.Any:
        traced.append(args[0])
        return original(self, *args, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", execute_command)
    with redis.Redis(unix_socket_path=server.socket, protocol=2) as client:
        manager = SessionManager(client, secret_key="key")
        look(manager, store(manager, a=1))
    assert traced == ["SET", "GET"]


def test_replicas_cannot_be_waited_for_over_a_client_that_is_used_itself() -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect(Subclass(protocol=2), SessionConfig(wait_replicas=1))
    assert caught.value.option == "wait_replicas"


@pytest.mark.parametrize(
    "kind", [redis.asyncio.Redis, redis.asyncio.cluster.RedisCluster]
)
def test_asyncio_client_is_refused(kind: t.Any) -> None:
    client = kind(host="localhost")
    assert "redis is an asyncio client" in refusal(client)


@pytest.mark.parametrize(
    "given",
    [
        5,
        b"redis://cache",
        object(),
        redis,
        redis.ConnectionPool(),
        pathlib.Path("/run"),
    ],
)
def test_what_is_no_client_is_refused(given: t.Any) -> None:
    assert "must be a URL or a client of redis-py, not a " in refusal(given)


@pytest.mark.parametrize("kind", [redis.Redis, RedisCluster, redis.asyncio.Redis])
def test_class_in_the_place_of_a_client_is_refused(kind: t.Any) -> None:
    assert refusal(kind) == (
        f"redis must be a URL or a client of redis-py, not the class {kind.__name__}."
    )


def test_client_with_resp3_that_is_used_itself_is_warned_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connect(Subclass(protocol=3)).drop()
    warnings = [logging.WARNING] * has_notifications(redis.Redis)
    assert [record.levelno for record in caplog.records] == warnings
    assert all("protocol=2" in message for message in caplog.messages)


def test_client_that_is_safe_is_not_warned_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connect(redis.Redis(protocol=3)).drop()
    connect(Subclass(protocol=2)).drop()
    connect("redis://cache")
    assert caplog.records == []


@pytest.fixture
def clusters(cluster: Cluster) -> cabc.Iterator[cabc.Callable[..., t.Any]]:
    """Make clients of the cluster, and close them."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            RedisCluster(host="127.0.0.1", port=cluster.nodes[0].port, **options)
        )


def test_client_of_a_cluster_is_used(clusters: cabc.Callable[..., t.Any]) -> None:
    client = clusters(protocol=2)
    manager = SessionManager(client, secret_key="key")
    session = manager.open("")
    session["name"] = "value"
    cookie = manager.commit(session).cookie or ""
    assert manager.open(cookie.partition(";")[0])["name"] == "value"


def test_client_of_a_cluster_is_held_to_the_same_rules(
    clusters: cabc.Callable[..., t.Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert "decode_responses=True" in refusal(clusters(decode_responses=True))
    connect(clusters(protocol=2))
    assert caplog.records == []
    connect(clusters(protocol=3))
    assert len(caplog.messages) == has_notifications(RedisCluster)
    assert all("protocol=2" in message for message in caplog.messages)


class Promotion(NoBackoff):
    """What happens before the next attempt: a replica becomes the primary."""

    def __init__(self, socket: str) -> None:
        self.socket = socket

    def compute(self, failures: int) -> float:
        with redis.Redis(unix_socket_path=self.socket) as db:
            db.execute_command("REPLICAOF", "NO", "ONE")
        return 0


def test_error_that_a_given_client_retries_is_retried(
    make_manager: cabc.Callable[..., SessionManager], own_server: LocalServer
) -> None:
    client = redis.Redis(
        unix_socket_path=own_server.socket,
        protocol=2,
        retry=Retry(Promotion(own_server.socket), 1),
        retry_on_error=[redis.exceptions.ReadOnlyError],
    )
    manager = make_manager(client)
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    assert look(manager, store(manager, a=1)) == {"a": 1}

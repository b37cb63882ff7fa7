from __future__ import annotations

import collections.abc as cabc
import contextlib
import inspect
import logging
import pathlib
import queue
import socket
import subprocess
import time
import traceback
import typing as t

import pytest
import redis.asyncio
import redis.asyncio.cluster
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel
from visitors import look
from visitors import Request
from visitors import store

from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import SessionConfig
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.client import connect
from wsgi_redis_session.local_server import find_server
from wsgi_redis_session.local_server import LocalServer

CONFIG = SessionConfig()


def settings(url: str, **options: t.Any) -> dict[str, t.Any]:
    """What the connections of a client that was made from a URL are given."""
    client: t.Any = connect(url, SessionConfig(**options))
    return t.cast(dict[str, t.Any], client.connection_pool.connection_kwargs)


def refusal(given: t.Any) -> str:
    """The message, after a look at everything that a traceback would show."""
    with pytest.raises(ConfigurationError) as caught:
        connect(given, CONFIG)
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
    made = settings(url)
    names = ("host", "port", "db", "path", "username", "password", "client_name")
    assert {name: made[name] for name in names if name in made} == expected


@pytest.mark.parametrize("url", ["rediss://cache", "valkeys://cache"])
def test_url_with_tls_connects_with_tls(url: str) -> None:
    client: t.Any = connect(url, CONFIG)
    assert client.connection_pool.connection_class is redis.SSLConnection


def test_made_client_waits_for_nothing_forever() -> None:
    client: t.Any = connect("redis://cache", CONFIG)
    pool = client.connection_pool
    assert isinstance(pool, redis.BlockingConnectionPool)
    assert (pool.max_connections, pool.timeout) == (50, 5.0)
    made = pool.connection_kwargs
    assert made["protocol"] == 2
    assert (made["socket_connect_timeout"], made["socket_timeout"]) == (1.0, 1.0)
    assert made["retry"].get_retries() == 1


def test_limits_of_the_made_client_are_options() -> None:
    client: t.Any = connect(
        "redis://cache",
        SessionConfig(
            connect_timeout=2,
            read_timeout=3,
            retries=0,
            max_connections=7,
            pool_timeout=4,
        ),
    )
    pool = client.connection_pool
    assert (pool.max_connections, pool.timeout) == (7, 4.0)
    made = pool.connection_kwargs
    assert (made["socket_connect_timeout"], made["socket_timeout"]) == (2.0, 3.0)
    assert made["retry"].get_retries() == 0


def test_url_may_change_the_limits() -> None:
    made = settings("redis://cache?socket_timeout=0.5&health_check_interval=30")
    assert (made["socket_timeout"], made["health_check_interval"]) == (0.5, 30)


def test_made_client_serves(server: LocalServer) -> None:
    client = connect(server.url, CONFIG)
    assert client.execute_command("SET", "name", b"\xff") is True
    assert client.execute_command("GET", "name") == b"\xff"
    client.connection_pool.disconnect()  # type: ignore[attr-defined]  # a client of redis-py


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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SESSION_REDIS", "redis://cache:6380/3")
    client: t.Any = connect(None, CONFIG)
    assert client.connection_pool.connection_kwargs["host"] == "cache"


def test_environment_variable_is_not_read_where_a_server_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SESSION_REDIS", "nonsense")
    assert settings("redis://cache")["host"] == "cache"


def test_without_anything_it_is_the_local_redis(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SESSION_REDIS", raising=False)
    client: t.Any = connect(None, CONFIG)
    made = client.connection_pool.connection_kwargs
    assert (made["host"], made["port"], made["db"]) == ("localhost", 6379, 0)


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
    assert refusal(None).startswith("SESSION_REDIS is a client with decode_responses=")


@pytest.fixture
def clients() -> cabc.Iterator[cabc.Callable[..., t.Any]]:
    """Make clients of redis-py, and close them."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(redis.Redis(**options))


def test_given_client_is_used(clients: cabc.Callable[..., t.Any]) -> None:
    client = clients(protocol=2)
    assert connect(client, CONFIG) is client


def test_client_of_a_sentinel_is_used() -> None:
    master = Sentinel([("localhost", 1)]).master_for("service", protocol=2)
    assert connect(master, CONFIG) is master


def test_client_that_decodes_replies_is_refused(
    clients: cabc.Callable[..., t.Any],
) -> None:
    assert "decode_responses=True" in refusal(clients(decode_responses=True))
    assert "decode_responses=True" in refusal("redis://cache?decode_responses=True")


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


def test_client_with_resp3_is_warned_about(
    clients: cabc.Callable[..., t.Any], caplog: pytest.LogCaptureFixture
) -> None:
    connect(clients(protocol=3), CONFIG)
    warnings = [logging.WARNING] * has_notifications(redis.Redis)
    assert [record.levelno for record in caplog.records] == warnings
    assert all("protocol=2" in message for message in caplog.messages)


def test_client_with_resp2_is_not_warned_about(
    clients: cabc.Callable[..., t.Any], caplog: pytest.LogCaptureFixture
) -> None:
    connect(clients(protocol=2), CONFIG)
    connect("redis://cache", CONFIG)
    assert caplog.records == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return t.cast(int, probe.getsockname()[1])


def wait_until(condition: cabc.Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(redis.ConnectionError):
            if condition():
                return
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def cluster_port(tmp_path_factory: pytest.TempPathFactory) -> cabc.Iterator[int]:
    """The port of a cluster of one node."""
    directory = tmp_path_factory.mktemp("cluster")
    port = free_port()
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "cluster-enabled": "yes",
        "cluster-port": str(free_port()),
        "dir": str(directory),
        "save": "",
        "logfile": str(directory / "log"),
    }
    words = [word for name in options for word in (f"--{name}", options[name])]
    process = subprocess.Popen([find_server(), *words])
    try:
        with redis.Redis(port=port, protocol=2) as node:
            wait_until(node.ping)
            node.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: node.cluster("info")["cluster_state"] == "ok")
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def clusters(cluster_port: int) -> cabc.Iterator[cabc.Callable[..., t.Any]]:
    """Make clients of the cluster, and close them."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            RedisCluster(host="127.0.0.1", port=cluster_port, **options)
        )


def test_client_of_a_cluster_is_used(clusters: cabc.Callable[..., t.Any]) -> None:
    client = clusters(protocol=2)
    manager = SessionManager(client, secret_key="key")
    assert manager.store.transport.client is client
    session = manager.open("")
    session["name"] = "value"
    cookie = manager.commit(session).cookie or ""
    assert manager.open(cookie.partition(";")[0])["name"] == "value"


def test_client_of_a_cluster_is_held_to_the_same_rules(
    clusters: cabc.Callable[..., t.Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert "decode_responses=True" in refusal(clusters(decode_responses=True))
    connect(clusters(protocol=2), CONFIG)
    assert caplog.records == []
    connect(clusters(protocol=3), CONFIG)
    assert len(caplog.messages) == has_notifications(RedisCluster)
    assert all("protocol=2" in message for message in caplog.messages)


# The pool of a client that was made from a URL.


def pool_of(manager: SessionManager) -> t.Any:
    client: t.Any = manager.store.transport.client
    return client.connection_pool


def age_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection counts as used a moment ago."""
    monkeypatch.setattr("wsgi_redis_session.client._MOMENT", 0)


@pytest.mark.parametrize(("retries", "is_old"), [(0, True), (1, True), (1, False)])
def test_connection_that_the_server_closed_meanwhile_is_made_anew(
    make_manager: cabc.Callable[..., SessionManager],
    db: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    retries: int,
    is_old: bool,
) -> None:
    if is_old:
        age_connections(monkeypatch)
    manager = make_manager(retries=retries)
    header = store(manager, a=1)
    db.client_kill_filter(_type="normal", skipme=True)
    assert look(manager, header) == {"a": 1}
    assert len(pool_of(manager)._connections) == 1


def test_connection_with_an_unread_reply_is_made_anew(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    age_connections(monkeypatch)
    header = store(manager, a=1)
    pool = pool_of(manager)
    connection = pool.get_connection()
    connection.send_command("GET", "nothing")
    while not connection.can_read(1):
        pass
    pool.release(connection)
    assert look(manager, header) == {"a": 1}


def test_connection_is_not_asked_again_between_two_commands_of_a_request(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(manager, store(manager, a=1))
    asked: list[object] = []
    connection = pool_of(manager)._connections[0]
    monkeypatch.setattr(connection, "can_read", lambda: asked.append(connection))
    request.session["a"] = 2
    request.commit()
    assert asked == []


def test_pool_hands_out_the_connection_that_was_used_last(
    manager: SessionManager,
) -> None:
    pool = pool_of(manager)
    first, second = pool.get_connection(), pool.get_connection()
    pool.release(first)
    pool.release(second)
    assert pool.get_connection() is second
    assert pool.get_connection() is first


def test_pool_opens_no_more_connections_than_it_may_and_waits_for_none_forever(
    make_manager: cabc.Callable[..., SessionManager],
) -> None:
    pool = pool_of(make_manager(max_connections=1, pool_timeout=0.01))
    connection = pool.get_connection()
    with pytest.raises(redis.exceptions.ConnectionError, match="No connection"):
        pool.get_connection()
    pool.release(connection)
    assert pool.get_connection() is connection


def test_pool_keeps_its_size_when_a_connection_cannot_be_opened(
    make_manager: cabc.Callable[..., SessionManager], own_server: LocalServer
) -> None:
    manager = make_manager(own_server.url, max_connections=1, pool_timeout=0.01)
    header = store(manager, a=1)
    own_server.stop()
    for _ in range(3):
        with pytest.raises(SessionUnavailable):
            look(manager, header)
    assert pool_of(manager).pool.queue != []


def test_pool_does_not_take_what_it_has_not_given() -> None:
    with pytest.raises(queue.Full):
        pool_of(SessionManager(secret_key="secret")).pool.put_nowait(None)


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

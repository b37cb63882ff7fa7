"""A cluster of three masters: no command of ours spans two keys."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import pathlib
import socket
import subprocess
import typing as t

import pytest
import redis
from redis.cluster import RedisCluster
from visitors import cookie_header
from visitors import look
from visitors import Request
from visitors import store

from wsgi_redis_session import SessionManager
from wsgi_redis_session.local_server import find_server
from wsgi_redis_session.store.survey import Survey

#: The first and the last slot of each master.
SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            for _ in range(count)
        ]
        return [listener.getsockname()[1] for listener in listeners]


def until(condition: cabc.Callable[[], object]) -> None:
    """Wait for the cluster, at most as long as a thousand short processes take."""
    for _ in range(1000):
        with contextlib.suppress(redis.ConnectionError):
            if condition():
                return
        subprocess.run(["sleep", "0.02"], check=True)
    raise AssertionError("the cluster did not come up")


@pytest.fixture(scope="module")
def cluster_port(tmp_path_factory: pytest.TempPathFactory) -> cabc.Iterator[int]:
    ports = free_ports(6)
    processes, nodes = [], []
    with contextlib.ExitStack() as stack:
        for port, bus in zip(ports[:3], ports[3:], strict=True):
            directory = tmp_path_factory.mktemp("node")
            processes.append(start(port, bus, directory))
            stack.callback(processes[-1].wait)
            stack.callback(processes[-1].kill)
            nodes.append(stack.enter_context(redis.Redis(port=port, protocol=2)))
        for node in nodes:
            until(node.ping)
        for node, (first, last) in zip(nodes, SLOTS, strict=True):
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for epoch, node in enumerate(nodes, 1):
            node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for port, bus in list(zip(ports[:3], ports[3:], strict=True))[1:]:
            nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
        for node in nodes:
            until(lambda node=node: is_complete(node))
        yield ports[0]


def start(port: int, bus: int, directory: pathlib.Path) -> subprocess.Popen[bytes]:
    settings = {
        "port": port,
        "bind": "127.0.0.1",
        "cluster-enabled": "yes",
        "cluster-port": bus,
        "cluster-node-timeout": 1000,
        "save": "",
        "dir": directory,
        "logfile": directory / "log",
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return subprocess.Popen([find_server(), *map(str, words)])


def is_complete(node: redis.Redis) -> bool:
    info = node.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == "3"


@pytest.fixture
def manager(cluster_port: int) -> cabc.Iterator[SessionManager]:
    client = RedisCluster(host="127.0.0.1", port=cluster_port, protocol=2)
    yield SessionManager(client, secret_key="not a secret", user_key="user")
    client.close()


def test_whole_life_of_sessions_on_a_cluster(manager: SessionManager) -> None:
    for number in range(10):
        header = store(manager, number=number)
        one, two = Request(manager, header), Request(manager, header)
        one.session["one"] = 1
        two.session["two"] = 2
        one.commit()
        two.commit()
        login = Request(manager, header)
        login.session["user"] = "Ada"
        logged_in = cookie_header(login.commit())
        assert "user" not in look(manager, header)
        assert look(manager, logged_in) == {
            "number": number,
            "one": 1,
            "two": 2,
            "user": "Ada",
        }
        late, logout = Request(manager, logged_in), Request(manager, logged_in)
        logout.session.destroy()
        logout.commit()
        late.session["late"] = True
        assert late.commit() is None
        assert look(manager, logged_in) == {}


def test_renewed_session_is_on_another_node(manager: SessionManager) -> None:
    for _ in range(10):
        header = store(manager, n=1)
        renewal, other = Request(manager, header), Request(manager, header)
        other.session["other"] = True
        other.commit()
        renewal.session.regenerate()
        renewed = cookie_header(renewal.commit())
        assert look(manager, renewed) == {"n": 1, "other": True}
        logout = Request(manager, header)
        logout.session.destroy()
        logout.commit()
        assert look(manager, renewed) == {}


@pytest.mark.parametrize("way", ["url", "client"])
def test_many_commands_at_once_find_the_nodes_of_their_keys(
    cluster_port: int, way: str
) -> None:
    url = f"redis+cluster://127.0.0.1:{cluster_port}"
    given: t.Any = url
    if way == "client":
        given = RedisCluster(host="127.0.0.1", port=cluster_port, protocol=2)
    manager = SessionManager(given, secret_key="x" * 20, key_prefix=f"{way}:")
    ids = {manager.load(store(manager, a=number)).id for number in range(30)}
    survey = Survey(manager.store.transport, f"{way}:", 1.0)
    batches = [*survey.batches()]
    assert {session.id for batch in batches for session in batch.sessions} == ids
    assert len([*survey.nodes()]) == 3
    assert survey.keys >= 30
    if way == "client":
        given.close()
    manager.disconnect()

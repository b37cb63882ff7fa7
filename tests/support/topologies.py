"""What sessions are kept in: one server, a cluster, or a primary that Sentinel watches.

All of them run the program that :class:`LocalServer` finds.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import typing as t

import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.crc import key_slot
from redis.retry import Retry

from wsgi_redis_session.local_server import find_server
from wsgi_redis_session.local_server import LocalServer

#: Seconds after which something that does not happen is a failure.
PATIENCE = 60

#: What the sentinels know the primary as.
SERVICE = "sessions"

# Waits for the end of its input, which comes when whoever started the nodes is gone.
# $0 the directory of all nodes
_GUARD = 'read -r _; kill -9 $(cat "$0"/*/pid); PATH="$PATH:/bin:/usr/bin"; rm -rf "$0"'

_SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))

#: Users of a server's, so that a test can shut out the replicas or the sentinels.
REPLICA, SENTINEL = "replica", "sentinel"

Condition = cabc.Callable[[], object]


def free_ports(count: int) -> list[int]:
    """Ports below those that the system gives to outgoing connections."""
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            port = random.randrange(15000, 32000)
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
                found.append(port)
        return found


def until(condition: Condition, what: str = "") -> None:
    """Wait for what servers do among themselves."""
    end = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(redis.RedisError):
            if condition():
                return
        assert time.monotonic() < end, what or condition
        time.sleep(0.02)


class Node:
    """One server process, reached by a port on this machine."""

    def __init__(self, directory: pathlib.Path, port: int, *words: object) -> None:
        self.directory = directory
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.url = f"redis://{self.address}/0"
        self._words = [*map(str, words)]
        self._process: subprocess.Popen[bytes] | None = None
        #: A client that finds out at once what cannot be asked.
        self.client = redis.Redis(
            port=port, protocol=2, socket_timeout=2, retry=Retry(NoBackoff(), 0)
        )

    def start(self) -> None:
        """Start it, or start it again with what it has left on the disk."""
        self.directory.mkdir(exist_ok=True)
        settings = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.directory,
            "pidfile": self.directory / "pid",
            "logfile": self.directory / "log",
        }
        words = [str(w) for name in settings for w in (f"--{name}", settings[name])]
        self._process = subprocess.Popen(
            [find_server(), *self._words, *words],
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        until(lambda: self._process.poll() is not None or self.client.ping())
        assert self._process.poll() is None, f"it did not start: {self._log()}"

    def _log(self) -> str:
        log = self.directory / "log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else "no log"

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it without a warning; :meth:`start` starts it again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.client.connection_pool.disconnect()

    def hang(self) -> None:
        """Let it keep its connections and answer nothing."""
        self.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.signal(signal.SIGCONT)

    def takes(self, key: str, replicas: int = 0) -> bool:
        """Whether this key can be written, as a new client finds out at once, and so
        many replicas have it then."""
        with self._new_client() as client:
            try:
                is_set = bool(client.set(key, "1", px=60_000))
                return is_set and (
                    not replicas or client.wait(replicas, 200) >= replicas
                )
            except redis.RedisError:
                return False

    def knows_slots(self) -> t.Any:
        """Who has which keys of a cluster, as a new client finds out; ``None`` where
        it does not answer."""
        with self._new_client() as client:
            try:
                return client.execute_command("CLUSTER SLOTS")
            except redis.RedisError:
                return None

    def _new_client(self) -> redis.Redis:
        limits = {"socket_timeout": 0.3, "socket_connect_timeout": 0.3}
        retry = Retry(NoBackoff(), 0)
        return redis.Redis(port=self.port, protocol=2, retry=retry, **limits)

    def shut_out(self, user: str) -> None:
        """Let nobody connect as this user, nor stay connected.

        Who is refused is still the default user, which sentinels go on as: without
        PING they take the server for dead.
        """
        self.client.execute_command("ACL SETUSER", user, "off")
        self.client.execute_command("ACL SETUSER", "default", "-ping")
        self.client.execute_command("CLIENT KILL USER", user)

    def let_in(self, user: str) -> None:
        self.client.execute_command("ACL SETUSER", user, "on")
        self.client.execute_command("ACL SETUSER", "default", "+ping")

    def info(self, section: str) -> dict[str, t.Any]:
        return self.client.info(section)  # type: ignore[return-value]  # redis-py

    def close(self) -> None:
        self.kill()
        self.client.close()


class Nodes:
    """Several of them, ended together, and also when this process is killed."""

    #: What ``SessionManager`` takes.
    url = ""
    #: On how many replicas something has to be that is stored.
    awaited = 0

    def __init__(self) -> None:
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sessions-"))
        self.nodes: list[Node] = []
        self._guard: subprocess.Popen[bytes] | None = None

    def _add(self, port: int, *words: object) -> Node:
        node = Node(self.directory / str(port), port, *words)
        self.nodes.append(node)
        return node

    def _start(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> t.Self:
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        for node in self.nodes:
            node.close()
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.kill()
            self._guard.wait()
            self._guard.stdin.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def primaries(self) -> list[Node]:
        """The nodes that can be written to."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether everything can be written, as a new client finds out."""
        raise NotImplementedError

    def empty(self) -> None:
        """Let nothing be stored, and no script be known."""
        for node in self.primaries():
            node.client.flushall()
            node.client.script_flush()

    def look(self) -> t.Any:
        """A plain client that looks at what is stored."""
        raise NotImplementedError


class Single(Nodes):
    """One server that can be reached by a port, and keeps what it has."""

    def _start(self) -> None:
        (port,) = free_ports(1)
        node = self._add(port, "--save", "", "--appendonly", "yes")
        node.start()
        self.url = node.url

    def answers(self) -> bool:
        return self.nodes[0].takes("probe")

    def primaries(self) -> list[Node]:
        return self.nodes

    def look(self) -> t.Any:
        return redis.Redis(port=self.nodes[0].port, protocol=2)


#: What servers and sentinels ask each other all the time.
_CHATTER = {"cmdstat_ping", "cmdstat_publish", "cmdstat_replconf"}


class WatchedStore(redis.Redis):
    """What a test asks a primary that Sentinel watches."""

    def info(self, section: str = "all") -> t.Any:  # type: ignore[override]
        found: t.Any = super().info(section)
        return {name: found[name] for name in found if name not in _CHATTER}


#: What opening a connection costs, once for each node.
_GREETING = {"cmdstat_client|setinfo"}


class SeveralStores(RedisCluster):
    """What a test asks about a whole cluster, added up."""

    def config_resetstat(self, **options: t.Any) -> t.Any:
        return super().config_resetstat(target_nodes=self.PRIMARIES)

    def keys(self, pattern: str = "*", **options: t.Any) -> t.Any:
        return super().keys(pattern, target_nodes=self.PRIMARIES)

    def info(self, section: str) -> t.Any:  # type: ignore[override]  # all that is asked
        answers = super().info(section, target_nodes=self.PRIMARIES)
        total: dict[str, t.Any] = {}
        for answer in answers.values():
            for name, value in answer.items():
                if name not in _CHATTER | _GREETING:
                    found = total.setdefault(name, {"calls": 0})
                    found["calls"] += value["calls"]
        return total


def _key_between(first: int, last: int) -> str:
    keys = (f"probe-{number}" for number in range(1000))
    return next(key for key in keys if first <= key_slot(key.encode()) <= last)


#: A key of each master, by its first slot.
_keys = {first: _key_between(first, last) for first, last in _SLOTS}


class Cluster(Nodes):
    """Three masters, each with a replica. One that does not answer for
    ``node_timeout`` milliseconds is replaced, which few tests are about."""

    def __init__(self, node_timeout: int = 30_000) -> None:
        super().__init__()
        self._node_timeout = node_timeout

    def _start(self) -> None:
        ports = free_ports(12)
        for port, bus in zip(ports[:6], ports[6:], strict=True):
            self._add(
                *(port, "--cluster-enabled", "yes", "--cluster-port", bus),
                *("--cluster-node-timeout", 5000),
                *("--cluster-replica-validity-factor", 0),
                *("--cluster-require-full-coverage", "no"),
                *("--cluster-allow-replica-migration", "no"),
                *("--repl-diskless-sync-delay", 0, "--repl-ping-replica-period", 1),
                *("--save", "", "--appendonly", "no"),
            ).start()
        for node, slots in zip(self.nodes, _SLOTS, strict=False):
            node.client.execute_command("CLUSTER ADDSLOTSRANGE", *slots)
        for epoch, node in enumerate(self.nodes, 1):
            node.client.execute_command("CLUSTER SET-CONFIG-EPOCH", epoch)
        until(lambda: self._have_met([*zip(ports[:6], ports[6:], strict=True)]))
        for master, replica in zip(self.nodes[:3], self.nodes[3:], strict=True):
            self._follow(replica, master)
        for node in self.nodes:
            until(lambda node=node: self._is_complete(node))
        for node in self.nodes:
            node.client.config_set("cluster-node-timeout", self._node_timeout)
        self.url = "redis+cluster://" + ",".join(n.address for n in self.nodes) + "/"

    def _have_met(self, addresses: list[tuple[int, int]]) -> bool:
        """Introduce all to all, again where a busy machine took too long over it."""
        are_all_known = True
        for node in self.nodes:
            known: t.Any = node.client.execute_command("CLUSTER NODES")
            for port, bus in addresses:
                if f"127.0.0.1:{port}" not in known:
                    are_all_known = False
                    node.client.execute_command("CLUSTER MEET", "127.0.0.1", port, bus)
        time.sleep(0 if are_all_known else 0.5)
        return are_all_known

    def _follow(self, replica: Node, master: Node) -> None:
        name = self.name_of(master)
        until(lambda: replica.client.execute_command("CLUSTER REPLICATE", name))
        until(lambda: replica.info("replication")["master_link_status"] == "up")

    @staticmethod
    def name_of(node: Node) -> str:
        """What the other nodes know it as."""
        return t.cast(bytes, node.client.execute_command("CLUSTER MYID")).decode()

    @staticmethod
    def _state(node: Node) -> dict[str, str]:
        return node.client.execute_command("CLUSTER INFO")  # type: ignore[return-value]  # redis-py

    def _is_complete(self, node: Node) -> bool:
        if self._state(node)["cluster_state"] != "ok":
            return False
        known: t.Any = node.client.execute_command("CLUSTER SLOTS")
        return sum(len(nodes) for _, _, *nodes in known) == 6

    def is_whole(self) -> bool:
        """Whether all slots are served, as each node that runs sees it."""
        return all(
            self._state(node)["cluster_state"] == "ok"
            and self._state(node)["cluster_slots_ok"] == "16384"
            for node in self.nodes
        )

    def answers(self) -> bool:
        return all(self._takes(first) for first, _ in _SLOTS)

    def _takes(self, first_slot: int) -> bool:
        key = _keys[first_slot]
        for known in self.owners():
            slot = key_slot(key.encode())
            found = next((n for (a, b), n in known.items() if a <= slot <= b), None)
            if found is not None:
                return found.takes(key, self.awaited)
        return False

    def owners(self) -> cabc.Iterator[dict[tuple[int, int], Node]]:
        """Who has which slots, as one node after the other sees it."""
        ports = {node.port: node for node in self.nodes}
        # Replicas are seldom what a test has done something to.
        for node in reversed(self.nodes):
            if found := node.knows_slots():
                yield {(a, b): ports[primary[1]] for a, b, primary, *_ in found}

    def primaries(self) -> list[Node]:
        """The masters; those that do not answer are none."""
        found = []
        for node in self.nodes:
            with contextlib.suppress(redis.RedisError):
                if node.info("replication")["role"] == "master":
                    found.append(node)
        return found

    def look(self) -> t.Any:
        return SeveralStores(host="127.0.0.1", port=self.nodes[0].port, protocol=2)


class SentinelGroup(Nodes):
    """A primary with two replicas, and three sentinels that watch them. One that does
    not answer for ``down_after`` milliseconds is replaced."""

    def __init__(self, down_after: int = 30_000, replicas: int = 2) -> None:
        super().__init__()
        self._down_after = down_after
        self._count = 1 + replicas
        self.servers: list[Node] = []
        self.sentinels: list[Node] = []

    def _start(self) -> None:
        primary, *others = free_ports(self._count + 3)
        common = ("--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", 0)
        common += ("--repl-ping-replica-period", 1)
        for user in REPLICA, SENTINEL:
            common += ("--user", user, "on", f">{user}", "~*", "&*", "+@all")
        common += ("--masteruser", REPLICA, "--masterauth", REPLICA)
        self.servers.append(self._add(primary, *common))
        for port in others[:-3]:
            replica = self._add(port, "--replicaof", "127.0.0.1", primary, *common)
            self.servers.append(replica)
        for node in self.servers:
            node.start()
        for replica in self.servers[1:]:
            until(lambda r=replica: r.info("replication")["master_link_status"] == "up")
        for port in others[-3:]:
            self.sentinels.append(self.add_sentinel(port, primary))
        for sentinel in self.sentinels:
            until(lambda s=sentinel: self._knows_all(s))
        addresses = ",".join(node.address for node in self.sentinels)
        self.url = f"redis+sentinel://{addresses}/{SERVICE}/0"

    def add_sentinel(self, port: int, primary: int) -> Node:
        """Start a sentinel that knows of no failover."""
        directory = self.directory / str(port)
        directory.mkdir()
        configuration = directory / "sentinel.conf"
        configuration.write_text(
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} {self._down_after}\n"
            f"sentinel failover-timeout {SERVICE} 2000\n"
            f"sentinel auth-user {SERVICE} {SENTINEL}\n"
            f"sentinel auth-pass {SERVICE} {SENTINEL}\n"
        )
        node = self._add(port, configuration, "--sentinel")
        node.start()
        return node

    def _knows_all(self, sentinel: Node) -> bool:
        state: t.Any = sentinel.client.sentinel_master(SERVICE)
        found = state["num-slaves"], state["num-other-sentinels"]
        return found == (self._count - 1, 2)

    def opinions(self) -> list[Node | None]:
        """Which server each sentinel takes for the primary."""
        found: list[Node | None] = []
        for sentinel in self.sentinels:
            with contextlib.suppress(redis.RedisError):
                found.append(self.opinion_of(sentinel))
        return found

    def opinion_of(self, sentinel: Node) -> Node | None:
        """Which server a sentinel takes for the primary."""
        ports = {node.port: node for node in self.servers}
        address: t.Any = sentinel.client.execute_command(
            "SENTINEL GET-MASTER-ADDR-BY-NAME", SERVICE
        )
        return ports.get(int(address[1]))

    def primary(self) -> Node:
        """The one that the sentinels agree on."""
        until(lambda: len({*self.opinions()}) == 1)
        found = self.opinions()[0]
        assert found is not None
        return found

    def answers(self) -> bool:
        found = self.opinions()[0]
        return found is not None and found.takes("probe", self.awaited)

    def replicas(self) -> list[Node]:
        primary = self.primary()
        return [node for node in self.servers if node is not primary]

    def primaries(self) -> list[Node]:
        return [self.primary()]

    def look(self) -> t.Any:
        return WatchedStore(port=self.primary().port, protocol=2)


class OwnServer:
    """The run's own server, as one of the topologies."""

    def __init__(self, server: LocalServer) -> None:
        self._server = server
        self.url = server.url

    def empty(self) -> None:
        with self.look() as client:
            client.flushall()
            client.script_flush()

    def look(self) -> redis.Redis:
        """A plain client that looks at what is stored."""
        return redis.Redis(unix_socket_path=self._server.socket)


#: What the store, the requests and the doors are tested on.
TOPOLOGIES = ("server", "cluster", "sentinel")

Place = OwnServer | Nodes

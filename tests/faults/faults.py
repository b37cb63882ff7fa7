"""What can happen to Redis: each fault is begun, held for as long as it is wanted, and
ended."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import threading
import time
import typing as t

import redis
from gate import Gate
from redis.crc import key_slot
from topologies import Cluster
from topologies import Node
from topologies import Nodes
from topologies import REPLICA
from topologies import SENTINEL
from topologies import SentinelGroup
from topologies import Single
from topologies import until

Fault = cabc.Callable[[t.Any], contextlib.AbstractContextManager[object]]


class GatedServer(Single):
    """A server that is reached over something that can fail."""

    def _start(self) -> None:
        super()._start()
        self.gate = Gate(self.nodes[0].port)
        self.url = self.gate.url

    def __exit__(self, *exc_info: object) -> None:
        self.gate.__exit__()
        super().__exit__()


class GatedPair(GatedServer):
    """A primary and its replica behind one address that leads to one of them."""

    def _start(self) -> None:
        super()._start()
        (port,) = ports = [node.port for node in self.nodes]
        replica = Single()
        self.replica = replica.__enter__()
        node = replica.nodes[0]
        node.client.execute_command("REPLICAOF", "127.0.0.1", port)
        until(lambda: node.info("replication")["master_link_status"] == "up")
        assert ports

    def __exit__(self, *exc_info: object) -> None:
        self.replica.__exit__()
        super().__exit__()

    def answers(self) -> bool:
        nodes = [*self.nodes, *self.replica.nodes]
        return next(n for n in nodes if n.port == self.gate.target).takes("probe")


# One server.


@contextlib.contextmanager
def killed(place: Single) -> cabc.Iterator[None]:
    """It is killed, and started again when the fault is over."""
    place.nodes[0].kill()
    yield
    place.nodes[0].start()


@contextlib.contextmanager
def hung(place: Single) -> cabc.Iterator[None]:
    """It keeps its connections and answers nothing."""
    place.nodes[0].hang()
    yield
    place.nodes[0].go_on()


@contextlib.contextmanager
def configured(node: Node, **settings: object) -> cabc.Iterator[None]:
    """A server has other settings for a while."""
    names = [name.replace("_", "-") for name in settings]
    before: dict[str, t.Any] = {}
    for name, value in zip(names, settings.values(), strict=True):
        before |= node.client.config_get(name)  # type: ignore[arg-type]  # redis-py
        node.client.config_set(name, value)
    yield
    for name in names:
        node.client.config_set(name, before[name])


def out_of_memory(place: Single) -> contextlib.AbstractContextManager[None]:
    """It can be read, and nothing can be stored."""
    return configured(place.nodes[0], maxmemory=1)


@contextlib.contextmanager
def read_only(place: Single) -> cabc.Iterator[None]:
    """It takes itself for the replica of a server that is not there."""
    client = place.nodes[0].client
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    yield
    client.execute_command("REPLICAOF", "NO", "ONE")


@contextlib.contextmanager
def no_more_clients(place: Single) -> cabc.Iterator[None]:
    """It refuses all connections but that of the test."""
    node = place.nodes[0]
    with configured(node, maxclients=1):
        node.client.execute_command("CLIENT KILL SKIPME YES TYPE NORMAL")
        yield


@contextlib.contextmanager
def storm(action: cabc.Callable[[], object]) -> cabc.Iterator[None]:
    """Something is done a hundred times a second."""
    end = threading.Event()

    def rage() -> None:
        while not end.wait(0.01):
            with contextlib.suppress(redis.RedisError):
                action()

    thread = threading.Thread(target=rage, daemon=True)
    thread.start()
    yield
    end.set()
    thread.join()


def client_kill_storm(place: Single) -> contextlib.AbstractContextManager[None]:
    """All connections are closed, a hundred times a second."""
    client = place.nodes[0].client
    return storm(lambda: client.execute_command("CLIENT KILL SKIPME YES TYPE NORMAL"))


def script_flush_storm(place: Nodes) -> contextlib.AbstractContextManager[None]:
    """All scripts are forgotten, a hundred times a second."""
    nodes = place.primaries()
    return storm(lambda: [node.client.script_flush() for node in nodes])


# What lies between.


@contextlib.contextmanager
def cut_replies(place: GatedServer) -> cabc.Iterator[None]:
    """One reply of five ends in the middle."""
    place.gate.cut = 0.2
    yield
    place.gate.cut = 0.0


@contextlib.contextmanager
def black_hole(place: GatedServer) -> cabc.Iterator[None]:
    """Nobody answers a connection, and nobody refuses it."""
    place.gate.swallow()
    yield
    place.gate.open()


@contextlib.contextmanager
def failover_behind_one_address(place: GatedPair) -> cabc.Iterator[None]:
    """The replica is promoted; old connections stay with the server that was."""
    old, new = place.nodes[0], place.replica.nodes[0]
    until(lambda: offset(old) == offset(new))
    new.client.execute_command("REPLICAOF", "NO", "ONE")
    place.gate.target = new.port
    old.client.execute_command("REPLICAOF", "127.0.0.1", new.port)
    yield


def offset(node: Node) -> int:
    """How much of what is written a server has seen."""
    found = node.info("replication")
    return int(found.get("slave_repl_offset", found["master_repl_offset"]))


# Several servers.


@contextlib.contextmanager
def killed_primary(place: SentinelGroup) -> cabc.Iterator[None]:
    """A replica takes the place of the primary, which comes back as a replica."""
    primary = place.primary()
    primary.kill()
    yield
    primary.start()


@contextlib.contextmanager
def hung_primary(place: SentinelGroup) -> cabc.Iterator[None]:
    """The same, but the old primary wakes up and does not know of it."""
    primary = place.primary()
    primary.hang()
    yield
    primary.go_on()


@contextlib.contextmanager
def split_brain(place: SentinelGroup) -> cabc.Iterator[None]:
    """Sentinels and replicas lose the primary, while the site still reaches it."""
    primary = place.primary()
    primary.shut_out(REPLICA)
    primary.shut_out(SENTINEL)
    yield
    primary.let_in(SENTINEL)
    primary.let_in(REPLICA)


@contextlib.contextmanager
def killed_master(place: Cluster) -> cabc.Iterator[None]:
    """A master's replica takes its place."""
    master = place.primaries()[0]
    master.kill()
    yield
    master.start()


@contextlib.contextmanager
def hung_master(place: Cluster) -> cabc.Iterator[None]:
    """The same, but the old master wakes up and does not know of it."""
    master = place.primaries()[0]
    master.hang()
    yield
    master.go_on()


@contextlib.contextmanager
def resharding(place: Cluster) -> cabc.Iterator[None]:
    """Slots wander from one master to another, again and again."""
    end = threading.Event()
    thread = threading.Thread(target=_reshard, args=(place, end), daemon=True)
    thread.start()
    yield
    end.set()
    thread.join()


def _reshard(place: Cluster, end: threading.Event) -> None:
    masters = place.primaries()
    while not end.is_set():
        for slot in _slots_in_use(masters):
            if end.is_set():
                return
            owner = next(m for m in masters if _owns(place, m, slot))
            target = masters[(masters.index(owner) + 1) % len(masters)]
            _move(place, slot, owner, target, masters)


def _slots_in_use(masters: list[Node]) -> list[int]:
    keys: set[bytes] = set()
    for master in masters:
        keys |= {*t.cast("list[bytes]", master.client.keys())}
    return sorted({key_slot(key) for key in keys})


def _owns(place: Cluster, node: Node, slot: int) -> bool:
    known = next(place.owners())
    return any(a <= slot <= b and n is node for (a, b), n in known.items())


def _move(place: Cluster, slot: int, old: Node, new: Node, masters: list[Node]) -> None:
    """As redis-cli does it, one key after the other."""
    old_name, new_name = place.name_of(old), place.name_of(new)
    new.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", old_name)
    old.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", new_name)
    while keys := old.client.execute_command("CLUSTER GETKEYSINSLOT", slot, 10):
        for key in t.cast("list[bytes]", keys):
            old.client.execute_command("MIGRATE", "127.0.0.1", new.port, key, 0, 1000)
    for node in [new, old, *masters]:
        node.client.execute_command("CLUSTER SETSLOT", slot, "NODE", new_name)


@dataclasses.dataclass(frozen=True)
class Case:
    """A fault, and what may come of it."""

    fault: Fault
    place: cabc.Callable[[], Nodes]
    #: Whether a server is replaced meanwhile, by those that are left.
    is_failover: bool = False
    #: How long the long form holds it, in seconds.
    seconds: float = 10
    #: Whether what was acknowledged may be lost, by asynchronous replication.
    may_lose: bool = False
    #: The options of our site.
    options: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        words = getattr(self.fault, "__name__", "").replace("_", "-")
        return "+".join([words, *(f"{n}={self.options[n]}" for n in self.options)])


def short_lived_cluster() -> Cluster:
    """One in which a master that does not answer is replaced after a second."""
    return Cluster(node_timeout=1000)


def short_lived_sentinel() -> SentinelGroup:
    """The same for Sentinel."""
    return SentinelGroup(down_after=500)


def short_lived_pair() -> SentinelGroup:
    """The same with one replica: of two, the one that lags behind may be promoted, and
    waiting for the other one excludes no loss."""
    return SentinelGroup(down_after=500, replicas=1)


_WAITS = {"wait_replicas": 1}

CASES = [
    Case(killed, Single),
    Case(hung, Single),
    Case(out_of_memory, Single),
    Case(read_only, Single),
    Case(no_more_clients, Single),
    Case(client_kill_storm, Single),
    Case(script_flush_storm, Single),
    Case(cut_replies, GatedServer),
    Case(black_hole, GatedServer),
    Case(failover_behind_one_address, GatedPair, may_lose=True),
    Case(killed_primary, short_lived_sentinel, True, may_lose=True),
    Case(hung_primary, short_lived_sentinel, True, may_lose=True),
    Case(split_brain, short_lived_sentinel, True, may_lose=True),
    Case(killed_primary, short_lived_pair, True, options=_WAITS),
    Case(split_brain, short_lived_pair, True, options=_WAITS),
    Case(killed_master, short_lived_cluster, True, may_lose=True),
    Case(hung_master, short_lived_cluster, True, may_lose=True),
    Case(killed_master, short_lived_cluster, True, options=_WAITS),
    Case(resharding, short_lived_cluster),
]


class Watch:
    """Looks all the time whether a place answers, as somebody who is new does."""

    def __init__(self, place: Nodes) -> None:
        self._place = place
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._answers = True
        #: When it last began to answer again; 0 where it always has.
        self.back = 0.0

    def _run(self) -> None:
        while not self._end.wait(0.02):
            answers = self._place.answers()
            if answers and not self._answers:
                self.back = time.monotonic()
            self._answers = answers

    def __enter__(self) -> t.Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end.set()
        self._thread.join()

    def until_it_answers(self) -> None:
        until(self._place.answers)

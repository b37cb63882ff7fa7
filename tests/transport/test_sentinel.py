"""A primary that Sentinel watches."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import socket
import threading
import time

import pytest
import redis
from gate import Gate
from topologies import free_ports
from topologies import REPLICA
from topologies import SENTINEL
from topologies import SentinelGroup
from topologies import SERVICE
from topologies import until
from visitors import look
from visitors import store
from visitors import store_more

from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]


def test_sentinels_may_be_dead_as_long_as_one_answers(
    sentinel: SentinelGroup, make_manager: MakeManager
) -> None:
    alive = sentinel.sentinels[2].address
    url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:2,{alive}/{SERVICE}"
    manager = make_manager(url)
    assert look(manager, store(manager, n=1)) == {"n": 1}


def test_service_that_no_sentinel_knows_is_an_outage_that_names_it(
    sentinel: SentinelGroup, make_manager: MakeManager
) -> None:
    addresses = ",".join(node.address for node in sentinel.sentinels)
    manager = make_manager(f"redis+sentinel://{addresses}/nonsense")
    with pytest.raises(SessionUnavailable) as caught:
        store(manager, n=1)
    assert "'nonsense'" in str(caught.value)


class Failover:
    """A failover that one more sentinel, which ``url`` names first, has not heard of,
    nor does it hear of it: it watches the old primary, which is empty."""

    def __init__(self, group: SentinelGroup) -> None:
        self._group = group
        self.old = group.primary()
        self.old.kill()
        until(lambda: self.old not in group.opinions())
        self.old.start()
        # Where sentinels tell each other what they know.
        self.old.client.execute_command("ACL SETUSER", SENTINEL, "resetchannels")
        self.stale = group.add_sentinel(*free_ports(1), self.old.port)
        addresses = ",".join(node.address for node in [self.stale, *group.sentinels])
        self.url = f"redis+sentinel://{addresses}/{SERVICE}"

    @contextlib.contextmanager
    def new_manager(self) -> cabc.Iterator[SessionManager]:
        """One that has asked no sentinel before."""
        manager = SessionManager(self.url, secret_key="not a secret")
        yield manager
        manager.disconnect()

    def is_unheard_of(self) -> bool:
        return self._group.opinion_of(self.stale) is self.old


@pytest.fixture
def stored() -> cabc.Iterator[tuple[SentinelGroup, str]]:
    """What is watched by sentinels that do not wait long, and the Cookie header of a
    session that all of the servers have."""
    with SentinelGroup(down_after=500) as group:
        manager = SessionManager(group.url, secret_key="not a secret")
        header = store(manager, n=1)
        manager.disconnect()
        for node in group.servers:
            until(lambda n=node: n.client.dbsize() == 1)
        yield group, header


def look_at_last(manager: SessionManager, header: str) -> dict[str, object]:
    """What the first request sees that is answered."""
    found: list[dict[str, object]] = []

    def is_answered() -> bool:
        with contextlib.suppress(SessionUnavailable):
            found.append(look(manager, header))
        return bool(found)

    until(is_answered)
    return found[0]


def test_sentinel_that_has_not_heard_of_a_failover_leads_nobody_back(
    stored: tuple[SentinelGroup, str],
) -> None:
    group, header = stored
    failover = Failover(group)
    for _ in range(20):
        with failover.new_manager() as manager:
            assert look_at_last(manager, header) == {"n": 1}
    assert failover.is_unheard_of()


def test_it_does_not_when_the_others_do_not_answer_for_a_moment(
    stored: tuple[SentinelGroup, str],
) -> None:
    group, header = stored
    failover = Failover(group)
    for sentinel in group.sentinels:
        sentinel.hang()
    with failover.new_manager() as manager:
        for _ in range(3):
            with pytest.raises(SessionUnavailable, match="1 of 4 answered"):
                look(manager, header)
        assert failover.is_unheard_of()
        for sentinel in group.sentinels:
            sentinel.go_on()
        assert look_at_last(manager, header) == {"n": 1}


def test_it_does_not_when_the_others_cannot_be_found_for_a_moment(
    stored: tuple[SentinelGroup, str],
) -> None:
    group, header = stored
    failover = Failover(group)
    names = "no-such-a.invalid,no-such-b.invalid"
    url = f"redis+sentinel://{failover.stale.address},{names}/{SERVICE}"
    manager = SessionManager(url, secret_key="not a secret")
    with pytest.raises(SessionUnavailable, match="1 of 3 answered"):
        look(manager, header)
    manager.disconnect()


def test_who_knows_of_a_failover_believes_no_minority_that_does_not(
    stored: tuple[SentinelGroup, str],
) -> None:
    group, header = stored
    failover = Failover(group)
    with failover.new_manager() as manager, failover.new_manager() as new:
        assert look_at_last(manager, header) == {"n": 1}
        for sentinel in group.sentinels:
            sentinel.kill()
        manager.disconnect()
        assert failover.is_unheard_of()
        with pytest.raises(SessionUnavailable, match="1 of 4 answered"):
            look(manager, header)
        assert look(new, header) == {}


def test_primary_that_is_down_is_not_waited_for() -> None:
    with SentinelGroup(down_after=500, replicas=0) as group:
        manager = SessionManager(group.url, secret_key="not a secret", retries=0)
        header = store(manager, n=1)
        primary = group.primary()
        primary.kill()
        states = [sentinel.client.sentinel_master for sentinel in group.sentinels]
        until(lambda: all("s_down" in ask(SERVICE)["flags"] for ask in states))
        manager.disconnect()
        with pytest.raises(SessionUnavailable, match="no master of that name"):
            look(manager, header)


def test_sentinels_that_swallow_everything_leave_time_for_the_command(
    sentinel: SentinelGroup, make_manager: MakeManager
) -> None:
    with contextlib.ExitStack() as stack:
        gates = [stack.enter_context(Gate(0)) for _ in range(4)]
        for gate in gates:
            gate.swallow()
        places = [f"127.0.0.1:{gate.port}" for gate in gates]
        places.append(sentinel.sentinels[0].address)
        manager = make_manager(f"redis+sentinel://{','.join(places)}/{SERVICE}")
        # It takes a while until they are known to be dead.
        with pytest.raises(SessionUnavailable, match="of 5 answered"):
            store(manager, n=1)
        until(lambda: _is_stored(manager, ""))
        header = store(manager, n=1)
        manager.disconnect()
        assert look(manager, header) == {"n": 1}


@pytest.mark.parametrize(
    ("query", "is_tls"), [("", True), ("?sentinel_ssl=false", False)]
)
def test_sentinels_are_spoken_to_as_the_servers_are(
    make_manager: MakeManager, query: str, is_tls: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        manager = make_manager(f"rediss+sentinel://{place}/{SERVICE}{query}")
        with pytest.raises(SessionUnavailable):
            store(manager, n=1)
        listener.settimeout(10)
        connection, _ = listener.accept()
        with connection:
            first = connection.recv(1)
    # A handshake of TLS, or a command of Redis'.
    assert first == (b"\x16" if is_tls else b"*")


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("sentinel_nonsense=1", "sentinel_|nonsense"),
        ("sentinel_ssl=perhaps", "sentinel_ssl must be true or false"),
        ("sentinel_socket_timeout=-1", "socket_timeout must be"),
    ],
)
def test_setting_of_sentinels_that_cannot_work_is_refused(
    query: str, detail: str
) -> None:
    with pytest.raises(ConfigurationError, match=detail):
        SessionManager(f"redis+sentinel://a,b/s?{query}", secret_key="not a secret")


def test_250_threads_share_the_connections_to_a_primary(
    sentinel: SentinelGroup, make_manager: MakeManager
) -> None:
    manager = make_manager(sentinel.url, pool_timeout=60, operation_timeout=60)
    header = store(manager, n=1)
    barrier = threading.Barrier(250)
    found: list[object] = []

    def visit() -> None:
        barrier.wait()
        try:
            found.append(look(manager, header))
        except SessionUnavailable as error:
            found.append(error)

    threads = [threading.Thread(target=visit) for _ in range(250)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{"n": 1}] * 250


# A primary that is told to have replicas (min-replicas-to-write).


def test_primary_without_replicas_refuses_to_store_and_is_asked_anew_each_time(
    own_server: LocalServer, make_manager: MakeManager
) -> None:
    manager = make_manager(own_server.url)
    header = store(manager, n=1)
    with redis.Redis(unix_socket_path=own_server.socket) as client:
        client.config_set("min-replicas-to-write", 1)
        with pytest.raises(SessionUnavailable, match="Not enough good replicas"):
            store_more(manager, header, n=2)
        assert look(manager, header) == {"n": 1}
        client.config_set("min-replicas-to-write", 0)
    assert look(manager, store_more(manager, header, n=2)) == {"n": 2}


def _is_stored(manager: SessionManager, header: str) -> bool:
    try:
        store_more(manager, header, after=True)
    except SessionUnavailable:
        return False
    return True


def test_primary_that_was_cut_off_soon_takes_nothing_that_would_be_lost() -> None:
    with SentinelGroup(down_after=6000) as group:
        manager = SessionManager(
            group.url, secret_key="not a secret", operation_timeout=30, read_timeout=30
        )
        old = group.primary()
        old.client.config_set("min-replicas-to-write", 1)
        old.client.config_set("min-replicas-max-lag", 1)
        header = store(manager, n=0)
        old.client.execute_command("WAIT", 2, 0)
        # The site reaches it still, over a connection that it has.
        old.shut_out(REPLICA)
        old.shut_out(SENTINEL)
        began, stored, refused = time.monotonic(), [0.0], 0
        while group.primary() is old or not group.answers():
            try:
                store_more(manager, header, n=len(stored))
                stored.append(time.monotonic() - began)
            except SessionUnavailable:
                refused += 1
        # The sessions may leave it alone for a second yet.
        until(lambda: _is_stored(manager, header))
        found = look(manager, header)
        manager.disconnect()
    assert refused
    assert found["after"] is True
    assert max(stored[found["n"] + 1 :], default=0) < 4

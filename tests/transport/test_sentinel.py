"""A primary that Sentinel watches."""

from __future__ import annotations

import collections.abc as cabc
import threading
import time

import pytest
import redis
from topologies import free_ports
from topologies import REPLICA
from topologies import SENTINEL
from topologies import SentinelGroup
from topologies import SERVICE
from topologies import until
from visitors import look
from visitors import store
from visitors import store_more

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


def test_sentinel_that_has_not_heard_of_a_failover_leads_nobody_back() -> None:
    with SentinelGroup(down_after=500) as group:
        old = group.primary()
        manager = SessionManager(group.url, secret_key="not a secret")
        header = store(manager, n=1)
        old.client.execute_command("WAIT", 2, 0)
        old.kill()
        until(lambda: old not in group.opinions())
        # It is empty now, and takes itself for a primary.
        old.start()
        stale = group.add_sentinel(*free_ports(1), old.port)
        addresses = ",".join(node.address for node in [stale, *group.sentinels])
        url = f"redis+sentinel://{addresses}/{SERVICE}"
        found = []
        while group.opinion_of(stale) is old:
            new = SessionManager(url, secret_key="not a secret")
            found.append(look(new, header))
            new.disconnect()
        manager.disconnect()
    assert found == [{"n": 1}] * (len(found) or 1)


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

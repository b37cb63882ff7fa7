"""A primary that Sentinel watches."""

from __future__ import annotations

import collections.abc as cabc
import threading

import pytest
from topologies import SentinelGroup
from topologies import SERVICE
from visitors import look
from visitors import store

from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable

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

"""How an outage is met once, and not by each request."""

from __future__ import annotations

import collections.abc as cabc
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from visitors import look
from visitors import Request
from visitors import store

from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.transport.breaker import Breaker
from wsgi_redis_session.transport.deadline import Deadline
from wsgi_redis_session.transport.question import Question

MakeManager = cabc.Callable[..., SessionManager]


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(3):
        breaker.failed(now)
    return breaker


def test_breaker_opens_with_the_third_failure_in_a_row() -> None:
    breaker = Breaker()
    breaker.failed(0)
    breaker.failed(0)
    assert breaker.open_until == 0
    breaker.succeeded()
    breaker.failed(0)
    breaker.failed(0)
    assert breaker.open_until == 0
    breaker.failed(0)
    assert breaker.open_until == 1


def test_open_breaker_lets_one_try_each_second() -> None:
    breaker = opened()
    assert [breaker.refuses(now) for now in (0, 0.5, 0.9)] == [True] * 3
    assert [breaker.refuses(1.0) for _ in range(5)] == [False, *[True] * 4]
    breaker.failed(1.9)
    times = (1.95, 2.05, 2.2, 2.9, 3.1)
    assert [breaker.refuses(now) for now in times] == [True, False, True, True, False]


def test_one_success_closes_it() -> None:
    breaker = opened()
    assert not breaker.refuses(1.0)
    breaker.succeeded()
    assert (breaker.open_until, breaker.failures) == (0, 0)


class Hole:
    """A server that takes connections, and then says nothing."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def connections(self) -> int:
        """How many there have been since the last look."""
        self._listener.setblocking(False)
        count = 0
        while True:
            try:
                self._listener.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def hole() -> cabc.Iterator[Hole]:
    hole = Hole()
    yield hole
    hole.close()


class Subclass(redis.Redis):
    """A client that is used itself."""


@pytest.mark.parametrize("kind", ["url", "client"])
def test_server_that_does_not_answer_is_asked_a_few_times_by_a_hundred_requests(
    kind: str, hole: Hole, make_manager: MakeManager, server: LocalServer
) -> None:
    cookie = store(make_manager(server.url), n=1)
    limits = {"socket_timeout": 0.1, "socket_connect_timeout": 0.1, "retry": None}
    client = Subclass.from_url(hole.url, protocol=2, **limits)
    given = client if kind == "client" else hole.url
    manager = make_manager(given, read_timeout=0.1, connect_timeout=0.1, retries=0)
    for _ in range(100):
        with pytest.raises(SessionUnavailable):
            look(manager, cookie)
    # A second passes for each hundred tries on the slowest machine, at most.
    assert 3 <= hole.connections() < 50
    client.close()


def test_all_connections_may_be_closed_a_moment_after_they_were_used(
    make_manager: MakeManager, db: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long the test takes.
    monkeypatch.setattr("wsgi_redis_session.transport.pool._MOMENT", 600)
    manager = make_manager()
    headers = [store(manager, n=n) for n in range(8)]
    opened = threading.Barrier(len(headers))

    def visit(header: str) -> None:
        request = Request(manager, header)
        opened.wait()
        request.session["again"] = True
        request.commit()

    with ThreadPoolExecutor(len(headers)) as threads:
        for _ in range(3):
            [*threads.map(visit, headers)]
            db.execute_command("CLIENT KILL SKIPME YES TYPE NORMAL")


def test_deadline_that_is_over_before_a_connection_is_open_is_an_outage(
    hole: Hole, make_manager: MakeManager
) -> None:
    transport = make_manager(hole.url).store.transport
    with pytest.raises(SessionUnavailable) as caught:
        transport.send(Question(Deadline(-1), ("GET", "key")))
    assert isinstance(caught.value.__cause__, redis.TimeoutError)


def test_probe_that_is_answered_opens_the_way_for_all(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    manager = make_manager(own_server.url)
    cookie = store(manager, n=1)
    own_server.stop()
    for _ in range(5):
        with pytest.raises(SessionUnavailable):
            look(manager, cookie)
    own_server.start()
    while True:
        try:
            manager.ping()
        except SessionUnavailable:
            continue  # until the second is over
        break
    assert [look(manager, cookie) for _ in range(10)] == [{}] * 10

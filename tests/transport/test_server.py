"""What one server may answer, and how long it may take."""

from __future__ import annotations

import collections.abc as cabc
import signal

import pytest
import redis
from gate import Gate
from redis.exceptions import ResponseError
from topologies import Single
from visitors import store

from wsgi_redis_session import SessionConfig
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.events import EventLog
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.transport.connect import Builder
from wsgi_redis_session.transport.connect import target_of
from wsgi_redis_session.transport.deadline import Deadline
from wsgi_redis_session.transport.link import Link
from wsgi_redis_session.transport.question import Command
from wsgi_redis_session.transport.question import Question
from wsgi_redis_session.transport.server import NotReplicated
from wsgi_redis_session.transport.server import Patience
from wsgi_redis_session.transport.server import Server
from wsgi_redis_session.transport.urls import parse

MakeManager = cabc.Callable[..., SessionManager]


@pytest.fixture
def single() -> cabc.Iterator[Single]:
    with Single() as found:
        yield found


@pytest.mark.parametrize("limit", [2**31, 10**9])
def test_client_without_a_limit_of_connections_is_served(limit: int) -> None:
    client = redis.Redis()
    client.connection_pool.max_connections = limit
    manager = SessionManager(client, secret_key="not a secret")
    manager.disconnect()


def test_wait_that_is_refused_is_an_outage_that_says_so(
    single: Single, make_manager: MakeManager
) -> None:
    single.nodes[0].client.execute_command("ACL SETUSER", "default", "-wait")
    manager = make_manager(single.url, wait_replicas=1)
    with pytest.raises(SessionUnavailable, match=r"WAIT was refused: .*permissions"):
        store(manager, n=1)


def test_replica_that_cannot_wait_is_left() -> None:
    answers: list[list[object]] = [
        ["stored", ResponseError("WAIT cannot be used with replica instances.")],
        ["stored", 1],
    ]
    assert ask(answers, wait_replicas=1) == "stored"


def test_what_a_slot_moves_to_waits_as_well() -> None:
    sent: list[Command] = []
    answers: list[list[object]] = [["stored", 0]]
    with pytest.raises(NotReplicated):
        ask(answers, wait_replicas=1, before=("ASKING",), sent=sent)
    assert [words[0] for words in sent] == ["ASKING", "SET", "WAIT"]


@pytest.mark.parametrize("kind", ["READONLY", "NOREPLICAS", "MASTERDOWN"])
def test_error_of_a_script_s_of_redis_6_2_is_seen_as_what_it_is(kind: str) -> None:
    text = f"Error running script (call to f_1): @user_script:31: -{kind} You can't"
    assert ask([[ResponseError(text)], ["stored"]]) == "stored"


def ask(
    answers: list[list[object]],
    wait_replicas: int = 0,
    before: Command | None = None,
    sent: list[Command] | None = None,
) -> object:
    """The reply to a question where each connection leads to a server that gives the
    next of these answers; ``sent`` is told what arrives there."""

    class Scripted(Link):
        def open(self, seconds: float, usual_seconds: float) -> None:
            self.is_open, self.in_doubt = True, False
            self.answers = answers.pop(0)

        def close(self) -> None:
            self.is_open = False

        def is_stale(self) -> bool:
            return False

        def ask(
            self,
            command: Command,
            then: Command | None = None,
            *,
            seconds: float | None = None,
        ) -> object:
            self.in_doubt = False
            if sent is not None:
                sent.extend([command] if then is None else [command, then])
            return self.answers[0] if then is None else tuple(self.answers)

    patience = Patience(1, 1, 1, 1)
    server = Server(Scripted, 1, patience, EventLog(), wait_replicas)
    question = Question(Deadline(1), ("SET", "key", "value"), writes=True)
    return server.ask(question, before)


def test_script_that_is_asked_for_again_is_known_to_be() -> None:
    words = ("EVALSHA", "sha", "1", "key")
    question = Question(Deadline(1), (*words, "first"), again=(*words, "again"))
    assert question.with_source("source").command[-1] == "first"
    question.asked_again()
    assert question.with_source("source").command[-1] == "again"


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_host_that_is_no_name_is_an_outage(host: str) -> None:
    manager = SessionManager(f"redis://{host}", secret_key="not a secret")
    with pytest.raises(SessionUnavailable, match="UnicodeError"):
        store(manager, n=1)


# How long it may take.


def test_connection_is_opened_within_one_deadline(single: Single) -> None:
    with Gate(single.nodes[0].port) as gate:
        gate.lag = 0.2  # each of its replies, and there are three
        url = f"redis://127.0.0.1:{gate.port}/3?client_name=me"
        link = Builder(parse(url), SessionConfig(), EventLog()).link()
        with pytest.raises(redis.TimeoutError):
            link.open(0.5, 1)
        gate.lag = 0
        link.open(30, 1)
        link.close()


def test_link_waits_as_long_as_it_usually_does_however_it_was_opened(
    server: LocalServer,
) -> None:
    link = Builder(parse(server.url), SessionConfig(), EventLog()).link()
    link.open(30, 0.7)
    # As it is without hiredis, with TLS and with gevent.
    link._is_in_kernel = False
    link._wait_at_most(0.7)
    assert not link.is_stale()
    assert link._sock.gettimeout() == 0.7
    link.close()


def test_kernel_does_not_time_replies_while_a_timer_interrupts(
    server: LocalServer,
) -> None:
    link = Builder(parse(server.url), SessionConfig(), EventLog()).link()
    before = signal.signal(signal.SIGALRM, lambda number, frame: None)
    try:
        signal.setitimer(signal.ITIMER_REAL, 60)
        link.open(1, 0.7)
        assert link._sock.gettimeout() == 0.7
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        link.close()


def test_shortest_time_is_not_for_ever(single: Single) -> None:
    client = redis.Redis(port=single.nodes[0].port, socket_timeout=1e-9)
    target = target_of(client)
    assert target is not None
    link = Builder(target, SessionConfig(), EventLog()).link()
    link.open(1, 1e-9)
    single.nodes[0].hang()
    try:
        with pytest.raises(redis.TimeoutError):
            link.ask(("PING",))
    finally:
        single.nodes[0].go_on()
        link.close()

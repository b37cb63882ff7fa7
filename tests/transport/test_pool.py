"""Links to a server: when one is used again, and that none is ever lost."""

from __future__ import annotations

import collections.abc as cabc
import gc
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import typing as t

import pytest
import redis
from gateway import ask
from gateway import busy_connections
from visitors import look
from visitors import Request
from visitors import store

from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.transport.pool import Pool

MakeManager = cabc.Callable[..., SessionManager]


def pool_of(manager: SessionManager) -> Pool:
    transport: t.Any = manager.store.transport
    return t.cast(Pool, transport._server._pool)


def connections(db: redis.Redis) -> int:
    """How many there are, but for the one that asks."""
    return len(db.client_list()) - 1


def age_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """No link counts as used a moment ago."""
    monkeypatch.setattr("wsgi_redis_session.transport.pool._MOMENT", 0)


@pytest.mark.parametrize(("retries", "is_old"), [(0, True), (1, True), (1, False)])
def test_connection_that_the_server_closed_meanwhile_is_made_anew(
    make_manager: MakeManager,
    db: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    retries: int,
    is_old: bool,
) -> None:
    if is_old:
        age_links(monkeypatch)
    manager = make_manager(retries=retries)
    header = store(manager, a=1)
    db.client_kill_filter(_type="normal", skipme=True)
    assert look(manager, header) == {"a": 1}
    assert connections(db) == 1


def test_connection_with_an_unread_reply_is_made_anew(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    age_links(monkeypatch)
    header = store(manager, a=1)
    pool = pool_of(manager)
    link = pool.take(0)
    link.send_command("GET", "nothing")
    while not link.can_read(1):
        pass
    pool.give_back(link)
    assert look(manager, header) == {"a": 1}


def test_what_nothing_binds_to_its_question_is_read_from_no_link_unlooked(
    manager: SessionManager,
) -> None:
    ask(manager, "PING")
    pool = pool_of(manager)
    link = pool.take(time.monotonic())
    link.send_command("ECHO", "somebody else's")
    while not link.can_read(1):
        pass
    link.asked_at = time.monotonic()
    pool.give_back(link)
    assert ask(manager, "ECHO", "mine") == b"mine"


def test_link_is_not_looked_after_between_two_commands_of_a_request(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(manager, store(manager, a=1))
    looked: list[t.Any] = []
    monkeypatch.setattr(
        "wsgi_redis_session.transport.pool.Pool._look_after",
        lambda pool, link: looked.append(link),
    )
    request.session["a"] = 2
    request.commit()
    assert looked == []


def test_link_that_was_used_last_is_handed_out_first(manager: SessionManager) -> None:
    pool = pool_of(manager)
    first, second = pool.take(0), pool.take(0)
    pool.give_back(first)
    pool.give_back(second)
    assert pool.take(0) is second
    assert pool.take(0) is first


def test_there_are_no_more_links_than_allowed_and_none_is_waited_for_forever(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(max_connections=1, pool_timeout=0.01)
    header = store(manager, a=1)
    pool = pool_of(manager)
    link = pool.take(0)
    assert pool.take(0) is None
    with pytest.raises(SessionUnavailable, match="all 1 connections are in use"):
        look(manager, header)
    pool.give_back(link)
    assert pool.take(0) is link


def test_too_few_links_are_no_failure_of_the_server(make_manager: MakeManager) -> None:
    manager = make_manager(max_connections=1, pool_timeout=0.01)
    header = store(manager, a=1)
    pool = pool_of(manager)
    link = pool.take(0)
    for _ in range(4):  # three open the breaker
        with pytest.raises(SessionUnavailable, match="all 1 connections are in use"):
            look(manager, header)
    pool.give_back(link)
    assert look(manager, header) == {"a": 1}


def test_whoever_waits_for_a_link_gets_it_when_it_is_given_back(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(max_connections=1, pool_timeout=30, operation_timeout=30)
    header = store(manager, a=1)
    pool = pool_of(manager)
    link = pool.take(0)
    found: list[dict[str, t.Any]] = []
    threads = [
        threading.Thread(target=lambda: found.append(look(manager, header)))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    pool.give_back(link)
    for thread in threads:
        thread.join(30)
    assert found == [{"a": 1}] * 10


def test_link_that_gets_lost_is_closed_and_may_be_replaced(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(max_connections=1)
    header = store(manager, a=1)
    pool = pool_of(manager)
    assert connections(db) == 1
    link = pool.take(0)
    assert busy_connections(manager) == 1
    del link
    gc.collect()
    assert busy_connections(manager) == 0
    assert look(manager, header) == {"a": 1}
    assert connections(db) == 1


def test_waiting_ends_when_a_link_gets_lost(make_manager: MakeManager) -> None:
    manager = make_manager(max_connections=1, pool_timeout=30, operation_timeout=30)
    header = store(manager, a=1)
    held = [pool_of(manager).take(0)]
    found: list[dict[str, t.Any]] = []
    thread = threading.Thread(target=lambda: found.append(look(manager, header)))
    thread.start()
    held.clear()
    thread.join(30)
    assert found == [{"a": 1}]


def test_pool_keeps_its_size_when_a_connection_cannot_be_opened(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    manager = make_manager(own_server.url, max_connections=1)
    header = store(manager, a=1)
    own_server.stop()
    for _ in range(10):
        with pytest.raises(SessionUnavailable):
            look(manager, header)
    assert busy_connections(manager) == 0


def test_dropped_links_are_closed_those_in_use_when_they_are_given_back(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(max_connections=2)
    pool = pool_of(manager)
    header = store(manager, a=1)
    link = pool.take(0)
    store(manager, a=2)
    assert connections(db) == 2
    manager.disconnect()
    assert connections(db) == 1
    pool.give_back(link)
    del link
    gc.collect()
    assert connections(db) == 0
    assert look(manager, header) == {"a": 1}


def test_manager_that_nobody_has_any_more_leaves_no_connection(
    server: LocalServer, db: redis.Redis
) -> None:
    manager = SessionManager(server.url, secret_key="key")
    store(manager, a=1)
    assert connections(db) == 1
    del manager
    gc.collect()
    assert connections(db) == 0


def test_signals_that_strike_anywhere_cost_no_connection_and_mix_no_sessions() -> None:
    program = pathlib.Path(__file__).parents[1] / "support" / "signals.py"
    output = subprocess.run(
        [sys.executable, program, "1000"], stdout=subprocess.PIPE, check=True
    ).stdout
    assert json.loads(output) == {"interrupts": 1000, "wrong": 0, "lost": 0}


def test_forked_process_forgets_the_links_of_its_parent(
    manager: SessionManager,
) -> None:
    store(manager, a=1)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        ask(manager, "PING")
        os.write(writer, b"%d" % busy_connections(manager))
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 10) == b"0"
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("size", [1, 8_000_000], ids=["reading", "sending"])
def test_server_that_hangs_is_not_waited_for_in_reading_nor_in_sending(
    own_server: LocalServer, make_manager: MakeManager, size: int
) -> None:
    manager = make_manager(own_server.url, operation_timeout=0.3, max_bytes=None)
    request = Request(manager, store(manager, a=1))
    request.session["a"] = "x" * size  # more than all buffers on the way hold
    raised: list[Exception] = []

    def commit() -> None:
        try:
            request.commit()
        except SessionUnavailable as error:
            raised.append(error)

    os.kill(own_server.pid, signal.SIGSTOP)
    try:
        thread = threading.Thread(target=commit, daemon=True)
        thread.start()
        thread.join(20)
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    assert len(raised) == 1

"""Requests that change the same name, and what ``on_conflict`` makes of it."""

from __future__ import annotations

import collections.abc as cabc
import threading
import typing as t

import pytest
from proxy import Proxy
from visitors import look
from visitors import Request
from visitors import store

from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]


def add_up(name: str, base: t.Any, ours: t.Any, theirs: t.Any) -> t.Any:
    return theirs + ours - base


@pytest.mark.parametrize("others", range(7))
def test_save_whose_reply_is_lost_counts_once_or_says_that_nobody_can_tell(
    make_manager: MakeManager, server: LocalServer, others: int
) -> None:
    elsewhere = make_manager(server.url, on_conflict=add_up)
    header = store(elsewhere, total=0)

    def add(manager: SessionManager) -> None:
        request = Request(manager, header)
        request.session["total"] += 1
        request.commit()

    def lose_after_others(command: list[bytes], reply: bytes) -> bytes | None:
        if command[0] != b"EVALSHA" or b"NOSCRIPT" in reply:
            return reply
        proxy.on_reply = lambda command, reply: reply
        for _ in range(others):
            add(elsewhere)
        return None

    add(elsewhere)  # so that the server knows the script
    with Proxy(server.socket) as proxy:
        proxy.on_reply = lose_after_others
        manager = make_manager(proxy.url, on_conflict=add_up)
        if others < 4:
            add(manager)
        else:
            with pytest.raises(SessionUnavailable, match="nobody can tell"):
                add(manager)
        manager.disconnect()
    assert look(elsewhere, header) == {"total": 2 + others}


def test_on_conflict_decides_for_forty_who_contend(make_manager: MakeManager) -> None:
    manager = make_manager(on_conflict=add_up, max_connections=40, operation_timeout=60)
    header = store(manager, total=0)
    requests = [Request(manager, header) for _ in range(40)]
    for request in requests:
        request.session["total"] += 1
    barrier = threading.Barrier(40)

    def commit(request: Request) -> None:
        barrier.wait()
        request.commit()

    threads = [threading.Thread(target=commit, args=(r,)) for r in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert look(manager, header) == {"total": 40}

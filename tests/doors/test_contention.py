"""Requests that all change one session at the same time, in several processes."""

from __future__ import annotations

import pytest
from contention import CONCURRENT
from contention import report

from wsgi_redis_session.local_server import LocalServer


@pytest.mark.parametrize("worker", CONCURRENT)
def test_all_who_add_to_a_sum_at_once_are_counted_once_each(
    server: LocalServer, worker: str
) -> None:
    # A busy machine may take its time.
    found = report(server, worker, 300, SESSION_OPERATION_TIMEOUT="20")
    assert (found["refused"], found["sum"], found["names"]) == (0, 300, 300)

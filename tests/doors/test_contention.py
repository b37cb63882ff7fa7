"""Requests that all change one session at the same time, in several processes."""

from __future__ import annotations

import pytest
import redis
from contention import CONCURRENT
from contention import report

from wsgi_redis_session.local_server import LocalServer


@pytest.mark.parametrize("encrypt", ["false", "migrate"])
@pytest.mark.parametrize("worker", CONCURRENT)
def test_all_who_add_to_a_sum_at_once_are_counted_once_each(
    server: LocalServer, db: redis.Redis, worker: str, encrypt: str
) -> None:
    # A busy machine may take its time.
    options = {"SESSION_OPERATION_TIMEOUT": "20", "SESSION_ENCRYPT": encrypt}
    found = report(server, worker, 300, **options)
    assert (found["refused"], found["sum"], found["names"]) == (0, 300, 300)
    (key,) = db.keys()
    is_sealed = bool(db.get(key)[1] & 2)
    assert is_sealed == (encrypt == "migrate")

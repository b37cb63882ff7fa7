"""Requests of one browser that overlap, on three workers of gunicorn."""

from __future__ import annotations

import pytest
from deployed_site import WORKERS
from overlaps import OVERLAPS
from overlaps import report

from wsgi_redis_session.local_server import LocalServer


@pytest.mark.parametrize("worker", WORKERS)
def test_nobody_is_logged_out_whichever_response_the_browser_keeps(
    server: LocalServer, worker: str
) -> None:
    found = report(server, worker, times=3)
    assert {name: found[name] for name in OVERLAPS} == dict.fromkeys(OVERLAPS, 0)

"""Tests that hold on every server, for test modules that have a ``port``."""

from __future__ import annotations

import json
import typing as t
from concurrent.futures import ThreadPoolExecutor

from served_site import CONTENT
from serving import Browser
from wsgi_apps import SHAPES


def test_visitors_at_the_same_time_are_kept_apart(port: int) -> None:
    def visit(times: int) -> list[bytes]:
        browser = Browser(port)
        return [browser.read("/count") for _ in range(times)]

    expected = [[b"%d" % (n + 1) for n in range(times)] for times in range(1, 9)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(visit, range(1, 9))) == expected


def test_responses_are_framed_as_without_the_middleware(port: int) -> None:
    ours = {"date", "set-cookie", "vary", "cache-control"}

    def look(path: str) -> tuple[t.Any, ...]:
        response, body = Browser(port).open(path)
        # As a dictionary: gunicorn sends a head twice that is replaced by an error's.
        headers = {name.lower(): value for name, value in response.getheaders()}
        kept = {name: headers[name] for name in headers if name not in ours}
        return response.version, response.status, response.reason, kept, body

    pages = [*SHAPES, "download"]
    assert {page: look(f"/{page}") for page in pages} == {
        page: look(f"/without/{page}") for page in pages
    }


def test_download_arrives_whole_and_with_the_session(port: int) -> None:
    browser = Browser(port)
    for visits in (b"2", b"4"):
        assert browser.read("/download") == CONTENT
        assert browser.read("/count") == visits


def test_no_connection_to_redis_stays_out_of_the_pool(port: int) -> None:
    browser = Browser(port)
    for page in ("count", *SHAPES, "download"):
        browser.open(f"/{page}")
        assert json.loads(browser.read("/state"))["busy"] == 0

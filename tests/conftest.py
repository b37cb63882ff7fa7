from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
import redis
from werkzeug.test import Client
from werkzeug.wrappers import Response

from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.local_server import LocalServer

pytest.register_assert_rewrite("every_server")

SECRET_KEY = "not a secret, this is a test"


class Clock:
    """A clock that stands still until it is moved; in seconds."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time

    def move(self, seconds: float) -> None:
        self.time += seconds


def pytest_report_header() -> str:
    with LocalServer() as server:
        return f"sessions are kept in: {server.describe()} ({server.program})"


@pytest.fixture(scope="session")
def _server() -> cabc.Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def server(_server: LocalServer) -> LocalServer:
    """The run's own server, empty."""
    with redis.Redis(unix_socket_path=_server.socket) as client:
        client.flushall()
        client.script_flush()
    return _server


@pytest.fixture
def own_server() -> cabc.Iterator[LocalServer]:
    """A server that a test may stop and start."""
    with LocalServer() as server:
        yield server


@pytest.fixture
def db(server: LocalServer) -> cabc.Iterator[redis.Redis]:
    """A plain client that looks at what is stored."""
    with redis.Redis(unix_socket_path=server.socket) as client:
        yield client


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def events() -> list[SessionEvent]:
    """The events of the managers that make_manager made, but for those that every
    request has."""
    return []


@pytest.fixture
def make_manager(
    server: LocalServer, events: list[SessionEvent]
) -> cabc.Iterator[cabc.Callable[..., SessionManager]]:
    """Make managers, on the run's server unless told otherwise."""
    made: list[SessionManager] = []

    def note(event: SessionEvent) -> None:
        if event.name not in ("loaded", "saved"):
            events.append(event)

    def make(redis: t.Any = server.url, **options: t.Any) -> SessionManager:
        options.setdefault("secret_key", SECRET_KEY)
        options.setdefault("on_event", note)
        made.append(SessionManager(redis, **options))
        return made[-1]

    yield make
    for manager in made:
        manager.disconnect()


@pytest.fixture
def manager(make_manager: cabc.Callable[..., SessionManager]) -> SessionManager:
    return make_manager()


def browser(app: t.Any, manager: SessionManager) -> Client:
    """A client with a cookie jar in front of an application with sessions."""
    return Client(SessionMiddleware(app, manager), Response)

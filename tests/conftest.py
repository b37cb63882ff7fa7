from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import typing as t

import pytest
from topologies import Cluster
from topologies import Nodes
from topologies import OwnServer
from topologies import Place
from topologies import SentinelGroup
from topologies import TOPOLOGIES
from werkzeug.test import Client
from werkzeug.wrappers import Response

from wsgi_redis_session import SessionConfig
from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.local_server import LocalServer

pytest.register_assert_rewrite("every_server")

SECRET_KEY = "not a secret, this is a test"

#: The run's own server, where managers seal what they store.
SEALED = "sealed"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sealed",
        action="store_true",
        help="encrypt=True is the default of all managers in this process",
    )


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    if config.getoption("sealed"):
        plain = [item for item in items if item.get_closest_marker("plain")]
        config.hook.pytest_deselected(items=plain)
        items[:] = [item for item in items if item not in plain]


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


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "every_topology: runs on one server, on a cluster and on Sentinel"
    )
    if config.getoption("sealed"):
        SessionConfig.__init__.__kwdefaults__["encrypt"] = True
        os.environ["SESSION_ENCRYPT"] = "true"  # for servers that tests start


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The tests of the store and of the requests run on every topology, unless they do
    something to one server, and with sealed sessions; and so do others that say so."""
    path = metafunc.definition.path
    is_meant = (
        path.parent.name in ("store", "request")
        or path.stem.startswith("test_manager")
        or metafunc.definition.get_closest_marker("every_topology")
    )
    names = {*metafunc.fixturenames}
    if is_meant and "place" in names and not names & {"server", "own_server"}:
        is_told = path.stem == "test_sealed" or metafunc.config.getoption("sealed")
        is_plain = metafunc.definition.get_closest_marker("plain")
        modes = [] if is_told or is_plain else [SEALED]
        metafunc.parametrize("place", [*TOPOLOGIES, *modes], indirect=True)


@pytest.fixture(scope="session")
def _server() -> cabc.Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture(scope="session")
def _cluster() -> cabc.Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def _sentinel() -> cabc.Iterator[SentinelGroup]:
    with SentinelGroup() as group:
        yield group


@pytest.fixture
def cluster(_cluster: Cluster) -> Cluster:
    """The run's own cluster, empty."""
    _cluster.empty()
    return _cluster


@pytest.fixture
def sentinel(_sentinel: SentinelGroup) -> SentinelGroup:
    """The run's own primary that Sentinel watches, empty."""
    _sentinel.empty()
    return _sentinel


@pytest.fixture
def server(_server: LocalServer) -> LocalServer:
    """The run's own server, empty."""
    OwnServer(_server).empty()
    return _server


@pytest.fixture
def own_server() -> cabc.Iterator[LocalServer]:
    """A server that a test may stop and start."""
    with LocalServer() as server:
        yield server


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    """Where sessions are kept, empty: on the run's own server, a cluster, or a primary
    that Sentinel watches, each started once for the whole run."""
    name = getattr(request, "param", "server")
    found = request.getfixturevalue("server" if name == SEALED else name)
    return OwnServer(found) if isinstance(found, LocalServer) else found


@pytest.fixture
def db(place: Place) -> cabc.Iterator[t.Any]:
    """A plain client that looks at what is stored."""
    with contextlib.closing(place.look()) as client:
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
    place: Place, events: list[SessionEvent], request: pytest.FixtureRequest
) -> cabc.Iterator[cabc.Callable[..., SessionManager]]:
    """Make managers, which keep sessions in the place unless told otherwise."""
    made: list[SessionManager] = []
    spec = getattr(request.node, "callspec", None)
    is_sealed = spec is not None and spec.params.get("place") == SEALED

    def note(event: SessionEvent) -> None:
        if event.name not in ("loaded", "saved"):
            events.append(event)

    def make(redis: t.Any = place.url, **options: t.Any) -> SessionManager:
        options.setdefault("secret_key", SECRET_KEY)
        options.setdefault("on_event", note)
        if is_sealed:
            options.setdefault("encrypt", True)
        if isinstance(place, Nodes):
            # They share the machine; nobody waits for what they do not answer.
            options = {"operation_timeout": 30, "read_timeout": 30} | options
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

from __future__ import annotations

import json
import pathlib
import re
import runpy
import typing as t

import prometheus_client
import pytest
from conftest import SECRET_KEY
from prometheus_client import CollectorRegistry
from prometheus_client import generate_latest
from readme import block
from storeys import imported_with
from test_events import answer
from test_events import MakeManager
from werkzeug.test import Client
from werkzeug.wrappers import Response

from wsgi_redis_session import SessionEvent
from wsgi_redis_session.events import EventName
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.metrics import SessionMetrics

NAMES: tuple[EventName, ...] = t.get_args(EventName)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def count(registry: CollectorRegistry, name: str) -> float | None:
    return registry.get_sample_value("wsgi_session_events_total", {"event": name})


def operations(registry: CollectorRegistry, name: str) -> float | None:
    return registry.get_sample_value(
        "wsgi_session_operation_seconds_count", {"operation": name}
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_event_is_counted(name: EventName, registry: CollectorRegistry) -> None:
    metrics = SessionMetrics(registry)
    for _ in range(3):
        metrics(SessionEvent(name))
    assert count(registry, name) == 3


def test_each_operation_is_measured_once(
    make_manager: MakeManager, registry: CollectorRegistry
) -> None:
    manager = make_manager(on_event=SessionMetrics(registry))
    header = answer(manager, a=1)
    one, other = (manager.load(header) for _ in range(2))
    for session, name in ((one, "b"), (other, "c")):
        session[name] = 2
        manager.commit(session)
    assert count(registry, "merged") == 1
    assert operations(registry, "load") == 2
    assert operations(registry, "save") == 3
    seconds = registry.get_sample_value(
        "wsgi_session_operation_seconds_sum", {"operation": "load"}
    )
    assert seconds is not None
    assert 0 < seconds < 10


def test_visitors_cannot_make_series(
    make_manager: MakeManager, registry: CollectorRegistry
) -> None:
    manager = make_manager(on_event=SessionMetrics(registry), user_key="user")
    answer(manager, user="42")
    before = generate_latest(registry).count(b"\n")
    for user in range(20):
        answer(manager, user=f"user {user}")
    assert generate_latest(registry).count(b"\n") == before


def test_client_is_imported_only_where_it_is_used() -> None:
    assert "prometheus_client" not in imported_with("import wsgi_redis_session.flask")


EXAMPLE = pathlib.Path(__file__).parents[1] / "examples" / "metrics"


def test_dashboard_asks_for_metrics_and_events_that_there_are(
    registry: CollectorRegistry,
) -> None:
    metrics = SessionMetrics(registry)
    metrics(SessionEvent("loaded", duration=0.001))
    kept = {
        line.split("{")[0]
        for line in generate_latest(registry).decode().splitlines()
        if line.startswith("wsgi_session_")
    }
    dashboard = json.loads((EXAMPLE / "dashboard.json").read_text())
    asked = [
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
    ]
    asked.append(block("alerts.yml"))
    for question in asked:
        assert set(re.findall(r"wsgi_session_\w+", question)) <= kept
        for events in re.findall(r'event=~?"(.*?)"', question):
            assert set(events.split("|")) <= {*NAMES}
    shown = {name for question in asked for name in re.findall(r"\w+", question)}
    assert {*NAMES} <= shown


def test_example_counts_its_own_visits(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, registry: CollectorRegistry
) -> None:
    monkeypatch.setattr(prometheus_client, "REGISTRY", registry)
    monkeypatch.setattr(SessionMetrics.__init__, "__defaults__", (registry,))
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("SESSION_REDIS", server.url)
    example = runpy.run_path(str(EXAMPLE / "app.py"))
    client = Client(example["application"], Response)
    assert client.get("/").text == "visit 1\n"
    assert client.get("/").text == "visit 2\n"
    text = client.get("/metrics").text
    assert 'wsgi_session_events_total{event="created"} 1.0' in text
    assert 'wsgi_session_events_total{event="saved"} 1.0' in text
    example["sessions"].disconnect()

"""Events as metrics for Prometheus; the extra ``metrics`` brings its client.

.. code-block:: python

    from wsgi_redis_session.metrics import SessionMetrics

    sessions = SessionManager(..., on_event=SessionMetrics())

In Flask ``app.config["SESSION_ON_EVENT"] = SessionMetrics()``. How they get to the
Prometheus server is the client's affair: ``prometheus_client.make_wsgi_app()``, say,
and ``PROMETHEUS_MULTIPROC_DIR`` where several workers serve one site.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client import Counter
from prometheus_client import Histogram
from prometheus_client import REGISTRY

from .events import SessionEvent

#: What a request does when it asks Redis, by the event that tells of its end. Others
#: tell of the same time once more.
_OPERATIONS = {
    "loaded": "load",
    "expired": "load",
    "unknown": "load",
    "created": "save",
    "saved": "save",
    "regenerated": "save",
    "rotated": "save",
    "migrated": "save",
    "destroyed": "save",
}

#: In seconds: a command on the same machine takes less than the first, and the last
#: one is what ``operation_timeout`` allows by default.
_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)


class SessionMetrics:
    """Counts events, and measures how long sessions take to load and to save.

    ``wsgi_session_events_total{event}`` counts every event;
    ``wsgi_session_operation_seconds{operation}`` has the times of ``load`` and
    ``save``, Redis and the way to it included. No label depends on what visitors do.

    One object serves any number of managers. Two of them need two registries.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._events = Counter(
            "wsgi_session_events",
            "What happened to sessions.",
            ["event"],
            registry=registry,
        )
        self._seconds = Histogram(
            "wsgi_session_operation_seconds",
            "How long sessions take to load and to save.",
            ["operation"],
            registry=registry,
            buckets=_BUCKETS,
        )

    def __call__(self, event: SessionEvent) -> None:
        """Take note of an event."""
        self._events.labels(event.name).inc()
        operation = _OPERATIONS.get(event.name)
        if operation is not None and event.duration is not None:
            self._seconds.labels(operation).observe(event.duration)

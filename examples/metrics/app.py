"""Sessions at ``/``, and their metrics for Prometheus at ``/metrics``."""

import os

from prometheus_client import CollectorRegistry
from prometheus_client import make_wsgi_app
from prometheus_client import multiprocess
from prometheus_client import REGISTRY

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.metrics import SessionMetrics

sessions = SessionManager(
    secret_key=os.environ["SECRET_KEY"], user_key="user", on_event=SessionMetrics()
)


def all_workers() -> CollectorRegistry:
    """What all workers have counted."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return registry


def site(environ, start_response):
    session = get_session(environ)
    session["visits"] = session.get("visits", 0) + 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"visit {session['visits']}\n".encode()]


pages = SessionMiddleware(site, sessions)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        return make_wsgi_app(all_workers())(environ, start_response)
    return pages(environ, start_response)

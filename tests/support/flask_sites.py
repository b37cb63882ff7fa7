"""Flask applications whose sessions are ours, in each of the two ways of use."""

from __future__ import annotations

import collections.abc as cabc
import os
import typing as t

import flask
import pytest
from conftest import Clock
from conftest import SECRET_KEY
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session.flask import EXTENSION
from wsgi_redis_session.flask import RedisSessionInterface
from wsgi_redis_session.flask import Session
from wsgi_redis_session.local_server import LocalServer

View = cabc.Callable[[], t.Any]

WAYS = ["extension", "interface"]


class FlaskSite:
    """Makes applications, and closes their connections in the end.

    ``way`` is ``"extension"``, which brings the middleware, or ``"interface"``.
    """

    def __init__(self, way: str, url: str) -> None:
        self.way = way
        self.url = url
        self.clock = Clock()
        self.events: list[SessionEvent] = []
        self._apps: list[flask.Flask] = []

    @property
    def config(self) -> dict[str, t.Any]:
        return {
            "TESTING": True,
            "SECRET_KEY": SECRET_KEY,
            "SESSION_REDIS": self.url,
            "SESSION_CLOCK": self.clock,
            "SESSION_ON_EVENT": self._note,
        }

    def app(self, **config: t.Any) -> flask.Flask:
        """An application, configured as :attr:`config` says and beyond that."""
        app = flask.Flask("flask_site", root_path=os.path.dirname(__file__))
        app.config.update(self.config, **config)
        return self.attach(app)

    def attach(self, app: flask.Flask) -> flask.Flask:
        """Give an application our sessions."""
        if self.way == "extension":
            Session(app)
        else:
            app.session_interface = RedisSessionInterface()
        app.add_url_rule("/run", "run", _run)
        self._apps.append(app)
        return app

    def _note(self, event: SessionEvent) -> None:
        if event.name not in ("loaded", "saved"):
            self.events.append(event)

    def event_names(self) -> list[str]:
        return [event.name for event in self.events]

    def close(self) -> None:
        for app in self._apps:
            if manager := app.extensions.get(EXTENSION):
                manager.disconnect()


def _run() -> str | flask.Response:
    answer = flask.current_app.extensions["view"]()
    return answer if isinstance(answer, (str, flask.Response)) else ""


def manager_of(app: flask.Flask) -> SessionManager:
    """The manager that serves an application now."""
    return t.cast(RedisSessionInterface, app.session_interface).manager(app)


def run(client: FlaskClient, view: View, **options: t.Any) -> TestResponse:
    """One request, in which the application calls this view."""
    client.application.extensions["view"] = view
    return client.open("/run", **options)


def store(client: FlaskClient, **values: t.Any) -> TestResponse:
    """One request, in which the session is given these values."""
    return run(client, lambda: flask.session.update(values))


def look(client: FlaskClient) -> dict[str, t.Any]:
    """What the visitor's next request finds in its session."""
    found: dict[str, t.Any] = {}
    run(client, lambda: found.update(flask.session))
    return found


def cookies(response: TestResponse, name: str = "session") -> list[str]:
    """The Set-Cookie values for this cookie."""
    found = response.headers.getlist("Set-Cookie")
    return [value for value in found if value.startswith(f"{name}=")]


def cookie(response: TestResponse, name: str = "session") -> str:
    (value,) = cookies(response, name)
    return value


def attributes(set_cookie: str) -> dict[str, str]:
    """Names, in lower case, and values of a cookie's attributes."""
    pairs = [part.strip().partition("=") for part in set_cookie.split(";")[1:]]
    return {name.lower(): value for name, _, value in pairs}


def stream(*steps: cabc.Callable[[], object]) -> flask.Response:
    """A body that runs a step before each of its parts."""

    def parts() -> cabc.Iterator[str]:
        for step in steps:
            yield str(step())

    return flask.Response(flask.stream_with_context(parts()))


# Fixtures, for test modules that give them their names.


@pytest.fixture(params=WAYS)
def site(
    request: pytest.FixtureRequest, server: LocalServer
) -> cabc.Iterator[FlaskSite]:
    site = FlaskSite(request.param, server.url)
    yield site
    site.close()


@pytest.fixture
def app(site: FlaskSite) -> flask.Flask:
    return site.app()


@pytest.fixture
def client(app: flask.Flask) -> FlaskClient:
    return app.test_client()

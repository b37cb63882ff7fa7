"""Sessions in the events of a connection that stays open, as Flask-SocketIO has them
with ``manage_session=False``: its layer keeps the environment of the request with which
the connection began, and each event is a request context of its own in it."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import flask
import pytest
from conftest import SECRET_KEY
from flask.testing import FlaskClient

from wsgi_redis_session import SessionEvent
from wsgi_redis_session.flask import EXTENSION
from wsgi_redis_session.flask import Session
from wsgi_redis_session.local_server import LocalServer

Event = cabc.Callable[[], t.Any]


class Sockets:
    """A layer around Flask that serves connections. ``script`` is what happens while
    one is open, told how to raise an event in it."""

    def __init__(self, app: flask.Flask) -> None:
        self.app = app
        self.wsgi_app = app.wsgi_app
        self.script: cabc.Callable[[t.Any], object] = lambda raised: None
        #: The environment of a connection that polls.
        self.kept: dict[str, t.Any] = {}
        app.wsgi_app = self  # type: ignore[method-assign]  # as Flask says

    def __call__(self, environ: dict[str, t.Any], start_response: t.Any) -> t.Any:
        if environ["PATH_INFO"] != "/socket":
            return self.wsgi_app(environ, start_response)
        self.kept = environ.copy()
        if "HTTP_UPGRADE" in environ:
            # The connection lives in this very call.
            self.script(self.raised)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    def raised(self, event: Event) -> t.Any:
        """What an event comes to."""
        with self.app.request_context(self.kept):
            result = event()
            session: t.Any = flask.session._get_current_object()  # type: ignore[attr-defined]  # ours
            if session.modified:
                response = self.app.response_class()
                self.app.session_interface.save_session(self.app, session, response)
            return result


class Site(t.NamedTuple):
    client: FlaskClient
    sockets: Sockets
    events: list[SessionEvent]

    def during(self, connection: str, script: cabc.Callable[[t.Any], object]) -> None:
        """Play a script while a connection is open."""
        self.sockets.script = script
        if connection == "WebSocket":
            headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
            self.client.get("/socket", headers=headers)
        else:
            self.client.get("/socket")
            script(self.sockets.raised)


@pytest.fixture(params=["before", "after"])
def site(request: pytest.FixtureRequest, server: LocalServer) -> cabc.Iterator[Site]:
    """The layer was set up before our extension, or after it."""
    events: list[SessionEvent] = []
    app = flask.Flask(__name__)
    app.config.update(SECRET_KEY=SECRET_KEY, SESSION_REDIS=server.url)
    app.config["SESSION_ON_EVENT"] = events.append
    if request.param == "before":
        sockets = Sockets(app)
    Session(app)
    if request.param == "after":
        sockets = Sockets(app)

    @app.get("/set/<name>/<value>")
    def store(name: str, value: str) -> str:
        flask.session[name] = value
        return ""

    @app.get("/logout")
    def logout() -> str:
        flask.session.destroy()  # type: ignore[attr-defined]  # ours
        return ""

    yield Site(app.test_client(), sockets, events)
    app.extensions[EXTENSION].disconnect()


def look() -> dict[str, t.Any]:
    return dict(flask.session)


def note() -> None:
    flask.session["note"] = 1


CONNECTIONS = pytest.mark.parametrize("connection", ["WebSocket", "polling"])


@CONNECTIONS
def test_each_event_reads_the_session_anew(site: Site, connection: str) -> None:
    other = site.client.application.test_client()
    site.client.get("/set/user/Ada")

    def script(raised: t.Any) -> None:
        assert raised(look) == {"user": "Ada"}
        visit("/set/page/1")
        assert raised(look) == {"user": "Ada", "page": "1"}
        raised(note)
        visit("/set/page/2")
        assert raised(look) == {"user": "Ada", "page": "2", "note": 1}

    visit = visits(other, site.client)
    site.during(connection, script)
    assert other.get("/set/last/1").status_code == 200


@CONNECTIONS
def test_session_that_was_logged_out_is_seen_as_such(
    site: Site, connection: str
) -> None:
    other = site.client.application.test_client()
    site.client.get("/set/user/Ada")
    visit = visits(other, site.client)

    def script(raised: t.Any) -> None:
        assert raised(look) == {"user": "Ada"}
        visit("/logout")
        assert raised(look) == {}
        raised(note)
        assert site.events[-1].name == "lost"
        assert raised(look) == {}

    site.during(connection, script)


def visits(other: FlaskClient, client: FlaskClient) -> cabc.Callable[[str], object]:
    """Pages that the same browser asks for in another tab."""
    cookie = client.get_cookie("session")
    assert cookie is not None
    other.set_cookie("session", cookie.value)
    return other.get

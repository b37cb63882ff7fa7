"""A whole life through each door, on one server, on a cluster and on Sentinel."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import flask
import pytest
from conftest import SECRET_KEY
from pyramid.config import Configurator
from pyramid.response import Response as PyramidResponse
from topologies import Place
from werkzeug.test import Client
from werkzeug.wrappers import Response

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.flask import RedisSessionInterface
from wsgi_redis_session.flask import Session as FlaskExtension
from wsgi_redis_session.paste import filter_app_factory
from wsgi_redis_session.pyramid import SessionFactory

App = t.Any
Door = cabc.Callable[[str], App]


def act(path: str, session: t.Any) -> str:
    """What the page at a path does; what it shows."""
    if path == "/count":
        session["count"] = session.get("count", 0) + 1
    if path == "/login":
        session["user"] = "Ada"
    if path == "/logout":
        end = getattr(session, "destroy", None) or session.invalidate  # Pyramid's
        end()
        return ""
    return f"{session.get('user')} {session.get('count')}"


def page(environ: t.Any, start_response: t.Any) -> list[bytes]:
    body = act(environ["PATH_INFO"], get_session(environ))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]


def middleware(url: str) -> App:
    sessions = SessionManager(url, secret_key=SECRET_KEY, user_key="user")
    return SessionMiddleware(page, sessions)


def paste(url: str) -> App:
    options = {"redis": url, "secret_key": SECRET_KEY, "user_key": "user"}
    return filter_app_factory(page, {}, **options)


def flask_app(url: str) -> flask.Flask:
    app = flask.Flask("site")
    app.config |= {
        "SECRET_KEY": SECRET_KEY,
        "SESSION_REDIS": url,
        "SESSION_USER_KEY": "user",
    }
    app.add_url_rule("/<path>", view_func=lambda path: act(f"/{path}", flask.session))
    return app


def flask_extension(url: str) -> App:
    app = flask_app(url)
    FlaskExtension(app)
    return app


def flask_interface(url: str) -> App:
    app = flask_app(url)
    app.session_interface = RedisSessionInterface()
    return app


def pyramid(url: str) -> App:
    sessions = SessionManager(url, secret_key=SECRET_KEY, user_key="user")
    with Configurator(session_factory=SessionFactory(sessions)) as config:
        config.add_route("page", "/{path}")
        config.add_view(
            lambda request: PyramidResponse(act(request.path, request.session)),
            route_name="page",
        )
        return config.make_wsgi_app()


@pytest.mark.every_topology
@pytest.mark.parametrize(
    "door", [middleware, paste, flask_extension, flask_interface, pyramid]
)
def test_whole_life_of_a_session(door: Door, place: Place) -> None:
    app = door(place.url)
    for _ in range(5):  # on several nodes
        client, old = Client(app, Response), Client(app, Response)

        def get(path: str, client: Client = client) -> str:
            response = client.get(path)
            assert response.status_code == 200
            return response.text

        assert [get("/count"), get("/count")] == ["None 1", "None 2"]
        before = client.get_cookie("session")
        assert before is not None
        old.set_cookie("session", before.value)
        assert get("/login") == "Ada 2"
        assert get("/count") == "Ada 3"
        assert old.get("/show").text == "None 2"
        get("/logout")
        assert get("/show") == "None None"
        assert "Ada" not in old.get("/show").text

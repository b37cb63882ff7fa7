"""Several applications in one process, in both ways of use."""

from __future__ import annotations

import collections.abc as cabc

import flask
import flask_sites
import pytest
import redis
from conftest import SECRET_KEY
from flask.testing import FlaskClient
from flask_sites import cookies
from flask_sites import FlaskSite
from flask_sites import look
from flask_sites import run
from flask_sites import store
from visitors import commands
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.flask import RedisSessionInterface
from wsgi_redis_session.flask import Session
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]

site = flask_sites.site
app = flask_sites.app
client = flask_sites.client


def with_pages(app: flask.Flask) -> flask.Flask:
    @app.post("/<name>/<value>")
    def change(name: str, value: str) -> str:
        flask.session[name] = value
        return ""

    @app.get("/<name>")
    def read(name: str) -> str:
        return flask.session.get(name, "nothing")

    return app


def behind_one_dispatcher(shop: flask.Flask, blog: flask.Flask) -> DispatcherMiddleware:
    return DispatcherMiddleware(NotFound(), {"/shop": shop, "/blog": blog})


@pytest.mark.parametrize("key", ["APPLICATION_ROOT", "SESSION_COOKIE_PATH"])
def test_applications_keep_apart_by_path(site: FlaskSite, key: str) -> None:
    shop, blog = (with_pages(site.app(**{key: path})) for path in ("/shop", "/blog"))
    client = Client(behind_one_dispatcher(shop, blog))
    client.post("/shop/name/cart")
    client.post("/blog/name/post")
    assert client.get("/shop/name").text == "cart"
    assert client.get("/blog/name").text == "post"


def test_applications_keep_apart_by_name(site: FlaskSite) -> None:
    shop, blog = (
        with_pages(site.app(SESSION_COOKIE_NAME=name)) for name in ("shop", "blog")
    )
    client = Client(behind_one_dispatcher(shop, blog))
    client.post("/shop/name/cart")
    client.post("/blog/name/post")
    assert client.get("/shop/name").text == "cart"
    assert client.get("/blog/name").text == "post"


def test_applications_inside_of_the_plain_middleware_share_one_session(
    site: FlaskSite, make_manager: MakeManager, db: redis.Redis
) -> None:
    shop, blog = with_pages(site.app()), with_pages(site.app())
    outer = SessionMiddleware(
        behind_one_dispatcher(shop, blog), make_manager(clock=site.clock)
    )
    client = Client(outer)
    assert len(cookies(client.post("/shop/name/cart"))) == 1
    client.get("/blog/name")
    assert commands(db, lambda: client.get("/blog/name")) == {"get": 1}
    assert client.get("/blog/name").text == "cart"
    client.post("/blog/name/post")
    assert client.get("/shop/name").text == "post"
    assert len(db.keys()) == 1


def test_one_interface_serves_several_applications(server: LocalServer) -> None:
    site = FlaskSite("interface", server.url)
    interface = RedisSessionInterface(server.url)
    shop = with_pages(site.app(SESSION_COOKIE_NAME="shop", SECRET_KEY="shop's own"))
    blog = with_pages(site.app(SESSION_COOKIE_NAME="blog"))
    nothing = with_pages(site.app(SECRET_KEY=None))
    shop.session_interface = blog.session_interface = interface
    nothing.session_interface = interface
    client = Client(behind_one_dispatcher(shop, blog))
    for _ in range(2):
        client.post("/shop/name/cart")
        client.post("/blog/name/post")
        assert nothing.test_client().get("/name").text == "nothing"
        assert client.get("/shop/name").text == "cart"
        assert client.get("/blog/name").text == "post"
    site.close()


def test_one_extension_sets_up_several_applications(server: LocalServer) -> None:
    sessions = Session()
    apps = []
    for name in ("shop", "blog"):
        app = flask.Flask(name)
        app.config.update(SECRET_KEY=SECRET_KEY, SESSION_REDIS=server.url)
        app.config["SESSION_COOKIE_NAME"] = name
        sessions.init_app(app)
        apps.append(with_pages(app))
    client = Client(behind_one_dispatcher(*apps))
    client.post("/shop/name/cart")
    assert client.get("/shop/name").text == "cart"
    assert client.get("/blog/name").text == "nothing"


def test_manager_of_an_application_ends_its_sessions(
    app: flask.Flask, client: FlaskClient
) -> None:
    store(client, a=1)
    session_id = run(client, lambda: flask.session.id).text
    app.extensions["wsgi_redis_session"].revoke(session_id)
    assert look(client) == {}


def test_extension_has_its_manager_from_the_start(server: LocalServer) -> None:
    app = flask.Flask(__name__)
    app.config.update(SECRET_KEY=SECRET_KEY, SESSION_REDIS=server.url)
    Session(app)
    assert isinstance(app.extensions["wsgi_redis_session"], SessionManager)


def test_application_set_up_twice_is_served_once(
    server: LocalServer, db: redis.Redis
) -> None:
    site = FlaskSite("extension", server.url)
    app = site.app()
    Session(app)
    client = app.test_client()
    assert len(cookies(store(client, a=1))) == 1
    look(client)
    assert commands(db, lambda: look(client)) == {"get": 1}
    site.close()

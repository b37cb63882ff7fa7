"""Flashed messages, and every place of Flask from which the session can be used."""

from __future__ import annotations

import threading
import typing as t

import flask
import flask_sites
import pytest
from flask.globals import request_ctx
from flask.testing import FlaskClient
from flask.views import MethodView
from flask_sites import cookie
from flask_sites import FlaskSite
from flask_sites import look
from flask_sites import run
from flask_sites import store
from markupsafe import Markup
from werkzeug.routing import BaseConverter

from wsgi_redis_session.flask import RedisSessionInterface

site = flask_sites.site
app = flask_sites.app
client = flask_sites.client


def test_flashes(app: flask.Flask) -> None:
    with app.test_request_context():
        assert not flask.session.modified
        flask.flash("Zap")
        flask.session.modified = False
        flask.flash("Zip")
        assert flask.session.modified
        assert flask.get_flashed_messages() == ["Zap", "Zip"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["Hello", "Oh", Markup("<em>Testing</em>")]),
        (
            {"with_categories": True},
            [
                ("message", "Hello"),
                ("error", "Oh"),
                ("warning", Markup("<em>Testing</em>")),
            ],
        ),
        (
            {"category_filter": ["message"], "with_categories": True},
            [("message", "Hello")],
        ),
        (
            {"category_filter": ["message", "warning"]},
            ["Hello", Markup("<em>Testing</em>")],
        ),
    ],
)
def test_extended_flashing(
    client: FlaskClient, options: dict[str, t.Any], expected: list[t.Any]
) -> None:
    def index() -> None:
        flask.flash("Hello")
        flask.flash("Oh", "error")
        flask.flash(Markup("<em>Testing</em>"), "warning")

    found: list[t.Any] = []
    run(client, index)
    run(client, lambda: found.extend(flask.get_flashed_messages(**options)))
    assert found == expected


def test_flashed_markup_is_still_markup(client: FlaskClient) -> None:
    page = "{% for message in get_flashed_messages() %}{{ message }}{% endfor %}"
    run(client, lambda: flask.flash(Markup("<b>bold</b>")))
    response = run(client, lambda: flask.render_template_string(page))
    assert response.text == "<b>bold</b>"


def test_message_is_flashed_once_and_leaves_no_session(client: FlaskClient) -> None:
    run(client, lambda: flask.flash("Hello"))
    response = run(client, lambda: "".join(flask.get_flashed_messages()))
    assert response.text == "Hello"
    assert cookie(response).startswith("session=;")
    assert run(client, lambda: "".join(flask.get_flashed_messages())).text == ""


# Where an application may use it.


def test_session_stored_last(app: flask.Flask, client: FlaskClient) -> None:
    @app.after_request
    def modify(response: flask.Response) -> flask.Response:
        flask.session["foo"] = 42
        return response

    assert run(client, lambda: repr(flask.session.get("foo"))).text == "None"
    assert run(client, lambda: repr(flask.session.get("foo"))).text == "42"


def test_change_after_this_request_is_saved(client: FlaskClient) -> None:
    def view() -> None:
        @flask.after_this_request
        def change(response: flask.Response) -> flask.Response:
            flask.session["foo"] = 42
            return response

    run(client, view)
    assert look(client) == {"foo": 42}


def test_teardown_functions_read_the_session(
    app: flask.Flask, client: FlaskClient
) -> None:
    seen: list[t.Any] = []

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        seen.append((flask.session.get("a"), error))

    store(client, a=1)
    run(client, lambda: "")
    assert seen == [(1, None), (1, None)]


def test_context_available_in_url_converters(site: FlaskSite) -> None:
    class ContextConverter(BaseConverter):
        def to_python(self, value: str) -> str:
            return f"{value} {flask.session.get('a')}"

    app = site.app()
    app.url_map.converters["ctx"] = ContextConverter
    app.add_url_rule("/show/<ctx:name>", "show", lambda name: name)
    client = app.test_client()
    store(client, a=1)
    assert client.get("/show/a").text == "a 1"


def test_standard_template_context(client: FlaskClient) -> None:
    def view() -> str:
        flask.session["test"] = "aha"
        return flask.render_template_string("{{ session.test }} {{ session['test'] }}")

    assert run(client, view).text == "aha aha"


def test_open_session_with_endpoint(site: FlaskSite) -> None:
    endpoints: list[str | None] = []

    class Matching(RedisSessionInterface):
        def open_session(self, app: flask.Flask, request: flask.Request) -> t.Any:
            request_ctx.match_request()
            endpoints.append(request.endpoint)
            return super().open_session(app, request)

    app = site.app()
    app.session_interface = Matching()
    client = app.test_client()
    store(client, a=1)
    assert look(client) == {"a": 1}
    assert endpoints == ["run", "run"]


def test_session_error_pops_context(site: FlaskSite) -> None:
    class Failing(RedisSessionInterface):
        def open_session(self, app: flask.Flask, request: flask.Request) -> t.Any:
            raise ZeroDivisionError

    app = site.app(TESTING=False)
    app.session_interface = Failing()
    assert run(app.test_client(), lambda: "never").status_code == 500
    assert not flask.request
    assert not flask.current_app


def test_copied_context_has_the_same_session(client: FlaskClient) -> None:
    seen: list[t.Any] = []

    def view() -> None:
        flask.session["fizz"] = "buzz"

        @flask.copy_current_request_context
        def background() -> None:
            seen.append((flask.session.get("fizz"), flask.session.sid))
            flask.session["by"] = "thread"

        thread = threading.Thread(target=background)
        thread.start()
        thread.join()
        seen.append((flask.session.get("by"), flask.session.sid))

    run(client, view)
    assert seen == [("buzz", seen[0][1]), ("thread", seen[0][1])]
    assert look(client) == {"fizz": "buzz", "by": "thread"}


def test_request_inside_of_a_request_has_its_own_session(app: flask.Flask) -> None:
    app.add_url_rule("/inner", "inner", lambda: flask.session["name"])
    outer, inner = app.test_client(), app.test_client()
    store(outer, name="outer")
    store(inner, name="inner")

    def view() -> str:
        flask.session["seen"] = inner.get("/inner").text
        return flask.session["name"]

    assert run(outer, view).text == "outer"
    assert look(outer) == {"name": "outer", "seen": "inner"}
    assert look(inner) == {"name": "inner"}


def test_async_views_and_hooks(site: FlaskSite) -> None:
    app = site.app()

    @app.before_request
    async def before() -> None:
        flask.session["path"] = flask.request.path

    async def deeper() -> int:
        flask.session["deeper"] = True
        return flask.session["count"]

    @app.get("/async")
    async def view() -> str:
        flask.session["count"] = flask.session.get("count", 0) + 1
        return str(await deeper())

    client = app.test_client()
    assert [client.get("/async").text for _ in range(2)] == ["1", "2"]
    assert look(client) == {"path": "/run", "count": 2, "deeper": True}


def test_blueprints_and_class_based_views(site: FlaskSite) -> None:
    class Counter(MethodView):
        def post(self) -> str:
            flask.session["count"] = flask.session.get("count", 0) + 1
            return str(flask.session["count"])

    outer = flask.Blueprint("outer", __name__, url_prefix="/outer")
    inner = flask.Blueprint("inner", __name__, url_prefix="/inner")
    inner.add_url_rule("/count", view_func=Counter.as_view("count"))

    @inner.before_request
    def before() -> None:
        flask.session["blueprints"] = flask.request.blueprints

    outer.register_blueprint(inner)
    app = site.app()
    app.register_blueprint(outer)
    client = app.test_client()
    assert [client.post("/outer/inner/count").text for _ in range(2)] == ["1", "2"]
    assert look(client) == {"blueprints": ["outer.inner", "outer"], "count": 2}

"""Changes while a response is streamed and after it, in both ways of use."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from importlib.metadata import version

import flask
import flask_sites
import pytest
import redis
from flask.testing import FlaskClient
from flask_sites import attributes
from flask_sites import cookie
from flask_sites import cookies
from flask_sites import FlaskSite
from flask_sites import look
from flask_sites import run
from flask_sites import store
from flask_sites import stream

from wsgi_redis_session import get_session
from wsgi_redis_session import HeadersAlreadySent
from wsgi_redis_session import SessionClosed
from wsgi_redis_session.local_server import LocalServer

site = flask_sites.site
app = flask_sites.app
client = flask_sites.client


@pytest.fixture
def streaming(server: LocalServer) -> cabc.Iterator[FlaskSite]:
    """Only the middleware sets a cookie after the application has answered."""
    site = FlaskSite("extension", server.url)
    yield site
    site.close()


def put(name: str) -> cabc.Callable[[], object]:
    return lambda: flask.session.__setitem__(name, True)


#: Before 3.1.2 Flask could not stream with the request from an asynchronous view.
STREAMS_ASYNC = tuple(map(int, version("flask").split("."))) >= (3, 1, 2)


@pytest.mark.parametrize("is_async", [True, False] if STREAMS_ASYNC else [False])
def test_stream_keeps_session(site: FlaskSite, is_async: bool) -> None:
    app = site.app()

    def index() -> flask.Response:
        flask.session["test"] = "flask"
        return stream(lambda: flask.session["test"])

    async def async_index() -> flask.Response:
        return index()

    app.add_url_rule("/stream", "stream", async_index if is_async else index)
    client = app.test_client()
    client.get("/stream").close()
    assert client.get("/stream").text == "flask"
    with client:
        client.get("/stream").close()
    with client:
        assert client.get("/stream").text == "flask"


def test_change_before_the_first_part_sets_the_cookie(streaming: FlaskSite) -> None:
    client = streaming.app().test_client()
    response = run(client, lambda: stream(put("first"), str))
    assert attributes(cookie(response)) == {"httponly": "", "path": "/"}
    assert response.headers.getlist("Vary") == ["Cookie"]
    response.close()
    assert look(client) == {"first": True}


def test_change_while_streaming_is_saved(client: FlaskClient) -> None:
    store(client, a=1)
    assert len(list(run(client, lambda: stream(str, str, put("late"))).response)) > 1
    assert look(client) == {"a": 1, "late": True}


def test_change_while_streaming_is_saved_when_the_client_is_gone(
    client: FlaskClient,
) -> None:
    store(client, a=1)
    response = run(client, lambda: stream(lambda: "x", put("late"), put("never")))
    iterator = iter(response.response)
    next(iterator)
    next(iterator)
    response.close()
    assert look(client) == {"a": 1, "late": True}


def test_new_session_while_streaming_is_an_error_and_an_event(
    site: FlaskSite, db: redis.Redis
) -> None:
    client = site.app().test_client()
    response = run(client, lambda: stream(lambda: "x", put("late")))
    with pytest.raises(HeadersAlreadySent):
        response.get_data()
    assert site.event_names() == ["late"]
    assert db.keys() == []


@pytest.mark.parametrize("looks_before", [True, False])
def test_new_session_id_while_streaming_is_an_error_and_an_event(
    site: FlaskSite, looks_before: bool
) -> None:
    client = site.app().test_client()
    store(client, a=1)

    def view() -> flask.Response:
        if looks_before:
            flask.session.get("a")
        return stream(lambda: "x", lambda: flask.session.regenerate())  # type: ignore[attr-defined]  # ours

    with pytest.raises(HeadersAlreadySent):
        run(client, view).get_data()
    assert site.event_names()[-1] == "late"
    assert look(client) == {"a": 1}


def test_change_when_the_request_is_over_is_an_error(client: FlaskClient) -> None:
    kept: list[t.Any] = []
    run(client, lambda: kept.append(flask.session._get_current_object())).close()
    with pytest.raises(SessionClosed):
        kept[0]["a"] = 1
    assert look(client) == {}


def test_first_look_while_streaming_finds_the_session(client: FlaskClient) -> None:
    store(client, a=1)
    response = run(client, lambda: stream(lambda: "x", lambda: flask.session["a"]))
    assert response.text == "x1"


def test_what_is_changed_when_the_response_is_closed_is_saved(
    client: FlaskClient,
) -> None:
    store(client, a=1)

    def view() -> flask.Response:
        session = flask.session._get_current_object()
        response = flask.Response("done")
        response.call_on_close(lambda: session.update(b=2))
        return response

    run(client, view).close()
    assert look(client) == {"a": 1, "b": 2}


def test_what_a_layer_inside_the_extension_changes_at_the_end_is_saved(
    streaming: FlaskSite,
) -> None:
    app = flask.Flask("flask_site")
    app.config.update(streaming.config)
    inner = app.wsgi_app

    def layer(environ: t.Any, start_response: t.Any) -> cabc.Iterator[bytes]:
        return change(environ, inner(environ, start_response))

    def change(environ: t.Any, body: t.Any) -> cabc.Iterator[bytes]:
        yield from body
        get_session(environ)["b"] = 2

    app.wsgi_app = layer
    client = streaming.attach(app).test_client()
    assert store(client, a=1).text == ""
    assert look(client) == {"a": 1, "b": 2}


def test_what_a_teardown_function_changes_is_saved(streaming: FlaskSite) -> None:
    app = streaming.app()

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        flask.session["torn"] = "down"

    client = app.test_client()
    response = run(client, lambda: "")
    assert cookies(response)
    assert look(client) == {"torn": "down"}


def test_what_a_teardown_function_changes_in_a_stored_session_is_saved(
    site: FlaskSite,
) -> None:
    app = site.app()

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        if "a" in flask.session:
            flask.session["torn"] = "down"

    client = app.test_client()
    store(client, a=1).close()
    run(client, lambda: "").close()
    assert look(client) == {"a": 1, "torn": "down"}

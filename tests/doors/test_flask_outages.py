"""Flask applications while Redis is away."""

from __future__ import annotations

import collections.abc as cabc
import os
import signal

import flask
import flask_sites
import pytest
from flask.testing import FlaskClient
from flask_sites import FlaskSite
from flask_sites import look
from flask_sites import run
from flask_sites import store
from flask_sites import stream
from flask_sites import View

from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]

site = flask_sites.site


def with_503_page(app: flask.Flask) -> flask.Flask:
    @app.errorhandler(503)
    def unavailable(error: Exception) -> tuple[str, int]:
        return "please come back", 503

    return app


def with_hook(app: flask.Flask, hook: View) -> flask.Flask:
    @app.after_request
    def after(response: flask.Response) -> flask.Response:
        response.headers["X-Hook"] = str(hook())
        return response

    return app


class Outage:
    """A visitor, and the server that goes away."""

    def __init__(self, site: FlaskSite, server: LocalServer) -> None:
        self.site = site
        self.server = server
        self.app = site.app(SESSION_REDIS=server.url, SESSION_READ_TIMEOUT=0.1)
        self.client = self.app.test_client()

    def begin(self) -> FlaskClient:
        store(self.client, a=1)
        self.server.stop()
        return self.client


@pytest.fixture
def outage(site: FlaskSite, own_server: LocalServer) -> Outage:
    return Outage(site, own_server)


def test_outage_shows_the_applications_own_503_page(outage: Outage) -> None:
    with_503_page(outage.app)
    response = run(outage.begin(), lambda: flask.session["a"])
    assert (response.status_code, response.text) == (503, "please come back")


def test_outage_shows_werkzeugs_503_page_where_the_application_has_none(
    outage: Outage,
) -> None:
    response = run(outage.begin(), lambda: flask.session["a"])
    assert response.status_code == 503
    assert "session store does not answer" in response.text


def test_blueprints_own_handler_is_asked(outage: Outage) -> None:
    shop = flask.Blueprint("shop", __name__)

    @shop.errorhandler(SessionUnavailable)
    def closed(error: SessionUnavailable) -> tuple[str, int]:
        return "the shop is closed", 503

    @shop.get("/look")
    def look_around() -> str:
        return str(flask.session.get("a"))

    @shop.get("/buy")
    def buy() -> str:
        flask.session["bought"] = True
        return "thank you"

    with_503_page(outage.app).register_blueprint(shop)
    client = outage.begin()
    assert client.get("/look").text == "the shop is closed"
    client.delete_cookie("session")
    assert client.get("/buy").text == "the shop is closed"


def test_page_without_session_needs_no_redis(outage: Outage) -> None:
    client = outage.begin()
    assert run(client, lambda: "public").text == "public"
    assert client.get("/static/missing").status_code == 404


def test_visitor_without_cookie_needs_no_redis(outage: Outage) -> None:
    client = outage.begin()
    client.delete_cookie("session")
    assert run(client, lambda: flask.session.get("a", "nothing")).text == "nothing"


@pytest.mark.parametrize(
    "view",
    [
        lambda: flask.session["a"],
        lambda: flask.session.clear(),
        lambda: flask.session.update(a=2),
        lambda: flask.session.destroy(),
        lambda: "public",
    ],
)
def test_outage_leaves_the_cookie_alone(outage: Outage, view: View) -> None:
    assert "Set-Cookie" not in run(outage.begin(), view).headers


def test_visitor_is_still_known_after_an_outage(outage: Outage) -> None:
    store(outage.client, a=1)
    os.kill(outage.server.pid, signal.SIGSTOP)
    try:
        response = run(outage.client, lambda: flask.session["a"])
    finally:
        os.kill(outage.server.pid, signal.SIGCONT)
    assert response.status_code == 503
    assert look(outage.client) == {"a": 1}


@pytest.mark.parametrize("known", [True, False])
def test_page_whose_session_cannot_be_saved_is_not_shown(
    outage: Outage, known: bool
) -> None:
    closed: list[str] = []

    class Body:
        def __iter__(self) -> cabc.Iterator[bytes]:
            yield b"thank you"

        def close(self) -> None:
            closed.append("body")

    def view() -> flask.Response:
        flask.session["paid"] = True
        outage.server.stop()
        response = flask.Response(Body(), headers={"X-Paid": "yes"})
        response.set_cookie("other", "x")
        response.call_on_close(lambda: closed.append("response"))
        return response

    with_503_page(outage.app)
    if known:
        store(outage.client, a=1)
    response = run(outage.client, view)
    assert (response.status_code, response.text) == (503, "please come back")
    assert response.content_length == len("please come back")
    assert not {"X-Paid", "Set-Cookie"} & {*response.headers.keys()}
    response.close()
    assert closed == ["body", "response"]


def test_503_page_may_take_the_place_of_a_file_and_stream(outage: Outage) -> None:
    @outage.app.errorhandler(503)
    def unavailable(error: Exception) -> flask.Response:
        return flask.Response(iter(["please ", "come back"]), 503)

    def view() -> flask.Response:
        flask.session["paid"] = True
        outage.server.stop()
        return flask.send_file(__file__)

    response = run(outage.client, view)
    assert response.status_code == 503
    assert b"".join(response.response) == b"please come back"


@pytest.mark.parametrize(
    ("view", "status"), [(lambda: "public", 200), (lambda: flask.session["a"], 503)]
)
def test_hook_that_looks_at_the_session_does_not_undo_the_answer(
    outage: Outage, view: View, status: int
) -> None:
    with_hook(outage.app, lambda: "a" in flask.session)
    response = run(outage.begin(), view)
    assert (response.status_code, response.headers["X-Hook"]) == (status, "False")
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    "change", [lambda: flask.session.update(a=2), lambda: flask.session.destroy()]
)
def test_hook_that_changes_the_session_makes_it_a_503_page(
    outage: Outage, change: View
) -> None:
    def view() -> str:
        flask.g.change = change
        return "public"

    with_503_page(with_hook(outage.app, lambda: flask.g.get("change", str)()))
    response = run(outage.begin(), view)
    assert (response.status_code, response.text) == (503, "please come back")
    assert "Set-Cookie" not in response.headers


def test_error_page_may_look_at_the_session(outage: Outage) -> None:
    @outage.app.errorhandler(503)
    def unavailable(error: Exception) -> tuple[str, int]:
        page = "{{ session.a or 'stranger' }}, please come back"
        return flask.render_template_string(page), 503

    response = run(outage.begin(), lambda: flask.session["a"])
    assert (response.status_code, response.text) == (503, "stranger, please come back")


def test_stream_that_first_looks_at_the_session_is_answered_for_or_broken_off(
    outage: Outage,
) -> None:
    client = outage.begin()

    def view() -> flask.Response:
        return stream(lambda: flask.session.get("a"))

    if outage.site.way == "extension":
        assert run(client, view).status_code == 503
    else:  # the head has left when the body begins
        with pytest.raises(SessionUnavailable):
            run(client, view)


def test_session_that_could_not_be_loaded_is_not_changed_by_an_error_page(
    outage: Outage,
) -> None:
    @outage.app.errorhandler(503)
    def unavailable(error: Exception) -> tuple[str, int]:
        flask.session["a"] = "lost"
        return "please come back", 503

    store(outage.client, a=1)
    os.kill(outage.server.pid, signal.SIGSTOP)
    try:
        response = run(outage.client, lambda: flask.session["a"])
    finally:
        os.kill(outage.server.pid, signal.SIGCONT)
    assert (response.status_code, response.text) == (503, "please come back")
    assert "Set-Cookie" not in response.headers
    assert look(outage.client) == {"a": 1}


def test_hook_inside_of_the_plain_middleware_does_not_undo_the_answer(
    outage: Outage, make_manager: MakeManager
) -> None:
    with_hook(outage.app, lambda: "a" in flask.session)
    manager = make_manager(outage.server.url, clock=outage.site.clock)
    outage.app.wsgi_app = SessionMiddleware(outage.app.wsgi_app, manager)
    client = outage.begin()
    assert run(client, lambda: "public").text == "public"
    assert run(client, lambda: flask.session["a"]).status_code == 503


def test_outage_is_waited_for_once_in_a_request(outage: Outage) -> None:
    with_hook(outage.app, lambda: "a" in flask.session)
    run(outage.begin(), lambda: flask.session["a"])
    assert outage.site.event_names().count("unavailable") == 1

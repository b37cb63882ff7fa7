"""What becomes of the session when an application fails."""

from __future__ import annotations

import typing as t

import flask
import flask_sites
import pytest
from flask.testing import FlaskClient
from flask_sites import FlaskSite
from flask_sites import look
from flask_sites import run
from flask_sites import store
from werkzeug.exceptions import NotFound

site = flask_sites.site
app = flask_sites.app
client = flask_sites.client


def test_what_an_error_handler_changes_is_saved(site: FlaskSite) -> None:
    app = site.app()

    @app.errorhandler(404)
    def missing(error: NotFound) -> tuple[str, int]:
        flask.session["missed"] = flask.request.path
        return "missing", 404

    client = app.test_client()
    assert client.get("/nowhere").status_code == 404
    assert look(client) == {"missed": "/nowhere"}


def fail() -> t.NoReturn:
    flask.session["before"] = True
    raise ZeroDivisionError


def test_handled_exception_keeps_what_was_changed_before_it(site: FlaskSite) -> None:
    app = site.app()

    @app.errorhandler(ZeroDivisionError)
    def handle(error: ZeroDivisionError) -> tuple[str, int]:
        flask.session["handled"] = True
        return "handled", 500

    client = app.test_client()
    assert run(client, fail).status_code == 500
    assert look(client) == {"before": True, "handled": True}


def test_handled_500_keeps_what_was_changed_before_it(site: FlaskSite) -> None:
    app = site.app(TESTING=False)

    @app.errorhandler(500)
    def handle(error: Exception) -> tuple[str, int]:
        flask.session["handled"] = True
        return "sorry", 500

    client = app.test_client()
    assert run(client, fail).text == "sorry"
    assert look(client) == {"before": True, "handled": True}


def test_flasks_own_500_page_saves_the_session_as_flask_does(site: FlaskSite) -> None:
    client = site.app(TESTING=False).test_client()
    assert run(client, fail).status_code == 500
    assert look(client) == {"before": True}


def test_exception_that_leaves_the_application_saves_nothing(
    client: FlaskClient,
) -> None:
    store(client, a=1)
    with pytest.raises(ZeroDivisionError):
        run(client, fail)
    assert look(client) == {"a": 1}

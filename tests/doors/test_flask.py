"""Everything that Flask promises of its session, kept in both ways of use."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import uuid
from datetime import datetime
from datetime import UTC

import flask
import flask_sites
import pytest
import redis
from flask.globals import request_ctx
from flask.testing import FlaskClient
from flask_sites import cookie
from flask_sites import cookies
from flask_sites import FlaskSite
from flask_sites import look
from flask_sites import run
from flask_sites import store
from flask_sites import View
from markupsafe import Markup
from visitors import commands

from wsgi_redis_session import NotSerializable
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]

site = flask_sites.site
app = flask_sites.app
client = flask_sites.client


# What is stored.


def test_next_request_finds_what_was_stored(client: FlaskClient) -> None:
    store(client, a=1, b=[2])
    assert look(client) == {"a": 1, "b": [2]}


def test_every_visitor_has_an_own_session(app: flask.Flask) -> None:
    ada, grace = app.test_client(), app.test_client()
    store(ada, name="Ada")
    store(grace, name="Grace")
    assert look(ada) == {"name": "Ada"}
    assert look(grace) == {"name": "Grace"}


def test_nested_change_needs_no_flag(client: FlaskClient) -> None:
    store(client, cart={"items": [1]})
    run(client, lambda: flask.session["cart"]["items"].append(2))
    assert look(client) == {"cart": {"items": [1, 2]}}


def test_values_keep_their_types(client: FlaskClient) -> None:
    values = {
        "tuple": (1, (2, [3])),
        "bytes": b"\xff",
        "markup": Markup("<html>"),
        "uuid": uuid.uuid4(),
        "aware": datetime.now(UTC),
        "naive": datetime(2026, 2, 28, 12, 30, 15, 123456),
        "tag": {" t": "not a tuple", " t__": "nor this", " di": "nor this"},
    }
    store(client, **values)
    found = look(client)
    assert found == values
    assert {name: type(found[name]) for name in found} == {
        name: type(values[name]) for name in values
    }
    assert type(found["tuple"][1]) is tuple
    assert found["naive"].tzinfo is None


def test_value_that_cannot_be_stored_fails_the_request_and_stores_nothing(
    site: FlaskSite, db: redis.Redis
) -> None:
    client = site.app(TESTING=False).test_client()
    response = run(client, lambda: flask.session.update(good=1, bad=object()))
    assert response.status_code == 500
    assert cookies(response) == []
    assert db.keys() == []
    with pytest.raises(NotSerializable, match="'bad'"):
        store(site.app().test_client(), bad=object())


# How tests of an application look at it: Flask's own tests of its test client.


def test_session_transactions(client: FlaskClient) -> None:
    with client:
        with client.session_transaction() as session:
            assert len(session) == 0
            session["foo"] = [42]
            assert len(session) == 1
        assert run(client, lambda: str(flask.session["foo"])).text == "[42]"
        with client.session_transaction() as session:
            assert len(session) == 1
            assert session["foo"] == [42]


def test_session_transaction_ends_a_session(client: FlaskClient) -> None:
    store(client, a=1)
    with client.session_transaction() as session:
        session.clear()
    assert client.get_cookie("session") is None
    assert look(client) == {}


def test_session_transactions_keep_context(
    app: flask.Flask, client: FlaskClient
) -> None:
    with app.test_request_context():
        request = flask.request._get_current_object()
        with client.session_transaction():
            assert request is flask.request._get_current_object()


def test_session_transaction_needs_cookies(app: flask.Flask) -> None:
    client = app.test_client(use_cookies=False)
    transaction = client.session_transaction()
    with pytest.raises(TypeError, match="Cookies are disabled"):
        transaction.__enter__()


def test_session_transaction_does_not_hide_that_nothing_was_saved(
    site: FlaskSite, own_server: LocalServer
) -> None:
    client = site.app(SESSION_REDIS=own_server.url).test_client()
    transaction = client.session_transaction()
    transaction.__enter__()["a"] = 1
    own_server.stop()
    with pytest.raises(SessionUnavailable):
        transaction.__exit__(None, None, None)


def test_request_in_a_session_transaction_has_its_own_session(
    client: FlaskClient,
) -> None:
    flashed: list[str] = []

    def record(sender: flask.Flask, message: str, category: str) -> None:
        flashed.append(message)

    with (
        flask.message_flashed.connected_to(record, client.application),
        client.session_transaction(),
    ):
        run(client, lambda: flask.flash("Hello"))
    assert flashed == ["Hello"]


def test_redirect_session(app: flask.Flask, client: FlaskClient) -> None:
    @app.get("/redirect")
    def redirect() -> t.Any:
        flask.session["redirect"] = True
        return flask.redirect("/target")

    @app.get("/target")
    def target() -> str:
        flask.session["target"] = True
        return ""

    client.get("/redirect", follow_redirects=True)
    assert look(client) == {"redirect": True, "target": True}


def test_client_context_shows_a_session_that_the_request_did_not_touch(
    client: FlaskClient,
) -> None:
    store(client, a=1)
    with client:
        run(client, lambda: "nothing")
        assert flask.session["a"] == 1


def test_test_request_context_loads_and_saves(app: flask.Flask) -> None:
    with app.test_request_context():
        flask.session["a"] = 1
        response = app.process_response(app.response_class())
    header = cookie(response).partition(";")[0]
    with app.test_request_context(headers={"Cookie": header}):
        assert flask.session == {"a": 1}
    with app.test_request_context():
        assert flask.session == {}


def test_test_request_context_saves_nothing_by_itself(
    app: flask.Flask, db: redis.Redis
) -> None:
    with app.test_request_context():
        flask.session["a"] = 1
    assert db.keys() == []


# Flags.


def opened() -> t.Any:
    """The request's session, unmarked: since 3.1.3 Flask notes who asks for it."""
    has_both = hasattr(request_ctx, "_session")
    return request_ctx._session if has_both else request_ctx.session


def test_session_accessed(app: flask.Flask, client: FlaskClient) -> None:
    flags: list[tuple[bool, bool]] = []

    @app.after_request
    def note(response: flask.Response) -> flask.Response:
        session = opened()
        flags.append((session.accessed, session.modified))
        return response

    def views() -> cabc.Iterator[t.Any]:
        yield lambda: "nothing"
        yield lambda: flask.session.update(value="42")
        yield lambda: flask.session.get("value")
        yield lambda: "nothing"

    varies = ["Cookie" in run(client, view).vary for view in views()]
    assert flags == [(False, False), (True, True), (True, False), (False, False)]
    assert varies == [False, True, True, False]


@pytest.mark.parametrize("stored", [True, False])
def test_saving_does_not_mark_accessed(client: FlaskClient, stored: bool) -> None:
    if stored:
        store(client, a=1)
    with client:
        run(client, lambda: None)
        assert not opened().accessed
        assert not opened().modified


def test_change_is_saved_by_an_application_that_takes_accessed_back(
    client: FlaskClient,
) -> None:
    def view() -> None:
        flask.session["a"] = 1
        opened().accessed = False

    assert cookies(run(client, view))
    assert look(client) == {"a": 1}


def test_modified_saves_an_unchanged_session(
    client: FlaskClient, db: redis.Redis
) -> None:
    store(client, a=1)
    before = db.get(db.keys()[0])

    def force() -> None:
        flask.session.modified = True

    run(client, force)
    assert db.get(db.keys()[0]) != before
    assert look(client) == {"a": 1}


def test_session_that_is_not_modified_is_not_saved(client: FlaskClient) -> None:
    def restrain() -> None:
        flask.session["a"] = 1
        flask.session.modified = False

    assert cookies(run(client, restrain)) == []
    assert look(client) == {}


def test_new_says_whether_anything_is_stored(client: FlaskClient) -> None:
    states: list[bool] = []
    for _ in range(2):
        run(client, lambda: states.append(flask.session.new))
        store(client, a=1)
    assert states == [True, False]


# Login.


def test_login_and_logout_change_the_session_id_by_themselves(
    client: FlaskClient,
) -> None:
    sids: list[str] = []
    olds: list[str] = []

    def note() -> None:
        olds.append(client.get_cookie("session").value)
        run(client, lambda: sids.append(flask.session.sid))

    store(client, language="en")
    note()
    for user in ("7", "7", "8", None):
        if user:
            store(client, _user_id=user)
        else:
            store(client, language="de")
            run(client, lambda: flask.session.pop("_user_id"))
        note()
        assert "language" in look(client) or user == "8"
    assert len(set(sids)) == 4
    assert sids[1] == sids[2]
    assert look(client) == {"language": "de"}
    for old in {*olds} - {olds[-1]}:
        client.set_cookie("session", old)
        assert "_user_id" not in look(client)


def test_user_key_is_configurable(site: FlaskSite) -> None:
    client = site.app(SESSION_USER_KEY="member").test_client()
    store(client, _user_id="1")
    before = client.get_cookie("session").value
    store(client, _user_id="2")
    assert client.get_cookie("session").value == before
    store(client, member="1")
    assert client.get_cookie("session").value != before


# What it costs.

#: What the save script does inside of the server.
SAVE_SCRIPT = {"getrange": 1, "set": 1}


@pytest.fixture
def visitor(client: FlaskClient) -> FlaskClient:
    """Its session exists, and the server knows all scripts."""
    for n in range(2):
        store(client, n=n)
    return client


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (lambda: "", {}),
        (lambda: str(flask.session.accessed), {}),
        (lambda: str(flask.session.get("n")), {"get": 1}),
        (lambda: flask.session.update(n=1), {"get": 1}),
        (lambda: flask.session.update(n=2), {"get": 1, "evalsha": 1, **SAVE_SCRIPT}),
    ],
)
def test_commands_of_a_request(
    visitor: FlaskClient, db: redis.Redis, view: View, expected: dict[str, int]
) -> None:
    assert commands(db, lambda: run(visitor, view)) == expected


def test_permanent_session_is_read_and_prolonged_in_one_command(
    site: FlaskSite, db: redis.Redis
) -> None:
    client = site.app(SESSION_PERMANENT=True, SESSION_TOUCH_INTERVAL=0).test_client()
    store(client, n=0)
    look(client)
    expected = {"evalsha": 1, "get": 1, "pexpire": 1}
    assert commands(db, lambda: look(client)) == expected


def test_stranger_costs_no_command_and_gets_no_cookie(
    app: flask.Flask, db: redis.Redis
) -> None:
    stranger = app.test_client()
    look(stranger)
    assert commands(db, lambda: look(stranger)) == {}
    assert stranger.get_cookie("session") is None

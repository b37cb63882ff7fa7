"""Everything that Flask promises of its session, kept in both ways of use."""

from __future__ import annotations

import collections.abc as cabc
import os
import signal
import threading
import typing as t
import uuid
from datetime import datetime
from datetime import timedelta
from datetime import UTC
from importlib.metadata import version

import flask
import pytest
import redis
from conftest import SECRET_KEY
from flask.globals import request_ctx
from flask.testing import FlaskClient
from flask.views import MethodView
from flask_sites import attributes
from flask_sites import cookie
from flask_sites import cookies
from flask_sites import FlaskSite
from flask_sites import look
from flask_sites import manager_of
from flask_sites import run
from flask_sites import store
from flask_sites import View
from markupsafe import Markup
from visitors import commands
from werkzeug.exceptions import NotFound
from werkzeug.http import parse_date
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter
from werkzeug.test import Client

from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import get_session
from wsgi_redis_session import HeadersAlreadySent
from wsgi_redis_session import NotSerializable
from wsgi_redis_session import SessionClosed
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.flask import RedisSessionInterface
from wsgi_redis_session.flask import Session
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]
WAYS = ["extension", "interface"]


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


# Caches.


@pytest.mark.parametrize(
    "use",
    [
        lambda: flask.session.update(test="changed"),
        lambda: flask.session.get("test"),
        lambda: flask.session["test"],
        lambda: flask.session.setdefault("test", "default"),
        lambda: str("test" in flask.session),
        lambda: str(len(flask.session)),
        lambda: flask.session.clear(),
        lambda: flask.session.pop("test"),
        lambda: flask.render_template_string("{{ session.test }}"),
    ],
)
def test_session_vary_cookie(client: FlaskClient, use: t.Any) -> None:
    store(client, test="test")
    response = run(client, use)
    assert response.headers.getlist("Vary") == ["Cookie"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["Cookie"], "Cookie"),
        (
            ["Accept-Encoding", "Accept-Language"],
            "Accept-Encoding, Accept-Language, Cookie",
        ),
    ],
)
def test_vary_joins_what_the_application_says(
    client: FlaskClient, fields: list[str], expected: str
) -> None:
    def view() -> flask.Response:
        flask.session["test"] = "test"
        response = flask.Response()
        response.vary.update(fields)
        return response

    assert run(client, view).headers.getlist("Vary") == [expected]


def test_untouched_session_leaves_no_trace_in_a_response(client: FlaskClient) -> None:
    store(client, a=1)
    response = run(client, lambda: "nothing")
    assert not {"Vary", "Set-Cookie", "Cache-Control"} & {*response.headers.keys()}


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        (None, {"no-store"}),
        ("public, max-age=60", {"private", "max-age=60"}),
        ("no-store", {"no-store"}),
    ],
)
def test_response_that_sets_the_cookie_is_kept_by_no_shared_cache(
    client: FlaskClient, control: str | None, expected: set[str]
) -> None:
    def view() -> flask.Response:
        flask.session["a"] = 1
        headers = {"Cache-Control": control} if control else {}
        return flask.Response(headers=headers)

    (value,) = run(client, view).headers.getlist("Cache-Control")
    assert {*value.split(", ")} == expected


def test_renewal_of_the_cookie_is_left_out_of_a_page_for_everybody(
    site: FlaskSite,
) -> None:
    client = site.app(SESSION_PERMANENT=True, SESSION_TOUCH_INTERVAL=0).test_client()
    store(client, a=1)

    def view(control: str) -> flask.Response:
        return flask.Response(
            str(flask.session["a"]), headers={"Cache-Control": control}
        )

    response = run(client, lambda: view("public"))
    assert cookies(response) == []
    assert response.headers["Cache-Control"] == "public"
    assert cookies(run(client, lambda: view("max-age=60")))


# The cookie.

#: Settings, and how the attributes of the cookie differ from the usual ones.
COOKIE_SETTINGS: list[tuple[dict[str, t.Any], dict[str, str | None]]] = [
    ({}, {}),
    ({"SESSION_COOKIE_DOMAIN": "example.com"}, {"domain": "example.com"}),
    ({"SESSION_COOKIE_DOMAIN": ".example.com"}, {"domain": "example.com"}),
    ({"SESSION_COOKIE_PATH": "/site"}, {"path": "/site"}),
    ({"APPLICATION_ROOT": "/site"}, {"path": "/site"}),
    (
        {"APPLICATION_ROOT": "/elsewhere", "SESSION_COOKIE_PATH": "/site"},
        {"path": "/site"},
    ),
    ({"SESSION_COOKIE_SECURE": True}, {"secure": ""}),
    ({"SESSION_COOKIE_HTTPONLY": False}, {"httponly": None}),
    ({"SESSION_COOKIE_SAMESITE": "Strict"}, {"samesite": "Strict"}),
    ({"SESSION_COOKIE_SAMESITE": "Lax"}, {"samesite": "Lax"}),
    (
        {"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": True},
        {"samesite": "None", "secure": ""},
    ),
    ({"SESSION_COOKIE_PARTITIONED": True}, {"partitioned": "", "secure": ""}),
    ({"SESSION_COOKIE_NAME": "sid"}, {}),
    (
        {"SESSION_COOKIE_NAME": "__Host-session", "SESSION_COOKIE_SECURE": True},
        {"secure": ""},
    ),
    (
        {
            "SERVER_NAME": "example.com",
            "SESSION_COOKIE_NAME": "sid",
            "SESSION_COOKIE_DOMAIN": ".example.com",
            "SESSION_COOKIE_PATH": "/site",
            "SESSION_COOKIE_SECURE": True,
            "SESSION_COOKIE_HTTPONLY": False,
            "SESSION_COOKIE_SAMESITE": "Lax",
            "SESSION_COOKIE_PARTITIONED": True,
        },
        {
            "domain": "example.com",
            "path": "/site",
            "secure": "",
            "httponly": None,
            "samesite": "Lax",
            "partitioned": "",
        },
    ),
]


@pytest.mark.parametrize(("settings", "differences"), COOKIE_SETTINGS)
def test_cookie_is_set_and_deleted_with_every_configured_attribute(
    site: FlaskSite,
    settings: dict[str, t.Any],
    differences: dict[str, str | None],
) -> None:
    client = site.app(**settings).test_client()
    name = settings.get("SESSION_COOKIE_NAME", "session")
    usual: dict[str, str | None] = {"httponly": "", "path": "/", **differences}
    expected = {key: value for key, value in usual.items() if value is not None}
    base_url = "https://example.com/site"
    response = run(client, lambda: flask.session.update(a=1), base_url=base_url)
    assert attributes(cookie(response, name)) == expected
    response = run(client, lambda: flask.session.pop("a"), base_url=base_url)
    deleted = {"expires": "Thu, 01 Jan 1970 00:00:00 GMT", "max-age": "0"}
    assert cookie(response, name).startswith(f"{name}=;")
    assert attributes(cookie(response, name)) == {**expected, **deleted}


@pytest.mark.parametrize("value", [1, 0, "yes", "", None])
def test_flags_are_true_or_false_as_flask_takes_them(
    site: FlaskSite, value: t.Any
) -> None:
    # app.config.from_prefixed_env() makes a number of FLASK_SESSION_COOKIE_SECURE=1.
    keys = ("SECURE", "HTTPONLY", "PARTITIONED")
    flags = {f"SESSION_COOKIE_{key}": value for key in keys}
    flags |= {"SESSION_PERMANENT": value}
    app = site.app(**flags)
    response = store(app.test_client(), a=1)
    found = {"secure", "httponly", "partitioned", "max-age"} & {
        *attributes(cookie(response))
    }
    assert len(found) == (4 if value else 0)


def test_secure_may_follow_the_request(site: FlaskSite) -> None:
    app = site.app(SESSION_COOKIE_SECURE="auto")
    found = [
        "secure" in attributes(cookie(run(app.test_client(), view, base_url=url)))
        for url in ("http://localhost", "https://localhost")
        for view in [lambda: flask.session.update(a=1)]
    ]
    assert found == [False, True]


def test_session_using_samesite_attribute(site: FlaskSite) -> None:
    app = site.app()
    client = app.test_client()
    app.config["SESSION_COOKIE_SAMESITE"] = "invalid"
    with pytest.raises(ValueError, match="SAMESITE"):
        store(client, n=0)
    for n, samesite in enumerate([None, "Strict", "Lax"], start=1):
        app.config["SESSION_COOKIE_SAMESITE"] = samesite
        client.delete_cookie("session")
        response = store(client, n=n)
        assert attributes(cookie(response)).get("samesite") == samesite


def test_session_using_application_root(site: FlaskSite) -> None:
    app = site.app(APPLICATION_ROOT="/bar")
    app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)
    response = run(
        app.test_client(),
        lambda: flask.session.update(testing=42),
        base_url="http://example.com:8080/",
        headers={"X-Forwarded-Prefix": "/bar"},
    )
    assert attributes(cookie(response))["path"] == "/bar"


def test_session_dynamic_cookie_name(server: LocalServer, site: FlaskSite) -> None:
    class PathAwareSessionInterface(RedisSessionInterface):
        def get_cookie_name(self, app: flask.Flask) -> str:
            if flask.request.url.endswith("dynamic_cookie"):
                return "dynamic_cookie_name"
            return super().get_cookie_name(app)

    class CustomFlask(flask.Flask):
        session_interface = PathAwareSessionInterface()

    app = CustomFlask(__name__)
    app.config.update(site.config)

    def put() -> str:
        flask.session["value"] = flask.request.form["value"]
        return "value set"

    def get() -> str:
        return flask.session.get("value", "None")

    for suffix in ("", "_dynamic_cookie"):
        app.add_url_rule(f"/set{suffix}", f"set{suffix}", put, methods=["POST"])
        app.add_url_rule(f"/get{suffix}", f"get{suffix}", get)
    client = app.test_client()
    assert client.post("/set", data={"value": "42"}).text == "value set"
    client.post("/set_dynamic_cookie", data={"value": "616"})
    assert client.get("/get").text == "42"
    assert client.get("/get_dynamic_cookie").text == "616"


def test_cookie_that_is_not_ours_is_no_session(client: FlaskClient) -> None:
    store(client, a=1)
    client.set_cookie("session", client.get_cookie("session").value[:-1])
    assert look(client) == {}


# Lifetimes.


def test_session_expiration(site: FlaskSite) -> None:
    client = site.app().test_client()

    def view(permanent: bool) -> None:
        flask.session["test"] = 42
        flask.session.permanent = permanent

    response = run(client, lambda: view(True))
    lifetime = timedelta(days=31)
    expires = parse_date(attributes(cookie(response))["expires"])
    assert expires == datetime.fromtimestamp(site.clock.time, UTC) + lifetime
    assert attributes(cookie(response))["max-age"] == "2678400"
    assert run(client, lambda: str(flask.session.permanent)).text == "True"
    response = run(client, lambda: view(False))
    assert {"expires", "max-age"}.isdisjoint(attributes(cookie(response)))
    assert run(client, lambda: str(flask.session.permanent)).text == "False"


@pytest.mark.parametrize(
    ("lifetime", "seconds"),
    [(timedelta(minutes=10), 600), (600, 600), (timedelta(days=365), 31_536_000)],
)
def test_permanent_session_lifetime_is_that_of_browser_and_server(
    site: FlaskSite, db: redis.Redis, lifetime: t.Any, seconds: int
) -> None:
    client = site.app(PERMANENT_SESSION_LIFETIME=lifetime).test_client()

    def view() -> None:
        flask.session.permanent = True
        flask.session["a"] = 1

    assert attributes(cookie(run(client, view)))["max-age"] == str(seconds)
    assert seconds - 60 < db.ttl(db.keys()[0]) <= seconds


def test_use_prolongs_a_permanent_session(site: FlaskSite, db: redis.Redis) -> None:
    client = site.app(SESSION_PERMANENT=True).test_client()
    store(client, a=1)
    (key,) = db.keys()
    db.pexpire(key, 60_000)
    site.clock.move(301)
    response = run(client, lambda: flask.session.get("a"))
    assert attributes(cookie(response))["max-age"] == "2678400"
    assert db.pttl(key) > 60_000


@pytest.mark.parametrize("refresh", [True, False])
@pytest.mark.parametrize(
    ("permanent", "touch_interval", "expected"),
    [(True, 0, True), (True, 300, False), (False, 0, True), (False, 300, False)],
)
def test_session_cookie_is_given_again_when_a_touch_is_due(
    site: FlaskSite,
    permanent: bool,
    touch_interval: int,
    refresh: bool,
    expected: bool,
) -> None:
    client = site.app(
        SESSION_REFRESH_EACH_REQUEST=refresh, SESSION_TOUCH_INTERVAL=touch_interval
    ).test_client()

    def bump() -> str:
        value = flask.session["foo"] = flask.session.get("foo", 0) + 1
        flask.session.permanent = permanent
        return str(value)

    assert [run(client, bump).text for _ in range(3)] == ["1", "2", "3"]
    response = run(client, lambda: str(flask.session.get("foo", 0)))
    assert response.text == "3"
    assert bool(cookies(response)) == expected


def test_cookie_is_not_given_merely_because_something_was_saved(
    site: FlaskSite,
) -> None:
    client = site.app(SESSION_PERMANENT=True).test_client()
    assert cookies(store(client, a=1))
    assert cookies(store(client, a=2)) == []
    assert look(client) == {"a": 2}


def test_session_refresh_vary(site: FlaskSite) -> None:
    client = site.app(SESSION_TOUCH_INTERVAL=0).test_client()

    def login() -> None:
        flask.session["user_id"] = 1
        flask.session.permanent = True

    assert run(client, login).headers["Vary"] == "Cookie"
    response = run(client, lambda: str(flask.session["user_id"]))
    assert cookies(response)
    assert response.headers["Vary"] == "Cookie"


def test_refresh_is_left_to_the_responses_that_used_the_session(
    site: FlaskSite,
) -> None:
    client = site.app(SESSION_PERMANENT=True, SESSION_TOUCH_INTERVAL=0).test_client()
    store(client, a=1)
    assert "Set-Cookie" not in run(client, lambda: "").headers


def test_permanent_alone_stores_nothing(client: FlaskClient, db: redis.Redis) -> None:
    response = run(client, lambda: setattr(flask.session, "permanent", True))
    assert cookies(response) == []
    assert db.keys() == []


# Configuration.


def test_missing_session(site: FlaskSite) -> None:
    app = site.app(SECRET_KEY=None)
    message = "session is unavailable because no secret key was set"
    with app.test_request_context():
        assert flask.session.get("missing_key") is None
        for change in (
            lambda: flask.session.__setitem__("foo", 42),
            lambda: flask.session.pop("foo"),
        ):
            with pytest.raises(RuntimeError, match=message):
                change()
    client = app.test_client()
    assert run(client, lambda: str(flask.session.get("a"))).text == "None"
    with pytest.raises(RuntimeError, match=message):
        store(client, a=1)


def test_session_transactions_no_null_sessions(site: FlaskSite) -> None:
    transaction = site.app(SECRET_KEY=None).test_client().session_transaction()
    with pytest.raises(RuntimeError, match="Session backend did not open a session"):
        transaction.__enter__()


def test_secret_key_may_come_and_go(site: FlaskSite) -> None:
    app = site.app(SECRET_KEY=None)
    client = app.test_client()
    app.secret_key = SECRET_KEY
    store(client, a=1)
    assert look(client) == {"a": 1}
    app.secret_key = None
    assert look(client) == {}


def test_session_secret_key_fallbacks(app: flask.Flask, client: FlaskClient) -> None:
    app.secret_key = "0 key"
    app.config["SECRET_KEY_FALLBACKS"] = ["-1 key", "-2 key"]
    store(client, a=1)
    assert look(client) == {"a": 1}
    app.secret_key = "? key"
    assert look(client) == {}
    app.secret_key = "+1 key"
    app.config["SECRET_KEY_FALLBACKS"] = ["0 key", "-1 key"]
    assert look(client) == {"a": 1}


def test_key_is_rotated_by_appending_to_the_fallbacks_in_place(
    site: FlaskSite,
) -> None:
    app = site.app(SECRET_KEY_FALLBACKS=[])
    client = app.test_client()
    store(client, a=1)
    app.secret_key = "a new one"
    assert look(client) == {}
    app.config["SECRET_KEY_FALLBACKS"].append(SECRET_KEY)
    assert look(client) == {"a": 1}
    app.config["SECRET_KEY_FALLBACKS"].clear()
    assert look(client) == {}


def test_configuration_is_live(app: flask.Flask) -> None:
    def next_cookie(name: str = "session") -> dict[str, str]:
        return attributes(cookie(store(app.test_client(), a=1), name))

    assert next_cookie() == {"httponly": "", "path": "/"}
    app.config["SESSION_COOKIE_SECURE"] = True
    assert next_cookie() == {"httponly": "", "path": "/", "secure": ""}
    app.config["SESSION_COOKIE_SECURE"] = False
    app.config["APPLICATION_ROOT"] = "/run"
    assert next_cookie() == {"httponly": "", "path": "/run"}
    app.config["SESSION_PERMANENT"] = True
    app.permanent_session_lifetime = timedelta(hours=1)
    assert next_cookie()["max-age"] == "3600"
    app.config["SESSION_COOKIE_NAME"] = "renamed"
    assert next_cookie("renamed")


def test_server_may_be_changed(
    app: flask.Flask, client: FlaskClient, own_server: LocalServer, db: redis.Redis
) -> None:
    store(client, a=1)
    app.config["SESSION_REDIS"] = own_server.url
    assert look(client) == {}
    store(client, b=1)
    assert len(db.keys()) == 1
    with redis.Redis(unix_socket_path=own_server.socket) as other:
        assert len(other.keys()) == 1


def test_other_cookie_costs_no_new_connection(
    app: flask.Flask, client: FlaskClient, db: redis.Redis
) -> None:
    def connections() -> int:
        return t.cast(int, db.info("stats")["total_connections_received"])

    store(client, a=1)
    before = connections()
    for samesite in ("Lax", "Strict", None):
        app.config["SESSION_COOKIE_SAMESITE"] = samesite
        assert look(client) == {"a": 1}
    assert connections() == before


# Messages.


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


# Errors.


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


# Streams.


@pytest.fixture
def streaming(server: LocalServer) -> cabc.Iterator[FlaskSite]:
    """Only the middleware sets a cookie after the application has answered."""
    site = FlaskSite("extension", server.url)
    yield site
    site.close()


def stream(*steps: cabc.Callable[[], object]) -> flask.Response:
    """A body that runs a step before each of its parts."""

    def parts() -> cabc.Iterator[str]:
        for step in steps:
            yield str(step())

    return flask.Response(flask.stream_with_context(parts()))


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
        return stream(lambda: "x", lambda: flask.session.regenerate())  # type: ignore[attr-defined]

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


# Several applications.


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


# Keys of Flask-Session and ours.

FLASK_SESSION = {
    "SESSION_TYPE": "redis",
    "SESSION_PERMANENT": False,
    "SESSION_USE_SIGNER": True,
    "SESSION_KEY_PREFIX": "shop:",
    "SESSION_ID_LENGTH": 32,
    "SESSION_SERIALIZATION_FORMAT": "msgpack",
}


def test_application_configured_for_flask_session_works_as_it_is(
    site: FlaskSite, db: redis.Redis
) -> None:
    client = site.app(**FLASK_SESSION).test_client()
    assert "max-age" not in attributes(cookie(store(client, a=1)))
    assert look(client) == {"a": 1}
    (key,) = db.keys()
    assert key.startswith(b"shop:")


@pytest.mark.parametrize(
    ("config", "permanent"),
    [
        ({"SESSION_TYPE": "redis"}, True),
        ({"SESSION_TYPE": "redis", "SESSION_PERMANENT": True}, True),
        ({"SESSION_TYPE": "redis", "SESSION_PERMANENT": False}, False),
        ({"SESSION_PERMANENT": True}, True),
        ({}, False),
    ],
)
def test_session_permanent_means_what_flask_session_means(
    site: FlaskSite, config: dict[str, t.Any], permanent: bool
) -> None:
    response = store(site.app(**config).test_client(), a=1)
    assert ("max-age" in attributes(cookie(response))) == permanent


@pytest.mark.parametrize("given", ["url", "client", "environment"])
def test_session_redis_names_the_server(
    site: FlaskSite,
    monkeypatch: pytest.MonkeyPatch,
    server: LocalServer,
    db: redis.Redis,
    given: str,
) -> None:
    found = {"url": server.url, "client": db, "environment": None}[given]
    if given == "environment":
        monkeypatch.setenv("SESSION_REDIS", server.url)
    client = site.app(SESSION_REDIS=found).test_client()
    store(client, a=1)
    assert look(client) == {"a": 1}
    assert len(db.keys()) == 1


def test_interface_takes_redis_and_prefix_as_the_snippet_does(
    server: LocalServer, db: redis.Redis
) -> None:
    app = flask.Flask(__name__)
    app.secret_key = SECRET_KEY
    app.extensions["view"] = lambda: flask.session.update(a=1)
    app.add_url_rule("/run", "run", lambda: app.extensions["view"]() or "")
    app.session_interface = RedisSessionInterface(db, "snippet:")
    client = app.test_client()
    store(client, a=1)
    assert look(client) == {"a": 1}
    assert db.keys()[0].startswith(b"snippet:")


def start(site: FlaskSite, **config: t.Any) -> None:
    """The extension checks when it is set up, the interface at the first request."""
    look(site.app(**config).test_client())


@pytest.mark.parametrize(
    "kind", ["filesystem", "null", "memcached", "sqlalchemy", "", 1]
)
def test_other_session_type_is_an_error_that_says_what_to_do(
    site: FlaskSite, kind: t.Any
) -> None:
    with pytest.raises(ConfigurationError, match=r"(?s)SESSION_TYPE.*SESSION_REDIS"):
        start(site, SESSION_TYPE=kind)


@pytest.mark.parametrize(
    "key",
    [
        "SESSION_CACHELIB",
        "SESSION_CLEANUP_N_REQUESTS",
        "SESSION_DYNAMODB",
        "SESSION_DYNAMODB_TABLE",
        "SESSION_FILE_DIR",
        "SESSION_FILE_MODE",
        "SESSION_FILE_THRESHOLD",
        "SESSION_MEMCACHED",
        "SESSION_MONGODB",
        "SESSION_MONGODB_COLLECT",
        "SESSION_MONGODB_DB",
        "SESSION_SQLALCHEMY",
        "SESSION_SQLALCHEMY_TABLE",
    ],
)
def test_key_for_another_place_than_redis_is_an_error_that_names_it(
    site: FlaskSite, key: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s){key} .*SESSION_REDIS"):
        start(site, SESSION_TYPE="redis", **{key: "x"})


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("SESSION_REDIS", "", "SESSION_REDIS='' cannot work: "),
        ("SESSION_REDIS", "localhost", "SESSION_REDIS='localhost' cannot work: "),
        ("SESSION_REDIS", 6379, "SESSION_REDIS must be a URL or a client "),
        ("SESSION_COOKIE_NAME", "two words", "SESSION_COOKIE_NAME='two words' cannot "),
        ("SESSION_COOKIE_NAME", "__Host-s", "SESSION_COOKIE_SECURE=False cannot work"),
        ("SESSION_COOKIE_SAMESITE", "None", "SESSION_COOKIE_SECURE=False cannot work"),
        ("SESSION_COOKIE_DOMAIN", "http://a.b", "SESSION_COOKIE_DOMAIN='http://a.b' "),
        ("SESSION_COOKIE_PATH", "relative", "SESSION_COOKIE_PATH='relative' cannot "),
        ("SESSION_IDLE_TIMEOUT", "30m", "SESSION_IDLE_TIMEOUT='30m' cannot work: "),
        ("SESSION_TOUCH_INTERVAL", 10**7, "SESSION_TOUCH_INTERVAL=10000000 cannot "),
        ("SESSION_KEY_PREFIX", "", "SESSION_KEY_PREFIX='' cannot work: "),
        ("SECRET_KEY", 5, "SECRET_KEY is missing or not a non-empty string"),
        ("SECRET_KEY_FALLBACKS", "a single one", "SECRET_KEY_FALLBACKS must be a list"),
        ("PERMANENT_SESSION_LIFETIME", -1, "PERMANENT_SESSION_LIFETIME=datetime.time"),
    ],
)
def test_setting_that_cannot_work_is_an_error_that_names_a_key_of_flask_s(
    site: FlaskSite, key: str, value: t.Any, said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        start(site, **{key: value})
    assert str(caught.value).startswith(said)


def test_empty_server_is_not_taken_for_localhost(server: LocalServer) -> None:
    app = flask.Flask(__name__)
    app.secret_key = SECRET_KEY
    with pytest.raises(ConfigurationError, match="redis"):
        RedisSessionInterface("").manager(app)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"redis": ""}, "redis='' cannot work: "),
        ({"prefix": ""}, "prefix='' cannot work: "),
    ],
)
def test_argument_of_the_interface_that_cannot_work_is_named(
    server: LocalServer, arguments: dict[str, str], said: str
) -> None:
    app = flask.Flask(__name__)
    app.config.update(SECRET_KEY=SECRET_KEY, SESSION_REDIS=server.url)
    with pytest.raises(ConfigurationError) as caught:
        RedisSessionInterface(**arguments).manager(app)
    assert str(caught.value).startswith(said)


def test_options_are_taken_under_their_own_names(site: FlaskSite) -> None:
    app = site.app(SESSION_IDLE_TIMEOUT=60, SESSION_MAX_BYTES=1000)
    config = manager_of(app).config
    assert (config.idle_timeout, config.max_bytes) == (60, 1000)


# Redis is away.


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

"""Caches, the cookie and how long it lives, in both ways of use."""

from __future__ import annotations

import typing as t
from datetime import datetime
from datetime import timedelta
from datetime import UTC

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
from werkzeug.http import parse_date
from werkzeug.middleware.proxy_fix import ProxyFix

from wsgi_redis_session.flask import RedisSessionInterface
from wsgi_redis_session.local_server import LocalServer

site = flask_sites.site
app = flask_sites.app
client = flask_sites.client


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

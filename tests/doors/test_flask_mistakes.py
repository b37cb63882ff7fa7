"""What people get wrong with Flask, or expect of it, and what they see."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from datetime import timedelta

import flask
import ormsgpack
import pytest
import redis
from conftest import SECRET_KEY
from flask.sessions import SecureCookieSession
from flask_sites import attributes
from flask_sites import cookie
from flask_sites import cookies
from flask_sites import FlaskSite
from flask_sites import look
from flask_sites import manager_of
from flask_sites import run
from flask_sites import store
from visitors import commands

from wsgi_redis_session import ConfigurationError
from wsgi_redis_session.flask import RedisSessionInterface
from wsgi_redis_session.flask import Session
from wsgi_redis_session.local_server import LocalServer

#: A session id of Flask-Session's, and what it stored.
SID = "JvY0n0wO3l-1mSDCF9uSYDg0cEvLWFyPM8Zp5nLVk_4"
LEFT = ormsgpack.packb({"_permanent": True, "cart": [1]})


@pytest.fixture(params=["extension", "interface"])
def site(
    request: pytest.FixtureRequest, server: LocalServer
) -> cabc.Iterator[FlaskSite]:
    site = FlaskSite(request.param, server.url)
    yield site
    site.close()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"
    ]


# Misspelt and missing keys.


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("SESSION_IDLE_TIMOUT", "SESSION_IDLE_TIMEOUT"),
        ("SESSION_PERMANENT_LIFETIME", "PERMANENT_SESSION_LIFETIME"),
        ("SESSION_COOKIE_SAME_SITE", "SESSION_COOKIE_SAMESITE"),
        ("SESSION_REFRESH_EACH_REQUESTS", "SESSION_REFRESH_EACH_REQUEST"),
        ("SESSION_REDIS_URL", "SESSION_REDIS"),
        ("SESSION_SECRET_KEY", "SECRET_KEY"),
        ("SESSION_USE_SIGNERS", "SESSION_USE_SIGNER"),
    ],
)
def test_near_miss_in_the_configuration_is_an_error_that_names_the_right_key(
    key: str, meant: str
) -> None:
    app = flask.Flask("mistaken")
    app.config.update({"SECRET_KEY": SECRET_KEY, key: 60})
    with pytest.raises(ConfigurationError) as caught:
        Session(app)
    assert str(caught.value).startswith(f"{key} means nothing: did you mean {meant}")


@pytest.mark.parametrize(
    "key",
    ["SESSION_PROTECTION", "SESSION_X", "SESSIONS", "MINE", "JWT_SESSION_COOKIE"],
)
def test_key_that_is_somebody_else_s_is_left_alone(site: FlaskSite, key: str) -> None:
    client = site.app(**{key: "strong"}).test_client()
    store(client, a=1)
    assert look(client) == {"a": 1}


class Array:
    """What is not true or false when it is compared, as an array of numpy is."""

    def __eq__(self, other: object) -> t.Any:
        return Array()

    def __bool__(self) -> bool:
        raise ValueError


def test_configuration_may_hold_what_cannot_be_compared(site: FlaskSite) -> None:
    app = site.app(MODEL=Array())
    client = app.test_client()
    store(client, a=1)
    app.config["MODEL"] = Array()
    assert look(client) == {"a": 1}
    before = manager_of(app)
    assert look(client) == {"a": 1}
    assert manager_of(app) is before


def test_lifetime_that_is_none_is_an_error_that_names_its_key() -> None:
    app = flask.Flask("mistaken")
    app.config.update(SECRET_KEY=SECRET_KEY, PERMANENT_SESSION_LIFETIME=None)
    with pytest.raises(ConfigurationError, match=r"^PERMANENT_SESSION_LIFETIME=None "):
        Session(app)


def test_interface_takes_no_application() -> None:
    app: t.Any = flask.Flask("mistaken")
    with pytest.raises(ConfigurationError, match="not the application"):
        RedisSessionInterface(app, "prefix")


@pytest.mark.parametrize(
    ("settings", "idle"),
    [
        ({}, timedelta(days=1)),
        ({"PERMANENT_SESSION_LIFETIME": 3600}, timedelta(hours=1)),
        ({"SESSION_TYPE": "redis"}, timedelta(days=31)),
        (
            {"SESSION_TYPE": "redis", "PERMANENT_SESSION_LIFETIME": timedelta(hours=1)},
            timedelta(hours=1),
        ),
        (
            {"SESSION_IDLE_TIMEOUT": 60, "PERMANENT_SESSION_LIFETIME": 3600},
            timedelta(minutes=1),
        ),
    ],
)
def test_session_lasts_no_longer_than_flask_and_flask_session_let_it(
    site: FlaskSite, settings: dict[str, t.Any], idle: timedelta
) -> None:
    config = manager_of(site.app(**settings)).config
    assert config.seconds("idle_timeout") == idle.total_seconds()


def test_session_type_none_counts_as_not_set(site: FlaskSite) -> None:
    app = site.app(SESSION_TYPE=None)
    assert manager_of(app).config.permanent is False
    assert store(app.test_client(), a=1).status_code == 200


@pytest.mark.parametrize("key", [None, ""])
def test_session_type_without_a_secret_key_is_an_error_at_the_start(
    key: str | None,
) -> None:
    app = flask.Flask("unsigned")
    app.config.update(SESSION_TYPE="redis", SECRET_KEY=key)
    with pytest.raises(ConfigurationError, match=r"^SECRET_KEY is missing\. Flask-S"):
        Session(app)


# Sessions that Flask-Session has left.


def visit(
    site: FlaskSite, sid: str = SID, **config: t.Any
) -> flask.testing.FlaskClient:
    client = site.app(**{"SESSION_TYPE": "redis", **config}).test_client()
    client.set_cookie("session", sid)
    run(client, lambda: str(dict(flask.session)))
    return client


def test_sessions_of_flask_session_that_nobody_migrates_are_warned_of_once(
    site: FlaskSite, db: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    db.set(f"session:{SID}", LEFT)
    client = visit(site)
    assert look(client) == {}
    (said,) = warnings(caplog)
    assert "because SESSION_MIGRATE_FROM is not set" in said
    assert SID not in said
    assert db.get(f"session:{SID}") == LEFT


def test_signed_ones_and_those_with_another_prefix_are_found_as_well(
    site: FlaskSite, db: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    db.set(f"app:{SID}", LEFT)
    visit(site, f"{SID}.{'s' * 27}", SESSION_KEY_PREFIX="app:")
    assert len(warnings(caplog)) == 1


def test_cookie_of_flask_session_whose_session_has_ended_is_no_reason_to_warn(
    site: FlaskSite, caplog: pytest.LogCaptureFixture
) -> None:
    visit(site)
    assert warnings(caplog) == []


def test_who_migrates_is_not_warned(
    site: FlaskSite, db: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    db.set(f"session:{SID}", LEFT)
    client = visit(site, SESSION_MIGRATE_FROM="flask-session")
    assert look(client) == {"cart": [1]}
    assert warnings(caplog) == []


def test_made_up_cookies_cost_a_hundred_commands_at_most(
    site: FlaskSite, db: redis.Redis
) -> None:
    client = site.app(SESSION_TYPE="redis").test_client()

    def flood() -> None:
        for number in range(120):
            client.set_cookie("session", f"{SID}{number:03}")
            run(client, lambda: str(dict(flask.session)))

    assert commands(db, flood)["get"] == 100


def test_application_that_was_not_flask_session_s_asks_nobody(
    site: FlaskSite, db: redis.Redis
) -> None:
    client = site.app().test_client()
    client.set_cookie("session", SID)
    view = lambda: str(dict(flask.session))  # noqa: E731  # a view of one line
    assert commands(db, lambda: run(client, view)) == {}


def test_server_that_refuses_that_question_harms_nobody(
    server: LocalServer, db: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    rights = "on >secret ~wsgi-session:* +get +set +select"
    db.execute_command("ACL", "SETUSER", "narrow", *rights.split())
    site = FlaskSite("extension", f"unix://narrow:secret@{server.socket}")
    client = visit(site)
    assert store(client, a=1).status_code == 200
    assert warnings(caplog) == []
    site.close()
    db.acl_deluser("narrow")


# What Flask asks of an application and of its session interface.


class OwnKeys(flask.Flask):
    secret_key = "the subclass's own"
    permanent_session_lifetime = timedelta(days=3)


def test_secret_key_and_lifetime_may_be_those_of_a_subclass(site: FlaskSite) -> None:
    app = OwnKeys("own_keys")
    app.config.update({**site.config, "SECRET_KEY": None})
    site.attach(app)
    client = app.test_client()
    response = run(client, lambda: flask.session.update(a=1) or permanent())
    assert "Max-Age=259200" in cookie(response)
    assert look(client) == {"a": 1}
    app.secret_key = "changed in the object"
    assert look(client) == {}


def permanent() -> None:
    flask.session.permanent = True


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("should_set_cookie", "SESSION_TOUCH_INTERVAL"),
        ("get_expiration_time", "PERMANENT_SESSION_LIFETIME"),
        ("session_class", "write functions"),
    ],
)
def test_hook_that_has_no_meaning_is_refused_in_a_subclass_and_in_the_object(
    name: str, remedy: str
) -> None:
    value = SecureCookieSession if name == "session_class" else lambda *args: None
    with pytest.raises(ConfigurationError) as caught:
        type("Own", (RedisSessionInterface,), {name: value})
    assert str(caught.value).startswith(f"Own.{name} has no meaning: ")
    assert remedy in str(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        setattr(RedisSessionInterface(), name, value)
    assert str(caught.value).startswith(f"RedisSessionInterface.{name} has no ")


def test_subclass_that_overrides_something_else_is_accepted(
    server: LocalServer,
) -> None:
    class Silent(RedisSessionInterface):
        """Saves nothing for those who come with a token of their own."""

        def save_session(self, app: t.Any, session: t.Any, response: t.Any) -> None:
            if "Authorization" not in flask.request.headers:
                super().save_session(app, session, response)

    site = FlaskSite("interface", server.url)
    app = site.app()
    app.session_interface = Silent()
    client = app.test_client()
    header = {"Authorization": "Bearer x"}
    response = run(client, lambda: flask.session.update(a=1), headers=header)
    assert cookies(response) == []
    assert cookies(store(client, a=1))
    site.close()


def test_cookie_hooks_may_be_replaced_in_the_object_at_any_time(
    site: FlaskSite,
) -> None:
    app = site.app()
    client = app.test_client()
    assert "domain" not in attributes(cookie(store(client, a=1)))
    app.session_interface.get_cookie_domain = lambda app: "localhost"  # type: ignore[method-assign]  # as a site may
    app.session_interface.get_cookie_path = lambda app: "/run"  # type: ignore[method-assign]  # as a site may
    found = attributes(cookie(store(app.test_client(), a=1)))
    assert (found["domain"], found["path"]) == ("localhost", "/run")


# Whether a session is permanent, under Flask's own name for it.


def test_permanent_has_the_name_that_flask_gives_it(site: FlaskSite) -> None:
    client = site.app().test_client()

    def is_said() -> str:
        session = flask.session
        return str(("_permanent" in session, session.get("_permanent", False)))

    assert "max-age" in attributes(cookie(store(client, _permanent=True, a=1)))
    assert run(client, is_said).text == "(True, True)"
    assert look(client) == {"a": 1}
    response = run(client, lambda: str(flask.session.pop("_permanent")))
    assert response.text == "True"
    assert "max-age" not in attributes(cookie(response))
    assert run(client, is_said).text == "(False, False)"
    with pytest.raises(KeyError):
        run(client, lambda: flask.session.pop("_permanent"))


@pytest.mark.parametrize(("by_default", "expected"), [(False, False), (True, True)])
def test_cleared_session_is_as_permanent_as_a_new_one(
    site: FlaskSite, by_default: bool, expected: bool
) -> None:
    client = site.app(SESSION_PERMANENT=by_default).test_client()

    def turn_over() -> str:
        flask.session.permanent = not by_default
        flask.session.clear()
        flask.session["b"] = 2
        return str(flask.session.permanent)

    store(client, a=1)
    assert run(client, turn_over).text == str(expected)
    assert look(client) == {"b": 2}


# Who is logged in, without Flask-Login.


def test_user_that_is_no_identifier_is_an_error_that_says_what_to_do(
    site: FlaskSite,
) -> None:
    client = site.app(SESSION_USER_KEY="user").test_client()
    with pytest.raises(ConfigurationError) as caught:
        store(client, user={"id": 1})
    assert "session['user'] is a dict" in str(caught.value)
    assert "Store the user's id there" in str(caught.value)


def test_flask_principal_s_name_changes_the_session_id(site: FlaskSite) -> None:
    client = site.app(SESSION_USER_KEY="identity.id").test_client()
    store(client, cart=[1])
    before = client.get_cookie("session")
    store(client, **{"identity.id": "ada", "identity.auth_type": "form"})
    assert client.get_cookie("session") != before
    assert look(client)["cart"] == [1]

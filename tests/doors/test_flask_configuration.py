"""Flask's own settings, those of Flask-Session and ours, in both ways of use."""

from __future__ import annotations

import typing as t
from datetime import timedelta

import flask
import flask_sites
import pytest
import redis
from conftest import SECRET_KEY
from flask.testing import FlaskClient
from flask_sites import attributes
from flask_sites import cookie
from flask_sites import FlaskSite
from flask_sites import look
from flask_sites import manager_of
from flask_sites import run
from flask_sites import store

from wsgi_redis_session import ConfigurationError
from wsgi_redis_session.flask import RedisSessionInterface
from wsgi_redis_session.local_server import LocalServer

site = flask_sites.site
app = flask_sites.app
client = flask_sites.client


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

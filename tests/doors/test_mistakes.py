"""What people get wrong, and what they see."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

import pytest
import redis
from conftest import SECRET_KEY
from werkzeug.test import Client

from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]

LOGGER = "wsgi_redis_session"


def application(environ: dict[str, t.Any], start_response: t.Any) -> list[bytes]:
    session = get_session(environ)
    session["visits"] = session.get("visits", 0) + 1
    start_response("200 OK", [])
    return [f"visit {session['visits']}".encode()]


# The arguments of the middleware.


def test_swapped_arguments_are_an_error_that_shows_the_order(
    manager: SessionManager,
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SessionMiddleware(manager, application)  # type: ignore[arg-type]  # the mistake
    said = str(caught.value)
    assert said.startswith("SessionMiddleware(app, sessions) takes ")
    assert "not a SessionManager and a function" in said


@pytest.mark.parametrize("sessions", [None, "redis://localhost", SessionManager])
def test_what_is_no_manager_is_refused(sessions: t.Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^SessionMiddleware\(app, sessions"):
        SessionMiddleware(application, sessions)


# A middleware inside another one.


def test_middleware_inside_another_with_other_options_warns_once(
    make_manager: MakeManager, caplog: pytest.LogCaptureFixture
) -> None:
    inner = SessionMiddleware(application, make_manager(user_key="user", max_names=5))
    client = Client(SessionMiddleware(inner, make_manager()))
    assert [client.get("/").text for _ in range(2)] == ["visit 1", "visit 2"]
    (record,) = [entry for entry in caplog.records if entry.levelname == "WARNING"]
    assert record.name == LOGGER
    assert "is inside another SessionMiddleware" in record.getMessage()
    assert "also for user_key, max_names" in record.getMessage()


def test_middleware_inside_another_with_the_same_options_is_left_in_peace(
    make_manager: MakeManager, caplog: pytest.LogCaptureFixture
) -> None:
    inner = SessionMiddleware(application, make_manager(user_key="user"))
    for sessions in (inner.sessions, make_manager(user_key="user")):
        client = Client(SessionMiddleware(inner, sessions))
        assert client.get("/").text == "visit 1"
    assert [entry for entry in caplog.records if entry.levelname == "WARNING"] == []


# The environment.


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("SESSION_IDLE_TIMOUT", "SESSION_IDLE_TIMEOUT"),
        ("SESSION_COOKIE_SAME_SITE", "SESSION_COOKIE_SAMESITE"),
        ("PERMANENT_SESSION_LIFETIME", "SESSION_PERMANENT_LIFETIME"),
        ("SESSION_REDIS_URL", "SESSION_REDIS"),
        ("SESSION_SECRET_KEY", "SECRET_KEY"),
    ],
)
def test_near_miss_in_the_environment_is_logged(
    caplog: pytest.LogCaptureFixture, variable: str, meant: str
) -> None:
    SessionManager.from_env({"SECRET_KEY": SECRET_KEY, variable: "60"})
    (record,) = caplog.records
    assert (record.name, record.levelname) == (LOGGER, "WARNING")
    said = record.getMessage()
    assert f"variable {variable} means nothing" in said
    assert f"did you mean {meant}" in said
    assert "60" not in said


@pytest.mark.parametrize(
    "variable",
    [
        "DESKTOP_SESSION",
        "SESSION_",
        "SESSION_IDLE_TIMEOUT",
        "SESSION_MANAGER",
        "XDG_SESSION_ID",
        "XDG_SESSION_TYPE",
        "timeout",
    ],
)
def test_what_is_right_or_somebody_else_s_is_not(
    caplog: pytest.LogCaptureFixture, variable: str
) -> None:
    SessionManager.from_env({"SECRET_KEY": SECRET_KEY, variable: "60"})
    assert caplog.records == []


# A server that does not answer, or refuses.


def said_by(sessions: SessionManager) -> str:
    """What the developer is told when a session cannot be saved."""
    session = sessions.open("")
    session["a"] = 1
    with pytest.raises(SessionUnavailable) as caught:
        sessions.commit(session)
    sessions.disconnect()
    return str(caught.value)


@pytest.fixture
def guarded(own_server: LocalServer) -> LocalServer:
    """A server with a password, and a user who may do next to nothing."""
    with redis.Redis(unix_socket_path=own_server.socket) as client:
        client.acl_setuser("eve", enabled=True, passwords=["+hush"], commands=["+get"])
        client.config_set("requirepass", "hush")
    return own_server


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "authenticat"),
        ({"password": "wrong-hush"}, "invalid username-password pair"),
        ({"username": "eve", "password": "hush"}, "no permissions to run the 'set'"),
        ({"password": "hush", "db": 99}, "DB index is out of range"),
    ],
)
@pytest.mark.parametrize("is_plain", [True, False])
def test_unavailable_session_says_which_server_refuses_and_why(
    guarded: LocalServer, options: dict[str, t.Any], reason: str, is_plain: bool
) -> None:
    kind = redis.Redis if is_plain else Instrumented
    client = kind(unix_socket_path=guarded.socket, **options)
    said = said_by(SessionManager(client, secret_key=SECRET_KEY))
    assert said.startswith(f"Redis at {guarded.socket}")
    assert reason.lower() in said.lower()
    assert "hush" not in said
    # A newer server names the user in its reason.
    assert "eve" not in said.partition(": ")[0]


class Instrumented(redis.Redis):
    """A client that is used as it is."""


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://eve:hush@127.0.0.1:1/0", "Redis at 127.0.0.1:1: .*refused"),
        ("unix:///nowhere/redis.sock", "Redis at /nowhere/redis.sock: .*No such file"),
        (
            "redis+cluster://eve:hush@127.0.0.1:1,127.0.0.1:2",
            "the cluster at 127.0.0.1:1, 127.0.0.1:2: no node answers",
        ),
        (
            "redis+sentinel://eve:hush@127.0.0.1:1/sessions",
            r"Redis \('sessions'\): the Sentinels at 127.0.0.1:1 .* 0 of 1 answered",
        ),
    ],
)
def test_unavailable_session_says_which_server_does_not_answer(
    url: str, said: str
) -> None:
    found = said_by(SessionManager(url, secret_key=SECRET_KEY))
    assert re.match(said, found)
    assert "hush" not in found
    assert "eve" not in found


def test_unavailable_session_says_which_server_a_client_asks() -> None:
    client = Instrumented(port=1, password="hush")
    found = said_by(SessionManager(client, secret_key=SECRET_KEY))
    assert re.match("Redis at localhost:1: .*refused", found)

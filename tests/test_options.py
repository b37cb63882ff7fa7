"""A manager from text: what the environment says is what it does."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import pickle
import time
import typing as t

import pytest
import redis
from conftest import SECRET_KEY
from visitors import look
from visitors import store

from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import SessionConfig
from wsgi_redis_session import SessionManager
from wsgi_redis_session.environment import from_strings
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.model.serializer import MessagePackSerializer
from wsgi_redis_session.options import named_by

OPTIONS = [field.name for field in dataclasses.fields(SessionConfig)]

#: What references in these tests name.
SERIALIZER = MessagePackSerializer()


def keep_ours(name: str, base: t.Any, ours: t.Any, theirs: t.Any) -> t.Any:
    return ours


def ignore(event: object) -> None:
    pass


TRUE = ["true", "True", "TRUE", "1", "yes", "on", " true "]
FALSE = ["false", "False", "FALSE", "0", "no", "off", " false "]
BOOLEAN = [(text, True) for text in TRUE] + [(text, False) for text in FALSE]
DURATION = [("90", 90), ("0.5", 0.5), (" 90 ", 90), ("1e2", 100.0)]
ENDLESS = [(text, None) for text in ("none", "None", "NONE", " none ")]

RIGHT: dict[str, list[tuple[str, t.Any]]] = {
    "cookie_name": [("sid", "sid"), (" sid ", "sid"), ("none", "none"), ("1", "1")],
    "cookie_path": [("/app", "/app")],
    "cookie_domain": [("example.com", "example.com"), ("127", "127"), *ENDLESS],
    "cookie_secure": [*BOOLEAN, ("auto", "auto")],
    "cookie_httponly": BOOLEAN,
    "cookie_samesite": [("Strict", "Strict"), ("None", "None"), ("", None)],
    "cookie_partitioned": BOOLEAN,
    "idle_timeout": DURATION,
    "permanent_lifetime": DURATION,
    "permanent": BOOLEAN,
    "lifetime": [*DURATION, *ENDLESS],
    "rotate_interval": [*DURATION, *ENDLESS],
    "touch_interval": [*DURATION, *ENDLESS, ("0", 0)],
    "key_prefix": [("app:", "app:"), ("none", "none"), ("1", "1")],
    "user_key": [("user", "user"), ("7", "7"), ("nan", "nan"), *ENDLESS],
    "max_sessions_per_user": [("5", 5), *ENDLESS],
    "keep_address": [("full", "full"), ("network", "network"), *ENDLESS],
    "keep_user_agent": BOOLEAN,
    "serializer": [("test_options:SERIALIZER", SERIALIZER), *ENDLESS],
    "encrypt": [*BOOLEAN, ("migrate", "migrate")],
    "max_bytes": [("5000", 5000), *ENDLESS],
    "max_names": [("50", 50), *ENDLESS],
    "on_conflict": [("test_options:keep_ours", keep_ours), *ENDLESS],
    "answer_unavailable": BOOLEAN,
    "on_unavailable": [("raise", "raise"), ("anonymous", "anonymous")],
    "on_event": [
        ("test_options:ignore", ignore),
        ("test_options:ignore, builtins:print", [ignore, print]),
        *ENDLESS,
    ],
    "event_users": [("digest", "digest"), ("plain", "plain")],
    "operation_timeout": DURATION,
    "connect_timeout": DURATION,
    "read_timeout": DURATION,
    "retries": [("0", 0), ("3", 3)],
    "max_connections": [("5", 5)],
    "pool_timeout": DURATION,
    "wait_replicas": [("0", 0), ("2", 2)],
    "migrate_from": [("flask-session", "flask-session"), *ENDLESS],
    "migrate_prefix": [("app:", "app:"), ("none", "none")],
    "migrate_signed": BOOLEAN,
    "migrate_pickle": BOOLEAN,
    "clock": [("time:monotonic", time.monotonic)],
}

NO_BOOLEAN = ["", "none", "maybe", "2", "auto"]
NO_DURATION = ["", "soon", "1d", "-1", "nan", "inf", "1e400", "9" * 5000]

WRONG: dict[str, list[str]] = {
    "cookie_name": ["", "a b", "a;b"],
    "cookie_path": ["", "none", "app"],
    "cookie_domain": ["", "a b"],
    "cookie_secure": ["", "none", "maybe", "2"],
    "cookie_httponly": NO_BOOLEAN,
    "cookie_samesite": ["lax;", "false"],
    "cookie_partitioned": NO_BOOLEAN,
    "idle_timeout": ["none", "0", *NO_DURATION],
    "permanent_lifetime": ["none", "0", *NO_DURATION],
    "permanent": NO_BOOLEAN,
    "lifetime": ["0", *NO_DURATION],
    "rotate_interval": ["0", *NO_DURATION],
    "touch_interval": NO_DURATION,
    "key_prefix": [""],
    "user_key": [""],
    "serializer": ["", "json", "test_options:ignore"],
    "encrypt": ["", "none", "maybe", "2"],
    "max_bytes": ["", "0", "1.5", "1k"],
    "max_sessions_per_user": ["", "0", "1.5", "many"],
    "keep_address": ["", "some", "true"],
    "keep_user_agent": NO_BOOLEAN,
    "max_names": ["", "0", "1.5", "1k"],
    "on_conflict": ["", "test_options:SERIALIZER", "test_strings:missing"],
    "answer_unavailable": NO_BOOLEAN,
    "on_unavailable": ["", "none", "ignore"],
    "on_event": ["", "no.such.module:name", "not a name", "builtins:print,"],
    "event_users": ["", "none", "Plain"],
    "operation_timeout": ["none", "0", *NO_DURATION],
    "connect_timeout": ["none", "0", *NO_DURATION],
    "read_timeout": ["none", "0", *NO_DURATION],
    "retries": ["", "none", "-1", "1.5"],
    "max_connections": ["", "none", "0", "1.5"],
    "pool_timeout": ["none", "0", *NO_DURATION],
    "wait_replicas": ["", "none", "-1", "1.5"],
    "migrate_from": ["", "flask"],
    "migrate_prefix": [""],
    "migrate_signed": NO_BOOLEAN,
    "migrate_pickle": NO_BOOLEAN,
    "clock": ["", "none", "test_options:SECRET_KEY"],
}


def cases(table: dict[str, list[t.Any]]) -> list[t.Any]:
    return [
        pytest.param(option, case, id=f"{option}-{case!r:.40}")
        for option in OPTIONS
        for case in table[option]
    ]


def made(**variables: str) -> SessionManager:
    return SessionManager.from_env({"SECRET_KEY": SECRET_KEY, **variables})


def message(call: cabc.Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(("option", "case"), cases(RIGHT))
def test_option_is_what_its_variable_says(option: str, case: tuple[str, t.Any]) -> None:
    text, expected = case
    value = getattr(made(**{f"SESSION_{option.upper()}": text}).config, option)
    assert (type(value), value) == (type(expected), expected)


@pytest.mark.parametrize(("option", "text"), cases(WRONG))
def test_wrong_text_names_its_variable_and_not_the_option(
    option: str, text: str
) -> None:
    variable = f"SESSION_{option.upper()}"
    with pytest.raises(ConfigurationError) as caught:
        made(**{variable: text})
    assert caught.value.option == option
    assert str(caught.value).startswith(f"{variable}=")
    assert " cannot work: " in str(caught.value)
    assert option not in str(caught.value)


def test_options_without_a_variable_keep_their_defaults() -> None:
    assert vars(made().config) == vars(SessionConfig())


def test_variables_that_are_not_ours_are_left_alone() -> None:
    manager = made(
        SESSION_MANAGER="local/desktop:@/tmp/.ICE-unix/1",
        SESSION_TYPE="x11",
        SESSION_SECRET_KEY="another",
        SESSION_="",
        session_cookie_name="lower",
        COOKIE_NAME="bare",
    )
    assert vars(manager.config) == vars(SessionConfig())
    assert manager.cookie.secret_keys == [SECRET_KEY.encode()]


def test_rule_between_two_options_names_the_variable_to_change() -> None:
    said = message(lambda: made(SESSION_COOKIE_NAME="__Host-session"))
    assert said.startswith("SESSION_COOKIE_SECURE='auto' cannot work: ")
    manager = made(SESSION_COOKIE_NAME="__Host-session", SESSION_COOKIE_SECURE="true")
    assert manager.config.cookie_name == "__Host-session"


def test_options_in_the_code_take_precedence() -> None:
    environ = {"SECRET_KEY": "other", "SESSION_RETRIES": "5", "SESSION_MAX_BYTES": "9"}
    manager = SessionManager.from_env(environ, secret_key=SECRET_KEY, retries=2)
    assert manager.cookie.secret_keys == [SECRET_KEY.encode()]
    assert (manager.config.retries, manager.config.max_bytes) == (2, 9)


def test_variable_of_an_option_in_the_code_is_not_read() -> None:
    manager = SessionManager.from_env(
        {"SECRET_KEY": SECRET_KEY, "SESSION_ON_EVENT": "no.such.module:name"},
        on_event=ignore,
    )
    assert manager.config.on_event is ignore


def test_error_in_the_code_does_not_blame_the_environment() -> None:
    environ = {"SECRET_KEY": SECRET_KEY, "SESSION_RETRIES": "5"}
    said = message(lambda: SessionManager.from_env(environ, retries=-1))
    assert said.startswith("retries=-1 cannot work: ")
    said = message(lambda: SessionManager.from_env(environ, retrys=1))
    assert said.startswith("There is no option 'retrys'")


def test_environment_of_the_process_is_the_one_that_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("SESSION_COOKIE_NAME", "sid")
    assert SessionManager.from_env().config.cookie_name == "sid"
    monkeypatch.setenv("SESSION_COOKIE_NAME", "a b")
    said = message(SessionManager.from_env)
    assert said.startswith("SESSION_COOKIE_NAME='a b' ")


def test_sessions_are_kept_where_the_environment_says(
    server: LocalServer, db: redis.Redis
) -> None:
    manager = made(SESSION_REDIS=f" {server.url} ", SESSION_KEY_PREFIX="app:")
    header = store(manager, user="ada")
    assert len(db.keys("app:*")) == 1
    assert look(manager, header) == {"user": "ada"}
    manager.disconnect()


@pytest.mark.parametrize("url", ["", "localhost", "http://u:pa55@h/", "redis://h:x/0"])
def test_wrong_url_names_its_variable_and_keeps_the_password(url: str) -> None:
    said = message(lambda: made(SESSION_REDIS=url))
    assert said.startswith("SESSION_REDIS=")
    assert "pa55" not in said


@pytest.mark.parametrize("environ", [{}, {"SECRET_KEY": ""}])
def test_missing_secret_key_names_its_variable(environ: dict[str, str]) -> None:
    said = message(lambda: SessionManager.from_env(environ))
    assert said.startswith("SECRET_KEY is missing ")


def test_secret_key_is_taken_to_the_letter(
    make_manager: cabc.Callable[..., SessionManager], server: LocalServer
) -> None:
    key = " none, with a comma\n"
    header = store(make_manager(secret_key=key), user="ada")
    manager = SessionManager.from_env({"SECRET_KEY": key, "SESSION_REDIS": server.url})
    assert look(manager, header) == {"user": "ada"}
    manager.disconnect()


@pytest.mark.parametrize("text", ["older,oldest", " older , oldest, ", "oldest,older"])
def test_fallbacks_are_accepted_and_the_secret_key_signs(
    make_manager: cabc.Callable[..., SessionManager], server: LocalServer, text: str
) -> None:
    manager = made(SECRET_KEY_FALLBACKS=text, SESSION_REDIS=server.url)
    for key in ("older", "oldest"):
        header = store(make_manager(secret_key=key), key=key)
        assert look(manager, header) == {"key": key}
    assert look(make_manager(secret_key=SECRET_KEY), store(manager, a=1)) == {"a": 1}
    manager.disconnect()


@pytest.mark.parametrize("text", ["", " ", ","])
def test_empty_fallbacks_are_none(text: str) -> None:
    keys = made(SECRET_KEY_FALLBACKS=text).cookie.secret_keys
    assert keys == [SECRET_KEY.encode()]


def test_reference_that_cannot_be_had_says_why() -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(SESSION_ON_EVENT="no.such.module:name")
    assert "write package.module:name (No module named 'no')" in str(caught.value)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_what_is_no_text_stays_as_it_is() -> None:
    options = {"idle_timeout": 90, "lifetime": None, "on_event": ignore}
    assert from_strings(options) == options


def test_option_that_does_not_exist_stays_text_for_the_manager_to_refuse() -> None:
    assert from_strings({"cookie_nam": " none "}) == {"cookie_nam": "none"}


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("There is no option 'retrys'"),
        ConfigurationError("max_bytes=0 cannot work", "max_bytes"),
        ConfigurationError("SESSION_RETRIES='x' cannot work", "retries"),
    ],
)
def test_error_about_something_else_or_named_already_is_not_renamed(
    error: ConfigurationError,
) -> None:
    said = str(error)
    with pytest.raises(ConfigurationError) as caught, named_by({"retries": "X"}):
        raise error
    assert caught.value is error
    assert str(error) == said


def test_error_that_was_renamed_can_be_sent_to_another_process() -> None:
    error = ConfigurationError("retries='x' cannot work", "retries")
    error.rename("SESSION_RETRIES")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.option) == ("SESSION_RETRIES='x' cannot work", "retries")

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import json
import typing as t
from datetime import timedelta

import pytest

from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import SessionConfig
from wsgi_redis_session import SessionManager
from wsgi_redis_session.http.cookie import SessionCookie
from wsgi_redis_session.model.serializer import MessagePackSerializer

DURATIONS = [
    "idle_timeout",
    "permanent_lifetime",
    "lifetime",
    "rotate_interval",
    "touch_interval",
    "operation_timeout",
    "connect_timeout",
    "read_timeout",
    "pool_timeout",
]

Case = cabc.Callable[[str], str]

WRONG: dict[str, list[t.Any]] = {
    "cookie_name": [
        "",
        None,
        5,
        b"session",
        "a b",
        "a;b",
        "a=b",
        "ä",
        "a\r\nb",
        "n" * 257,
    ],
    "cookie_path": ["", None, 5, "app", "/a;b", "/a\r\nb", "/ä", "/" + "n" * 1024],
    "cookie_domain": [
        "",
        ".",
        5,
        "a b",
        "a;b",
        "a\r\nb",
        "a..b",
        ":80",
        "http://example.com",
        "n" * 64 + ".com",
        "n." * 200 + "com",
        "exämple.com",
    ],
    "cookie_secure": ["yes", "Auto", None, 2, 1, 0, []],
    "cookie_httponly": [None, "no", 1, 0],
    "cookie_samesite": ["", "lax;", False, True, 5, b"Lax"],
    "cookie_partitioned": [None, "no", 1, 0],
    **{
        option: ["", "60", b"1", True, [], -1, 10**400, -1e-9, float("nan"), 1e300]
        for option in DURATIONS
    },
    "permanent": [None, "no", 1, 0],
    "migrate_from": ["", "Flask-Session", True, b"flask-session"],
    "migrate_prefix": ["", None, 5, b"session:", "\ud800"],
    "migrate_signed": [None, "no", 1, 0],
    "migrate_pickle": [None, "no", 1, 0],
    "key_prefix": ["", None, 5, b"session:", "\ud800"],
    "user_key": ["", 5, b"user", "\ud800"],
    "serializer": [5, "json", object(), MessagePackSerializer, json],
    "encrypt": ["yes", "Migrate", None, 2, 1, 0, []],
    "max_bytes": [0, -1, 1.5, True, "1", float("inf")],
    "max_sessions_per_user": [0, -1, 1.5, True, "1", float("inf")],
    "keep_address": ["", "Full", True, False, b"full"],
    "keep_user_agent": [None, "no", 1, 0],
    "max_names": [0, -1, 1.5, True, "1", float("inf")],
    "on_conflict": [5, "merge"],
    "answer_unavailable": [None, "no", 1, 0],
    "on_unavailable": ["", None, "Raise", True, []],
    "on_event": [5, "print", [], [5], (print, None), {print}],
    "event_users": ["", None, "Plain", True, []],
    "retries": [-1, 1.5, True, None, "1"],
    "wait_replicas": [-1, 1.5, True, None, "1"],
    "max_connections": [0, -1, 1.5, True, None, "1"],
    "clock": [None, 5, 0.0],
}


@pytest.mark.parametrize("option", [f.name for f in dataclasses.fields(SessionConfig)])
def test_wrong_value_names_option_and_value(option: str) -> None:
    for value in WRONG[option]:
        with pytest.raises(ConfigurationError) as caught:
            SessionConfig(**{option: value})
        assert f"{option}={value!r} cannot work: it must be " in str(caught.value)
        assert caught.value.option == option


@pytest.mark.parametrize("value", [timedelta(-1), timedelta.max, float("inf")])
@pytest.mark.parametrize("option", DURATIONS)
def test_duration_is_positive_and_finite(option: str, value: t.Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{option}=") as caught:
        SessionConfig(**{option: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("option", [*DURATIONS[:2], *DURATIONS[5:]])
def test_duration_without_meaning_for_none_refuses_it(option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{option}=None "):
        SessionConfig(**{option: None})


def test_only_the_touch_interval_may_be_zero() -> None:
    assert SessionConfig(touch_interval=0).seconds("touch_interval") == 0.0
    for option in set(DURATIONS) - {"touch_interval"}:
        with pytest.raises(ConfigurationError, match=f"^{option}=0 .* more than zero"):
            SessionConfig(**{option: 0})


@pytest.mark.parametrize("value", [90, 90.0, timedelta(seconds=90)])
@pytest.mark.parametrize("option", DURATIONS)
def test_duration_is_seconds_or_a_timedelta(option: str, value: t.Any) -> None:
    assert SessionConfig(**{option: value}).seconds(option) == 90.0


def test_lifetime_may_be_endless() -> None:
    assert SessionConfig(lifetime=None).lifetime is None


def test_defaults_are_those_that_are_documented() -> None:
    config = SessionConfig()
    assert config.cookie_name == "session"
    assert (config.cookie_path, config.cookie_domain) == ("/", None)
    assert (config.cookie_secure, config.cookie_httponly) == ("auto", True)
    assert (config.cookie_samesite, config.cookie_partitioned) == ("Lax", False)
    assert config.idle_timeout == timedelta(days=1)
    assert config.permanent_lifetime == timedelta(days=31)
    assert config.lifetime == timedelta(days=90)
    assert config.connect_timeout == config.read_timeout == 1.0
    assert config.retries == 1


def test_default_prefix_is_not_that_of_other_libraries() -> None:
    assert SessionConfig().key_prefix not in ("session:", "flask_session:", "session_")


def test_configuration_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SessionConfig().cookie_name = "other"  # type: ignore[misc]  # a mistake


def test_options_are_keywords_only() -> None:
    with pytest.raises(TypeError):
        SessionConfig("session")  # type: ignore[misc]  # a mistake


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("cookie_nam", "cookie_name"),
        ("idle_time", "idle_timeout"),
        ("prefix", "key_prefix"),
        ("samesite", "cookie_samesite"),
        ("COOKIE_NAME", "cookie_name"),
        ("secret", "secret_key"),
        ("secretkey", "secret_key"),
        ("SECRET_KEY", "secret_key"),
        ("secret_key_fallback", "secret_key_fallbacks"),
    ],
)
def test_unknown_option_names_the_close_match(given: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SessionManager(secret_key="key", **{given: "x"})
    message = f"There is no option {given!r}: did you mean {meant!r}?"
    assert str(caught.value) == message


def test_unknown_option_without_a_close_match_lists_them_all() -> None:
    with pytest.raises(ConfigurationError, match="'xyzzy'") as caught:
        SessionManager(secret_key="key", xyzzy=1)
    for field in dataclasses.fields(SessionConfig):
        assert field.name in str(caught.value)


def test_configuration_error_is_caught_as_value_or_type_error() -> None:
    assert issubclass(ConfigurationError, (ValueError, TypeError))


SECURE_NAMES = ["__Secure-id", "__Host-id", "__Http-id", "__Host-Http-id"]
HOST_NAMES = ["__Host-id", "__Host-Http-id"]
HTTP_NAMES = ["__Http-id", "__Host-Http-id"]
#: Browsers compare without regard to case.
CASES: list[Case] = [str, str.lower, str.upper, str.swapcase]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", SECURE_NAMES)
def test_prefixed_name_is_accepted_by_its_rules(name: str, case: Case) -> None:
    config = SessionConfig(cookie_name=case(name), cookie_secure=True)
    assert config.cookie_name == case(name)


@pytest.mark.parametrize("secure", [False, "auto"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", SECURE_NAMES)
def test_prefixed_name_needs_secure(name: str, case: Case, secure: t.Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"^cookie_secure={secure!r} ") as e:
        SessionConfig(cookie_name=case(name), cookie_secure=secure)
    assert case(name) in str(e.value)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", HOST_NAMES)
def test_host_name_allows_no_domain(name: str, case: Case) -> None:
    with pytest.raises(ConfigurationError, match=r"^cookie_domain='example.com' "):
        SessionConfig(
            cookie_name=case(name), cookie_secure=True, cookie_domain="example.com"
        )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", HOST_NAMES)
def test_host_name_needs_the_root_path(name: str, case: Case) -> None:
    with pytest.raises(ConfigurationError, match=r"^cookie_path='/app' "):
        SessionConfig(cookie_name=case(name), cookie_secure=True, cookie_path="/app")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", HTTP_NAMES)
def test_http_name_needs_httponly(name: str, case: Case) -> None:
    with pytest.raises(ConfigurationError, match=r"^cookie_httponly=False "):
        SessionConfig(cookie_name=case(name), cookie_secure=True, cookie_httponly=False)


def test_secure_name_may_have_a_domain_and_a_path() -> None:
    SessionConfig(
        cookie_name="__Secure-id",
        cookie_secure=True,
        cookie_domain="example.com",
        cookie_path="/app",
        cookie_httponly=False,
    )


@pytest.mark.parametrize("samesite", ["None", "none", "NONE"])
def test_samesite_none_needs_secure(samesite: str) -> None:
    with pytest.raises(ConfigurationError, match=r'^cookie_secure=False .*"None"'):
        SessionConfig(cookie_samesite=samesite, cookie_secure=False)


def test_partitioned_needs_secure() -> None:
    with pytest.raises(ConfigurationError, match=r"^cookie_secure=False .*partitioned"):
        SessionConfig(cookie_partitioned=True, cookie_secure=False)


@pytest.mark.parametrize(
    "domain", ["example.com", ".example.com", "localhost", "a-b.c"]
)
def test_domain_names_are_accepted(domain: str) -> None:
    assert SessionConfig(cookie_domain=domain).cookie_domain == domain


@pytest.mark.parametrize("key", ["", None, b"", 5, bytearray(b"key"), ["key"]])
def test_unusable_secret_key_names_the_remedy(key: t.Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^secret_key is missing") as caught:
        SessionManager(secret_key=key)
    assert "secrets.token_hex()" in str(caught.value)
    assert 'os.environ["SECRET_KEY"]' in str(caught.value)


def test_forgotten_secret_key_names_the_remedy() -> None:
    with pytest.raises(ConfigurationError, match=r"^secret_key is .*token_hex\(\)"):
        SessionManager()


@pytest.mark.parametrize("fallbacks", ["earlier key", b"earlier key", 5, object()])
def test_fallbacks_that_are_no_list_are_refused(fallbacks: t.Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^secret_key_fallbacks ") as caught:
        SessionManager(secret_key="key", secret_key_fallbacks=fallbacks)
    assert "earlier key" not in str(caught.value)


@pytest.mark.parametrize("fallback", ["", None, b"", 5])
def test_unusable_fallback_is_refused(fallback: t.Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^secret_key_fallbacks "):
        SessionManager(secret_key="key", secret_key_fallbacks=["earlier", fallback])


def test_secret_key_is_in_no_message_and_no_repr() -> None:
    manager = SessionManager(secret_key="hush", secret_key_fallbacks=["hush-hush"])
    for shown in (manager, manager.config, manager.cookie):
        assert "hush" not in repr(shown)


def test_secret_key_of_any_bytes_in_the_environment_works() -> None:
    # What os.environ holds for a variable that is not UTF-8.
    key = b"\xff\xfe key".decode("utf-8", "surrogateescape")
    cookie = SessionCookie(SessionConfig(), key)
    header = cookie.write("sid", 1, False, 1, secure=False, max_age=None)
    assert cookie.read(header.partition(";")[0])

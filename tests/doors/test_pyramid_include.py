"""``config.include("wsgi_redis_session.pyramid")`` and its settings."""

from __future__ import annotations

import typing as t

import pytest
import redis
from conftest import SECRET_KEY
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound
from pyramid.interfaces import ISessionFactory
from pyramid.response import Response
from pyramid_sites import Configure
from pyramid_sites import run
from pyramid_sites import View
from werkzeug.test import Client
from werkzeug.test import TestResponse

from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.pyramid import SessionFactory


def included(
    settings: dict[str, t.Any], configure: Configure = lambda config: None
) -> Client:
    with Configurator(settings=settings) as config:
        config.include("wsgi_redis_session.pyramid")
        config.add_view(run)
        configure(config)
        return Client(config.make_wsgi_app())


def manager_of(client: Client) -> SessionManager:
    factory = client.application.registry.getUtility(ISessionFactory)
    return t.cast(SessionManager, factory.sessions)


def visit(client: Client, view: View) -> TestResponse:
    return client.get("/", environ_overrides={"test.view": view})


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, server: LocalServer) -> dict[str, t.Any]:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    monkeypatch.delenv("SESSION_REDIS", raising=False)
    return {"session.secret_key": SECRET_KEY, "session.redis": server.url}


def test_include_needs_two_settings(
    settings: dict[str, t.Any], db: redis.Redis
) -> None:
    client = included(settings)
    for _ in range(3):
        visit(client, lambda request: request.session.flash("one"))
    found: list[t.Any] = []
    visit(client, lambda request: found.extend(request.session.peek_flash()))
    assert found == ["one"] * 3
    assert db.dbsize() == 1
    manager_of(client).disconnect()


def test_secret_key_and_server_may_come_from_the_environment(
    settings: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch, db: redis.Redis
) -> None:
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("SESSION_REDIS", settings["session.redis"])
    client = included({"session.key_prefix": "app:", "other": "left alone"})
    visit(client, lambda request: request.session.flash("one"))
    assert len(db.keys("app:*")) == 1
    assert manager_of(client).cookie.secret_keys == [SECRET_KEY.encode()]
    manager_of(client).disconnect()


def test_settings_are_text_or_what_the_program_gives(
    settings: dict[str, t.Any],
) -> None:
    settings |= {
        "session.cookie_name": "sid",
        "session.cookie_secure": "false",
        "session.lifetime": "none",
        "session.idle_timeout": " 90 ",
        "session.max_bytes": 5000,
        "session.on_event": print,
    }
    config = manager_of(included(settings)).config
    assert (config.cookie_name, config.cookie_secure) == ("sid", False)
    assert (config.lifetime, config.idle_timeout) == (None, 90)
    assert (config.max_bytes, config.on_event) == (5000, print)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("session.idle_timeout", "soon"),
        ("session.retries", -1),
        ("session.on_event", "no.such.module:name"),
        ("session.redis", "localhost"),
        ("session.secret_key", ""),
    ],
)
def test_wrong_setting_is_named_as_it_is_written(
    settings: dict[str, t.Any], name: str, value: t.Any
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        included(settings | {name: value})
    assert caught.value.option == name.removeprefix("session.")
    assert str(caught.value).startswith((f"{name}={value!r} cannot", f"{name} is "))


def test_setting_that_does_not_exist_is_refused(settings: dict[str, t.Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        included(settings | {"session.cookie_nam": "sid"})
    assert str(caught.value) == (
        "There is no option 'session.cookie_nam': did you mean 'session.cookie_name'?"
    )


def test_missing_secret_key_is_found_at_the_start(settings: dict[str, t.Any]) -> None:
    del settings["session.secret_key"]
    with pytest.raises(ConfigurationError, match=r"^session\.secret_key is missing "):
        included(settings)


def test_wrong_server_in_the_environment_is_named_by_its_variable(
    settings: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    del settings["session.redis"]
    monkeypatch.setenv("SESSION_REDIS", "localhost")
    with pytest.raises(ConfigurationError, match=r"^SESSION_REDIS='localhost' cannot"):
        included(settings)


def unavailable(
    own_server: LocalServer, settings: dict[str, t.Any], configure: Configure
) -> TestResponse:
    """What a visitor with a session gets while Redis is away."""
    client = included(settings | {"session.redis": own_server.url}, configure)
    visit(client, lambda request: request.session.flash("one"))
    manager_of(client).disconnect()
    own_server.stop()
    return visit(client, lambda request: request.session.pop_flash())


def test_without_redis_the_answer_is_503_and_the_cookie_is_kept(
    own_server: LocalServer, settings: dict[str, t.Any]
) -> None:
    response = unavailable(own_server, settings, lambda config: None)
    assert response.status_code == 503
    assert "The session store does not answer" in response.text
    assert "Set-Cookie" not in response.headers


def test_application_may_have_its_own_page_for_that(
    own_server: LocalServer, settings: dict[str, t.Any]
) -> None:
    def wait(error: SessionUnavailable, request: t.Any) -> Response:
        return Response("wait", status=503)

    def configure(config: Configurator) -> None:
        config.add_exception_view(wait, context=SessionUnavailable)

    assert unavailable(own_server, settings, configure).text == "wait"


def test_set_on_exception_says_whether_a_view_that_raises_is_saved(
    settings: dict[str, t.Any],
) -> None:
    def redirect(request: t.Any) -> None:
        request.session["half"] = "done"
        raise HTTPFound("/")

    found: list[t.Any] = []
    kept = included(settings)
    assert visit(kept, redirect).headers["Set-Cookie"]
    for no in ("false", False):
        client = included(settings | {"session.set_on_exception": no})
        assert "Set-Cookie" not in visit(client, redirect).headers
        visit(client, lambda request: request.session.update(user="ada"))
        visit(client, redirect)
        visit(client, lambda request: found.append(request.session.copy()))
    assert found == [{"user": "ada"}] * 2


def test_set_on_exception_counts_inside_the_middleware_too(
    manager: SessionManager, db: redis.Redis
) -> None:
    def redirect(request: t.Any) -> None:
        request.session["half"] = "done"
        raise HTTPFound("/")

    factory = SessionFactory(manager, set_on_exception=False)
    with Configurator(session_factory=factory) as config:
        config.add_view(run)
        client = Client(SessionMiddleware(config.make_wsgi_app(), manager))
    assert visit(client, redirect).status_code == 302
    assert db.dbsize() == 0


@pytest.mark.parametrize("value", ["perhaps", "", 2, None])
def test_set_on_exception_that_is_neither_true_nor_false_is_refused(
    settings: dict[str, t.Any], value: t.Any
) -> None:
    with pytest.raises(ConfigurationError, match=r"set_on_exception=.* cannot work"):
        included(settings | {"session.set_on_exception": value})

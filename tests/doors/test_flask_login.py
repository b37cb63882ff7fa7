"""The sessions under Flask-Login, which knows nothing of them."""

from __future__ import annotations

import collections.abc as cabc
import threading
import typing as t

import flask
import flask_login
import flask_sites
import pytest
import redis
from flask.testing import FlaskClient
from flask_login import current_user
from flask_logins import Member
from flask_logins import sid
from flask_logins import with_login
from flask_sites import FlaskSite
from flask_sites import look
from flask_sites import run
from flask_sites import store
from visitors import commands

from wsgi_redis_session.local_server import LocalServer

# Flask-Login 0.6 asks for the time in a way that Python 3.12 deprecates.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:datetime\.datetime\.utcnow:DeprecationWarning:flask_login"
)

site = flask_sites.site


@pytest.fixture
def client(site: FlaskSite) -> FlaskClient:
    return with_login(site.app()).test_client()


def who(client: FlaskClient, cookie: str | None = None) -> str:
    """Who a visitor is, or somebody with this session cookie."""
    if cookie is not None:
        client = client.application.test_client()
        client.set_cookie("session", cookie)
    return client.get("/who").text


def test_login_is_remembered_by_the_session(client: FlaskClient) -> None:
    assert client.get("/members").status_code == 401
    client.get("/login/7")
    assert client.get("/members").text == "welcome 7"
    assert who(client) == "7"


def test_login_changes_the_session_id(client: FlaskClient) -> None:
    store(client, language="en")
    before = client.get_cookie("session").value
    client.get("/login/7")
    assert sid(client) != before.partition(".")[0]
    assert look(client)["language"] == "en"
    assert who(client, before) == "None"


def test_logout_changes_the_session_id(client: FlaskClient) -> None:
    client.get("/login/7")
    store(client, language="en")
    before = client.get_cookie("session").value
    client.get("/logout")
    assert sid(client) not in (None, before.partition(".")[0])
    assert look(client) == {"language": "en"}
    assert who(client) == who(client, before) == "None"


def test_logout_ends_a_session_that_holds_nothing_else(
    client: FlaskClient, site: FlaskSite
) -> None:
    client.get("/login/7")
    before = client.get_cookie("session").value
    client.get("/logout")
    assert sid(client) is None
    assert who(client) == who(client, before) == "None"
    assert site.event_names() == ["created", "destroyed", "unknown"]


def test_change_of_the_user_changes_the_session_id(client: FlaskClient) -> None:
    client.get("/login/7")
    before = client.get_cookie("session").value
    client.get("/login/8")
    assert sid(client) != before.partition(".")[0]
    assert who(client) == "8"
    assert who(client, before) == "None"


@pytest.mark.parametrize("protection", ["basic", "strong"])
@pytest.mark.parametrize("remembered", [True, False])
def test_next_user_of_a_session_has_nothing_of_the_one_before(
    site: FlaskSite, protection: str, remembered: bool
) -> None:
    app = with_login(site.app(SESSION_PROTECTION=protection))
    client, other = app.test_client(), app.test_client()
    client.get("/login/7?remember" if remembered else "/login/7")
    if remembered:  # so that the session is not fresh
        client.delete_cookie("session")
        client.get("/members")
    store(client, private="of 7")
    client.get("/login/8")
    other.get("/login/8")
    assert look(client) == look(other)
    assert look(client).keys() == {"_user_id", "_fresh", "_id"}
    assert client.get("/members").text == "welcome 8"
    assert client.get("/password").status_code == 200


def test_login_of_the_same_user_keeps_the_session_id(client: FlaskClient) -> None:
    client.get("/login/7")
    before = sid(client)
    client.get("/login/7")
    client.get("/members")
    assert sid(client) == before


def test_cleared_session_is_logged_out(client: FlaskClient) -> None:
    client.get("/login/7")
    store(client, language="en")
    before = client.get_cookie("session").value
    run(client, lambda: flask.session.clear())
    assert sid(client) is None
    assert who(client) == who(client, before) == "None"


def test_login_after_a_cleared_session_is_a_new_one(client: FlaskClient) -> None:
    client.get("/login/7")
    before = client.get_cookie("session").value

    def relogin() -> None:
        flask.session.clear()
        flask_login.login_user(Member("8"))

    run(client, relogin)
    assert who(client) == "8"
    assert who(client, before) == "None"


def test_planted_cookie_is_not_the_one_that_gets_logged_in(
    client: FlaskClient,
) -> None:
    attacker = client.application.test_client()
    store(attacker, a=1)
    planted = attacker.get_cookie("session").value
    client.set_cookie("session", planted)
    client.get("/login/7")
    assert who(client) == "7"
    assert who(attacker) == "None"


def test_remembered_user_comes_back_in_a_new_session_that_is_not_fresh(
    client: FlaskClient,
) -> None:
    client.get("/login/7?remember")
    assert client.get("/password").status_code == 200
    before = sid(client)
    client.delete_cookie("session")
    assert who(client) == "7"
    assert sid(client) not in (None, before)
    assert client.get("/members").status_code == 200
    assert client.get("/password").status_code == 401
    assert run(client, lambda: str(flask_login.login_fresh())).text == "False"
    assert run(client, lambda: str(flask_login.login_remembered())).text == "True"


def test_confirmed_login_is_fresh_again(client: FlaskClient) -> None:
    client.get("/login/7?remember")
    client.delete_cookie("session")
    assert client.get("/password").status_code == 401
    client.get("/confirm")
    assert client.get("/password").status_code == 200
    assert run(client, lambda: str(flask_login.login_fresh())).text == "True"


def test_confirmed_login_renews_the_session_and_says_when(site: FlaskSite) -> None:
    client = with_login(site.app()).test_client()
    client.get("/login/7?remember")
    client.delete_cookie("session")
    assert who(client) == "7"
    before = client.get_cookie("session").value
    site.clock.move(10)
    client.get("/confirm")
    confirmed = client.get_cookie("session").value
    assert who(client, before) == "None"
    assert who(client) == "7"
    assert run(client, authenticated_at).text == str(site.clock.time)
    client.get("/confirm")
    assert client.get_cookie("session").value == confirmed


def authenticated_at() -> str:
    return str(flask.session.authenticated_at)


def test_logout_forgets_a_remembered_user(client: FlaskClient) -> None:
    client.get("/login/7?remember")
    assert client.get_cookie("remember_token") is not None
    client.get("/logout")
    assert client.get_cookie("remember_token") is None
    assert client.get_cookie("session") is None
    assert who(client) == "None"


def test_remember_cookie_may_be_refreshed_with_each_request(site: FlaskSite) -> None:
    app = with_login(site.app(REMEMBER_COOKIE_REFRESH_EACH_REQUEST=True))
    client = app.test_client()
    client.get("/login/7?remember")
    before = sid(client)
    response = client.get("/members")
    (cookie,) = response.headers.getlist("Set-Cookie")
    assert cookie.startswith("remember_token=")
    assert sid(client) == before


@pytest.mark.parametrize(
    ("protection", "expected"), [("basic", "7"), ("strong", "None")]
)
def test_session_protection_sees_another_browser(
    site: FlaskSite, protection: str, expected: str
) -> None:
    app = with_login(site.app(SESSION_PROTECTION=protection))
    client = app.test_client()
    client.get("/login/7")
    before = client.get_cookie("session").value
    thief = {"User-Agent": "another browser"}
    assert client.get("/who", headers=thief).text == expected
    assert client.get("/password", headers=thief).status_code == 401
    assert who(client, before) == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda: None,
        lambda: flask.session.update(seen=True),
        lambda: flask_login.confirm_login(),
        lambda: flask_login.login_user(Member("7")),
        lambda: setattr(flask.session, "permanent", True),
        lambda: flask.session.regenerate(),
    ],
)
@pytest.mark.parametrize("kept", [{}, {"language": "en"}])
def test_logout_stands_while_a_slow_request_of_the_same_session_runs(
    site: FlaskSite, change: cabc.Callable[[], t.Any], kept: dict[str, t.Any]
) -> None:
    app = with_login(site.app())
    is_inside, may_go_on = threading.Event(), threading.Event()

    @app.get("/slow")
    def slow() -> str:
        user = current_user.id
        change()
        is_inside.set()
        assert may_go_on.wait(10)
        return str(user)

    client, other = app.test_client(), app.test_client()
    client.get("/login/7")
    store(client, **kept)
    before = client.get_cookie("session").value
    other.set_cookie("session", before)
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(other.get("/slow").text))
    thread.start()
    assert is_inside.wait(10)
    client.get("/logout")
    may_go_on.set()
    thread.join()
    assert answers == ["7"]
    assert who(client) == who(other) == who(client, before) == "None"


def test_page_that_ignores_the_user_costs_nothing_under_flask_login(
    client: FlaskClient, db: redis.Redis
) -> None:
    # It looks for "_remember" after every request, whether or not the page has looked.
    client.get("/login/7")
    assert commands(db, lambda: run(client, lambda: "public")) == {}
    stranger = client.application.test_client()
    assert commands(db, lambda: run(stranger, lambda: "public")) == {}


def test_outage_leaves_public_pages_and_the_503_page_under_flask_login(
    site: FlaskSite, own_server: LocalServer
) -> None:
    app = with_login(site.app(SESSION_REDIS=own_server.url))

    @app.errorhandler(503)
    def unavailable(error: Exception) -> tuple[str, int]:
        page = "{{ current_user.get_id() or 'stranger' }}, please come back"
        return flask.render_template_string(page), 503

    client = app.test_client()
    client.get("/login/7")
    cookie = client.get_cookie("session")
    own_server.stop()
    assert run(client, lambda: "public").text == "public"
    assert client.get("/static/missing").status_code == 404
    response = client.get("/members")
    assert (response.status_code, response.text) == (503, "stranger, please come back")
    assert client.get("/logout").status_code == 503
    assert client.get("/login/8").status_code == 503
    assert client.get_cookie("session") == cookie

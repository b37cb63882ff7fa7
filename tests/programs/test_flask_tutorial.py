"""The example for Flask, from the first visit to the last."""

from __future__ import annotations

import collections.abc as cabc
import importlib
import json
import pathlib
import pickle
import threading
import time
import typing as t
import uuid
from concurrent.futures import ThreadPoolExecutor

import flask_session
import pytest
import redis
from browser import EXAMPLES
from browser import get
from browser import PATIENCE
from conftest import SECRET_KEY
from flask import Flask
from flask_session.base import ServerSideSession
from tutorial_site import is_login
from tutorial_site import MUST_LOG_IN
from tutorial_site import PASSWORD
from tutorial_site import sessions_of
from tutorial_site import shown
from tutorial_site import tutorial
from tutorial_site import Visitor
from tutorial_site import WRONG
from visitors import store

from wsgi_redis_session import SessionManager
from wsgi_redis_session.flask import EXTENSION
from wsgi_redis_session.local_server import LocalServer

Apps = cabc.Callable[..., Flask]


@pytest.fixture
def database(tmp_path: pathlib.Path) -> str:
    return f"sqlite:///{tmp_path}/users.sqlite"


@pytest.fixture
def make_app(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer, database: str
) -> cabc.Iterator[Apps]:
    """Make the example's application, each time as another worker would."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    made: list[Flask] = []

    def make(url: str = server.url) -> Flask:
        monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
        monkeypatch.setenv("SESSION_REDIS", url)
        monkeypatch.setenv("DATABASE_URL", database)
        made.append(importlib.import_module("flask_tutorial").create_app())
        return made[-1]

    yield make
    for app in made:
        if EXTENSION in app.extensions:
            sessions_of(app).disconnect()
        with app.app_context():
            app.extensions["sqlalchemy"].engine.dispose()


@pytest.fixture
def app(make_app: Apps) -> Flask:
    return make_app()


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app)


# 1. and 2.: who is not logged in


def test_login_page_stores_the_csrf_key_and_nothing_else(
    visitor: Visitor, db: redis.Redis
) -> None:
    assert visitor.get("/login").status_code == 200
    assert list(visitor.session) == ["csrf_token"]
    assert len(db.keys()) == 1


def test_health_page_and_style_store_nothing(visitor: Visitor, db: redis.Redis) -> None:
    for path in ("/health", "/static/style.css"):
        response = visitor.get(path)
        assert response.status_code == 200
        assert "Set-Cookie" not in response.headers
        assert "Vary" not in response.headers
    assert db.keys() == []


@pytest.mark.parametrize("path", ["/", "/session"])
def test_pages_of_an_account_lead_to_the_login_page_which_says_so_once(
    visitor: Visitor, path: str
) -> None:
    response = visitor.get(path)
    assert response.status_code == 302
    assert is_login(response)
    assert MUST_LOG_IN in visitor.get(response.location).text
    assert MUST_LOG_IN not in visitor.get(response.location).text
    assert "_flashes" not in visitor.session


def test_form_without_the_csrf_key_is_refused(visitor: Visitor) -> None:
    visitor.sign_up("Ada")
    visitor.log_out()
    fields = {"email": "ada@example.com", "password": PASSWORD}
    page = visitor.client.post("/login", data=fields)
    assert "The CSRF token is missing." in page.text
    assert visitor.is_anonymous()


# 3.: signing up and logging in


def test_signing_up_logs_in_under_a_new_session_id(
    app: Flask, visitor: Visitor, db: redis.Redis
) -> None:
    visitor.get("/login")
    before = visitor.cookie
    response = visitor.sign_up("Ada")
    assert (response.status_code, response.location) == (302, "/")
    assert visitor.cookie != before
    assert "Hello, Ada!" in visitor.get("/").text
    planted = Visitor(app, before)
    assert planted.session.new
    assert planted.is_anonymous()


def test_pages_show_the_session_id_before_and_after_login(visitor: Visitor) -> None:
    visitor.get("/login")
    before = visitor.session.id
    assert f'id="session-id">{before}<' in visitor.get("/login").text
    visitor.sign_up("Ada")
    page = visitor.get("/").text
    assert f'id="id-before">{before}<' in page
    assert f'id="session-id">{visitor.session.id}<' in page
    assert visitor.session.id != before
    assert visitor.session.sid not in page


def test_logging_in_changes_the_session_id(app: Flask, visitor: Visitor) -> None:
    visitor.sign_up("Ada")
    other = Visitor(app)
    other.get("/login")
    before = other.cookie
    response = other.log_in("Ada")
    assert (response.status_code, response.location) == (302, "/")
    assert other.cookie != before
    assert Visitor(app, before).is_anonymous()
    assert "Hello, Ada!" in other.get("/").text


def test_email_address_is_taken_once(app: Flask, visitor: Visitor) -> None:
    visitor.sign_up("Ada")
    for email in ("ada@example.com", "Ada@Example.com"):
        other = Visitor(app)
        page = other.sign_up("Another Ada", email)
        assert page.status_code == 200
        assert "A user with that email address already exists." in page.text
        assert other.is_anonymous()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"email": "ada"}, "Enter a valid email address."),
        ({"password": "short", "confirm": "short"}, "Choose a longer password."),
        ({"confirm": "something else"}, "The passwords must match."),
        ({"website": "example"}, "Enter a valid address."),
        ({"name": ""}, "This field is required."),
    ],
)
def test_form_says_what_is_wrong_with_it(
    visitor: Visitor, fields: dict[str, str], error: str
) -> None:
    right = {"name": "Ada", "email": "ada@example.com", "website": ""}
    right |= {"password": PASSWORD, "confirm": PASSWORD}
    page = visitor.submit("/signup", **right | fields)
    assert page.status_code == 200
    assert error in page.text
    assert visitor.is_anonymous()


def test_login_goes_on_to_the_page_that_was_asked_for(
    app: Flask, visitor: Visitor
) -> None:
    visitor.sign_up("Ada")
    other = Visitor(app)
    login = other.get("/session").location
    assert other.log_in("Ada", path=login).location == "/session"


@pytest.mark.parametrize(
    "target",
    [
        "https://elsewhere.example/",
        "//elsewhere.example/",
        "/\\elsewhere.example/",
        "/%09/elsewhere.example/",
        "/%0A/elsewhere.example/",
        "%20//elsewhere.example/",
        "javascript:alert(1)",
    ],
)
def test_login_leads_to_no_other_site(
    app: Flask, visitor: Visitor, target: str
) -> None:
    visitor.sign_up("Ada")
    response = Visitor(app).log_in("Ada", path=f"/login?next={target}")
    assert (response.status_code, response.location) == (302, "/")


def test_password_is_stored_as_a_scrypt_hash(
    visitor: Visitor, tmp_path: pathlib.Path
) -> None:
    visitor.sign_up("Ada")
    stored = (tmp_path / "users.sqlite").read_bytes()
    assert b"scrypt:" in stored
    assert PASSWORD.encode() not in stored


# 4.: what one page stores, another one shows


def test_session_page_shows_what_the_dashboard_has_stored(visitor: Visitor) -> None:
    visitor.sign_up("Ada")
    assert visitor.shown_by("/session") == ""
    stored = visitor.shown_by("/")
    assert stored.startswith("Ada was here at ")
    assert visitor.shown_by("/session") == stored


@pytest.mark.plain
def test_second_process_and_a_restarted_one_show_it_too(
    visitor: Visitor, server: LocalServer, database: str, tmp_path: pathlib.Path
) -> None:
    visitor.sign_up("Ada")
    stored = visitor.shown_by("/")
    with tutorial(server, database, tmp_path) as site:
        site.start(workers=2)
        for _ in range(2):
            status, page = get(f"{site.url}/session", f"session={visitor.cookie}")
            assert (status, shown(page)) == (200, stored)
            site.stop()
            site.start()


def test_session_page_costs_one_get_and_no_write(
    visitor: Visitor, db: redis.Redis
) -> None:
    visitor.sign_up("Ada")
    visitor.get("/")
    db.config_resetstat()
    assert "Ada was here" in visitor.shown_by("/session")
    stats = db.info("commandstats")
    ours = {name: stats[name]["calls"] for name in stats if "config" not in name}
    assert ours == {"cmdstat_get": 1}


def test_pages_without_a_session_cost_nothing_even_after_login(
    visitor: Visitor, db: redis.Redis
) -> None:
    visitor.sign_up("Ada")
    db.config_resetstat()
    visitor.get("/health")
    visitor.get("/static/style.css")
    assert list(db.info("commandstats")) == ["cmdstat_config|resetstat"]


# 5.: others


def test_each_user_sees_only_their_own_value(app: Flask) -> None:
    ada, grace = Visitor(app), Visitor(app)
    for visitor, name in ((ada, "Ada"), (grace, "Grace")):
        visitor.sign_up(name)
        visitor.get("/")
    assert ada.shown_by("/session").startswith("Ada was here")
    assert grace.shown_by("/session").startswith("Grace was here")


def test_next_user_of_the_same_browser_finds_nothing(visitor: Visitor) -> None:
    visitor.sign_up("Ada")
    visitor.get("/")
    visitor.log_out()
    visitor.sign_up("Grace")
    assert visitor.shown_by("/session") == ""


@pytest.mark.parametrize("is_signed", [False, True])
def test_made_up_session_id_is_never_adopted(
    app: Flask, make_manager: cabc.Callable[..., SessionManager], is_signed: bool
) -> None:
    made_up = "A" * 43
    if is_signed:
        # By somebody who has the secret key, but cannot write where sessions are.
        header = store(make_manager(key_prefix="elsewhere:"), name="Mallory")
        made_up = header.removeprefix("session=")
    visitor = Visitor(app, made_up)
    assert visitor.is_anonymous()
    visitor.sign_up("Ada")
    assert visitor.get("/").status_code == 200
    assert not visitor.cookie.startswith(made_up.partition(".")[0])
    assert Visitor(app, made_up).session.new
    assert Visitor(app, made_up).is_anonymous()


# 6.: logging out


def test_logging_out_ends_the_session(
    app: Flask, visitor: Visitor, db: redis.Redis
) -> None:
    visitor.sign_up("Ada")
    visitor.get("/")
    before = visitor.cookie
    assert is_login(visitor.log_out())
    assert visitor.cookie is None
    assert Visitor(app, before).session.new
    assert Visitor(app, before).is_anonymous()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_site_logs_nobody_out(visitor: Visitor, method: str) -> None:
    visitor.sign_up("Ada")
    visitor.client.open("/logout", method=method)
    assert not visitor.is_anonymous()


def test_logout_stands_against_a_request_that_is_still_running(
    app: Flask, visitor: Visitor
) -> None:
    visitor.sign_up("Ada")
    before = visitor.cookie
    barrier = threading.Barrier(2, timeout=PATIENCE)
    dashboard = app.view_functions["pages.dashboard"]

    def slow_dashboard() -> t.Any:
        page = dashboard()
        barrier.wait()  # it has stored its value, and logs out elsewhere
        barrier.wait()
        return page

    app.view_functions["pages.dashboard"] = slow_dashboard
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(Visitor(app, before).get, "/")
        barrier.wait()
        visitor.log_out()
        barrier.wait()
        late = running.result(PATIENCE)
    assert late.status_code == 200
    assert "Set-Cookie" not in late.headers
    assert visitor.is_anonymous()
    assert "redis_test" not in visitor.session
    assert Visitor(app, before).session.new
    assert Visitor(app, before).is_anonymous()


# 7.: failures


def test_wrong_password_logs_nobody_in(app: Flask, visitor: Visitor) -> None:
    visitor.sign_up("Ada")
    other = Visitor(app)
    for name, password in (("Ada", "wrong"), ("Nobody", PASSWORD)):
        page = other.log_in(name, password)
        assert page.status_code == 200
        assert WRONG in page.text
        assert WRONG not in other.get("/login").text
        assert other.is_anonymous()


def test_outage_of_redis_logs_nobody_out(
    make_app: Apps, own_server: LocalServer
) -> None:
    visitor = Visitor(make_app(own_server.url))
    visitor.sign_up("Ada")
    stored = visitor.shown_by("/")
    before = visitor.cookie
    with redis.Redis(unix_socket_path=own_server.socket) as client:
        client.save()
    own_server.stop()
    for path in ("/health", "/static/style.css"):
        assert visitor.get(path).status_code == 200
    answers = [visitor.get(path) for path in ("/", "/session", "/login")]
    for page in (*answers, visitor.client.post("/logout")):
        assert page.status_code == 503
        assert "Sessions are away" in page.text
        assert page.headers["Retry-After"] == "5"
        assert "Set-Cookie" not in page.headers
    assert visitor.cookie == before
    own_server.start()
    # It is left alone for a second after it did not answer.
    deadline = time.monotonic() + PATIENCE
    while visitor.get("/session").status_code == 503:
        assert time.monotonic() < deadline
    assert visitor.shown_by("/session") == stored


# 8.: the same application, until now on Flask-Session


class FlaskSession:
    """Flask-Session in the place of the example's own ``sess``."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def init_app(self, app: Flask) -> None:
        app.config["SESSION_REDIS"] = self.client
        flask_session.Session(app)


@pytest.mark.parametrize("stored_as", ["msgpack", "json", "pickle"])
def test_switch_from_flask_session_logs_nobody_out(
    monkeypatch: pytest.MonkeyPatch, make_app: Apps, db: redis.Redis, stored_as: str
) -> None:
    is_pickle = stored_as == "pickle"
    with monkeypatch.context() as before:
        before.setattr("flask_tutorial.sess", FlaskSession(db))
        # Its sessions have no id that is safe to show.
        before.setattr(ServerSideSession, "id", "not shown", raising=False)
        format_ = "json" if is_pickle else stored_as
        before.setenv("FLASK_SESSION_SERIALIZATION_FORMAT", format_)
        visitor = Visitor(make_app())
        visitor.sign_up("Ada")
        stored = visitor.shown_by("/")
    old = visitor.cookie
    if is_pickle:
        # What versions before 0.7 wrote, and how they named it.
        old = str(uuid.uuid4())
        values = json.loads(db.getdel(f"session:{visitor.cookie}"))
        db.set(f"session:{old}", pickle.dumps(values))
        monkeypatch.setenv("FLASK_SESSION_MIGRATE_PICKLE", "true")
    monkeypatch.setenv("FLASK_SESSION_MIGRATE_FROM", "flask-session")
    app = make_app()
    visitor = Visitor(app, old)
    assert visitor.shown_by("/session") == stored
    assert visitor.cookie != old
    assert not db.exists(f"session:{old}")
    assert "Hello, Ada!" in visitor.get("/").text
    assert is_login(visitor.log_out())
    assert Visitor(app, old).is_anonymous()


# The pages of an account are for nobody else.


def test_pages_of_an_account_are_not_kept_by_the_browser(visitor: Visitor) -> None:
    visitor.sign_up("Ada")
    for path in ("/", "/session"):
        response = visitor.get(path)
        assert response.status_code == 200
        assert response.cache_control.no_store
        assert response.vary.to_header() == "Cookie"

"""The programs of docs/guide.rst, docs/first-site.rst, docs/testing.rst and the pages
about Flask do what is said there."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import typing as t

import flask
import pytest
import redis
from readme import block
from readme import run
from readme import SECRET_KEY
from visitors import cookie_header
from visitors import Request
from werkzeug.test import Client

import wsgi_redis_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session.flask import Session
from wsgi_redis_session.local_server import LocalServer


class Visitor(Client):
    """A client that shows its cookie."""

    @property
    def cookie(self) -> str | None:
        cookie = self.get_cookie("session")
        return cookie and cookie.value


# The guide.


def test_both_requests_count_where_versions_are_merged(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    sessions = run("conflicts.py", monkeypatch, server).sessions
    first = Request(sessions, "")
    first.session.update(visits=1, page="start")
    header = cookie_header(first.commit())
    one, other = Request(sessions, header), Request(sessions, header)
    for number, request in enumerate((one, other)):
        request.session["visits"] += 1
        request.session["page"] = number
    one.commit()
    other.commit()
    assert Request(sessions, header).session.copy() == {"visits": 3, "page": 1}


def test_login_of_the_guide_changes_the_session_id_and_logout_ends_it(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    visitor = Visitor(run("accounts.py", monkeypatch, server).application)
    assert visitor.get("/").text == "user None\n"
    assert visitor.cookie is None
    assert visitor.get("/login").text == "user 42\n"
    stolen = visitor.cookie
    assert visitor.get("/").text == "user 42\n"
    visitor.get("/logout")
    assert visitor.cookie is None
    assert stolen is not None
    visitor.set_cookie("session", stolen)
    assert visitor.get("/").text == "user None\n"


def test_script_changes_a_session_by_its_cookie(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    script = run("script.py", monkeypatch, server)
    set_cookie = script.greet("")
    header = cookie_header(set_cookie)
    assert script.greet(header) is None
    assert Request(script.sessions, header).session.copy() == {"greeted": True}


def test_members_log_in_and_out_and_keep_what_they_had(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    visitor = Visitor(run("members.py", monkeypatch, server).application)
    assert "Hello stranger, visit 1, worker" in visitor.get("/").text
    before = visitor.cookie
    form = {"name": "ada", "password": "wrong"}
    visitor.post("/login", data=form)
    assert "Hello stranger, visit 2" in visitor.get("/").text
    assert visitor.cookie == before
    form["password"] = "engine"
    assert visitor.post("/login", data=form).status_code == 303
    assert visitor.cookie != before
    page = visitor.get("/").text
    assert "Hello ada, visit 3" in page
    assert "Log out" in page
    visitor.post("/logout")
    assert "Hello stranger, visit 1" in visitor.get("/").text


# Flask.


@pytest.mark.parametrize(
    "name", ["flask_settings.py", "migrate_settings.py", "migrate_pickle.py"]
)
def test_settings_are_accepted(server: LocalServer, name: str) -> None:
    app = flask.Flask("settings")
    app.config.update(SECRET_KEY=SECRET_KEY, SESSION_REDIS=server.url)
    settings: dict[str, t.Any] = {}
    exec(block(name), settings)
    app.config.from_mapping(settings)
    Session(app)
    manager: SessionManager = app.extensions["wsgi_redis_session"]
    found = vars(manager.config)
    for key in settings:
        if key.isupper():
            assert found[key.removeprefix("SESSION_").lower()] == settings[key]


def test_factory_makes_an_application_with_sessions(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
    app = run("shop.py", monkeypatch, server).create_app()

    @app.get("/")
    def index() -> str:
        flask.session["visits"] = flask.session.get("visits", 0) + 1
        return f"visit {flask.session['visits']}"

    visitor = Visitor(app)
    assert [visitor.get("/").text for _ in range(2)] == ["visit 1", "visit 2"]
    assert app.extensions["wsgi_redis_session"].count() == 1


def test_login_without_flask_login_changes_the_session_id(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    visitor = Visitor(run("flask_login_of_ones_own.py", monkeypatch, server).app)
    assert visitor.post("/login", data={"name": "ada"}).status_code == 302
    before = visitor.cookie
    assert visitor.get("/").text == "user ada\n"
    visitor.post("/login", data={"name": "grace"})
    assert visitor.cookie not in (None, before)
    assert visitor.get("/").text == "user grace\n"
    visitor.post("/logout")
    assert visitor.get("/").text == "user None\n"


def test_import_of_the_migration_is_the_extension(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    assert run("migrated.py", monkeypatch, server).Session is Session


# Tests.


def test_tests_of_the_documentation_pass(tmp_path: pathlib.Path) -> None:
    for name in ("conftest.py", "test_app.py", "test_expiry.py", "test_flask_app.py"):
        (tmp_path / name).write_text(block(name))
    package = pathlib.Path(wsgi_redis_session.__file__).parents[1]
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 passed" in found.stdout, found.stdout + found.stderr


def test_local_server_is_away_between_stop_and_start(own_server: LocalServer) -> None:
    client = redis.Redis(unix_socket_path=own_server.socket)
    own_server.stop()
    with pytest.raises(redis.exceptions.ConnectionError):
        client.ping()
    own_server.start()
    assert client.ping()
    client.close()

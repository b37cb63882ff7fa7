"""The example for Flask, as its visitors and as its operator see it."""

from __future__ import annotations

import pathlib
import re
import typing as t

from browser import Site
from conftest import SECRET_KEY
from flask import Flask
from werkzeug.test import TestResponse

from wsgi_redis_session import Session
from wsgi_redis_session.flask import EXTENSION
from wsgi_redis_session.local_server import LocalServer

PASSWORD = "correct horse"
MUST_LOG_IN = "You must be logged in to view that page."
WRONG = "The email address or the password is wrong."


def sessions_of(app: Flask) -> t.Any:
    return app.extensions[EXTENSION]


class Visitor:
    """A browser with a cookie jar, in front of an application in this process."""

    def __init__(self, app: Flask, cookie: str | None = None) -> None:
        self.app = app
        self.client = app.test_client()
        if cookie is not None:
            self.client.set_cookie("session", cookie)

    def get(self, path: str) -> TestResponse:
        return self.client.get(path, buffered=True)

    def submit(self, path: str, *, to: str = "", **fields: str) -> TestResponse:
        """Fill in the form on a page and send it, ``to`` another one or the same."""
        found = re.search(
            r'name="csrf_token"[^>]* value="([^"]+)"', self.get(path).text
        )
        assert found
        form = {"csrf_token": found[1], **fields}
        return self.client.post(to or path, data=form)

    def log_out(self) -> TestResponse:
        """Press the button that every page of an account has."""
        return self.submit("/session", to="/logout")

    def sign_up(self, name: str, email: str | None = None) -> TestResponse:
        return self.submit(
            "/signup",
            name=name,
            email=email or f"{name.lower()}@example.com",
            password=PASSWORD,
            confirm=PASSWORD,
        )

    def log_in(
        self, name: str, password: str = PASSWORD, path: str = "/login"
    ) -> TestResponse:
        email = f"{name.lower()}@example.com"
        return self.submit(path, email=email, password=password)

    @property
    def cookie(self) -> str | None:
        cookie = self.client.get_cookie("session")
        return cookie and cookie.value

    @property
    def session(self) -> Session:
        """What the next request of this visitor finds."""
        return t.cast(Session, sessions_of(self.app).open(f"session={self.cookie}"))

    def shown_by(self, path: str) -> str:
        """The session's value that a page shows, or nothing."""
        response = self.get(path)
        assert response.status_code == 200
        return shown(response.text)

    def is_anonymous(self) -> bool:
        response = self.get("/session")
        return response.status_code == 302 and is_login(response)


def shown(page: str) -> str:
    found = re.search("<output>(.*)</output>", page)
    return found[1] if found else ""


def is_login(response: TestResponse) -> bool:
    return response.location.partition("?")[0] == "/login"


def tutorial(server: LocalServer, database: str, directory: pathlib.Path) -> Site:
    """The example in processes of its own."""
    return Site(
        "flask_tutorial:create_app()",
        directory / "gunicorn.log",
        SECRET_KEY=SECRET_KEY,
        SESSION_REDIS=server.url,
        DATABASE_URL=database,
    )

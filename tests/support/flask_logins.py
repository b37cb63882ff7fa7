"""Flask applications with Flask-Login."""

from __future__ import annotations

import flask
import flask_login
from flask.testing import FlaskClient
from flask_login import current_user


class Member(flask_login.UserMixin):
    def __init__(self, number: str) -> None:
        self.id = number


def with_login(app: flask.Flask) -> flask.Flask:
    """Log members in and out as Flask-Login's documentation says."""
    manager = flask_login.LoginManager(app)
    manager.user_loader(Member)

    @app.get("/login/<number>")
    def login(number: str) -> str:
        remember = "remember" in flask.request.args
        flask_login.login_user(Member(number), remember=remember)
        return ""

    @app.get("/logout")
    def logout() -> str:
        flask_login.logout_user()
        return ""

    @app.get("/confirm")
    @flask_login.login_required
    def confirm() -> str:
        flask_login.confirm_login()
        return ""

    @app.get("/who")
    def who() -> str:
        return str(current_user.get_id())

    @app.get("/members")
    @flask_login.login_required
    def members() -> str:
        return f"welcome {current_user.id}"

    @app.get("/password")
    @flask_login.fresh_login_required
    def password() -> str:
        return "choose another one"

    return app


def sid(client: FlaskClient) -> str | None:
    cookie = client.get_cookie("session")
    return cookie and cookie.value.partition(".")[0]

"""A site of Flask's with accounts: Flask-Login, Flask-WTF, and sessions that another
library has begun."""

from __future__ import annotations

import os

import flask
import flask_login
import flask_wtf
import wtforms

from wsgi_redis_session.flask import Session

SECRET_KEY = "not a secret, this is a test"


class LoginForm(flask_wtf.FlaskForm):
    name = wtforms.StringField()


class Member(flask_login.UserMixin):
    def __init__(self, name: str) -> None:
        self.id = name


def account_site() -> flask.Flask:
    """What gunicorn serves; its sessions are where ``SESSION_REDIS`` says."""
    app = flask.Flask(__name__)
    app.config.update(
        SECRET_KEY=SECRET_KEY,
        SESSION_REDIS=os.environ["SESSION_REDIS"],
        SESSION_MIGRATE_FROM="flask-session",
    )
    logins = flask_login.LoginManager(app)
    logins.user_loader(Member)
    Session(app)

    @app.route("/login", methods=["GET", "POST"])
    def login() -> str | tuple[str, int]:
        form = LoginForm()
        flask.session.setdefault("cart", ["apple"])
        if flask.request.method == "GET":
            return str(form.csrf_token.current_token)
        if not form.validate():
            return "the form has no token of this session", 400
        remember = "remember" in flask.request.args
        flask_login.login_user(Member(form.name.data), remember=remember)
        return "welcome"

    @app.get("/members")
    @flask_login.login_required
    def members() -> str:
        return f"{flask_login.current_user.id} {flask.session.get('cart')}"

    @app.get("/note/<name>")
    @flask_login.login_required
    def note(name: str) -> str:
        flask.session[name] = True
        return members()

    @logins.unauthorized_handler
    def refuse() -> tuple[str, int]:
        # As applications do that lead to their login page.
        flask.flash("Please log in.")
        return "nobody is logged in", 401

    return app

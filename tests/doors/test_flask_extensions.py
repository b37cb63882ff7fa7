"""Other extensions of Flask: its database, forms, OAuth and administration."""

from __future__ import annotations

import collections.abc as cabc
import pathlib
import re
import threading
import typing as t
from urllib.parse import parse_qs
from urllib.parse import urlsplit

import flask
import flask_admin
import flask_login
import flask_sites
import flask_wtf
import pytest
import wtforms
from flask.testing import FlaskClient
from flask_admin.contrib.sqla import ModelView
from flask_admin.form import SecureForm
from flask_dance.consumer import OAuth2ConsumerBlueprint
from flask_login import current_user
from flask_logins import sid
from flask_logins import with_login
from flask_sites import FlaskSite
from flask_sites import look
from flask_sites import run
from flask_sites import store
from flask_sqlalchemy import SQLAlchemy
from oauthlib.oauth2 import OAuth2Token
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column
from werkzeug.serving import make_server

from wsgi_redis_session import NotSerializable

# Flask-Login 0.6 asks for the time in a way that Python 3.12 deprecates.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:datetime\.datetime\.utcnow:DeprecationWarning:flask_login"
)


site = flask_sites.site


# Flask-SQLAlchemy.


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class User(db.Model, flask_login.UserMixin):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


def find(name: str) -> User:
    return db.session.execute(db.select(User).filter_by(name=name)).scalar_one()


def login() -> None:
    flask_login.login_user(find("Ada"))


@pytest.fixture
def shop(site: FlaskSite, tmp_path: pathlib.Path) -> cabc.Iterator[flask.Flask]:
    """An application with a table of users, in a file."""
    app = site.app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'shop.db'}")
    db.init_app(app)
    users = flask_login.LoginManager(app)
    users.user_loader(lambda number: db.session.get(User, int(number)))
    with app.app_context():
        db.create_all()
        db.session.add(User(name="Ada"))
        db.session.commit()
        engine = db.engine
    yield app
    engine.dispose()


def test_user_is_loaded_from_the_database(shop: flask.Flask) -> None:
    client = shop.test_client()
    store(client, language="en")
    before = sid(client)
    run(client, login)
    assert run(client, lambda: current_user.name).text == "Ada"
    assert sid(client) != before


def test_columns_are_stored_and_a_whole_row_is_refused_by_name(
    shop: flask.Flask,
) -> None:
    client = shop.test_client()
    ada = {"number": 1, "name": "Ada"}
    run(client, lambda: flask.session.update(number=1, name=find("Ada").name))
    assert look(client) == ada
    with pytest.raises(NotSerializable, match=r"'user'.*User"):
        run(client, lambda: flask.session.update(user=find("Ada")))
    assert look(client) == ada


def test_failed_transaction_leaves_the_session_to_the_application(
    shop: flask.Flask,
) -> None:
    def signup() -> None:
        flask.session["tried"] = "Ada"
        db.session.add(User(name="Ada"))
        try:
            db.session.commit()
        except IntegrityError:
            db.session.rollback()
            flask.flash("exists")

    client = shop.test_client()
    run(client, signup)
    assert look(client) == {"tried": "Ada", "_flashes": [("message", "exists")]}


# Flask-WTF.


class NameForm(flask_wtf.FlaskForm):
    name = wtforms.StringField(validators=[wtforms.validators.DataRequired()])


def with_form(app: flask.Flask) -> flask.Flask:
    @app.route("/form", methods=["GET", "POST"])
    def form() -> str:
        form = NameForm()
        if form.validate_on_submit():
            return f"thank you, {form.name.data}"
        return flask.render_template_string("{{ form.csrf_token }}", form=form)

    return app


def csrf_token(page: str) -> str:
    (value,) = re.findall(r'name="csrf_token" type="hidden" value="([^"]+)"', page)
    return value


def test_csrf_token_lives_in_the_session(site: FlaskSite) -> None:
    client = with_form(site.app()).test_client()
    sent = csrf_token(client.get("/form").text)
    form = {"name": "Ada", "csrf_token": sent}
    assert [*look(client)] == ["csrf_token"]
    assert client.post("/form", data=form).text == "thank you, Ada"
    assert "thank you" not in client.post("/form", data={"name": "Ada"}).text
    stranger = client.application.test_client()
    stranger.get("/form")
    assert "thank you" not in stranger.post("/form", data=form).text


def test_csrf_token_of_a_page_survives_the_login(site: FlaskSite) -> None:
    app = with_login(with_form(site.app()))
    client = app.test_client()
    sent = csrf_token(client.get("/form").text)
    before = sid(client)
    client.get("/login/7")
    assert sid(client) != before
    form = {"name": "Ada", "csrf_token": sent}
    assert client.post("/form", data=form).text == "thank you, Ada"


def test_csrf_protection_of_the_whole_application(site: FlaskSite) -> None:
    app = site.app()
    flask_wtf.CSRFProtect(app)
    app.add_url_rule("/buy", "buy", lambda: "bought", methods=["POST"])
    client = app.test_client()
    sent = run(client, lambda: flask_wtf.csrf.generate_csrf()).text
    assert client.post("/buy").status_code == 400
    assert client.post("/buy", headers={"X-CSRFToken": sent}).text == "bought"


# Flask-Dance.


@pytest.fixture
def provider() -> cabc.Iterator[str]:
    """An OAuth provider on the loopback interface; its URL."""
    app = flask.Flask("provider")

    @app.post("/token")
    def token() -> dict[str, t.Any]:
        assert flask.request.form["code"] == "a code"
        answer = {"access_token": "a token", "token_type": "Bearer"}
        return {**answer, "scope": "read write"}

    @app.get("/me")
    def me() -> dict[str, t.Any]:
        return {"authorization": flask.request.headers["Authorization"]}

    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def with_dance(app: flask.Flask, provider: str = "http://localhost") -> t.Any:
    blueprint = OAuth2ConsumerBlueprint(
        "shop",
        __name__,
        client_id="me",
        client_secret="my secret",
        base_url=provider,
        token_url=f"{provider}/token",
        authorization_url=f"{provider}/authorize",
        redirect_url="/run",
    )
    app.register_blueprint(blueprint, url_prefix="/login")
    return blueprint


def test_oauth_dance_keeps_its_state_and_token_in_the_session(
    site: FlaskSite, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    app = site.app()
    blueprint = with_dance(app, provider)
    client = app.test_client()
    location = client.get("/login/shop").headers["Location"]
    (state,) = parse_qs(urlsplit(location).query)["state"]
    assert look(client) == {"shop_oauth_state": state}
    answer = client.get(f"/login/shop/authorized?code=a+code&state={state}")
    assert answer.headers["Location"] == "/run"
    assert [*look(client)] == ["shop_oauth_token"]
    assert look(client)["shop_oauth_token"]["scope"] == ["read", "write"]
    sent = run(client, lambda: blueprint.session.get("/me").json()["authorization"])
    assert sent.text == "Bearer a token"
    assert run(client, lambda: str(blueprint.session.authorized)).text == "True"
    stranger = app.test_client()
    assert run(stranger, lambda: str(blueprint.session.authorized)).text == "False"


def test_oauth_token_is_stored_and_read_back(site: FlaskSite) -> None:
    app = site.app()
    blueprint = with_dance(app)
    client = app.test_client()
    token = OAuth2Token({"access_token": "a token", "scope": "read", "expires_in": 60})

    def put() -> None:
        blueprint.token = token

    run(client, put)
    (stored,) = look(client).values()
    assert type(stored) is dict
    assert stored == {**token, "expires_at": stored["expires_at"]}
    assert run(client, lambda: blueprint.token["access_token"]).text == "a token"


def test_deleted_oauth_token_is_gone(site: FlaskSite) -> None:
    app = site.app()
    blueprint = with_dance(app)
    client = app.test_client()
    run(client, lambda: setattr(blueprint, "token", {"access_token": "a token"}))
    run(client, lambda: delattr(blueprint, "token"))
    assert look(client) == {}


# Flask-Admin.


class Index(flask_admin.AdminIndexView):
    def is_accessible(self) -> bool:
        return bool(current_user.is_authenticated)

    def inaccessible_callback(self, name: str, **values: t.Any) -> t.Any:
        return flask.redirect("/login")


class Users(ModelView):
    form_base_class = SecureForm
    form_columns = ["name"]

    def is_accessible(self) -> bool:
        return bool(current_user.is_authenticated)


@pytest.fixture
def admin(shop: flask.Flask) -> FlaskClient:
    pages = flask_admin.Admin(shop, "Shop", index_view=Index())
    pages.add_view(Users(User, db, endpoint="users"))
    return shop.test_client()


def test_admin_pages_are_for_those_who_are_logged_in(admin: FlaskClient) -> None:
    assert admin.get("/admin/").headers["Location"] == "/login"
    assert admin.get("/admin/users/").status_code == 403
    run(admin, login)
    assert admin.get("/admin/").status_code == 200
    assert "Ada" in admin.get("/admin/users/").text
    run(admin, lambda: flask_login.logout_user())
    assert admin.get("/admin/users/").status_code == 403


def test_admin_form_with_its_own_csrf_token_saves(admin: FlaskClient) -> None:
    run(admin, login)
    sent = csrf_token(admin.get("/admin/users/new/").text)
    form = {"name": "Grace", "csrf_token": sent}
    page = admin.post("/admin/users/new/", data=form, follow_redirects=True).text
    assert "Grace" in page
    assert "Record was successfully created" in page
    assert "Record was successfully created" not in admin.get("/admin/users/").text
    admin.post("/admin/users/new/", data={"name": "Mallory"})
    assert "Mallory" not in admin.get("/admin/users/").text

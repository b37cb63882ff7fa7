"""A small site with accounts, whose sessions are in Redis."""

import os

from flask import Flask
from flask import render_template

from wsgi_redis_session.flask import Session

from . import auth
from . import devices
from . import pages
from .models import create_tables
from .models import db

sess = Session()


def create_app():
    here = os.path.dirname(os.path.abspath(__file__))
    app = Flask(
        __name__,
        instance_path=os.environ.get("INSTANCE_PATH", os.path.join(here, "instance")),
    )
    app.config.from_mapping(
        SECRET_KEY=os.environ["SECRET_KEY"],
        SESSION_TYPE="redis",
        SESSION_REDIS=os.environ.get("SESSION_REDIS", "redis://localhost:6379"),
        SESSION_COOKIE_SAMESITE="Lax",
        SQLALCHEMY_DATABASE_URI=os.environ.get(
            "DATABASE_URL", "sqlite:///users.sqlite"
        ),
    )
    # FLASK_SESSION_COOKIE_SECURE=true, for example, where the site has https.
    app.config.from_prefixed_env()

    sess.init_app(app)
    db.init_app(app)
    auth.init_app(app)
    app.register_blueprint(pages.bp)
    app.register_blueprint(devices.bp)

    with app.app_context():
        create_tables()

    @app.get("/health")
    def health():
        return {"status": "ok"}

    @app.errorhandler(503)
    def sessions_are_away(error):
        return render_template("unavailable.html"), 503, {"Retry-After": "5"}

    return app

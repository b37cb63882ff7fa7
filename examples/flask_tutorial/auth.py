"""Signing up, logging in and logging out."""

import re

from flask import Blueprint
from flask import flash
from flask import redirect
from flask import render_template
from flask import request
from flask import session
from flask import url_for
from flask_login import current_user
from flask_login import login_user
from flask_login import LoginManager
from flask_login import logout_user
from sqlalchemy.exc import IntegrityError

from .forms import LoginForm
from .forms import LogoutForm
from .forms import SignupForm
from .models import db
from .models import User

bp = Blueprint("auth", __name__)
login_manager = LoginManager()


def init_app(app):
    # What login_manager.init_app(app) does, but for a function that looks into the
    # session after every response, even that of a style sheet, for a "remember me"
    # that is not offered here.
    app.login_manager = login_manager
    app.context_processor(lambda: {"current_user": current_user})
    app.register_blueprint(bp)


@bp.app_context_processor
def form_in_every_header():
    # Called by the template, and only for those who are logged in: the form's token
    # is kept in the session.
    return {"logout_form": LogoutForm}


@login_manager.user_loader
def load_user(user_id):
    return db.session.get(User, int(user_id))


@login_manager.unauthorized_handler
def unauthorized():
    flash("You must be logged in to view that page.")
    return redirect(url_for("auth.login", next=request.script_root + request.path))


@bp.route("/signup", methods=["GET", "POST"])
def signup():
    if current_user.is_authenticated:
        return redirect(url_for("pages.dashboard"))
    form = SignupForm()
    if form.validate_on_submit():
        user = User(
            name=form.name.data,
            email=form.email.data.lower(),
            website=form.website.data or None,
        )
        user.set_password(form.password.data)
        db.session.add(user)
        try:
            db.session.commit()
        except IntegrityError:
            db.session.rollback()
            flash("A user with that email address already exists.")
        else:
            log_in(user)
            return redirect(url_for("pages.dashboard"))
    return render_template("signup.html", form=form)


@bp.route("/login", methods=["GET", "POST"])
def login():
    if current_user.is_authenticated:
        return redirect(url_for("pages.dashboard"))
    form = LoginForm()
    if form.validate_on_submit():
        query = db.select(User).filter_by(email=form.email.data.lower())
        user = db.session.scalar(query)
        if user is not None and user.check_password(form.password.data):
            log_in(user)
            return redirect(next_page())
        flash("The email address or the password is wrong.")
    return render_template("login.html", form=form)


@bp.post("/logout")
def logout():
    # Without the token, it may be a form on another site that has sent this.
    if not LogoutForm().validate_on_submit():
        flash("That form was too old. Please try again.")
        return redirect(url_for("pages.dashboard"))
    session.clear()
    logout_user()
    return redirect(url_for("auth.login"))


def log_in(user):
    # Only to show it: the session gets a new id when this request is over.
    session["id_before_login"] = session.id
    login_user(user)


def next_page():
    """Where the visitor was going. Anybody can write a link to the login page, so only
    a path on this site counts, and browsers take //host and /\\host for another one."""
    target = request.args.get("next", "")
    is_here = re.fullmatch(r"/(?![/\\])[!-~]*", target)
    return target if is_here else url_for("pages.dashboard")

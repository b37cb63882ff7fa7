"""What a user sees."""

import os
from datetime import datetime
from datetime import UTC

from flask import Blueprint
from flask import render_template
from flask import session
from flask_login import current_user
from flask_login import login_required

bp = Blueprint("pages", __name__)


@bp.app_context_processor
def who_answers():
    return {"worker": os.getpid()}


@bp.after_request
def keep_private(response):
    """After logging out, the back button is not to bring these pages back."""
    response.cache_control.no_store = True
    return response


@bp.get("/")
@login_required
def dashboard():
    now = datetime.now(UTC)
    session["redis_test"] = f"{current_user.name} was here at {now:%H:%M:%S} UTC."
    session["written_by"] = os.getpid()
    return render_template("dashboard.html")


@bp.get("/session")
@login_required
def session_view():
    return render_template(
        "session.html",
        value=session.get("redis_test"),
        written_by=session.get("written_by"),
    )

"""Where a user is logged in, and how that ends."""

import re
from datetime import datetime
from datetime import timedelta
from datetime import UTC

from flask import abort
from flask import Blueprint
from flask import current_app
from flask import flash
from flask import redirect
from flask import render_template
from flask import session
from flask import url_for
from flask_login import current_user
from flask_login import login_required
from flask_wtf import FlaskForm
from wtforms import HiddenField
from wtforms import PasswordField
from wtforms import SubmitField
from wtforms.validators import DataRequired
from wtforms.validators import EqualTo
from wtforms.validators import Length

from .models import db
from .pages import keep_private

bp = Blueprint("devices", __name__)
bp.after_request(keep_private)

#: The first that is found in what a browser calls itself is what people call it.
BROWSERS = {
    "Edg": "Edge",
    "OPR": "Opera",
    "Firefox|FxiOS": "Firefox",
    "(?:Headless)?Chrome|CriOS|Chromium": "Chrome",
    "Safari": "Safari",
}
SYSTEMS = {
    "iPhone": "an iPhone",
    "iPad": "an iPad",
    "Android": "Android",
    "Windows": "Windows",
    "Mac OS X|Macintosh": "a Mac",
    "CrOS": "a Chromebook",
    "Linux": "Linux",
}


class DeviceForm(FlaskForm):
    device = HiddenField(validators=[DataRequired()])
    submit = SubmitField("Log out")


class EverywhereElseForm(FlaskForm):
    submit = SubmitField("Log out everywhere else")


class PasswordForm(FlaskForm):
    current = PasswordField(
        "Current password",
        validators=[DataRequired()],
        render_kw={"autocomplete": "current-password"},
    )
    password = PasswordField(
        "New password",
        description="At least 6 characters.",
        validators=[DataRequired(), Length(min=6, message="Choose a longer password.")],
        render_kw={"autocomplete": "new-password"},
    )
    confirm = PasswordField(
        "Confirm the new password",
        validators=[DataRequired(), EqualTo("password", "The passwords must match.")],
        render_kw={"autocomplete": "new-password"},
    )
    submit = SubmitField("Change password")


@bp.get("/devices")
@login_required
def devices():
    found = known_devices()
    forms = [DeviceForm(formdata=None, device=info.device) for info in found]
    return render_template("devices.html", devices=[*zip(found, forms, strict=True)])


@bp.post("/devices")
@login_required
def end_one():
    form = DeviceForm()
    if not form.validate_on_submit():
        abort(400)
    names = {info.device: device_name(info.user_agent) for info in known_devices()}
    device = form.device.data
    if device in names:
        sessions().revoke_user(current_user.get_id(), device=device)
        flash(f"{names[device]} is logged out.")
    else:
        flash("That device was logged out already.")
    return redirect(url_for("devices.devices"))


@bp.route("/devices/others", methods=["GET", "POST"])
@login_required
def end_others():
    form = EverywhereElseForm()
    if form.validate_on_submit():
        number = sessions().revoke_user(current_user.get_id(), keep=session)
        flash(f"{counted(number)} logged out.")
        return redirect(url_for("devices.devices"))
    others = [info for info in known_devices() if not info.current]
    return render_template("end_others.html", form=form, others=others)


@bp.route("/password", methods=["GET", "POST"])
@login_required
def password():
    form = PasswordForm()
    if form.validate_on_submit():
        if current_user.check_password(form.current.data):
            change_password(form.password.data)
            return redirect(url_for("devices.devices"))
        flash("The current password is wrong.")
    return render_template("password.html", form=form)


def change_password(new):
    """Whoever knows the old password is out, wherever that is: sessions, and logins
    that are under way. This session goes on, under a new session id."""
    current_user.set_password(new)
    db.session.commit()
    number = sessions().revoke_user(current_user.get_id(), keep=session)
    session.confirm()
    flash(f"Your password is changed. {counted(number)} logged out.")


def sessions():
    return current_app.extensions["wsgi_redis_session"]


def known_devices():
    """This one first, then those that were used last."""
    found = sessions().of_user(current_user.get_id(), current=session)
    return sorted(found, key=lambda info: not info.current)


def counted(number):
    match number:
        case 0:
            return "No other device was"
        case 1:
            return "One other device is"
        case _:
            return f"{number} other devices are"


@bp.app_template_filter()
def device_name(user_agent):
    """What a person calls a device, as far as its browser says."""
    browser = first_of(BROWSERS, user_agent or "")
    system = first_of(SYSTEMS, user_agent or "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or "An unknown device"


def first_of(names, user_agent):
    for pattern, name in names.items():
        if re.search(rf"\b(?:{pattern})\b", user_agent):
            return name
    return None


@bp.app_template_filter()
def ago(seconds):
    """How long ago something was, to the precision that a person cares for."""
    passed = datetime.now(UTC) - datetime.fromtimestamp(seconds, UTC)
    for unit, name in (
        (timedelta(days=1), "day"),
        (timedelta(hours=1), "hour"),
        (timedelta(minutes=1), "minute"),
    ):
        number = passed // unit
        if number > 0:
            return f"{number} {name}{'s' if number > 1 else ''} ago"
    return "just now"


@bp.app_template_filter()
def date(seconds):
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %B %Y, %H:%M UTC")

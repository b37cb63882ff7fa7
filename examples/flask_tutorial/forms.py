from flask_wtf import FlaskForm
from wtforms import EmailField
from wtforms import PasswordField
from wtforms import StringField
from wtforms import SubmitField
from wtforms import URLField
from wtforms.validators import DataRequired
from wtforms.validators import Email
from wtforms.validators import EqualTo
from wtforms.validators import Length
from wtforms.validators import Optional
from wtforms.validators import URL


class SignupForm(FlaskForm):
    name = StringField(
        "Name",
        validators=[DataRequired(), Length(max=100)],
        render_kw={"autocomplete": "name"},
    )
    email = EmailField(
        "Email",
        validators=[
            DataRequired(),
            Email("Enter a valid email address."),
            Length(max=254),
        ],
        render_kw={"autocomplete": "username"},
    )
    password = PasswordField(
        "Password",
        description="At least 6 characters.",
        validators=[DataRequired(), Length(min=6, message="Choose a longer password.")],
        render_kw={"autocomplete": "new-password"},
    )
    confirm = PasswordField(
        "Confirm your password",
        validators=[DataRequired(), EqualTo("password", "The passwords must match.")],
        render_kw={"autocomplete": "new-password"},
    )
    website = URLField(
        "Website",
        description="Optional.",
        validators=[Optional(), URL(message="Enter a valid address."), Length(max=200)],
        render_kw={"autocomplete": "url", "placeholder": "https://"},
    )
    submit = SubmitField("Sign up")


class LoginForm(FlaskForm):
    email = EmailField(
        "Email",
        validators=[DataRequired(), Email("Enter a valid email address.")],
        render_kw={"autocomplete": "username"},
    )
    password = PasswordField(
        "Password",
        validators=[DataRequired()],
        render_kw={"autocomplete": "current-password"},
    )
    submit = SubmitField("Log in")


class LogoutForm(FlaskForm):
    logout = SubmitField("Log out")

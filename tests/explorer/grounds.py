"""What is there before the first request: options, a session and its cookie."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import SessionManager

from .operations import FORM_TOKEN
from .request import USER
from .request import View

#: What stood in the session before has this value, or one of these.
VALUES: View = {
    "x": "0",
    "same": "0",
    "old": "0",
    "csrf": FORM_TOKEN,
    "cart": ("0",),
}


def add_up(name: str, base: t.Any, ours: t.Any, theirs: t.Any) -> t.Any:
    """``on_conflict``: sums add up, of other values the later one counts."""
    is_sum = name == "sum" and all(type(one) is int for one in (base, ours, theirs))
    return theirs + ours - base if is_sum else ours


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ground:
    """A session, and the options of those who serve it."""

    name: str
    options: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    values: View = dataclasses.field(default_factory=lambda: dict(VALUES))
    #: The name that says who is logged in.
    user: str = USER
    permanent: bool = False
    #: How long ago its cookie was given, in seconds.
    age: float = 0.0
    #: Whether a touch is due, so that cookies are given again.
    due: bool = False
    #: Whether session ids are renewed openly: "rotated" or "migrated".
    opens: str = ""
    #: Whether the application is one of Flask's.
    flask: bool = False
    #: Whether it is about which sessions a user has, and not about what they hold.
    users: bool = False
    #: Whether it differs from another ground in one point only.
    variant: bool = False

    @property
    def has_user_key(self) -> bool:
        """Whether the library knows which name says who is logged in."""
        return self.flask or "user_key" in self.options

    @property
    def is_frozen(self) -> bool:
        """Whether the old cookie still reads the old values after a closing renewal."""
        return self.has_user_key and self.user not in self.values

    @property
    def has_limit(self) -> bool:
        """Whether a login may end other sessions."""
        return "max_sessions_per_user" in self.options

    @property
    def has_moves(self) -> bool:
        """Whether time goes by here while requests are running."""
        return self.name in ("anonymous", "member", "rotating member", "foreign member")

    @property
    def works(self) -> bool:
        """Whether the library has all the options."""
        return all(accepts(name) for name in self.options if name == "rotate_interval")


@functools.cache
def accepts(option: str) -> bool:
    """Whether the library has an option that is a duration."""
    options: dict[str, t.Any] = {option: 60}
    try:
        SessionManager(_NoClient(), secret_key="a test", **options)
    except ConfigurationError:
        return False
    return True


class _NoClient:
    def execute_command(self, *args: t.Any, **options: t.Any) -> t.Any:
        raise AssertionError("nothing is sent before a session is looked at")


_MEMBER = {**VALUES, USER: "u1"}
_KEY = {"user_key": USER}
_FLASK_SESSION = {**_KEY, "migrate_from": "flask-session"}

GROUNDS = {
    ground.name: ground
    for ground in (
        Ground(name="anonymous", options=_KEY),
        Ground(name="member", options=_KEY, values=_MEMBER),
        Ground(name="plain"),
        Ground(name="plain member", variant=True, values=_MEMBER),
        Ground(
            name="sums",
            options={**_KEY, "on_conflict": add_up},
            values={**VALUES, "sum": 1},
        ),
        Ground(
            name="plain sums",
            options={"on_conflict": add_up},
            values={**VALUES, "sum": 1},
        ),
        Ground(name="due", variant=True, options=_KEY, age=400, due=True),
        Ground(
            name="due member",
            variant=True,
            options=_KEY,
            values=_MEMBER,
            age=400,
            due=True,
        ),
        Ground(
            name="permanent",
            variant=True,
            options=_KEY,
            values=_MEMBER,
            permanent=True,
        ),
        Ground(
            name="rotating",
            variant=True,
            options={**_KEY, "rotate_interval": 60},
            age=100,
            opens="rotated",
        ),
        Ground(
            name="rotating member",
            variant=True,
            options={**_KEY, "rotate_interval": 60},
            values=_MEMBER,
            age=100,
            opens="rotated",
        ),
        Ground(
            name="rotating sums",
            options={"on_conflict": add_up, "rotate_interval": 60},
            values={**VALUES, "sum": 1},
            age=100,
            opens="rotated",
        ),
        Ground(name="foreign", variant=True, options=_FLASK_SESSION, opens="migrated"),
        Ground(
            name="foreign member",
            variant=True,
            options=_FLASK_SESSION,
            values=_MEMBER,
            opens="migrated",
        ),
        Ground(
            name="foreign sums",
            options={"migrate_from": "flask-session", "on_conflict": add_up},
            values={**VALUES, "sum": 1},
            opens="migrated",
        ),
        Ground(name="visitor of users", options=_KEY, users=True),
        Ground(name="users", options=_KEY, values=_MEMBER, users=True),
        Ground(
            name="due users",
            options=_KEY,
            values=_MEMBER,
            age=400,
            due=True,
            users=True,
        ),
        Ground(
            name="rotating users",
            options={**_KEY, "rotate_interval": 60},
            values=_MEMBER,
            age=100,
            opens="rotated",
            users=True,
        ),
        Ground(
            name="foreign users",
            options=_FLASK_SESSION,
            values=_MEMBER,
            opens="migrated",
            users=True,
        ),
        Ground(
            name="limited users",
            options={**_KEY, "max_sessions_per_user": 1},
            values=_MEMBER,
            users=True,
        ),
        Ground(name="flask", user="_user_id", flask=True, permanent=True),
        Ground(
            name="flask member",
            user="_user_id",
            values={**VALUES, "_user_id": "u1"},
            flask=True,
            permanent=True,
        ),
    )
}

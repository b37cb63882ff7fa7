"""The manager of a Flask application, made from its configuration."""

from __future__ import annotations

import collections.abc as cabc
import copy
import dataclasses
import functools
import typing as t
from datetime import timedelta

from blinker import Namespace
from flask import Flask
from flask.sessions import SessionInterface
from flask.sessions import SessionMixin

from .config import SessionConfig
from .environment import FLASK_KEYS
from .errors import ConfigurationError
from .events import report
from .events import SessionEvent
from .legacy.forgotten import Forgotten
from .legacy.inheritance import Inheritance
from .manager import SessionManager
from .model.session import Session as LoadedSession
from .model.source import Stage
from .options import named_by
from .options import near_misses
from .transport.transport import Client

if t.TYPE_CHECKING:
    from .lifetimes import Lifetimes
    from .model.serializer import Serializer
    from .request.loading import Adoption

#: Where ``app.extensions`` has the application's :class:`SessionManager`.
EXTENSION = "wsgi_redis_session"

#: The same manager, and what it was made from.
MADE = f"{EXTENSION}.made"

#: Where Flask-Login keeps who is logged in.
_USER_KEY = "_user_id"

#: Our options under their own names in ``app.config``.
_OPTIONS = {
    field.name: FLASK_KEYS[field.name]
    for field in dataclasses.fields(SessionConfig)
    if not field.name.startswith("cookie_") and field.name != "permanent_lifetime"
}

#: Everything in ``app.config`` that sessions depend on, but for their cookie.
_KEYS = (
    "SECRET_KEY_FALLBACKS",
    "SESSION_TYPE",
    "SESSION_REDIS",
    *_OPTIONS.values(),
)

#: Flask's attributes that stand for keys, unless a subclass has others.
_ATTRIBUTES = ("secret_key", "permanent_session_lifetime")

#: What Flask-Session has for other places than Redis.
_FOREIGN = (
    "SESSION_CACHELIB",
    "SESSION_CLEANUP_N_REQUESTS",
    "SESSION_DYNAMODB",
    "SESSION_FILE_",
    "SESSION_MEMCACHED",
    "SESSION_MONGODB",
    "SESSION_SQLALCHEMY",
)

#: Is sent with each event of an application's sessions, which is ``event``.
session_event = Namespace().signal("session-event")

#: Keys of Flask-Session's that are accepted and change nothing.
_UNUSED = ("SESSION_ID_LENGTH", "SESSION_SERIALIZATION_FORMAT", "SESSION_USE_SIGNER")

#: Where Flask's own sessions keep whether they are permanent.
_PERMANENT = "_permanent"


class FlaskSession(LoadedSession, SessionMixin):  # type: ignore[override]  # new is ours to say
    """A session that Flask knows as one of its own.

    ``session["_permanent"]`` is another way to write ``session.permanent``, and there
    only while it is true; loops over the names leave it out.
    """

    def __getitem__(self, name: str) -> t.Any:
        if name == _PERMANENT:
            if self.permanent:
                return True
            raise KeyError(name)
        return self._look().value(name)

    def __setitem__(self, name: str, value: t.Any) -> None:
        if name == _PERMANENT:
            self.permanent = value
        elif type(name) is str:
            self._look().assign(name, value)
        else:
            super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        if name == _PERMANENT and self[name]:
            self.permanent = False
        else:
            super().__delitem__(name)

    def clear(self) -> None:
        """Remove every name; whether the session is permanent is as in a new one."""
        super().clear()
        if self._source.stage is Stage.OPEN:
            self.permanent = self._source.fresh().permanent

    def __contains__(self, name: object) -> bool:
        # Flask-Login asks for this after every request, also of those that have nothing
        # to do with the session; it is there only while the request runs that set it.
        if name == "_remember" and self._draft is None:
            return False
        return super().__contains__(name)


class FlaskManager(SessionManager):
    """A manager of such sessions."""

    session_class = FlaskSession
    confirmed_by = "_fresh"  # as Flask-Login has it


class _Successor(FlaskManager):
    """The same in an application that Flask-Session has served before, and whose
    sessions nobody migrates."""

    def _adoption(self, serializer: Serializer, lifetimes: Lifetimes) -> Adoption:
        return Forgotten(Inheritance(self.store, self.config.migrate_prefix))


class Made(t.NamedTuple):
    """A manager, and what it was made from."""

    #: The whole configuration, as it was.
    config: dict[str, t.Any]
    #: What in it concerns sessions.
    settings: tuple[t.Any, ...]
    cookie: dict[str, t.Any]
    manager: SessionManager | None
    #: Whether all that it depends on is in ``app.config``, and not in attributes that
    #: a subclass of Flask has in its place.
    is_by_config: bool


def make(
    app: Flask,
    interface: SessionInterface,
    redis: str | Client | None,
    prefix: str | None,
    made: Made | None,
) -> Made:
    """Make an application's manager, or find that the one that was made before serves
    as well.

    ``interface`` says how the cookie is to be; ``redis`` and ``prefix`` come before the
    configuration.
    """
    config = app.config
    fallbacks = config.get("SECRET_KEY_FALLBACKS")
    settings = (
        redis,
        prefix,
        app.secret_key,
        app.permanent_session_lifetime,
        *map(config.get, _KEYS),
        tuple(fallbacks or ()),
    )
    cookie = _cookie_options(app, interface)
    # A cookie that depends on the request is to cost no new connection.
    same = made.manager if made and made.settings == settings else None
    if same is None or made is None or made.cookie != cookie:
        same = _configure(app, cookie, redis, prefix, same)
    # A list may change in its place.
    snapshot = {**config, "SECRET_KEY_FALLBACKS": copy.copy(fallbacks)}
    is_by_config = all(
        getattr(type(app), name) is getattr(Flask, name) for name in _ATTRIBUTES
    )
    made = Made(snapshot, settings, cookie, same, is_by_config)
    app.extensions[MADE] = made
    app.extensions[EXTENSION] = same
    return made


def _cookie_options(app: Flask, interface: SessionInterface) -> dict[str, t.Any]:
    # Flask takes anything for true or false, the 1 of an environment variable, say.
    partitioned = bool(interface.get_cookie_partitioned(app))
    secure: t.Any = interface.get_cookie_secure(app)
    if secure != "auto":
        secure = bool(secure)
    return {
        "cookie_name": interface.get_cookie_name(app),
        "cookie_domain": interface.get_cookie_domain(app) or None,
        "cookie_path": interface.get_cookie_path(app),
        "cookie_httponly": bool(interface.get_cookie_httponly(app)),
        # Werkzeug adds Secure to a partitioned cookie in any case.
        "cookie_secure": partitioned or secure,
        "cookie_samesite": interface.get_cookie_samesite(app),
        "cookie_partitioned": partitioned,
    }


def _configure(
    app: Flask,
    cookie: dict[str, t.Any],
    redis: str | Client | None,
    prefix: str | None,
    same: SessionManager | None,
) -> SessionManager | None:
    """``same`` is a manager that differs in its cookie at most."""
    config, secret_key = app.config, app.secret_key
    _check(config)
    is_successor = config.get("SESSION_TYPE") is not None
    if not secret_key:
        if is_successor:
            raise ConfigurationError(_UNSIGNED)
        return None
    options, keys = _options(app, is_permanent=is_successor), dict(FLASK_KEYS)
    if prefix is not None:
        options["key_prefix"], keys["key_prefix"] = prefix, "prefix"
    if redis is None:
        redis = config.get("SESSION_REDIS")
    else:
        keys["redis"] = "redis"
    is_forgotten = is_successor and options.get("migrate_from") is None
    manager_class = _Successor if is_forgotten else FlaskManager
    with named_by(keys):
        manager = manager_class(
            same.store.transport if same else redis,
            secret_key=secret_key,
            secret_key_fallbacks=config.get("SECRET_KEY_FALLBACKS") or (),
            **cookie,
            **options,
        )
    manager.events.listen(session_event.receivers, functools.partial(_announce, app))
    return manager


def _announce(app: Flask, event: SessionEvent) -> None:
    for receiver in session_event.receivers_for(app):
        # One that raises is to keep no other from being told.
        report(functools.partial(_send, receiver, app), event)


def _send(
    receiver: cabc.Callable[..., object], app: Flask, event: SessionEvent
) -> None:
    receiver(app, event=event)


def _options(app: Flask, *, is_permanent: bool) -> dict[str, t.Any]:
    """The options that are not about the cookie. Sessions are permanent by default
    where they were with Flask-Session."""
    config = app.config
    permanent_lifetime: object = app.permanent_session_lifetime
    if not isinstance(permanent_lifetime, timedelta):
        raise ConfigurationError(
            f"PERMANENT_SESSION_LIFETIME={permanent_lifetime!r} cannot work: it must "
            "be a timedelta or a number of seconds.",
            "permanent_lifetime",
        )
    options = {
        "permanent": is_permanent,
        "permanent_lifetime": permanent_lifetime,
        "lifetime": max(_default("lifetime"), permanent_lifetime),
        "user_key": _USER_KEY,
        **{name: config[key] for name, key in _OPTIONS.items() if key in config},
    }
    # Flask's own cookies, and Flask-Session, have one lifetime for both kinds.
    if permanent_lifetime > timedelta(0):  # else it is an error under its own name
        most = timedelta.max if is_permanent else _default("idle_timeout")
        options.setdefault("idle_timeout", min(most, permanent_lifetime))
    options["permanent"] = bool(options["permanent"])
    if "SESSION_KEY_PREFIX" in config:
        options.setdefault("migrate_prefix", config["SESSION_KEY_PREFIX"])
    return options


def _default(option: str) -> timedelta:
    return timedelta(seconds=SessionConfig().seconds(option))


def _check(config: cabc.Mapping[str, t.Any]) -> None:
    """Refuse what was meant for other places than Redis, and what is misspelt."""
    kind = config.get("SESSION_TYPE")
    is_redis = isinstance(kind, str) and kind.lower() == "redis"
    if kind is not None and not is_redis:
        raise ConfigurationError(
            f"SESSION_TYPE={kind!r} cannot work: these sessions are in Redis. Remove "
            'it or set it to "redis", and name the server in SESSION_REDIS.'
        )
    known = {*Flask.default_config, *FLASK_KEYS.values(), "SESSION_TYPE", *_UNUSED}
    for key in config:
        if key.startswith(_FOREIGN):
            raise ConfigurationError(
                f"{key} has no meaning here: these sessions are in Redis. Remove it, "
                "and name the server in SESSION_REDIS."
            )
        is_ours = key.startswith(("SESSION_", "PERMANENT_SESSION_"))
        if is_ours and (meant := near_misses(key, known)):
            raise ConfigurationError(
                f"{key} means nothing: did you mean {' or '.join(meant)}?"
            )


_UNSIGNED = (
    "SECRET_KEY is missing. Flask-Session works without it, but these cookies are "
    "always signed. Make one with python -c 'import secrets; "
    "print(secrets.token_hex())', keep it out of the source, and give every worker "
    "the same one."
)

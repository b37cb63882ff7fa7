"""The same sessions as ``flask.session``.

.. code-block:: python

    from flask import Flask, session
    from wsgi_redis_session.flask import Session

    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    Session(app)  # or sess = Session(), and sess.init_app(app) in a factory

Configuration is Flask's own, which keeps its meaning: ``SECRET_KEY``,
``SECRET_KEY_FALLBACKS``, ``SESSION_COOKIE_*``, ``PERMANENT_SESSION_LIFETIME`` and
``SESSION_REFRESH_EACH_REQUEST``; then ``SESSION_REDIS``, a URL or a client, and each
option of :class:`~wsgi_redis_session.config.SessionConfig` as ``SESSION_<OPTION>``.
An application that was configured for Flask-Session works as it is. A change of
``app.config`` takes effect with the next request.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t
from datetime import timedelta

from flask import has_request_context
from flask import request as current_request
from flask.sessions import SessionInterface
from flask.sessions import SessionMixin

from .commit import Outcome
from .config import SessionConfig
from .errors import ConfigurationError
from .errors import SessionUnavailable
from .headers import is_shared
from .headers import set_cookie
from .manager import SessionManager
from .middleware import ENVIRON_KEY
from .middleware import SessionMiddleware
from .session import Session as LoadedSession
from .store import Client

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment
    from flask import Flask
    from flask import Request
    from flask import Response

#: Where ``app.extensions`` has the application's :class:`SessionManager`.
EXTENSION = "wsgi_redis_session"

#: What the manager in ``app.extensions`` was made from.
_SETTINGS = f"{EXTENSION}.settings"

#: Where Flask-Login keeps who is logged in.
_USER_KEY = "_user_id"

#: Our options under their own names in ``app.config``.
_OPTIONS = {
    field.name: f"SESSION_{field.name.upper()}"
    for field in dataclasses.fields(SessionConfig)
    if not field.name.startswith("cookie_") and field.name != "permanent_lifetime"
}

#: Everything in ``app.config`` that sessions depend on.
_KEYS = (
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "APPLICATION_ROOT",
    "PERMANENT_SESSION_LIFETIME",
    "SESSION_COOKIE_NAME",
    "SESSION_COOKIE_DOMAIN",
    "SESSION_COOKIE_PATH",
    "SESSION_COOKIE_HTTPONLY",
    "SESSION_COOKIE_SECURE",
    "SESSION_COOKIE_SAMESITE",
    "SESSION_COOKIE_PARTITIONED",
    "SESSION_TYPE",
    "SESSION_REDIS",
    *_OPTIONS.values(),
)

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


class Session:
    """The Flask extension: ``flask.session`` is a session in Redis.

    It sets the application's session interface and wraps ``app.wsgi_app`` in the
    middleware, so that what a streaming response changes is saved as well. The
    application's :class:`~wsgi_redis_session.SessionManager` is
    ``app.extensions["wsgi_redis_session"]``.

    Raises :exc:`~wsgi_redis_session.ConfigurationError` for a configuration that
    cannot work.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set up an application, in a factory, say."""
        interface = RedisSessionInterface()
        interface.manager(app)
        app.session_interface = interface
        app.wsgi_app = _Door(app, app.wsgi_app, interface)  # type: ignore[method-assign]  # as Flask documents for middleware


class RedisSessionInterface(SessionInterface):
    """Sessions in Redis for ``app.session_interface``, without the middleware.

    ``redis`` (a URL or a client) and ``prefix`` take the place of ``SESSION_REDIS``
    and ``SESSION_KEY_PREFIX``. One object may serve several applications.
    """

    def __init__(
        self, redis: str | Client | None = None, prefix: str | None = None
    ) -> None:
        self.redis = redis
        self.prefix = prefix

    def manager(self, app: Flask) -> SessionManager | None:
        """The application's manager, as it is configured now; ``None`` without a
        ``SECRET_KEY``."""
        config = app.config
        settings = (
            self.redis,
            self.prefix,
            *map(config.get, _KEYS),
            tuple(config.get("SECRET_KEY_FALLBACKS") or ()),
        )
        if app.extensions.get(_SETTINGS) != settings:
            app.extensions[EXTENSION] = self._configure(app)
            app.extensions[_SETTINGS] = settings
        return t.cast("SessionManager | None", app.extensions[EXTENSION])

    def open_session(self, app: Flask, request: Request) -> SessionMixin | None:
        """The session that the middleware has opened, or one without it."""
        manager = self.manager(app)
        if manager is None:
            return None
        session = request.environ.get(ENVIRON_KEY)
        if not isinstance(session, LoadedSession) or not manager.is_serving(session):
            session = manager.open(request.environ.get("HTTP_COOKIE", ""))
        return t.cast(SessionMixin, session)

    def save_session(self, app: Flask, session: t.Any, response: Response) -> None:
        """Save the session and tell the browser.

        Where Redis fails, the response is what the application answers to the error,
        as if a view had raised it.
        """
        manager = self.manager(app)
        if manager is None:
            return
        try:
            outcome = manager.commit(session, secure=_is_secure())
        except SessionUnavailable as failure:
            manager.close(session)
            _replace(response, app.make_response(app.handle_user_exception(failure)))
            return
        except Exception:
            manager.close(session)  # the page that reports it is not to fail again
            raise
        if session.accessed:
            response.vary.add("Cookie")
        if outcome.cookie is not None:
            _set_cookie(response, manager.config.cookie_name, outcome)

    def _configure(self, app: Flask) -> SessionManager | None:
        config = app.config
        _check(config)
        if not config.get("SECRET_KEY"):
            return None
        options = {name: config[key] for name, key in _OPTIONS.items() if key in config}
        options.setdefault("user_key", _USER_KEY)
        # Flask-Session makes every session permanent unless told otherwise.
        options.setdefault("permanent", "SESSION_TYPE" in config)
        permanent_lifetime = app.permanent_session_lifetime
        options.setdefault("lifetime", max(timedelta(days=90), permanent_lifetime))
        if "SESSION_KEY_PREFIX" in config:
            options.setdefault("migrate_prefix", config["SESSION_KEY_PREFIX"])
        if self.prefix is not None:
            options["key_prefix"] = self.prefix
        partitioned = bool(config.get("SESSION_COOKIE_PARTITIONED"))
        return SessionManager(
            self.redis or config.get("SESSION_REDIS"),
            secret_key=config["SECRET_KEY"],
            secret_key_fallbacks=config.get("SECRET_KEY_FALLBACKS") or (),
            permanent_lifetime=permanent_lifetime,
            cookie_name=self.get_cookie_name(app),
            cookie_domain=self.get_cookie_domain(app) or None,
            cookie_path=self.get_cookie_path(app),
            cookie_httponly=self.get_cookie_httponly(app),
            # Werkzeug adds Secure to a partitioned cookie in any case.
            cookie_secure=partitioned or self.get_cookie_secure(app),
            cookie_samesite=self.get_cookie_samesite(app),
            cookie_partitioned=partitioned,
            **options,
        )


class _Door:
    """An application's ``wsgi_app`` inside the middleware, as it is configured now."""

    def __init__(
        self, app: Flask, wsgi_app: WSGIApplication, interface: RedisSessionInterface
    ) -> None:
        self.app = app
        self.wsgi_app = wsgi_app
        self.interface = interface

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        manager = self.interface.manager(self.app)
        if manager is None:
            return self.wsgi_app(environ, start_response)
        return SessionMiddleware(self.wsgi_app, manager)(environ, start_response)


def _check(config: cabc.Mapping[str, t.Any]) -> None:
    """Refuse what was meant for other places than Redis."""
    kind = config.get("SESSION_TYPE", "redis")
    if not isinstance(kind, str) or kind.lower() != "redis":
        raise ConfigurationError(
            f"SESSION_TYPE={kind!r} cannot work: these sessions are in Redis. Remove "
            'it or set it to "redis", and name the server in SESSION_REDIS.'
        )
    for key in config:
        if key.startswith(_FOREIGN):
            raise ConfigurationError(
                f"{key} has no meaning here: these sessions are in Redis. Remove it, "
                "and name the server in SESSION_REDIS."
            )


def _is_secure() -> bool:
    return has_request_context() and current_request.is_secure


def _set_cookie(response: Response, name: str, outcome: Outcome) -> None:
    headers = response.headers.to_wsgi_list()
    if outcome.renewal and is_shared(response.status, headers):
        return
    response.headers.clear()
    response.headers.extend(set_cookie(headers, name, t.cast(str, outcome.cookie)))


def _replace(response: Response, other: Response) -> None:
    """Turn a response into another one; Flask has no way to return it from here."""
    response.close()
    response.status = other.status
    response.headers.clear()
    response.headers.extend(other.headers)
    response.response = other.response
    response.direct_passthrough = other.direct_passthrough

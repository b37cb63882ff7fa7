"""The same sessions as ``flask.session``.

.. code-block:: python

    from flask import Flask, session
    from wsgi_redis_session.flask import Session

    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    Session(app)  # or sess = Session(), and sess.init_app(app) in a factory

Configuration is Flask's own, which keeps its meaning: ``SECRET_KEY``,
``SECRET_KEY_FALLBACKS``, ``SESSION_COOKIE_*`` and ``PERMANENT_SESSION_LIFETIME``; then
``SESSION_REDIS``, a URL or a client, and each option of
:class:`~wsgi_redis_session.config.SessionConfig` as ``SESSION_<OPTION>``.
``SESSION_REFRESH_EACH_REQUEST`` changes nothing: sessions and their cookies are
prolonged once per ``SESSION_TOUCH_INTERVAL``. An application that was configured for
Flask-Session works as it is. A change of ``app.config`` takes effect with the next
request.
"""

from __future__ import annotations

import collections.abc as cabc
import copy
import dataclasses
import typing as t
from datetime import timedelta

from flask import after_this_request
from flask import has_request_context
from flask import session as current_session
from flask.sessions import SessionInterface
from flask.sessions import SessionMixin
from werkzeug.datastructures import Headers

from .config import FLASK_KEYS
from .config import SessionConfig
from .errors import ConfigurationError
from .errors import SessionUnavailable
from .manager import SessionManager
from .middleware import ENVIRON_KEY
from .middleware import SessionMiddleware
from .model.session import Session as LoadedSession
from .model.session import source_of
from .options import named_by
from .request.exchange import Exchange
from .request.exchange import Outage
from .request.exchange import SavedBody
from .transport.transport import Client

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment
    from flask import Flask
    from flask import Request
    from flask import Response
    from werkzeug.local import LocalProxy

#: Where ``app.extensions`` has the application's :class:`SessionManager`.
EXTENSION = "wsgi_redis_session"

#: Where the WSGI environment has the application and its manager.
_DOOR = f"{EXTENSION}.door"

#: The same manager, and what it was made from.
_MADE = f"{EXTENSION}.made"

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
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "PERMANENT_SESSION_LIFETIME",
    "SESSION_TYPE",
    "SESSION_REDIS",
    *_OPTIONS.values(),
)

#: A request's first look at its session is to tell of an outage, error pages are not.
_RAISED_ONCE = {
    Outage.RAISE: Outage.RAISE_ONCE,
    Outage.RAISE_ONCE: Outage.RAISE_ONCE,
    Outage.READ_EMPTY: Outage.READ_EMPTY,
}

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

    #: Whether nobody has overridden what says how the cookie is to be.
    _cookie_is_configured = True

    def __init_subclass__(cls) -> None:
        cls._cookie_is_configured = all(
            getattr(cls, name) is getattr(SessionInterface, name)
            for name in dir(SessionInterface)
            if name.startswith("get_cookie_")
        )

    def __init__(
        self, redis: str | Client | None = None, prefix: str | None = None
    ) -> None:
        self.redis = redis
        self.prefix = prefix

    def manager(self, app: Flask) -> SessionManager | None:
        """The application's manager, as it is configured now; ``None`` without a
        ``SECRET_KEY``."""
        made: _Made | None = app.extensions.get(_MADE)
        if (
            made is None
            or made.config != app.config
            or made.settings[:2] != (self.redis, self.prefix)
            or not self._cookie_is_configured
        ):
            made = self._make(app, made)
        return made.manager

    def open_session(self, app: Flask, request: Request) -> SessionMixin | None:
        """The session that the middleware has opened, or one without it."""
        environ = request.environ
        through, manager = environ.get(_DOOR, (None, None))
        if through is not app:
            manager = self.manager(app)
        if manager is None:
            return None
        # Where a WebSocket is served, each message opens the session anew, in the
        # environment of a request that lasts as long as the connection does.
        kept = None if "HTTP_UPGRADE" in environ else environ.get(ENVIRON_KEY)
        exchange = manager.serving(kept) or manager.exchange(environ)
        # What stands between may have made another environment of it.
        exchange.environ = environ
        if has_request_context():
            exchange.outage = _RAISED_ONCE[exchange.outage]
            if app.after_request_funcs:
                _bear_outages(exchange)
        opened: t.Any = exchange.session
        return t.cast(SessionMixin, opened)

    def save_session(self, app: Flask, session: t.Any, response: Response) -> None:
        """Save the session and tell the browser.

        Where Redis fails, the response is what the application answers to the error,
        as if a view had raised it.
        """
        exchange = t.cast(Exchange, source_of(session))
        is_list = type(response.response) in (list, tuple)
        exchange.is_complete = is_list and not response._on_close
        # A body that streams is told of an outage again.
        is_borne = exchange.parts.config.on_unavailable == "anonymous"
        is_known = is_borne or exchange.failure is not None
        exchange.outage = Outage.READ_EMPTY if is_known else Outage.RAISE
        if exchange.environ.get(ENVIRON_KEY) is not session:
            _close_with(response, exchange)
        if exchange.draft is None and not session.accessed:
            return
        headers = response.headers.to_wsgi_list()
        try:
            ours = exchange.save(response.status, headers)
        except SessionUnavailable as failure:
            if not _is_current(session):  # it is session_transaction(), in a test
                raise
            _replace(response, app.make_response(app.handle_user_exception(failure)))
            return
        if ours is not headers:
            response.headers = Headers(ours)

    def is_null_session(self, obj: object) -> bool:
        """Whether there is no ``SECRET_KEY``, so that nothing can be stored."""
        # Flask asks an abstract base class, which takes its time to say no.
        return type(obj) is not _FlaskSession and super().is_null_session(obj)

    def regenerate(self, session: t.Any) -> None:
        """Flask-Session's name for ``session.regenerate()``."""
        session.regenerate()

    def _make(self, app: Flask, made: _Made | None) -> _Made:
        """A manager, which is the one that there was if nothing matters to it that
        has changed."""
        config = app.config
        fallbacks = config.get("SECRET_KEY_FALLBACKS")
        settings = (
            self.redis,
            self.prefix,
            *map(config.get, _KEYS),
            tuple(fallbacks or ()),
        )
        cookie = self._cookie_options(app)
        # A cookie that depends on the request is to cost no new connection.
        same = made.manager if made and made.settings == settings else None
        if same is None or made is None or made.cookie != cookie:
            same = self._configure(app, cookie, same)
        # A list may change in its place.
        snapshot = {**config, "SECRET_KEY_FALLBACKS": copy.copy(fallbacks)}
        made = app.extensions[_MADE] = _Made(snapshot, settings, cookie, same)
        app.extensions[EXTENSION] = same
        return made

    def _cookie_options(self, app: Flask) -> dict[str, t.Any]:
        # Flask takes anything for true or false, the 1 of an environment variable, say.
        partitioned = bool(self.get_cookie_partitioned(app))
        secure: t.Any = self.get_cookie_secure(app)
        if secure != "auto":
            secure = bool(secure)
        return {
            "cookie_name": self.get_cookie_name(app),
            "cookie_domain": self.get_cookie_domain(app) or None,
            "cookie_path": self.get_cookie_path(app),
            "cookie_httponly": bool(self.get_cookie_httponly(app)),
            # Werkzeug adds Secure to a partitioned cookie in any case.
            "cookie_secure": partitioned or secure,
            "cookie_samesite": self.get_cookie_samesite(app),
            "cookie_partitioned": partitioned,
        }

    def _configure(
        self, app: Flask, cookie: dict[str, t.Any], same: SessionManager | None
    ) -> SessionManager | None:
        """``same`` is a manager that differs in its cookie at most."""
        config = app.config
        _check(config)
        if not config.get("SECRET_KEY"):
            return None
        options = {name: config[key] for name, key in _OPTIONS.items() if key in config}
        options.setdefault("user_key", _USER_KEY)
        # Flask-Session makes every session permanent unless told otherwise.
        options.setdefault("permanent", "SESSION_TYPE" in config)
        options["permanent"] = bool(options["permanent"])
        permanent_lifetime = app.permanent_session_lifetime
        options.setdefault("lifetime", max(timedelta(days=90), permanent_lifetime))
        if "SESSION_KEY_PREFIX" in config:
            options.setdefault("migrate_prefix", config["SESSION_KEY_PREFIX"])
        redis, keys = config.get("SESSION_REDIS"), dict(FLASK_KEYS)
        if self.prefix is not None:
            options["key_prefix"], keys["key_prefix"] = self.prefix, "prefix"
        if self.redis is not None:
            redis, keys["redis"] = self.redis, "redis"
        with named_by(keys):
            return _FlaskManager(
                same.store.transport if same else redis,
                secret_key=config["SECRET_KEY"],
                secret_key_fallbacks=config.get("SECRET_KEY_FALLBACKS") or (),
                permanent_lifetime=permanent_lifetime,
                **cookie,
                **options,
            )


class _Made(t.NamedTuple):
    #: The whole configuration, as it was.
    config: dict[str, t.Any]
    #: What in it concerns sessions.
    settings: tuple[t.Any, ...]
    cookie: dict[str, t.Any]
    manager: SessionManager | None


class _FlaskSession(LoadedSession, SessionMixin):  # type: ignore[override]  # new is ours to say
    """A session that Flask knows as one of its own."""

    def __contains__(self, name: object) -> bool:
        # Flask-Login asks for this after every request, also of those that have nothing
        # to do with the session; it is there only while the request runs that set it.
        if name == "_remember" and self._draft is None:
            return False
        return super().__contains__(name)


class _FlaskManager(SessionManager):
    session_class = _FlaskSession


class _Door:
    """An application's ``wsgi_app`` inside the middleware, as it is configured now."""

    def __init__(
        self, app: Flask, wsgi_app: WSGIApplication, interface: RedisSessionInterface
    ) -> None:
        self.app = app
        self.wsgi_app = wsgi_app
        self.interface = interface
        self._middleware: SessionMiddleware | None = None

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        manager = self.interface.manager(self.app)
        environ[_DOOR] = self.app, manager
        if manager is None:
            return self.wsgi_app(environ, start_response)
        middleware = self._middleware
        if middleware is None or middleware.sessions is not manager:
            middleware = SessionMiddleware(self.wsgi_app, manager)
            self._middleware = middleware
        return middleware(environ, start_response)


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


def _bear_outages(exchange: Exchange) -> None:
    """Do not tell of an outage when the answer is there already.

    Hooks that run after every request look at the session, too. They find it empty, as
    error pages do; if they change it, that is an error as ever.
    """

    def answer(response: Response) -> Response:
        exchange.outage = Outage.READ_EMPTY
        return response

    after_this_request(answer)


def _close_with(response: Response, exchange: Exchange) -> None:
    """Without the middleware, the request is over when the response is closed."""
    if type(response.response) not in (list, tuple) and not response.direct_passthrough:
        response.response = SavedBody(response.response, exchange)
    else:
        response.call_on_close(exchange.save_and_close)


def _is_current(session: object) -> bool:
    """Whether a session is that of the request."""
    proxy = t.cast("LocalProxy[SessionMixin]", current_session)
    return has_request_context() and proxy._get_current_object() is session


def _replace(response: Response, other: Response) -> None:
    """Turn a response into another one; Flask has no way to return it from here."""
    if hasattr(response.response, "close"):
        response.response.close()
    response.status = other.status
    response.headers = other.headers
    response.response = other.response
    response.direct_passthrough = other.direct_passthrough

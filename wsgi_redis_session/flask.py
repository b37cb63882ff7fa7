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
import functools
import typing as t

from flask import after_this_request
from flask import has_request_context
from flask import session as current_session
from flask.sessions import SessionInterface
from flask.sessions import SessionMixin
from werkzeug.datastructures import Headers

from .errors import ConfigurationError
from .errors import SessionUnavailable
from .flask_manager import EXTENSION
from .flask_manager import FlaskSession
from .flask_manager import MADE
from .flask_manager import Made
from .flask_manager import make
from .flask_manager import session_event as session_event  # for applications
from .manager import SessionManager
from .middleware import ENVIRON_KEY
from .middleware import SessionMiddleware
from .model.session import source_of
from .request.body import end_with_body
from .request.body import SavedBody
from .request.exchange import Exchange
from .request.loading import Outage
from .transport.transport import Client

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment
    from flask import Flask
    from flask import Request
    from flask import Response
    from werkzeug.local import LocalProxy

#: Where the WSGI environment has the application and its manager.
_DOOR = f"{EXTENSION}.door"


#: What Flask's own interface asks itself, and what to use here instead.
_REFUSED = {
    "should_set_cookie": (
        "a session's cookie is written when its session id or its kind is new, or when "
        "SESSION_TOUCH_INTERVAL has passed; not to save a session at all, override "
        "save_session"
    ),
    "get_expiration_time": (
        "cookies and sessions end together, as PERMANENT_SESSION_LIFETIME and "
        "SESSION_IDLE_TIMEOUT say"
    ),
    "session_class": (
        "flask.session is always the library's own session; write functions that take "
        "it in the place of methods"
    ),
}


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

    ``get_cookie_name`` and its like may be overridden, in a subclass or in the object.
    Raises :exc:`~wsgi_redis_session.ConfigurationError` where somebody overrides
    ``should_set_cookie``, ``get_expiration_time`` or ``session_class``, which have no
    meaning here.
    """

    #: Whether nobody has overridden what says how the cookie is to be.
    _cookie_is_configured = True

    def __init_subclass__(cls) -> None:
        for name in _REFUSED:
            if getattr(cls, name, None) is not getattr(SessionInterface, name, None):
                raise _refused(cls, name)
        cls._cookie_is_configured = all(
            getattr(cls, name) is getattr(SessionInterface, name)
            for name in dir(SessionInterface)
            if name.startswith("get_cookie_")
        )

    def __init__(
        self, redis: str | Client | None = None, prefix: str | None = None
    ) -> None:
        if hasattr(redis, "wsgi_app"):
            raise ConfigurationError(
                "RedisSessionInterface takes redis and prefix, not the application: "
                "app.session_interface = RedisSessionInterface()",
                "redis",
            )
        self.redis = redis
        self.prefix = prefix

    def __setattr__(self, name: str, value: t.Any) -> None:
        if name in _REFUSED:
            raise _refused(type(self), name)
        if name.startswith("get_cookie_"):
            self._cookie_is_configured = False
        super().__setattr__(name, value)

    def manager(self, app: Flask) -> SessionManager | None:
        """The application's manager, as it is configured now; ``None`` without a
        ``SECRET_KEY``."""
        made: Made | None = app.extensions.get(MADE)
        try:
            is_same = made is not None and made.config == app.config
        except Exception:  # of values that cannot be compared, as arrays are
            is_same = False
        if (
            made is None
            or not is_same
            or made.settings[:2] != (self.redis, self.prefix)
            or not made.is_by_config
            or not self._cookie_is_configured
        ):
            made = make(app, self, self.redis, self.prefix, made)
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
        kept: t.Any = None if "HTTP_UPGRADE" in environ else environ.get(ENVIRON_KEY)
        exchange = manager.serving(kept)
        if exchange is None:
            exchange = manager.exchange(environ)
            kept = manager.session_class(exchange)
        # What stands between may have made another environment of it.
        exchange.environ = environ
        if has_request_context():
            # Its first look is to tell of an outage, error pages are not.
            if exchange.outage is Outage.RAISE:
                exchange.outage = Outage.RAISE_ONCE
            if app.after_request_funcs:
                _bear_outages(exchange)
        session: SessionMixin = kept
        return session

    def save_session(self, app: Flask, session: t.Any, response: Response) -> None:
        """Save the session and tell the browser.

        Where Redis fails, the response is what the application answers to the error,
        as if a view had raised it.
        """
        source: t.Any = source_of(session)
        exchange: Exchange = source
        # A body that streams is told of an outage again.
        is_borne = exchange.parts.config.on_unavailable == "anonymous"
        is_known = is_borne or exchange.failure is not None
        exchange.outage = Outage.READ_EMPTY if is_known else Outage.RAISE
        is_whole = type(response.response) in (list, tuple)
        if exchange.environ.get(ENVIRON_KEY) is session:
            exchange.ends_with_body = is_whole and not response.direct_passthrough
            if exchange.ends_with_body:
                response.call_on_close(functools.partial(end_with_body, exchange))
        elif is_whole or response.direct_passthrough:
            response.call_on_close(exchange.save_and_close)
        else:
            response.response = SavedBody(response.response, exchange)
        if exchange.draft is None and not exchange.accessed:
            return
        headers = response.headers.to_wsgi_list()
        try:
            ours = exchange.save(response.status, headers)
        except SessionUnavailable as failure:
            if not _is_current(session):  # it is session_transaction(), in a test
                raise
            _replace(response, app.make_response(app.handle_user_exception(failure)))
            return
        added = ours[len(headers) :]
        if ours != headers + added:
            response.headers = Headers(ours)
        else:
            for field, value in added:
                response.headers.add(field, value)

    def is_null_session(self, obj: object) -> bool:
        """Whether there is no ``SECRET_KEY``, so that nothing can be stored."""
        # Flask asks an abstract base class, which takes its time to say no.
        return type(obj) is not FlaskSession and super().is_null_session(obj)

    def regenerate(self, session: t.Any) -> None:
        """Flask-Session's name for ``session.regenerate()``."""
        session.regenerate()


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


def _refused(cls: type, name: str) -> ConfigurationError:
    return ConfigurationError(
        f"{cls.__qualname__}.{name} has no meaning: {_REFUSED[name]}."
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

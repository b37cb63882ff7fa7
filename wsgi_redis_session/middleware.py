"""Sessions for any WSGI application.

.. code-block:: python

    import os
    from wsgi_redis_session import SessionManager, SessionMiddleware, get_session

    sessions = SessionManager(
        "redis://localhost:6379/0", secret_key=os.environ["SECRET_KEY"]
    )

    def app(environ, start_response):
        session = get_session(environ)
        session["visits"] = session.get("visits", 0) + 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"visit {session['visits']}".encode()]

    application = SessionMiddleware(app, sessions)

The session is saved, and its cookie set, before the first byte of the response leaves.
Changes that are made while the body streams are saved at its end; a session that is
new then raises :exc:`~wsgi_redis_session.HeadersAlreadySent`. When the application
raises, nothing is saved. Put the middleware inside of what corrects the environment,
like Werkzeug's ``ProxyFix``, and outside of the application.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from .errors import ConfigurationError
from .events import logger
from .manager import SessionManager
from .model.session import Session
from .request.exchange import Exchange
from .response import HeldResponse

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment

#: Where the middleware leaves the session in the WSGI environment.
ENVIRON_KEY = "wsgi_redis_session.session"


def get_session(environ: WSGIEnvironment, environ_key: str = ENVIRON_KEY) -> Session:
    """The session of the request with this WSGI environment.

    Raises :exc:`LookupError` where no :class:`SessionMiddleware` is in front.
    """
    try:
        session: Session = environ[environ_key]
    except KeyError:
        raise LookupError(
            f"There is no {environ_key!r} in the WSGI environment: wrap the "
            "application in SessionMiddleware(app, sessions)."
        ) from None
    return session


class SessionMiddleware:
    """Gives a WSGI application its visitors' sessions.

    Mounted twice, the inner one leaves a session of the same cookie to the outer one,
    and warns if its options are not the same; two different cookies need two environ
    keys.

    Raises :exc:`~wsgi_redis_session.ConfigurationError` for arguments in another order.

    A :exc:`~wsgi_redis_session.SessionUnavailable` that the application lets through,
    or that saving raises, is answered with ``503 Service Unavailable``, if nothing has
    been sent yet. ``answer_unavailable=False`` lets it out, for a handler of your own
    further outside; ``None`` is what the manager's option of that name says.
    """

    def __init__(
        self,
        app: WSGIApplication,
        sessions: SessionManager,
        *,
        environ_key: str = ENVIRON_KEY,
        answer_unavailable: bool | None = None,
    ) -> None:
        if not callable(app) or not isinstance(sessions, SessionManager):
            raise ConfigurationError(
                "SessionMiddleware(app, sessions) takes the WSGI application first and "
                f"its SessionManager second, not a {type(app).__qualname__} and a "
                f"{type(sessions).__qualname__}."
            )
        self.app = app
        self.sessions = sessions
        self.environ_key = environ_key
        self.answer_unavailable = (
            sessions.config.answer_unavailable
            if answer_unavailable is None
            else answer_unavailable
        )
        self._has_warned = False

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        outer = environ.get(self.environ_key)
        if outer is not None and (serving := self.sessions.serving(outer)):
            self._compare(serving)
            return self.app(environ, start_response)
        exchange = Exchange(self.sessions.parts, environ)
        environ[self.environ_key] = self.sessions.session_class(exchange)
        response = HeldResponse(
            exchange, start_response, answers_unavailable=self.answer_unavailable
        )
        return response.run(self.app)

    def _compare(self, outer: Exchange) -> None:
        """Warn, once, of options that count for nothing inside another middleware."""
        ignored = self.sessions.config.differences(outer.parts.config)
        if ignored and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "A SessionMiddleware, or a Flask application with sessions, is inside "
                "another SessionMiddleware with other options. Those of the outer one "
                "count, also for %s. Give both the same manager, or remove one.",
                ", ".join(ignored),
            )

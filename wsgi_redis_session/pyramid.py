"""The same sessions as Pyramid's ``request.session``.

.. code-block:: python

    config.include("wsgi_redis_session.pyramid")

with ``session.secret_key``, ``session.redis`` and any other option as
``session.<option>`` in the settings; the first two may come from the environment
variables ``SECRET_KEY`` and ``SESSION_REDIS`` instead. ``session.set_on_exception =
false`` saves nothing where an exception view answers. Where Redis does not answer,
Pyramid then answers ``503 Service Unavailable``, unless there is an exception view of
yours for :exc:`~wsgi_redis_session.SessionUnavailable`.

With a manager of your own: ``config.set_session_factory(SessionFactory(sessions))``.

Inside a :class:`~wsgi_redis_session.SessionMiddleware`, ``request.session`` is the
session of the middleware. Without it, sessions are saved with the response callbacks of
the request, and what is changed after that at the end of the body, if the request has
looked at its session before that.
"""

from __future__ import annotations

import collections.abc as cabc
import os
import secrets
import sys
import typing as t

from pyramid.httpexceptions import HTTPServiceUnavailable
from pyramid.interfaces import ISession
from pyramid.interfaces import ISessionFactory
from pyramid.request import Request
from pyramid.threadlocal import get_current_request
from zope.interface import implementer

from .environment import from_strings
from .environment import VARIABLES
from .errors import SessionUnavailable
from .manager import SessionManager
from .middleware import ENVIRON_KEY
from .model.session import Session
from .options import BOOLEAN
from .options import named_by
from .options import read
from .options import refuse_unknown
from .options import wrong
from .request.body import SavedBody
from .request.exchange import Exchange

_FLASH = "_f_"
#: As Pyramid's ``SessionCSRFStoragePolicy`` has it, so that changing to that keeps the
#: tokens of pages that visitors have open.
_CSRF_TOKEN = "_csrft_"  # noqa: S105  # it is the name of one

_PREFIX = "session."

#: A setting that only Pyramid's session factories have.
_SET_ON_EXCEPTION = "set_on_exception"


@implementer(ISession)
class PyramidSession(cabc.MutableMapping[str, t.Any]):
    """What Pyramid's ``ISession`` documents, over a session of ours."""

    # No __dict__: a misspelt or unknown attribute is an error, not a silent loss.
    __slots__ = ("__weakref__", "session")

    def __init__(self, session: Session) -> None:
        #: The :class:`~wsgi_redis_session.Session` itself.
        self.session = session

    # The mapping.

    def __getitem__(self, name: str) -> t.Any:
        return self.session[name]

    def __setitem__(self, name: str, value: t.Any) -> None:
        self.session[name] = value

    def __delitem__(self, name: str) -> None:
        del self.session[name]

    def __iter__(self) -> cabc.Iterator[str]:
        return iter(self.session)

    def __len__(self) -> int:
        return len(self.session)

    def popitem(self) -> tuple[str, t.Any]:
        """Remove and return the name that was added last, and its value."""
        return self.session.popitem()

    def copy(self) -> dict[str, t.Any]:
        """A plain dictionary of the names and values."""
        return self.session.copy()

    def __repr__(self) -> str:
        return f"<PyramidSession of {self.session!r}>"

    # What Pyramid documents.

    @property
    def created(self) -> int:
        """When the session began, in seconds since the epoch."""
        return int(self.session.created)

    @property
    def new(self) -> bool:
        """Whether nothing is stored for this visitor yet."""
        return self.session.new

    def invalidate(self) -> None:
        """End the session; what is stored afterwards goes into a new one."""
        self.session.destroy()

    def changed(self) -> None:
        """Nothing to do: a change inside a value is found by itself."""

    def flash(self, msg: t.Any, queue: str = "", allow_duplicate: bool = True) -> None:
        """Add a message to the end of a queue."""
        messages = self.setdefault(_FLASH + queue, [])
        if allow_duplicate or msg not in messages:
            messages.append(msg)

    def pop_flash(self, queue: str = "") -> list[t.Any]:
        """Remove a queue and return its messages."""
        return t.cast("list[t.Any]", self.pop(_FLASH + queue, []))

    def peek_flash(self, queue: str = "") -> list[t.Any]:
        """The messages of a queue, which stay there."""
        return t.cast("list[t.Any]", self.get(_FLASH + queue, []))

    def new_csrf_token(self) -> str:
        """Store a new CSRF token and return it."""
        token = self[_CSRF_TOKEN] = secrets.token_urlsafe(32)
        return token

    def get_csrf_token(self) -> str:
        """The session's CSRF token, a new one if it has none."""
        return self.get(_CSRF_TOKEN) or self.new_csrf_token()

    # What sessions of ours can do beyond that.

    @property
    def id(self) -> str:
        """A one-way digest of the session id: safe to show and to log."""
        return self.session.id

    @property
    def permanent(self) -> bool:
        """Whether the session outlives the browser, for ``permanent_lifetime``."""
        return self.session.permanent

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self.session.permanent = value

    def regenerate(self) -> None:
        """Give the session a new session id, as at login; the data stay."""
        self.session.regenerate()


@implementer(ISessionFactory)
class SessionFactory:
    """Pyramid's ``ISessionFactory``, with or without the middleware.

    With ``set_on_exception=False``, as with Pyramid's own factories, nothing is saved
    where an exception view answers, be it a redirect or a 404 that was raised.
    """

    def __init__(
        self, sessions: SessionManager, *, set_on_exception: bool = True
    ) -> None:
        self.sessions = sessions
        self.set_on_exception = set_on_exception

    def __call__(self, request: t.Any) -> PyramidSession:
        """The session of a request."""
        environ = request.environ
        session = environ.get(ENVIRON_KEY)
        exchange = self.sessions.serving(session)
        is_ours = exchange is None
        if exchange is None:
            if "HTTP_COOKIE" not in environ and request.cookies:
                # A pyramid.testing.DummyRequest has its cookies only there.
                environ["HTTP_COOKIE"] = "; ".join(
                    f"{name}={value}" for name, value in request.cookies.items()
                )
            exchange = self.sessions.exchange(environ)
            session = self.sessions.session_class(exchange)
        if not self.set_on_exception:
            request.add_response_callback(_Dropping(exchange))
        if is_ours and isinstance(request, Request) and not _is_current(request):
            # The body streams, and Pyramid calls nobody back any more.
            exchange.close()
        elif is_ours:
            saving = _Saving(exchange)
            request.add_response_callback(saving)
            request.add_finished_callback(saving.finish)
        return PyramidSession(session)


def _is_current(request: Request) -> bool:
    return bool(get_current_request() is request)


class _Dropping:
    """The response callback that drops the changes of a view that raised."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __call__(self, request: t.Any, response: t.Any) -> None:
        if getattr(request, "exception", None) is not None:
            self._exchange.abandon()


class _Saving:
    """The response callback that saves a session and sets its cookie."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._is_streaming = False

    def __call__(self, request: t.Any, response: t.Any) -> None:
        if not all(isinstance(other, _Saving) for other in request.response_callbacks):
            # Those that are still to come may change the session.
            request.add_response_callback(self)
            return
        exchange = self._exchange
        try:
            headers = exchange.finish(response.status, response.headerlist)
        except SessionUnavailable:
            # Pyramid asks exception views only for what was raised before.
            other = request.invoke_exception_view(reraise=True)
            if hasattr(response.app_iter, "close"):
                response.app_iter.close()
            response.status, headers = other.status, other.headerlist
            response.app_iter = other.app_iter
        response.headerlist = headers
        if type(response.app_iter) not in (list, tuple):
            response.app_iter = SavedBody(response.app_iter, exchange)
            self._is_streaming = True

    def finish(self, request: object) -> None:
        """The request is over, but for a body that streams."""
        if self._is_streaming:
            return
        if sys.exc_info()[0] is not None:
            self._exchange.abandon()
        self._exchange.save_and_close()


def includeme(config: t.Any) -> None:
    """Make ``request.session`` one of these, as the settings ``session.*`` say.

    Raises :exc:`~wsgi_redis_session.ConfigurationError`.
    """
    settings = {
        name.removeprefix(_PREFIX): value
        for name, value in config.get_settings().items()
        if name.startswith(_PREFIX)
    }
    set_on_exception = settings.pop(_SET_ON_EXCEPTION, True)
    if isinstance(set_on_exception, str):
        set_on_exception = read(_SET_ON_EXCEPTION, set_on_exception, BOOLEAN)
    if not BOOLEAN.accepts(set_on_exception):
        name = _PREFIX + _SET_ON_EXCEPTION
        raise wrong(name, set_on_exception, BOOLEAN.allowed)
    refuse_unknown(settings, VARIABLES, prefix=_PREFIX)
    settings.setdefault("secret_key", os.environ.get("SECRET_KEY", ""))
    with named_by({name: _PREFIX + name for name in VARIABLES}):
        sessions = SessionManager(**from_strings(settings))
    factory = SessionFactory(sessions, set_on_exception=set_on_exception)
    config.set_session_factory(factory)
    config.add_exception_view(_unavailable, context=SessionUnavailable)


def _unavailable(error: SessionUnavailable, request: object) -> HTTPServiceUnavailable:
    return HTTPServiceUnavailable(error.description)

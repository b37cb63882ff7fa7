"""The same sessions as Pyramid's ``request.session``.

.. code-block:: python

    config.include("wsgi_redis_session.pyramid")

with ``session.secret_key``, ``session.redis`` and any other option as
``session.<option>`` in the settings; or, with a manager of your own,
``config.set_session_factory(SessionFactory(sessions))``. Inside a
:class:`~wsgi_redis_session.SessionMiddleware` it is the session of the middleware.
"""

from __future__ import annotations

import collections.abc as cabc
import secrets
import typing as t

from pyramid.interfaces import ISession
from zope.interface import implementer

from .headers import is_shared
from .headers import set_cookie
from .headers import vary_on_cookie
from .manager import SessionManager
from .middleware import ENVIRON_KEY
from .session import Session
from .strings import from_strings

_FLASH = "_f_"
_CSRF_TOKEN = "_csrft_"


@implementer(ISession)
class PyramidSession(cabc.MutableMapping[str, t.Any]):
    """What Pyramid's ``ISession`` documents, over a session of ours, which is
    :attr:`session`."""

    def __init__(self, session: Session) -> None:
        self.session = session

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

    def __repr__(self) -> str:
        return f"<PyramidSession of {self.session!r}>"

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


class SessionFactory:
    """Pyramid's ``ISessionFactory``, with or without the middleware."""

    def __init__(self, sessions: SessionManager) -> None:
        self.sessions = sessions

    def __call__(self, request: t.Any) -> PyramidSession:
        session = request.environ.get(ENVIRON_KEY)
        if not isinstance(session, Session) or not self.sessions.is_serving(session):
            session = self.sessions.open(request.environ.get("HTTP_COOKIE", ""))
            request.add_response_callback(self._saving(session))
        return PyramidSession(session)

    def _saving(self, session: Session) -> cabc.Callable[[t.Any, t.Any], None]:
        def save(request: t.Any, response: t.Any) -> None:
            outcome = self.sessions.commit(session, secure=request.scheme == "https")
            headers = response.headerlist
            if session.accessed:
                headers = vary_on_cookie(headers)
            shared = outcome.renewal and is_shared(response.status, headers)
            if outcome.cookie is not None and not shared:
                name = self.sessions.config.cookie_name
                headers = set_cookie(headers, name, outcome.cookie)
            response.headerlist = headers

        return save


def includeme(config: t.Any) -> None:
    """Make ``request.session`` one of these, as the settings ``session.*`` say."""
    settings = config.get_settings()
    options = from_strings(
        {
            name.removeprefix("session."): value
            for name, value in settings.items()
            if name.startswith("session.")
        }
    )
    config.set_session_factory(SessionFactory(SessionManager(**options)))

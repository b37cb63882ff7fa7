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
import contextlib
import typing as t

from werkzeug.wsgi import ClosingIterator

from .errors import ConfigurationError
from .errors import HeadersAlreadySent
from .errors import SessionUnavailable
from .events import logger
from .http.headers import Headers
from .manager import SessionManager
from .model.session import Session
from .request.exchange import Exchange

if t.TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment

#: Where the middleware leaves the session in the WSGI environment.
ENVIRON_KEY = "wsgi_redis_session.session"

_Write = cabc.Callable[[bytes], object]


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
        exchange = self.sessions.exchange(environ)
        environ[self.environ_key] = exchange.session
        response = _Response(
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


class _Response:
    """One response, whose head is held back until the session is saved.

    The server learns status and headers when nothing can change the cookie any more:
    when the first part of the body is there, or at once where the body is complete.
    PEP 3333 is the source of all the rules here.
    """

    __slots__ = (
        "_answers_unavailable",
        "_body",
        "_environ",
        "_exchange",
        "_file",
        "_head",
        "_is_flushed",
        "_iterator",
        "_server_start",
        "_write",
    )

    def __init__(
        self,
        exchange: Exchange,
        server_start: StartResponse,
        *,
        answers_unavailable: bool,
    ) -> None:
        self._exchange = exchange
        self._environ = exchange.environ
        self._server_start = server_start
        self._answers_unavailable = answers_unavailable
        self._head: tuple[str, Headers] | None = None
        self._write: _Write | None = None
        self._body: t.Any = None
        self._iterator: cabc.Iterator[bytes] | None = None
        self._file: object = None
        self._is_flushed = False

    def run(self, app: WSGIApplication) -> cabc.Iterable[bytes]:
        """Call the application; what it returns, or this object in its place."""
        # Looked up before the application may put something else there.
        wrapper = self._environ.get("wsgi.file_wrapper")
        if wrapper is not None and not isinstance(wrapper, type):
            self._environ["wsgi.file_wrapper"] = self._remembering(wrapper)
        try:
            body = self._body = app(self._environ, self.start_response)
        except StopIteration:
            # The connection was taken over: there will be no response, and nothing
            # but this exception may come out. What cannot be saved was reported.
            self._head = None
            with contextlib.suppress(HeadersAlreadySent):
                self._finish()
            raise
        except BaseException as error:
            self._fail()
            self._finish()
            if not self._is_answered(error):
                raise
            return self._apologize(error)
        if (
            type(body) in (list, tuple)
            or (self._exchange.is_complete and type(body) is ClosingIterator)
            or (isinstance(wrapper, type) and isinstance(body, wrapper))
            or (body is self._file and body is not None)
            or not (hasattr(body, "__iter__") or hasattr(body, "__getitem__"))
        ):
            # Servers have shortcuts for these, so they get the very same object. A
            # subclass of list is none of them: it may make its parts when it is read.
            try:
                self._finish()
            except BaseException as error:
                self._close_body()  # the server does not get it
                if not self._is_answered(error):
                    raise
                return self._apologize(error)
            return body
        sized: t.Any = body
        return _SizedBody(self, sized) if hasattr(body, "__len__") else self

    def start_response(
        self, status: str, headers: Headers, exc_info: OptExcInfo | None = None, /
    ) -> _Write:
        """What the application calls; the server's is called when all is known."""
        if exc_info is None and self._head is not None:
            raise AssertionError("start_response() was called twice without exc_info")
        self._head = (status, headers)
        if self._is_flushed:
            try:
                # Raises exc_info again if the first head has left already.
                self._write = self._server_start(
                    status, self._exchange.mark(status, headers), exc_info
                )
            finally:
                exc_info = None  # its traceback refers to this frame
        return self.write

    def write(self, data: bytes) -> None:
        """What start_response() returns."""
        self._flush()
        assert self._write is not None
        self._write(data)

    def __iter__(self) -> t.Self:
        return self

    def __next__(self) -> bytes:
        try:
            if self._iterator is None:
                self._iterator = iter(self._body)
            item = next(self._iterator)
            if not self._is_flushed and self._head is not None:
                self._flush()
        except StopIteration:
            try:
                self._save()
            except BaseException as error:
                if not self._is_answered(error):
                    raise
                return self._begin_apology(error)
            raise
        except BaseException as error:
            self._fail()
            if not self._is_answered(error):
                raise
            return self._begin_apology(error)
        return item

    def close(self) -> None:
        """Called by the server at the end, however the response ended."""
        try:
            self._close_body()
        except Exception:
            raise
        except BaseException:  # a greenlet's timeout, say: who knows where it struck
            self._fail()
            raise
        finally:
            self._finish()

    def _flush(self) -> None:
        """Save the session, then give the server the head."""
        if self._is_flushed:
            return
        assert self._head is not None
        try:
            status, headers = self._head
            headers = self._exchange.finish(status, headers)
        except BaseException:
            self._fail()
            raise
        self._is_flushed = True
        self._write = self._server_start(status, headers)

    def _save(self) -> None:
        """Flush, or save what has changed since."""
        if self._head is not None and not self._is_flushed:
            self._flush()
        else:
            self._exchange.save_late()

    def _fail(self) -> None:
        """Nothing is saved from here on, so the head that waits for it never leaves."""
        self._exchange.abandon()
        self._head = None

    def _is_answered(self, error: BaseException) -> t.TypeGuard[SessionUnavailable]:
        """Whether an error is ours to answer."""
        is_possible = self._answers_unavailable and not self._is_flushed
        return is_possible and isinstance(error, SessionUnavailable)

    def _apologize(self, error: SessionUnavailable) -> list[bytes]:
        """The whole response in the place of the application's."""
        logger.warning("503 Service Unavailable: %s", error)
        response = error.get_response(self._environ)
        response.headers["Cache-Control"] = "no-store"
        body, status, headers = response.get_wsgi_response(self._environ)
        self._is_flushed = True
        self._server_start(status, self._exchange.mark(status, headers))
        return list(body)

    def _begin_apology(self, error: SessionUnavailable) -> bytes:
        self._iterator = iter(self._apologize(error))
        return next(self._iterator, b"")

    def _close_body(self) -> None:
        body, self._body = self._body, None
        if hasattr(body, "close"):
            body.close()

    def _finish(self) -> None:
        exchange = self._exchange
        if exchange.is_over:
            return
        try:
            self._save()
        finally:
            exchange.close()

    def _remembering(self, wrapper: cabc.Callable[..., t.Any]) -> t.Any:
        """uWSGI's file wrapper is a function, known by the object that it made."""

        def file_wrapper(*args: t.Any) -> t.Any:
            self._file = wrapper(*args)
            return self._file

        return file_wrapper


class _SizedBody:
    """A response whose length the server may ask for (PEP 3333, "Handling the
    Content-Length Header")."""

    def __init__(self, response: _Response, body: cabc.Sized) -> None:
        self._response = response
        self._body = body

    def __iter__(self) -> _Response:
        return self._response

    def __len__(self) -> int:
        return len(self._body)

    def close(self) -> None:
        self._response.close()

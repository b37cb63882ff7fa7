"""A response whose head waits for its session to be saved."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t

from werkzeug.wsgi import ClosingIterator

from .errors import HeadersAlreadySent
from .errors import SessionUnavailable
from .http.headers import Headers
from .request.exchange import Exchange

if t.TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication

_Write = cabc.Callable[[bytes], object]


class HeldResponse:
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
        self._is_flushed = False

    def run(self, app: WSGIApplication) -> cabc.Iterable[bytes]:
        """Call the application; what it returns, or this object in its place."""
        made: list[object] = []
        # Looked up before the application may put something else there.
        wrapper: t.Any = self._environ.get("wsgi.file_wrapper")
        is_class = type(wrapper) is type
        if wrapper is not None and not is_class:
            self._environ["wsgi.file_wrapper"] = _remembering(wrapper, made)
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
        kind = type(body)
        if kind is ClosingIterator:
            # What Werkzeug makes of every response, and its length is never known.
            is_whole = self._exchange.ends_with_body
            return self._pass_on(body) if is_whole else self
        if (
            kind in (list, tuple)
            or (is_class and isinstance(body, wrapper))
            or (made and body is made[0])
            or not (hasattr(body, "__iter__") or hasattr(body, "__getitem__"))
        ):
            # Servers have shortcuts for these, so they get the very same object. A
            # subclass of list is none of them: it may make its parts when it is read.
            return self._pass_on(body)
        sized: t.Any = body
        return _SizedBody(self, sized) if hasattr(body, "__len__") else self

    def _pass_on(self, body: cabc.Iterable[bytes]) -> cabc.Iterable[bytes]:
        """Save the session, and let the server have the body itself."""
        try:
            self._save()
        except BaseException as error:
            if hasattr(body, "close"):
                body.close()  # the server does not get it
            if not self._is_answered(error):
                raise
            return self._apologize(error)
        finally:
            if self._exchange.ends_with_body and type(body) is ClosingIterator:
                self._exchange.has_left = True
            else:
                self._exchange.close()
        return body

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
            if not self._is_flushed:
                self._flush()
        except StopIteration:
            draft = self._exchange.draft
            if self._is_flushed and (draft is None or draft.is_untouched):
                raise
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
        exchange, body, self._body = self._exchange, self._body, None
        try:
            if hasattr(body, "close"):
                body.close()
        except Exception:
            raise
        except BaseException:  # a greenlet's timeout, say: who knows where it struck
            self._fail()
            raise
        finally:
            try:
                if not self._is_flushed:
                    self._save()
                elif exchange.draft is not None:
                    exchange.save_late()
            finally:
                exchange.close()

    def _flush(self) -> None:
        """Save the session, then give the server the head."""
        if self._is_flushed or self._head is None:
            return
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
        elif self._exchange.draft is not None:
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
        outage = self._exchange.parts.events.outage
        if not outage.is_on:  # else the event has told
            outage.met("503 Service Unavailable: %s", error)
        response = error.get_response(self._environ)
        response.headers["Cache-Control"] = "no-store"
        body, status, headers = response.get_wsgi_response(self._environ)
        self._is_flushed = True
        self._server_start(status, self._exchange.mark(status, headers))
        return list(body)

    def _begin_apology(self, error: SessionUnavailable) -> bytes:
        self._iterator = iter(self._apologize(error))
        return next(self._iterator, b"")

    def _finish(self) -> None:
        try:
            self._save()
        finally:
            self._exchange.close()


def _remembering(wrapper: cabc.Callable[..., t.Any], made: list[object]) -> t.Any:
    """uWSGI's file wrapper is a function, known by the object that it made."""

    def file_wrapper(*args: t.Any) -> t.Any:
        made[:] = [wrapper(*args)]
        return made[0]

    return file_wrapper


class _SizedBody:
    """A response whose length the server may ask for (PEP 3333, "Handling the
    Content-Length Header")."""

    def __init__(self, response: HeldResponse, body: cabc.Sized) -> None:
        self._response = response
        self._body = body

    def __iter__(self) -> HeldResponse:
        return self._response

    def __len__(self) -> int:
        return len(self._body)

    def close(self) -> None:
        self._response.close()

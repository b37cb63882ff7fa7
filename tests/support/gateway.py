"""A gateway after the example of PEP 3333 that notes what happens, and a site on it."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from wsgiref.util import setup_testing_defaults

from wsgi_apps import App
from wsgi_apps import Environ
from wsgi_apps import TEXT

from wsgi_redis_session import get_session
from wsgi_redis_session import Session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.transport.deadline import Deadline
from wsgi_redis_session.transport.question import Question
from wsgi_redis_session.transport.transport import ServerTransport

Headers = list[tuple[str, str]]

#: How long a server may take that the tests ask, in seconds.
PATIENCE = 10


class Answer:
    """A response as the gateway saw it, and what happened in which order."""

    def __init__(self) -> None:
        self.status = ""
        #: The very list that the gateway was given.
        self.headers: Headers = []
        #: What the application returned.
        self.result: t.Any = None
        self.parts: list[bytes] = []
        #: "saved", "start", "bytes", "closed" and what else a test notes.
        self.journal: list[str] = []

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    def all(self, name: str) -> list[str]:
        return [value for field, value in self.headers if field.lower() == name]

    @property
    def cookies(self) -> list[str]:
        return self.all("set-cookie")


class Gateway:
    """A browser with a cookie jar, and the CGI gateway of PEP 3333 under it."""

    def __init__(self, *, iterates: bool = True, parts: int | None = None) -> None:
        self.jar: dict[str, str] = {}
        #: Whether it looks at the body at all.
        self.iterates = iterates
        #: After how many parts it stops: the client is gone, or has all it wants.
        self.parts = parts
        #: The last answer, also one that was broken off by an exception.
        self.answer = Answer()

    def environ(self, **environ: t.Any) -> Environ:
        made: Environ = {
            "HTTP_COOKIE": "; ".join(f"{name}={self.jar[name]}" for name in self.jar),
            "QUERY_STRING": "",
        }
        setup_testing_defaults(made)
        return made | environ

    def get(self, app: App, environ: Environ | None = None) -> Answer:
        self.answer = answer = Answer()
        environ = self.environ() if environ is None else environ
        environ["test.journal"] = answer.journal
        self._serve(app, environ, answer)
        for cookie in answer.cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.jar[name] = value
            if not value:
                del self.jar[name]
        return answer

    def _serve(self, app: App, environ: Environ, answer: Answer) -> None:
        sent: Headers = []

        def write(data: bytes) -> None:
            if not answer.status:
                raise AssertionError("write() before start_response()")
            sent[:] = sent or [("Status", answer.status), *answer.headers]
            answer.journal.append("bytes")
            answer.parts.append(data)

        def start_response(
            status: str, headers: Headers, exc_info: t.Any = None
        ) -> t.Any:
            if exc_info:
                try:
                    if sent:
                        raise exc_info[1].with_traceback(exc_info[2])
                finally:
                    exc_info = None
            elif answer.status:
                raise AssertionError("Headers already set!")
            answer.journal.append("start")
            answer.status, answer.headers = status, headers
            return write

        result = answer.result = app(environ, start_response)
        try:
            for number, data in enumerate(result if self.iterates else ()):
                if data:
                    write(data)
                if number + 1 == self.parts:
                    break
            if not sent and self.iterates:
                write(b"")
        finally:
            if hasattr(result, "close"):
                result.close()


def busy_connections(sessions: SessionManager) -> int:
    """How many connections to Redis somebody has taken out of the pool."""
    transport = sessions.store.transport
    assert isinstance(transport, ServerTransport)
    return transport.busy


def ask(sessions: SessionManager, *command: str) -> t.Any:
    """What Redis answers over a connection of the sessions."""
    return sessions.store.transport.send(Question(Deadline(PATIENCE), command))


class Site:
    """Applications behind the middleware."""

    def __init__(self, sessions: SessionManager) -> None:
        self.sessions = sessions
        self.gateway = Gateway()

    def wrap(self, app: App) -> App:
        return SessionMiddleware(app, self.sessions)

    def get(self, app: App, environ: Environ | None = None) -> Answer:
        return self.gateway.get(self.wrap(app), environ)

    def login(self, **values: t.Any) -> None:
        """Begin a session."""
        self.get(changing(lambda session: session.update(values or {"user": "ada"})))

    def data(self) -> dict[str, t.Any]:
        """What the visitor's next request finds."""
        found: dict[str, t.Any] = {}
        gateway = Gateway()
        gateway.jar = dict(self.gateway.jar)
        gateway.get(self.wrap(changing(found.update)))
        return found

    def pool_is_idle(self) -> bool:
        """Whether no request has kept a connection to Redis."""
        return busy_connections(self.sessions) == 0


def changing(change: cabc.Callable[[Session], t.Any]) -> App:
    """An application that does something to its session and says so."""

    def app(environ: Environ, start_response: t.Any) -> list[bytes]:
        change(get_session(environ))
        start_response("200 OK", [TEXT])
        return [b"done"]

    return app

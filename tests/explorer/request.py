"""A request: a whole WSGI call that notes what its application does and sees."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionUnavailable

from .schedule import Actor
from .schedule import Killed
from .schedule import Stage

if t.TYPE_CHECKING:
    from .operations import Operation

#: What a session holds: names and values, lists as tuples.
View = dict[str, t.Any]

#: Where a request finds itself in the WSGI environment.
KEY = "explorer.request"

#: The name under which applications keep who is logged in.
USER = "user"


class Request(Actor):
    """One request; its name is also the value that it writes, so that every value in a
    session says who wrote it."""

    #: When it took its first step and its last.
    times: tuple[float, float] = (0.0, 0.0)

    def __init__(
        self,
        name: str,
        operation: Operation,
        cookie: str | None,
        *,
        who: str = "browser",
        after: cabc.Iterable[Actor] = (),
        user: str = USER,
    ) -> None:
        super().__init__(name, after)
        self.operation = operation
        #: The cookie that it sends, if it does not send what others were given.
        self.cookie = cookie
        self.gets_cookie_from: list[Request] = []
        self.who, self.user = who, user
        self.session: t.Any = None
        #: Where it is sent, and the manager there.
        self.application: t.Any = None
        self.sessions: t.Any = None
        #: What the application saw, each time that it looked.
        self.seen: list[View] = []
        #: What it did.
        self.assigned: View = {}
        self.removed: set[str] = set()
        self.regenerated = self.destroyed = self.refused = False
        self.revoked: str | None = None
        self.made_permanent: bool | None = None
        #: What came of it.
        self.status = ""
        self.given: str | None = None
        #: The last step that was taken when the head of its response was ready.
        self.prepared = -1
        self.events: list[SessionEvent] = []
        self.error: BaseException | None = None
        #: ``session.id`` and whether it is permanent, where somebody asks.
        self.noted: tuple[str, bool] = ("", False)

    # What applications do.

    def look(self) -> View:
        """Look at all that is in the session."""
        view = {name: _frozen(value) for name, value in self.session.items()}
        self.seen.append(view)
        return view

    def look_closely(self) -> None:
        """Note also which session it is."""
        self.look()
        self.noted = self.session.id, self.session.permanent

    def assign(self, name: str, value: t.Any = None) -> None:
        """Set a name, to something that says that it was this request."""
        self.session[name] = self.name if value is None else value
        self.assigned[name] = _frozen(self.session[name])
        self.removed.discard(name)

    def remove(self, name: str) -> None:
        """Remove a name if it is there."""
        if name in self.session:
            del self.session[name]
            self.assigned.pop(name, None)
            self.removed.add(name)

    def clear(self) -> None:
        """Remove all names."""
        self.removed.update(self.session)
        self.assigned.clear()
        self.session.clear()

    def destroy(self) -> None:
        """End the session."""
        self.session.destroy()
        self.assigned.clear()
        self.removed.clear()
        self.destroyed = True

    def regenerate(self) -> None:
        """Ask for a new session id."""
        self.session.regenerate()
        self.regenerated = True

    def make_permanent(self, value: bool) -> None:
        """Say whether the session outlives the browser."""
        self.session.permanent = value
        self.made_permanent = value

    # The WSGI call.

    def act(self, stage: Stage) -> None:
        self._stage = stage
        for other in self.gets_cookie_from:
            self.cookie = other.given or self.cookie
        try:
            if self.operation.outside is None:
                self._call()
            else:
                self.operation.outside(self)
        except Killed:
            self.given = None
        except Exception as error:  # whatever comes out is looked at later
            self.error = error

    def respond(self) -> cabc.Iterable[bytes]:
        """What the application does, once it has its session."""
        self.operation.act(self)
        return [b"answer"] if self.operation.late is None else self._stream()

    def _stream(self) -> cabc.Iterator[bytes]:
        yield b"one part"
        assert self.operation.late is not None
        self.operation.late(self)
        yield b"another part"

    def _call(self) -> None:
        environ = {
            "HTTP_COOKIE": "" if self.cookie is None else f"session={self.cookie}",
            "PATH_INFO": "/",
            "QUERY_STRING": "",
            "REMOTE_ADDR": "192.0.2.1",
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "SERVER_NAME": "site.test",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            KEY: self,
        }
        body = self.application(environ, self._start_response)
        try:
            for _ in body:
                pass
        finally:
            if hasattr(body, "close"):
                body.close()

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: t.Any = None
    ) -> cabc.Callable[[bytes], object]:
        self.status = status
        self.prepared = len(self._stage.steps) - 1
        if status.startswith("503"):
            self.error = SessionUnavailable("it was answered with a page")
        for name, value in headers:
            if name.lower() == "set-cookie" and value.startswith("session="):
                self.given = value.partition(";")[0].removeprefix("session=")
        return lambda data: None


def _frozen(value: t.Any) -> t.Any:
    return tuple(value) if isinstance(value, list) else value

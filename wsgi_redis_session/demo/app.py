"""The demo: a page that shows its visitor's session, and tells what is stored."""

from __future__ import annotations

import collections.abc as cabc
import itertools
import threading
import typing as t
from urllib.parse import urlsplit

from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import Forbidden
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map
from werkzeug.routing import Rule
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from ..errors import SessionUnavailable
from ..local_server import server_name
from ..manager import SessionManager
from ..middleware import get_session
from ..middleware import SessionMiddleware
from ..model.record import Tombstone
from ..model.session import Session
from ..store.survey import Entry
from ..store.survey import Survey
from . import page as demo_page
from .page import duration

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment

#: Names in the session that are not the visitor's to write.
_RESERVED = ("visits", "user", "id_before_login")

_MAX_VALUES = 20

#: More is not shown.
_MAX_ENTRIES = 1000


class Window:
    """Looks at what the sessions of a manager are in Redis, and only looks.

    Raises :exc:`~wsgi_redis_session.SessionUnavailable`.
    """

    def __init__(self, sessions: SessionManager) -> None:
        self.sessions = sessions
        self.prefix = sessions.store.key_prefix
        self._survey = Survey(
            sessions.store.transport,
            self.prefix,
            sessions.config.seconds("operation_timeout"),
        )

    @property
    def server(self) -> str:
        """Which server it is, and its version."""
        return server_name(self._survey.server)

    def entry(self, session_id: str) -> Entry | None:
        """What is stored of a session."""
        return self._survey.entry(session_id)

    def entries(self) -> dict[str, Entry]:
        """What is stored of all sessions, by key."""
        found = itertools.islice(self._survey.entries(), _MAX_ENTRIES)
        return {entry.key: entry for entry in sorted(found, key=lambda e: e.key)}


def _content(entry: Entry) -> str:
    """What kind of content an entry has."""
    stored = entry.read()
    if isinstance(stored, Tombstone):
        return "a tombstone: this session got a new id, or ended"
    if stored is None:
        return "no session"
    if stored.envelope:
        return "a sealed session"
    # Others chose the names: no control character of theirs gets to a terminal.
    shown = [name if name.isidentifier() else ascii(name) for name in stored.packed]
    return ", ".join(shown) or "an empty session"


class Report:
    """Shows what is stored whenever it has changed."""

    def __init__(self, window: Window, show: cabc.Callable[[str], object]) -> None:
        self._window = window
        self._show = show
        self._lock = threading.Lock()
        self._known: dict[str, Entry] = {}

    def update(self, cause: str) -> None:
        """Compare with what was there last time; ``cause`` is the heading."""
        with self._lock:
            try:
                entries = self._window.entries()
            except SessionUnavailable as error:
                self._show(f"{cause}\n    the store does not answer: {error.__cause__}")
                return
            known, self._known = self._known, entries
            marks = {
                key: _mark(known.get(key), entry) for key, entry in entries.items()
            }
            gone = [key for key in known if key not in entries]
            if gone or any(mark != " " for mark in marks.values()):
                lines = [_line(marks[key], entry) for key, entry in entries.items()]
                self._show("\n".join([cause, *lines, *map(_gone_line, gone)]))


def _mark(before: Entry | None, now: Entry) -> str:
    if before is None:
        return "+"
    return " " if before.value == now.value else "*"


def _line(mark: str, entry: Entry) -> str:
    left, size = duration(entry.ttl / 1000), len(entry.value)
    return f"  {mark} {entry.key}  {left:>12}  {size:>5} bytes  {_content(entry)}"


def _gone_line(key: str) -> str:
    return f"  - {key}  gone"


class Pages:
    """The demo's pages, a WSGI application behind the session middleware."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._urls = Map(
            [
                Rule("/", endpoint=self._page, methods=["GET"]),
                Rule("/plain", endpoint=self._plain, methods=["GET"]),
                Rule("/store", endpoint=self._store, methods=["POST"]),
                Rule("/delete", endpoint=self._delete, methods=["POST"]),
                Rule("/login", endpoint=self._login, methods=["POST"]),
                Rule("/logout", endpoint=self._logout, methods=["POST"]),
                Rule("/permanent", endpoint=self._permanent, methods=["POST"]),
                Rule("/style.css", endpoint=_style, methods=["GET"]),
                Rule("/favicon.svg", endpoint=_icon, methods=["GET"]),
                Rule("/favicon.ico", endpoint=_icon, methods=["GET"]),
            ]
        )

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        request = Request(environ)
        request.max_content_length = 64 * 1024
        try:
            endpoint, _ = self._urls.bind_to_environ(environ).match()
            if request.method == "POST":
                _refuse_foreign(request)
            response: Response = endpoint(request)
        except HTTPException as error:
            response = _error(error, environ)
        return _respond(response, environ, start_response)

    def _page(self, request: Request) -> Response:
        return _html(demo_page.render(self._visit(request)))

    def _plain(self, request: Request) -> Response:
        return _private(Response(demo_page.plain(self._visit(request))))

    def _store(self, request: Request) -> Response:
        session = get_session(request.environ)
        name = _text(request, "name", 40)
        value = request.form.get("value", "")
        if name in _RESERVED:
            raise BadRequest(f"The demo itself writes {name!r}: take another name.")
        if len(value) > 1000:
            raise BadRequest("The demo takes values of up to 1000 characters.")
        values = _own_values(session)
        if name not in values and len(values) >= _MAX_VALUES:
            raise BadRequest("The demo takes no more values: delete one first.")
        session[name] = value
        return _to_page()

    def _delete(self, request: Request) -> Response:
        name = _text(request, "name", 40)
        if name not in _RESERVED:
            get_session(request.environ).pop(name, None)
        return _to_page()

    def _login(self, request: Request) -> Response:
        session = get_session(request.environ)
        user = _text(request, "user", 40)
        if user != session.get("user"):
            if not session.new:
                session["id_before_login"] = session.id
            # The manager's option user_key gives the session a new id for this.
            session["user"] = user
        return _to_page()

    def _logout(self, request: Request) -> Response:
        get_session(request.environ).destroy()
        return _to_page()

    def _permanent(self, request: Request) -> Response:
        get_session(request.environ).permanent = bool(request.form.get("keep"))
        return _to_page()

    def _visit(self, request: Request) -> demo_page.View:
        session = get_session(request.environ)
        session["visits"] = session.get("visits", 0) + 1
        entry = None if session.new else self._window.entry(session.id)
        config = self._window.sessions.config
        return demo_page.View(
            server=self._window.server,
            url=request.host_url,
            session_id=session.id,
            id_before_login=session.get("id_before_login"),
            new=session.new,
            permanent=session.permanent,
            user=session.get("user"),
            visits=session["visits"],
            age=config.clock() - session.created,
            left=entry.ttl / 1000 if entry else None,
            idle_timeout=config.seconds("idle_timeout"),
            permanent_lifetime=config.seconds("permanent_lifetime"),
            lifetime=config.seconds("lifetime"),
            cookie_name=config.cookie_name,
            values=_own_values(session),
            key_prefix=self._window.prefix,
            size=len(entry.value) if entry else 0,
            names=entry.names if entry else {},
        )


def make_app(
    sessions: SessionManager, show: cabc.Callable[[str], object]
) -> WSGIApplication:
    """The demo as a WSGI application; ``show`` gets a text whenever what is stored has
    changed."""
    window = Window(sessions)
    report = Report(window, show)
    application = SessionMiddleware(Pages(window), sessions)

    def demo(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        try:
            body = application(environ, start_response)
        except SessionUnavailable as error:
            # The session could not be saved, and nothing has been sent.
            response = _error(error, environ)
            return _respond(response, environ, start_response)
        if get_session(environ).accessed:
            # Before the response leaves: the next request may change more.
            report.update(request)
        return body

    return demo


def _respond(
    response: Response, environ: WSGIEnvironment, start_response: StartResponse
) -> list[bytes]:
    """A complete body, so that the middleware saves the session before it returns."""
    body, status, headers = response.get_wsgi_response(environ)
    start_response(status, headers)
    return list(body)


def _refuse_foreign(request: Request) -> None:
    """Keep the forms of other sites from acting for a visitor.

    SameSite=Lax does most of it, but to it all ports of a host are one site, and a
    login needs no cookie. A client that sends neither header is no browser.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        is_own = site in ("same-origin", "none")
    else:
        is_own = origin is None or urlsplit(origin).netloc == request.host
    if not is_own:
        raise Forbidden("This form was sent by another site.")


def _text(request: Request, field: str, longest: int) -> str:
    text = request.form.get(field, "").strip()
    if not 0 < len(text) <= longest:
        raise BadRequest(f"The field {field!r} takes 1 to {longest} characters.")
    return text


def _own_values(session: Session) -> dict[str, t.Any]:
    """What the visitor has stored."""
    return {name: value for name, value in session.items() if name not in _RESERVED}


def _to_page() -> Response:
    """After a form, so that loading the page again does not send the form again."""
    return Response("See /\n", 303, [("Location", "/")])


def _html(markup: str, status: int = 200) -> Response:
    response = Response(markup, status, mimetype="text/html")
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    return _private(response)


def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    # With no-referrer browsers would send "Origin: null" with the page's own forms.
    response.headers["Referrer-Policy"] = "same-origin"
    return response


def _error(error: HTTPException, environ: WSGIEnvironment) -> Response:
    original = error.get_response(environ)
    text = error.description or ""
    page = _html(
        demo_page.render_error(original.status_code, error.name, text),
        original.status_code,
    )
    if "Allow" in original.headers:
        page.headers["Allow"] = original.headers["Allow"]
    return page


def _style(request: Request) -> Response:
    return _asset(demo_page.STYLE, "text/css")


def _icon(request: Request) -> Response:
    return _asset(demo_page.ICON, "image/svg+xml")


def _asset(text: str, mimetype: str) -> Response:
    response = Response(text, mimetype=mimetype)
    response.headers["Cache-Control"] = "max-age=300"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response

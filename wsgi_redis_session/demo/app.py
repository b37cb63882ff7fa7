"""The demo as a WSGI application."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map
from werkzeug.routing import Rule
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from ..errors import SessionUnavailable
from ..manager import SessionManager
from ..middleware import get_session
from ..middleware import SessionMiddleware
from ..model.session import Session
from . import acts
from . import devices
from . import page as demo_page
from .experiments import Experiments
from .forgery import own_cookie
from .forms import nested
from .forms import refuse_foreign
from .forms import text_of
from .gates import Gates
from .server import Switch
from .window import Feed
from .window import Report
from .window import Trail
from .window import Window

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment

#: Names in the session that are not the visitor's to write.
_RESERVED = ("visits", "user", "id_before_login")

_MAX_VALUES = 20

_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)


class Pages:
    """The demo's pages, a WSGI application behind the session middleware."""

    def __init__(
        self,
        window: Window,
        feed: Feed,
        experiments: Experiments,
        trail: Trail,
        *,
        has_switch: bool,
    ) -> None:
        self._window = window
        self._feed = feed
        self._trail = trail
        self._has_switch = has_switch
        self._urls = Map(
            [
                Rule("/", endpoint=self._page, methods=["GET"]),
                Rule("/live", endpoint=self._live, methods=["GET"]),
                Rule("/events", endpoint=self._events, methods=["GET"]),
                Rule("/plain", endpoint=self._plain, methods=["GET"]),
                Rule("/store", endpoint=self._store, methods=["POST"]),
                Rule("/delete", endpoint=self._delete, methods=["POST"]),
                Rule("/login", endpoint=self._login, methods=["POST"]),
                Rule("/logout", endpoint=self._logout, methods=["POST"]),
                Rule("/elsewhere", endpoint=self._elsewhere, methods=["POST"]),
                Rule("/permanent", endpoint=self._permanent, methods=["POST"]),
                *experiments.rules(),
                *(
                    Rule(path, endpoint=_asset, methods=["GET"])
                    for path in demo_page.ASSETS
                ),
            ]
        )

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        request = Request(environ)
        request.max_content_length = 64 * 1024
        try:
            endpoint, arguments = self._urls.bind_to_environ(environ).match()
            if request.method == "POST":
                refuse_foreign(request)
            response: Response = endpoint(request, **arguments)
        except HTTPException as error:
            response = _error(error, environ)
        return _respond(response, environ, start_response)

    def _page(self, request: Request) -> Response:
        session = get_session(request.environ)
        session["visits"] = session.get("visits", 0) + 1
        return _html(demo_page.render(self._view(request)))

    def _live(self, request: Request) -> Response:
        return _html(demo_page.render_live(self._view(request)))

    def _events(self, request: Request) -> Response:
        return Response(self._feed.stream(), mimetype="text/event-stream")

    def _plain(self, request: Request) -> Response:
        session = get_session(request.environ)
        session["visits"] = session.get("visits", 0) + 1
        return Response(demo_page.plain(self._view(request)))

    def _store(self, request: Request) -> Response:
        session = get_session(request.environ)
        name = text_of(request, "name", 40)
        value = request.form.get("value", "")
        if name in _RESERVED:
            raise BadRequest(f"The demo itself writes {name!r}: take another name.")
        if len(value) > 1000:
            raise BadRequest("The demo takes values of up to 1000 characters.")
        values = _own_values(session)
        if name not in values and len(values) >= _MAX_VALUES:
            raise BadRequest("The demo takes no more values: delete one first.")
        session[name] = nested(value)
        return _to_page()

    def _delete(self, request: Request) -> Response:
        name = text_of(request, "name", 40)
        if name not in _RESERVED:
            get_session(request.environ).pop(name, None)
        return _to_page()

    def _login(self, request: Request) -> Response:
        session = get_session(request.environ)
        user = text_of(request, "user", 40)
        if user != session.get("user"):
            if not session.new:
                session["id_before_login"] = session.id
            acts.log_in(session, user)
        return _to_page()

    def _logout(self, request: Request) -> Response:
        acts.log_out(get_session(request.environ))
        return _to_page()

    def _elsewhere(self, request: Request) -> Response:
        session = get_session(request.environ)
        if "user" in session:
            acts.log_out_elsewhere(self._window.sessions, session)
        return _to_page()

    def _permanent(self, request: Request) -> Response:
        get_session(request.environ).permanent = bool(request.form.get("keep"))
        return _to_page()

    def _devices(self, session: Session) -> list[dict[str, t.Any]]:
        if "user" not in session or session.new:
            return []
        infos = self._window.sessions.of_user(session["user"], current=session)
        return [devices.shown(info) for info in infos]

    def _view(self, request: Request) -> demo_page.View:
        session, window = get_session(request.environ), self._window
        config = window.sessions.config
        return demo_page.View(
            server=window.server,
            url=request.host_url,
            session_id=session.id,
            id_before_login=session.get("id_before_login"),
            new=session.new,
            permanent=session.permanent,
            user=session.get("user"),
            devices=self._devices(session),
            visits=session.get("visits", 0),
            age=config.clock() - session.created,
            entry=None if session.new else window.entry(session.id),
            entries=window.entries(),
            events=list(self._trail),
            idle_timeout=config.seconds("idle_timeout"),
            permanent_lifetime=config.seconds("permanent_lifetime"),
            lifetime=config.seconds("lifetime"),
            cookie_name=config.cookie_name,
            cookie=own_cookie(window.sessions, request.environ),
            session={**session},
            values=_own_values(session),
            key_prefix=window.prefix,
            has_switch=self._has_switch,
        )


class Demo:
    """The demo; ``show`` gets a text whenever what is stored has changed.

    ``events`` are what the manager's ``on_event`` was told, ``switch`` is there where
    the server is the demo's own.
    """

    def __init__(
        self,
        sessions: SessionManager,
        show: cabc.Callable[[str], object],
        *,
        events: Trail | None = None,
        switch: Switch | None = None,
        gates: Gates | None = None,
    ) -> None:
        window = Window(sessions)
        self._report = Report(window, show)
        self._feed = Feed()
        experiments = Experiments(sessions, self._feed, gates or Gates(), switch)
        pages = Pages(
            window,
            self._feed,
            experiments,
            events or Trail(),
            has_switch=switch is not None,
        )
        # The error is a page of our own.
        self._app: WSGIApplication = SessionMiddleware(
            pages, sessions, answer_unavailable=False
        )

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        try:
            body = self._app(environ, start_response)
        except SessionUnavailable as error:
            # The session could not be saved, and nothing has been sent.
            return _respond(_error(error, environ), environ, start_response)
        is_asked_often = path == "/live"
        has_looked = get_session(environ).accessed and not is_asked_often
        # Before the response leaves: the next request may change more.
        if has_looked and self._report.update(f"{method} {path}"):
            self._feed.publish()
        return body


def _respond(
    response: Response, environ: WSGIEnvironment, start_response: StartResponse
) -> cabc.Iterable[bytes]:
    """A complete body, so that the middleware saves the session before it returns; but
    for a stream, which has nothing to save."""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    # With no-referrer browsers would send "Origin: null" with the page's own forms.
    response.headers["Referrer-Policy"] = "same-origin"
    body, status, headers = response.get_wsgi_response(environ)
    start_response(status, headers)
    return body if response.is_streamed else list(body)


def _own_values(session: Session) -> dict[str, t.Any]:
    """What the visitor has stored."""
    return {name: value for name, value in session.items() if name not in _RESERVED}


def _to_page() -> Response:
    """After a form, so that loading the page again does not send the form again."""
    return Response("See /\n", 303, [("Location", "/")])


def _html(markup: str, status: int = 200) -> Response:
    response = Response(markup, status, mimetype="text/html")
    response.headers["Content-Security-Policy"] = _POLICY
    return response


def _error(error: HTTPException, environ: WSGIEnvironment) -> Response:
    original = error.get_response(environ)
    status, text = original.status_code, error.description or ""
    page = _html(demo_page.render_error(status, error.name, text), status)
    if "Allow" in original.headers:
        page.headers["Allow"] = original.headers["Allow"]
    return page


def _asset(request: Request) -> Response:
    mimetype, text = demo_page.ASSETS[request.path]
    headers = [("Cache-Control", "max-age=300")]
    return Response(text, headers=headers, mimetype=mimetype)

"""A site that serves requests: one manager, one middleware, one tiny application."""

from __future__ import annotations

import collections.abc as cabc
import time
import typing as t

import ormsgpack

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.request import exchange

from .grounds import accepts
from .grounds import Ground
from .operations import Operation
from .request import KEY
from .request import Request
from .schedule import Stage
from .wire import Clock
from .wire import Wire

_SECRET_KEY = "not a secret, this is a test"
_FOREIGN_SID = "JvY0n0wO3l-1mSDCF9uSYDg0cEvLWFyPM8Zp5nLVk_4"


#: Looks at what a cookie reaches.
PROBE = Operation("probe", Request.look_closely)


class Start(t.NamedTuple):
    """How the server and the clock stand before the first request."""

    kept: list[t.Any]
    time: float
    cookie: str
    #: ``session.id``, if it is one of ours.
    session_id: str | None


class World:
    """A server, its clock and its stage: what all schedules are played in."""

    def __init__(self, socket: str) -> None:
        self.wire = Wire(socket)
        # A hash with longer values is in another order each time.
        self.wire.ask("CONFIG", "SET", "hash-max-ziplist-value", 1024)
        self.clock = Clock(self.wire)
        self.stage = Stage(self.wire)
        self._starts: dict[str, Start] = {}
        self._flask_sites: dict[str, Site] = {}

    def __enter__(self) -> t.Self:
        # Who backs off waits for nobody here.
        self._sleep, time.sleep = time.sleep, lambda seconds: None
        # How old a request is does not depend on how fast this machine is.
        self._time, exchange.time = t.cast("t.Any", exchange).time, self.stage.ticks
        return self

    def __exit__(self, *exc_info: object) -> None:
        time.sleep = self._sleep
        t.cast("t.Any", exchange).time = self._time
        self.wire.close()

    def site(self, ground: Ground) -> Site:
        """A site as a worker has it that has just been started."""
        options: dict[str, t.Any] = {
            "secret_key": _SECRET_KEY,
            "clock": self.clock,
            "on_event": self._note,
            **ground.options,
        }
        if accepts("operation_timeout"):
            # Its clock is not ours, and a busy machine may stop us for a while.
            options["operation_timeout"] = 600
        if ground.flask:
            # An application of Flask's takes longer to make than all schedules of two.
            if ground.name not in self._flask_sites:
                self._flask_sites[ground.name] = _flask_site(self.stage, options)
            return self._flask_sites[ground.name]
        sessions = SessionManager(t.cast("t.Any", self.stage), **options)
        return Site(self.stage, sessions, SessionMiddleware(_application, sessions))

    def start(self, ground: Ground) -> Start:
        """Put server and clock to where the ground begins."""
        if ground.name not in self._starts:
            self._starts[ground.name] = self._prepared(ground)
        start = self._starts[ground.name]
        self.wire.put_back(start.kept)
        self.clock.time = start.time
        return start

    def _prepared(self, ground: Ground) -> Start:
        self.wire.put_back([])
        cookie, session_id = (
            self._foreign(ground) if ground.opens == "migrated" else self._own(ground)
        )
        self.clock.move(ground.age)
        return Start(self.wire.keep(), self.clock.time, cookie, session_id)

    def _own(self, ground: Ground) -> tuple[str, str]:
        site = self.site(ground)

        def store(request: Request) -> None:
            for name, value in ground.values.items():
                request.session[name] = list(value) if name == "cart" else value
            request.session.permanent = ground.permanent

        stored = site.serve(Request("0", Operation("store", store), None))
        assert stored.given is not None
        probe = Request("0", PROBE, stored.given)
        return stored.given, site.serve(probe).noted[0]

    def _foreign(self, ground: Ground) -> tuple[str, None]:
        values = {**ground.values, "cart": list(ground.values["cart"])}
        stored = ormsgpack.packb({"_permanent": ground.permanent, **values})
        self.wire.ask("SET", f"session:{_FOREIGN_SID}", stored, "EX", 2678400)
        return _FOREIGN_SID, None

    def _note(self, event: SessionEvent) -> None:
        if self.stage.actor is not None:
            self.stage.actor.events.append(event)


class Site(t.NamedTuple):
    """What serves requests."""

    stage: Stage
    sessions: SessionManager
    application: t.Any

    def cast(self, request: Request) -> Request:
        """Send a request here, when its turn comes."""
        request.application = self.application
        request.sessions = self.sessions
        return request

    def serve(self, request: Request) -> Request:
        """Serve a request at once; whatever it raises comes out."""
        self.cast(request).act(self.stage)
        if request.error is not None:
            raise request.error
        return request


def _application(
    environ: dict[str, t.Any], start_response: cabc.Callable[..., object]
) -> cabc.Iterable[bytes]:
    request: Request = environ[KEY]
    request.session = get_session(environ)
    body = request.respond()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return body


def _flask_site(stage: Stage, options: dict[str, t.Any]) -> Site:
    import flask  # slow to import, and for these grounds only

    from wsgi_redis_session.flask import Session

    app = flask.Flask("explored")
    app.config["SECRET_KEY"] = options.pop("secret_key")
    app.config["SESSION_REDIS"] = stage
    app.config.update({f"SESSION_{name.upper()}": options[name] for name in options})
    Session(app)

    @app.get("/")
    def view() -> flask.Response:
        request: Request = flask.request.environ[KEY]
        request.session = flask.session
        body = request.respond()
        is_stream = not isinstance(body, list)
        stream: t.Any = flask.stream_with_context(body) if is_stream else body  # type: ignore[call-overload]  # an iterator
        return flask.Response(stream)

    return Site(stage, app.extensions["wsgi_redis_session"], app.wsgi_app)

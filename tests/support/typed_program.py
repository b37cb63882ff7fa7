"""What a user writes who has a type checker. Nobody runs it: .ci/run shows it to mypy
and to pyright, both strict, next to the package as it is installed."""

# pyright: strict
# Pyramid has no type information.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import collections.abc as cabc
import json
import typing as t
from datetime import timedelta
from wsgiref.types import StartResponse
from wsgiref.types import WSGIApplication
from wsgiref.types import WSGIEnvironment

from flask import Flask
from flask import session as flask_session
from redis import Redis
from redis import RedisCluster
from redis.sentinel import Sentinel

import wsgi_redis_session.flask
from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import get_session
from wsgi_redis_session import HeadersAlreadySent
from wsgi_redis_session import MISSING
from wsgi_redis_session import NotSerializable
from wsgi_redis_session import Session
from wsgi_redis_session import SessionConfig
from wsgi_redis_session import SessionError
from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session import SessionTooLarge
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.flask import RedisSessionInterface
from wsgi_redis_session.paste import filter_app_factory
from wsgi_redis_session.paste import filter_factory
from wsgi_redis_session.pyramid import PyramidSession
from wsgi_redis_session.pyramid import SessionFactory


class JSON:
    """A serializer of one's own."""

    def dumps(self, value: object) -> bytes:
        return json.dumps(value, sort_keys=True).encode()

    def loads(self, data: bytes) -> t.Any:
        return json.loads(data)


def add_up(name: str, base: t.Any, ours: t.Any, theirs: t.Any) -> t.Any:
    return ours if theirs is MISSING else theirs + ours - base


def report(event: SessionEvent) -> None:
    t.assert_type(event.session_id, str | None)
    t.assert_type(event.detail, str)
    if event.name == "lost":
        print(event.session_id, event.detail)


sessions = SessionManager("redis://localhost:6379/0", secret_key="not a secret")
SessionManager(
    Redis(),
    secret_key=b"not a secret",
    secret_key_fallbacks=["an older one", b"one before"],
    idle_timeout=timedelta(minutes=30),
    lifetime=None,
    serializer=JSON(),
    on_conflict=add_up,
    on_event=report,
)
SessionManager(RedisCluster.from_url("redis://localhost"), secret_key="not a secret")
sentinel = Sentinel([("localhost", 26379)])  # type: ignore[no-untyped-call]  # redis-py
master: Redis = sentinel.master_for("sessions", Redis)  # type: ignore[no-untyped-call]
SessionManager(master, secret_key="not a secret")
t.assert_type(SessionManager.from_env(), SessionManager)
t.assert_type(SessionManager.from_env({"SECRET_KEY": "not one"}), SessionManager)
config = SessionConfig(
    cookie_secure=True, serializer=JSON(), on_conflict=add_up, on_event=report
)
t.assert_type(config.seconds("idle_timeout"), float)
t.assert_type(config.idle_timeout, timedelta | float)
t.assert_type(config.cookie_secure, bool | t.Literal["auto"])
t.assert_type(config.lifetime, timedelta | float | None)
t.assert_type(config.max_bytes, int | None)
t.assert_type(config.clock(), float)
# Mistakes that a type checker finds.
SessionConfig(idle_timeout="30m")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SessionConfig("session")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
SessionConfig(cookie_nam="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
config.retries = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
t.assert_type(sessions.config, SessionConfig)


def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    session = get_session(environ)
    t.assert_type(session, Session)
    use(session)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [session.id.encode()]


def use(session: Session) -> None:
    session["visits"] = session.get("visits", 0) + 1
    session.setdefault("cart", []).append("apples")
    session.update({"name": "Ada"}, theme="dark")
    session |= {"colour": "green"}
    name: str = session.pop("name")
    del session["theme"]
    for key, value in session.items():
        t.assert_type(key, str)
        print(key, value, name, key in session, len(session))
    t.assert_type(session | {"more": 1}, dict[str, t.Any])
    t.assert_type(session.copy(), dict[str, t.Any])
    t.assert_type(session.popitem(), tuple[str, t.Any])
    t.assert_type(list(session), list[str])
    t.assert_type(list(reversed(session)), list[str])
    session.permanent = session.permanent or session.new
    session.modified = session.modified or not session.accessed
    t.assert_type(session.id, str)
    t.assert_type(session.sid, str)
    t.assert_type(session.created, float)
    mapping: cabc.MutableMapping[str, t.Any] = session
    mapping.clear()
    session.regenerate()
    session.destroy()


def configured() -> SessionManager | None:
    try:
        return SessionManager.from_env()
    except ConfigurationError as error:
        t.assert_type(error.option, str | None)
        print(error.option, error)
        return None


def end(session_id: str) -> bool:
    try:
        sessions.revoke(session_id)
    except SessionUnavailable as error:
        print(error.description, error.detail)
        return False
    return True


def polite(environ: WSGIEnvironment, start_response: StartResponse) -> t.Any:
    try:
        return app(environ, start_response)
    except SessionUnavailable as error:
        return error(environ, start_response)
    except (ConfigurationError, HeadersAlreadySent, NotSerializable) as error:
        failure: SessionError = error
        raise failure from None
    except SessionTooLarge as error:
        raise SystemExit(str(error)) from error


application: WSGIApplication = SessionMiddleware(app, sessions)
SessionMiddleware(polite, sessions, environ_key="my.session")
SessionMiddleware(SessionMiddleware(app, sessions), sessions)
filter_app_factory(app, {}, secret_key="not a secret")
filter_factory({}, secret_key="not a secret")(app)


def script(cookie_header: str) -> str | None:
    """Without WSGI."""
    session = sessions.load(cookie_header)
    t.assert_type(session, Session)
    session["seen"] = True
    outcome = sessions.commit(session, secure=True)
    sessions.close(session)
    return outcome.cookie


def create_app() -> Flask:
    site = Flask(__name__)
    extension = wsgi_redis_session.flask.Session()
    extension.init_app(site)
    wsgi_redis_session.flask.Session(site)
    site.wsgi_app = SessionMiddleware(site.wsgi_app, sessions)  # type: ignore[method-assign]  # as Flask says
    site.session_interface = RedisSessionInterface(Redis(), prefix="sessions:")
    site.session_interface = RedisSessionInterface("redis://localhost:6379/0")
    t.assert_type(RedisSessionInterface().manager(site), SessionManager | None)

    @site.get("/")
    def index() -> str:  # pyright: ignore[reportUnusedFunction]
        flask_session["visits"] = flask_session.get("visits", 0) + 1
        flask_session.permanent = True
        return str(flask_session["visits"])

    return site


factory = SessionFactory(sessions)


def view(request: t.Any) -> str:
    session = factory(request)
    t.assert_type(session, PyramidSession)
    t.assert_type(session.session, Session)
    session["visits"] = session.get("visits", 0) + 1
    session.flash("welcome", "greetings", allow_duplicate=False)
    session.permanent = True
    session.changed()
    session.regenerate()
    session.invalidate()
    t.assert_type(session.created, int)
    return session.get_csrf_token()

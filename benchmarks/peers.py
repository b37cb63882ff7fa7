"""The libraries that are compared, each as its documentation configures it.

Each is a function from a URL of Redis, or of nothing, and a view to a WSGI application.
The view gets the session and says what is done with it; ``renew`` is how a session gets
a new session id with this library, ``None`` where it cannot.
"""

from __future__ import annotations

import collections.abc as cabc
import pickle
import typing as t
import uuid
from datetime import timedelta

import beaker.middleware
import django
import django.conf
import django.core.handlers.wsgi
import django.http
import django.urls
import flask
import flask.sessions
import flask_session
import pyramid.config
import pyramid.response
import pyramid_session_redis
import redis
from visits import SECRET_KEY
from visits import Use
from visits import write
from werkzeug.datastructures import CallbackDict

import wsgi_redis_session
import wsgi_redis_session.flask

#: A busy machine is to be slow, and not unavailable; in seconds.
PATIENCE = 30


class Peer(t.NamedTuple):
    """A library, or what an application does without one."""

    name: str
    #: An application with sessions in the Redis at a URL.
    site: cabc.Callable[[str, Use], t.Any]
    #: The same application without sessions.
    bare: cabc.Callable[[str, Use], t.Any]
    renew: Use | None = None


def flask_site(use: Use, set_up: cabc.Callable[[flask.Flask], object]) -> t.Any:
    """A Flask application whose view is a use of ``flask.session``."""
    app = flask.Flask(__name__, static_folder=None)

    def view() -> str:
        return str(use(flask.session) or "done")

    app.add_url_rule("/", view_func=view)
    set_up(app)
    return app


def bare_flask(url: str, use: Use) -> t.Any:
    """One that has no session, and whose view does nothing."""
    return flask_site(lambda _: None, lambda app: None)


def commands_in_flask(url: str, use: Use) -> t.Any:
    """One that has no session either, and whose view asks redis-py for 1 KB, and stores
    as much where a session would be changed: the floor."""
    client = redis.Redis.from_url(url)
    value = bytes(1000)
    client.set("bare", value)

    def on_request(_: t.Any) -> None:
        client.get("bare")
        if use is write:
            client.set("bare", value)

    return flask_site(on_request, lambda app: None)


def ours_in_flask(url: str, use: Use, **config: t.Any) -> t.Any:
    """This library as people configure Flask-Session: a client, permanent sessions."""

    def set_up(app: flask.Flask) -> None:
        app.config.update(
            SECRET_KEY=SECRET_KEY,
            SESSION_TYPE="redis",
            SESSION_REDIS=redis.Redis.from_url(url),
            SESSION_OPERATION_TIMEOUT=PATIENCE,
            **config,
        )
        wsgi_redis_session.flask.Session(app)

    return flask_site(use, set_up)


def ours_encrypted(url: str, use: Use) -> t.Any:
    """The same with what is stored encrypted."""
    return ours_in_flask(url, use, SESSION_ENCRYPT=True)


def ours_in_middleware(url: str, use: Use) -> t.Any:
    """This library around a Flask application."""
    sessions = wsgi_redis_session.SessionManager(
        url, secret_key=SECRET_KEY, operation_timeout=PATIENCE
    )

    def on_request(_: t.Any) -> None:
        use(wsgi_redis_session.get_session(flask.request.environ))

    app = flask_site(on_request, lambda app: None)
    return wsgi_redis_session.SessionMiddleware(app, sessions)


def flasks_own(url: str, use: Use) -> t.Any:
    """Flask's sessions, which are in the cookie."""
    return flask_site(use, lambda app: app.config.update(SECRET_KEY=SECRET_KEY))


def flask_sessions(url: str, use: Use) -> t.Any:
    """Flask-Session."""

    def set_up(app: flask.Flask) -> None:
        client = redis.Redis.from_url(url)
        app.config.update(SESSION_TYPE="redis", SESSION_REDIS=client)
        flask_session.Session(app)

    return flask_site(use, set_up)


class SnippetSession(CallbackDict[str, t.Any], flask.sessions.SessionMixin):
    """The session of the snippet that many applications have copied."""

    def __init__(self, initial: t.Any = None, sid: str = "", new: bool = False) -> None:
        def on_update(self: t.Any) -> None:
            self.modified = True

        super().__init__(initial, on_update)
        self.sid = sid
        self.new = new
        self.modified = False


class SnippetInterface(flask.sessions.SessionInterface):
    """Its interface, which saves on every request."""

    def __init__(self, client: redis.Redis) -> None:
        self.redis = client

    def open_session(self, app: t.Any, request: t.Any) -> SnippetSession:
        sid = request.cookies.get("session")
        if not sid:
            return SnippetSession(sid=str(uuid.uuid4()), new=True)
        value = self.redis.get("snippet:" + sid)
        if value is None:
            return SnippetSession(sid=sid, new=True)
        return SnippetSession(pickle.loads(t.cast(bytes, value)), sid=sid)

    def save_session(self, app: t.Any, session: t.Any, response: t.Any) -> None:
        if not session:
            return
        value = pickle.dumps(dict(session))
        self.redis.setex("snippet:" + session.sid, timedelta(days=1), value)
        response.set_cookie("session", session.sid, httponly=True)


def snippets(url: str, use: Use) -> t.Any:
    """An application with that snippet."""

    def set_up(app: flask.Flask) -> None:
        app.session_interface = SnippetInterface(redis.Redis.from_url(url))

    return flask_site(use, set_up)


def beakers(url: str, use: Use) -> t.Any:
    """Beaker around the same Flask application."""

    def on_request(_: t.Any) -> None:
        use(flask.request.environ["beaker.session"])

    app = flask_site(on_request, lambda app: None)
    return beaker.middleware.SessionMiddleware(
        app,
        {
            "session.type": "ext:redis",
            "session.url": url,
            "session.auto": True,
            "session.key": "session",
            "session.secret": SECRET_KEY,
            "session.data_serializer": "json",
            "session.timeout": 86400,
        },
    )


def pyramid_site(use: Use, factory: t.Any) -> t.Any:
    """A Pyramid application whose view is a use of ``request.session``."""

    def view(request: t.Any) -> t.Any:
        use(request)
        return pyramid.response.Response("done")

    with pyramid.config.Configurator(session_factory=factory) as config:
        config.add_route("home", "/")
        config.add_view(view, route_name="home")
        return config.make_wsgi_app()


def pyramids(url: str, use: Use) -> t.Any:
    """pyramid_session_redis in a Pyramid application."""
    factory = pyramid_session_redis.RedisSessionFactory(
        SECRET_KEY, redis_url=url, timeout=86400
    )

    def on_request(request: t.Any) -> None:
        use(request.session)

    return pyramid_site(on_request, factory)


def bare_pyramid(url: str, use: Use) -> t.Any:
    """The same application without sessions."""
    return pyramid_site(lambda _: None, None)


def django_site(url: str, use: Use, middleware: list[str]) -> t.Any:
    """A Django application. A process has one configuration of Django, from which each
    handler takes its middleware when it is made."""
    settings = django.conf.settings
    if not settings.configured:
        backend = "django.core.cache.backends.redis.RedisCache"
        settings.configure(
            ALLOWED_HOSTS=["*"],
            SECRET_KEY=SECRET_KEY,
            CACHES={"default": {"BACKEND": backend, "LOCATION": url}},
            ROOT_URLCONF=__name__,
            SESSION_ENGINE="django.contrib.sessions.backends.cache",
            SESSION_COOKIE_NAME="session",
        )
        django.setup()
    settings.MIDDLEWARE = middleware

    def view(request: t.Any) -> t.Any:
        use(request)
        return django.http.HttpResponse("done")

    class Handler(django.core.handlers.wsgi.WSGIHandler):
        """One for each view, at the same path."""

        def resolve_request(self, request: t.Any) -> t.Any:
            request.resolver_match = django.urls.ResolverMatch(view, (), {})
            return request.resolver_match

    return Handler()


def djangos(url: str, use: Use) -> t.Any:
    """Django's sessions in its cache, which is Redis."""
    middleware = ["django.contrib.sessions.middleware.SessionMiddleware"]
    return django_site(url, lambda request: use(request.session), middleware)


def bare_django(url: str, use: Use) -> t.Any:
    """The same application without sessions."""
    return django_site(url, lambda _: None, [])


def renew_flask_sessions(session: t.Any) -> None:
    """What Flask-Session has for a login."""
    interface: t.Any = flask.current_app.session_interface
    interface.regenerate(session)
    session["user"] = 1


def renew(method: str) -> Use:
    """A login by a method of the session."""

    def login(session: t.Any) -> None:
        getattr(session, method)()
        session["user"] = 1

    return login


OURS_IN_FLASK = "wsgi-redis-session in Flask"
OURS = "wsgi-redis-session, middleware"
FLASK_SESSION = "Flask-Session"

PEERS = [
    Peer(OURS, ours_in_middleware, bare_flask, renew("regenerate")),
    Peer(OURS_IN_FLASK, ours_in_flask, bare_flask, renew("regenerate")),
    Peer("the same, encrypted", ours_encrypted, bare_flask, renew("regenerate")),
    Peer("Flask's cookie", flasks_own, bare_flask),
    Peer(FLASK_SESSION, flask_sessions, bare_flask, renew_flask_sessions),
    Peer("the snippet", snippets, bare_flask),
    Peer("Beaker", beakers, bare_flask, renew("regenerate_id")),
    Peer("pyramid_session_redis", pyramids, bare_pyramid),
    Peer("Django, cache", djangos, bare_django, renew("cycle_key")),
]

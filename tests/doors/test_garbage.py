"""What a request leaves behind: nothing that only Python's garbage collector can free,
because whoever serves many requests pays for each of its rounds."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import gc
import typing as t

import flask
import pytest
from middleware_site import Boom
from middleware_site import EVERY_SHAPE
from pyramid.config import Configurator
from pyramid.response import Response
from werkzeug.test import Client
from wsgi_apps import Environ
from wsgi_apps import plain
from wsgi_apps import Shape

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.flask import RedisSessionInterface
from wsgi_redis_session.flask import Session
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.pyramid import SessionFactory

MakeManager = cabc.Callable[..., SessionManager]
Use = cabc.Callable[[t.Any], object]
Site = cabc.Callable[[Use], t.Any]


def write(session: t.Any) -> None:
    session["visits"] = session.get("visits", 0) + 1


def fail(session: t.Any) -> None:
    write(session)
    raise Boom


USES: dict[str, Use] = {
    "nothing": lambda session: None,
    "read": lambda session: session.get("visits"),
    "write": write,
    "write a nested value": lambda session: session["list"].append(1),
    "remove": lambda session: session.pop("list", None),
    "clear": lambda session: session.clear(),
    "prolong": lambda session: setattr(session, "modified", True),
    "become permanent": lambda session: setattr(session, "permanent", True),
    "get a new session id": lambda session: session.regenerate(),
    "log in": lambda session: session.update(user="Ada"),
    "log out": lambda session: session.destroy(),
}
EVERY_USE = pytest.mark.parametrize("use", USES.values(), ids=USES)


def visit(client: Client) -> None:
    """One request, which is over then."""
    with contextlib.suppress(Boom):
        client.get("/").close()


def left_by(make_site: Site, use: Use) -> list[object]:
    """Objects of the library that only the collector frees, after a request."""
    uses = [lambda session: session.update(visits=1, list=[1])]
    client = Client(make_site(lambda session: uses[-1](session)))
    visit(client)
    uses.append(use)
    visit(client)  # which makes what the next ones have as well
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        visit(client)
        gc.collect()
        package = "wsgi_redis_session"
        return [one for one in gc.garbage if type(one).__module__.startswith(package)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("use", [*USES.values(), fail], ids=[*USES, "fail"])
def test_middleware_leaves_nothing(make_manager: MakeManager, use: Use) -> None:
    manager = make_manager(user_key="user")

    def site(use: Use) -> t.Any:
        def body(environ: Environ) -> list[bytes]:
            use(get_session(environ))
            return [b"done"]

        return SessionMiddleware(plain(body), manager)

    assert left_by(site, use) == []


@EVERY_SHAPE
def test_no_way_to_respond_leaves_anything(
    manager: SessionManager, shape: Shape
) -> None:
    def site(use: Use) -> t.Any:
        def step(environ: Environ) -> bytes:
            use(get_session(environ))
            return b"done"

        return SessionMiddleware(shape(step), manager)

    assert left_by(site, write) == []


def test_file_wrapper_that_is_a_function_leaves_nothing(
    manager: SessionManager,
) -> None:
    def site(use: Use) -> t.Any:
        def body(environ: Environ) -> t.Any:
            use(get_session(environ))
            return environ["wsgi.file_wrapper"]([b"done"])

        application = SessionMiddleware(plain(body), manager)

        def server(environ: Environ, start_response: t.Any) -> t.Any:
            environ["wsgi.file_wrapper"] = iter
            return application(environ, start_response)

        return server

    assert left_by(site, write) == []


def test_merge_leaves_nothing(manager: SessionManager) -> None:
    def site(use: Use) -> t.Any:
        def body(environ: Environ) -> list[bytes]:
            use(get_session(environ))
            other = manager.load(environ.get("HTTP_COOKIE", ""))
            other["other"] = other.get("other", 0) + 1
            manager.commit(other)
            manager.close(other)
            return [b"done"]

        return SessionMiddleware(plain(body), manager)

    assert left_by(site, write) == []


@EVERY_USE
@pytest.mark.parametrize("is_interface", [False, True])
@pytest.mark.parametrize("streams", [False, True])
def test_flask_leaves_nothing(
    server: LocalServer, use: Use, is_interface: bool, streams: bool
) -> None:
    def site(use: Use) -> flask.Flask:
        app = flask.Flask(__name__)
        app.config.update(SECRET_KEY="x" * 32, SESSION_REDIS=server.url)
        app.config["PROPAGATE_EXCEPTIONS"] = True
        app.config["SESSION_USER_KEY"] = "user"
        if is_interface:
            app.session_interface = RedisSessionInterface()
        else:
            Session(app)

        @app.route("/")
        def view() -> t.Any:
            use(flask.session)
            return iter(["done"]) if streams else "done"

        return app

    assert left_by(site, use) == []


@EVERY_USE
@pytest.mark.parametrize("has_middleware", [False, True])
def test_pyramid_leaves_nothing(
    make_manager: MakeManager, use: Use, has_middleware: bool
) -> None:
    manager = make_manager(user_key="user")

    def site(use: Use) -> t.Any:
        def view(request: t.Any) -> Response:
            try:
                use(request.session)
            except AttributeError:
                request.session.invalidate()  # what Pyramid has for it
            return Response("done")

        with Configurator(session_factory=SessionFactory(manager)) as config:
            config.add_route("home", "/")
            config.add_view(view, route_name="home")
            app = config.make_wsgi_app()
        return SessionMiddleware(app, manager) if has_middleware else app

    assert left_by(site, use) == []

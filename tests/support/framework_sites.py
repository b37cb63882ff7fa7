"""The same site in every framework, in each one's own way."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import json
import pathlib
import sys
import typing as t

import bottle
import cherrypy
import cherrypy.lib.static
import django
import django.conf
import django.core.handlers.wsgi
import django.http
import django.test.utils
import django.urls
import falcon
import pyramid.config
import pyramid.response
import web
import werkzeug.utils
import werkzeug.wrappers
from wsgi_apps import App

from wsgi_redis_session import get_session
from wsgi_redis_session import Session

#: What /download sends.
FILE = pathlib.Path(__file__)

#: What /stream sends.
PARTS = [b"1", b"2", b"3"]


def count(session: Session) -> str:
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])


def nested(session: Session) -> str:
    lines = session.setdefault("cart", {"lines": []})["lines"]
    lines.append(len(lines))
    return json.dumps(lines)


def login(session: Session) -> str:
    session["user"] = "ada"
    return "welcome"


def logout(session: Session) -> str:
    session.destroy()
    return "good bye"


def data(session: Session) -> str:
    return json.dumps(session.copy())


def untouched(session: Session) -> str:
    return "public"


def fail(session: Session) -> str:
    session["half"] = "done"
    raise ZeroDivisionError


def stream(session: Session) -> cabc.Iterator[bytes]:
    for part in PARTS:
        session["sent"] = part.decode()
        yield part


#: What each page does with its visitor's session, and says.
PAGES = {
    page.__name__: page
    for page in (count, nested, login, logout, data, untouched, fail)
}


def bottle_site(*, raises: bool) -> App:
    app = bottle.Bottle()
    app.config["catchall"] = not raises

    @app.get("/<name>")
    def page(name: str) -> str:
        return PAGES[name](get_session(bottle.request.environ))

    @app.get("/download")
    def download() -> bottle.HTTPResponse:
        count(get_session(bottle.request.environ))
        return bottle.static_file(FILE.name, root=FILE.parent)

    @app.get("/stream")
    def streamed() -> cabc.Iterator[bytes]:
        return stream(get_session(bottle.request.environ))

    return t.cast(App, app)


class CherryPySite:
    @cherrypy.expose
    def default(self, name: str) -> str:
        return PAGES[name](get_session(cherrypy.request.wsgi_environ))

    @cherrypy.expose
    def download(self) -> t.Any:
        count(get_session(cherrypy.request.wsgi_environ))
        return cherrypy.lib.static.serve_file(str(FILE))

    @cherrypy.expose
    @cherrypy.config(**{"response.stream": True})
    def stream(self) -> cabc.Iterator[bytes]:
        return stream(get_session(cherrypy.request.wsgi_environ))


def cherrypy_site(*, raises: bool) -> App:
    # Without a name of its own it takes the mount point from the environment.
    app = cherrypy.Application(CherryPySite(), None)
    app.log.screen = False
    if raises:
        app.merge({"/": {"request.throw_errors": True}})
        app.wsgiapp.pipeline = []
    return t.cast(App, app)


def django_page(request: t.Any, name: str) -> django.http.HttpResponse:
    return django.http.HttpResponse(PAGES[name](get_session(request.META)))


def django_download(request: t.Any) -> django.http.FileResponse:
    count(get_session(request.META))
    return django.http.FileResponse(FILE.open("rb"))


def django_stream(request: t.Any) -> django.http.StreamingHttpResponse:
    return django.http.StreamingHttpResponse(stream(get_session(request.META)))


#: Where Django looks for it.
urlpatterns = [
    django.urls.path("download", django_download),
    django.urls.path("stream", django_stream),
    django.urls.path("<name>", django_page),
]


def django_site(*, raises: bool) -> App:
    if not django.conf.settings.configured:
        django.conf.settings.configure(
            ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, LOGGING_CONFIG=None
        )
        django.setup(set_prefix=False)
    app = django.core.handlers.wsgi.WSGIHandler()
    settings = {"DEBUG_PROPAGATE_EXCEPTIONS": raises}
    return t.cast(App, django.test.utils.override_settings(**settings)(app.__call__))


class FalconPage:
    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        resp.text = PAGES[name](get_session(req.env))


class FalconDownload:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        count(get_session(req.env))
        resp.set_stream(FILE.open("rb"), FILE.stat().st_size)


class FalconStream:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.stream = stream(get_session(req.env))


def falcon_site(*, raises: bool) -> App:
    app = falcon.App()
    app.add_route("/{name}", FalconPage())
    app.add_route("/download", FalconDownload())
    app.add_route("/stream", FalconStream())
    if raises:
        app.add_error_handler(Exception, raise_again)
    return t.cast(App, app)


def raise_again(req: object, resp: object, error: Exception, params: object) -> None:
    raise error


def pyramid_page(request: t.Any) -> pyramid.response.Response:
    page = PAGES[request.matchdict["name"]]
    return pyramid.response.Response(page(get_session(request.environ)))


def pyramid_download(request: t.Any) -> pyramid.response.Response:
    count(get_session(request.environ))
    return pyramid.response.FileResponse(FILE, request=request)


def pyramid_stream(request: t.Any) -> pyramid.response.Response:
    return pyramid.response.Response(app_iter=stream(get_session(request.environ)))


def pyramid_error(error: Exception, request: t.Any) -> pyramid.response.Response:
    return pyramid.response.Response("sorry", status=500)


def pyramid_site(*, raises: bool) -> App:
    with pyramid.config.Configurator() as config:
        for name in ("download", "stream", "page"):
            config.add_route(name, "/{name}" if name == "page" else f"/{name}")
        config.add_view(pyramid_page, route_name="page")
        config.add_view(pyramid_download, route_name="download")
        config.add_view(pyramid_stream, route_name="stream")
        if not raises:
            config.add_exception_view(pyramid_error, context=Exception)
        return t.cast(App, config.make_wsgi_app())


class WebPage:
    def GET(self, name: str) -> str:
        return PAGES[name](get_session(web.ctx.environ))


class WebStream:
    def GET(self) -> cabc.Iterator[bytes]:
        return stream(get_session(web.ctx.environ))


def web_site(*, raises: bool) -> App:
    web.config.debug = False
    app = web.application(("/stream", WebStream, "/(.*)", WebPage), autoreload=False)
    if raises:
        app.internalerror = lambda: sys.exc_info()[1]
    return t.cast(App, app.wsgifunc())


def werkzeug_site(*, raises: bool) -> App:
    @werkzeug.wrappers.Request.application
    def app(request: werkzeug.wrappers.Request) -> werkzeug.wrappers.Response:
        session = get_session(request.environ)
        if request.path == "/download":
            count(session)
            return werkzeug.utils.send_file(FILE, request.environ)
        if request.path == "/stream":
            return werkzeug.wrappers.Response(stream(session))
        try:
            return werkzeug.wrappers.Response(PAGES[request.path[1:]](session))
        except ArithmeticError:
            if raises:
                raise
            return werkzeug.wrappers.Response("sorry", status=500)

    return t.cast(App, app)


@dataclasses.dataclass(frozen=True)
class Framework:
    """How a framework differs from the others."""

    #: Makes the site; what its pages raise becomes a page of the framework's, or comes
    #: out of the application.
    make: t.Callable[..., App]
    #: What it makes of a Redis that does not answer; 0 lets the error through.
    unavailable: int = 500
    #: Whether it has a way to send a file.
    sends_files: bool = True


FRAMEWORKS = {
    "bottle": Framework(bottle_site),
    "cherrypy": Framework(cherrypy_site),
    "django": Framework(django_site),
    "falcon": Framework(falcon_site),
    "pyramid": Framework(pyramid_site),
    "web.py": Framework(web_site, sends_files=False),
    "werkzeug": Framework(werkzeug_site, unavailable=503),
}

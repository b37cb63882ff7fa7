"""Files for PasteDeploy, and the applications that they name."""

from __future__ import annotations

import configparser
import pathlib
import typing as t

from paste.deploy import loadapp
from pyramid.config import Configurator
from pyramid.response import Response
from wsgi_apps import App
from wsgi_apps import Environ
from wsgi_apps import TEXT

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionMiddleware

SUPPORT = pathlib.Path(__file__).parent

#: Each way to name the filter in an .ini file.
WAYS = [
    "use = egg:wsgi-redis-session",
    "use = egg:wsgi-redis-session#main",
    "use = egg:wsgi-redis-session#factory",
    "use = call:wsgi_redis_session.paste:filter_factory",
    "paste.filter_factory = wsgi_redis_session.paste:filter_factory",
    "paste.filter_app_factory = wsgi_redis_session.paste:filter_app_factory",
]


def count(environ: Environ, start_response: t.Any) -> list[bytes]:
    session = get_session(environ)
    session["visits"] = session.get("visits", 0) + 1
    start_response("200 OK", [TEXT])
    return [str(session["visits"]).encode()]


def plain_app(global_conf: dict[str, str], **settings: str) -> App:
    return count


def pyramid_app(global_conf: dict[str, str], **settings: str) -> App:
    """Counts in request.session and in the session of the middleware, by turns."""

    def visit(request: t.Any) -> Response:
        session = request.session
        if session.get("visits", 0) % 2:
            session = get_session(request.environ)
        session["visits"] = session.get("visits", 0) + 1
        return Response(str(session["visits"]))

    with Configurator(settings=settings) as config:
        config.add_route("count", "/count")
        config.add_view(visit, route_name="count")
        return config.make_wsgi_app()


class Files:
    """A directory with .ini files, in which the package counts as installed."""

    def __init__(self, path: pathlib.Path, redis: str) -> None:
        self.path = path
        self.redis = redis

    def install(self) -> None:
        """As pip does, with the entry points that setup.cfg declares."""
        sections = entry_points()
        metadata = self.path / "wsgi_redis_session-0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Name: wsgi-redis-session\nVersion: 0\n")
        with (metadata / "entry_points.txt").open("w") as file:
            sections.write(file)

    def write(self, *options: str, way: str = WAYS[0], app: str = "plain_app") -> str:
        """An application with a filter; the path of the file."""
        lines = [
            "[app:main]",
            f"paste.app_factory = paste_files:{app}",
            "filter-with = sessions",
            "pyramid.includes = wsgi_redis_session.pyramid",
            "[filter:sessions]",
            way,
            *options,
        ]
        if not any("redis" in option for option in options):
            lines.append(f"redis = {self.redis}")
        file = self.path / "site.ini"
        file.write_text("\n".join(lines))
        return str(file)

    def load(self, *options: str, way: str = WAYS[0]) -> SessionMiddleware:
        return t.cast(
            SessionMiddleware, loadapp(f"config:{self.write(*options, way=way)}")
        )


def entry_points() -> configparser.ConfigParser:
    """What setup.cfg says, in the form in which pip writes it."""
    declared = configparser.ConfigParser()
    declared.read(SUPPORT.parents[1] / "setup.cfg")
    text = "\n".join(
        f"[{group}]{names}" for group, names in declared["options.entry_points"].items()
    )
    parsed = configparser.ConfigParser()
    parsed.read_string(text)
    return parsed

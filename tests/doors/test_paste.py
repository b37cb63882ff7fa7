"""Sessions from an .ini file: PasteDeploy, Pyramid's pserve, gunicorn's --paste."""

from __future__ import annotations

import collections.abc as cabc
import configparser
import contextlib
import importlib.metadata
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
import redis
from conftest import SECRET_KEY
from paste.deploy import loadapp
from pyramid.config import Configurator
from pyramid.paster import get_app
from pyramid.response import Response
from test_servers import Browser
from test_servers import listening
from test_servers import PATIENCE
from werkzeug.test import Client
from wsgi_apps import App
from wsgi_apps import Environ
from wsgi_apps import TEXT

import wsgi_redis_session
from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import get_session
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.local_server import LocalServer

SUPPORT = pathlib.Path(__file__).parents[1] / "support"

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
            f"paste.app_factory = test_paste:{app}",
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


@pytest.fixture
def files(
    tmp_path: pathlib.Path, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> Files:
    files = Files(tmp_path, server.url)
    files.install()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("SECRET_KEY", raising=False)
    monkeypatch.delenv("SESSION_REDIS", raising=False)
    return files


def visits(app: App, times: int = 3) -> list[str]:
    client = Client(app)
    return [client.get("/").text for _ in range(times)]


@contextlib.contextmanager
def closing(app: SessionMiddleware) -> cabc.Iterator[SessionMiddleware]:
    yield app
    app.sessions.disconnect()


def test_entry_points_are_there_and_can_be_loaded() -> None:
    declared = entry_points()
    found = {
        (group, name): importlib.metadata.EntryPoint(name, value, group).load()
        for group in declared.sections()
        for name, value in declared[group].items()
        if group.startswith("paste.")
    }
    package = wsgi_redis_session.paste
    assert found == {
        ("paste.filter_app_factory", "main"): package.filter_app_factory,
        ("paste.filter_factory", "factory"): package.filter_factory,
    }


@pytest.mark.parametrize("way", WAYS)
def test_application_behind_the_filter_has_sessions(files: Files, way: str) -> None:
    with closing(files.load(f"secret_key = {SECRET_KEY}", way=way)) as app:
        assert visits(app) == ["1", "2", "3"]


def test_filter_works_in_a_pipeline(files: Files) -> None:
    file = files.path / "pipeline.ini"
    file.write_text(
        "[pipeline:main]\npipeline = sessions counter\n"
        "[filter:sessions]\nuse = egg:wsgi-redis-session\nsecret_key = a test\n"
        f"redis = {files.redis}\n"
        "[app:counter]\npaste.app_factory = test_paste:plain_app\n"
    )
    with closing(loadapp(f"config:{file}")) as app:
        assert visits(app) == ["1", "2", "3"]


def test_every_option_can_stand_in_the_file(files: Files, db: redis.Redis) -> None:
    app = files.load(
        "secret_key = a 100%% secret",
        "secret_key_fallbacks = older, oldest",
        "cookie_name = sid",
        "cookie_secure = true",
        "idle_timeout = 90",
        "lifetime = none",
        "key_prefix = app:",
        "on_event = test_paste:plain_app",
    )
    config = app.sessions.config
    assert (config.cookie_name, config.cookie_secure) == ("sid", True)
    assert (config.idle_timeout, config.lifetime) == (90, None)
    assert config.on_event is plain_app
    keys = app.sessions.cookie.secret_keys
    assert keys == [b"a 100% secret", b"older", b"oldest"]
    with closing(app):
        assert visits(app, 1) == ["1"]
    assert len(db.keys("app:*")) == 1


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("idle_timeout = soon", "idle_timeout='soon' cannot work: "),
        ("cookie_nam = sid", "There is no option 'cookie_nam': did you mean "),
        ("redis = localhost", "redis='localhost' cannot work: "),
    ],
)
def test_wrong_option_is_found_when_the_file_is_loaded(
    files: Files, option: str, said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        files.load("secret_key = a test", option)
    assert str(caught.value).startswith(said)


def test_secret_key_and_server_may_come_from_the_environment(
    files: Files, monkeypatch: pytest.MonkeyPatch, db: redis.Redis
) -> None:
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("SESSION_REDIS", files.redis)
    monkeypatch.setenv("SESSION_COOKIE_NAME", "not-asked-for")
    with closing(files.load("# no redis")) as app:
        assert visits(app) == ["1", "2", "3"]
    assert db.dbsize() == 1
    assert app.sessions.config.cookie_name == "session"


def test_file_goes_before_the_environment(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "another")
    app = files.load(f"secret_key = {SECRET_KEY}")
    assert app.sessions.cookie.secret_keys == [SECRET_KEY.encode()]


def test_without_a_secret_key_the_file_cannot_be_loaded(files: Files) -> None:
    with pytest.raises(ConfigurationError, match="secret_key is missing"):
        files.load()


def test_what_stands_in_the_file_s_defaults_has_to_be_asked_for(files: Files) -> None:
    defaults = ["[DEFAULT]", "secret_key = a test", "cookie_name = sid"]
    with pytest.raises(ConfigurationError, match="secret_key is missing"):
        files.load(*defaults)
    app = files.load("get secret_key = secret_key", *defaults)
    assert app.sessions.cookie.secret_keys == [b"a test"]
    assert app.sessions.config.cookie_name == "session"


def test_pyramid_s_session_is_that_of_the_filter(
    files: Files, monkeypatch: pytest.MonkeyPatch, db: redis.Redis
) -> None:
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
    with closing(get_app(files.write(app="pyramid_app"))) as app:
        client = Client(app)
        assert [client.get("/count").text for _ in range(4)] == ["1", "2", "3", "4"]
    assert db.dbsize() == 1


@contextlib.contextmanager
def running(
    files: Files, *command: str, **options: t.Any
) -> cabc.Iterator[subprocess.Popen[str]]:
    """A command of Python's in which our modules and those of the tests are found."""
    # Without "-W error", which even importing Pyramid does not stand.
    packages = pathlib.Path(wsgi_redis_session.__file__).parents[1]
    here = pathlib.Path(__file__).parent
    folders = [files.path, here, here.parent, SUPPORT, packages]
    paths = os.pathsep.join(map(str, folders))
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=os.environ | {"PYTHONPATH": paths, "SECRET_KEY": SECRET_KEY},
        cwd=files.path,
        stdout=subprocess.DEVNULL,
        text=True,
        **options,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()


@pytest.mark.parametrize("app", ["plain_app", "pyramid_app"])
def test_gunicorn_serves_the_file(files: Files, app: str) -> None:
    with listening() as listener, (files.path / "gunicorn.log").open("w") as log:
        number = listener.fileno()
        command = ["gunicorn", "--paste", files.write(app=app), "--workers", "2"]
        command += ["--bind", f"fd://{number}"]
        with running(files, *command, pass_fds=[number], stderr=log):
            assert_counts(listener.getsockname()[1])


def test_pserve_serves_the_file(files: Files) -> None:
    file = files.write(app="pyramid_app")
    with open(file, "a") as ini:
        ini.write("\n[server:main]\nuse = egg:waitress\nlisten = 127.0.0.1:0\n")
        ini.write(LOGGING)
    command = ["pyramid.scripts.pserve", file]
    with running(files, *command, stderr=subprocess.PIPE) as process:
        said = ""
        for line in process.stderr or ():
            said += line
            if "Serving on http://127.0.0.1:" in line:
                break
        else:
            raise AssertionError(said)
        assert_counts(int(said.rpartition(":")[2]))


def assert_counts(port: int) -> None:
    browser = Browser(port)
    assert [browser.read("/count") for _ in range(4)] == [b"1", b"2", b"3", b"4"]


#: Where waitress says which port it has.
LOGGING = """
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = INFO
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = %(message)s
"""

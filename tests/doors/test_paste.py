"""Sessions from an .ini file: PasteDeploy, Pyramid's pserve, gunicorn's --paste."""

from __future__ import annotations

import collections.abc as cabc
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
from deployed_site import PATIENCE
from paste.deploy import loadapp
from paste_files import entry_points
from paste_files import Files
from paste_files import plain_app
from paste_files import SUPPORT
from paste_files import WAYS
from pyramid.paster import get_app
from serving import Browser
from serving import listening
from werkzeug.test import Client
from wsgi_apps import App

import wsgi_redis_session
from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.local_server import LocalServer


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
        "[app:counter]\npaste.app_factory = paste_files:plain_app\n"
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
        "on_event = paste_files:plain_app",
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
    folders = [files.path, SUPPORT.parent, SUPPORT, packages]
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

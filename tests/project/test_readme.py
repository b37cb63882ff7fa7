"""README.rst and docs are true: their code runs, the transcript is what happens, the
table of options is complete. What they say of deployment is in test_deployment.py, the
guide and the pages about Flask and tests are in test_guide.py."""

from __future__ import annotations

import dataclasses
import http.client
import os
import pathlib
import re
import socket
import subprocess
import sys
import typing as t

import flask
import options_table
import pytest
import redis
import web
from paste.deploy import loadapp
from paste_files import Files
from pyramid.config import Configurator
from readme import block
from readme import blocks
from readme import PAGES
from readme import PROJECT
from readme import README
from readme import run
from werkzeug.test import Client

import wsgi_redis_session
from wsgi_redis_session import SessionConfig
from wsgi_redis_session.local_server import LocalServer

#: What a new visitor sees of each program that counts.
TWO_VISITS = ["visit 1\n", "visit 2\n"]

#: The program of each framework, and the status of its pages while Redis is away.
FRAMEWORKS = {
    "bottle_app.py": 500,
    "cherrypy_app.py": 500,
    "falcon_app.py": 500,
    "pyramid_app.py": 503,
    "webpy_app.py": 500,
    "werkzeug_app.py": 503,
}

#: A Django project but for what the README adds to it.
DJANGO_PROJECT = {
    "mysite/__init__.py": "",
    "mysite/settings.py": """\
ALLOWED_HOSTS = ["localhost"]
MIDDLEWARE = ["{middleware}"]
ROOT_URLCONF = "mysite.urls"
SECRET_KEY = "Django's own"
""",
    "mysite/urls.py": """\
from django.http import HttpResponse
from django.urls import path


def index(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(f"visit {request.session['visits']}\\n")


urlpatterns = [path("", index)]
""",
    "visit.py": """\
from mysite.wsgi import application
from werkzeug.test import Client

client = Client(application)
print(client.get("/").text + client.get("/").text, end="")
""",
}


def test_readme_is_one_page_whose_links_lead_somewhere() -> None:
    assert len(README.splitlines()) <= 300
    links = re.findall(r"<(docs/[\w.-]+)>|image:: (docs/\S+)", README)
    paths = [PROJECT / (page or picture) for page, picture in links]
    assert len(paths) > 5
    assert [path for path in paths if not path.exists()] == []


def test_every_block_has_a_name_by_which_it_is_tested() -> None:
    names = {
        (name or text) for language, name, text in blocks() if language != "console"
    }
    tests = pathlib.Path(__file__).parents[1].rglob("test_*.py")
    tested = "".join(path.read_text() for path in tests)
    assert sorted(name for name in names if f'"{name}"' not in tested) == []


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return t.cast(int, listener.getsockname()[1])


def test_first_program_answers_as_in_the_transcript(
    server: LocalServer, db: t.Any, tmp_path: pathlib.Path
) -> None:
    port = free_port()
    program = tmp_path / "app.py"
    program.write_text(block("app.py").replace("8000", str(port)))
    process = subprocess.Popen(
        [sys.executable, program],
        env={**os.environ, "SESSION_REDIS": server.url},
        stderr=subprocess.DEVNULL,
    )
    try:
        cookie, answers = "", []
        for _ in range(2):
            headers, body = fetch(port, cookie)
            answers.append(
                "".join(f"{name}: {value}\n" for name, value in headers) + "\n" + body
            )
            cookie = dict(headers).get("Set-Cookie", cookie).partition(";")[0]
    finally:
        process.kill()
        process.wait()
    told = re.split(r"^\$ .*\n", block("transcript"), flags=re.MULTILINE)[1:]
    for answer, expected in zip(answers, told[:2], strict=True):
        lines = expected.splitlines(keepends=True)
        assert lines[0] == "HTTP/1.0 200 OK\n"
        assert alike(answer) == alike("".join(lines[1:]))
    assert alike(f'1) "{db.keys()[0].decode()}"\n') == alike(told[2])


def fetch(port: int, cookie: str) -> tuple[list[tuple[str, str]], str]:
    """One request, once the server listens; without what the server adds of itself."""
    for _ in range(200):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/", headers={"Cookie": cookie} if cookie else {})
        except ConnectionRefusedError:
            connection.close()
            subprocess.run([sys.executable, "-c", ""], check=True)
            continue
        response = connection.getresponse()
        headers = [pair for pair in response.getheaders() if pair[0] not in _SERVERS]
        body = response.read().decode()
        connection.close()
        return headers, body
    raise AssertionError("the program does not listen")


_SERVERS = ("Date", "Server")


def alike(text: str) -> str:
    """With what is different in each session replaced."""
    text = re.sub(r"session=[\w.-]{100,120};", "session=VALUE;", text)
    return re.sub(r"wsgi-session:[\w-]{24}", "wsgi-session:ID", text)


def visits(app: t.Any) -> list[str]:
    """What a new visitor sees, twice."""
    client = Client(app)
    return [client.get("/").text for _ in range(2)]


def test_flask_program_counts(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    assert visits(run("flask_app.py", monkeypatch, server).app) == TWO_VISITS


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_program_of_each_framework_counts(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer, name: str
) -> None:
    application = run(name, monkeypatch, server).application
    for _ in range(2):
        assert visits(application) == TWO_VISITS


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_program_of_each_framework_answers_while_redis_is_away(
    monkeypatch: pytest.MonkeyPatch, own_server: LocalServer, name: str
) -> None:
    # Its error page for developers does not close the files that it shows.
    monkeypatch.setitem(web.config, "debug", False)
    client = Client(run(name, monkeypatch, own_server).application)
    assert client.get("/").status_code == 200
    cookie = client.get_cookie("session")
    own_server.stop()
    assert client.get("/").status_code == FRAMEWORKS[name]
    assert client.get_cookie("session") == cookie
    # A new visitor's session is not looked up, only saved.
    assert Client(client.application).get("/").status_code == 503


def test_django_project_counts(server: LocalServer, tmp_path: pathlib.Path) -> None:
    middleware = told(r'"(mysite\.\S+)"`` in the ``MIDDLEWARE`` of the settings')
    names = ("mysite/sessions.py", "mysite/wsgi.py")
    (tmp_path / "mysite").mkdir()
    for name, text in (DJANGO_PROJECT | {name: block(name) for name in names}).items():
        (tmp_path / name).write_text(text.replace("{middleware}", middleware))
    packages = pathlib.Path(wsgi_redis_session.__file__).parents[1]
    variables = {"SESSION_REDIS": server.url, "SECRET_KEY": ""}  # Django has one
    found = subprocess.run(
        [sys.executable, "visit.py"],
        cwd=tmp_path,
        env=os.environ | variables | {"PYTHONPATH": str(packages)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert found.stdout == "visit 1\nvisit 2\n"


def told(pattern: str) -> str:
    """What the running text says, however its lines are broken."""
    texts = "\n".join(PAGES.values())
    (found,) = set(re.findall(pattern.replace(" ", r"\s+"), texts))
    return t.cast(str, found)


def test_pyramid_is_configured_by_its_ini_file_as_well(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    program = run("pyramid_app.py", monkeypatch, server)
    setting = told(r"``(pyramid\.includes = \S+)`` does what")
    name, value = re.split(r"\s=\s", setting)
    with Configurator(settings={name: value, "session.cookie_name": "sid"}) as config:
        config.add_view(program.index, renderer="string")
        client = Client(config.make_wsgi_app())
    assert [client.get("/").text for _ in range(2)] == TWO_VISITS
    assert client.get_cookie("sid")


def test_ini_file_gives_sessions_to_an_application_as_it_is(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer, tmp_path: pathlib.Path
) -> None:
    site = run("app.py", monkeypatch, server)
    site.main = lambda global_conf: site.app
    monkeypatch.setitem(sys.modules, "mysite", site)
    Files(tmp_path, server.url).install()
    metadata = tmp_path / "mysite-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: mysite\nVersion: 0\n")
    (metadata / "entry_points.txt").write_text(
        "[paste.app_factory]\nmain = mysite:main\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "site.ini").write_text(block("site.ini"))
    application = loadapp(f"config:{tmp_path}/site.ini")
    assert visits(application) == TWO_VISITS
    assert application.sessions.config.user_key == "user"


def test_two_frameworks_behind_one_dispatcher_share_one_session(
    monkeypatch: pytest.MonkeyPatch,
    server: LocalServer,
    db: redis.Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pages = run("flask_app.py", monkeypatch, server).app
    run("bottle_app.py", monkeypatch, server)
    pages.add_url_rule("/login", view_func=log_in)
    client = Client(run("portal.py", monkeypatch, server).application)
    texts = [client.get(page).text for page in ("/", "/shop/", "/", "/shop/")]
    assert texts == [f"visit {number}\n" for number in (1, 2, 3, 4)]
    assert len(db.keys()) == 1
    cookie = client.get_cookie("session")
    client.get("/login")
    assert client.get_cookie("session") != cookie
    assert client.get("/shop/").text == "visit 5\n"
    # All of them have the same options.
    assert [entry for entry in caplog.records if entry.levelname == "WARNING"] == []


def log_in() -> str:
    """As Flask-Login does."""
    flask.session["_user_id"] = "1"
    return "welcome"


def test_applications_in_processes_of_their_own_share_sessions(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    pages = Client(run("flask_app.py", monkeypatch, server).app)
    shop = Client(run("bottle_app.py", monkeypatch, server).application)
    assert pages.get("/").text == "visit 1\n"
    cookie = pages.get_cookie("session")
    assert cookie is not None
    shop.set_cookie("session", cookie.value)
    assert shop.get("/").text == "visit 2\n"
    assert pages.get("/").text == "visit 3\n"


def test_first_program_answers_503_while_redis_is_away(
    monkeypatch: pytest.MonkeyPatch, own_server: LocalServer
) -> None:
    client = Client(run("app.py", monkeypatch, own_server).application)
    assert client.get("/").status_code == 200
    own_server.stop()
    response = client.get("/")
    assert response.status_code == 503
    assert "The session store does not answer." in response.text


@pytest.mark.plain
def test_table_of_options_says_what_the_configuration_says() -> None:
    # python tests/support/options_table.py writes it.
    page = PAGES["docs/options.rst"]
    assert options_table.renewed(page).splitlines() == page.splitlines()
    for field in dataclasses.fields(SessionConfig):
        assert f"\n    * - ``{field.name}``\n" in page
        assert re.fullmatch(r"(?s)[A-Z`].{10,}\.", field.metadata["doc"])

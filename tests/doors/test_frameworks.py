"""Applications of each framework, as they are, inside of the middleware."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import http.cookiejar
import json
import os
import pathlib
import runpy
import subprocess
import sys
import typing as t
import urllib.error
import urllib.request

import pytest
import redis
from conftest import browser
from conftest import SECRET_KEY
from deployed_site import PATIENCE
from framework_sites import FILE
from framework_sites import Framework
from framework_sites import FRAMEWORKS
from framework_sites import PARTS
from proxy import Proxy
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client
from wsgi_apps import App

import wsgi_redis_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]
Load = cabc.Callable[[str, str], Client]

EXAMPLES = sorted(
    pathlib.Path(__file__).parents[2].glob("examples/frameworks/*_app.py")
)


@pytest.fixture(params=FRAMEWORKS.values(), ids=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> Framework:
    return t.cast(Framework, request.param)


@pytest.fixture
def app(framework: Framework) -> App:
    return framework.make(raises=False)


@pytest.fixture
def client(app: App, make_manager: MakeManager) -> Client:
    return browser(app, make_manager(user_key="user"))


def cookie(client: Client) -> str | None:
    found = client.get_cookie("session")
    return found and found.value


def data(client: Client) -> t.Any:
    return json.loads(client.get("/data").text)


def test_session_is_kept_from_request_to_request(client: Client) -> None:
    responses = [client.get("/count") for _ in range(3)]
    assert [response.text for response in responses] == ["1", "2", "3"]
    cookies = [len(response.headers.getlist("Set-Cookie")) for response in responses]
    assert cookies == [1, 0, 0]
    for response in responses:
        assert response.vary.as_set() == {"cookie"}


def test_visitors_are_kept_apart(app: App, manager: SessionManager) -> None:
    clients = [browser(app, manager) for _ in range(3)]
    for _ in range(2):
        texts = [client.get("/count").text for client in clients]
    assert texts == ["2", "2", "2"]


def test_change_inside_a_value_is_saved(client: Client) -> None:
    texts = [client.get("/nested").text for _ in range(3)]
    assert texts == ["[0]", "[0, 1]", "[0, 1, 2]"]


def test_login_changes_the_session_id_and_keeps_the_data(client: Client) -> None:
    client.get("/count")
    anonymous = cookie(client)
    assert client.get("/login").text == "welcome"
    assert cookie(client) not in (anonymous, None)
    assert data(client) == {"visits": 1, "user": "ada"}
    client.set_cookie("session", t.cast(str, anonymous))
    # What whoever has the old cookie knew before.
    assert data(client) == {"visits": 1}


def test_logout_ends_the_session_and_takes_the_cookie_back(
    client: Client, db: redis.Redis
) -> None:
    client.get("/login")
    before = cookie(client)
    assert client.get("/logout").text == "good bye"
    assert cookie(client) is None
    assert db.get(db.keys()[-1])[:2] in (b"\0e", b"\0c")
    client.set_cookie("session", t.cast(str, before))
    assert data(client) == {}


def test_page_that_does_not_touch_its_session_has_no_trace_of_it(
    client: Client,
) -> None:
    client.get("/count")
    response = client.get("/untouched")
    assert response.text == "public"
    assert "Set-Cookie" not in response.headers
    assert not response.vary
    assert "no-store" not in response.headers.get("Cache-Control", "")


def test_download_arrives_whole_and_is_counted(
    client: Client, framework: Framework
) -> None:
    if framework.sends_files:
        for _ in range(2):
            with client.get("/download") as response:
                assert response.data == FILE.read_bytes()
        assert data(client) == {"visits": 2}


def test_what_a_streaming_body_changes_is_saved(client: Client) -> None:
    client.get("/count")
    assert client.get("/stream").data == b"".join(PARTS)
    assert data(client) == {"visits": 1, "sent": "3"}


def test_exception_that_becomes_a_page_is_a_response_like_any_other(
    client: Client,
) -> None:
    client.get("/count")
    assert client.get("/fail").status_code == 500
    assert data(client) == {"visits": 1, "half": "done"}


def test_exception_that_leaves_the_framework_saves_nothing(
    framework: Framework, manager: SessionManager, db: redis.Redis
) -> None:
    client = browser(framework.make(raises=True), manager)
    with pytest.raises(ZeroDivisionError):
        client.get("/fail")
    assert db.dbsize() == 0
    client.get("/count")
    with pytest.raises(ZeroDivisionError):
        client.get("/fail")
    assert data(client) == {"visits": 1}


def test_outage_is_an_error_page_and_the_visitor_keeps_the_session(
    framework: Framework, server: LocalServer, make_manager: MakeManager
) -> None:
    with Proxy(server.socket) as proxy:
        client = browser(framework.make(raises=False), make_manager(proxy.url))
        client.get("/count")
        before = cookie(client)
        healthy, proxy.on_reply = proxy.on_reply, lambda command, reply: None
        for page in ("/count", "/logout"):
            response = client.get(page)
            assert response.status_code == framework.unavailable
            assert "Set-Cookie" not in response.headers
        assert client.get("/untouched").text == "public"
        proxy.on_reply = healthy
        assert cookie(client) == before
        assert client.get("/count").text == "2"


def test_outage_while_a_logout_is_saved_is_no_logout(
    app: App, server: LocalServer, make_manager: MakeManager
) -> None:
    with Proxy(server.socket) as proxy:
        client = browser(app, make_manager(proxy.url))
        client.get("/login")
        before = cookie(client)
        healthy = proxy.on_reply
        proxy.on_reply = lambda command, reply: reply if command[0] == b"GET" else None
        assert client.get("/logout").status_code == 503
        proxy.on_reply = healthy
        assert cookie(client) == before


def test_all_frameworks_behind_one_dispatcher_share_a_session(
    make_manager: MakeManager,
) -> None:
    mounts = {
        f"/{name}": framework.make(raises=False)
        for name, framework in FRAMEWORKS.items()
    }
    client = browser(
        DispatcherMiddleware(FRAMEWORKS["werkzeug"].make(raises=False), mounts),
        make_manager(user_key="user"),
    )
    texts = [client.get(f"{mount}/count").text for mount in ["", *mounts] * 2]
    assert texts == [str(number + 1) for number in range(16)]
    for mount in mounts:
        assert client.get(f"{mount}/login").text == "welcome"
        assert json.loads(client.get("/data").text)["user"] == "ada"
        client.get("/logout")
        assert client.get(f"{mount}/data").text == "{}"


# The examples.


def environment(server: LocalServer) -> dict[str, str]:
    return {"SECRET_KEY": SECRET_KEY, "SESSION_REDIS": server.url}


@contextlib.contextmanager
def running(example: pathlib.Path, server: LocalServer) -> cabc.Iterator[str]:
    """Run an example as a program; the address of its first page."""
    packages = str(pathlib.Path(wsgi_redis_session.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, example],
        env={**os.environ, **environment(server), "PORT": "0", "PYTHONPATH": packages},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            yield t.cast(t.TextIO, process.stdout).readline().strip()
        finally:
            process.kill()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_as_a_program(example: pathlib.Path, server: LocalServer) -> None:
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

    def read(url: str, form: bytes | None = None) -> str:
        with opener.open(url, form, PATIENCE) as response:
            return t.cast(str, response.read().decode())

    with running(example, server) as address:
        assert read(address) == "visit 1 of nobody\n"
        anonymous = [cookie.value for cookie in jar]
        assert read(f"{address}login", b"name=ada") == "welcome\n"
        assert len(jar) == len(anonymous) == 1
        assert [cookie.value for cookie in jar] != anonymous
        assert read(address) == "visit 2 of ada\n"
        with pytest.raises(urllib.error.HTTPError) as refused:
            read(f"{address}logout")
        refused.value.close()
        assert read(f"{address}logout", b"") == "good bye\n"
        assert len(jar) == 0
        assert read(address) == "visit 1 of nobody\n"


def test_each_framework_has_an_example() -> None:
    names = {path.stem.removesuffix("_app") for path in EXAMPLES}
    assert names == {name.replace(".", "") for name in FRAMEWORKS}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> cabc.Iterator[Load]:
    """Import an example; a browser in front of what it serves."""
    made: list[SessionMiddleware] = []

    def load(name: str, redis: str) -> Client:
        monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
        monkeypatch.setenv("SESSION_REDIS", redis)
        module = runpy.run_path(str(EXAMPLES[0].with_name(f"{name}_app.py")))
        made.append(module["application"])
        return Client(made[-1])

    yield load
    for application in made:
        application.sessions.disconnect()


@pytest.mark.parametrize("name", ["bottle", "falcon", "cherrypy", "webpy", "werkzeug"])
def test_session_of_the_example_s_request_is_the_visitor_s(
    load: Load, server: LocalServer, name: str
) -> None:
    client = load(name, server.url)
    other = Client(client.application)
    for visits in (1, 2):
        assert client.get("/").text == f"visit {visits} of nobody\n"
    assert other.get("/").text == "visit 1 of nobody\n"
    other.post("/login", data={"name": "bob"})
    assert client.get("/").text == "visit 3 of nobody\n"
    assert other.get("/").text == "visit 2 of bob\n"


@pytest.mark.parametrize("name", ["falcon", "werkzeug"])
def test_example_answers_503_while_redis_is_away(
    load: Load, own_server: LocalServer, name: str
) -> None:
    client = load(name, own_server.url)
    client.get("/")
    before = cookie(client)
    own_server.stop()
    assert client.get("/").status_code == 503
    assert cookie(client) == before

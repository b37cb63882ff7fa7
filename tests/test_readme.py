"""README.rst is true: its code runs, its transcript is what happens, its table of
options is complete."""

from __future__ import annotations

import dataclasses
import http.client
import os
import pathlib
import re
import socket
import subprocess
import sys
import types
import typing as t

import pytest
from conftest import browser
from werkzeug.test import Client

from wsgi_redis_session import SessionConfig
from wsgi_redis_session import SessionManager
from wsgi_redis_session.local_server import LocalServer

README = pathlib.Path(__file__).parent.parent.joinpath("README.rst").read_text()


def block(name: str) -> str:
    """The code block of that name."""
    (found,) = re.findall(
        rf"^\.\. code-block:: \w+\n    :name: {re.escape(name)}\n\n((?:    .*\n|\n)+)",
        README,
        re.MULTILINE,
    )
    return re.sub(r"^    ", "", found, flags=re.MULTILINE).rstrip("\n") + "\n"


def run(name: str, monkeypatch: pytest.MonkeyPatch, server: LocalServer) -> t.Any:
    """Execute a block as a module."""
    monkeypatch.setenv("SESSION_REDIS", server.url)
    monkeypatch.setenv("SECRET_KEY", "not a secret, this is a test")
    module = types.ModuleType("readme")
    exec(compile(block(name), name, "exec"), module.__dict__)
    return module


def test_every_python_block_has_a_name_by_which_it_is_tested() -> None:
    blocks = re.findall(r"\.\. code-block:: python\n(?:    :name: (.*)\n)?", README)
    assert sorted(blocks) == [
        "app.py",
        "flask_app.py",
        "gunicorn.conf.py",
        "unavailable.py",
    ]


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


def test_flask_program_counts(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    client = run("flask_app.py", monkeypatch, server).app.test_client()
    assert [client.get("/").text for _ in range(2)] == ["visit 1\n", "visit 2\n"]


def test_gunicorn_configuration_wraps_the_worker_s_application(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    worker = types.SimpleNamespace(wsgi=run("app.py", monkeypatch, server).app)
    run("gunicorn.conf.py", monkeypatch, server).post_worker_init(worker)
    client = Client(worker.wsgi)
    assert [client.get("/").text for _ in range(2)] == ["visit 1\n", "visit 2\n"]


def test_polite_application_answers_503(
    monkeypatch: pytest.MonkeyPatch, own_server: LocalServer, manager: SessionManager
) -> None:
    app = run("app.py", monkeypatch, own_server)
    polite = run("unavailable.py", monkeypatch, own_server).polite
    client = Client(polite(app.application))
    assert client.get("/").status_code == 200
    own_server.stop()
    assert client.get("/").status_code == 503
    assert browser(app.app, manager).get("/").status_code == 200


def test_table_of_options_is_complete_and_true() -> None:
    section = README.split("\nOptions\n", 1)[1].split("\nHow it is stored\n", 1)[0]
    rows = re.findall(r"\* - ``(\w+)``\n      - (.+)\n      - (.+)", section)
    fields = dataclasses.fields(SessionConfig)
    assert sorted(name for name, _, _ in rows) == sorted(field.name for field in fields)
    config = SessionConfig()
    for name, shown, _ in rows:
        default = getattr(config, name)
        if name == "clock":
            assert shown == "``time.time``"
        elif "day" in shown:
            assert default.total_seconds() == int(shown.split()[0]) * 86_400
        elif shown.isdigit():
            assert default == int(shown)
        else:
            assert shown == f"``{default!r}``".replace("'", '"')

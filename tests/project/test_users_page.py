"""The programs of docs/users.rst do what is said there."""

from __future__ import annotations

import types
import typing as t

import pytest
from readme import block
from readme import run
from visitors import cookie_header
from visitors import look
from visitors import Request
from visitors import store

from wsgi_redis_session import SessionManager
from wsgi_redis_session.local_server import LocalServer


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch, server: LocalServer) -> SessionManager:
    manager: SessionManager = run("users.py", monkeypatch, server).sessions
    return manager


def on_three_devices(sessions: SessionManager) -> list[str]:
    return [store(sessions, user_id="42") for _ in range(3)]


def test_sessions_end_on_one_device_on_the_others_and_on_all(
    sessions: SessionManager,
) -> None:
    headers = on_three_devices(sessions)
    one, others, everywhere = block("users-elsewhere").splitlines()
    current = sessions.load(headers[0])
    oldest = sessions.load(headers[2])
    [info] = [i for i in sessions.of_user("42") if i.device == oldest.device]
    names: dict[str, t.Any] = {
        "sessions": sessions,
        "session": current,
        "user": "42",
        "info": info,
    }
    for line, alive in ((one, 2), (others, 1), (everywhere, 0)):
        exec(line, names)
        assert sum(bool(look(sessions, header)) for header in headers) == alive


def test_change_of_the_password_keeps_the_session_that_asked_for_it(
    sessions: SessionManager,
) -> None:
    headers = on_three_devices(sessions)
    request = Request(sessions, headers[0])
    done: list[str] = []
    user = types.SimpleNamespace(id="42", set_password=done.append)
    commit = types.SimpleNamespace(commit=lambda: done.append("stored"))
    names: dict[str, t.Any] = {
        "sessions": sessions,
        "session": request.session,
        "user": user,
        "new": "secret",
        "db": types.SimpleNamespace(session=commit),
    }
    exec(block("users-password"), names)
    assert done == ["secret", "stored"]
    kept = cookie_header(request.commit())
    assert look(sessions, kept)["user_id"] == "42"
    assert [look(sessions, header) for header in headers] == [{}] * 3


def test_form_without_the_token_is_forbidden(sessions: SessionManager) -> None:
    program = "\n    ".join(["def view():", *block("users-forms").splitlines(), ""])
    names: dict[str, t.Any] = {
        "session": sessions.open(""),
        "forbidden": lambda environ, start_response: "forbidden",
        "environ": {},
        "start_response": None,
        "form": {},
    }
    exec(program, names)
    assert names["view"]() == "forbidden"
    names["form"]["token"] = names["session"].csrf_token()
    assert names["view"]() is None

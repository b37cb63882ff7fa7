"""A site whose pages add to what their session holds, and say what they found."""

from __future__ import annotations

import contextvars
import json
import os
import secrets
import typing as t
from urllib.parse import parse_qsl

from wsgi_redis_session import get_session
from wsgi_redis_session import MISSING
from wsgi_redis_session import Session
from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware

_dropped: contextvars.ContextVar[bool] = contextvars.ContextVar("dropped")


def add(name: str, base: t.Any, ours: t.Any, theirs: t.Any) -> t.Any:
    """Two requests have added to the same number."""
    if not name.startswith("sum:"):
        return ours
    one, two, before = (0 if v is MISSING else v for v in (ours, theirs, base))
    return one + two - before


def _note(event: SessionEvent) -> None:
    if event.name == "lost":
        _dropped.set(True)


def _begin(session: Session, browser: str) -> None:
    """Another life: nothing that is counted goes on."""
    for name in [name for name in session if name.startswith(("sum:", "tab:"))]:
        del session[name]
    session["life"], session["browser"] = secrets.token_hex(8), browser


def _act(action: str, session: Session, browser: str, tab: str) -> dict[str, t.Any]:
    if "life" not in session:
        _begin(session, browser)
    found = {"life": session["life"], "browser": session["browser"]}
    # What others store just before a renewal comes along, so that its names must tell.
    own, total = f"tab:{found['life']}:{tab}", f"sum:{found['life']}"
    found |= {"own": session.get(own, 0), "sum": session.get(total, 0)}
    if action == "logout":
        session.destroy()
        return found
    if action == "login" and "user" not in session:
        _begin(session, browser)
        session["user"] = browser
        return found | {"added": False}
    if action == "regenerate":
        _begin(session, browser)
        session.regenerate()
        return found | {"added": False}
    if action != "look":
        session[own] = found["own"] + 1
        session[total] = found["sum"] + 1
    return found | {"added": action != "look", "id": session.id}


def site() -> t.Any:
    """For a server in another process."""
    sessions = SessionManager(
        os.environ["FAULTS_REDIS"],
        secret_key="not a secret, this is a test",
        user_key="user",
        rotate_interval=2,
        on_conflict=add,
        on_event=_note,
        # What is looked for is what is stored, on however slow a machine.
        operation_timeout=30,
        read_timeout=30,
    )

    def page(environ: t.Any, start_response: t.Any) -> list[bytes]:
        query = dict(parse_qsl(environ["QUERY_STRING"]))
        action = environ["PATH_INFO"].strip("/")
        if action == "revoke":
            found: dict[str, t.Any] = {"revoked": sessions.revoke(query["id"])}
        else:
            session = get_session(environ)
            found = _act(action, session, query["browser"], query["tab"])
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(found).encode()]

    inner = SessionMiddleware(page, sessions)

    def outer(environ: t.Any, start_response: t.Any) -> t.Any:
        _dropped.set(False)

        def start(status: str, headers: t.Any, *more: t.Any) -> t.Any:
            # The session is saved by now.
            dropped = ("X-Dropped", str(int(_dropped.get())))
            return start_response(status, [*headers, dropped], *more)

        return inner(environ, start)

    return outer

"""What the requests of the experiments do with a session, be it one of this library or
one of the naive store. The page shows these functions as they stand here."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

if t.TYPE_CHECKING:
    from ..manager import SessionManager
    from ..model.session import Session
    from .naive import NaiveSession

AnySession: t.TypeAlias = "Session | NaiveSession"
Wait = cabc.Callable[[], object]

#: What the experiments write, apart from the name of the user.
NAMES = ("colour", "size", "draft", "polls")


def save_setting(session: AnySession, name: str, value: str, wait: Wait) -> None:
    """One of two requests at once, each with a setting of its own."""
    session[name] = value
    wait()  # until the other one has loaded the session, too


def write_draft(session: AnySession, wait: Wait) -> None:
    """A slow request. Its visitor logs out meanwhile, in another tab."""
    session["draft"] = "Dear diary, I am still logged in"
    wait()


def poll(session: AnySession, wait: Wait) -> None:
    """What a page sends every few seconds; this time the answer is slow."""
    session["polls"] = session.get("polls", 0) + 1
    wait()


def log_in(session: AnySession, user: str) -> None:
    """The manager has user_key="user", so this gives the session a new id."""
    session["user"] = user


def log_out(session: AnySession) -> None:
    """It ends in the store: its cookie never works again, whoever has it."""
    session.destroy()


def log_out_elsewhere(sessions: SessionManager, session: Session) -> int:
    """Every other session of this user ends, on whichever device, and at once."""
    return sessions.revoke_user(session["user"], keep=session)


def forget(session: AnySession) -> None:
    """Before an experiment: what the last one has left."""
    for name in NAMES:
        session.pop(name, None)


def look(session: AnySession) -> dict[str, t.Any]:
    """Who is logged in, and what is stored."""
    return {"user": session.get("user"), "values": {**session}}

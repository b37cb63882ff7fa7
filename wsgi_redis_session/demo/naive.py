"""What many session libraries do: load everything, store everything, send the cookie.

It is as good as that can be: random ids, nothing executable, a new id at login.
"""

from __future__ import annotations

import collections.abc as cabc
import json
import secrets
import typing as t

from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from ..transport.deadline import Deadline
from ..transport.question import Question
from ..transport.transport import Transport

#: Ten minutes, in milliseconds.
_TTL = b"600000"

#: Seconds that a command may take.
_TIMEOUT = 1


class NaiveSession(dict[str, t.Any]):
    """A visitor's data, of which nobody knows what has changed."""

    def destroy(self) -> None:
        """Forget everything."""
        self.clear()


class NaiveStore:
    """Sessions as one JSON text each, under an id of which nothing is signed.

    Raises :exc:`~wsgi_redis_session.SessionUnavailable`.
    """

    def __init__(self, transport: Transport, prefix: str, cookie_name: str) -> None:
        self._transport = transport
        self._prefix = prefix
        self._cookie_name = cookie_name

    def answer(
        self, request: Request, act: cabc.Callable[[NaiveSession], Response]
    ) -> Response:
        """One request: load it all, let the application act, store it all."""
        sid = request.cookies.get(self._cookie_name) or secrets.token_urlsafe()
        session = self.load(sid)
        user = session.get("user")
        response = act(session)
        if session.get("user") != user:
            self.delete(sid)
            sid = secrets.token_urlsafe()
        self.save(sid, session)
        response.set_cookie(self._cookie_name, sid, httponly=True, samesite="Lax")
        return response

    def load(self, sid: str) -> NaiveSession:
        """What is stored, or nothing."""
        text = self._ask("GET", self._prefix + sid)
        return NaiveSession(json.loads(text) if text else {})

    def save(self, sid: str, session: NaiveSession) -> None:
        """Everything, as this request sees it."""
        self._ask("SET", self._prefix + sid, json.dumps(session), "PX", _TTL)

    def delete(self, sid: str) -> None:
        """The end of a session, for those who ask later."""
        self._ask("DEL", self._prefix + sid)

    def _ask(self, *command: str | bytes) -> t.Any:
        return self._transport.send(Question(Deadline(_TIMEOUT), command))

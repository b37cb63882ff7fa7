"""How the store asks: plain commands and scripts, and what their failures mean."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from redis.exceptions import NoScriptError
from redis.exceptions import ResponseError

from ..errors import SessionUnavailable
from ..errors import Undecodable
from ..transport.deadline import Deadline
from ..transport.question import Check
from ..transport.question import Command
from ..transport.question import Misdirected
from ..transport.question import Question
from ..transport.transport import Transport
from .scripts import Script

#: Of a script of ours, a letter and what follows.
Reply = tuple[bytes, bytes]


def digits(number: int) -> bytes:
    """A number as a word of a command."""
    return b"%d" % number


class Commands:
    """Sends what the store asks.

    Every method raises :exc:`~wsgi_redis_session.SessionUnavailable` where Redis did
    not answer, or refused.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def read(self, deadline: Deadline, *command: str | bytes) -> t.Any:
        """The reply to a command that changes nothing."""
        return self._send(Question(deadline, command))

    def write(self, deadline: Deadline, *command: str | bytes) -> t.Any:
        """The reply to one that does."""
        return self._send(Question(deadline, command, writes=True))

    def all(self, deadline: Deadline, commands: cabc.Sequence[Command]) -> list[t.Any]:
        """The replies to many commands at once; in the place of one about a key that
        holds no string stands an :exc:`~wsgi_redis_session.errors.Undecodable`.

        When it raises, nobody knows which of them were carried out.
        """
        if not commands:
            return []
        replies = self.transport.send_all(deadline, commands)
        for index, reply in enumerate(replies):
            if isinstance(reply, ResponseError):
                refused = replies[index] = self._refused(reply)
                if isinstance(refused, SessionUnavailable):
                    raise refused from reply
        return replies

    def get(self, deadline: Deadline, key: str, is_ours: Check | None = None) -> t.Any:
        """What is under a key.

        Raises :exc:`~wsgi_redis_session.errors.Undecodable` where that is no string.
        """
        question = Question(deadline, ("GET", key), is_ours=is_ours)
        try:
            return self.transport.send(question)
        except (ResponseError, Misdirected) as error:
            raise self._refused(error) from error

    def run(
        self,
        deadline: Deadline,
        script: Script,
        key: str,
        args: Command,
        is_ours: Check,
    ) -> t.Any:
        """The reply to a script that reads one session. Raises as :meth:`get` does."""
        try:
            return self._run(deadline, script, key, args, is_ours)
        except (ResponseError, Misdirected) as error:
            raise self._refused(error) from error

    def change(
        self,
        deadline: Deadline,
        script: Script,
        key: str,
        echo: bytes,
        args: Command,
        again: Command = (),
    ) -> Reply:
        """Run a script that writes one session; the letter of its reply and what
        follows.

        Every reply of ours begins with ``echo``. After a timeout it is asked again,
        with ``again`` in the place of ``args``.
        """
        end = len(echo)

        def is_ours(reply: t.Any) -> bool:
            return isinstance(reply, bytes) and reply[:end] == echo

        try:
            reply = self._run(deadline, script, key, args, is_ours, again or args)
        except ResponseError as error:
            raise self._failed(error) from error
        except Misdirected:
            raise SessionUnavailable(
                "Redis answered somebody else's question twice"
            ) from None
        return reply[end : end + 1], reply[end + 1 :]

    def _run(
        self,
        deadline: Deadline,
        script: Script,
        key: str,
        args: Command,
        is_ours: Check,
        again: Command = (),
    ) -> t.Any:
        question = Question(
            deadline,
            ("EVALSHA", script.sha, "1", key, *args),
            is_ours=is_ours,
            again=("EVALSHA", script.sha, "1", key, *again) if again else None,
            writes=bool(again),
        )
        try:
            return self.transport.send(question)
        except NoScriptError:
            return self.transport.send(question.with_source(script.source))

    def _send(self, question: Question) -> t.Any:
        try:
            return self.transport.send(question)
        except ResponseError as error:
            raise self._failed(error) from error

    def _refused(
        self, error: ResponseError | Misdirected
    ) -> SessionUnavailable | Undecodable:
        if isinstance(error, Misdirected):
            return Undecodable("the value is that of another session")
        if "WRONGTYPE" in str(error):
            return Undecodable("the key holds no string")
        return self._failed(error)

    def _failed(self, error: ResponseError) -> SessionUnavailable:
        return SessionUnavailable(f"{self.transport.place} refuses a command: {error}")

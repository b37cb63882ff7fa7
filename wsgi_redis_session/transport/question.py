"""What is asked of Redis, whoever carries it there."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from .deadline import Deadline

#: A command's words. Numbers are digits: hiredis would end the process if it were
#: interrupted while it packs an integer.
Command = tuple[str | bytes, ...]

#: Whether a reply can be that to a command.
Check = cabc.Callable[[t.Any], bool]


class Misdirected(Exception):
    """The replies to a command were meant for somebody else, twice."""


class Question:
    """One command, and what is known of it.

    It may be carried out twice: when no reply comes, nobody knows whether it was.
    """

    __slots__ = ("again", "command", "deadline", "is_ours", "is_repeated", "writes")

    def __init__(
        self,
        deadline: Deadline,
        command: Command,
        *,
        is_ours: Check | None = None,
        again: Command | None = None,
        writes: bool = False,
    ) -> None:
        self.deadline = deadline
        self.command = command
        #: Says no to a reply that was meant for somebody else.
        self.is_ours = is_ours
        #: What is sent in its place after a timeout; without it, nothing is.
        self.again = again
        #: Whether replicas are to be waited for.
        self.writes = writes
        #: Whether it may have been carried out already.
        self.is_repeated = False

    @property
    def key(self) -> str | bytes:
        """The key that the command is about."""
        is_script = self.command[0] in ("EVALSHA", "EVAL")
        return self.command[3 if is_script else 1]

    def with_source(self, source: str) -> Question:
        """The same for a server that does not know the script yet."""
        again = self.again and ("EVAL", source, *self.again[2:])
        command = self.again if self.again and self.is_repeated else self.command
        return Question(
            self.deadline,
            ("EVAL", source, *command[2:]),
            is_ours=self.is_ours,
            again=again,
            writes=self.writes,
        )

    def asked_again(self) -> Question:
        """The question for a second time."""
        self.is_repeated = True
        return Question(
            self.deadline,
            self.again or self.command,
            is_ours=self.is_ours,
            writes=self.writes,
        )

"""Sessions that another library left and that nobody has asked to migrate."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

from ..errors import SessionUnavailable
from ..events import logger
from ..events import Tell
from ..transport.deadline import Deadline
from .inheritance import Inheritance

#: A session id of Flask-Session's, of the classic snippet's, or a signed one.
_COOKIE = re.compile(r"([A-Za-z0-9_-]{16,128})(\.[A-Za-z0-9_-]{27})?")

#: Redis is asked so often at most, because anybody can make up such a cookie.
_MAX_QUESTIONS = 100


class Forgotten:
    """In the place of an adoption where there is none: it finds nothing, and warns once
    if a visitor would have been logged in."""

    def __init__(self, inheritance: Inheritance) -> None:
        self._inheritance = inheritance
        self._left = _MAX_QUESTIONS

    def find(
        self, deadline: Deadline, values: cabc.Iterable[str], tell: Tell
    ) -> cabc.Iterator[t.Never]:
        """Nothing that goes on as a session of ours."""
        for value in values:
            found = _COOKIE.fullmatch(value)
            if found and self._left > 0:
                self._left -= 1
                self._look(deadline, found[1])
        return iter(())

    def _look(self, deadline: Deadline, sid: str) -> None:
        try:
            is_there = self._inheritance.load(deadline, sid) is not None
        except SessionUnavailable:
            return  # Redis may not let us, and it is no part of the request
        if is_there:
            self._left = 0
            logger.warning(
                "There are sessions of Flask-Session in Redis, and their visitors are "
                "logged out, because SESSION_MIGRATE_FROM is not set. Set it to "
                '"flask-session", and nobody is.'
            )

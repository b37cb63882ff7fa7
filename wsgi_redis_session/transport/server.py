"""One server of Redis: its links, what is asked again, and when it is left alone."""

from __future__ import annotations

import collections.abc as cabc
import re
import time
import typing as t

from redis.exceptions import AuthenticationError
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError
from redis.exceptions import ReadOnlyError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ..events import EventLog
from .breaker import Breaker
from .deadline import Deadline
from .link import LEAST
from .link import Link
from .pool import AllInUse
from .pool import Pool
from .question import Command
from .question import Misdirected
from .question import Question

#: It did not answer.
_UNANSWERED = (RedisConnectionError, RedisTimeoutError)

#: It is not the server that it was, or not ready yet.
_DEMOTED = (ReadOnlyError, MasterDownError, BusyLoadingError)

#: The same in words: of a primary without replicas, of a replica that is asked to wait
#: for others, and of a script in Redis 6.2.
_DEMOTION = re.compile(
    "^NOREPLICAS|^WAIT cannot be used with replica|-(?:READONLY|NOREPLICAS|MASTERDOWN) "
)

#: How often all links are closed at most because the server is not the one it was, in
#: seconds.
_DROP_INTERVAL = 1.0

#: How much of the time for a reply the server may wait for its replicas.
_SHARE = 0.8

#: What is left of a deadline, in seconds, may be so much less than what a reply may
#: take, before that is shortened.
_SLACK = 0.05


class Patience(t.NamedTuple):
    """How long one attempt may take, in seconds, and how many there are."""

    connect_timeout: float
    read_timeout: float
    pool_timeout: float
    retries: int


class NotReplicated(Exception):
    """What was written has not arrived at enough replicas in time."""


class Server:
    """One server, wherever its links lead.

    All that it raises is redis-py's, but for :exc:`NotReplicated` and
    :exc:`~wsgi_redis_session.transport.question.Misdirected`.
    """

    def __init__(
        self,
        make: cabc.Callable[[], Link],
        max_connections: int,
        patience: Patience,
        events: EventLog,
        wait_replicas: int = 0,
    ) -> None:
        self._pool = Pool(make, max_connections)
        self._patience = patience
        self._events = events
        self._wait_replicas = wait_replicas
        self._breaker = Breaker()
        # When all links were closed the last time, because of what the server said.
        self._dropped = float("-inf")
        # Where the last link was opened to, if sentinels know that.
        self._located: tuple[str, int] | None = None

    def ask(self, question: Question, before: Command | None = None) -> t.Any:
        """The reply to a question; raises an error of the server's, too.

        It is asked again within its deadline where that helps. ``before`` is sent right
        before it, each time.
        """
        now = time.monotonic()
        breaker = self._breaker
        if breaker.open_until and breaker.refuses(now):
            raise RedisConnectionError(
                "it did not answer several times, and is left alone for a second"
            )
        try:
            reply = self._ask(question, now, before)
        except _UNANSWERED as error:
            reply = self._insist(question, error, before)
        except Misdirected:
            detail = "a reply was meant for somebody else"
            self._events.emit("desynchronised", None, detail)
            again = question.asked_again()
            reply = self._ask(again, time.monotonic(), before, anew=True)
        if breaker.failures:
            breaker.succeeded()
        if type(reply) is not bytes and isinstance(reply, RedisError):
            if not _is_demotion(reply):
                raise reply
            return self._second(question, before)
        return reply

    def ask_all(
        self, deadline: Deadline, commands: cabc.Sequence[Command]
    ) -> list[t.Any]:
        """The replies to many commands that are sent in one go, among them errors of
        the server's. It is tried once, and no replica is waited for."""
        now, question = time.monotonic(), Question(deadline, commands[0])
        link = self._pool.take(now, surely=True) or self._wait_for_link(question)
        try:
            if not link.is_open:
                self._open(link, deadline)
            link.asked_at = now
            return link.ask_all(commands)
        finally:
            self._pool.give_back(link)

    @property
    def busy(self) -> int:
        """How many links are in use at the moment."""
        return self._pool.busy

    def drop(self) -> None:
        """Close all links; the next command opens a new one."""
        self._pool.drop()

    def _insist(
        self, question: Question, error: RedisError, before: Command | None
    ) -> t.Any:
        """Ask again after an attempt that was not answered."""
        if isinstance(error, AllInUse):
            raise error  # which says nothing about the server
        for _ in range(self._patience.retries):
            is_timeout = isinstance(error, RedisTimeoutError)
            if is_timeout and question.again is None:
                break
            if isinstance(error, AuthenticationError) or question.deadline.left <= 0:
                break
            question = question.asked_again()
            try:
                # What has closed one connection may have closed all of them.
                return self._ask(question, time.monotonic(), before, anew=True)
            except _UNANSWERED as next_error:
                error = next_error
        self._breaker.failed(time.monotonic())
        raise error

    def _second(self, question: Question, before: Command | None) -> t.Any:
        """Ask over a new link, which may lead to another server."""
        now = time.monotonic()
        self._leave(now)
        reply = self._ask(question.asked_again(), now, before, anew=True)
        if isinstance(reply, RedisError):
            raise reply
        return reply

    def _leave(self, now: float) -> None:
        """Let all links be opened anew, because they may lead to another server by now;
        where it is the same one, not each time."""
        if now - self._dropped >= _DROP_INTERVAL:
            self._dropped = now
            self.drop()

    def _open(self, link: Link, deadline: Deadline) -> None:
        """Open a link, and close all others if it leads to another server than the one
        before: they may lead to one that was replaced and does not know it."""
        link.in_doubt = True  # until it is open
        if link.locate is not None:
            place = link.host, link.port = link.locate(deadline)
            before, self._located = self._located, place
            if before not in (None, place):
                self.drop()
        seconds = min(deadline.left, self._patience.connect_timeout)
        link.open(seconds, self._patience.read_timeout)

    def _ask(
        self,
        question: Question,
        now: float,
        before: Command | None = None,
        *,
        anew: bool = False,
    ) -> t.Any:
        """One attempt; an error of the server's is returned."""
        pool, patience = self._pool, self._patience
        is_ours = question.is_ours
        link = pool.take(now, surely=is_ours is None)
        if link is None:
            link = self._wait_for_link(question)
            now = time.monotonic()
        try:
            if anew or not link.is_open:
                self._open(link, question.deadline)
                now = time.monotonic()
            left = question.deadline.end - now
            link.asked_at = now
            seconds = left if question.again is None else left / 2
            is_short = seconds < patience.read_timeout - _SLACK
            most = (seconds if seconds > LEAST else LEAST) if is_short else None
            if before is not None:
                link.ask(before, seconds=most)
            if question.writes and self._wait_replicas:
                reply = self._write(link, question.command, seconds, most)
            else:
                reply = link.ask(question.command, seconds=most)
            is_error = type(reply) is not bytes and isinstance(reply, RedisError)
            if is_ours is not None and not is_error and not is_ours(reply):
                # On a fresh one no reply can be left over.
                link.in_doubt = not anew
                raise Misdirected
            return reply
        finally:
            pool.give_back(link)

    def _write(
        self, link: Link, command: Command, seconds: float, most: float | None
    ) -> t.Any:
        """Ask, and wait until what was written has arrived at replicas."""
        count = b"%d" % self._wait_replicas
        # That too few have it is to be known before the reply is given up.
        longest = min(seconds, self._patience.read_timeout)
        milliseconds = b"%d" % max(1, int(longest * _SHARE * 1000))
        wait = ("WAIT", count, milliseconds)
        reply, arrived = link.ask(command, wait, seconds=most)
        if isinstance(reply, RedisError):
            return reply
        if isinstance(arrived, RedisError):
            if _is_demotion(arrived):
                return arrived
            raise NotReplicated(f"stored, but WAIT was refused: {arrived}")
        if arrived >= self._wait_replicas:
            return reply
        # A primary that others have given up has no replicas any more.
        link.in_doubt = True
        self._leave(time.monotonic())
        raise NotReplicated(
            f"stored, but not on {self._wait_replicas} replicas (wait_replicas), only "
            f"on {arrived}"
        )

    def _wait_for_link(self, question: Question) -> Link:
        deadline = question.deadline
        end = Deadline(min(deadline.left, self._patience.pool_timeout))
        while True:
            self._pool.wait(end.left)
            link: Link | None = self._pool.take(time.monotonic(), surely=True)
            if link is not None:
                return link


def _is_demotion(error: RedisError) -> bool:
    return isinstance(error, _DEMOTED) or bool(_DEMOTION.search(str(error)))

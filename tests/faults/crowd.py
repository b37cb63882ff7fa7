"""Visitors who know what their session has to hold, and what they saw."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import http.client
import itertools
import json
import random
import threading
import time
import typing as t

from werkzeug.test import Client
from werkzeug.wrappers import Response

#: Longer than any answer may take, in seconds.
_PATIENCE = 60

#: Status, body and cookie of the answer to a request for a path with a cookie.
Answer = tuple[int, bytes, str | None]
Ask = cabc.Callable[[str, str], Answer]


def over_http(port: int) -> Ask:
    """Ask a server, over one connection as long as that lasts."""
    kept: list[http.client.HTTPConnection] = []

    def ask(path: str, cookie: str) -> Answer:
        if not kept:
            kept.append(http.client.HTTPConnection("127.0.0.1", port, _PATIENCE))
        try:
            kept[0].request("GET", path, headers={"Cookie": cookie} if cookie else {})
            response = kept[0].getresponse()
            return response.status, response.read(), response.getheader("Set-Cookie")
        except (OSError, http.client.HTTPException):
            kept.pop().close()
            return 0, b"", None

    return ask


def directly(app: t.Any) -> Ask:
    """Ask an application in this process."""

    def ask(path: str, cookie: str) -> Answer:
        client = Client(app, Response, use_cookies=False)
        answer = client.get(path, headers={"Cookie": cookie} if cookie else {})
        return answer.status_code, answer.data, answer.headers.get("Set-Cookie")

    return ask


@dataclasses.dataclass
class Seen:
    """One answer: when it was asked for, and how long it took, in seconds."""

    begun: float
    seconds: float
    path: str
    status: int


class Visitor:
    """Enters once, and then reads and writes by turns. Each write has a number."""

    def __init__(self, ask: Ask, name: str, luck: random.Random) -> None:
        self._ask = ask
        self._luck = luck
        self.name = name
        self.cookie = ""
        self.seen: list[Seen] = []
        #: The last write that was answered, and the last one.
        self.stored = self.sent = 0
        #: What the session had in the last answer.
        self.number = 0
        #: Answers that show somebody else's session.
        self.wrong = 0
        #: How often the session was gone, and writes that were answered and are not
        #: there at the end.
        self.logged_out = self.lost = 0
        #: Whether the last answer was older than the last write. A server that was
        #: replaced may have given it, or the write is lost: it must not be covered up
        #: by another one before that is known.
        self.is_behind = False
        #: What could not be understood.
        self.broken: list[bytes] = []

    def visit(self, path: str) -> bytes | None:
        """Ask for a page; its body if all went well."""
        begun = time.monotonic()
        status, body, cookie = self._ask(path, self.cookie)
        seconds = time.monotonic() - begun
        self.seen.append(Seen(begun, seconds, path.partition("?")[0], status))
        if cookie is not None and status == 200:
            self.cookie = cookie.partition(";")[0]
        return body if status == 200 else None

    def act(self) -> None:
        """The next page that this visitor wants."""
        if not self.cookie:
            self.stored = self.sent = 0
            self._check(self.visit(f"/enter?{self.name}"))
        elif self.is_behind or self._luck.random() < 0.5:
            self._check(self.visit("/read"))
        else:
            self.sent += 1
            body = self.visit(f"/write?{self.sent}")
            if body is not None:
                self.stored = self.sent
                self._check(body)

    def _check(self, body: bytes | None) -> None:
        if body is None:
            return
        try:
            name, number = json.loads(body)
        except ValueError:
            self.broken.append(body)
            return
        if name is None:
            self.logged_out += 1
            self.cookie = ""
        elif name != self.name:
            self.wrong += 1
        else:
            self.is_behind = number < self.stored
            self.wrong += number > self.sent
            self.number = number

    def look_back(self) -> None:
        """Find out what is left in the end of what was written."""
        end = time.monotonic() + _PATIENCE
        while self.cookie:
            body = self.visit("/read")
            self._check(body)
            if body is not None or time.monotonic() > end:
                break
        if self.is_behind:
            self.lost = self.stored - self.number


class Passer(Visitor):
    """Looks at pages that have no session."""

    def act(self) -> None:
        self.visit("/plain")


class Crowd:
    """Many visitors, each in a thread, until the block is left."""

    visitor_class = Visitor

    def __init__(
        self, ask: cabc.Callable[[], Ask], visitors: int, passers: int, pause: float
    ) -> None:
        numbers = itertools.count()
        self.visitors = [
            self.visitor_class(ask(), f"visitor-{n}", random.Random(n))
            for n in itertools.islice(numbers, visitors)
        ]
        self.passers = [
            Passer(ask(), "", random.Random(n))
            for n in itertools.islice(numbers, passers)
        ]
        self._pause = pause
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []
        self.failures: list[BaseException] = []

    def __enter__(self) -> t.Self:
        for visitor in [*self.visitors, *self.passers]:
            thread = threading.Thread(target=self._run, args=(visitor,), daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(_PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads)
        for visitor in self.visitors:
            visitor.look_back()

    def _run(self, visitor: Visitor) -> None:
        luck = random.Random(visitor.name)
        self._end.wait(luck.uniform(0, self._pause))
        while not self._end.is_set():
            begun = time.monotonic()
            try:
                visitor.act()
            except BaseException as error:
                self.failures.append(error)
                return
            left = self._pause - (time.monotonic() - begun)
            self._end.wait(max(0.0, left))

    def answers(self) -> int:
        """How many visits to the session there have been so far."""
        return sum(len(visitor.seen) for visitor in self.visitors)

    def good_answers(self) -> int:
        """How many of them went well."""
        return sum(one.status == 200 for v in self.visitors for one in v.seen)

    def let_visit(self, times: int) -> None:
        """Wait until so many more answers have come."""
        self._until(self.answers, times)

    def let_succeed(self, times: int) -> None:
        """Wait until so many more good ones have."""
        self._until(self.good_answers, times)

    def _until(self, count: cabc.Callable[[], int], times: int) -> None:
        goal, end = count() + times, time.monotonic() + _PATIENCE
        while count() < goal:
            assert time.monotonic() < end, "nothing goes on"
            assert not self.failures, self.failures
            time.sleep(0.005)

    @property
    def wrong(self) -> int:
        return sum(visitor.wrong for visitor in self.visitors)

    @property
    def logged_out(self) -> int:
        return sum(visitor.logged_out for visitor in self.visitors)

    @property
    def lost(self) -> int:
        return sum(visitor.lost for visitor in self.visitors)

    @property
    def broken(self) -> list[bytes]:
        return [body for visitor in self.visitors for body in visitor.broken]

    def statuses(self) -> set[int]:
        """Of all answers, those without a session among them."""
        everybody = [*self.visitors, *self.passers]
        return {one.status for visitor in everybody for one in visitor.seen}


@contextlib.contextmanager
def in_this_process(
    app: t.Any, visitors: int = 8, passers: int = 2
) -> cabc.Iterator[Crowd]:
    """A few visitors who never rest, of an application in this process."""
    with Crowd(lambda: directly(app), visitors, passers, 0.002) as crowd:
        crowd.let_succeed(visitors * 3)
        yield crowd

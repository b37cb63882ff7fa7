"""``Cookie`` headers."""

from __future__ import annotations

import gc
import random
import time
import tracemalloc
import typing as t

import redis

from wsgi_redis_session import SessionManager
from wsgi_redis_session.local_server import LocalServer

from .mutations import damaged

#: So much may stay in memory of all headers together, in bytes.
MEMORY = 64 * 1024

_NAMES = ["session", "Session", "session ", "sessionid", "", "a", "__Host-session"]
_SEPARATORS = ["; ", ";", ";;", " ; ", ",", "&", "\t;", "\0"]


class Cookies(t.NamedTuple):
    """What came of the headers."""

    headers: int
    #: Those in which a cookie of ours was left as it was.
    genuine: int
    #: Commands that all others took together.
    commands: int
    #: What stayed in memory, in bytes.
    kept: int
    #: The processor time of the slowest header, in milliseconds, and its length.
    slowest: float
    length: int


def fuzz_cookies(count: int, seed: int) -> Cookies:
    """Send so many headers; raises what any of them makes the library raise."""
    draw = random.Random(seed)
    genuine = kept = commands = 0
    slowest = (0.0, 0)
    with LocalServer() as server, redis.Redis.from_url(server.url) as db:
        sessions = SessionManager(server.url, secret_key="a test", encrypt=False)
        signed = [_signed(sessions, n) for n in range(20)]
        headers = _Headers(draw, signed)
        batch = min(10_000, max(1, count // 10))
        for start in range(0, count, batch):
            size = min(batch, count - start)
            taken = [headers.next() for _ in range(size)]
            made_up = [h for h in taken if not sessions.cookie.read(h)]
            genuine += size - len(made_up)
            db.config_resetstat()
            for header in made_up:
                took = _milliseconds(sessions, header)
                if took > slowest[0]:
                    # Twice, because whatever else the processor does counts as well.
                    took = min(took, _milliseconds(sessions, header))
                    slowest = max(slowest, (took, len(header)))
            commands += _commands(db)
            if start == 0:
                taken.clear()
                made_up.clear()
                gc.collect()
                tracemalloc.start()
        taken.clear()
        made_up.clear()
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        sessions.disconnect()
    return Cookies(count, genuine, commands, kept, *slowest)


def _milliseconds(sessions: SessionManager, header: str) -> float:
    """How long a header takes that names no session."""
    began = time.process_time()
    assert sessions.open(header).copy() == {}
    return (time.process_time() - began) * 1000


def _signed(sessions: SessionManager, number: int) -> bytes:
    session = sessions.open("")
    session["n"] = number
    cookie = sessions.commit(session).cookie
    assert cookie is not None
    return cookie.partition(";")[0].encode()


def _commands(db: redis.Redis) -> int:
    stats: t.Any = db.info("commandstats")
    ours = ("cmdstat_info", "cmdstat_config|resetstat", "cmdstat_hello")
    return sum(stat["calls"] for name, stat in stats.items() if name not in ours)


class _Headers:
    def __init__(self, draw: random.Random, signed: list[bytes]) -> None:
        self._draw = draw
        self._signed = signed

    def next(self) -> str:
        """The next one, as a server hands it over: bytes, decoded as Latin-1."""
        draw = self._draw
        way = draw.random()
        if way < 0.6:
            return self._damaged()
        if way < 0.75:
            return draw.randbytes(draw.choice((0, 5, 60, 300))).decode("latin-1")
        if way < 0.9:
            return self._several()
        if way < 0.999:
            return f"session={self._payload()}"
        return self._endless()

    def _damaged(self) -> str:
        data = damaged(self._draw, self._draw.choice(self._signed), self._signed)
        return data.decode("latin-1")

    def _payload(self) -> str:
        """Parts of genuine cookies, and what looks like them."""
        draw = self._draw
        parts = draw.choice(self._signed).decode("ascii").split(".")
        for _ in range(draw.randint(1, 3)):
            parts[draw.randrange(len(parts))] = draw.choice(
                ["", "0", "-1", "s", "p", "9" * 200, "g", "AAAA", "=", "\xe9", "%00"]
            )
        return draw.choice(["", " ", '"']) + ".".join(parts)

    def _several(self) -> str:
        draw = self._draw
        cookies = [
            f"{draw.choice(_NAMES)}={self._payload()}"
            for _ in range(draw.randint(2, 12))
        ]
        return draw.choice(_SEPARATORS).join(cookies)

    def _endless(self) -> str:
        """As much as servers let through, and more."""
        draw = self._draw
        piece = draw.choice(
            ["session=", "session=;", "session=a; ", "; ", '"', "\t", "session = ", "."]
        )
        return piece * (65_536 // len(piece))

"""One connection to a real server, and the clock: both can be put back and moved."""

from __future__ import annotations

import hashlib
import re
import socket
import typing as t

import ormsgpack
from redis.exceptions import NoScriptError
from redis.exceptions import ResponseError

from wsgi_redis_session.store import layout

#: What SessionManager's client is asked, as it was asked.
Command = tuple[t.Any, ...]

_TIME = "redis.call('TIME')"

_KEEP = """
local kept = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  table.insert(kept, key)
  table.insert(kept, math.max(redis.call('PTTL', key), 0))
  table.insert(kept, redis.call('DUMP', key))
end
return kept
"""

_PUT_BACK = """
for _, key in ipairs(redis.call('KEYS', '*')) do redis.call('DEL', key) end
for i = 1, #ARGV, 3 do redis.call('RESTORE', ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
"""

_AGE = """
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left <= tonumber(ARGV[1]) then redis.call('DEL', key)
  elseif left >= 0 then redis.call('PEXPIRE', key, left - ARGV[1]) end
end
"""

_LIFETIMES = """
local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  table.insert(found, key)
  table.insert(found, redis.call('PTTL', key))
end
return found
"""


class Wire:
    """Asks the server, for half of what redis-py takes, and raises what it raises.

    It speaks as much of RESP 2 as is needed for that.
    """

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._buffer = b""
        self._at = 0
        self._scripts = {
            script: self.ask("SCRIPT", "LOAD", script)
            for script in (_KEEP, _PUT_BACK, _AGE, _LIFETIMES)
        }

    def ask(self, *command: t.Any) -> t.Any:
        """Carry out one command."""
        parts = [b"*%d\r\n" % len(command)]
        for arg in command:
            data = arg if type(arg) is bytes else str(arg).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
        self._socket.sendall(b"".join(parts))
        reply = self._reply()
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def _reply(self) -> t.Any:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else self._data(int(rest))
        if kind == b":":
            return int(rest)
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        if kind == b"+":
            return rest
        is_unknown_script = rest.startswith(b"NOSCRIPT")
        return (NoScriptError if is_unknown_script else ResponseError)(rest.decode())

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n", self._at)) < 0:
            self._receive()
        line, self._at = self._buffer[self._at : end], end + 2
        return line

    def _data(self, size: int) -> bytes:
        while len(self._buffer) < self._at + size + 2:
            self._receive()
        data = self._buffer[self._at : self._at + size]
        self._at += size + 2
        return data

    def _receive(self) -> None:
        received = self._socket.recv(65536)
        if not received:
            raise EOFError("the server has hung up")
        self._buffer = self._buffer[self._at :] + received
        self._at = 0

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def keep(self) -> list[t.Any]:
        """All that the server holds, for :meth:`put_back`."""
        return t.cast("list[t.Any]", self._run(_KEEP))

    def put_back(self, kept: list[t.Any]) -> None:
        """Let the server hold that again, and nothing else."""
        self._run(_PUT_BACK, *kept)

    def age(self, seconds: float) -> None:
        """Let time go by for every key."""
        self._run(_AGE, int(seconds * 1000))

    def lifetimes(self) -> dict[str, int]:
        """Each key's TTL in milliseconds; -1 for a key that stays for ever."""
        found = self._run(_LIFETIMES)
        return {key.decode(): ttl for key, ttl in zip(*[iter(found)] * 2, strict=True)}

    def owners(self, user: str) -> dict[str, str]:
        """The session ids, as digests, of all sessions that name a user, and whom."""
        found = {}
        for key in self.ask("KEYS", "wsgi-session:" + "?" * 24):
            value = self.ask("GET", key)
            if not layout.is_tombstone(value):
                packed = layout.read(value).packed.get(user)
                if packed is not None:
                    found[key[-24:].decode()] = ormsgpack.unpackb(packed)
        return found

    def _run(self, script: str, *args: t.Any) -> t.Any:
        return self.ask("EVALSHA", self._scripts[script], 0, *args)


class Ticks:
    """Which came first: all that asks for the time in microseconds, in Redis and in the
    library, is told a higher number than all before it."""

    def __init__(self) -> None:
        self._number = 0

    def next(self) -> int:
        """The next number."""
        self._number += 1
        return self._number

    def pause(self) -> None:
        """What comes next comes later than a reply takes."""
        self._number += 10

    def monotonic_ns(self) -> int:
        """The same in nanoseconds."""
        return self.next() * 1000


class Scripts:
    """Which scripts the server knows, so that teaching it one is no step of its own.

    Otherwise the first schedule of all would have more steps than its repetitions.
    """

    def __init__(self, wire: Wire, ticks: Ticks) -> None:
        self._wire = wire
        self._ticks = ticks
        self._loaded: dict[str, str] = {}
        self._asks_for_time: set[str] = set()
        #: What a script is called where a schedule is shown, by its SHA-1.
        self.names: dict[str, str] = {}

    def replaced(self, command: Command) -> Command:
        """The command to carry out. Raises
        :exc:`~redis.exceptions.NoScriptError` for a script that was never sent."""
        name, *rest = command
        if name not in ("EVALSHA", "EVAL"):
            return command
        text = _text(rest.pop(0))
        if name == "EVAL":
            sha = hashlib.sha1(text.encode()).hexdigest()  # as Redis does
            self._loaded[sha] = self._load(text)
        elif text not in self._loaded:
            raise NoScriptError("NOSCRIPT No matching script.")
        else:
            sha = text
        return ("EVALSHA", self._loaded[sha], *rest)

    def _load(self, source: str) -> str:
        told = source.replace(_TIME, "{0, tonumber(ARGV[#ARGV])}")
        sha = _text(self._wire.ask("SCRIPT", "LOAD", told))
        if told != source:
            self._asks_for_time.add(sha)
        # A script may say in its first line what it is for.
        first = re.match(r"\s*--\s*(\w+)", source)
        name = first[1] if first else f"script{len(self.names) + 1}"
        self.names.setdefault(sha, name)
        return sha

    def timed(self, command: Command) -> Command:
        """The command as it is carried out now: a script that asks what time it is is
        told."""
        is_told = command[0] == "EVALSHA" and command[1] in self._asks_for_time
        return (*command, self._ticks.next()) if is_told else command

    def called(self, sha: str | bytes) -> str:
        """What this script is called."""
        return self.names[_text(sha)]


class Clock:
    """Seconds since the epoch; it moves only when it is moved, and Redis with it."""

    def __init__(self, wire: Wire) -> None:
        self.time = 1_800_000_000.0
        self._wire = wire

    def __call__(self) -> float:
        return self.time

    def move(self, seconds: float) -> None:
        """Let time go by."""
        self.time += seconds
        self._wire.age(seconds)


def _text(sha: str | bytes) -> str:
    return sha.decode() if isinstance(sha, bytes) else sha

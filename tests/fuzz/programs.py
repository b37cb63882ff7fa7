"""Pickles, which are programs."""

from __future__ import annotations

import codecs
import collections
import pickle
import pickletools
import random
import sys
import types
import typing as t

from wsgi_redis_session.errors import Undecodable
from wsgi_redis_session.legacy.reader import LegacyReader

from .mutations import damaged

#: What a program has called.
called: list[str] = []

#: A module whose functions tell that they were called.
TRAP = "fuzz_trap"

#: What a program may name: the trap, what would do harm, and what is allowed.
_NAMES = [
    *((TRAP, name) for name in ("call", "Made", "Made.call")),
    *(("builtins", name) for name in ("eval", "exec", "getattr", "map", "__import__")),
    *(("os", name) for name in ("system", "mkdir", "environ")),
    *(("builtins", name) for name in ("set", "frozenset", "object", "list")),
    *(("datetime", name) for name in ("datetime", "date", "timedelta", "timezone")),
    ("uuid", "UUID"),
    ("decimal", "Decimal"),
    ("markupsafe", "Markup"),
    ("_codecs", "encode"),
    ("copy_reg", "_reconstructor"),
    ("collections", "OrderedDict"),
]

#: What Python does when code runs that a pickle names.
_AUDITED = ("os.system", "os.mkdir", "subprocess.Popen", "exec", "compile", "import")


class Programs(t.NamedTuple):
    """What came of the programs."""

    programs: int
    #: Those that were read as a session.
    read: int
    #: What they have called, or had Python do.
    executed: list[str]
    #: How many of a sample do so where pickles are trusted.
    would_have: int


class _Watch:
    """Notes what runs while programs are read."""

    def __init__(self) -> None:
        self.is_on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[t.Any, ...]) -> None:
        if self.is_on and event in _AUDITED:
            self.seen.append(f"{event} {args!r:.80}")


_watch: list[_Watch] = []


def _set_trap() -> None:
    module = types.ModuleType(TRAP)

    class Made:
        def __init__(self, *args: t.Any) -> None:
            called.append("Made")

        def __setstate__(self, state: t.Any) -> None:
            called.append("__setstate__")

        def call(self, *args: t.Any) -> None:
            called.append("Made.call")

    Made.__module__ = TRAP
    module.Made = Made  # type: ignore[attr-defined]
    module.call = lambda *args: called.append("call")  # type: ignore[attr-defined]
    sys.modules[TRAP] = module


def fuzz_programs(count: int, seed: int) -> Programs:
    """Have so many programs read; raises what any of them makes the reader raise."""
    draw = random.Random(seed)
    reader = LegacyReader(["a test"], allow_pickle=True)
    _set_trap()
    if not _watch:
        _watch.append(_Watch())
    watch = _watch[0]
    codecs.lookup("raw-unicode-escape")  # or Python imports it for the first text
    called.clear()
    watch.seen.clear()
    read, sample = 0, []
    for number in range(count):
        program = _program(draw)
        watch.is_on = True
        try:
            reader.loads(program)
            read += 1
        except Undecodable:
            pass
        finally:
            watch.is_on = False
        if number % 20 == 0 and _only_traps(program):
            sample.append(program)
    executed = [*called, *watch.seen]
    would_have = sum(map(_runs, sample))
    del sys.modules[TRAP]
    return Programs(count, read, executed, would_have)


def _only_traps(program: bytes) -> bool:
    """Whether it is harmless where pickles are trusted."""
    modules = {module for module, _ in _NAMES} - {TRAP}
    return not any(module.encode() in program for module in modules)


def _runs(program: bytes) -> bool:
    called.clear()
    try:
        pickle.loads(program)
    except Exception:  # whatever it does to Python
        return bool(called)
    return bool(called)


def _program(draw: random.Random) -> bytes:
    way = draw.random()
    if way < 0.35:
        return _framed(draw, _call(draw) + _instructions(draw))
    if way < 0.7:
        return _framed(draw, b"".join(_instructions(draw) for _ in range(3)))
    values = {"a": [1, (2.5, "b")], "c": {"d": {None, b"e"}}}
    data = [pickle.dumps(values, protocol) for protocol in range(6)]
    return damaged(draw, draw.choice(data), [_framed(draw, _call(draw)), *data])


def _framed(draw: random.Random, body: bytes) -> bytes:
    """As the value of a session's name."""
    frames = [b"(dVa\n%bs.", b"\x80\x04}Va\n%bs.", b"}p9\nVa\n%bsg9\n."]
    return draw.choice(frames) % body


def _named(draw: random.Random) -> bytes:
    module, name = draw.choice(_NAMES)
    if draw.random() < 0.5:
        return f"c{module}\n{name}\n".encode()
    return f"V{module}\nV{name}\n".encode() + b"\x93"


def _call(draw: random.Random) -> bytes:
    """Each way in which a pickle can call something."""
    named, argument = _named(draw), draw.choice([b"", b"Va\n", b"K\x01", b"}"])
    module, name = draw.choice(_NAMES)
    return draw.choice(
        [
            named + b"(" + argument + b"tR",
            named + b"(" + argument + b"t\x81",
            named + b"(" + argument + b"t}\x92",
            b"(" + argument + f"i{module}\n{name}\n".encode(),
            b"(" + named + argument + b"o",
            named + b")\x81}Va\nNsb",
            named + b"p5\n0g5\n)R",
        ]
    )


_OPCODES = [opcode for opcode in pickletools.opcodes if opcode.name != "STOP"]
_ARGUMENTS = collections.defaultdict(
    lambda: [b""],
    {
        "uint1": [b"\0", b"\1", b"\xff"],
        "uint2": [b"\0\0", b"\1\0"],
        "int4": [b"\0\0\0\0", b"\xff\xff\xff\xff"],
        "uint4": [b"\1\0\0\0", b"\xff\xff\xff\x7f"],
        "uint8": [b"\1" + bytes(7), b"\xff" * 8],
        "string1": [b"\1a"],
        "string4": [b"\1\0\0\0a", b"\xff\xff\xff\x7fa"],
        "bytes1": [b"\1a"],
        "bytes4": [b"\1\0\0\0a"],
        "bytes8": [b"\1" + bytes(7) + b"a", b"\xff" * 8],
        "bytearray8": [b"\1" + bytes(7) + b"a"],
        "unicodestring1": [b"\1a"],
        "unicodestring4": [b"\1\0\0\0a"],
        "unicodestring8": [b"\1" + bytes(7) + b"a"],
        "unicodestringnl": [b"a\n", b"\\ud800\n"],
        "stringnl": [b"'a'\n", b"'\\x00'\n", b"a\n"],
        "stringnl_noescape": [b"1\n", b"a\n"],
        "stringnl_noescape_pair": [f"{TRAP}\ncall\n".encode(), b"os\nsystem\n"],
        "decimalnl_short": [b"1\n", b"00\n", b"9" * 50 + b"\n"],
        "decimalnl_long": [b"1L\n"],
        "floatnl": [b"1.5\n", b"nan\n"],
        "float8": [bytes(8)],
        "long1": [b"\1\1"],
        "long4": [b"\1\0\0\0\1", b"\xff\xff\xff\x7f"],
    },
)


def _instructions(draw: random.Random) -> bytes:
    """Any instructions of any protocol."""
    parts = []
    for _ in range(draw.randint(0, 8)):
        opcode = draw.choice(_OPCODES)
        kind = opcode.arg.name if opcode.arg else ""
        parts.append(opcode.code.encode("latin-1") + draw.choice(_ARGUMENTS[kind]))
    return b"".join(parts)

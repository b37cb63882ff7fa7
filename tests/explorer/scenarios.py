"""Which requests meet on which ground.

A scenario is written as it is shown: ``anonymous: login | eve note | +6s``. What is
between ``|`` happens at the same time, what comes after ``>`` begins when all before it
is over. ``eve`` holds the same old cookie, and the browser never sees her responses;
``fresh`` sends no cookie, ``jar`` the last one that was given before; ``+6s`` is time
that goes by.
"""

from __future__ import annotations

import collections.abc as cabc
import itertools
import typing as t

from .grounds import Ground
from .grounds import GROUNDS
from .meetings import AFTER
from .meetings import LATER
from .meetings import LEAST
from .meetings import LESS
from .meetings import PAIRS
from .meetings import TRIPLES
from .operations import OPERATIONS
from .schedule import FAULTS

#: The names of a scenario's parts, in its schedules and in what requests write.
NAMES = "ABCDEFGH"


class Part(t.NamedTuple):
    """A request, or time that goes by."""

    operation: str = ""
    who: str = "browser"
    #: What it sends: the "old" cookie, that of the "jar", or a "fresh" visitor's none.
    cookie: str = "old"
    seconds: float = 0.0
    #: How many of the parts before it are over when it begins.
    after: int = 0


class Scenario(t.NamedTuple):
    """What happens, on which ground, and which faults may strike one command."""

    text: str
    ground: Ground
    parts: tuple[Part, ...]
    faults: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, faults: cabc.Iterable[str] = ()) -> Scenario:
        """Read a scenario as it is written. Raises :exc:`ValueError`."""
        name, colon, rest = text.partition(": ")
        if not colon or name not in GROUNDS:
            raise ValueError(f"a scenario begins with one of {', '.join(GROUNDS)}")
        parts: list[Part] = []
        for stage in rest.split(" > "):
            after = len(parts)
            parts += [_part(words, after) for words in stage.split(" | ")]
        return cls(text, GROUNDS[name], tuple(parts), tuple(faults))


class Family(t.NamedTuple):
    """Scenarios that are counted together."""

    name: str
    ground: str
    scenarios: list[Scenario]


def _part(words: str, after: int) -> Part:
    if words.startswith("+"):
        return Part(seconds=float(words[1:].rstrip("s")), after=after)
    first, _, rest = words.partition(" ")
    is_special = first in ("eve", "fresh", "jar")
    operation = rest if is_special else words
    if operation not in OPERATIONS:
        raise ValueError(f"{words!r} is none of {', '.join(OPERATIONS)}")
    who = "eve" if first == "eve" else "browser"
    cookie = first if first in ("fresh", "jar") else "old"
    return Part(operation, who, cookie, after=after)


def families() -> list[Family]:
    """All that there is to explore."""
    return [family for name in PAIRS if GROUNDS[name].works for family in _of(name)]


def _of(name: str) -> list[Family]:
    operations = [one for one in PAIRS[name].split("; ") if _fits(one, name)]
    few = list(itertools.combinations_with_replacement(_few(operations, name), 2))
    pairs = list(itertools.combinations_with_replacement(operations, 2))
    faulty = few
    if GROUNDS[name].opens == "migrated":
        pairs = few  # what comes after the migration is not different any more
        faulty = [pair for pair in few if LEAST.isdisjoint(pair)]
    orders = itertools.product(operations, repeat=2)
    texts: dict[str, cabc.Iterable[str]] = {
        "alone": operations,
        "pairs": map(" | ".join, pairs),
        "pairs, a fault": map(" | ".join, faulty),
        "triples": _lines(TRIPLES.get(name, "")),
        "later": (f"{a} > +{s}s > eve {b}" for a, b in orders for s in LATER),
        "after": _lines(AFTER.get(name, "")),
        "after, a fault": _lines(AFTER.get(name, "")),
        "meanwhile": (f"{a} | {b} | +{s}s" for a, b in few for s in _moves(name)),
    }
    found = []
    for kind, these in texts.items():
        faults = FAULTS if kind == "alone" or kind.endswith("a fault") else ()
        scenarios = [Scenario.parse(f"{name}: {text}", faults) for text in these]
        if scenarios:
            found.append(Family(f"{name}, {kind}", name, scenarios))
    return found


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def _few(operations: list[str], ground: str) -> list[str]:
    """What is tried where there is much to try: with faults, and while time goes by."""
    if GROUNDS[ground].variant:
        return [one for one in operations if one not in LESS]
    return operations


def _fits(operation: str, ground: str) -> bool:
    # The session of another library has no id to revoke it by.
    return operation != "revoke" or GROUNDS[ground].opens != "migrated"


def _moves(ground: str) -> tuple[int, ...]:
    if GROUNDS[ground].opens == "migrated":
        # A load takes two commands there, and never as long as a tombstone lives.
        return (6,) if GROUNDS[ground].has_moves else ()
    return (6, 61, 86401) if GROUNDS[ground].has_moves else ()

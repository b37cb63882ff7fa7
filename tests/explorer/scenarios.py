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


_ANYBODY = (
    "read,write,note,nest,delete,clear,force,permanent,temporary,regenerate,renew,"
    "destroy,farewell,revoke,read late,write late"
)
_VISITOR = f"{_ANYBODY},login,form,remember,enter,logout"
_MEMBER = f"{_ANYBODY},login,remember,logout,switch,replace,enter"
_PLAIN = f"{_ANYBODY},enter,enter form,logout"
_ADDERS = "read,add,write,delete,regenerate,destroy"

#: What is left out where the same was tried on a similar ground.
_LESS = {"clear", "enter", "farewell", "force", "nest", "renew", "temporary", "write"}

#: What requests do on each ground, two at a time.
_PAIRS = {
    "anonymous": _VISITOR,
    "member": _MEMBER,
    "plain": _PLAIN,
    "plain member": _PLAIN,
    "sums": f"{_ADDERS},login",
    "plain sums": f"{_ADDERS},enter",
    "due": _VISITOR,
    "due member": _MEMBER,
    "permanent": _MEMBER,
    "rotating": _VISITOR,
    "rotating member": _MEMBER,
    "rotating sums": f"{_ADDERS},enter",
    "foreign": _VISITOR,
    "foreign member": _MEMBER,
    "foreign sums": f"{_ADDERS},enter",
    "flask": "read,note,nest,login,form,remember,destroy,write late",
    "flask member": "read,note,login,logout,switch,destroy,permanent,temporary",
}

#: Three at a time. Somebody renews the session id, or everybody does.
_TRIPLES = {
    "anonymous": """
        login | note | write
        login | write | delete
        login | nest | write late
        login | regenerate | note
        login | destroy | note
        login | revoke | note
        login | permanent | note
        regenerate | note | write
        renew | delete | note
        form | form | note
        form | form | destroy
        remember | remember | remember
        remember | remember | destroy
        login | eve regenerate | note
        login | eve note | eve regenerate
        login | eve login | note
        login | eve write late | note
        login | eve read late | note
        login | eve destroy | note
        form | eve form | read
    """,
    "member": """
        switch | note | write
        switch | delete | write late
        switch | logout | note
        switch | switch | note
        replace | note | delete
        logout | remember | note
        logout | regenerate | note
        logout | eve note | eve read late
        destroy | regenerate | note
        destroy | remember | note
        destroy | revoke | regenerate
        regenerate | note | delete
        regenerate | regenerate | note
        regenerate | eve renew | note
    """,
    "plain": """
        enter | enter | note
        enter | note | delete
        enter | destroy | note
        enter form | enter form | note
        enter | eve enter | note
        enter | eve regenerate | note
        enter | eve write late | read
    """,
    "sums": """
        login | add | add
        regenerate | add | add
        add | add | add
        add | add | destroy
    """,
    "plain sums": """
        enter | add | add
        add | add | delete
    """,
    "due": """
        login | read | note
        form | form | read
        login | read | destroy
    """,
    "rotating": """
        note | write | delete
        note | login | read
        read | form | form
        note | regenerate | write
        read | remember | remember
        note | eve regenerate | login
    """,
    "rotating member": """
        read | note | destroy
        note | logout | read
        note | switch | read
        read | read | read
    """,
    "rotating sums": """
        add | add | add
        add | add | enter
    """,
    "foreign": """
        read | read | read
        note | read | login
        read | form | form
        read | eve read | login
    """,
    "foreign member": """
        read | note | destroy
        read | note | logout
        read | read | note
        read | eve note | switch
    """,
    "foreign sums": """
        add | add | read
        add | add | enter
    """,
    "flask": """
        read | form | form
        note | login | read
    """,
}

#: Somebody has been given a new cookie, and then it is used beside the old one.
_AFTER = {
    "anonymous": """
        login > jar note | eve destroy
        login > jar note | eve regenerate
        login > jar note | eve note
        login > jar note | eve login
        login > jar read late | eve write late
        login > jar regenerate | eve destroy
        login > jar regenerate | eve regenerate
        login > jar regenerate | jar note
        login > jar logout | jar note
        login > jar logout | eve login
        login > jar destroy | eve note
        login > jar destroy | jar regenerate
        login > jar switch | eve note
        regenerate > jar login | eve destroy
        regenerate > jar login | eve login
        fresh remember | fresh remember
        fresh note | fresh note
        fresh remember | fresh remember | fresh remember
    """,
    "member": """
        regenerate > jar note | eve destroy
        regenerate > jar regenerate | eve destroy
        regenerate > jar logout | eve note
        switch > jar note | eve destroy
        switch > jar logout | eve note
        logout > jar login | eve note
        logout > jar login | eve destroy
    """,
    "plain": """
        enter > jar note | eve destroy
        enter > jar note | eve regenerate
        enter > jar regenerate | eve enter
    """,
    "rotating": """
        read > jar note | note
        read > jar delete | write
        read > jar login | note
        read > jar login | eve login
        read > jar regenerate | note
        read > jar destroy | note
        read > jar note | eve destroy
    """,
    "rotating member": """
        read > jar logout | note
        read > jar switch | note
        read > jar destroy | remember
        read > jar note | eve destroy
    """,
    "foreign": """
        read > jar note | note
        read > jar login | note
        read > jar login | eve login
        read > jar regenerate | note
        read > jar destroy | note
        read > jar note | eve destroy
    """,
    "foreign member": """
        read > jar logout | note
        read > jar destroy | remember
        read > jar switch | note
    """,
}

#: How far the clock is moved, in seconds: what is measured in five seconds, in a
#: minute and in ten is not over, and over.
_LATER = (2, 6, 61, 660)


def families() -> list[Family]:
    """All that there is to explore."""
    return [family for name in _PAIRS if GROUNDS[name].works for family in _of(name)]


def _of(name: str) -> list[Family]:
    operations = [one for one in _PAIRS[name].split(",") if _fits(one, name)]
    pairs = list(itertools.combinations_with_replacement(operations, 2))
    few = list(itertools.combinations_with_replacement(_few(operations, name), 2))
    orders = itertools.product(operations, repeat=2)
    texts: dict[str, cabc.Iterable[str]] = {
        "alone": operations,
        "pairs": map(" | ".join, pairs),
        "pairs, a fault": map(" | ".join, few),
        "triples": _lines(_TRIPLES.get(name, "")),
        "later": (f"{a} > +{s}s > eve {b}" for a, b in orders for s in _LATER),
        "after": _lines(_AFTER.get(name, "")),
        "after, a fault": _lines(_AFTER.get(name, "")),
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
        return [one for one in operations if one not in _LESS]
    return operations


def _fits(operation: str, ground: str) -> bool:
    # The session of another library has no id to revoke it by.
    return operation != "revoke" or GROUNDS[ground].opens != "migrated"


def _moves(ground: str) -> tuple[int, ...]:
    return (6, 61, 86401) if GROUNDS[ground].has_moves else ()

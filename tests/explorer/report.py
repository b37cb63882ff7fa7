"""What was found: a table of families, and for each kind of fault a schedule that shows
it, command by command."""

from __future__ import annotations

import collections
import collections.abc as cabc
import typing as t

from .choices import WentAnotherWay
from .play import explore
from .play import Played
from .request import Request
from .scenarios import Scenario
from .site import World
from .wire import Command

#: How often a scenario is tried on a machine that stands still again and again.
_ATTEMPTS = 3


class Example(t.NamedTuple):
    """A schedule that breaks a promise; the smallest of several is the shortest."""

    steps: int
    scenario: str
    schedule: str
    how: str


class Tally:
    """What came out of many schedules."""

    def __init__(self) -> None:
        self.schedules = 0
        #: How many of them broke a promise.
        self.wrong = 0
        #: How often each promise was held against something.
        self.held: collections.Counter[str] = collections.Counter()
        #: In how many a response was overtaken that gave a cookie for this reason.
        self.overtaken: collections.Counter[str] = collections.Counter()
        #: By promise and kind, in how many schedules, and the shortest of them.
        self.kinds: collections.Counter[tuple[str, str]] = collections.Counter()
        self.examples: dict[tuple[str, str], Example] = {}

    def add(self, scenario: Scenario, played: Played) -> None:
        """Count one schedule."""
        verdict = played.verdict
        self.schedules += 1
        self.wrong += bool(verdict.wrong)
        self.held.update(verdict.held)
        self.overtaken.update(verdict.overtaken)
        found = {(wrong.promise, wrong.kind): wrong.how for wrong in verdict.wrong}
        self.kinds.update(found.keys())
        steps = len(played.history.steps)
        for kind, how in found.items():
            self._keep(kind, Example(steps, scenario.text, played.schedule, how))

    def merge(self, other: Tally) -> None:
        """Count what another one has counted."""
        self.schedules += other.schedules
        self.wrong += other.wrong
        self.held.update(other.held)
        self.overtaken.update(other.overtaken)
        self.kinds.update(other.kinds)
        for kind, example in other.examples.items():
            self._keep(kind, example)

    def _keep(self, kind: tuple[str, str], example: Example) -> None:
        self.examples[kind] = min(self.examples.get(kind, example), example)


def explored(
    world: World, scenarios: cabc.Iterable[Scenario], *, every_order: bool = False
) -> Tally:
    """Play all schedules of all scenarios."""
    tally = Tally()
    for scenario in scenarios:
        for attempt in range(_ATTEMPTS):
            found = Tally()
            try:
                for played in explore(world, scenario, every_order=every_order):
                    found.add(scenario, played)
            except WentAnotherWay:
                if attempt + 1 == _ATTEMPTS:
                    raise
            else:
                tally.merge(found)
                break
    return tally


def row(name: str, tally: Tally, seconds: float | None = None) -> str:
    """A line of the table."""
    touched = tally.overtaken["touch"]
    others = tally.overtaken.copy()
    del others["touch"]
    reasons = ", ".join(f"{reason} {others[reason]}" for reason in sorted(others))
    speed = f"{tally.schedules / seconds:6.0f}/s" if seconds else ""
    counts = f"{tally.schedules:9} {tally.wrong:8} {touched:9}"
    return f"{name:28} {counts}   {reasons:40}{speed}".rstrip()


#: What stands above the table.
HEAD = f"{'family':28} {'schedules':>9} {'wrong':>8} {'overtaken':>9}   otherwise"


def shown(played: Played) -> str:
    """A schedule for a human reader: who did what, command by command, what the
    browser was told, and what each cookie reaches at the end."""
    history = played.history
    keys: dict[str, str] = {}
    lines = [f"  schedule: {played.schedule}"]
    for number, step in enumerate(history.steps, 1):
        command = _command(played, step.command, keys)
        reply = _reply(step.reply) if step.command else ""
        lines.append(f"  {number:3}  {step.token:3} {command:58} {reply}".rstrip())
    for deed in history.deeds:
        lines.append(f"  {deed.name} ({_label(deed.request)}) {_outcome(deed.request)}")
    names = {history.start.cookie: "the old cookie"}
    names |= {d.given: f"the cookie of {d.name}" for d in history.deeds if d.given}
    for cookie, found in history.found.items():
        lines.append(f"  {names[cookie]} reads {found.view or 'nothing'}")
    lines += [
        f"  wrong: {wrong.promise}: {wrong.how}" for wrong in played.verdict.wrong
    ]
    lines += [f"  overtaken: {reason}" for reason in sorted(played.verdict.overtaken)]
    return "\n".join(lines)


def _label(request: Request) -> str:
    who = "" if request.who == "browser" else f"{request.who}: "
    return who + request.operation.name


def _outcome(request: Request) -> str:
    if request.killed:
        return "was killed"
    told = [f"event {event.name}" for event in request.events]
    if request.error is not None:
        told.append(f"raised {request.error!r}")
    if request.given:
        told.append("gives a cookie")
    if request.given == "":
        told.append("takes the cookie back")
    views = "; then ".join(str(view or "nothing") for view in request.seen)
    seen = f"saw {views}" if views else "did not look"
    return ", ".join([seen, *told])


def _command(played: Played, command: Command, keys: dict[str, str]) -> str:
    if not command:
        return "(no command was carried out)"
    name, *args = command
    if name == "EVALSHA":
        name, args = played.scripts[args[0]], args[2:]
    return " ".join([name, *(_argument(arg, played, keys) for arg in args)])


def _argument(arg: t.Any, played: Played, keys: dict[str, str]) -> str:
    if isinstance(arg, bytes):
        return arg.decode() if arg.isalnum() and len(arg) < 9 else f"<{len(arg)}>"
    text = str(arg)
    if len(text) < 16:
        return text
    # A key ends with the digest of the session id that other arguments are.
    old = played.history.start.session_id
    keys.setdefault((old or "")[-24:], "old")
    return keys.setdefault(text[-24:], f"new{len(keys)}")


def _reply(reply: t.Any) -> str:
    if isinstance(reply, bytes) and len(reply) > 9:
        return f"<{len(reply)}>"
    return "nil" if reply is None else str(reply)

"""Plays schedules: puts everything back, performs the requests, looks what is there."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import typing as t

from .choices import Choices
from .grounds import Ground
from .history import Found
from .history import History
from .history import is_faulty
from .logins import LOGINS
from .operations import OPERATIONS
from .promises import PROMISES
from .promises import Verdict
from .renewals import RENEWALS
from .request import Request
from .scenarios import NAMES
from .scenarios import Scenario
from .schedule import Actor
from .schedule import Asleep
from .schedule import Choose
from .schedule import Stage
from .schedule import Step
from .site import PROBE
from .site import Site
from .site import Start
from .site import World
from .users import USERS
from .wire import Clock


class Played(t.NamedTuple):
    """A schedule, what happened in it, and whether that was right."""

    schedule: str
    history: History
    verdict: Verdict
    #: What the scripts are called, by their SHA-1.
    scripts: dict[str, str]


class _Moves(Actor):
    """Time that goes by while requests are running."""

    may_fail = False

    def __init__(
        self, name: str, seconds: float, clock: Clock, after: cabc.Iterable[Actor]
    ) -> None:
        super().__init__(name, after)
        self._seconds = seconds
        self._clock = clock

    def act(self, stage: Stage) -> None:
        self._clock.move(self._seconds)


class _Timed(Request):
    """A request that knows when it took its steps."""

    clock: Clock

    def act(self, stage: Stage) -> None:
        began = self.clock.time
        super().act(stage)
        self.times = began, self.clock.time


@contextlib.contextmanager
def alone_on(number: int) -> cabc.Iterator[None]:
    """Stay on one processor, and so does the server that is started here.

    Client and server take turns, and a turn takes a quarter of the time if nobody has
    to wake up another processor."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[number % len(before)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def play(world: World, scenario: Scenario, choose: Choose) -> Played:
    """Play one schedule of a scenario."""
    ground = scenario.ground
    start = world.start(ground)
    site = world.site(ground)
    actors = _cast(world, scenario, site, start)
    requests = [actor for actor in actors if isinstance(actor, Request)]
    steps = world.stage.perform(actors, choose, scenario.faults)
    lifetimes = world.wire.lifetimes()
    found = _look_around(site, ground, start, requests)
    owners = world.wire.owners(ground.user) if ground.users else {}
    listed = {
        user: {info.id for info in site.sessions.of_user(user)}
        for user in (("u1", "u2") if ground.users else ())
    }
    history = History(
        ground,
        start,
        requests,
        steps,
        found=found,
        lifetimes=lifetimes,
        owners=owners,
        listed=listed,
        elapsed=world.clock.time - start.time,
        owners_later=_owners_later(world, site, ground, steps),
    )
    verdict = Verdict()
    promises = USERS if ground.users else PROMISES + RENEWALS + LOGINS
    for promise in promises:
        promise(history, verdict)
    schedule = " ".join(step.token for step in steps)
    return Played(schedule, history, verdict, world.stage.scripts.names)


def explore(
    world: World, scenario: Scenario, *, every_order: bool = False
) -> cabc.Iterator[Played]:
    """Play all schedules of a scenario; with ``every_order`` also those that differ
    only in the order of steps for which it makes no difference."""
    choices = Choices(every_order=every_order)
    while True:
        with contextlib.suppress(Asleep):
            yield play(world, scenario, choices.choose)
        if not choices.next():
            return


def _cast(world: World, scenario: Scenario, site: Site, start: Start) -> list[Actor]:
    actors: list[Actor] = []
    for name, part in zip(NAMES, scenario.parts, strict=False):
        after = actors[: part.after]
        if part.seconds:
            actors.append(_Moves(name, part.seconds, world.clock, after))
            continue
        request = _Timed(
            name,
            OPERATIONS[part.operation],
            None if part.cookie == "fresh" else start.cookie,
            who=part.who,
            after=after,
            user=scenario.ground.user,
        )
        request.clock = world.clock
        if part.cookie == "jar":
            earlier = [actor for actor in after if isinstance(actor, Request)]
            request.gets_cookie_from = earlier
        request.revoked = start.session_id
        actors.append(site.cast(request))
    return actors


def _owners_later(
    world: World, site: Site, ground: Ground, steps: list[Step]
) -> dict[str, str]:
    """Whose the sessions are when the user has logged in once more after a fault."""
    if not (ground.has_limit and is_faulty(steps)):
        return {}
    late = Request("late", OPERATIONS["login"], None, user=ground.user)
    site.cast(late).act(site.stage)
    return world.wire.owners(ground.user)


def _look_around(
    site: Site, ground: Ground, start: Start, requests: list[Request]
) -> dict[str, Found]:
    """What each cookie reaches that was ever given; the oldest one comes last."""
    cookies = [request.given for request in requests if request.given]
    found = {}
    for cookie in dict.fromkeys([*cookies, start.cookie]):
        probe = Request("probe", PROBE, cookie, user=ground.user)
        site.cast(probe).act(site.stage)
        view = probe.seen[0] if probe.seen else {}
        session_id, permanent = probe.noted
        found[cookie] = Found(view, session_id, permanent, probe.given, probe.error)
    return found

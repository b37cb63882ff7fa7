"""Requests take turns, one command at a time.

A schedule is a sequence of steps. A step is a name and how the command went: ``A`` is
one command of the request A, carried out and answered; what may be behind the name:

``2``
    carried out, but the reply was lost, and the client library asks again;
``!``
    carried out, but the reply was lost, and the client library gives up;
``?``
    never carried out, and the client library gives up;
``+``
    carried out, and then the worker was killed.

In each schedule at most one command goes wrong.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from greenlet import getcurrent
from greenlet import greenlet
from redis.exceptions import ConnectionError as Refused
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as Unanswered

from .wire import Command
from .wire import Scripts
from .wire import Ticks
from .wire import Wire

AGAIN, GIVES_UP, UNSENT, KILLED = "2", "!", "?", "+"

FAULTS = (AGAIN, GIVES_UP, UNSENT, KILLED)

_READS = frozenset({"GET", "GETRANGE", "STRLEN", "PTTL", "TTL", "EXISTS"})
_ONE_KEY = _READS | {
    "SET",
    "GETEX",
    "GETDEL",
    "GETSET",
    "PEXPIRE",
    "EXPIRE",
    "PERSIST",
    "HDEL",
}


class Killed(BaseException):
    """The worker's process is gone."""


class Asleep(BaseException):
    """Whatever happens from here on was seen in another order."""


class Option(t.NamedTuple):
    """A step that could be taken."""

    actor: Actor
    fault: str
    #: What its command touches; ``None`` where nobody knows.
    keys: frozenset[t.Any] | None
    reads: bool
    begins: bool

    @property
    def token(self) -> str:
        """As a schedule shows it."""
        return self.actor.name + self.fault

    def commutes(self, other: Option) -> bool:
        """Whether the two do the same in either order."""
        if self.actor is other.actor or (self.fault and other.fault):
            return False
        if self.keys is None or other.keys is None:
            return False
        if self.reads and other.reads:
            return True
        if (self.begins and not other.reads) or (other.begins and not self.reads):
            return False
        return self.keys.isdisjoint(other.keys)


#: Is told what is possible; the number of what is to happen.
Choose = cabc.Callable[[list[Option]], int]


class Step(t.NamedTuple):
    """One step that was taken."""

    #: As the schedule shows it.
    token: str
    #: Empty where no command was carried out.
    command: Command
    reply: t.Any


class Actor:
    """Somebody who takes steps: a request, or what else happens meanwhile."""

    #: Whether a command of it may go wrong.
    may_fail = True

    def __init__(self, name: str, after: cabc.Iterable[Actor] = ()) -> None:
        self.name = name
        self._after = tuple(after)
        self.done = False
        self.killed = False
        #: The command that is carried out at its next step, if that is known.
        self.command: Command | None = None
        #: The numbers of its first and last step.
        self.first = self.last = -1

    def awaits(self, other: Actor) -> bool:
        """Whether it begins when the other one is done."""
        return other in self._after

    @property
    def ready(self) -> bool:
        """Whether it can take a step."""
        return not self.done and all(actor.done for actor in self._after)

    def act(self, stage: Stage) -> None:
        """All that it does; it asks the server through the stage."""
        raise NotImplementedError

    def option(self, fault: str) -> Option:
        """Its next step."""
        keys, reads = _footprint(self.command)
        return Option(self, fault, keys, reads, self.first < 0)


def _footprint(command: Command | None) -> tuple[frozenset[t.Any] | None, bool]:
    """The keys that a command touches, and whether it only reads them."""
    name = command[0] if command else ""
    if command and name in _ONE_KEY:
        return frozenset({command[1]}), name in _READS
    if command and name in ("EVALSHA", "EVAL"):
        return frozenset(command[3 : 3 + int(command[2])]), False
    if command and name in ("DEL", "UNLINK"):
        return frozenset(command[1:]), False
    return None, False


class Stage:
    """Where actors meet. Outside of a schedule all commands go straight through."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.ticks = Ticks()
        self.scripts = Scripts(wire, self.ticks)
        self.actor: t.Any = None
        self.steps: list[Step] = []
        self._greenlets: dict[Actor, greenlet] = {}
        self._hub: greenlet = getcurrent()

    def perform(
        self,
        actors: cabc.Sequence[Actor],
        choose: Choose,
        faults: cabc.Iterable[str] = (),
    ) -> list[Step]:
        """Take steps until all is done; ``choose`` is told which are possible.

        Raises :exc:`Asleep` where it raises that.
        """
        self.steps, self._greenlets, self._hub = [], {}, getcurrent()
        faults = tuple(faults)
        # Where time goes by, a request begins when it is its turn.
        is_eager = all(actor.may_fail for actor in actors)
        try:
            while ready := [actor for actor in actors if actor.ready]:
                if is_eager:
                    for actor in ready:
                        self._begin(actor)
                options = [actor.option("") for actor in ready]
                options += [a.option(f) for a in ready if a.may_fail for f in faults]
                chosen = options[choose(options)]
                if chosen.fault:
                    faults = ()
                self._step(chosen.actor, chosen.fault)
        except Asleep:
            self._break_off()
            raise
        return self.steps

    def execute_command(self, *command: t.Any, **options: t.Any) -> t.Any:
        """What a client of redis-py is asked for."""
        command = self.scripts.replaced(command)
        actor = self.actor
        if actor is None:
            return self.wire.ask(*self.scripts.timed(command))
        fault = self._wait(actor, command)
        if fault == UNSENT:
            self._note(actor, fault, ())
            raise Refused("the connection broke")
        reply = self._carry_out(actor, fault, command)
        if fault == AGAIN:
            self._wait(actor, command)
            reply = self._carry_out(actor, "", command)
        if fault == GIVES_UP:
            raise Unanswered("no reply came")
        if fault == KILLED:
            actor.killed = True
            raise Killed
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def _wait(self, actor: Actor, command: Command) -> str:
        """Until it is the actor's turn; how its command is to go."""
        if not actor.killed:
            actor.command = command
            fault: str = self._hub.switch()
        if actor.killed:
            raise Killed
        return fault

    def _begin(self, actor: Actor) -> None:
        """Let an actor go to its first command, if it has one."""
        if actor not in self._greenlets:
            self.actor = actor
            self.ticks.pause()
            self._greenlets[actor] = greenlet(actor.act)
            self._greenlets[actor].switch(self)
            self.actor = None

    def _step(self, actor: Actor, fault: str) -> None:
        self._begin(actor)
        if actor.first < 0:
            actor.first = len(self.steps)
        running = self._greenlets[actor]
        self.actor = actor
        if running.dead:
            self._note(actor, fault, ())
        else:
            running.switch(fault)
        self.actor = None
        actor.done = running.dead
        actor.last = len(self.steps) - 1

    def _break_off(self) -> None:
        for actor, running in self._greenlets.items():
            actor.killed = True
            while not running.dead:
                running.switch("")

    def _carry_out(self, actor: Actor, fault: str, command: Command) -> t.Any:
        try:
            reply = self.wire.ask(*self.scripts.timed(command))
        except ResponseError as error:
            reply = error
        self._note(actor, fault, command, reply)
        return reply

    def _note(
        self, actor: Actor, fault: str, command: Command, reply: t.Any = None
    ) -> None:
        self.steps.append(Step(actor.name + fault, command, reply))

"""All the ways to decide who goes next.

Two commands that follow each other and touch different keys, or only read, do the same
in either order, so one order stands for both. Which ones are left out is decided by
sleep sets (Godefroid, "Partial-Order Methods for the Verification of Concurrent
Systems", 1996): of all schedules that differ only in such pairs exactly one is played
to its end. A request's first command counts as touching what others write, because the
promises distinguish whether a request began before or after another one had finished.
"""

from __future__ import annotations

from .schedule import Asleep
from .schedule import Choose
from .schedule import Option


class _Node:
    """A choice: what was possible, what of it need not be tried, what was taken."""

    def __init__(self, options: list[Option], asleep: set[str]) -> None:
        self.options = options
        self.asleep = asleep
        self.index = -1

    def take_next(self) -> bool:
        """Take the next option that is awake; false if there is none."""
        for index in range(self.index + 1, len(self.options)):
            if self.options[index].token not in self.asleep:
                self.index = index
                return True
        return False

    def asleep_after(self) -> set[str]:
        """What need not be tried after the step that was taken: it was tried before it,
        and comes to the same."""
        taken = self.options[self.index]
        tried = {option.token for option in self.options[: self.index]} | self.asleep
        return {
            option.token
            for option in self.options
            if option.token in tried and option.commutes(taken)
        }


class WentAnotherWay(Exception):
    """A repetition did not do the same: the machine stood still for so long that a key
    of the server's, which has a clock of its own, was gone."""


class Choices:
    """One way through all choices, and from there the next one."""

    def __init__(self, *, every_order: bool = False) -> None:
        self._every_order = every_order
        self._nodes: list[_Node] = []
        self._at = 0

    def choose(self, options: list[Option]) -> int:
        """As the last time as far as that is to be repeated, then the first option.

        Raises :exc:`Asleep` if all of them were tried elsewhere, and
        :exc:`WentAnotherWay`.
        """
        if self._at == len(self._nodes):
            is_free = self._every_order or not self._nodes
            asleep = set() if is_free else self._nodes[-1].asleep_after()
            node = _Node(options, asleep)
            if not node.take_next():
                raise Asleep
            self._nodes.append(node)
        node = self._nodes[self._at]
        if len(node.options) != len(options):
            raise WentAnotherWay
        node.options = options
        self._at += 1
        return node.index

    def next(self) -> bool:
        """Go another way at the last choice that has one; false if there is none."""
        self._at = 0
        while self._nodes:
            if self._nodes[-1].take_next():
                return True
            self._nodes.pop()
        return False


def follow(schedule: str) -> Choose:
    """Choose as a schedule says that was printed: ``"A B A2 A"``."""
    tokens = iter(schedule.split())

    def choose(options: list[Option]) -> int:
        possible = [option.token for option in options]
        token = next(tokens, possible[0])
        if token not in possible:
            raise ValueError(f"{token} is not possible here, but {' '.join(possible)}")
        return possible.index(token)

    return choose

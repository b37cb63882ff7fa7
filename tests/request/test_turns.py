from __future__ import annotations

import threading

import pytest

from wsgi_redis_session.request.turns import Turns
from wsgi_redis_session.transport.deadline import Deadline


def test_turns_come_one_after_the_other() -> None:
    turns = Turns()
    order: list[int] = []
    queued = [turns.queue("a session") for _ in range(5)]

    def run(number: int) -> None:
        queued[number].wait(Deadline(600))
        order.append(number)
        queued[number].leave()

    threads = [threading.Thread(target=run, args=(n,)) for n in (4, 2, 3, 1)]
    for thread in threads:
        thread.start()
    queued[0].leave()
    for thread in threads:
        thread.join()
    assert order == [1, 2, 3, 4]


def test_other_session_has_another_queue() -> None:
    turns = Turns()
    turns.queue("a session")
    turns.queue("another session").wait(Deadline(600))


@pytest.mark.parametrize("seconds", [0.0, 0.1, -1.0])
def test_turn_that_nobody_leaves_holds_nobody_for_ever(seconds: float) -> None:
    turns = Turns()
    turns.queue("a session")
    deadline = Deadline(seconds)
    turns.queue("a session").wait(deadline)
    assert deadline.left <= seconds


def test_who_has_left_may_queue_up_again() -> None:
    turns = Turns()
    for _ in range(3):
        turn = turns.queue("a session")
        turn.wait(Deadline(600))
        turn.leave()

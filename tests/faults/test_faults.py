"""A short form of the faults: nobody sees another session, nobody is logged out, and
what was acknowledged is there, whatever happens to Redis."""

from __future__ import annotations

import typing as t

import pytest
from conftest import Clock

from .crowd import Crowd
from .crowd import in_this_process
from .faults import Case
from .faults import CASES
from .faults import Watch
from .sites import ours

#: Longer than any request waits, whatever the machine; without a deadline a request in
#: an outage waits five seconds for each of several attempts.
BOUND = 10


def slowest(crowd: Crowd) -> float:
    return max(one.seconds for v in crowd.visitors for one in v.seen)


@pytest.mark.parametrize("case", CASES, ids=lambda case: t.cast(Case, case).name)
def test_fault_costs_nobody_a_session(case: Case, clock: Clock) -> None:
    with case.place() as place:
        app = ours(place.url, clock=clock, **case.options)
        with in_this_process(app) as crowd:
            with case.fault(place), Watch(place) as watch:
                crowd.let_visit(60)
                if case.is_failover:
                    watch.until_it_answers()
                    crowd.let_succeed(30)
            watch.until_it_answers()
            crowd.let_succeed(60)
        assert crowd.failures == crowd.broken == []
        assert crowd.statuses() <= {200, 503}
        assert crowd.wrong == 0
        if not case.may_lose:
            assert (crowd.logged_out, crowd.lost) == (0, 0)
        assert slowest(crowd) < BOUND
        app.sessions.disconnect()

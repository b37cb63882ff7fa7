"""Servers whose clocks are apart."""

from __future__ import annotations

import collections.abc as cabc

import pytest
from conftest import Clock
from visitors import cookie_header
from visitors import look
from visitors import Request
from visitors import store

from wsgi_redis_session import SessionManager

MakeManager = cabc.Callable[..., SessionManager]

DAY = 86_400


@pytest.mark.parametrize("ahead", [-DAY, -600, 600, DAY])
def test_servers_whose_clocks_are_apart_share_sessions(
    make_manager: MakeManager, clock: Clock, ahead: float
) -> None:
    """As far as idle timeout and lifetime are longer than that."""
    limits = {"idle_timeout": 3 * DAY, "lifetime": 30 * DAY, "user_key": "user"}
    other = Clock()
    other.time = clock.time + ahead
    here = make_manager(clock=clock, **limits)
    there = make_manager(clock=other, **limits)
    header = store(here, n=0)
    for number in range(1, 10):
        manager = there if number % 2 else here
        request = Request(manager, header)
        assert request.session["n"] == number - 1
        request.session["n"] = number
        if number == 5:
            request.session["user"] = "Ada"
        cookie = request.commit()
        header = cookie_header(cookie) if cookie else header
        clock.move(400)
        other.move(400)
    logout = Request(there, header)
    logout.session.destroy()
    logout.commit()
    assert look(here, header) == look(there, header) == {}


@pytest.mark.parametrize("ahead", [-DAY, DAY])
def test_session_ends_when_nobody_uses_it_whoever_has_the_wrong_time(
    make_manager: MakeManager, clock: Clock, ahead: float
) -> None:
    other = Clock()
    other.time = clock.time + ahead
    limits = {"idle_timeout": 3 * DAY, "lifetime": 30 * DAY}
    here, there = (
        make_manager(clock=clock, **limits),
        make_manager(clock=other, **limits),
    )
    header = store(here, n=0)
    look(there, header)
    # The lifetime counts from the time of who has begun it.
    for moved in (clock, other):
        moved.move(31 * DAY)
    assert look(here, header) == {}
    assert look(there, header) == {}

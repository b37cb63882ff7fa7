"""Session ids that are replaced in passing, with ``rotate_interval``."""

from __future__ import annotations

import collections.abc as cabc

import pytest
import redis
from conftest import Clock
from visitors import commands
from visitors import cookie_header
from visitors import look
from visitors import pass_time
from visitors import Request
from visitors import session_of
from visitors import store

from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]


@pytest.fixture
def manager(make_manager: MakeManager, clock: Clock) -> SessionManager:
    return make_manager(user_key="user", rotate_interval=3600, clock=clock)


def test_session_id_is_replaced_when_it_is_old_and_the_session_goes_on(
    manager: SessionManager, clock: Clock, events: list[SessionEvent]
) -> None:
    header = store(manager, user="Ada", cart=[1])
    began = Request(manager, header).session.created
    clock.move(3600)
    request = Request(manager, header)
    assert request.session["cart"] == [1]
    renewed = cookie_header(request.commit())
    assert events[-1].name == "rotated"
    after = Request(manager, renewed).session
    assert after.id != events[0].session_id
    assert after.created == began
    assert after.copy() == {"user": "Ada", "cart": [1]}


def test_old_session_id_is_good_for_a_minute(
    manager: SessionManager, clock: Clock, db: redis.Redis
) -> None:
    header = store(manager, user="Ada")
    clock.move(3600)
    running, rotating = Request(manager, header), Request(manager, header)
    renewed = cookie_header(rotating.commit())
    running.session["running"] = 1
    running.commit()
    late = Request(manager, header)
    late.session["late"] = 1
    assert cookie_header(late.commit()).startswith(renewed[:50])
    expected = {"user": "Ada", "running": 1, "late": 1}
    assert look(manager, renewed) == look(manager, header) == expected
    pass_time(db, 60)
    assert look(manager, header) == {}
    assert look(manager, renewed) == expected


def test_session_id_that_is_not_old_costs_no_command(
    manager: SessionManager, clock: Clock, db: redis.Redis
) -> None:
    header = store(manager, user="Ada")
    clock.move(200)

    def read() -> None:
        assert Request(manager, header).commit() is None

    assert commands(db, read) == {"get": 1}


def test_rotation_costs_two_commands(
    server: LocalServer, manager: SessionManager, clock: Clock, db: redis.Redis
) -> None:
    def rotate() -> None:
        assert Request(manager, header).commit() is not None

    # Of a user's session, the index of users is told as well.
    headers = [store(manager, cart=[1]) for _ in range(2)]
    clock.move(3600)
    header = headers[0]
    rotate()  # so that the server knows the scripts
    header = headers[1]
    found = commands(db, rotate)
    # One script reads, since a touch is due as well; one retires, after a SET.
    assert found["evalsha"] == 2
    assert found["set"] == 2
    assert not found.keys() & {"eval", "del"}


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200 OK", [("Cache-Control", "public, max-age=60")]),
        ("200 OK", [("Cache-Control", "s-maxage=60")]),
        ("304 Not Modified", []),
    ],
)
def test_response_that_others_may_be_given_rotates_nothing(
    manager: SessionManager,
    clock: Clock,
    status: str,
    headers: list[tuple[str, str]],
) -> None:
    header = store(manager, user="Ada")
    clock.move(3600)
    for expected, (code, given) in (
        (False, (status, headers)),
        (True, ("200 OK", [])),
    ):
        exchange = manager.exchange({"HTTP_COOKIE": header})
        assert session_of(exchange)["user"] == "Ada"
        answer = exchange.finish(code, given)
        exchange.close()
        assert ("Set-Cookie" in dict(answer)) is expected


def test_logout_with_either_session_id_ends_the_session(
    manager: SessionManager, clock: Clock
) -> None:
    for ends_by_old in (True, False):
        header = store(manager, user="Ada")
        clock.move(3600)
        renewed = cookie_header(Request(manager, header).commit())
        logout = Request(manager, header if ends_by_old else renewed)
        logout.session.destroy()
        logout.commit()
        assert look(manager, header) == look(manager, renewed) == {}

"""Who has shown who it is, and tokens for forms."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
import redis
from conftest import Clock
from visitors import cookie_header
from visitors import given_to
from visitors import login
from visitors import look
from visitors import Request
from visitors import rotated
from visitors import store
from visitors import store_more

from wsgi_redis_session import SessionManager

MakeManager = cabc.Callable[..., SessionManager]


@pytest.fixture
def manager(make_manager: MakeManager, clock: Clock) -> SessionManager:
    return make_manager(user_key="user", clock=clock)


# Who has shown who it is.


def test_login_says_when_it_was(manager: SessionManager, clock: Clock) -> None:
    anonymous = store(manager, cart=1)
    assert manager.open(anonymous).authenticated_at is None
    clock.move(100)
    header = login(manager, anonymous)
    assert manager.open(header).authenticated_at == clock.time
    began = clock.time
    clock.move(100)
    header = store_more(manager, header, cart=2)
    assert manager.open(header).authenticated_at == began


def test_another_user_has_logged_in_now(manager: SessionManager, clock: Clock) -> None:
    header = login(manager)
    clock.move(100)
    other = login(manager, header, user="Grace")
    assert manager.open(other).authenticated_at == clock.time


def test_who_logs_out_has_not_logged_in(manager: SessionManager) -> None:
    header = login(manager, store(manager, cart=1))
    request = Request(manager, header)
    del request.session["user"]
    left = cookie_header(request.commit())
    assert look(manager, left) == {"cart": 1}
    assert manager.open(left).authenticated_at is None


def test_confirmation_renews_and_says_when_it_was(
    manager: SessionManager, clock: Clock
) -> None:
    header = login(manager)
    clock.move(100)
    request = Request(manager, header)
    request.session.confirm()
    assert request.session.authenticated_at == clock.time
    renewed = cookie_header(request.commit())
    assert look(manager, header) == {}
    assert look(manager, renewed) == {"user": "Ada"}
    assert manager.open(renewed).authenticated_at == clock.time


def test_renewal_confirms_nothing(manager: SessionManager, clock: Clock) -> None:
    header = login(manager)
    began = clock.time
    clock.move(100)
    request = Request(manager, header)
    request.session.regenerate()
    renewed = cookie_header(request.commit())
    assert manager.open(renewed).authenticated_at == began


# Tokens for forms.


def token_of(manager: SessionManager, header: str = "") -> tuple[str, str]:
    request = Request(manager, header)
    token = request.session.csrf_token()
    return token, given_to(header, request)


def test_token_is_known_in_the_next_request(manager: SessionManager) -> None:
    token, header = token_of(manager)
    another, _ = token_of(manager, header)
    assert token != another
    session = manager.open(header)
    assert session.check_csrf_token(token)
    assert session.check_csrf_token(another)
    assert session.copy() == {}
    assert len(session) == 0
    assert list(session) == []


def test_token_of_another_session_is_not_known(manager: SessionManager) -> None:
    (token, _), (_, header) = token_of(manager), token_of(manager)
    assert not manager.open(header).check_csrf_token(token)
    assert not manager.open("").check_csrf_token(token)


@pytest.mark.parametrize(
    "token", [None, "", "x", "=" * 43, "ä" * 43, "A" * 43, "A" * 10_000, "\0", b"x", 7]
)
def test_what_is_no_token_is_not_known(manager: SessionManager, token: t.Any) -> None:
    _, header = token_of(manager)
    assert not manager.open(header).check_csrf_token(token)


def test_token_ends_with_a_login_and_its_form_can_be_sent_twice(
    manager: SessionManager,
) -> None:
    token, header = token_of(manager, store(manager, cart=1))
    entered = login(manager, header)
    assert not manager.open(entered).check_csrf_token(token)
    assert manager.open(header).check_csrf_token(token)


def test_token_that_is_asked_for_after_regenerate_is_good(
    manager: SessionManager,
) -> None:
    old, header = token_of(manager, store(manager, cart=1))
    request = Request(manager, header)
    request.session.regenerate()
    token = request.session.csrf_token()
    renewed = manager.open(cookie_header(request.commit()))
    assert renewed.check_csrf_token(token)
    assert not renewed.check_csrf_token(old)


def test_token_survives_a_rotation(make_manager: MakeManager, clock: Clock) -> None:
    manager = make_manager(user_key="user", clock=clock, rotate_interval=60)
    token, header = token_of(manager)
    clock.move(100)
    moved = rotated(manager, header)
    assert moved != header
    assert manager.open(moved).check_csrf_token(token)


def test_cleared_session_leaves_nothing(
    manager: SessionManager, db: redis.Redis
) -> None:
    _, header = token_of(manager, login(manager))
    request = Request(manager, header)
    request.session.clear()
    request.commit()
    assert manager.count() == 0
    assert all(db.get(key) == b"\0e" for key in db.scan_iter())


@pytest.mark.parametrize("name", ["\0csrf", "\0authenticated"])
def test_names_of_the_library_cannot_be_set(manager: SessionManager, name: str) -> None:
    with pytest.raises(ValueError, match="the library itself"):
        manager.open("")[name] = 1


def test_on_conflict_is_never_asked_about_what_the_library_keeps(
    make_manager: MakeManager,
) -> None:
    asked: list[str] = []

    def decide(name: str, base: t.Any, ours: t.Any, theirs: t.Any) -> t.Any:
        asked.append(name)
        return ours + theirs - base

    manager = make_manager(on_conflict=decide)
    header = store(manager, n=0)
    requests = [Request(manager, header) for _ in range(2)]
    tokens = [request.session.csrf_token() for request in requests]
    for request in requests:
        request.session["n"] += 1
        request.commit()
    assert asked == ["n"]
    assert manager.open(header)["n"] == 2
    # The one that was stored last.
    assert manager.open(header).check_csrf_token(tokens[1])

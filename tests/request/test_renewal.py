"""What a session id that changes means for requests that know the old one."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
import redis
from visitors import cookie_header
from visitors import login
from visitors import look
from visitors import pass_time
from visitors import Request
from visitors import store

from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager

MakeManager = cabc.Callable[..., SessionManager]

#: With ``user_key``, and where the application renews the session id at a login.
WAYS = {"user_key": {"user_key": "user"}, "regenerate": {}}


@pytest.fixture(params=WAYS)
def site(request: pytest.FixtureRequest, make_manager: MakeManager) -> SessionManager:
    return make_manager(**WAYS[request.param])


def log_in(request: Request, user: str = "Ada", **values: t.Any) -> str:
    """Log a visitor in, and store what is only theirs; the new Cookie header."""
    request.session.update(user=user, **values)
    if request.manager.config.user_key is None:
        request.session.regenerate()
    return cookie_header(request.commit())


def names(events: list[SessionEvent]) -> list[str]:
    return [event.name for event in events]


# Somebody knew the cookie from before a login, and has a request under way.


def log_in_oneself(eve: Request) -> None:
    eve.session["user"] = "Eve"
    eve.session.regenerate()


EVE: dict[str, cabc.Callable[[Request], object]] = {
    "reads": lambda eve: eve.session.get("cart"),
    "writes": lambda eve: eve.session.update(evil=True),
    "writes what is there": lambda eve: eve.session.update(cart="of Eve"),
    "regenerates": lambda eve: eve.session.regenerate(),
    "regenerates and writes": lambda eve: (
        eve.session.regenerate(),
        eve.session.update(evil=True),
    ),
    "logs in": log_in_oneself,
    "becomes permanent": lambda eve: setattr(eve.session, "permanent", True),
    "saves": lambda eve: setattr(eve.session, "modified", True),
}


@pytest.mark.parametrize("act", EVE.values(), ids=EVE)
@pytest.mark.parametrize("acts_before", [True, False])
def test_request_that_looked_before_a_login_gains_nothing_by_it(
    site: SessionManager,
    act: cabc.Callable[[Request], object],
    acts_before: bool,
) -> None:
    planted = store(site, csrf="token")
    eve, victim = Request(site, planted), Request(site, planted)
    if acts_before:
        act(eve)
    ada = log_in(victim, cart="of Ada", secret="hers")
    if not acts_before:
        act(eve)
    given = eve.commit()
    # What her response's body sees while it streams, and stores at its end.
    assert "hers" not in eve.session.values()
    eve.session.pop("csrf", None)
    site.commit(eve.session, headers_sent=True)
    assert "hers" not in eve.session.values()
    assert look(site, ada) == {
        "csrf": "token",
        "user": "Ada",
        "cart": "of Ada",
        "secret": "hers",
    }
    if given is not None:
        hers = Request(site, cookie_header(given)).session
        assert hers.id != Request(site, ada).session.id
        assert "hers" not in hers.values()
        assert hers.get("user") in (None, "Eve")
    assert "hers" not in look(site, planted).values()


def test_what_a_streaming_body_stores_after_a_login_elsewhere_is_told_to_be_lost(
    site: SessionManager, events: list[SessionEvent]
) -> None:
    planted = store(site, csrf="token")
    eve, victim = Request(site, planted), Request(site, planted)
    ada = log_in(victim, secret="hers")
    eve.commit()
    eve.session["late"] = True
    site.commit(eve.session, headers_sent=True)
    assert names(events)[-1] == "lost"
    assert "'late'" in events[-1].detail
    assert look(site, ada) == {"csrf": "token", "user": "Ada", "secret": "hers"}


# Users follow one another.


@pytest.mark.parametrize("clears", [True, False])
def test_next_user_has_what_the_request_assigned_and_nothing_else(
    make_manager: MakeManager, clears: bool
) -> None:
    manager = make_manager(user_key="user")
    header = store(manager, user="Ada", kept="same", secret="hers")
    other, switch = Request(manager, header), Request(manager, header)
    other.session["draft"] = "of Ada"
    if clears:
        switch.session.clear()
    # Assigned even where the value stays as it was.
    switch.session.update(user="Grace", kept="same")
    other.commit()  # after the switch has looked, before it is saved
    grace = cookie_header(switch.commit())
    assert look(manager, grace) == {"user": "Grace", "kept": "same"}
    assert look(manager, header) == {}


def test_session_of_the_next_user_begins_anew(make_manager: MakeManager) -> None:
    now = 1_800_000_000.0
    manager = make_manager(user_key="user", clock=lambda: now)
    header = store(manager, user="Ada")
    began = Request(manager, header).session.created
    now += 100
    switch = Request(manager, header)
    switch.session["user"] = "Grace"
    grace = cookie_header(switch.commit())
    assert Request(manager, grace).session.created == began + 100


@pytest.mark.parametrize("user", [{"id": 1}, ["Ada"], 1.5, True, ("Ada",), b"Ada"])
def test_user_that_is_no_identifier_is_an_error_that_names_the_option(
    make_manager: MakeManager, db: redis.Redis, user: t.Any
) -> None:
    manager = make_manager(user_key="user")
    request = Request(manager, "")
    request.session["user"] = user
    with pytest.raises(ConfigurationError, match=r"user_key='user'.*session\['user'\]"):
        request.commit()
    assert db.keys() == []


def test_what_is_known_of_a_user_may_change_without_a_new_session_id(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(user_key="user")
    header = store(manager, user=1, profile={"name": "Ada"})
    request = Request(manager, header)
    request.session["profile"]["name"] = "Ada Lovelace"
    request.session["user"] = 1
    assert request.commit() is None
    assert look(manager, header)["profile"] == {"name": "Ada Lovelace"}


# Logging out, and being logged out by nobody.


@pytest.mark.parametrize("looked_before", [True, False])
@pytest.mark.parametrize("seconds", [0, 6, 500])
def test_logout_with_the_cookie_from_before_a_renewal_stands(
    make_manager: MakeManager, db: redis.Redis, looked_before: bool, seconds: float
) -> None:
    manager = make_manager(user_key="user")
    header = store(manager, user="Ada")
    renewal, logout = Request(manager, header), Request(manager, header)
    renewal.session.regenerate()
    renewed = cookie_header(renewal.commit())
    pass_time(db, seconds)
    if not looked_before:
        logout = Request(manager, header)
    logout.session.destroy()
    cleared = logout.commit()
    assert cleared is not None
    assert "Max-Age=0" in cleared
    assert look(manager, header) == look(manager, renewed) == {}


def test_revoking_the_old_id_ends_the_renewed_session(manager: SessionManager) -> None:
    header = store(manager, user="Ada")
    old = Request(manager, header)
    renewal = Request(manager, header)
    renewal.session.regenerate()
    renewed = cookie_header(renewal.commit())
    assert manager.revoke(old.session.id)
    assert look(manager, renewed) == {}


def test_request_under_way_at_a_login_gives_no_cookie(
    site: SessionManager, events: list[SessionEvent]
) -> None:
    header = store(site, csrf="token")
    polls = [Request(site, header) for _ in range(3)]
    login = Request(site, header)
    polls[1].session["seen"] = 1
    polls[2].session.modified = True
    log_in(login)
    assert [poll.commit() for poll in polls] == [None] * 3


def test_what_the_old_cookie_stores_right_after_a_login_is_dropped_and_told(
    site: SessionManager, db: redis.Redis, events: list[SessionEvent]
) -> None:
    header = store(site, csrf="token")
    ada = log_in(Request(site, header))
    late = Request(site, header)
    late.session["late"] = True
    # Its cookie could arrive after that of the login.
    assert late.commit() is None
    assert names(events)[-1] == "lost"
    pass_time(db, 6)
    later = Request(site, header)
    later.session["later"] = True
    own = cookie_header(later.commit())
    frozen = {"csrf": "token"} if site.config.user_key else {}
    assert look(site, own) == {**frozen, "later": True}
    assert look(site, ada) == {"csrf": "token", "user": "Ada"}


def test_form_that_is_sent_twice_logs_in_whichever_response_counts(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(user_key="user")
    header = store(manager, csrf="token", cart=[1])
    one, two = Request(manager, header), Request(manager, header)
    first = log_in(one)
    second = log_in(two)
    three = Request(manager, header)  # sent when the first was answered
    assert three.session["csrf"] == "token"
    third = log_in(three)
    for jar in (first, second, third):
        assert look(manager, jar) == {"csrf": "token", "cart": [1], "user": "Ada"}


def test_remember_me_does_not_undo_a_logout_that_overtakes_it(
    make_manager: MakeManager, db: redis.Redis, events: list[SessionEvent]
) -> None:
    manager = make_manager(user_key="user")
    header = store(manager, user="Ada")
    logout = Request(manager, header)
    logout.session.destroy()
    logout.commit()
    remembered = Request(manager, header)
    remembered.session["user"] = "Ada"
    assert remembered.commit() is None
    assert names(events)[-1] == "lost"
    pass_time(db, 6)
    again = Request(manager, header)
    again.session["user"] = "Ada"
    assert look(manager, cookie_header(again.commit())) == {"user": "Ada"}


def test_response_that_gets_lost_while_the_session_id_rotates_logs_nobody_out(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    now = 1_800_000_000.0
    manager = make_manager(user_key="user", rotate_interval=60, clock=lambda: now)
    header = store(manager, user="Ada")
    now += 61
    lost = Request(manager, header)
    lost.session["cart"] = [1]
    assert lost.commit() is not None  # and never arrives
    pass_time(db, 50)
    back = Request(manager, header)
    assert back.session["user"] == "Ada"
    assert look(manager, cookie_header(back.commit())) == {"user": "Ada", "cart": [1]}
    pass_time(db, 11)
    assert look(manager, header) == {}


# Three at a time, one of which renews the session.


@pytest.mark.parametrize("order", ["12R", "1R2", "R12"])
def test_renewal_neither_loses_what_others_saved_nor_undoes_it(
    manager: SessionManager, events: list[SessionEvent], order: str
) -> None:
    header = store(manager, a=0, b=0, old=1)
    one, two, renewal = (Request(manager, header) for _ in "12R")
    one.session["a"] = 1
    del two.session["old"]
    two.session["b"] = 2
    renewal.session["r"] = 3
    renewal.session.regenerate()
    jar = header
    for who in order:
        request = {"1": one, "2": two, "R": renewal}[who]
        jar = cookie_header(cookie) if (cookie := request.commit()) else jar
    expected = {"a": 0, "b": 0, "old": 1, "r": 3}
    before = order.partition("R")[0]
    if "1" in before:
        expected["a"] = 1
    if "2" in before:
        expected["b"] = 2
        del expected["old"]
    assert look(manager, jar) == expected
    assert names(events).count("lost") == 2 - len(before)


def test_on_conflict_decides_at_each_of_several_meetings_while_renewing(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(
        on_conflict=lambda name, base, ours, theirs: theirs + ours - base
    )
    header = store(manager, total=100)
    requests = [Request(manager, header) for _ in range(4)]
    for number, request in enumerate(requests):
        request.session["total"] += 10**number
    for request in requests[:3]:
        assert request.commit() is None
    requests[3].session.regenerate()
    assert look(manager, cookie_header(requests[3].commit())) == {"total": 1211}


@pytest.mark.parametrize("name", ["permanent", "modified"])
def test_session_that_has_ended_may_be_made_permanent_and_stays_empty(
    manager: SessionManager, db: redis.Redis, name: str
) -> None:
    header = store(manager, user="Ada")
    logout = Request(manager, header)
    logout.session.destroy()
    logout.commit()
    pass_time(db, 6)
    # As an application does that does so in every request.
    request = Request(manager, header)
    setattr(request.session, name, True)
    request.commit()
    assert manager.commit(request.session, headers_sent=True).cookie is None
    assert look(manager, header) == {}


def test_number_and_its_text_are_one_user(make_manager: MakeManager) -> None:
    manager = make_manager(user_key="user")
    header = login(manager, user=5)
    request = Request(manager, header)
    request.session["cart"] = 1
    request.commit()
    request = Request(manager, header)
    request.session["user"] = "5"
    assert request.commit() is None
    assert look(manager, header) == {"user": "5", "cart": 1}

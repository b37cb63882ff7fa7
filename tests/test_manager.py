"""What a visitor's next request sees, whatever happened at the same time."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
import redis
from conftest import Clock
from visitors import assert_nothing_is_left
from visitors import cookie_header
from visitors import look
from visitors import names
from visitors import pass_time
from visitors import Request
from visitors import store

from wsgi_redis_session import NotSerializable
from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionTooLarge

MakeManager = cabc.Callable[..., SessionManager]


def test_session_is_seen_by_the_next_request(manager: SessionManager) -> None:
    header = store(manager, name="Ada", cart={"items": [1, 2]})
    assert look(manager, header) == {"name": "Ada", "cart": {"items": [1, 2]}}


def test_empty_new_session_leaves_no_key_and_no_cookie(
    manager: SessionManager, db: redis.Redis
) -> None:
    session = manager.open("")
    session.permanent = True
    assert session.new
    assert session.get("name") is None
    assert manager.commit(session).cookie is None
    assert db.keys() == []


def test_nested_change_is_saved_without_a_flag(manager: SessionManager) -> None:
    header = store(manager, cart={"items": []})
    request = Request(manager, header)
    request.session["cart"]["items"].append("apple")
    assert request.commit() is None
    assert look(manager, header) == {"cart": {"items": ["apple"]}}


def test_nothing_in_redis_gives_the_session_id_away(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = store(manager, name="Ada")
    sid = Request(manager, header).session.sid
    (key,) = db.keys()
    assert sid.encode() not in key + db.get(key)
    assert look(manager, f"session={key.decode().partition(':')[2]}") == {}


def test_every_key_has_a_ttl(make_manager: MakeManager, db: redis.Redis) -> None:
    manager = make_manager(user_key="user")
    header = store(manager, flash="hello")
    Request(manager, header).commit()
    login = Request(manager, header)
    login.session["user"] = 1
    header = cookie_header(login.commit())
    emptied = Request(manager, store(manager, flash="x"))
    emptied.session.clear()
    emptied.commit()
    sessions = db.keys("wsgi-session:" + "?" * 24)
    assert len(sessions) == 3
    assert all(0 < db.pttl(key) <= 86_400_000 for key in sessions)
    (user,) = db.keys("wsgi-session:user:*")
    assert 0 < db.pttl(user) <= 2 * 86_400_000


# Login and logout.


def test_login_and_logout_change_the_session_id_by_themselves(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(user_key="user")
    planted = store(manager, cart=1)
    login = Request(manager, planted)
    login.session["user"] = 42
    logged_in = cookie_header(login.commit())
    # What whoever planted it knows anyway.
    assert look(manager, planted) == {"cart": 1}
    assert look(manager, logged_in) == {"cart": 1, "user": 42}
    logout = Request(manager, logged_in)
    del logout.session["user"]
    logged_out = cookie_header(logout.commit())
    assert look(manager, logged_in) == {}
    assert look(manager, logged_out) == {"cart": 1}


def test_request_of_a_user_who_has_left_saves_nothing_for_the_next_one(
    make_manager: MakeManager, events: list[SessionEvent]
) -> None:
    manager = make_manager(user_key="user")
    header = store(manager, user="Ada", csrf="token")
    late, renewal = Request(manager, header), Request(manager, header)
    late.session["private"] = "of Ada"
    renewal.session["other"] = "of Ada"
    renewal.session.regenerate()
    logout = Request(manager, header)
    del logout.session["user"]
    logged_out = cookie_header(logout.commit())
    login = Request(manager, logged_out)
    login.session["user"] = "Grace"
    logged_in = cookie_header(login.commit())
    assert late.commit() is None
    assert renewal.commit() is None
    assert look(manager, logged_in) == {"csrf": "token", "user": "Grace"}
    assert names(events)[-1] == "lost"


def test_cart_that_is_filled_during_the_login_is_kept(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(user_key="user")
    header = store(manager, csrf="token")
    shopping, login = Request(manager, header), Request(manager, header)
    shopping.session["cart"] = ["apple"]
    login.session["user"] = "Ada"
    shopping.commit()
    assert look(manager, cookie_header(login.commit())) == {
        "csrf": "token",
        "user": "Ada",
        "cart": ["apple"],
    }


def test_cart_that_is_saved_after_the_login_is_told_to_be_lost(
    make_manager: MakeManager, events: list[SessionEvent]
) -> None:
    manager = make_manager(user_key="user")
    header = store(manager, csrf="token")
    shopping, login = Request(manager, header), Request(manager, header)
    shopping.session["cart"] = ["apple"]
    login.session["user"] = "Ada"
    logged_in = cookie_header(login.commit())
    assert shopping.commit() is None
    assert names(events)[-1] == "lost"
    assert "'cart'" in events[-1].detail
    assert look(manager, logged_in) == {"csrf": "token", "user": "Ada"}


def test_emptying_a_session_of_a_user_ends_it(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(user_key="user")
    header = store(manager, user=42)
    late, logout = Request(manager, header), Request(manager, header)
    logout.session.clear()
    late.session["last_page"] = "/"
    set_cookie = logout.commit()
    assert set_cookie is not None
    assert "Max-Age=0" in set_cookie
    assert late.commit() is None
    assert_nothing_is_left(db)


def test_logout_ends_every_session_that_the_browser_named(
    make_manager: MakeManager, clock: Clock
) -> None:
    manager = make_manager(clock=clock)
    older = store(manager, user="Ada")
    clock.move(10)
    newer = store(manager, user="Ada")
    logout = manager.open(f"{older}; {newer}")
    logout.destroy()
    manager.commit(logout)
    assert look(manager, older) == look(manager, newer) == {}


def test_what_is_stored_after_destroy_goes_into_a_new_session(
    manager: SessionManager,
) -> None:
    header = store(manager, user="Ada")
    request = Request(manager, header)
    old_id = request.session.id
    request.session.destroy()
    assert request.session.new
    assert request.session.id != old_id
    request.session["flash"] = "Good bye"
    renewed = cookie_header(request.commit())
    assert look(manager, header) == {}
    assert look(manager, renewed) == {"flash": "Good bye"}


def test_revoked_session_is_gone_and_cannot_be_saved_again(
    manager: SessionManager,
) -> None:
    header = store(manager, user="Ada")
    running = Request(manager, header)
    manager.revoke(running.session.id)
    running.session["x"] = 1
    assert running.commit() is None
    assert look(manager, header) == {}


@pytest.mark.parametrize("wrong", ["", "ü", "*", "x" * 43, b"x" * 24, None])
def test_revoking_takes_nothing_but_the_id_of_a_session(
    manager: SessionManager, wrong: t.Any
) -> None:
    with pytest.raises(ValueError, match=r"session\.id"):
        manager.revoke(wrong)


def test_made_up_and_ended_session_ids_are_never_adopted(
    manager: SessionManager, events: list[SessionEvent], db: redis.Redis
) -> None:
    header = store(manager, user="Ada")
    logout = Request(manager, header)
    logout.session.destroy()
    logout.commit()
    pass_time(db, 6)
    for cookie in (header, "session=" + "A" * 43, "session=../../x", "session="):
        request = Request(manager, cookie)
        request.session["x"] = 1
        created = cookie_header(request.commit())
        assert created != cookie
        assert request.session.sid not in cookie
        assert look(manager, cookie) == {}
    assert names(events).count("rejected") == 6


# Lifetimes.


def test_idle_timeout_is_the_ttl(make_manager: MakeManager, db: redis.Redis) -> None:
    manager = make_manager(idle_timeout=100, permanent_lifetime=1000)
    header = store(manager, n=1)
    (key,) = db.keys()
    assert 99_000 < db.pttl(key) <= 100_000
    request = Request(manager, header)
    request.session.permanent = True
    set_cookie = request.commit()
    assert set_cookie is not None
    assert "Max-Age=1000" in set_cookie
    assert 999_000 < db.pttl(key) <= 1_000_000
    assert Request(manager, cookie_header(set_cookie)).session.permanent


def test_session_is_prolonged_once_per_touch_interval(
    make_manager: MakeManager, clock: Clock, db: redis.Redis
) -> None:
    manager = make_manager(clock=clock, idle_timeout=1000, touch_interval=50)
    header = store(manager, n=1)
    (key,) = db.keys()
    db.pexpire(key, 500_000)
    clock.move(49)
    assert Request(manager, header).commit() is None
    assert db.pttl(key) <= 500_000
    clock.move(2)
    request = Request(manager, header)
    assert 999_000 < db.pttl(key) <= 1_000_000
    outcome = manager.commit(request.session)
    assert outcome.renewal
    assert cookie_header(outcome.cookie) != header
    db.pexpire(key, 500_000)
    assert Request(manager, cookie_header(outcome.cookie)).commit() is None
    assert db.pttl(key) <= 500_000


def test_ttl_never_goes_beyond_the_lifetime(
    make_manager: MakeManager, clock: Clock, db: redis.Redis
) -> None:
    manager = make_manager(
        clock=clock, idle_timeout=1000, lifetime=3000, touch_interval=10
    )
    header = store(manager, n=1)
    clock.move(2500)
    request = Request(manager, header)
    assert request.session["n"] == 1
    (key,) = db.keys()
    assert 499_000 < db.pttl(key) <= 500_000
    request.session["n"] = 2
    header = cookie_header(request.commit())
    assert 499_000 < db.pttl(key) <= 500_000
    request = Request(manager, header)
    request.session.regenerate()
    header = cookie_header(request.commit())
    assert look(manager, header) == {"n": 2}
    clock.move(501)
    assert look(manager, header) == {}


def test_no_lifetime_is_no_limit(make_manager: MakeManager, clock: Clock) -> None:
    manager = make_manager(clock=clock, lifetime=None)
    header = store(manager, n=1)
    clock.move(10 * 365 * 86_400)
    assert look(manager, header) == {"n": 1}


def test_stored_header_is_the_truth_about_permanence(
    make_manager: MakeManager, clock: Clock, db: redis.Redis
) -> None:
    manager = make_manager(clock=clock, idle_timeout=1000, permanent_lifetime=5000)
    before = store(manager, n=1)
    request = Request(manager, before)
    request.session.permanent = True
    request.commit()  # and the response was lost
    clock.move(600)
    again = Request(manager, before)
    assert again.session.permanent
    assert db.pttl(db.keys()[0]) > 4_900_000
    renewed = again.commit()
    assert renewed is not None
    assert "Max-Age=5000" in renewed


def test_changes_are_dropped_when_the_lifetime_ends_meanwhile(
    make_manager: MakeManager, clock: Clock, events: list[SessionEvent]
) -> None:
    manager = make_manager(clock=clock, lifetime=100)
    header = store(manager, n=1)
    request = Request(manager, header)
    request.session["n"] = 2
    clock.move(101)
    assert request.commit() is None
    assert names(events)[-1] == "lost"


# What cannot be stored, and what cannot be read.


def test_unserializable_value_names_its_key_and_saves_nothing(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = store(manager, kept=1)
    before = db.get(db.keys()[0])
    request = Request(manager, header)
    request.session["kept"] = 2
    request.session["bad"] = {"deep": [object()]}
    with pytest.raises(NotSerializable, match=r"session\['bad'\].*builtins\.object"):
        request.commit()
    assert db.get(db.keys()[0]) == before


def test_session_over_max_bytes_is_refused(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(max_bytes=1000)
    header = store(manager, small="x")
    request = Request(manager, header)
    request.session["large"] = "x" * 1000
    with pytest.raises(SessionTooLarge, match=r"max_bytes=1000.*\['large'\]"):
        request.commit()
    assert look(manager, header) == {"small": "x"}


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"x",
        b"\x01",
        b"\x02" + b"x" * 60,
        b"\x80\x04}.",
        b"{}",
        b"\x01" * 26,
    ],
)
def test_undecodable_value_is_a_new_session_and_an_event(
    manager: SessionManager,
    db: redis.Redis,
    events: list[SessionEvent],
    garbage: bytes,
) -> None:
    header = store(manager, n=1)
    (key,) = db.keys()
    db.set(key, garbage, keepttl=True)
    request = Request(manager, header)
    assert request.session.new
    assert names(events)[-1] == "undecodable"
    request.session["n"] = 2
    assert look(manager, cookie_header(request.commit())) == {"n": 2}


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x81", b"\x90", b"\x81\xa1a\x01"])
def test_undecodable_payload_is_a_new_session_and_an_event(
    manager: SessionManager,
    db: redis.Redis,
    events: list[SessionEvent],
    payload: bytes,
) -> None:
    header = store(manager, n=1)
    (key,) = db.keys()
    db.set(key, db.get(key)[:26] + payload, keepttl=True)
    assert look(manager, header) == {}
    assert names(events)[-1] == "undecodable"


def test_key_of_another_type_is_a_new_session_and_an_event(
    manager: SessionManager, db: redis.Redis, events: list[SessionEvent]
) -> None:
    header = store(manager, n=1)
    (key,) = db.keys()
    db.delete(key)
    db.hset(key, "field", "value")
    assert look(manager, header) == {}
    assert names(events)[-1] == "undecodable"


@pytest.mark.plain
def test_unreadable_value_is_a_new_session_and_an_event(
    manager: SessionManager, db: redis.Redis, events: list[SessionEvent]
) -> None:
    header = store(manager, user="Ada", cart=b"12345678")
    (key,) = db.keys()
    db.set(key, db.get(key).replace(b"\xc4\x0812345678", b"\xc1" * 10), keepttl=True)
    request = Request(manager, header)
    assert request.session["user"] == "Ada"
    assert request.session.get("cart") is None
    assert request.session.new
    assert "user" not in request.session
    assert names(events)[-1] == "undecodable"
    assert request.commit() is None


def test_observer_that_fails_harms_nobody(
    make_manager: MakeManager, caplog: pytest.LogCaptureFixture
) -> None:
    def observe(event: SessionEvent) -> None:
        raise RuntimeError("the observer is broken")

    manager = make_manager(on_event=observe)
    assert look(manager, store(manager, n=1)) == {"n": 1}
    assert "an observer failed" in caplog.text


def test_no_log_and_no_event_carries_secrets(
    manager: SessionManager,
    events: list[SessionEvent],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "wsgi_redis_session")
    header = store(manager, password="hunter2")
    request = Request(manager, header)
    sid = request.session.sid
    request.session.destroy()
    request.commit()
    look(manager, header)
    look(manager, "session=hunter2")
    told = caplog.text + repr(events) + repr(request.session)
    assert "destroyed" in told
    assert not any(secret in told for secret in (sid, "hunter2", "not a secret"))

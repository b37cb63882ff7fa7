"""What becomes of requests that meet where a session gets a new session id, or ends."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t

import ormsgpack
import pytest
import redis
from conftest import Clock
from proxy import Proxy
from visitors import cookie_header
from visitors import given_to
from visitors import login
from visitors import look
from visitors import names
from visitors import Request
from visitors import rotated
from visitors import session_of
from visitors import store
from visitors import store_more

from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionTooLarge
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.request.exchange import Exchange

MakeManager = cabc.Callable[..., SessionManager]

FOREIGN_SID = "JvY0n0wO3l-1mSDCF9uSYDg0cEvLWFyPM8Zp5nLVk_4"


def logged_in(request: Request) -> str:
    """The browser's cookie after a login."""
    request.session["user"] = "Ada"
    return given_to(request.header, request)


# A form that is sent twice.


@pytest.mark.parametrize("second_looks_first", [True, False])
def test_form_that_is_sent_twice_is_one_device(
    make_manager: MakeManager, second_looks_first: bool
) -> None:
    manager = make_manager(user_key="user", max_sessions_per_user=2)
    phone = login(manager)
    old = store(manager, cart=1)
    first = Request(manager, old)
    second = Request(manager, old) if second_looks_first else None
    cookies = [logged_in(first), logged_in(second or Request(manager, old))]
    # Whichever the browser keeps.
    for cookie in cookies:
        assert look(manager, cookie) == {"cart": 1, "user": "Ada"}
    assert look(manager, phone) == {"user": "Ada"}


def test_remember_me_in_several_requests_at_once_is_one_device(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(user_key="user", max_sessions_per_user=1)
    old = store(manager, cart=1)
    requests = [Request(manager, old) for _ in range(4)]
    for cookie in [logged_in(request) for request in requests]:
        assert look(manager, cookie) == {"cart": 1, "user": "Ada"}


# Logins and logouts that overtake each other.


def test_login_under_way_does_not_outlive_a_logout_that_keeps_the_session(
    make_manager: MakeManager, events: list[SessionEvent]
) -> None:
    manager = make_manager(user_key="user")
    old = store(manager, cart=1)
    slow = Request(manager, old)
    cookie = login(manager, old)
    leaving = Request(manager, cookie)
    del leaving.session["user"]
    cookie = given_to(cookie, leaving)
    slow.session["user"] = "Ada"
    assert slow.commit() is None
    assert events[-1].name == "lost"
    assert look(manager, cookie) == {"cart": 1}


@pytest.mark.parametrize("also", ["write", None])
def test_logout_ends_what_the_browser_came_with_whatever_was_dropped_before(
    make_manager: MakeManager, also: str | None
) -> None:
    manager = make_manager(user_key="user")
    old = store(manager, cart=1)
    cookie = login(manager, old)
    request = Request(manager, old)
    if also:
        request.session["late"] = True
    assert request.commit() is None
    request.session.destroy()
    request.commit()
    assert look(manager, cookie) == {}


@pytest.mark.parametrize("way", ["pop", "destroy"])
def test_logout_with_a_cookie_of_another_library_ends_what_it_became(
    make_manager: MakeManager, db: redis.Redis, way: str
) -> None:
    manager = make_manager(user_key="user", migrate_from="flask-session")
    db.set(f"session:{FOREIGN_SID}", ormsgpack.packb({"user": "Ada", "z": 1}), ex=60)
    old = f"session={FOREIGN_SID}"
    leaving = Request(manager, old)
    cookie = rotated(manager, old)
    confirming = Request(manager, cookie)
    confirming.session.confirm()
    cookie = given_to(cookie, confirming)
    if way == "pop":
        del leaving.session["user"]
    else:
        leaving.session.destroy()
    leaving.commit()
    assert look(manager, cookie) == {}


def test_logout_that_failed_is_one_when_it_is_tried_again(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    manager = make_manager(own_server.url)
    header = store(manager, user="Ada")
    request = Request(manager, header)
    request.session.destroy()
    with contextlib.closing(redis.Redis.from_url(own_server.url)) as db:
        db.config_set("min-replicas-to-write", 1)
        with pytest.raises(SessionUnavailable, match="NOREPLICAS"):
            request.commit()
        db.config_set("min-replicas-to-write", 0)
    assert look(manager, header) == {"user": "Ada"}
    assert "=;" in str(request.commit())
    assert look(manager, header) == {}


def test_renewal_that_was_seen_too_late_is_none_for_a_logout(
    make_manager: MakeManager, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's sessions were revoked once; a request that prolongs the session is
    overtaken by its renewal, and must not turn that into an end."""
    manager = make_manager(user_key="user", clock=clock)
    login(manager)
    manager.revoke_user("Ada")
    cookie = store_more(manager, login(manager), z=1)
    leaving = Request(manager, cookie)
    clock.move(400)
    directory = manager.parts.directory
    assert directory is not None
    notice, renewed = directory.notice, list[str]()

    def overtaken(*args: t.Any) -> None:
        if not renewed:
            renewed.append("")
            confirming = Request(manager, cookie)
            confirming.session.confirm()
            renewed[:] = [given_to(cookie, confirming)]
        notice(*args)

    monkeypatch.setattr(directory, "notice", overtaken)
    Request(manager, cookie).commit()
    assert look(manager, renewed[0]) == {"user": "Ada", "z": 1}
    del leaving.session["user"]
    leaving.commit()
    assert look(manager, renewed[0]) == {}


# Who knew the session before a login.


def test_csrf_secret_from_before_a_login_is_worth_nothing_after_it(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(user_key="user")
    old = store(manager, cart=1)
    victim, eve, again = (Request(manager, old) for _ in range(3))
    token = eve.session.csrf_token()
    eve.commit()
    for cookie in logged_in(victim), logged_in(again):
        assert look(manager, cookie) == {"cart": 1, "user": "Ada"}
        assert not Request(manager, cookie).session.check_csrf_token(token)


# A session that moves several times while a request runs.


def log_in(request: Request) -> None:
    request.session["user"] = "Ada"


MOVED: dict[str, tuple[cabc.Callable[[Request], object], dict[str, t.Any]]] = {
    "writes": (lambda request: request.session.update(x=1), {"z": 1, "x": 1}),
    "logs in": (log_in, {}),
    "regenerates": (lambda request: request.session.regenerate(), {}),
    "logs out": (lambda request: request.session.destroy(), {}),
}


@pytest.mark.parametrize(("act", "left"), MOVED.values(), ids=MOVED)
def test_request_follows_a_session_that_moved_twice(
    make_manager: MakeManager,
    clock: Clock,
    act: cabc.Callable[[Request], object],
    left: dict[str, t.Any],
) -> None:
    manager = make_manager(user_key="user", rotate_interval=10, clock=clock)
    old = store(manager, z=1)
    request = Request(manager, old)
    clock.move(11)
    moved = rotated(manager, old)
    clock.move(11)
    cookie = rotated(manager, moved)
    assert len({old, moved, cookie}) == 3
    act(request)
    given = request.commit()
    # Of a login and a renewal a request with the old cookie sees what was there before.
    seen = look(manager, cookie)
    assert seen == left or (given and seen == {"z": 1})
    if given and "=;" not in given:
        assert look(manager, cookie_header(given))["z"] == 1


def test_sum_is_counted_once_though_a_reply_was_lost_and_the_session_moved(
    make_manager: MakeManager, clock: Clock, server: LocalServer
) -> None:
    def add(name: str, base: t.Any, ours: t.Any, theirs: t.Any) -> t.Any:
        return theirs + ours - base

    options = {"on_conflict": add, "rotate_interval": 60, "clock": clock}
    manager = make_manager(**options)
    old = store(manager, sum=1)
    moved: list[str] = []

    def lost(words: list[bytes], reply: bytes) -> bytes | None:
        if words[0] not in (b"EVALSHA", b"EVAL") or b"NOSCRIPT" in reply or moved:
            return reply
        moved.append(rotated(manager, old))
        return None

    with Proxy(server.socket) as proxy:
        slow = make_manager(proxy.url, **options)
        look(slow, old)
        request = Request(slow, old)
        request.session["sum"] += 1
        clock.move(61)
        proxy.on_reply = lost
        request.commit()
    assert look(manager, moved[0]) == {"sum": 2}


# What is told, and what stays.


def test_changed_value_that_another_request_has_replaced_is_told_to_be_lost(
    manager: SessionManager, events: list[SessionEvent]
) -> None:
    header = store(manager, cart=[0])
    request = Request(manager, header)
    cart = request.session["cart"]
    request.session["x"] = 1
    other = Request(manager, header)
    other.session["cart"].append("other")
    other.commit()
    exchange = manager.exchange({"HTTP_COOKIE": header})
    held = session_of(exchange)["cart"]
    session_of(exchange)["y"] = 1
    another = Request(manager, header)
    another.session["cart"].append("another")
    another.commit()
    exchange.finish("200 OK", [])
    held.append("late")
    exchange.save_and_close()
    assert events[-1].name == "lost"
    assert "'cart'" in events[-1].detail
    request.commit()
    assert cart == [0]
    assert look(manager, header)["cart"] == [0, "other", "another"]


def with_a_cart_of_somebody_else(
    manager: SessionManager,
) -> tuple[Exchange, list[t.Any]]:
    """A request whose body streams, and the cart that it holds: another request has
    stored another one."""
    header = store(manager, cart=[0])
    exchange = manager.exchange({"HTTP_COOKIE": header})
    held = session_of(exchange)["cart"]
    session_of(exchange)["y"] = 1
    store_more(manager, header, cart=[1])
    exchange.finish("200 OK", [])
    return exchange, held


def test_unchanged_value_that_another_request_has_replaced_is_not_lost(
    manager: SessionManager, events: list[SessionEvent]
) -> None:
    exchange, held = with_a_cart_of_somebody_else(manager)
    assert held == [0]
    exchange.save_and_close()
    assert "lost" not in names(events)


def test_value_that_is_set_once_more_is_not_lost(
    manager: SessionManager, events: list[SessionEvent]
) -> None:
    exchange, held = with_a_cart_of_somebody_else(manager)
    held.append("late")
    session_of(exchange)["cart"] = held
    exchange.save_late()
    exchange.save_and_close()
    assert "lost" not in names(events)
    assert look(manager, exchange.environ["HTTP_COOKIE"])["cart"] == [0, "late"]


def test_lost_value_is_told_once(
    manager: SessionManager, events: list[SessionEvent]
) -> None:
    exchange, held = with_a_cart_of_somebody_else(manager)
    held.append("late")
    exchange.save_late()
    exchange.save_and_close()
    assert names(events).count("lost") == 1


def test_what_is_not_to_be_saved_is_not_saved_after_a_renewal(
    make_manager: MakeManager, clock: Clock
) -> None:
    manager = make_manager(clock=clock, rotate_interval=60)
    header = store(manager, cart=[0])
    clock.move(61)
    exchange = manager.exchange({"HTTP_COOKIE": header})
    session_of(exchange)["cart"].append("not to be saved")
    session_of(exchange).modified = False
    exchange.finish("200 OK", [])
    exchange.save_and_close()
    assert look(manager, header) == {"cart": [0]}


def test_conflict_that_cannot_be_decided_leaves_no_device(
    make_manager: MakeManager,
) -> None:
    def fail(*_: object) -> t.NoReturn:
        raise RuntimeError

    manager = make_manager(user_key="user", on_conflict=fail)
    old = store(manager, n=1)
    request = Request(manager, old)
    store_more(manager, old, n=2)
    request.session.update(user="Ada", n=3)
    with pytest.raises(RuntimeError):
        request.commit()
    assert manager.of_user("Ada") == []
    assert look(manager, old) == {"n": 2}


def test_revocation_whose_reply_got_lost_is_told(
    make_manager: MakeManager, server: LocalServer, events: list[SessionEvent]
) -> None:
    with Proxy(server.socket) as proxy:
        manager = make_manager(proxy.url)
        session = manager.load(store(manager, a=1))
        manager.revoke(session.id)  # the server knows the script now
        session = manager.load(store(manager, a=1))
        proxy.lose_replies("EVALSHA")
        assert manager.revoke(session.id)
    assert names(events).count("revoked") == 2


def test_session_that_grows_too_large_while_a_user_logs_in_leaves_no_device(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(user_key="user", max_bytes=2000)
    old = store(manager, n=1)
    request = Request(manager, old)
    store_more(manager, old, theirs="x" * 1200)
    request.session.update(user="Ada", ours="y" * 1200)
    with pytest.raises(SessionTooLarge):
        request.commit()
    assert manager.of_user("Ada") == []


def test_first_commit_s_cookie_is_not_given_where_the_second_one_was_overtaken(
    make_manager: MakeManager, clock: Clock
) -> None:
    manager = make_manager(user_key="user", clock=clock)
    header = store(manager, cart=1)
    clock.move(400)
    exchange = manager.exchange({"HTTP_COOKIE": header})
    session_of(exchange)["a"] = 1
    assert manager.commit(session_of(exchange)).cookie
    login(manager, header)
    session_of(exchange)["b"] = 1
    headers = exchange.finish("200 OK", [])
    assert "Set-Cookie" not in [name for name, _ in headers]


def test_other_logins_with_one_old_cookie_are_devices_of_their_own(
    make_manager: MakeManager,
) -> None:
    """To whoever changes a password, not to whoever counts."""
    manager = make_manager(user_key="user")
    planted = store(manager, cart=1)
    first, second = Request(manager, planted), Request(manager, planted)
    cookies = [logged_in(first), logged_in(second)]
    assert manager.revoke_user("Ada", keep=manager.open(cookies[1])) == 1
    assert [look(manager, one) for one in cookies] == [{}, {"cart": 1, "user": "Ada"}]


def test_first_of_two_commits_gives_the_cookie(manager: SessionManager) -> None:
    header = store(manager, a=1)
    exchange = manager.exchange({"HTTP_COOKIE": header})
    session_of(exchange).regenerate()
    given = manager.commit(session_of(exchange)).cookie
    assert given is not None
    headers = exchange.finish("200 OK", [])
    assert ("Set-Cookie", given) in headers
    assert look(manager, cookie_header(given)) == {"a": 1}


# Sessions of another library whose user changes the password.


@pytest.mark.parametrize("order", ["before", "between", "after"])
def test_other_request_of_a_page_that_changes_a_password_logs_nobody_out(
    make_manager: MakeManager, db: redis.Redis, order: str
) -> None:
    manager = make_manager(user_key="user", migrate_from="flask-session")
    db.set(f"session:{FOREIGN_SID}", ormsgpack.packb({"user": "Ada"}), ex=60)
    old = f"session={FOREIGN_SID}"
    phone = login(manager)
    changing, poll = Request(manager, old), Request(manager, old)
    manager.revoke_user("Ada", keep=changing.session)
    if order == "before":
        Request(manager, old).commit()
    if order == "between":
        poll.commit()
    changing.session.confirm()
    cookie = given_to(old, changing)
    if order == "after":
        poll.commit()
    assert look(manager, cookie) == {"user": "Ada"}
    assert look(manager, phone) == {}

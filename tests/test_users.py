"""Whose sessions there are: devices, revocation, limits, and what is kept of people."""

from __future__ import annotations

import collections.abc as cabc
import itertools
import typing as t
import uuid

import pytest
import redis
from conftest import browser
from conftest import Clock
from visitors import commands
from visitors import cookie_header
from visitors import login
from visitors import look
from visitors import Request
from visitors import rotated
from visitors import session_of
from visitors import store

from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import get_session
from wsgi_redis_session import PartlyRevoked
from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionInfo
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable

MakeManager = cabc.Callable[..., SessionManager]

DAY = 86400
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"


@pytest.fixture
def manager(make_manager: MakeManager, clock: Clock) -> SessionManager:
    return make_manager(user_key="user", clock=clock)


def ids(manager: SessionManager, user: str | int = "Ada") -> list[str]:
    return [info.id for info in manager.of_user(user)]


def id_of(manager: SessionManager, header: str) -> str:
    return manager.open(header).id


# Who is in the index.


def test_user_has_the_sessions_that_name_it(manager: SessionManager) -> None:
    one, two = login(manager), login(manager, store(manager, cart=1))
    login(manager, user="Grace")
    assert set(ids(manager)) == {id_of(manager, one), id_of(manager, two)}


def test_user_who_never_was_has_no_sessions(manager: SessionManager) -> None:
    assert manager.of_user("nobody") == []
    assert manager.revoke_user("nobody") == 0


@pytest.mark.parametrize("user", [42, uuid.UUID(int=7), "näme", "a:b*", ""])
def test_user_is_found_by_its_text_as_well(
    manager: SessionManager, user: t.Any
) -> None:
    header = login(manager, user=user)
    assert ids(manager, user) == ids(manager, str(user)) == [id_of(manager, header)]


def test_device_is_described_as_it_was_seen(make_manager: MakeManager) -> None:
    clock = Clock()
    manager = make_manager(user_key="user", clock=clock)

    def app(environ: t.Any, start_response: t.Any) -> t.Any:
        session = get_session(environ)
        session.permanent = True
        session.setdefault("user", "Ada")
        start_response("200 OK", [])
        return [session.device.encode()]

    client = browser(app, manager)
    environ = {"REMOTE_ADDR": "192.0.2.77"}
    agent = {"User-Agent": FIREFOX}
    device = client.get("/", environ_base=environ, headers=agent).text
    began = clock.time
    clock.move(400)
    client.get("/", environ_base={"REMOTE_ADDR": "2001:DB8::1"}, headers=agent)
    clock.move(10)
    client.get("/", environ_base={"REMOTE_ADDR": "198.51.100.1"}, headers=agent)
    (info,) = manager.of_user("Ada")
    assert info == SessionInfo(
        device=device,
        id=info.id,
        created=began,
        last_seen=began + 400,
        address="2001:db8::1",
        user_agent=FIREFOX,
        permanent=True,
        current=False,
    )


def test_current_session_is_marked(manager: SessionManager) -> None:
    one, two = login(manager), login(manager)
    current = {
        info.id: info.current
        for info in manager.of_user("Ada", current=manager.open(one))
    }
    assert current == {id_of(manager, one): True, id_of(manager, two): False}


def test_device_seen_last_comes_first(manager: SessionManager, clock: Clock) -> None:
    headers = [login(manager)]
    clock.move(10)
    headers.append(login(manager))
    assert ids(manager) == [id_of(manager, header) for header in reversed(headers)]


def test_device_stays_when_the_session_id_changes(
    make_manager: MakeManager, clock: Clock
) -> None:
    manager = make_manager(user_key="user", clock=clock, rotate_interval=60)
    anonymous = store(manager, cart=1)
    device = manager.open(anonymous).device
    header = login(manager, anonymous)
    clock.move(100)
    moved = rotated(manager, header)
    request = Request(manager, moved)
    request.session.regenerate()
    renewed = cookie_header(request.commit())
    assert len({anonymous, header, moved, renewed}) == 4
    assert ids(manager) == [id_of(manager, renewed)]
    assert manager.of_user("Ada")[0].device == device


def test_logout_leaves_the_index(manager: SessionManager, db: redis.Redis) -> None:
    for leave in (destroy, forget_user, forget_all):
        header = login(manager, store(manager, cart=1))
        request = Request(manager, header)
        leave(request.session)
        request.commit()
        assert ids(manager) == []
        assert db.keys("wsgi-session:user:*") == []


def destroy(session: t.Any) -> None:
    session.destroy()


def forget_user(session: t.Any) -> None:
    del session["user"]


def forget_all(session: t.Any) -> None:
    session.clear()


def test_another_user_takes_the_session_along(manager: SessionManager) -> None:
    header = login(manager)
    device = manager.open(header).device
    other = login(manager, header, user="Grace")
    assert ids(manager) == []
    assert ids(manager, "Grace") == [id_of(manager, other)]
    assert manager.open(other).device == device


def test_login_after_destroy_is_in_the_index(manager: SessionManager) -> None:
    request = Request(manager, login(manager))
    request.session.destroy()
    request.session["user"] = "Ada"
    header = cookie_header(request.commit())
    assert ids(manager) == [id_of(manager, header)]
    assert manager.open(header).authenticated_at is not None


def test_session_from_before_user_key_is_found_once_it_is_seen(
    make_manager: MakeManager, clock: Clock
) -> None:
    header = login(make_manager(clock=clock))
    manager = make_manager(user_key="user", clock=clock)
    assert ids(manager) == []
    clock.move(400)
    look(manager, header)
    assert ids(manager) == [id_of(manager, header)]


def test_session_from_before_user_key_is_revoked_once_it_is_seen(
    make_manager: MakeManager, clock: Clock
) -> None:
    header = login(make_manager(clock=clock))
    manager = make_manager(user_key="user", clock=clock)
    manager.revoke_user("Ada")
    clock.move(400)
    assert look(manager, header) == {}
    assert manager.count() == 0


def test_entry_outlives_a_session_that_becomes_permanent(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = login(manager)
    request = Request(manager, header)
    request.session.permanent = True
    request.commit()
    (key,) = db.keys("wsgi-session:user:*")
    assert db.pttl(key) > 31 * DAY * 1000
    assert manager.of_user("Ada")[0].permanent


def test_entries_of_sessions_that_ended_long_ago_are_cleaned(
    manager: SessionManager, db: redis.Redis
) -> None:
    login(manager)
    (key,) = db.keys("wsgi-session:user:*")
    for field, value in db.hgetall(key).items():
        db.hset(key, field, value[:8] + bytes(8) + value[16:])  # written in 1970
    header = login(manager)
    assert db.hkeys(key) == [id_of(manager, header).encode()]


# What is kept of people.


@pytest.mark.parametrize(
    ("keep", "address", "kept"),
    [
        ("full", "192.0.2.77", "192.0.2.77"),
        ("full", "::ffff:192.0.2.77", "192.0.2.77"),
        ("full", "fe80::1%eth0", "fe80::1"),
        ("full", "", None),
        ("full", "unix:", None),
        ("full", "'; DROP TABLE", None),
        ("network", "192.0.2.77", "192.0.2.0/24"),
        ("network", "2001:db8:1:2::77", "2001:db8:1::/48"),
        ("network", "unix:", None),
        (None, "192.0.2.77", None),
    ],
)
def test_address_is_kept_as_far_as_it_may_be(
    make_manager: MakeManager, keep: t.Any, address: str, kept: str | None
) -> None:
    manager = make_manager(user_key="user", keep_address=keep)
    login_from(manager, REMOTE_ADDR=address)
    assert manager.of_user("Ada")[0].address == kept


@pytest.mark.parametrize(
    ("agent", "kept"),
    [
        (FIREFOX, FIREFOX),
        ("a\x1b[31m\nb\u202e".encode().decode("latin-1"), "a[31mb"),
        ("\u00e9".encode().decode("latin-1"), "\u00e9"),
        ("\xff", "\ufffd"),
        ("x" * 1000, "x" * 256),
        ("", None),
    ],
)
def test_user_agent_is_kept_as_plain_text(
    manager: SessionManager, agent: str, kept: str | None
) -> None:
    login_from(manager, HTTP_USER_AGENT=agent)
    assert manager.of_user("Ada")[0].user_agent == kept


def test_user_agent_is_not_kept_where_that_is_not_wanted(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(user_key="user", keep_user_agent=False, keep_address=None)
    login_from(manager, HTTP_USER_AGENT=FIREFOX, REMOTE_ADDR="192.0.2.77")
    assert manager.of_user("Ada")[0].user_agent is None
    for value in db.hvals(db.keys("wsgi-session:user:*")[0]):
        assert b"Mozilla" not in value
        assert b"192.0" not in value


def login_from(manager: SessionManager, **environ: str) -> None:
    exchange = manager.exchange(environ)
    session_of(exchange)["user"] = "Ada"
    exchange.commit()


def test_nobody_is_named_in_redis(manager: SessionManager, db: redis.Redis) -> None:
    login(manager, user="ada@example.com")
    assert not any(b"ada@" in key for key in db.scan_iter())


# Revocation.


def test_revoked_user_is_out_everywhere(
    manager: SessionManager, events: list[SessionEvent]
) -> None:
    headers = [login(manager), login(manager)]
    grace = login(manager, user="Grace")
    sessions = ids(manager)
    assert manager.revoke_user("Ada") == 2
    assert [look(manager, header) for header in headers] == [{}, {}]
    assert look(manager, grace) == {"user": "Grace"}
    assert ids(manager) == []
    revoked = [event for event in events if event.name == "revoked"]
    assert {event.session_id for event in revoked} == set(sessions)
    assert len({event.user for event in revoked}) == 1


def test_revoked_user_can_log_in_again(manager: SessionManager) -> None:
    manager.revoke_user("Ada")
    # A new request, and not one that began within a round trip of the revocation.
    for _ in range(5):
        manager.ping()
    header = login(manager)
    assert ids(manager) == [id_of(manager, header)]


def test_one_device_is_revoked(manager: SessionManager) -> None:
    one, two = login(manager), login(manager)
    device = manager.open(one).device
    assert manager.revoke_user("Ada", device=device) == 1
    assert look(manager, one) == {}
    assert look(manager, two) == {"user": "Ada"}
    assert manager.revoke_user("Ada", device=device) == 0
    assert manager.revoke_user("Ada", device="0" * 16) == 0


def test_all_but_one_are_revoked(manager: SessionManager) -> None:
    one, two = login(manager), login(manager)
    assert manager.revoke_user("Ada", keep=manager.open(one)) == 1
    assert look(manager, one) == {"user": "Ada"}
    assert look(manager, two) == {}


def test_kept_session_survives_its_renewal_in_the_same_request(
    manager: SessionManager,
) -> None:
    one, two = login(manager), login(manager)
    request = Request(manager, one)
    assert request.session["user"] == "Ada"
    manager.revoke_user("Ada", keep=request.session)
    request.session.confirm()
    renewed = cookie_header(request.commit())
    assert look(manager, renewed) == {"user": "Ada"}
    assert look(manager, two) == look(manager, one) == {}


@pytest.mark.parametrize("before", ["nobody", "anonymous", "Grace"])
def test_request_that_logs_in_and_revokes_the_others_stays(
    manager: SessionManager, before: str
) -> None:
    other = login(manager)
    header = {
        "nobody": "",
        "anonymous": store(manager, cart=1),
        "Grace": login(manager, user="Grace"),
    }[before]
    request = Request(manager, header)
    request.session["user"] = "Ada"
    manager.revoke_user("Ada", keep=request.session)
    entered = cookie_header(request.commit())
    assert look(manager, entered)["user"] == "Ada"
    assert look(manager, other) == {}


def test_login_under_way_comes_to_nothing(
    manager: SessionManager, events: list[SessionEvent]
) -> None:
    header = store(manager, cart=1)
    request = Request(manager, header)
    request.session["user"] = "Ada"
    manager.revoke_user("Ada")
    assert request.commit() is None
    assert events[-1].name == "lost"
    assert "revoked" in events[-1].detail
    assert look(manager, header) == {"cart": 1}
    assert ids(manager) == []


def test_login_that_has_not_looked_at_its_session_yet_comes_to_nothing(
    manager: SessionManager,
) -> None:
    request = Request(manager, "")
    manager.revoke_user("Ada")
    request.session["user"] = "Ada"
    assert request.commit() is None
    assert manager.count() == 0


def test_revocation_of_one_device_refuses_no_login(manager: SessionManager) -> None:
    one = login(manager)
    request = Request(manager, "")
    request.session["user"] = "Ada"
    manager.revoke_user("Ada", device=manager.open(one).device)
    assert look(manager, cookie_header(request.commit())) == {"user": "Ada"}


def test_second_revocation_ends_what_the_first_one_kept(
    manager: SessionManager,
) -> None:
    header = login(manager)
    manager.revoke_user("Ada", keep=manager.open(header))
    assert manager.revoke_user("Ada") == 1
    assert look(manager, header) == {}


def test_revocation_ends_no_session_that_another_user_has_by_now(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = login(manager)
    (key,) = db.keys("wsgi-session:user:*")
    entries = db.hgetall(key)
    other = login(manager, header, user="Grace")
    db.hset(key, mapping=entries)  # as if the request had not come so far
    assert manager.revoke_user("Ada") == 0
    assert look(manager, other) == {"user": "Grace"}


def test_login_looks_at_some_of_very_many_and_what_is_stale_goes_little_by_little(
    manager: SessionManager, db: redis.Redis
) -> None:
    login(manager)
    (key,) = db.keys("wsgi-session:user:*")
    (entry,) = db.hgetall(key).values()
    forgotten = bytes(24) + entry[24:]  # written in 1970, for no time at all
    db.hset(key, mapping={f"{number:024}": forgotten for number in range(1000)})
    counts = [db.hlen(key)]
    for _ in range(3):
        found = commands(db, lambda: login(manager))
        assert "hgetall" not in found
        counts.append(db.hlen(key))
    assert [a - b for a, b in itertools.pairwise(counts)] == pytest.approx(
        [31, 31, 31], abs=2
    )


def test_all_of_many_sessions_are_listed(manager: SessionManager) -> None:
    headers = [login(manager) for _ in range(201)]
    ended = manager.open(headers[150])
    ended.destroy()
    manager.commit(ended)
    alive = {id_of(manager, header) for header in headers} - {ended.id}
    assert len(ids(manager)) == 200
    assert set(ids(manager)) <= alive


def test_what_a_crash_leaves_does_no_harm(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = login(manager)
    db.delete(f"wsgi-session:{id_of(manager, header)}")
    assert ids(manager) == []
    assert manager.revoke_user("Ada") == 0


@pytest.mark.parametrize("others", [0, 1, 2])
def test_failure_in_the_middle_says_how_far_it_came(
    make_manager: MakeManager, db: redis.Redis, others: int
) -> None:
    manager = make_manager(user_key="user", retries=0)
    headers = [login(manager) for _ in range(3)]
    # What stands in its way makes Redis refuse from the session on that has its turn.
    broken = Breaking(db, after=2 + others)
    weak = make_manager(broken, user_key="user")
    with pytest.raises(PartlyRevoked) as caught:
        weak.revoke_user("Ada")
    assert len(caught.value.ended) == others
    assert len(caught.value.left) == 3 - others
    assert f"{others} of the user's sessions have ended" in str(caught.value)
    assert isinstance(caught.value, SessionUnavailable)
    assert manager.revoke_user("Ada") == 3 - others
    assert [look(manager, header) for header in headers] == [{}, {}, {}]
    assert ids(manager) == []


class Breaking:
    """A client whose server goes away after so many commands."""

    def __init__(self, client: redis.Redis, after: int) -> None:
        self._client = client
        self._left = after

    def execute_command(self, *command: t.Any, **options: t.Any) -> t.Any:
        if self._left <= 0:
            raise redis.ConnectionError("the server has gone away")
        try:
            reply = self._client.execute_command(*command, **options)
        except redis.exceptions.NoScriptError:
            raise  # is asked again, with the script
        self._left -= 1
        return reply


# How many.


def test_login_ends_the_oldest_of_too_many(make_manager: MakeManager) -> None:
    manager = make_manager(user_key="user", max_sessions_per_user=2)
    headers = [login(manager) for _ in range(4)]
    found = [look(manager, header) for header in headers]
    assert found == [{}, {}, {"user": "Ada"}, {"user": "Ada"}]


def test_device_counts_once_however_often_it_is_renewed(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(user_key="user", max_sessions_per_user=2)
    one, two = login(manager), login(manager)
    for _ in range(3):
        request = Request(manager, two)
        request.session.regenerate()
        two = cookie_header(request.commit())
    assert look(manager, one) == {"user": "Ada"}


def test_session_that_ended_does_not_count(make_manager: MakeManager) -> None:
    manager = make_manager(user_key="user", max_sessions_per_user=2)
    one, two = login(manager), login(manager)
    request = Request(manager, two)
    request.session.destroy()
    request.commit()
    login(manager)
    assert look(manager, one) == {"user": "Ada"}


def test_session_that_ended_while_it_became_permanent_does_not_count(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(user_key="user", max_sessions_per_user=2)
    one, two = login(manager), login(manager)
    late, request = Request(manager, two), Request(manager, two)
    late.session.permanent = True
    request.session.destroy()
    request.commit()
    late.commit()
    login(manager)
    assert look(manager, one) == {"user": "Ada"}


def test_sessions_are_counted_and_listed(manager: SessionManager, clock: Clock) -> None:
    one, two = store(manager, cart=1), login(manager)
    ended = Request(manager, store(manager, x=1))
    ended.session.destroy()
    ended.commit()
    assert manager.count() == 2
    found = {info.id: info for info in manager.iterate()}
    assert found.keys() == {id_of(manager, one), id_of(manager, two)}
    session = manager.open(one)
    assert found[session.id] == SessionInfo(
        id=session.id, device=session.device, created=clock.time, permanent=False
    )


# What is asked wrongly.


def test_users_need_user_key(make_manager: MakeManager) -> None:
    manager = make_manager()
    for ask in (manager.of_user, manager.revoke_user):
        with pytest.raises(ConfigurationError, match="user_key") as caught:
            ask("Ada")
        assert caught.value.option == "user_key"


@pytest.mark.parametrize("user", [None, True, 1.5, b"Ada", ["Ada"]])
def test_what_is_no_user_is_refused(manager: SessionManager, user: t.Any) -> None:
    for ask in (manager.of_user, manager.revoke_user):
        with pytest.raises(ValueError, match="a user is a str"):
            ask(user)


@pytest.mark.parametrize("device", ["", "x", "0" * 15, "F" * 16, "0" * 17])
def test_what_is_no_device_is_refused(manager: SessionManager, device: str) -> None:
    with pytest.raises(ValueError, match="a device is named"):
        manager.revoke_user("Ada", device=device)


# Long-lived connections.


def test_session_is_alive_until_it_ends_or_changes(manager: SessionManager) -> None:
    header = login(manager)
    session = manager.load(header)
    assert manager.is_alive(session)
    request = Request(manager, header)
    request.session.regenerate()
    renewed = manager.load(cookie_header(request.commit()))
    assert not manager.is_alive(session)
    assert manager.is_alive(renewed)
    manager.revoke_user("Ada")
    assert not manager.is_alive(renewed)


def test_session_that_was_never_stored_is_not_alive(manager: SessionManager) -> None:
    assert not manager.is_alive(manager.open(""))

"""What is sent to Redis, what is stored there, and what happens when that fails."""

from __future__ import annotations

import collections.abc as cabc
import os
import signal
import time
import typing as t

import pytest
import redis
from conftest import browser
from conftest import Clock
from gateway import ask
from proxy import Proxy
from visitors import commands
from visitors import cookie_header
from visitors import look
from visitors import Request
from visitors import store
from werkzeug.exceptions import ServiceUnavailable

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.store import scripts
from wsgi_redis_session.store.scripts import Script

MakeManager = cabc.Callable[..., SessionManager]


@pytest.fixture
def proxy(server: LocalServer) -> cabc.Iterator[Proxy]:
    with Proxy(server.socket) as proxy:
        yield proxy


# What is stored.


@pytest.mark.plain
def test_value_is_laid_out_as_documented(
    make_manager: MakeManager, clock: Clock, db: redis.Redis
) -> None:
    header = store(make_manager(clock=clock), name="Ada")
    (key,) = db.keys()
    value = db.get(key)
    assert key.startswith(b"wsgi-session:")
    assert len(key) == len(b"wsgi-session:") + 24
    assert value[:2] == b"\x01\x00"
    assert value[10:34] == bytes(24)
    assert int.from_bytes(value[42:50]) == clock.time * 1000
    assert value[58:] == b"\x81\xa4name\xc4\x04\xa3Ada"
    assert header.encode() not in value


def test_each_writer_draws_its_own_revision(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = store(manager, n=0)
    revisions = set()
    for n in range(5):
        revisions.add(db.get(db.keys()[0])[2:10])
        request = Request(manager, header)
        request.session["n"] = n + 1
        request.commit()
    assert len(revisions) == 5


def test_revisions_of_the_last_four_writers_are_kept(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = store(manager, n=0)
    drawn: list[bytes] = []
    for n in range(6):
        drawn.insert(0, db.get(db.keys()[0])[2:10])
        assert db.get(db.keys()[0])[2:34] == b"".join(drawn[:4]).ljust(32, b"\0")
        request = Request(manager, header)
        request.session["n"] = n + 1
        request.commit()


def test_device_stays_when_the_session_id_changes(
    manager: SessionManager, db: redis.Redis
) -> None:
    request = Request(manager, store(manager, n=0))
    device = db.get(db.keys()[0])[50:58]
    request.session.regenerate()
    look(manager, cookie_header(request.commit()))
    values = [value for value in map(db.get, db.keys()) if value[:1] == b"\1"]
    assert [value[50:58] for value in values] == [device]


def test_value_moved_to_another_key_is_never_somebody_elses_session(
    manager: SessionManager, db: redis.Redis, events: list[SessionEvent]
) -> None:
    ada = store(manager, user="Ada")
    (ada_key,) = db.keys()
    grace = store(manager, user="Grace")
    (grace_key,) = set(db.keys()) - {ada_key}
    saving = Request(manager, ada)
    saving.session["x"] = 1
    db.set(ada_key, db.get(grace_key), keepttl=True)
    assert look(manager, ada) == {}
    assert events[-1].name == "undecodable"
    assert saving.commit() is None
    assert events[-1].name == "lost"
    assert look(manager, grace) == {"user": "Grace"}
    # Nor is anybody locked out.
    again = Request(manager, ada)
    again.session["user"] = "Ada"
    assert look(manager, cookie_header(again.commit())) == {"user": "Ada"}
    log_out(manager, ada)


def test_reply_to_somebody_elses_question_is_asked_for_again(
    make_manager: MakeManager, proxy: Proxy, events: list[SessionEvent]
) -> None:
    manager = make_manager(proxy.url, max_connections=2)
    ada, grace = store(manager, user="Ada"), store(manager, user="Grace")
    replies: list[bytes] = []

    def one_behind(command: list[bytes], reply: bytes) -> bytes:
        if command[0] != b"GET":
            return reply
        replies.append(reply)
        return replies[0] if len(replies) == 2 else reply

    proxy.on_reply = one_behind
    assert look(manager, ada) == {"user": "Ada"}
    assert look(manager, grace) == {"user": "Grace"}
    assert events[-1].name == "desynchronised"
    assert len(replies) == 3


# What is sent.


SCRIPTS = [script for script in vars(scripts).values() if isinstance(script, Script)]

#: What the save script does inside of the server.
SAVE_SCRIPT = {"getrange": 1, "set": 1}


def page(environ: dict[str, t.Any], start_response: t.Any) -> list[bytes]:
    action = environ["PATH_INFO"]
    if action != "/untouched":
        session = get_session(environ)
        if action == "/read":
            session.get("n")
        if action == "/write":
            session["n"] = session.get("n", 0) + 1
        if action == "/login":
            session["user"] = "Ada"
        if action == "/logout":
            session.destroy()
    start_response("200 OK", [])
    return [b""]


@pytest.fixture
def visitor(make_manager: MakeManager, db: redis.Redis) -> t.Any:
    """A browser whose session exists, on a server that knows all scripts."""
    for script in SCRIPTS:
        db.script_load(script.source)
    client = browser(page, make_manager(user_key="user"))
    client.get("/write")
    return client


def test_anonymous_visitor_costs_no_command_and_gets_no_cookie(
    visitor: t.Any, manager: SessionManager, db: redis.Redis
) -> None:
    stranger = browser(page, manager)
    stored = db.keys()
    assert commands(db, lambda: stranger.get("/untouched")) == {}
    assert commands(db, lambda: stranger.get("/read")) == {}
    assert "Set-Cookie" not in stranger.get("/read").headers
    assert db.keys() == stored or set(db.keys()) == set(stored)


def test_untouched_session_costs_no_command(visitor: t.Any, db: redis.Redis) -> None:
    assert commands(db, lambda: visitor.get("/untouched")) == {}


def test_read_costs_one_command(visitor: t.Any, db: redis.Redis) -> None:
    assert commands(db, lambda: visitor.get("/read")) == {"get": 1}


def test_write_costs_one_more(visitor: t.Any, db: redis.Redis) -> None:
    expected = {"get": 1, "evalsha": 1, **SAVE_SCRIPT}
    assert commands(db, lambda: visitor.get("/write")) == expected


def test_login_costs_four_commands(visitor: t.Any, db: redis.Redis) -> None:
    # GET, SET NX, and the script that ends the old session with a GET and a SET.
    expected = {"get": 2, "set": 2, "evalsha": 2}
    # And before that the script that enters the new one into the index of its user.
    script = ("time", "hget", "hlen", "hgetall", "hset", "pttl", "pexpire")
    expected |= dict.fromkeys(script, 1)
    assert commands(db, lambda: visitor.get("/login")) == expected


def test_logout_costs_two_commands(visitor: t.Any, db: redis.Redis) -> None:
    expected = {"get": 1, "evalsha": 1, "getrange": 1, "del": 1, "set": 1}
    assert commands(db, lambda: visitor.get("/logout")) == expected


def test_due_touch_costs_no_command_more(
    make_manager: MakeManager, clock: Clock, db: redis.Redis
) -> None:
    client = browser(page, make_manager(clock=clock))
    client.get("/write")
    clock.move(301)
    client.get("/read")
    clock.move(301)
    expected = {"evalsha": 1, "get": 1, "pexpire": 1}
    assert commands(db, lambda: client.get("/read")) == expected
    assert commands(db, lambda: client.get("/read")) == {"get": 1}


def test_save_is_one_command_whatever_the_contention(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = store(manager, n=0)
    requests = [Request(manager, header) for _ in range(5)]
    for number, request in enumerate(requests):
        request.session[f"name-{number}"] = 1
    requests.pop().commit()
    for request in requests:
        assert commands(db, request.commit)["evalsha"] == 1


def test_malformed_cookies_cost_no_command(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = store(manager, n=0)
    forged = header[:-2] + ("AA" if header[-2:] != "AA" else "BB")
    for cookie in (forged, "session=" + "x" * 10_000, "session=\x00", "session=é"):
        assert commands(db, lambda cookie=cookie: look(manager, cookie)) == {}


# Lost replies: the server has done it, the client does not know.


def test_create_survives_a_lost_reply(
    make_manager: MakeManager, proxy: Proxy, db: redis.Redis
) -> None:
    manager = make_manager(proxy.url)
    proxy.lose_replies("SET")
    header = store(manager, n=1)
    assert look(manager, header) == {"n": 1}
    assert len(db.keys()) == 1


@pytest.mark.parametrize("first_use", [True, False])
def test_save_survives_a_lost_reply(
    make_manager: MakeManager, proxy: Proxy, first_use: bool
) -> None:
    manager = make_manager(proxy.url)
    header = store(manager, a=1)
    if not first_use:
        warm = Request(manager, header)
        warm.session["b"] = 1
        warm.commit()
    proxy.lose_replies("EVAL" if first_use else "EVALSHA")
    request = Request(manager, header)
    request.session["a"] = 2
    assert request.commit() is None
    assert look(manager, header)["a"] == 2


def test_merged_save_survives_a_lost_reply_and_a_second_save(
    make_manager: MakeManager, proxy: Proxy
) -> None:
    manager = make_manager(proxy.url)
    header = store(manager, a=1)
    other, request = Request(manager, header), Request(manager, header)
    other.session["other"] = True
    other.commit()
    request.session["a"] = 2
    proxy.lose_replies("EVALSHA")
    request.commit()
    request.session["a"] = 3
    request.commit()
    assert look(manager, header) == {"a": 3, "other": True}


def test_lost_reply_to_a_save_does_not_undo_a_logout(
    make_manager: MakeManager, server: LocalServer, proxy: Proxy, db: redis.Redis
) -> None:
    manager, elsewhere = make_manager(proxy.url), make_manager(server.url)
    header = store(manager, user="Ada")
    Request(manager, header).commit()
    request, logout = Request(manager, header), Request(elsewhere, header)
    request.session["x"] = 1

    def log_out_meanwhile(command: list[bytes], reply: bytes) -> bytes | None:
        if command[0] == b"EVAL":
            logout.session.destroy()
            logout.commit()
            proxy.on_reply = lambda command, reply: reply
            return None
        return reply

    proxy.on_reply = log_out_meanwhile
    assert request.commit() is None
    assert list(map(db.get, db.keys())) == [b"\0e"]


def test_regeneration_survives_a_lost_reply(
    make_manager: MakeManager, proxy: Proxy
) -> None:
    manager = make_manager(proxy.url)
    header = store(manager, a=1)
    other, request = Request(manager, header), Request(manager, header)
    other.session["other"] = True
    other.commit()
    request.session["a"] = 2
    request.session.regenerate()
    proxy.lose_replies("EVAL")
    renewed = cookie_header(request.commit())
    assert look(manager, renewed) == {"a": 2, "other": True}
    assert look(manager, header) == {}


def test_logout_survives_a_lost_reply(make_manager: MakeManager, proxy: Proxy) -> None:
    manager = make_manager(proxy.url)
    header = store(manager, a=1)
    renewal, logout = Request(manager, header), Request(manager, header)
    renewal.session.regenerate()
    renewed = cookie_header(renewal.commit())
    logout.session.destroy()
    proxy.lose_replies("EVAL")
    logout.commit()
    assert look(manager, header) == look(manager, renewed) == {}


# Outages.


def test_outage_is_a_503_and_leaves_the_login(
    make_manager: MakeManager, own_server: LocalServer, events: list[SessionEvent]
) -> None:
    manager = make_manager(own_server.url)
    client = browser(page, manager)
    client.get("/write")
    os.kill(own_server.pid, signal.SIGSTOP)
    try:
        assert client.get("/untouched").status_code == 200
        assert client.get("/read").status_code == 503
        with pytest.raises(ServiceUnavailable) as outage:
            look(manager, f"session={client.get_cookie('session').value}")
        assert isinstance(outage.value, SessionUnavailable)
        assert isinstance(outage.value.__cause__, redis.TimeoutError)
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    assert events[-1].name == "unavailable"
    assert client.get_cookie("session") is not None
    response = client.get("/write")
    assert "Set-Cookie" not in response.headers
    assert manager.open(f"session={client.get_cookie('session').value}")["n"] == 2


def test_hung_server_is_waited_for_no_longer_than_the_timeouts_allow(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    manager = make_manager(own_server.url, read_timeout=0.2, retries=1)
    header = store(manager, n=1)
    asked = 0
    os.kill(own_server.pid, signal.SIGSTOP)
    try:
        session = manager.open(header)
        begun = time.monotonic()
        with pytest.raises(SessionUnavailable):
            session.get("n")
        waited = time.monotonic() - begun
        for _ in range(100):
            with pytest.raises(SessionUnavailable):
                session.get("n")
            asked += 1
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    # Not a matter of speed: an unbounded wait is what this would find.
    assert waited < 5
    assert time.monotonic() - begun < 10
    assert asked == 100


def test_restarted_server_is_found_again(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    manager = make_manager(own_server.url)
    header = store(manager, n=1)
    own_server.stop()
    with pytest.raises(SessionUnavailable) as outage:
        look(manager, header)
    assert isinstance(outage.value.__cause__, redis.ConnectionError)
    with pytest.raises(SessionUnavailable):
        store(manager, n=1)
    own_server.start()
    assert look(manager, header) == {}
    assert look(manager, store(manager, n=2)) == {"n": 2}


def test_logout_that_did_not_happen_is_not_reported_as_one(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    for policy in ("raise", "anonymous"):
        manager = make_manager(
            own_server.url, on_unavailable=policy, read_timeout=0.1, retries=0
        )
        header = store(manager, user="Ada")
        loaded = Request(manager, header)
        loaded.session.destroy()
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(SessionUnavailable):
                loaded.commit()
            with pytest.raises(SessionUnavailable):
                log_out(manager, header)
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        assert look(make_manager(own_server.url), header) in ({"user": "Ada"}, {})


def log_out(manager: SessionManager, header: str) -> None:
    session = manager.open(header)
    session.destroy()
    manager.commit(session)


def test_public_site_goes_on_without_redis(
    make_manager: MakeManager, own_server: LocalServer, events: list[SessionEvent]
) -> None:
    manager = make_manager(
        own_server.url, on_unavailable="anonymous", user_key="user", retries=0
    )
    client = browser(page, manager)
    client.get("/write")
    own_server.stop()
    events.clear()
    response = client.get("/write")
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers
    assert [event.name for event in events] == ["unavailable", "lost"]
    assert browser(page, manager).get("/write").status_code == 200
    assert client.get("/login").status_code == 503
    assert browser(page, manager).get("/login").status_code == 503


def test_error_of_the_server_is_unavailability_with_its_cause(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    manager = make_manager(own_server.url)
    header = store(manager, n=1)
    with redis.Redis(unix_socket_path=own_server.socket) as client:
        client.config_set("maxmemory", "1")
    assert look(manager, header) == {"n": 1}
    with pytest.raises(SessionUnavailable) as outage:
        store(manager, n=1)
    assert isinstance(outage.value.__cause__, redis.exceptions.OutOfMemoryError)


def test_what_has_ended_can_be_ended_again_while_memory_is_full(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    manager = make_manager(own_server.url, user_key="user")
    ended, renewed = (manager.open(store(manager, user=name)) for name in "ab")
    assert ended["user"] + renewed["user"] == "ab"
    renewed.regenerate()
    with redis.Redis(unix_socket_path=own_server.socket) as client:
        old = renewed.id
        manager.commit(renewed)
        assert client.get(f"wsgi-session:{old}").startswith(b"\0c")
        client.config_set("maxmemory", "1")
    assert manager.revoke(old)
    for revoked in (True, False, False):
        assert manager.revoke(ended.id) == revoked


def test_unreachable_host_is_an_error_within_the_timeouts(
    make_manager: MakeManager,
) -> None:
    manager = make_manager("redis://127.0.0.1:1/0")
    assert look(manager, "") == {}
    with pytest.raises(SessionUnavailable):
        store(manager, n=1)


def test_forked_worker_has_connections_of_its_own(manager: SessionManager) -> None:
    header = store(manager, n=1)
    before = ask(manager, "CLIENT", "ID")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        seen = look(manager, header).get("n")
        own = ask(manager, "CLIENT", "ID")
        os.write(writer, f"{seen} {own != before}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 100) == b"1 True"
    assert ask(manager, "CLIENT", "ID") == before
    os.close(reader)
    os.close(writer)

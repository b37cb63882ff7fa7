"""``migrate``: all sessions of Flask-Session become ours, and nobody notices."""

from __future__ import annotations

import collections.abc as cabc
import json
import os
import pickle
import signal
import typing as t

import flask
import flask_session
import ormsgpack
import pytest
import redis
from conftest import SECRET_KEY
from test_cli import Run
from test_cli import run as run
from visitors import cookie_header
from visitors import look
from visitors import Request
from visitors import store

from wsgi_redis_session import SessionManager
from wsgi_redis_session.cli import migrate as migrate_module
from wsgi_redis_session.flask import Session
from wsgi_redis_session.legacy.migration import Migration
from wsgi_redis_session.legacy.migration import Tally
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]


def leave(db: redis.Redis, number: int, dumps: t.Any = ormsgpack.packb) -> str:
    """Leave a session behind as Flask-Session does; its Cookie header."""
    sid = f"session-number-{number:08}"
    db.set(f"session:{sid}", dumps({"_permanent": True, "n": number}), ex=1000)
    return f"session={sid}"


def site(app: flask.Flask) -> flask.Flask:
    @app.get("/<name>")
    def view(name: str) -> dict[str, t.Any]:
        flask.session["visits"] = flask.session.get("visits", 0) + 1
        flask.session.setdefault("name", name)
        return {"name": flask.session["name"], "visits": flask.session["visits"]}

    return app


def test_each_browser_of_flask_session_is_itself_afterwards(
    run: Run, server: LocalServer
) -> None:
    config = {
        "SECRET_KEY": SECRET_KEY,
        "SESSION_TYPE": "redis",
        "SESSION_REDIS": redis.Redis(unix_socket_path=server.socket),
        "SESSION_USE_SIGNER": False,
    }
    before, after = site(flask.Flask("before")), site(flask.Flask("after"))
    before.config.update(config)
    flask_session.Session(before)
    clients = [before.test_client() for _ in range(5)]
    cookies = []
    for number, client in enumerate(clients):
        client.get(f"/{number}")
        cookie = client.get_cookie("session")
        assert cookie is not None
        cookies.append(cookie.value)

    assert run("migrate", "--apply", "--json").json["migrated"] == 5

    after.config.update(config, SESSION_MIGRATE_FROM="flask-session")
    Session(after)
    for number, value in enumerate(cookies):
        client = after.test_client()
        client.set_cookie("session", value)
        assert client.get("/else").json == {"name": str(number), "visits": 2}
        assert client.get("/else").json == {"name": str(number), "visits": 3}
    config["SESSION_REDIS"].close()
    after.extensions["wsgi_redis_session"].disconnect()


def test_without_apply_nothing_is_changed(run: Run, db: redis.Redis) -> None:
    for number in range(3):
        leave(db, number)
    before = {key: db.get(key) for key in db.scan_iter()}
    ran = run("migrate")
    assert ran.code == 0
    assert "Would be migrated" in ran.out
    assert "Nothing was changed" in ran.out
    assert run("migrate", "--json").json["migrated"] == 3
    assert {key: db.get(key) for key in db.scan_iter()} == before


def test_session_keeps_the_time_it_had_and_never_gets_more_than_ours_have(
    run: Run, db: redis.Redis
) -> None:
    for number, seconds in enumerate((1000, 100 * 86400, None)):
        leave(db, number)
        key = f"session:session-number-{number:08}"
        if seconds is None:
            db.persist(key)
        else:
            db.expire(key, seconds)
    run("migrate", "--apply")
    keys = db.keys()
    assert len(keys) == 6
    left = sorted(db.ttl(key) for key in keys)
    assert left[:2] == pytest.approx([1000, 1000], abs=5)
    assert left[2:] == pytest.approx([31 * 86400] * 4, abs=5)


def test_sessions_that_are_not_read_are_left_and_told(
    run: Run, db: redis.Redis
) -> None:
    leave(db, 1)
    leave(db, 2, pickle.dumps)
    db.set("session:empty-session-0001", ormsgpack.packb({"_permanent": True}))
    db.set("session:damaged-session-01", b"\xff\xff")
    db.hset("session:a-hash-of-others-01", "field", "value")
    db.set("session:short", "value")
    found = run("migrate", "--apply", "--json").json
    assert (found["keys"], found["migrated"], found["empty"]) == (5, 1, 1)
    assert sorted(found["unreadable"].values()) == [1, 1, 1]
    assert any("pickle" in reason for reason in found["unreadable"])
    assert db.exists("session:session-number-00000002", "session:short") == 2
    assert run("migrate", "--apply", "--pickle", "--json").json["migrated"] == 1
    assert "Left as they are: " in run("migrate").out


def test_prefix_may_be_given_and_our_own_keys_are_never_taken(
    run: Run, make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(key_prefix="app:ours:")
    session = manager.open("")
    session["a"] = 1
    header = cookie_header(manager.commit(session).cookie)
    db.set("app:session-number-1", ormsgpack.packb({"n": 1}))
    words = ("--key-prefix", "app:ours:", "migrate", "--prefix", "app:", "--json")
    found = run(*words, "--apply").json
    assert (found["keys"], found["migrated"]) == (1, 1)
    assert look(manager, header) == {"a": 1}


def test_prefix_of_both_may_be_the_same(
    run: Run, make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(migrate_from="flask-session", key_prefix="session:")
    own = store(manager, name="Grace")
    header = leave(db, 1)
    words = ("--key-prefix", "session:", "migrate", "--json")
    assert run(*words).json["migrated"] == 1
    assert run(*words, "--apply").json["migrated"] == 1
    assert run(*words).json["keys"] == 0
    assert look(manager, own) == {"name": "Grace"}
    assert look(manager, header)["n"] == 1


def test_session_that_its_visitor_migrates_meanwhile_is_migrated_once(
    run: Run, make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(migrate_from="flask-session")
    header = leave(db, 1)
    stored = db.get("session:session-number-00000001")
    renewed = cookie_header(Request(manager, header).commit())
    # As if the visitor had come after its value was read here.
    db.set("session:session-number-00000001", stored, ex=1000)
    keys = len(db.keys())
    found = run("migrate", "--apply", "--json").json
    assert (found["migrated"], found["settled"]) == (0, 1)
    assert len(db.keys()) == keys - 1
    assert look(manager, header) == look(manager, renewed) == {"n": 1}


def test_session_that_was_ended_meanwhile_stays_ended(
    run: Run, make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(migrate_from="flask-session")
    header = leave(db, 1)
    stored = db.get("session:session-number-00000001")
    logout = Request(manager, header)
    logout.session.destroy()
    logout.commit()
    db.set("session:session-number-00000001", stored, ex=1000)
    run("migrate", "--apply")
    assert look(manager, header) == {}


def test_broken_off_anywhere_it_goes_on_where_it_was(
    run: Run, make_manager: MakeManager, db: redis.Redis
) -> None:
    headers = [leave(db, number) for number in range(350)]
    manager = make_manager(migrate_from="flask-session")
    steps = migrate_module.migration(
        migrate_module.Site(lambda: manager), None, pickle=False
    ).run(dry=False)
    tally = Tally()
    while tally.migrated < 200:
        tally.add(next(steps))
    steps.close()
    assert len(db.keys("session:*")) == 350 - tally.migrated
    found = run("migrate", "--apply", "--json").json
    assert found["migrated"] == 350 - tally.migrated
    for number, header in enumerate(headers):
        assert look(manager, header) == {"n": number}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_breaks_it_off_between_two_steps(
    run: Run,
    db: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    for each in range(350):
        leave(db, each)
    whole = Migration.run

    def stopped(self: Migration, *, dry: bool) -> cabc.Iterator[Tally]:
        for step in whole(self, dry=dry):
            if step.keys:
                os.kill(os.getpid(), number)
            yield step

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(Migration, "run", stopped)
        ran = run("migrate", "--apply")
    assert ran.code == 130
    assert "Broken off" in ran.out
    assert signal.getsignal(number) is before
    left = len(db.keys("session:*"))
    assert 0 < left < 350
    assert run("migrate", "--apply", "--json").json["migrated"] == left


def test_outage_in_the_middle_is_told_and_nothing_is_lost(
    run: Run, make_manager: MakeManager, db: redis.Redis, server: LocalServer
) -> None:
    headers = [leave(db, number) for number in range(150)]
    manager = make_manager(migrate_from="flask-session")
    with redis.Redis(unix_socket_path=server.socket) as other:
        other.config_set("maxmemory", "1")
        try:
            ran = run("migrate", "--apply")
        finally:
            other.config_set("maxmemory", "0")
    assert ran.code == 1
    assert "maxmemory" in ran.err
    for number, header in enumerate(headers):
        assert look(manager, header) == {"n": number}
    assert json.loads(run("migrate", "--apply", "--json").out)["unreadable"] == {}


# With the options that say more.


def leave_of(db: redis.Redis, number: int, user: str) -> str:
    """The same of a user."""
    return leave(db, number, lambda data: ormsgpack.packb({**data, "user": user}))


def test_what_is_migrated_is_sealed(
    run: Run,
    db: redis.Redis,
    make_manager: MakeManager,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    header = leave_of(db, 1, "a name to be found")
    monkeypatch.setenv("SESSION_ENCRYPT", "true")
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
    assert run("migrate", "--apply", "--json").json["migrated"] == 1
    stored = b"".join(db.get(key) or b"" for key in db.scan_iter())
    assert b"a name to be found" not in stored
    manager = make_manager(migrate_from="flask-session", encrypt=True)
    assert look(manager, header) == {"n": 1, "user": "a name to be found"}


@pytest.mark.plain
def test_nothing_is_sealed_with_a_secret_that_the_application_has_not(
    run: Run, db: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(db, 1)
    monkeypatch.setenv("SESSION_ENCRYPT", "true")
    monkeypatch.delenv("SECRET_KEY", raising=False)
    ran = run("migrate", "--apply")
    assert ran.code == 2
    assert "SECRET_KEY" in ran.err
    assert len(db.keys()) == 1


def test_users_are_found_before_they_come_back(
    run: Run,
    db: redis.Redis,
    make_manager: MakeManager,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    header, other = leave_of(db, 1, "Ada"), leave_of(db, 2, "Grace")
    monkeypatch.setenv("SESSION_USER_KEY", "user")
    assert run("migrate", "--apply", "--json").json["migrated"] == 2
    manager = make_manager(migrate_from="flask-session", user_key="user")
    [found] = manager.of_user("Ada")
    assert manager.open(header).id == found.id
    assert manager.revoke_user("Ada") == 1
    assert look(manager, header) == {}
    assert look(manager, other) == {"n": 2, "user": "Grace"}


def test_session_whose_user_was_revoked_does_not_become_ours(
    run: Run,
    db: redis.Redis,
    make_manager: MakeManager,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    header, other = leave_of(db, 1, "Ada"), leave_of(db, 2, "Grace")
    manager = make_manager(migrate_from="flask-session", user_key="user")
    manager.revoke_user("Ada")
    monkeypatch.setenv("SESSION_USER_KEY", "user")
    tally = run("migrate", "--apply", "--json").json
    assert (tally["migrated"], tally["settled"]) == (1, 1)
    assert look(manager, header) == {}
    assert look(manager, other) == {"n": 2, "user": "Grace"}
    assert manager.of_user("Ada") == []

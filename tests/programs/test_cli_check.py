"""``check``: what it finds, and what it says about it."""

from __future__ import annotations

import ormsgpack
import pytest
import redis
from readme import block
from test_cli import Run
from test_cli import run as run

from wsgi_redis_session import SessionConfig
from wsgi_redis_session.cli import findings
from wsgi_redis_session.cli.findings import Finding
from wsgi_redis_session.cli.findings import Level
from wsgi_redis_session.local_server import LocalServer


def levels(found: object) -> list[tuple[str, str]]:
    assert isinstance(found, list)
    return [(one["subject"], one["level"]) for one in found]


def test_server_for_tests_has_no_problem(run: Run) -> None:
    ran = run("check", "--json")
    assert ran.code == 0
    found = dict(levels(ran.json))
    assert found["Redis"] == found["rights"] == found["clock"] == "ok"
    assert found["encryption"] == found["secret key"] == "ok"
    # It keeps nothing.
    assert found["persistence"] == "warning"
    assert run("check", "--strict").code == 1
    assert "warning  persistence: none" in run("check").out


def test_check_leaves_nothing_behind(run: Run, db: redis.Redis) -> None:
    run("check")
    assert db.dbsize() == 0


def test_redis_that_is_away_is_a_problem(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_REDIS", "redis://me:hunter2@127.0.0.1:1/0")
    ran = run("check")
    assert ran.code == 1
    assert "problem  Redis: " in ran.out
    assert "hunter2" not in ran.out


def test_user_who_may_not_save_is_a_problem(
    run: Run, own_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis.Redis(unix_socket_path=own_server.socket) as client:
        client.execute_command(
            *("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@read", "+@connection")
        )
    monkeypatch.setenv("SESSION_REDIS", f"unix://reader:pw@{own_server.socket}")
    ran = run("check")
    assert ran.code == 1
    assert "problem  rights: " in ran.out
    assert "ACL SETUSER" in ran.out
    assert "it does not say how it is" in ran.out


def test_rights_of_the_documentation_are_enough(
    run: Run, own_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis.Redis(unix_socket_path=own_server.socket) as client:
        words = [*block("acl").split(), *block("operator rights").split()]
        _, _, name, *rights = words
        client.execute_command("ACL", "SETUSER", name, *rights, "~session:*")
    monkeypatch.setenv("SESSION_REDIS", f"unix://{name}:secret@{own_server.socket}")
    assert dict(levels(run("check", "--json").json))["rights"] == "ok"
    for words in (["list"], ["stats"], ["migrate", "--apply"]):
        assert run(*words).code == 0, words
    assert run("show", "A" * 24).code == 2


def test_sessions_that_nothing_adopts_are_found(
    run: Run, db: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "other sessions" not in run("check").out
    db.set("session:" + "s" * 43, ormsgpack.packb({"_permanent": True, "a": 1}))
    assert "warning  other sessions: " in run("check").out
    monkeypatch.setenv("SESSION_MIGRATE_FROM", "flask-session")
    assert "other sessions" not in run("check").out


@pytest.mark.plain
def test_secret_that_is_not_known_is_not_judged(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "short")
    assert "problem  secret key: " in run("check").out
    monkeypatch.delenv("SECRET_KEY")
    assert "note     secret key: SECRET_KEY is not set" in run("check").out


def only(found: object) -> Finding:
    [finding] = found if isinstance(found, list) else [*found]  # type: ignore[misc,has-type]
    assert isinstance(finding, Finding)
    return finding


@pytest.mark.parametrize(
    ("info", "level"),
    [
        ({"maxmemory": "0"}, Level.NOTE),
        ({"maxmemory": "100", "maxmemory_policy": "noeviction"}, Level.OK),
        ({"maxmemory": "100", "maxmemory_policy": "allkeys-lru"}, Level.WARNING),
        ({"maxmemory": "100", "maxmemory_policy": "volatile-ttl"}, Level.WARNING),
    ],
)
def test_eviction(info: dict[str, str], level: Level) -> None:
    memory, eviction = findings.of_memory({"used_memory": "50", **info})
    assert memory.level is Level.OK
    assert eviction.level is level


def test_memory_that_is_nearly_full() -> None:
    memory, _ = findings.of_memory({"used_memory": "81", "maxmemory": "100"})
    assert memory.level is Level.WARNING


@pytest.mark.parametrize(
    ("info", "save", "level"),
    [
        ({"aof_enabled": "1"}, None, Level.OK),
        ({"aof_enabled": "0"}, "3600 1", Level.NOTE),
        ({"aof_enabled": "0"}, "", Level.WARNING),
        ({"aof_enabled": "0"}, None, Level.NOTE),
    ],
)
def test_persistence(info: dict[str, str], save: str | None, level: Level) -> None:
    assert only([*findings.of_persistence(info, save)]).level is level


@pytest.mark.parametrize(
    "info",
    [
        {"loading": "1"},
        {"rdb_last_bgsave_status": "err"},
        {"aof_last_write_status": "err"},
    ],
)
def test_persistence_that_fails(info: dict[str, str]) -> None:
    first, *_ = findings.of_persistence(info, "")
    assert first.level is Level.PROBLEM


@pytest.mark.parametrize(
    ("role", "count", "wanted", "level"),
    [
        ("master", "0", 0, Level.NOTE),
        ("master", "2", 0, Level.NOTE),
        ("master", "2", 1, Level.OK),
        ("master", "0", 1, Level.PROBLEM),
        ("slave", "0", 0, Level.PROBLEM),
    ],
)
def test_replicas(role: str, count: str, wanted: int, level: Level) -> None:
    info = {"role": role, "connected_slaves": count}
    assert only([*findings.of_replication(info, wanted)]).level is level


@pytest.mark.parametrize(
    ("skew", "level"),
    [(0.0, Level.OK), (-59.0, Level.OK), (61.0, Level.WARNING), (-90.0, Level.WARNING)],
)
def test_clock(skew: float, level: Level) -> None:
    assert findings.of_clock(skew).level is level


@pytest.mark.parametrize(
    ("protection", "level"),
    [("TLS", Level.OK), ("", Level.WARNING), (None, Level.NOTE)],
)
def test_protection(protection: str | None, level: Level) -> None:
    assert findings.of_protection(protection).level is level


@pytest.mark.parametrize(
    ("options", "level"),
    [
        ({"cookie_name": "__Host-session", "cookie_secure": True}, Level.OK),
        ({"cookie_secure": True}, Level.NOTE),
        ({}, Level.NOTE),
        ({"cookie_secure": False}, Level.WARNING),
        ({"cookie_httponly": False}, Level.WARNING),
        ({"cookie_samesite": None}, Level.WARNING),
        ({"cookie_samesite": "none"}, Level.WARNING),
        ({"cookie_domain": "example.com"}, Level.WARNING),
        ({"permanent_lifetime": 401 * 86400}, Level.WARNING),
    ],
)
def test_cookie(options: dict[str, object], level: Level) -> None:
    found = [*findings.of_cookie(SessionConfig.from_options(options))]
    assert level in [finding.level for finding in found]
    assert all(finding.remedy for finding in found if finding.level is not Level.OK)


def test_earlier_secret_keys_are_noted() -> None:
    first, second = findings.of_secrets([b"x" * 32, b"y" * 32])
    assert (first.level, second.level) == (Level.OK, Level.NOTE)

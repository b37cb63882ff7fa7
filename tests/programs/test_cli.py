"""The command line, as people and scripts use it."""

from __future__ import annotations

import collections.abc as cabc
import json
import subprocess
import sys
import typing as t

import flask
import pytest
import redis
from click.testing import CliRunner
from click.testing import Result
from conftest import Clock
from conftest import SECRET_KEY
from flask.cli import FlaskGroup
from storeys import imported_with
from visitors import session_of
from visitors import store

from wsgi_redis_session import SessionManager
from wsgi_redis_session.cli.main import main
from wsgi_redis_session.flask import RedisSessionInterface
from wsgi_redis_session.flask import Session
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]
UNKNOWN = "A" * 24


class Ran(t.NamedTuple):
    """What a command has left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> t.Any:
        return json.loads(self.out)


Run = cabc.Callable[..., Ran]


@pytest.fixture
def run(
    server: LocalServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Run a command on the run's own server."""
    monkeypatch.setenv("SESSION_REDIS", server.url)
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
    # A machine that is busy with other tests answers late.
    for option in ("OPERATION_TIMEOUT", "CONNECT_TIMEOUT", "READ_TIMEOUT"):
        monkeypatch.setenv(f"SESSION_{option}", "20")

    def run(*words: str) -> Ran:
        capsys.readouterr()
        code = main(words, program="wsgi-redis-session")
        return Ran(code, *capsys.readouterr())

    return run


def id_of(manager: SessionManager, header: str) -> str:
    return manager.load(header).id


def test_list_has_the_newest_sessions_first(
    run: Run, make_manager: MakeManager, clock: Clock
) -> None:
    manager = make_manager(clock=clock)
    ids = []
    for _ in range(5):
        clock.move(1)
        ids.append(id_of(manager, store(manager, a=1)))
    found = run("list", "--json", "--limit", "3").json
    assert [row["id"] for row in found] == ids[:1:-1]
    assert set(found[0]) == {
        *("id", "created", "last_used", "ends", "bytes", "permanent", "device")
    }
    text = run("list").out
    assert [text.index(name) for name in ids] == sorted(
        (text.index(name) for name in ids), reverse=True
    )
    assert "5 of 5 sessions" in text


def test_list_of_no_sessions_says_so(run: Run) -> None:
    assert run("list") == (0, "\nNo sessions.\n", "")
    assert run("list", "--json").json == []


def test_list_leaves_out_what_ended_and_what_is_none_of_ours(
    run: Run, manager: SessionManager, db: redis.Redis
) -> None:
    header = store(manager, a=1)
    manager.revoke(id_of(manager, store(manager, a=1)))
    prefix = manager.store.key_prefix
    db.set(f"{prefix}{UNKNOWN}", "value")
    db.hset(f"{prefix}{UNKNOWN[1:]}B", "field", "value")
    db.set("something", "else")
    assert [row["id"] for row in run("list", "--json").json] == [id_of(manager, header)]
    found = run("stats", "--json").json
    assert (found["sessions"], found["tombstones"], found["others"]) == (1, 1, 2)


@pytest.mark.plain
def test_show_has_names_and_sizes_and_values_only_where_asked(
    run: Run, manager: SessionManager
) -> None:
    session_id = id_of(manager, store(manager, secret="private value", n={1, 2}))
    ran = run("show", session_id)
    assert ran.code == 0
    assert "secret" in ran.out
    assert "private" not in ran.out
    found = run("show", session_id, "--json").json
    assert found["state"] == "live"
    assert found["names"].keys() == {"secret", "n"}
    assert "private" not in str(found)
    assert "'private value'" in run("show", session_id, "--values").out
    found = run("show", session_id, "--values", "--json").json
    assert found["names"] == {"secret": "'private value'", "n": "{1, 2}"}


def test_show_of_a_session_that_was_renewed_names_its_successor(
    run: Run, manager: SessionManager
) -> None:
    header = store(manager, a=1)
    session = manager.load(header)
    before = session.id
    session.regenerate()
    manager.commit(session)
    found = run("show", before, "--json").json
    assert (found["state"], found["successor"]) == ("renewed", session.id)


@pytest.mark.parametrize("begin", ["-h", "-b", "--json", "--", "---"])
@pytest.mark.parametrize(
    "order", [("{}", "--json"), ("--json", "{}"), ("--json", "--", "{}")]
)
def test_a_session_id_may_begin_as_an_option_does(
    run: Run,
    manager: SessionManager,
    db: redis.Redis,
    begin: str,
    order: tuple[str, ...],
) -> None:
    session_id = begin + UNKNOWN[len(begin) :]
    words = [word.format(session_id) for word in order]
    assert f"There is no session {session_id}" in run("show", *words).err
    db.set(f"{manager.store.key_prefix}{session_id}", "value")
    assert run("show", *words).json["state"] == "undecodable"
    assert run("revoke", *words).json["id"] == session_id
    ran = run("revoke", "--user", "Ada", "--device", session_id)
    assert "No such option" not in ran.err


def test_show_of_what_cannot_be_read_says_so(
    run: Run, manager: SessionManager, db: redis.Redis
) -> None:
    db.set(f"{manager.store.key_prefix}{UNKNOWN}", "value")
    assert run("show", UNKNOWN, "--json").json["state"] == "undecodable"


@pytest.mark.plain
def test_names_and_values_do_nothing_to_a_terminal(
    run: Run, manager: SessionManager
) -> None:
    name = "\x1b[31m[red]name\u202e"
    session_id = id_of(manager, store(manager, **{name: "[bold]\x07"}))
    out = run("show", session_id, "--values").out
    assert r"\x1b[31m[red]name\u202e" in out
    assert "[bold]" in out
    assert out.replace("\n", "").isprintable()


@pytest.mark.parametrize("command", ["show", "revoke"])
@pytest.mark.parametrize("wrong", ["", "x", UNKNOWN + "A", "Ä" * 24, "../../../etc"])
def test_what_is_no_id_is_told(run: Run, command: str, wrong: str) -> None:
    ran = run(command, "--", wrong)
    assert ran.code == 2
    assert "no id of a session" in ran.err
    assert ran.out == ""


def test_session_id_of_a_cookie_is_no_id(run: Run, manager: SessionManager) -> None:
    session = manager.load(store(manager, a=1))
    assert run("revoke", session.sid).code == 2


def test_show_of_a_session_that_is_not_there_is_told(run: Run) -> None:
    ran = run("show", UNKNOWN)
    assert ran.code == 2
    assert f"no session {UNKNOWN}" in ran.err


def test_revoke_ends_a_session_and_again_is_no_error(
    run: Run, manager: SessionManager
) -> None:
    header = store(manager, a=1)
    session_id = id_of(manager, header)
    assert run("revoke", session_id) == (0, "Ended.\n", "")
    assert manager.load(header).new
    assert run("revoke", session_id) == (0, "Gone or renewed: list again.\n", "")
    assert run("revoke", session_id, "--json").json["ended"] is False


def test_stats_counts_and_measures(
    run: Run, make_manager: MakeManager, clock: Clock
) -> None:
    manager = make_manager(clock=clock, permanent=True)
    clock.time -= 10 * 86400
    old = id_of(manager, store(manager, a=1))
    clock.time += 10 * 86400
    large = id_of(manager, store(manager, a="x" * 5000))
    manager.config.clock()
    found = run("stats", "--json").json
    assert (found["sessions"], found["permanent"], found["users"]) == (2, 2, 0)
    assert 5000 < found["bytes"] < 6000
    assert found["largest"][0] == large
    assert found["oldest"][0] == old
    assert sum(found["ages"].values()) == 2
    text = run("stats").out
    assert text.index("Largest") < text.index(large)


def test_stats_of_nothing(run: Run) -> None:
    assert run("stats").code == 0
    assert run("stats", "--json").json["sessions"] == 0


def test_more_sessions_than_one_step_finds_are_all_counted(
    run: Run, manager: SessionManager
) -> None:
    count = 1500
    for _ in range(count):
        store(manager, a=1)
    assert run("stats", "--json").json["sessions"] == count
    assert len(run("list", "--limit", "10000", "--json").json) == count


def test_prefix_and_server_may_be_given(
    run: Run, make_manager: MakeManager, own_server: LocalServer
) -> None:
    manager = make_manager(own_server.url, key_prefix="app*:")
    session_id = id_of(manager, store(manager, a=1))
    given = ("--redis", own_server.url, "--key-prefix", "app*:")
    assert [row["id"] for row in run(*given, "list", "--json").json] == [session_id]
    assert run("list", "--json").json == []


#: What ``--sessions`` names.
SESSIONS = SessionManager("unix:///nowhere", secret_key=SECRET_KEY)


def test_manager_of_an_application_may_be_named(run: Run) -> None:
    ran = run("--sessions", "test_cli:SESSIONS", "list")
    assert ran.code == 1
    assert "/nowhere" in ran.err


@pytest.mark.parametrize(
    "target", ["nothing", "no.such.module:name", "test_cli:nothing", "test_cli:run", ""]
)
def test_what_is_no_manager_is_told(run: Run, target: str) -> None:
    ran = run("--sessions", target, "list")
    assert ran.code == 2
    assert "--sessions" in ran.err


@pytest.mark.parametrize("option", ["--redis", "--key-prefix"])
def test_manager_has_its_own_server_and_prefix(run: Run, option: str) -> None:
    ran = run("--sessions", "test_cli:SESSIONS", option, "x", "list")
    assert ran.code == 2


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["show", UNKNOWN],
        ["revoke", UNKNOWN],
        ["stats"],
        ["migrate"],
    ],
)
def test_redis_that_is_away_is_one_line_without_its_password(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("SESSION_REDIS", "redis://me:hunter2@127.0.0.1:1/0")
    ran = run(*words)
    assert ran.code == 1
    assert ran.err.startswith("wsgi-redis-session: ")
    assert ran.err.count("\n") == 1
    assert "hunter2" not in ran.err


def test_wrong_option_in_the_environment_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_IDLE_TIMEOUT", "soon")
    ran = run("list")
    assert ran.code == 2
    assert "SESSION_IDLE_TIMEOUT='soon' cannot work" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ["nothing"],
        ["list", "--nothing"],
        ["list", "--limit", "0"],
        ["list", "--limit", "99999"],
        ["show"],
        ["stats", "more"],
    ],
)
def test_words_that_make_no_sense_are_told(run: Run, words: list[str]) -> None:
    assert run(*words).code == 2


def test_secret_key_is_not_needed_to_look(
    run: Run, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(manager, a=1)
    monkeypatch.delenv("SECRET_KEY")
    assert len(run("list", "--json").json) == 1


def test_every_command_has_help(run: Run) -> None:
    listed = run("--help").out
    for command in ("check", "list", "show", "revoke", "stats", "migrate", "demo"):
        assert f"  {command} " in listed
        assert run(command, "--help").out.startswith("Usage: ")


def run_flask(app: flask.Flask, *words: str) -> Result:
    """Run the program ``flask`` for an application."""
    return CliRunner().invoke(FlaskGroup(create_app=lambda: app), words)


@pytest.mark.parametrize("way", ["extension", "interface"])
def test_flask_has_the_same_commands_for_its_own_sessions(
    server: LocalServer, way: str
) -> None:
    app = flask.Flask(__name__)
    app.config.update(
        SECRET_KEY=SECRET_KEY, SESSION_REDIS=server.url, SESSION_KEY_PREFIX="app:"
    )
    if way == "extension":
        Session(app)
    else:
        app.session_interface = RedisSessionInterface()
    app.add_url_rule("/", "view", lambda: str(flask.session.setdefault("a", 1)))
    app.test_client().get("/")
    result = run_flask(app, "sessions", "list", "--json")
    assert result.exit_code == 0, result.output
    [row] = json.loads(result.output)
    assert run_flask(app, "sessions", "revoke", row["id"]).output == "Ended.\n"
    assert run_flask(app, "sessions", "show", "x").exit_code == 2
    app.extensions["wsgi_redis_session"].disconnect()


def test_flask_application_without_our_sessions_is_told() -> None:
    result = run_flask(flask.Flask(__name__), "sessions", "list")
    assert result.exit_code == 1
    assert "Session(app)" in result.output


def without(module: str, *words: str) -> Ran:
    """Run the program where a module is not installed."""
    code = (
        f"import runpy, sys; sys.modules[{module!r}] = None; "
        "runpy.run_module('wsgi_redis_session', run_name='__main__', alter_sys=True)"
    )
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(("module", "words"), [("click", []), ("rich", ["list", "-x"])])
def test_program_without_its_extra_says_what_to_install(
    module: str, words: list[str]
) -> None:
    ran = without(module, *words)
    assert ran.code == 1
    assert f"needs {module}" in ran.err
    assert "pip install 'wsgi-redis-session[cli]'" in ran.err
    assert "Traceback" not in ran.err


def test_there_is_help_without_the_extra() -> None:
    ran = without("rich", "--help")
    assert ran.code == 0
    assert "Needs the extra cli." in ran.out
    assert "  demo " in ran.out


def test_flask_imports_nothing_of_the_extra_until_it_is_asked() -> None:
    assert "rich" not in imported_with("import wsgi_redis_session.cli.flask_group")


# Of one user.


def logged_in(manager: SessionManager, user: str, agent: str = "Browser/1") -> str:
    """The cookie of a user who has just logged in."""
    exchange = manager.exchange(
        {"REMOTE_ADDR": "192.0.2.7", "HTTP_USER_AGENT": agent, "HTTP_COOKIE": ""}
    )
    session_of(exchange)["user"] = user
    cookie = exchange.commit().cookie
    assert cookie is not None
    return cookie.partition(";")[0]


def test_list_of_a_user_has_the_devices(run: Run, make_manager: MakeManager) -> None:
    manager = make_manager(user_key="user")
    header = logged_in(manager, "42", "\x1b[31mBrowser")
    logged_in(manager, "43")
    [row] = run("list", "--user", "42", "--json").json
    assert row["id"] == id_of(manager, header)
    assert (row["address"], row["permanent"]) == ("192.0.2.7", False)
    ran = run("list", "--user", "42")
    assert row["device"] in ran.out
    assert ran.out.replace("\n", "").isprintable()
    assert run("stats", "--json").json["users"] == 2


def test_list_of_an_unknown_user_is_told(run: Run) -> None:
    ran = run("list", "--user", "nobody")
    assert ran.code == 2
    assert "'nobody'" in ran.err


def test_revoke_ends_the_sessions_of_one_user_and_again_is_no_error(
    run: Run, make_manager: MakeManager
) -> None:
    manager = make_manager(user_key="user")
    ended = [logged_in(manager, "42") for _ in range(3)]
    other = logged_in(manager, "43")
    assert run("revoke", "--user", "42") == (0, "Ended: 3\n", "")
    assert all(manager.load(header).new for header in ended)
    assert not manager.load(other).new
    assert run("revoke", "--user", "42").out == "There was none to end.\n"
    assert run("revoke", "--user", "42", "--json").json["ended"] == 0


def test_revoke_of_one_device_keeps_the_others(
    run: Run, make_manager: MakeManager
) -> None:
    manager = make_manager(user_key="user")
    one, other = (logged_in(manager, "42") for _ in range(2))
    device = manager.load(one).device
    assert run("revoke", "--user", "42", "--device", device).out == "Ended: 1\n"
    assert manager.load(one).new
    assert not manager.load(other).new


@pytest.mark.parametrize(
    "words",
    [
        [],
        [UNKNOWN, "--user", "42"],
        [UNKNOWN, "--device", "0" * 16],
        ["--user", "42", "--device", "mine"],
    ],
)
def test_what_to_revoke_must_be_clear(run: Run, words: list[str]) -> None:
    assert run("revoke", *words).code == 2


def test_revocation_of_a_user_touches_only_the_keys_of_that_user(
    run: Run, make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(user_key="user")
    for _ in range(50):
        logged_in(manager, "43")
    logged_in(manager, "42")
    db.config_resetstat()
    run("revoke", "--user", "42")
    calls = db.info("commandstats")
    assert "cmdstat_scan" not in calls
    assert sum(row["calls"] for row in calls.values()) < 50

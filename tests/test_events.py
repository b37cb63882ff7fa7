from __future__ import annotations

import collections.abc as cabc
import json
import logging
import typing as t

import flask
import pytest
import redis
from conftest import Clock
from conftest import SECRET_KEY
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from readme import run
from visitors import session_of

from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.events import EventLog
from wsgi_redis_session.events import EventName
from wsgi_redis_session.flask import Session
from wsgi_redis_session.flask import session_event
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.metrics import SessionMetrics

MakeManager = cabc.Callable[..., SessionManager]

NAMES: tuple[EventName, ...] = t.get_args(EventName)

#: Of these only observers are told.
EVERY_REQUEST = ("loaded", "saved")


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="wsgi_redis_session")


@pytest.mark.parametrize("name", NAMES)
def test_every_event_reaches_the_log_and_the_observer(
    name: EventName, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[SessionEvent] = []
    EventLog(seen.append, clock=lambda: 5.5).emit(name, "an-id", "the detail")
    assert seen == [SessionEvent(name, "an-id", "the detail", time=5.5)]
    if name in EVERY_REQUEST:
        assert caplog.records == []
        return
    [record] = caplog.records
    assert record.name == "wsgi_redis_session"
    assert record.getMessage() == f"session an-id: {name} the detail"
    assert vars(record)["session_event"] == seen[0]


def test_event_without_a_session_and_without_an_observer_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    EventLog().emit("rejected")
    assert caplog.messages == ["session -: rejected "]


@pytest.mark.parametrize("name", NAMES)
def test_every_event_is_documented(name: EventName) -> None:
    assert f"``{name}``" in (SessionEvent.__doc__ or "")


def test_what_any_visitor_can_cause_fills_no_log_of_warnings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = EventLog()
    for name in NAMES:
        log.emit(name)
    loud = {
        r.args[1]  # type: ignore[index]  # a tuple, as the log is called
        for r in caplog.records
        if r.levelno >= logging.WARNING
    }
    assert loud == {"lost", "late", "undecodable", "unavailable", "desynchronised"}


def test_text_of_an_event_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    EventLog().emit("lost", None, "x" * 100_000)
    assert len(caplog.messages[0]) < 600


def test_observer_is_told_even_if_nothing_is_logged() -> None:
    seen: list[SessionEvent] = []
    logging.disable(logging.CRITICAL)
    try:
        EventLog(seen.append, clock=lambda: 5.5).emit("created")
    finally:
        logging.disable(logging.NOTSET)
    assert seen == [SessionEvent("created", time=5.5)]


def test_failing_observer_is_logged_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(event: SessionEvent) -> None:
        raise ZeroDivisionError(event.name)

    EventLog(fail).emit("created", "an-id")
    [_, record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "'created'" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_interrupted_observer_interrupts() -> None:
    def interrupt(event: SessionEvent) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EventLog(interrupt).emit("created")


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(), st.text(st.characters()))
def test_no_event_can_forge_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture, session_id: str, detail: str
) -> None:
    caplog.clear()
    seen: list[SessionEvent] = []
    EventLog(seen.append).emit("lost", session_id, detail)
    [event] = seen
    for shown in (caplog.messages[0], event.session_id or "", event.detail):
        assert len(shown.splitlines()) <= 1
        assert shown.isprintable()
        shown.encode()


def test_readable_text_is_logged_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    EventLog().emit("lost", "an-id", "dropped: größe, 名前, 'it\\'s'")
    assert caplog.messages == ["session an-id: lost dropped: größe, 名前, 'it\\'s'"]


def test_line_breaks_are_escaped(caplog: pytest.LogCaptureFixture) -> None:
    EventLog().emit("lost", None, "a\r\nb\x1b[31m\u2028c\ud800")
    assert caplog.messages == [r"session -: lost a\r\nb\x1b[31m\u2028c\ud800"]


def test_events_of_a_session_carry_neither_its_secret_nor_its_values(
    manager: SessionManager,
    events: list[SessionEvent],
    caplog: pytest.LogCaptureFixture,
    clock: Clock,
) -> None:
    session = manager.open("")
    session["name"] = "private value"
    outcome = manager.commit(session)
    header = (outcome.cookie or "").partition(";")[0]
    sid = session.sid

    session = manager.open(header)
    session["name"] = "another private value"
    session.regenerate()
    manager.commit(session)
    new_sid = session.sid

    manager.open(header).get("name")
    late = manager.open(header.replace(sid, "forged"))
    late.get("name")
    session.destroy()
    manager.commit(session)

    names = [event.name for event in events]
    assert names == ["created", "regenerated", "unknown", "rejected", "destroyed"]
    told = caplog.text + repr(events)
    for secret in (sid, new_sid, "private", "forged"):
        assert secret not in told


@pytest.fixture
def all_events() -> list[SessionEvent]:
    return []


@pytest.fixture
def observed(
    make_manager: MakeManager, all_events: list[SessionEvent], clock: Clock
) -> SessionManager:
    return make_manager(on_event=all_events.append, user_key="user", clock=clock)


def answer(manager: SessionManager, header: str = "", **names: object) -> str:
    """The cookie that the browser has after a request that has set these names."""
    environ = {
        "HTTP_COOKIE": header,
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_USER_AGENT": "Browser/1\x1b[31m",
    }
    session_of(exchange := manager.exchange(environ)).update(names)
    dict(session_of(exchange))
    cookie = exchange.commit().cookie
    exchange.close()
    return header if cookie is None else cookie.partition(";")[0]


def told(events: list[SessionEvent]) -> list[str]:
    names = [event.name for event in events]
    events.clear()
    return names


def test_observers_are_told_of_each_load_and_each_save(
    observed: SessionManager, all_events: list[SessionEvent]
) -> None:
    header = answer(observed, a=1)
    assert told(all_events) == ["created"]
    answer(observed, header)
    assert told(all_events) == ["loaded"]
    answer(observed, header, a=2)
    assert told(all_events) == ["loaded", "saved"]
    answer(observed)
    assert told(all_events) == []


def test_event_says_when_who_from_where_with_what_and_how_long(
    observed: SessionManager, all_events: list[SessionEvent], clock: Clock
) -> None:
    header = answer(observed, user="42")
    answer(observed, header, a=1)
    events = all_events.copy()
    assert told(all_events) == ["created", "loaded", "saved"]
    for event in events:
        assert event.time == clock.time
        assert event.address == "192.0.2.7"
        assert event.agent == "Browser/1[31m"
        assert event.duration is not None
        assert 0 < event.duration < 5
        assert event.session_id == observed.load(header).id
        assert event.user is not None
        assert len(event.user) == 24
        assert "42" not in repr(event.user)


def test_digest_of_a_user_is_that_of_one_user_and_one_secret_key(
    make_manager: MakeManager, all_events: list[SessionEvent]
) -> None:
    for secret_key, user in (("one", "42"), ("one", "42"), ("one", 43), ("two", "42")):
        manager = make_manager(
            on_event=all_events.append, user_key="user", secret_key=secret_key
        )
        answer(manager, user=user)
    users = [event.user for event in all_events]
    assert users[0] == users[1]
    assert len(set(users)) == 3


def test_user_is_shown_to_those_who_asked(
    make_manager: MakeManager,
    all_events: list[SessionEvent],
    caplog: pytest.LogCaptureFixture,
) -> None:
    manager = make_manager(
        on_event=all_events.append, user_key="user", event_users="plain"
    )
    header = answer(manager, user=42)
    assert all_events[0].user == "42"
    assert caplog.messages[-1].endswith(": created  (user 42, address 192.0.2.7)")
    answer(manager, header, user=None)
    assert all_events[-1].user is None


def test_any_number_of_observers_is_told_and_one_that_fails_keeps_no_other_from_it(
    make_manager: MakeManager, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[SessionEvent] = []
    more: list[SessionEvent] = []

    def fail(event: SessionEvent) -> None:
        raise ZeroDivisionError

    manager = make_manager(on_event=[seen.append, fail, more.append])
    header = answer(manager, a=1)
    answer(manager, header)
    assert [event.name for event in seen] == ["created", "loaded"]
    assert more == seen
    assert caplog.text.count("an observer failed") == 2


def test_session_is_expired_when_its_cookie_says_so_and_else_unknown(
    observed: SessionManager,
    all_events: list[SessionEvent],
    clock: Clock,
    db: redis.Redis,
) -> None:
    header = answer(observed, a=1)
    db.flushall()
    all_events.clear()
    clock.move(86400 - 1)
    answer(observed, header)
    assert told(all_events) == ["unknown"]
    clock.move(1)
    answer(observed, header)
    assert told(all_events) == ["expired"]


def test_end_of_its_lifetime_is_told_as_well(
    make_manager: MakeManager, all_events: list[SessionEvent], clock: Clock
) -> None:
    manager = make_manager(
        on_event=all_events.append, clock=clock, lifetime=100, idle_timeout=1000
    )
    header = answer(manager, a=1)
    clock.move(100)
    answer(manager, header)
    assert told(all_events) == ["created", "expired"]


def test_revoked_session_is_told_once(
    observed: SessionManager, all_events: list[SessionEvent]
) -> None:
    header = answer(observed, a=1)
    session_id = observed.load(header).id
    all_events.clear()
    assert observed.revoke(session_id)
    assert not observed.revoke(session_id)
    [event] = all_events
    assert (event.name, event.session_id) == ("revoked", session_id)
    assert event.duration is not None


def test_requests_that_overlap_are_told_as_merged(
    observed: SessionManager, all_events: list[SessionEvent]
) -> None:
    header = answer(observed, a=1)
    one, other = (observed.load(header) for _ in range(2))
    all_events.clear()
    for session, name in ((one, "b"), (other, "c")):
        session[name] = 2
        observed.commit(session)
    assert told(all_events) == ["saved", "merged", "saved"]


def test_conflict_that_was_decided_is_told_with_its_names(
    make_manager: MakeManager, all_events: list[SessionEvent]
) -> None:
    manager = make_manager(
        on_event=all_events.append,
        on_conflict=lambda name, base, ours, theirs: ours + theirs - base,
    )
    header = answer(manager, n=1, m=1)
    one, other = (manager.load(header) for _ in range(2))
    all_events.clear()
    for session in (one, other):
        session["n"] += 1
        manager.commit(session)
    [conflict] = [event for event in all_events if event.name == "conflict"]
    assert conflict.detail == "'n'"
    assert manager.load(header)["n"] == 3


def test_outage_is_told_with_the_request_that_met_it(
    own_server: LocalServer, make_manager: MakeManager, all_events: list[SessionEvent]
) -> None:
    manager = make_manager(own_server.url, on_event=all_events.append)
    header = answer(manager, a=1)
    own_server.stop()
    with pytest.raises(SessionUnavailable):
        answer(manager, header)
    assert all_events[-1].name == "unavailable"
    assert all_events[-1].address == "192.0.2.7"


def test_nothing_is_made_of_a_request_that_nobody_watches(
    make_manager: MakeManager,
) -> None:
    # Only the events that go to the log look at the environment.
    manager = make_manager(on_event=None)
    logging.getLogger("wsgi_redis_session").setLevel(logging.WARNING)

    class Environ(dict[str, str]):
        def get(self, name: str, default: t.Any = None) -> t.Any:
            assert name not in ("REMOTE_ADDR", "HTTP_USER_AGENT")
            return super().get(name, default)

    exchange = manager.exchange(t.cast(t.Any, Environ()))
    session_of(exchange)["a"] = 1
    exchange.commit()
    assert session_of(exchange).id


@pytest.fixture
def app(server: LocalServer) -> cabc.Iterator[flask.Flask]:
    app = flask.Flask(__name__)
    app.config.update(SECRET_KEY=SECRET_KEY, SESSION_REDIS=server.url)
    Session(app)

    @app.get("/")
    def view() -> str:
        flask.session["n"] = flask.session.get("n", 0) + 1
        return "done"

    yield app
    app.extensions["wsgi_redis_session"].disconnect()


def test_flask_sends_a_signal_for_each_event(app: flask.Flask) -> None:
    seen: list[tuple[flask.Flask, str]] = []

    def receive(sender: flask.Flask, event: SessionEvent, **extra: t.Any) -> None:
        seen.append((sender, event.name))

    client = app.test_client()
    client.get("/")
    with session_event.connected_to(receive, app):
        client.get("/")
    client.get("/")
    assert seen == [(app, "loaded"), (app, "saved")]


def test_signal_of_one_application_is_not_that_of_another(app: flask.Flask) -> None:
    seen: list[SessionEvent] = []
    other = flask.Flask("other")

    def receive(sender: flask.Flask, event: SessionEvent) -> None:
        seen.append(event)

    with session_event.connected_to(receive, other):
        app.test_client().get("/")
    assert seen == []


def test_receiver_that_fails_keeps_no_other_from_being_told(
    app: flask.Flask, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def fail(sender: flask.Flask, event: SessionEvent) -> None:
        raise ZeroDivisionError

    def receive(sender: flask.Flask, event: SessionEvent) -> None:
        seen.append(event.name)

    with (
        session_event.connected_to(fail, app),
        session_event.connected_to(receive, app),
    ):
        assert app.test_client().get("/").status_code == 200
    assert seen == ["created"]
    assert "an observer failed" in caplog.text


def test_receiver_may_look_at_the_session(app: flask.Flask, db: redis.Redis) -> None:
    seen: list[tuple[str, int | None]] = []

    def look(sender: flask.Flask, event: SessionEvent) -> None:
        seen.append((event.name, flask.session.get("n")))

    client = app.test_client()
    client.get("/")
    cookie = client.get_cookie("session")
    with session_event.connected_to(look, app):
        client.get("/")
        client.set_cookie("session", "made-up")
        client.get("/")
        client.set_cookie("session", cookie.value if cookie else "")
        for key in db.scan_iter():
            db.set(key, b"damaged", px=60_000)
        client.get("/")
    assert seen == [
        ("loaded", 1),
        ("saved", 2),
        ("rejected", None),
        ("created", 1),
        ("undecodable", None),
        ("created", 1),
    ]


# An outage.


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    caplog.clear()
    return found


def test_outage_is_one_line_then_a_count_each_ten_seconds_and_its_end(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[SessionEvent] = []
    log = EventLog(seen.append, clock)
    for _ in range(100):
        log.emit("unavailable", None, "no answer")
    assert warnings(caplog) == ["session -: unavailable no answer"]
    for _ in range(25):
        clock.move(1)
        for _ in range(7):
            log.emit("unavailable", None, "still none")
    ten, twenty = warnings(caplog)
    end = "s, {} times since the last line; session -: unavailable still none"
    assert ten == f"sessions unavailable for 10 {end.format(100 - 1 + 64 + 1)}"
    assert twenty == f"sessions unavailable for 20 {end.format(70)}"
    clock.move(9)
    log.outage.answered()
    assert warnings(caplog) == []
    clock.move(1)
    log.outage.answered()
    log.outage.answered()
    assert warnings(caplog) == [
        "sessions available again: unavailable 275 times in 25 s"
    ]
    # The observer counts for itself.
    assert len(seen) == 275


def test_answers_in_between_do_not_end_an_outage(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """One node of a cluster is away, or nothing can be written."""
    log = EventLog(None, clock)
    for _ in range(9):
        log.emit("unavailable")
        clock.move(1)
        log.outage.answered()
    assert len(warnings(caplog)) == 1


def test_clock_that_is_set_back_silences_no_outage(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    log = EventLog(None, clock)
    log.emit("unavailable")
    clock.move(-86_400)
    log.emit("unavailable")
    log.outage.answered()
    assert len(warnings(caplog)) == 2
    clock.move(10)
    log.outage.answered()
    assert len(warnings(caplog)) == 1
    log.emit("unavailable")
    assert len(warnings(caplog)) == 1


def test_what_a_public_site_drops_in_an_outage_is_counted_and_told_to_the_observer(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[SessionEvent] = []
    log = EventLog(seen.append, clock)
    for _ in range(50):
        log.emit("unavailable")
        log.emit("lost", "an-id", "dropped: cart", is_outage=True)
    log.emit("lost", "another", "it ended: dropped: cart")
    assert [event.name for event in seen] == ["unavailable", "lost"] * 50 + ["lost"]
    assert len(warnings(caplog)) == 2


# What the documentation shows.


def test_observers_of_the_documentation_are_told(
    monkeypatch: pytest.MonkeyPatch,
    server: LocalServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Other tests may have made metrics in the one of the process.
    registry = CollectorRegistry()
    monkeypatch.setattr(SessionMetrics.__init__, "__defaults__", (registry,))
    caplog.set_level(logging.INFO, logger="audit")
    sessions = run("audited.py", monkeypatch, server).sessions
    session = sessions.load(answer(sessions, a=1))
    sessions.revoke(session.id)
    assert caplog.messages[-1] == f"revoked {session.id}"
    sessions.disconnect()


def test_signal_of_the_documentation_is_received(
    monkeypatch: pytest.MonkeyPatch,
    server: LocalServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = run("signalled.py", monkeypatch, server).app
    app.test_client().get("/")
    assert caplog.messages[-1].endswith(": created")
    app.extensions["wsgi_redis_session"].disconnect()


def test_log_of_the_documentation_is_json(
    monkeypatch: pytest.MonkeyPatch,
    server: LocalServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    formatter = run("json_log.py", monkeypatch, server).AsJson()
    EventLog().emit("lost", "an-id", "the detail")
    found = json.loads(formatter.format(caplog.records[-1]))
    assert (found["name"], found["session_id"]) == ("lost", "an-id")

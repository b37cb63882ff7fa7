from __future__ import annotations

import logging
import typing as t

import pytest
from conftest import Clock
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st

from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session.events import EventLog
from wsgi_redis_session.events import EventName

NAMES: tuple[EventName, ...] = t.get_args(EventName)


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="wsgi_redis_session")


@pytest.mark.parametrize("name", NAMES)
def test_every_event_reaches_the_log_and_the_observer(
    name: EventName, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[SessionEvent] = []
    EventLog(seen.append).emit(name, "an-id", "the detail")
    assert seen == [SessionEvent(name, "an-id", "the detail")]
    [record] = caplog.records
    assert record.name == "wsgi_redis_session"
    assert record.getMessage() == f"session an-id: {name} the detail"


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
    quiet = {"created", "destroyed", "regenerated", "rotated", "migrated"}
    assert loud == {*NAMES} - quiet - {"rejected", "unknown"}


def test_text_of_an_event_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    EventLog().emit("lost", None, "x" * 100_000)
    assert len(caplog.messages[0]) < 600


def test_observer_is_told_even_if_nothing_is_logged() -> None:
    seen: list[SessionEvent] = []
    logging.disable(logging.CRITICAL)
    try:
        EventLog(seen.append).emit("created")
    finally:
        logging.disable(logging.NOTSET)
    assert seen == [SessionEvent("created")]


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

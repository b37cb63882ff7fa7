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

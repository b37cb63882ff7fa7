"""The demo: what it tells the terminal and the open pages."""

from __future__ import annotations

import collections.abc as cabc
import re
from concurrent.futures import ThreadPoolExecutor

import demo_site
import pytest
import redis
from browser import PATIENCE
from demo_site import COOKIE
from demo_site import KEY_PREFIX
from demo_site import MakeManager
from demo_site import MakeVisitor
from demo_site import send
from demo_site import visitors
from werkzeug.test import Client
from werkzeug.wrappers import Response

from wsgi_redis_session import SessionEvent
from wsgi_redis_session.demo.app import Demo
from wsgi_redis_session.demo.runner import OPTIONS
from wsgi_redis_session.demo.window import Feed
from wsgi_redis_session.demo.window import Trail
from wsgi_redis_session.local_server import LocalServer

shown = demo_site.shown
make_visitor = demo_site.make_visitor
visitor = demo_site.visitor


@pytest.mark.plain
def test_each_change_is_shown_with_key_time_size_and_names(
    visitor: Client, shown: list[str], db: redis.Redis
) -> None:
    visitor.get("/")
    send(visitor, "/store", name="colour", value="deep blue")
    (key,) = map(bytes.decode, db.keys())
    size = db.strlen(key)
    assert len(shown) == 2
    assert shown[0].startswith(f"GET /\n  + {key} ")
    assert re.fullmatch(
        rf"POST /store\n  \* {re.escape(key)} +1 day +{size} bytes  visits, colour",
        shown[1],
    )
    assert "deep blue" not in shown[1]


@pytest.mark.plain
def test_login_shows_the_new_key_and_the_tombstone_of_the_old_one(
    visitor: Client, shown: list[str]
) -> None:
    visitor.get("/")
    send(visitor, "/login", user="ada")
    first, *lines = shown[-1].split("\n")
    assert first == "POST /login"
    assert sorted(line[:3] for line in lines) == ["  *", "  +"]
    assert sum("a tombstone" in line for line in lines) == 1
    assert sum("visits, id_before_login, user" in line for line in lines) == 1


def test_logout_shows_the_tombstone(visitor: Client, shown: list[str]) -> None:
    visitor.get("/")
    send(visitor, "/logout")
    assert re.fullmatch(
        r"POST /logout\n  \* \S+ +1 min +2 bytes  a tombstone: .*", shown[-1]
    )


def test_request_that_changed_nothing_is_not_shown(
    visitor: Client, shown: list[str]
) -> None:
    visitor.get("/")
    before = list(shown)
    visitor.get("/style.css")
    visitor.get("/nowhere")
    send(visitor, "/delete", name="never stored")
    assert shown == before


def test_all_sessions_are_shown_and_what_changed_is_marked(
    make_visitor: MakeVisitor, shown: list[str]
) -> None:
    make_visitor().get("/")
    make_visitor().get("/")
    lines = shown[-1].split("\n")[1:]
    assert sorted(line[:4] for line in lines) == ["    ", "  + "]


def test_session_id_of_the_cookie_is_never_printed(
    visitor: Client, shown: list[str]
) -> None:
    sids = set()
    for path, form in [
        ("/store", {"name": "n", "value": ""}),
        ("/login", {"user": "a"}),
    ]:
        send(visitor, path, **form)
        cookie = visitor.get_cookie(COOKIE)
        assert cookie is not None
        sids.add(cookie.value.split(".")[0])
    assert len(sids) == 2
    assert not any(sid in text for sid in sids for text in shown)


@pytest.mark.plain
def test_names_cannot_control_the_terminal(visitor: Client, shown: list[str]) -> None:
    send(visitor, "/store", name="\x1b[31mred\u202e", value="")
    assert r"'\x1b[31mred\u202e'" in shown[-1]
    assert shown[-1].replace("\n", "").isprintable()


def test_keys_of_others_are_left_alone(
    visitor: Client, shown: list[str], db: redis.Redis
) -> None:
    db.set("wsgi-session:of-an-application", "value")
    visitor.get("/")
    assert "of-an-application" not in shown[-1]
    assert db.get("wsgi-session:of-an-application") == b"value"


def test_key_that_is_no_session_is_shown_as_one_that_is_not(
    visitor: Client, shown: list[str], db: redis.Redis
) -> None:
    db.hset(f"{KEY_PREFIX}{'a' * 24}", "field", "value")
    db.set(f"{KEY_PREFIX}{'b' * 24}", "value")
    visitor.get("/")
    assert [line[-10:] for line in shown[-1].split("\n")].count("no session") == 2


def test_report_without_redis_is_one_line(
    make_manager: MakeManager, own_server: LocalServer, shown: list[str]
) -> None:
    visitor = visitors(make_manager, shown.append, redis=own_server.url)()
    visitor.get("/")
    own_server.stop()
    visitor.get("/")
    assert shown[-1].startswith("GET /\n    the store does not answer: ")


def test_page_that_asks_often_is_not_reported(
    visitor: Client, shown: list[str], db: redis.Redis
) -> None:
    visitor.get("/")
    db.flushall()
    before = list(shown)
    visitor.get("/live")
    assert shown == before


# What open pages hear.


def next_event(stream: cabc.Iterator[bytes]) -> bytes:
    return next(chunk for chunk in stream if chunk.startswith(b"event: "))


def test_open_page_hears_that_something_has_changed_and_not_what(
    visitor: Client,
) -> None:
    response = visitor.get("/events")
    assert response.mimetype == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Vary" not in response.headers
    stream = response.iter_encoded()
    assert next(stream) == b"retry: 1000\n\n"
    send(visitor, "/store", name="colour", value="blue")
    assert next_event(stream) == b"event: change\ndata: 1\n\n"
    response.close()


def test_two_open_pages_hear_the_same() -> None:
    feed = Feed()
    streams = [feed.stream(heartbeat=PATIENCE) for _ in range(2)]
    for stream in streams:
        next(stream)
    with ThreadPoolExecutor(2) as threads:
        heard = [threads.submit(next_event, stream) for stream in streams]
        feed.publish()
        assert {event.result(PATIENCE) for event in heard} == {
            b"event: change\ndata: 1\n\n"
        }


def test_open_page_is_told_to_look_again_even_if_nothing_happens() -> None:
    stream = Feed().stream(heartbeat=0)
    next(stream)
    assert next_event(stream) == next_event(stream) == b"event: change\ndata: 0\n\n"


def test_page_shows_what_the_library_has_reported(make_manager: MakeManager) -> None:
    trail = Trail()
    sessions = make_manager(**OPTIONS, on_event=trail.add)
    visitor = Client(Demo(sessions, [].append, events=trail), Response)
    send(visitor, "/login", user="ada")
    visitor.set_cookie(COOKIE, "forged")
    page = visitor.get("/").text
    assert page.index(">rejected<") < page.index(">created<")


def test_event_that_comes_again_and_again_is_shown_once() -> None:
    trail = Trail()
    for name in ("lost", "unavailable", "unavailable", "lost"):
        trail.add(SessionEvent(name, detail="why"))
    assert [event.name for event in trail] == ["lost", "unavailable", "lost"]


def test_events_of_long_ago_are_forgotten() -> None:
    trail = Trail()
    for number in range(100):
        trail.add(SessionEvent("lost", detail=str(number)))
    assert [event.detail for event in trail][:2] == ["99", "98"]
    assert len(list(trail)) < 20

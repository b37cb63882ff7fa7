"""Several requests of one session at a time: no name is lost, and logout stands."""

from __future__ import annotations

import collections.abc as cabc
import itertools
import threading
import typing as t

import pytest
import redis
from visitors import assert_nothing_is_left
from visitors import cookie_header
from visitors import look
from visitors import names
from visitors import Request
from visitors import store

from wsgi_redis_session import MISSING
from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager

#: How long a server may take that is asked for much, in seconds.
PATIENCE = 30

MakeManager = cabc.Callable[..., SessionManager]


def test_two_requests_keep_each_others_names(manager: SessionManager) -> None:
    header = store(manager, first=0, kept="kept", second=0)
    one, two = Request(manager, header), Request(manager, header)
    one.session["first"] = 1
    two.session["second"] = 2
    one.session["added"] = 3
    one.commit()
    two.commit()
    assert list(look(manager, header).items()) == [
        ("first", 1),
        ("kept", "kept"),
        ("second", 2),
        ("added", 3),
    ]


def test_threads_of_one_request_share_its_session(manager: SessionManager) -> None:
    header = store(manager, user="Ada")
    for _ in range(20):
        session = manager.open(header)
        barrier = threading.Barrier(8)

        def write(name: str, session: t.Any, barrier: threading.Barrier) -> None:
            barrier.wait()
            session[name] = session["user"]

        threads = [
            threading.Thread(target=write, args=(f"n{n}", session, barrier))
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        manager.commit(session)
        session = manager.open(header)
        assert dict(session) == {"user": "Ada"} | {f"n{n}": "Ada" for n in range(8)}
        for n in range(8):
            del session[f"n{n}"]
        manager.commit(session)


def test_removed_name_stays_removed_and_a_merged_one_arrives(
    manager: SessionManager,
) -> None:
    header = store(manager, a=1, b=2, c=3)
    one, two = Request(manager, header), Request(manager, header)
    del one.session["a"]
    two.session["d"] = 4
    two.session.pop("b")
    one.commit()
    two.commit()
    assert look(manager, header) == {"c": 3, "d": 4}
    assert two.session.copy() == {"c": 3, "d": 4}


@pytest.mark.parametrize("count", [14, 15, 16, 17, 300, 70_000])
def test_merge_of_many_names_and_long_values(
    make_manager: MakeManager, count: int
) -> None:
    # A busy machine may take its time.
    patience = {"read_timeout": PATIENCE, "operation_timeout": 2 * PATIENCE}
    manager = make_manager(max_bytes=None, max_names=None, **patience)
    names = {f"name-{number}": number for number in range(count)}
    long = {"x" * 40: "v" * 200, "y" * 300: "v" * 300, "z" * 70_000: "v" * 70_000}
    header = store(manager, **names, **long)
    one, two = Request(manager, header), Request(manager, header)
    one.session["from one"] = 1
    two.session["from two"] = 2
    two.session["y" * 300] = "w" * 70_000
    one.commit()
    two.commit()
    assert look(manager, header) == {
        **names,
        **long,
        "y" * 300: "w" * 70_000,
        "from one": 1,
        "from two": 2,
    }


def test_read_only_request_never_writes_back(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = store(manager, name="Ada", cart=[1])
    reader, writer = Request(manager, header), Request(manager, header)
    assert reader.session["cart"] == [1]
    writer.session["cart"] = [1, 2]
    writer.commit()
    before = db.get(db.keys()[0])
    assert reader.commit() is None
    assert db.get(db.keys()[0]) == before


def test_destroyed_session_is_not_recreated_by_a_late_save(
    manager: SessionManager, db: redis.Redis, events: list[SessionEvent]
) -> None:
    header = store(manager, user="Ada")
    logout, late = Request(manager, header), Request(manager, header)
    late.session["last_page"] = "/"
    logout.session.destroy()
    logout.commit()
    assert late.commit() is None
    assert_nothing_is_left(db)
    assert look(manager, header) == {}
    assert names(events)[-2] == "lost"
    assert "last_page" in events[-2].detail


def test_destroyed_session_does_not_escape_through_regeneration(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = store(manager, user="Ada")
    logout, late = Request(manager, header), Request(manager, header)
    late.session.regenerate()
    logout.session.destroy()
    logout.commit()
    assert late.commit() is None
    assert_nothing_is_left(db)


def test_destroying_the_old_session_ends_its_successor(
    manager: SessionManager,
) -> None:
    header = store(manager, user="Ada")
    logout, renewal = Request(manager, header), Request(manager, header)
    renewal.session.regenerate()
    renewed = cookie_header(renewal.commit())
    logout.session.destroy()
    logout.commit()
    assert look(manager, header) == {}
    assert look(manager, renewed) == {}


def test_late_save_into_a_renewed_session_is_dropped_and_told(
    manager: SessionManager, events: list[SessionEvent]
) -> None:
    header = store(manager, cart=1)
    late, renewal = Request(manager, header), Request(manager, header)
    renewal.session.regenerate()
    late.session["late"] = True
    renewed = cookie_header(renewal.commit())
    assert late.commit() is None
    assert names(events)[-1] == "lost"
    assert "'late'" in events[-1].detail
    assert look(manager, renewed) == {"cart": 1}
    assert look(manager, header) == {}


def test_regeneration_takes_along_what_others_had_saved(
    manager: SessionManager,
) -> None:
    header = store(manager, a=1, b=2)
    renewal, other = Request(manager, header), Request(manager, header)
    other.session["c"] = 3
    del other.session["b"]
    other.commit()
    renewal.session["a"] = 10
    renewal.session.regenerate()
    renewed = cookie_header(renewal.commit())
    assert look(manager, renewed) == {"a": 10, "c": 3}


def test_second_of_two_regenerations_gains_nothing(
    make_manager: MakeManager, events: list[SessionEvent], db: redis.Redis
) -> None:
    manager = make_manager(user_key="user")
    header = store(manager, user="Ada")
    one, two = Request(manager, header), Request(manager, header)
    one.session["one"] = 1
    two.session["two"] = 2
    one.session.regenerate()
    two.session.regenerate()
    first = cookie_header(one.commit())
    assert two.commit() is None
    assert names(events)[-1] == "lost"
    assert look(manager, first) == {"user": "Ada", "one": 1}
    assert look(manager, header) == {}
    assert len(db.keys("wsgi-session:" + "?" * 24)) == 2


def test_emptied_session_takes_in_what_a_request_on_its_way_stores(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = store(manager, flash="hello")
    reader, writer = Request(manager, header), Request(manager, header)
    reader.session.pop("flash")
    writer.session["cart"] = [1]
    cleared = reader.commit()
    assert cleared is not None
    assert "Max-Age=0" in cleared
    assert 0 < db.pttl(db.keys()[0]) <= 60_000
    assert cookie_header(writer.commit()) is not None
    assert look(manager, header) == {"cart": [1]}
    assert db.pttl(db.keys()[0]) > 60_000


Operation = cabc.Callable[[Request], t.Any]

OPERATIONS: dict[str, Operation] = {
    "read": lambda request: request.session.get("user"),
    "write x": lambda request: request.session.update(x=1),
    "write y": lambda request: request.session.update(y=1),
    "pop a": lambda request: request.session.pop("a", None),
    "clear": lambda request: request.session.clear(),
    "login": lambda request: request.session.update(user="Grace"),
    "regenerate": lambda request: request.session.regenerate(),
    "destroy": lambda request: request.session.destroy(),
}

#: Every order in which three requests can load and commit.
ORDERS = [
    order
    for order in set(itertools.permutations("AABBCC"))
    if order.index("A") < order.index("B") < order.index("C")
]


@pytest.mark.parametrize("first", OPERATIONS)
@pytest.mark.parametrize("second", OPERATIONS)
def test_every_interleaving_keeps_logout_and_loses_no_name_in_silence(
    make_manager: MakeManager, events: list[SessionEvent], first: str, second: str
) -> None:
    manager = make_manager(user_key="user")
    for order, third in itertools.product(sorted(ORDERS), ("write y", "destroy")):
        chosen = dict(zip("ABC", (first, second, third), strict=True))
        user = {"user": "Ada"} if "destroy" in chosen.values() else {}
        header = store(manager, a=1, kept=True, **user)
        jar, ever = header, [header]
        requests: dict[str, Request] = {}
        events.clear()
        for who in order:
            if who not in requests:
                requests[who] = Request(manager, jar)
                OPERATIONS[chosen[who]](requests[who])
                continue
            set_cookie = requests[who].commit()
            if set_cookie is not None:
                jar = cookie_header(set_cookie)
                ever.append(jar)
        story = f"{chosen} in the order {order}"
        told = "".join(event.detail for event in events if event.name == "lost")
        seen = [look(manager, cookie) for cookie in ever]
        if "destroy" in chosen.values():
            # Of two that overlap, a login and a renewal, each gets a session.
            parted = sorted([first, second]) == ["login", "regenerate"]
            assert parted or not any(
                session.get("user") == "Ada" or {"user", "a"} <= session.keys()
                for session in seen
            ), story
        elif "clear" not in chosen.values():
            assert sum(bool(session) for session in seen) >= 1, story
            written = {"y"} | ({"x"} if "write x" in chosen.values() else set())
            for name in written:
                is_kept = any(name in session for session in seen)
                assert is_kept or repr(name) in told, story
            is_removed = "pop a" in chosen.values() and "'a'" not in told
            assert ("a" in seen[-1]) != is_removed, story


def test_forty_writers_keep_forty_names(make_manager: MakeManager) -> None:
    manager = make_manager(max_connections=40)
    header = store(manager, base=True)
    barrier = threading.Barrier(40)

    def write(number: int) -> None:
        request = Request(manager, header)
        request.session[f"name-{number}"] = number
        barrier.wait()
        request.commit()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert look(manager, header) == {"base": True} | {f"name-{n}": n for n in range(40)}


# Conflicts.


def test_last_writer_of_a_name_wins(manager: SessionManager) -> None:
    header = store(manager, n=0)
    one, two = Request(manager, header), Request(manager, header)
    one.session["n"] = 1
    two.session["n"] = 2
    two.commit()
    one.commit()
    assert look(manager, header) == {"n": 1}


def test_on_conflict_decides_between_two_writers(make_manager: MakeManager) -> None:
    asked = []

    def decide(name: str, base: t.Any, ours: t.Any, theirs: t.Any) -> t.Any:
        asked.append((name, base, ours, theirs))
        if MISSING in (base, ours, theirs):
            return MISSING
        return theirs + ours - base

    manager = make_manager(on_conflict=decide)
    header = store(manager, count=10, gone=1, untouched="u")
    one, two = Request(manager, header), Request(manager, header)
    one.session["count"] += 1
    two.session["count"] += 5
    del one.session["gone"]
    two.session["gone"] = 2
    two.session["new"] = "two"
    one.session["alone"] = "one"
    two.commit()
    one.commit()
    assert asked == [("count", 10, 11, 15), ("gone", 1, MISSING, 2)]
    assert look(manager, header) == {
        "count": 16,
        "untouched": "u",
        "new": "two",
        "alone": "one",
    }
    assert one.session["count"] == 16


def test_on_conflict_counts_twenty_concurrent_increments(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(
        on_conflict=lambda name, base, ours, theirs: theirs + ours - base
    )
    header = store(manager, count=0)
    barrier = threading.Barrier(20)

    def increment() -> None:
        request = Request(manager, header)
        request.session["count"] += 1
        barrier.wait()
        request.commit()

    threads = [threading.Thread(target=increment) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert look(manager, header) == {"count": 20}


def test_on_conflict_decides_for_a_regenerating_request_too(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(
        on_conflict=lambda name, base, ours, theirs: theirs + ours - base
    )
    header = store(manager, count=0)
    one, two = Request(manager, header), Request(manager, header)
    one.session["count"] += 1
    two.session["count"] += 1
    two.commit()
    one.session.regenerate()
    assert look(manager, cookie_header(one.commit())) == {"count": 2}

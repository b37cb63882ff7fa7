"""What a session is to an application."""

from __future__ import annotations

import collections.abc as cabc
import copy
import typing as t

import pytest
from visited_session import CREATED
from visited_session import Visitor

from wsgi_redis_session import Session
from wsgi_redis_session.model.changes import Changes
from wsgi_redis_session.model.draft import Draft
from wsgi_redis_session.model.outcome import Outcome
from wsgi_redis_session.model.record import digest
from wsgi_redis_session.model.record import Record
from wsgi_redis_session.model.record import Tombstone
from wsgi_redis_session.store import layout


def test_nothing_is_loaded_before_the_application_looks() -> None:
    visitor = Visitor({"name": "value"})
    session = visitor.session
    assert repr(session) == str(session) == "<Session not loaded>"
    assert not session.modified
    assert not session.accessed
    assert isinstance(session, cabc.MutableMapping)
    assert callable(session.regenerate)
    assert visitor.shelf.loads == 0


LOOKS: dict[str, cabc.Callable[[Session], object]] = {
    "[]": lambda session: session["name"],
    "get": lambda session: session.get("name"),
    "get of nothing": lambda session: session.get("nothing"),
    "in": lambda session: "name" in session,
    "len": len,
    "bool": bool,
    "iter": iter,
    "list": list,
    "dict": dict,
    "==": lambda session: session == {},
    "keys": lambda session: list(session.keys()),
    "values": lambda session: list(session.values()),
    "items": lambda session: list(session.items()),
    "copy": lambda session: session.copy(),
    "set": lambda session: session.update(name=1),
    "del": lambda session: session.pop("name"),
    "clear": lambda session: session.clear(),
    "popitem": lambda session: session.popitem(),
    "setdefault": lambda session: session.setdefault("name", 1),
    "new": lambda session: session.new,
    "id": lambda session: session.id,
    "sid": lambda session: session.sid,
    "created": lambda session: session.created,
    "permanent": lambda session: session.permanent,
    "set permanent": lambda session: setattr(session, "permanent", True),
    "set modified": lambda session: setattr(session, "modified", True),
    "regenerate": lambda session: session.regenerate(),
    "destroy": lambda session: session.destroy(),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_each_look_loads_once(look: cabc.Callable[[Session], object]) -> None:
    visitor = Visitor({"name": "value"})
    look(visitor.session)
    visitor.session.get("name")
    assert visitor.shelf.loads == 1
    assert visitor.session.accessed


def test_loading_unpacks_nothing() -> None:
    visitor = Visitor({"name": "value", "other": [1]})
    assert len(visitor.session) == 2
    assert visitor.session
    assert not visitor.session.new
    visitor.session["third"] = 3
    del visitor.session["other"]
    assert visitor.serializer.loaded == []


def test_value_is_unpacked_once() -> None:
    visitor = Visitor({"name": [1], "other": [2]})
    assert visitor.session["name"] is visitor.session["name"]
    assert visitor.session.get("name") == [1]
    assert visitor.serializer.loaded == [[1]]


def test_error_while_loading_is_raised_at_the_first_look_and_the_next() -> None:
    visitor = Visitor({"name": "value"})

    def fail() -> Draft:
        raise ZeroDivisionError

    visitor.shelf.load = fail  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            visitor.session.get("name")
    assert visitor.session.accessed
    assert repr(visitor.session) == "<Session not loaded>"


def test_repr_shows_neither_the_session_id_nor_a_value() -> None:
    visitor = Visitor({"name": "private"}, permanent=True)
    session = visitor.session
    assert session["name"] == "private"
    assert repr(session) == f"<Session {session.id} permanent>"
    assert session.sid not in f"{session!r}{session}{visitor.record!r}"
    assert "private" not in f"{session!r}{session}{visitor.record!r}"


def test_repr_of_what_a_session_is_made_of_shows_neither() -> None:
    record = Record.fresh(0).revised({"secret": b"value"}, permanent=False)
    stored = layout.read(layout.write(record))
    found = [
        record,
        stored,
        Tombstone.moved(record.sid, record)._replace(frozen=stored),
        Changes.between({}, record.packed),
        Outcome(record.sid),
    ]
    assert record.sid not in repr(found)
    assert "value" not in repr(found)


def test_repr_of_a_new_session_says_so() -> None:
    session = Visitor().session
    assert session.new
    assert repr(session) == f"<Session {session.id} new>"


def test_id_is_a_digest_of_the_session_id() -> None:
    session = Visitor({"name": "value"}).session
    assert session.id == digest(session.sid)
    assert len(session.id) == 24
    assert session.sid[:6] not in session.id


def test_created_is_in_seconds() -> None:
    assert Visitor({"name": "value"}).session.created == CREATED / 1000


def test_session_is_new_until_it_is_saved() -> None:
    visitor = Visitor()
    visitor.session["name"] = "value"
    assert visitor.session.new
    visitor.save()
    assert not visitor.session.new
    assert visitor.session.modified


def test_permanent_is_what_was_loaded_until_it_is_set() -> None:
    for permanent in (True, False):
        session = Visitor({"name": "value"}, permanent=permanent).session
        assert session.permanent is permanent
        assert not session.modified
        session.permanent = not permanent
        assert session.permanent is not permanent
        assert session.modified
        session.permanent = permanent
        assert not session.modified


def test_empty_new_session_is_not_modified_by_becoming_permanent() -> None:
    session = Visitor().session
    session.permanent = True
    assert not session.modified


def test_session_takes_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        Visitor().session.user = "typo"  # type: ignore[attr-defined]


def test_session_is_a_mapping() -> None:
    session = Visitor({"b": 1, "a": [2], "c": None}).session
    assert list(session) == ["b", "a", "c"]
    assert len(session) == 3
    assert session == dict(session) == session.copy() == {"b": 1, "a": [2], "c": None}
    assert list(session.items()) == [("b", 1), ("a", [2]), ("c", None)]
    assert list(session.values()) == [1, [2], None]
    assert "c" in session
    assert "d" not in session
    assert session.get("c", 5) is None
    assert session.get("d", 5) == 5


def test_missing_name_is_a_key_error() -> None:
    session = Visitor({"name": "value"}).session
    for use in (
        lambda: session["nothing"],
        lambda: session.pop("nothing"),
        lambda: session.__delitem__("nothing"),
    ):
        with pytest.raises(KeyError, match="'nothing'"):
            use()
    assert not session.modified


def test_what_is_no_string_is_in_no_session() -> None:
    session = Visitor({"1": 1}).session
    assert 1 not in session
    assert None not in session
    assert session.get(1) is None  # type: ignore[call-overload]


def test_pop_returns_and_removes() -> None:
    visitor = Visitor({"a": 1, "b": 2})
    assert visitor.session.pop("a") == 1
    assert visitor.session.pop("a", 5) == 5
    assert visitor.changes() == ([], ["a"])


def test_popitem_removes_what_was_added_last() -> None:
    visitor = Visitor({"a": 1, "b": 2})
    visitor.session["c"] = 3
    assert [visitor.session.popitem() for _ in "abc"] == [("c", 3), ("b", 2), ("a", 1)]
    with pytest.raises(KeyError):
        visitor.session.popitem()
    assert visitor.changes() == ([], ["a", "b"])


def test_clear_removes_every_name() -> None:
    visitor = Visitor({"a": 1, "b": 2})
    visitor.session["c"] = 3
    visitor.session.clear()
    assert visitor.session == {}
    assert not visitor.session
    assert visitor.changes() == ([], ["a", "b"])
    assert visitor.draft.ended is None


def test_setdefault_sets_only_what_is_missing() -> None:
    visitor = Visitor({"a": 1})
    assert visitor.session.setdefault("a", 5) == 1
    visitor.session.setdefault("b", []).append(2)
    assert visitor.session["b"] == [2]
    assert visitor.changes() == (["b"], [])


def test_update_takes_what_a_dictionary_takes() -> None:
    session = Visitor().session
    session.update({"a": 1}, b=2)
    session.update([("c", 3)])
    assert session == {"a": 1, "b": 2, "c": 3}


def test_copy_is_a_plain_dictionary() -> None:
    visitor = Visitor({"a": 1})
    copied = visitor.session.copy()
    assert type(copied) is dict
    copied["b"] = 2
    assert visitor.changes() == ([], [])


def test_iteration_stands_changes() -> None:
    session = Visitor({"a": 1, "b": 2}).session
    for name in session:
        del session[name]
        session[name * 2] = 1
    assert list(session) == ["aa", "bb"]


@pytest.mark.parametrize("make_copy", [copy.copy, copy.deepcopy])
def test_copy_is_independent(make_copy: cabc.Callable[[Session], t.Any]) -> None:
    visitor = Visitor({"a": 1, "b": [1]})
    copied = make_copy(visitor.session)
    assert type(copied) is dict
    assert copied == {"a": 1, "b": [1]}
    copied["c"] = 1
    del copied["a"]
    assert visitor.session == {"a": 1, "b": [1]}
    assert visitor.changes() == ([], [])


def test_deep_copy_shares_no_value() -> None:
    visitor = Visitor({"b": [1]})
    copy.deepcopy(visitor.session)["b"].append(2)
    assert visitor.changes() == ([], [])


READS: dict[str, cabc.Callable[[Session], object]] = {
    "get": lambda session: session.get("bad"),
    "in": lambda session: "bad" in session,
    "pop": lambda session: session.pop("bad", None),
    "setdefault": lambda session: session.setdefault("bad", None),
    "iter": list,
    "dict": dict,
    "items": lambda session: list(session.items()),
    "values": lambda session: list(session.values()),
    "==": lambda session: session == {},
    "copy": lambda session: session.copy(),
    "for": lambda session: [session[name] for name in session],
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_unreadable_value_makes_the_session_new_and_is_reported(
    read: cabc.Callable[[Session], object],
) -> None:
    visitor = Visitor({"good": 1, "also good": [1]}, ["bad", "worse"])
    sid = visitor.session.sid
    assert not visitor.session.new
    assert visitor.session["also good"] == [1]
    read(visitor.session)
    assert visitor.shelf.unreadable == [visitor.record]
    assert visitor.session.new
    assert visitor.session.sid != sid
    assert "good" not in visitor.session
    assert "also good" not in visitor.session


def test_unreadable_value_is_a_key_error() -> None:
    session = Visitor({"good": 1}, ["bad"]).session
    with pytest.raises(KeyError, match="'bad'"):
        session["bad"]


def test_popitem_of_an_unreadable_session_is_that_of_an_empty_one() -> None:
    visitor = Visitor({"good": 1}, ["bad"])
    with pytest.raises(KeyError):
        visitor.session.popitem()
    assert visitor.shelf.unreadable == [visitor.record]


def test_unreadable_value_that_nobody_asks_for_harms_nobody() -> None:
    visitor = Visitor({"good": 1}, ["bad"])
    assert visitor.session["good"] == 1
    visitor.session["good"] = 2
    assert visitor.changes() == (["good"], [])
    assert visitor.shelf.unreadable == []


def test_unreadable_value_can_be_replaced_or_removed() -> None:
    visitor = Visitor({"good": 1}, ["bad", "worse"])
    visitor.session["bad"] = 2
    del visitor.session["worse"]
    assert visitor.session == {"good": 1, "bad": 2}
    assert visitor.changes() == (["bad"], ["worse"])
    assert visitor.shelf.unreadable == []


def test_what_is_set_after_an_unreadable_value_goes_into_the_new_session() -> None:
    visitor = Visitor({"good": 1}, ["bad"])
    assert visitor.session.get("bad") is None
    visitor.session["name"] = 1
    assert visitor.changes() == (["name"], [])

"""What counts as a change, and what becomes of values that cannot be read."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from datetime import date
from datetime import datetime
from datetime import time
from datetime import timedelta
from datetime import UTC
from decimal import Decimal
from uuid import UUID

import pytest
from markupsafe import Markup
from visited_session import Visitor

from wsgi_redis_session import HeadersAlreadySent
from wsgi_redis_session import NotSerializable
from wsgi_redis_session import Session
from wsgi_redis_session import SessionClosed
from wsgi_redis_session.model.source import Stage


def test_reading_is_no_change() -> None:
    visitor = Visitor({"a": 1, "b": [1, {"c": 2}], "d": "text"})
    assert dict(visitor.session)
    assert not visitor.session.modified
    assert visitor.changes() == ([], [])


@pytest.mark.parametrize(
    ("value", "mutate"),
    [
        ([1], lambda value: value.append(2)),
        ({"a": 1}, lambda value: value.update(a=2)),
        ({1}, lambda value: value.add(2)),
        ({"a": {"b": [1]}}, lambda value: value["a"]["b"].append(2)),
        (([1],), lambda value: value[0].append(2)),
        ([[{"a": {1: [2]}}]], lambda value: value[0][0]["a"][1].clear()),
    ],
)
def test_nested_mutation_is_a_change(
    value: t.Any, mutate: cabc.Callable[[t.Any], object]
) -> None:
    visitor = Visitor({"name": value, "other": [1]})
    mutate(visitor.session["name"])
    assert visitor.session.modified
    assert visitor.changes() == (["name"], [])


def test_mutation_after_a_look_at_modified_is_a_change() -> None:
    visitor = Visitor({"name": [1]})
    value = visitor.session["name"]
    assert not visitor.session.modified
    value.append(2)
    assert visitor.session.modified
    value.pop()
    assert not visitor.session.modified


def test_mutation_after_a_save_is_a_change() -> None:
    visitor = Visitor()
    value = visitor.session["name"] = [1]
    visitor.save()
    assert visitor.changes() == ([], [])
    value.append(2)
    assert not visitor.draft.is_untouched
    assert visitor.changes() == (["name"], [])


def test_session_with_nothing_handed_out_is_settled_after_a_save() -> None:
    visitor = Visitor({"a": [1]})
    visitor.session["b"] = 1
    assert not visitor.draft.is_untouched
    visitor.save()
    assert visitor.draft.is_untouched


def test_setting_an_equal_value_is_no_change() -> None:
    visitor = Visitor({"a": 1, "b": [1, 2]})
    visitor.session["a"] = 1
    visitor.session["b"] = [1, 2]
    assert visitor.changes() == ([], [])


def test_setting_and_removing_is_no_change() -> None:
    visitor = Visitor({"a": 1})
    visitor.session["b"] = 2
    del visitor.session["b"]
    assert visitor.changes() == ([], [])
    assert not visitor.session.modified


def test_removing_and_setting_again_is_no_change() -> None:
    visitor = Visitor({"a": 1, "b": 2})
    visitor.session["a"] = visitor.session.pop("a")
    assert visitor.changes() == ([], [])


def test_value_of_another_type_is_a_change() -> None:
    visitor = Visitor({"a": 1, "b": "1", "c": (1,)})
    visitor.session.update(a=True, b=Markup("1"), c=[1])
    assert visitor.changes() == (["a", "b", "c"], [])


IMMUTABLE = [
    None,
    True,
    1,
    2**70,
    1.5,
    "text",
    b"bytes",
    Markup("<b>"),
    UUID(int=1),
    Decimal("1.50"),
    date(2024, 1, 1),
    time(1, 2),
    datetime(2024, 1, 1, tzinfo=UTC),
    timedelta(1),
]


@pytest.mark.parametrize("value", IMMUTABLE, ids=lambda value: type(value).__name__)
def test_immutable_value_that_was_read_is_not_packed_again(value: t.Any) -> None:
    visitor = Visitor({"name": value, "other": value})
    assert visitor.session["name"] == value
    visitor.session["third"] = 3
    assert visitor.changes() == (["third"], [])
    assert visitor.serializer.dumped == [3]


def test_value_that_nobody_asked_for_is_not_packed_again() -> None:
    visitor = Visitor({"name": [1], "other": [2]})
    visitor.session["other"].append(3)
    assert visitor.changes() == (["other"], [])
    assert visitor.serializer.dumped == [[2, 3]]


def test_value_that_was_set_is_packed_when_it_is_saved_not_before() -> None:
    visitor = Visitor()
    value = visitor.session["name"] = [1]
    value.append(2)
    assert visitor.serializer.dumped == []
    visitor.save()
    assert visitor.serializer.dumped == [[1, 2]]


def test_value_that_cannot_be_stored_names_the_session_key() -> None:
    visitor = Visitor({"a": 1})
    visitor.session["cart"] = {"items": [object()]}
    with pytest.raises(NotSerializable, match=r"session\['cart'\].*builtins.object"):
        visitor.changes()
    assert visitor.session.modified


def test_serializer_may_raise_a_type_error_or_a_value_error() -> None:
    for error in (TypeError, ValueError):
        visitor = Visitor()
        visitor.session["name"] = 1

        def fail(value: t.Any, error: type[Exception] = error) -> bytes:
            raise error("its reason")

        visitor.serializer.dumps = fail  # type: ignore[method-assign]
        with pytest.raises(NotSerializable, match="its reason"):
            visitor.changes()


def test_modified_set_to_true_stays() -> None:
    session = Visitor({"a": 1}).session
    session.modified = True
    assert session.modified
    assert session["a"] == 1
    assert session.modified


def test_modified_set_to_false_keeps_changes_from_being_saved() -> None:
    visitor = Visitor({"a": 1, "b": [1], "c": 2})
    visitor.session["a"] = 5
    visitor.session["b"].append(2)
    del visitor.session["c"]
    visitor.session.modified = False
    assert not visitor.session.modified
    assert visitor.changes() == ([], [])
    assert visitor.session["a"] == 5


@pytest.mark.parametrize("flag", [True, False])
def test_change_after_the_flag_was_set_is_saved(flag: bool) -> None:
    for change in (
        lambda session: session.update(b=2),
        lambda session: session.pop("a"),
        lambda session: session.clear(),
    ):
        visitor = Visitor({"a": 1})
        visitor.session.modified = flag
        change(visitor.session)
        assert visitor.session.modified
        assert visitor.changes() != ([], [])


def test_new_session_is_modified_when_something_is_set() -> None:
    session = Visitor().session
    assert not session.modified
    session["a"] = 1
    assert session.modified


def test_regenerate_records_the_wish_and_keeps_the_values() -> None:
    visitor = Visitor({"a": 1})
    sid = visitor.session.sid
    visitor.session.regenerate()
    assert visitor.session == {"a": 1}
    assert visitor.session.modified
    assert visitor.draft.wants_new_sid
    assert visitor.session.sid == sid


def test_destroy_empties_the_session_and_gives_it_another_id() -> None:
    visitor = Visitor({"a": [1]}, permanent=True)
    sid, handed_out = visitor.session.sid, visitor.session["a"]
    visitor.session.destroy()
    handed_out.append(2)
    assert visitor.session == {}
    assert visitor.session.new
    assert not visitor.session.permanent
    assert visitor.session.modified
    assert visitor.session.sid != sid
    assert visitor.draft.ended is visitor.record


def test_what_is_set_after_destroy_goes_into_a_new_session() -> None:
    visitor = Visitor({"a": 1, "b": 2})
    visitor.session["c"] = 3
    visitor.session.destroy()
    visitor.session["b"] = 2
    assert visitor.session == {"b": 2}
    assert visitor.changes() == (["b"], [])
    assert visitor.draft.ended is visitor.record


def test_session_that_is_destroyed_twice_ends_the_stored_one() -> None:
    visitor = Visitor({"a": 1})
    visitor.session.destroy()
    visitor.session["b"] = 2
    visitor.session.destroy()
    assert visitor.session == {}
    assert visitor.draft.ended is visitor.record


def test_destroy_forgets_an_earlier_wish() -> None:
    visitor = Visitor({"a": 1})
    visitor.session.regenerate()
    visitor.session.modified = False
    visitor.session.destroy()
    assert visitor.session.modified
    assert not visitor.draft.wants_new_sid


def test_new_session_that_is_destroyed_is_not_modified() -> None:
    session = Visitor().session
    session["a"] = 1
    session.destroy()
    assert session == {}
    assert not session.modified


def test_stored_session_may_change_after_the_headers() -> None:
    visitor = Visitor({"a": 1}, permanent=True)
    visitor.shelf.stage = Stage.STREAMING
    visitor.session["b"] = 2
    visitor.session.permanent = True
    assert visitor.changes() == (["b"], [])
    assert visitor.shelf.refused == []


@pytest.mark.parametrize(
    "change",
    [
        lambda session: session.regenerate(),
        lambda session: setattr(session, "permanent", True),
        lambda session: session.destroy() or session.update(a=1),
    ],
)
def test_what_needs_a_cookie_is_refused_after_the_headers(
    change: cabc.Callable[[Session], object],
) -> None:
    visitor = Visitor({"a": 1})
    visitor.shelf.stage = Stage.STREAMING
    with pytest.raises(HeadersAlreadySent):
        change(visitor.session)
    assert len(visitor.shelf.refused) == 1


def test_new_session_is_refused_after_the_headers_naming_the_name() -> None:
    visitor = Visitor()
    visitor.shelf.stage = Stage.STREAMING
    assert visitor.session.get("a") is None
    with pytest.raises(HeadersAlreadySent, match="'a' in a new session"):
        visitor.session["a"] = 1
    assert visitor.session == {}


def test_stored_session_may_end_after_the_headers() -> None:
    visitor = Visitor({"a": 1})
    visitor.shelf.stage = Stage.STREAMING
    visitor.session.destroy()
    assert visitor.session == {}
    assert visitor.shelf.refused == []


@pytest.mark.parametrize(
    "change",
    [
        lambda session: session.update(b=2),
        lambda session: session.pop("a"),
        lambda session: session.clear(),
        lambda session: session.regenerate(),
        lambda session: session.destroy(),
        lambda session: setattr(session, "permanent", True),
        lambda session: setattr(session, "modified", True),
    ],
)
@pytest.mark.parametrize("is_loaded", [True, False])
def test_change_after_the_request_is_over_is_an_error(
    change: cabc.Callable[[Session], object], is_loaded: bool
) -> None:
    visitor = Visitor({"a": 1})
    if is_loaded:
        assert visitor.session["a"] == 1
    visitor.shelf.stage = Stage.OVER
    with pytest.raises(SessionClosed, match="request of this session is over"):
        change(visitor.session)
    assert visitor.session == {"a": 1}
    assert visitor.changes() == ([], [])


def test_change_after_the_application_failed_is_no_error() -> None:
    visitor = Visitor({"a": 1})
    visitor.shelf.stage = Stage.FAILED
    visitor.session["b"] = 2
    visitor.session.regenerate()
    visitor.session.destroy()


def test_value_that_can_be_read_but_not_even_compared_is_no_change() -> None:
    visitor = Visitor({"a": 1})
    inner = b"\x91" * 900 + b"\xc0"
    deep = b"\x91" * 900 + b"\xc9" + len(inner).to_bytes(4) + b"\x01" + inner
    visitor.draft.settle(
        visitor.draft.base.revised({"a": b"\x01", "deep": deep}, False),
        visitor.draft.changes(),
    )
    assert visitor.session["deep"]
    visitor.session["a"] = 2
    assert visitor.changes() == (["a"], [])


def test_value_that_can_be_read_but_not_stored_is_no_change() -> None:
    nested: list[t.Any] = []
    for _ in range(500):
        nested = [nested]
    visitor = Visitor({"a": 1})
    deep = b"\x91" * 500 + b"\x90"
    visitor.draft.settle(
        visitor.draft.base.revised({"a": b"\x01", "deep": deep}, False),
        visitor.draft.changes(),
    )
    assert visitor.session["deep"] == nested
    visitor.session["a"] = 2
    assert visitor.changes() == (["a"], [])
    visitor.session["deep"][0].append(1)
    with pytest.raises(NotSerializable):
        visitor.changes()

from __future__ import annotations

import collections.abc as cabc
import copy
import enum
import typing as t
from datetime import date
from datetime import datetime
from datetime import time
from datetime import timedelta
from datetime import UTC
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from markupsafe import Markup

from wsgi_redis_session import HeadersAlreadySent
from wsgi_redis_session import NotSerializable
from wsgi_redis_session import Session
from wsgi_redis_session import SessionClosed
from wsgi_redis_session.model.changes import Changes
from wsgi_redis_session.model.draft import Draft
from wsgi_redis_session.model.record import digest
from wsgi_redis_session.model.record import Record
from wsgi_redis_session.model.record import State
from wsgi_redis_session.model.serializer import MessagePackSerializer
from wsgi_redis_session.model.serializer import Serializer
from wsgi_redis_session.model.source import Stage

quick = settings(max_examples=200, deadline=None, derandomize=True)

CREATED = 1_800_000_000_500


class CountingSerializer(MessagePackSerializer):
    """Tells what was packed and what was unpacked."""

    def __init__(self) -> None:
        self.dumped: list[t.Any] = []
        self.loaded: list[t.Any] = []

    def dumps(self, value: t.Any, /) -> bytes:
        self.dumped.append(value)
        return super().dumps(value)

    def loads(self, data: bytes, /) -> t.Any:
        value = super().loads(data)
        self.loaded.append(value)
        return value


class Shelf:
    """A source of one session, which says what it was asked."""

    def __init__(self, record: Record | None, serializer: Serializer) -> None:
        self.record = record
        self.serializer = serializer
        self.stage = Stage.OPEN
        self.draft: Draft | None = None
        self.loads = 0
        self.unreadable: list[Record] = []
        self.refused: list[str] = []

    def load(self) -> Draft:
        self.loads += 1
        state = State.NEW if self.record is None else State.LIVE
        base = self.record or self.fresh()
        self.draft = Draft(base, state, self.serializer, self)
        return self.draft

    def fresh(self) -> Record:
        return Record.fresh(CREATED)

    def undecodable(self, record: Record) -> None:
        self.unreadable.append(record)

    def refuse(self, record: Record, change: str) -> t.NoReturn:
        self.refused.append(change)
        raise HeadersAlreadySent(change)


def stored(packed: dict[str, bytes], *, permanent: bool = False) -> Record:
    return Record.fresh(CREATED).revised(packed, permanent)


class Visitor:
    """A session, and what is around it."""

    def __init__(
        self,
        values: dict[str, t.Any] | None = None,
        unreadable: cabc.Iterable[str] = (),
        *,
        permanent: bool = False,
    ) -> None:
        pack = MessagePackSerializer().dumps
        packed = {name: pack(value) for name, value in (values or {}).items()}
        packed.update((name, b"\xc1") for name in unreadable)
        self.record = stored(packed, permanent=permanent) if packed else None
        self.serializer = CountingSerializer()
        self.shelf = Shelf(self.record, self.serializer)
        self.session = Session(self.shelf)

    @property
    def draft(self) -> Draft:
        """What was loaded, now if it was not before."""
        if self.shelf.draft is None:
            len(self.session)
        assert self.shelf.draft is not None
        return self.shelf.draft

    def changes(self) -> tuple[list[str], list[str]]:
        """The names that are to be saved, and those that are to be removed."""
        changes = self.draft.changes()
        return changes.changed, changes.removed

    def save(self) -> None:
        """As a commit does."""
        changes = self.draft.changes()
        ours = self.draft.base.revised(changes.packed, self.session.permanent)
        self.draft.settle(ours, changes)


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


@pytest.mark.parametrize("name", [1, None, b"name", ("a",), 1.5, True])
def test_names_are_strings(name: t.Any) -> None:
    session = Visitor().session
    with pytest.raises(TypeError, match=f"not {type(name).__name__}$"):
        session[name] = 1
    assert not session


def test_name_without_bytes_is_refused() -> None:
    session = Visitor().session
    with pytest.raises(ValueError, match="surrogates"):
        session["\ud800"] = 1
    assert not session


def test_name_of_a_subclass_of_str_is_stored_as_str() -> None:
    class Name(enum.StrEnum):
        USER = "user"

    for name in (Name.USER, Markup("user")):
        session = Visitor().session
        session[name] = 1
        assert [type(name) for name in session] == [str]
        assert session["user"] == session[name] == 1


names = st.sampled_from("abcd")
plain = st.integers(0, 3) | st.text("xy", max_size=2)
values = plain | st.lists(plain, max_size=2) | st.dictionaries(names, plain, max_size=2)
steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "set",
                "del",
                "get",
                "mutate",
                "pop",
                "popitem",
                "setdefault",
                "update",
                "clear",
                "list",
                "len",
                "save",
            ]
        ),
        names,
        values,
    ),
    max_size=12,
)


def apply(step: str, target: t.Any, name: str, value: t.Any) -> t.Any:
    """One step on a session or on the dictionary that it is compared with."""
    if step == "set":
        target[name] = copy.deepcopy(value)
    elif step == "del" and name in target:
        del target[name]
    elif step == "mutate" and isinstance(target.get(name), list):
        target[name].append(1)
    elif step == "mutate" and isinstance(target.get(name), dict):
        target[name]["new"] = 1
    elif step == "popitem" and target:
        return target.popitem()
    elif step == "clear":
        target.clear()
    elif step in ("list", "len"):
        return {"list": list, "len": len}[step](target)
    elif step in ("get", "pop", "setdefault"):
        return copy.deepcopy(getattr(target, step)(name, copy.deepcopy(value)))
    elif step == "update":
        target.update({name: copy.deepcopy(value)}, d=1)
    return None


@quick
@given(st.dictionaries(names, values), steps)
def test_session_behaves_as_a_dictionary_and_knows_what_has_changed(
    base: dict[str, t.Any], steps: list[tuple[str, str, t.Any]]
) -> None:
    visitor = Visitor(base)
    session, model, saved = visitor.session, copy.deepcopy(base), base
    for step, name, value in steps:
        if step == "save" and visitor.shelf.loads:
            visitor.save()
            saved = copy.deepcopy(model)
        else:
            assert apply(step, session, name, value) == apply(step, model, name, value)
    assert list(session.items()) == list(model.items())
    changed, removed = visitor.changes()
    expected = [n for n in model if n not in saved or saved[n] != model[n]]
    assert sorted(changed) == sorted(expected)
    assert set(removed) == set(saved) - set(model)


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


packed = st.dictionaries(st.sampled_from("abcdefgh"), st.binary(max_size=2))


@quick
@given(packed, packed)
def test_changes_onto_what_they_were_made_from_are_what_was_wanted(
    base: dict[str, bytes], ours: dict[str, bytes]
) -> None:
    assert Changes.between(base, ours).onto(base) == ours
    assert Changes.between(base, base).onto(ours) == ours


@quick
@given(packed, packed, packed, st.sets(st.sampled_from("abcdefgh")))
def test_disjoint_changes_commute_and_none_is_lost(
    base: dict[str, bytes],
    ours: dict[str, bytes],
    theirs: dict[str, bytes],
    is_ours: set[str],
) -> None:
    # Each may change its own names only.
    ours = {n: v for n, v in {**base, **ours}.items() if n in is_ours or n in base}
    ours.update((n, v) for n, v in base.items() if n not in is_ours)
    theirs = {n: v for n, v in theirs.items() if n not in is_ours}
    theirs.update((n, v) for n, v in base.items() if n in is_ours)
    mine, others = Changes.between(base, ours), Changes.between(base, theirs)
    assert not {*mine.changed, *mine.removed} & {*others.changed, *others.removed}
    merged = mine.onto(theirs)
    assert merged == others.onto(ours)
    for name in "abcdefgh":
        side = ours if name in is_ours else theirs
        assert merged.get(name) == side.get(name)


@quick
@given(packed, packed, packed)
def test_of_two_changes_of_one_name_the_one_that_is_applied_wins(
    base: dict[str, bytes], ours: dict[str, bytes], theirs: dict[str, bytes]
) -> None:
    changes = Changes.between(base, ours)
    merged = changes.onto(theirs)
    for name in [*changes.changed, *changes.removed]:
        assert merged.get(name) == ours.get(name)
    for name in set(theirs) - {*changes.changed, *changes.removed}:
        assert merged[name] == theirs[name]


@quick
@given(packed, packed, packed)
def test_merging_twice_is_merging_once(
    base: dict[str, bytes], ours: dict[str, bytes], theirs: dict[str, bytes]
) -> None:
    changes = Changes.between(base, ours)
    assert changes.onto(changes.onto(theirs)) == changes.onto(theirs)


def test_merging_keeps_the_order_of_what_is_stored() -> None:
    changes = Changes.between({"a": b"1", "b": b"1"}, {"n": b"2", "a": b"2"})
    merged = changes.onto({"c": b"3", "b": b"3", "a": b"3", "d": b"3"})
    assert list(merged.items()) == [
        ("c", b"3"),
        ("a", b"2"),
        ("d", b"3"),
        ("n", b"2"),
    ]

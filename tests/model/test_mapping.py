"""A session is a mapping."""

from __future__ import annotations

import copy
import enum
import typing as t

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from markupsafe import Markup
from visited_session import Visitor

quick = settings(max_examples=200, deadline=None, derandomize=True)


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

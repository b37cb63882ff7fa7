"""Changes of two requests, merged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from wsgi_redis_session.model.changes import Changes

quick = settings(max_examples=200, deadline=None, derandomize=True)

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

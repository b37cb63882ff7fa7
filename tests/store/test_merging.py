"""What ``save.lua`` stores when it merges is what ``Changes.onto`` merges in Python."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st

from wsgi_redis_session import SessionManager
from wsgi_redis_session.lifetimes import Expiry
from wsgi_redis_session.model.changes import Changes
from wsgi_redis_session.model.record import Record
from wsgi_redis_session.store import layout
from wsgi_redis_session.store.results import Limits
from wsgi_redis_session.store.results import Saved
from wsgi_redis_session.store.results import TooLarge
from wsgi_redis_session.store.sessions import RedisStore
from wsgi_redis_session.transport.deadline import Deadline

MakeManager = cabc.Callable[..., SessionManager]
Packed = dict[str, bytes]

CREATED = 1_800_000_000_000
EXPIRY = Expiry(transient=60_000, permanent=90_000)
NO_LIMITS = Limits(0, 0)

#: How long a server may take that is asked for much, in seconds.
PATIENCE = 30

#: Lengths around those at which MessagePack takes a longer head for a name or a value.
LENGTHS = st.sampled_from([1, 31, 32, 255, 256, 65_535, 65_536])

names = st.sampled_from(["a", "b", "é", "日本", "\0", ""]) | st.builds(
    str.__mul__, st.sampled_from(["n", "ü"]), LENGTHS
)
values = st.binary(min_size=1, max_size=3) | st.builds(
    bytes.__mul__, st.sampled_from([b"\x00", b"\xc1"]), LENGTHS
)


def numbered(count: int) -> Packed:
    """As many names, around those numbers at which a map takes a longer head."""
    return {f"name {number}": b"\x01" for number in range(count)}


sessions = st.builds(
    dict.__or__,
    st.sampled_from([0, 12, 14, 15, 16, 17]).map(numbered),
    st.dictionaries(names, values, max_size=4),
)


class Versions(t.NamedTuple):
    """One session as it was, as others have stored it meanwhile, and as we want it."""

    base: Packed
    theirs: Packed
    ours: Packed

    @property
    def changes(self) -> Changes:
        return Changes.between(self.base, self.ours)


@st.composite
def versions(draw: st.DrawFn) -> Versions:
    """Versions that have much in common, as those of one session have."""
    base = draw(sessions)

    def changed() -> Packed:
        removed = draw(st.sets(st.sampled_from([*base] or [""])))
        kept = {name: base[name] for name in base if name not in removed}
        return kept | draw(
            st.dictionaries(names | st.sampled_from([*base, "a"]), values)
        )

    return Versions(base, changed(), changed())


class Writers:
    """Those who store versions of one session, each without knowing of the other."""

    def __init__(self, manager: SessionManager) -> None:
        self._transport = manager.store.transport

    def store(self, limits: Limits) -> RedisStore:
        return RedisStore(self._transport, "merging:", limits, None)

    def save(
        self, base: Record, version: Packed, limits: Limits = NO_LIMITS
    ) -> Saved | TooLarge:
        """What somebody is told who had loaded ``base``."""
        saved = self.store(limits).save(
            Deadline(PATIENCE),
            base,
            base.revised(version, permanent=False),
            Changes.between(base.packed, version),
            EXPIRY,
            sets_kind=False,
        )
        assert isinstance(saved, (Saved, TooLarge))
        return saved

    def begin(self, versions: Versions) -> Record:
        """What the session was, before others have stored their version of it."""
        base = Record.fresh(CREATED).revised(versions.base, permanent=False)
        assert self.store(NO_LIMITS).create(Deadline(PATIENCE), base, EXPIRY.transient)
        assert isinstance(self.save(base, versions.theirs), Saved)
        return base

    def load(self, base: Record) -> Packed:
        store = self.store(NO_LIMITS)
        found = store.load(Deadline(PATIENCE), base.sid, base.drawn)
        assert isinstance(found, Record)
        return dict(found.packed)


@pytest.fixture
def writers(make_manager: MakeManager) -> Writers:
    return Writers(make_manager(read_timeout=PATIENCE))


def in_one_server(test: cabc.Callable[..., None]) -> cabc.Callable[..., None]:
    """Each example is a session of its own."""
    return settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )(test)


@in_one_server
@given(versions())
@example(Versions({"a": b"\x01"}, {"a": b"\x01", "b": b"\x02"}, {}))
@example(Versions({"a": b"\x01"}, {}, {}))
@example(Versions({"a": b"\x01"}, {}, {"a": b"\x01", "b": b"\x02"}))
@example(Versions({}, {"a": b"\x01"}, {"a": b"\x02"}))
@example(Versions(numbered(65_534), numbered(65_535), {**numbered(65_534), "a": b"\2"}))
@example(Versions(numbered(65_536), numbered(65_537), numbered(65_534)))
def test_what_is_stored_is_what_is_merged_in_python(
    writers: Writers, versions: Versions
) -> None:
    base = writers.begin(versions)
    told = writers.save(base, versions.ours)
    merged = versions.changes.onto(versions.theirs)
    assert isinstance(told, Saved)
    # In the same order, too: the application sees it.
    assert [*told.record.packed.items()] == [*merged.items()]
    assert [*writers.load(base).items()] == [*merged.items()]


@in_one_server
@given(versions(), st.integers(-2, 2), st.integers(-2, 2))
def test_limits_hold_for_what_python_would_merge(
    writers: Writers, versions: Versions, spare_bytes: int, spare_names: int
) -> None:
    base = writers.begin(versions)
    merged = versions.changes.onto(versions.theirs)
    whole = len(layout.write(base.revised(merged, permanent=False)))
    # Without the header, and without what each name may take beside itself.
    size = whole - 63 - 10 * len(merged)
    assert size <= sum(len(name.encode() + merged[name]) for name in merged)
    # 0 would be no limit.
    limits = Limits(max(1, size + spare_bytes), max(1, len(merged) + spare_names))
    told = writers.save(base, versions.ours, limits)
    # Who only takes away may always save.
    grows = bool(versions.changes.changed)
    if grows and size > limits.max_bytes:
        assert told == TooLarge(size, "bytes", limits.max_bytes)
    elif grows and len(merged) > limits.max_names:
        assert told == TooLarge(len(merged), "names", limits.max_names)
    else:
        assert isinstance(told, Saved)
    stored = merged if isinstance(told, Saved) else versions.theirs
    assert [*writers.load(base).items()] == [*stored.items()]

"""Values of another library that were made to take long."""

from __future__ import annotations

import contextlib
import itertools
import pickle
import typing as t

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from wsgi_redis_session.errors import Undecodable
from wsgi_redis_session.legacy.reader import LegacyReader
from wsgi_redis_session.model.messagepack import count_tuple_keys

reader = LegacyReader(["a test"], allow_pickle=True)

#: Which have all the same hash, because -1 and -2 have.
COLLIDING = list(itertools.product((-1, -2), repeat=12))


def packed(values: t.Any) -> bytes:
    return ormsgpack.packb(values, option=ormsgpack.OPT_NON_STR_KEYS)


def colliding_map() -> bytes:
    """A session with 57 kB of keys, made without hashing them."""
    keys = [packed(list(key)) + b"\x01" for key in COLLIDING]
    return b"\x81\xa1a\xde" + len(keys).to_bytes(2) + b"".join(keys)


def test_keys_have_one_hash() -> None:
    assert len(set(map(hash, COLLIDING))) == 1


def test_keys_that_were_chosen_to_have_one_hash_are_refused() -> None:
    with pytest.raises(Undecodable, match="more than 1000 keys are tuples"):
        reader.loads(colliding_map())
    noted = b"".join(pickle.dumps(key, 1)[:-1] + b"K\x01" for key in COLLIDING)
    with pytest.raises(Undecodable, match="ValueError"):
        reader.loads(b"\x80\x02}X\x01\0\0\0a}(" + noted + b"us.")


@pytest.mark.parametrize("dumps", [packed, pickle.dumps])
def test_as_many_tuples_as_a_cart_may_have_are_read(dumps: t.Any) -> None:
    values = {"cart": {(number, "red"): number for number in range(1000)}}
    assert reader.loads(dumps(values)) == (values, False)


#: For which MessagePack has tags of their own, and then takes one, two, four bytes.
sizes = st.sampled_from([0, 1, 2, 4, 8, 16, 17, 31, 32, 255, 256, 65_535, 65_536])

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | sizes.map(lambda size: "x" * size)
    | sizes.map(bytes)
    | st.builds(ormsgpack.Ext, st.integers(0, 127), sizes.map(bytes)),
    lambda inner: (
        st.lists(inner, max_size=17)
        | st.dictionaries(
            st.text() | st.integers(0, 9) | st.tuples(st.text(), st.tuples(st.text())),
            inner,
            max_size=17,
        )
    ),
    max_leaves=20,
)


def tuple_keys(value: t.Any) -> int:
    if isinstance(value, dict):
        found = sum(isinstance(key, tuple) for key in value)
        return found + sum(map(tuple_keys, value.values()))
    return sum(map(tuple_keys, value)) if isinstance(value, list) else 0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(plain)
def test_keys_are_counted_in_whatever_messagepack_can_hold(value: t.Any) -> None:
    assert count_tuple_keys(packed({"a": value})) == tuple_keys(value)


@given(st.binary())
def test_arbitrary_bytes_are_counted_or_are_too_short(data: bytes) -> None:
    with contextlib.suppress(LookupError):
        assert count_tuple_keys(data) <= len(data)

from __future__ import annotations

import collections.abc as cabc
import json
import secrets
import tracemalloc
import typing as t
import zlib

import pytest
import redis
from visitors import look
from visitors import Request
from visitors import store

from wsgi_redis_session import CompressedSerializer
from wsgi_redis_session import NotSerializable
from wsgi_redis_session import SessionManager
from wsgi_redis_session.errors import Undecodable
from wsgi_redis_session.model.serializer import MessagePackSerializer

MakeManager = cabc.Callable[..., SessionManager]

LONG = [{"sku": f"a-{n}", "quantity": n} for n in range(200)]

serializer = CompressedSerializer()
plain = MessagePackSerializer()


class JsonSerializer:
    def dumps(self, value: t.Any) -> bytes:
        return json.dumps(value).encode()

    def loads(self, data: bytes) -> t.Any:
        return json.loads(data)


class MarkedSerializer:
    """Its bytes may begin with anything."""

    def dumps(self, value: bytes) -> bytes:
        return value

    def loads(self, data: bytes) -> bytes:
        return data


def test_long_value_is_stored_shorter_and_comes_back() -> None:
    packed = serializer.dumps(LONG)
    assert len(packed) < len(plain.dumps(LONG)) / 3
    assert serializer.loads(packed) == LONG


def test_value_below_the_threshold_is_stored_as_it_is() -> None:
    for value in ("Ada", None, 1, "x" * 1000, LONG[:3]):
        assert serializer.dumps(value) == plain.dumps(value)
    assert len(serializer.dumps("x" * 1024)) < 100
    assert len(CompressedSerializer(threshold=10).dumps("x" * 100)) < 30


def test_value_that_compression_does_not_shorten_is_stored_as_it_is() -> None:
    value = secrets.token_bytes(2000)
    assert serializer.dumps(value) == plain.dumps(value)


def test_value_that_was_stored_before_is_read() -> None:
    assert serializer.loads(plain.dumps(LONG)) == LONG


def test_other_serializer_may_be_wrapped() -> None:
    wrapped = CompressedSerializer(JsonSerializer())
    assert wrapped.loads(wrapped.dumps(LONG)) == LONG
    assert wrapped.dumps("Ada") == b'"Ada"'


@pytest.mark.parametrize(
    "value", [b"", b"\xc1", b"\xc1z", b"\xc1r", b"\xc1zz", b"\xc1s"]
)
def test_bytes_of_another_serializer_are_never_taken_for_ours(value: bytes) -> None:
    wrapped = CompressedSerializer(MarkedSerializer())
    assert wrapped.loads(wrapped.dumps(value)) == value


def test_small_value_that_unpacks_to_something_enormous_is_refused_in_little_room() -> (
    None
):
    bomb = b"\xc1z" + zlib.compress(bytes(200 * 1024 * 1024), 9)
    limited = CompressedSerializer(max_bytes=100_000)
    tracemalloc.start()
    with pytest.raises(Undecodable, match="too large"):
        limited.loads(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1024 * 1024


def test_value_that_could_not_be_read_again_is_not_stored() -> None:
    limited = CompressedSerializer(max_bytes=5000)
    with pytest.raises(NotSerializable, match="max_bytes=5000"):
        limited.dumps("x" * 5000)
    assert limited.loads(limited.dumps("x" * 4990)) == "x" * 4990


def test_damaged_value_is_refused() -> None:
    packed = serializer.dumps(LONG)
    for damaged in (packed[:-1], packed[:40], packed + b"x", b"\xc1z", b"\xc1zabc"):
        with pytest.raises(Undecodable):
            serializer.loads(damaged)


@pytest.mark.parametrize("encrypt", [False, True])
def test_session_is_compressed_and_sealed(
    make_manager: MakeManager, db: redis.Redis, encrypt: bool
) -> None:
    manager = make_manager(serializer=CompressedSerializer(), encrypt=encrypt)
    header = store(manager, cart=LONG, user="Ada")
    assert db.strlen(db.keys()[0]) < len(plain.dumps(LONG)) / 2
    one, two = Request(manager, header), Request(manager, header)
    one.session["cart"].append("last")
    two.session["other"] = 1
    one.commit()
    two.commit()
    assert look(manager, header) == {"cart": [*LONG, "last"], "user": "Ada", "other": 1}

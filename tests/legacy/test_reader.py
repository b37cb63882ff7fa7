"""Cookies and stored sessions of other libraries, and what is neither."""

from __future__ import annotations

import json
import pickle
import re
import typing as t
import uuid

import msgspec
import pytest
from conftest import SECRET_KEY
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Signer
from legacy_reading import quick
from legacy_reading import reader
from legacy_reading import refusal

from wsgi_redis_session.legacy.reader import LegacyReader

SID = "Dq7n0qKkmNnJx2v8Qw3T1y5Z6a9B-c_dEfGhIjKlMnO"


def signed(sid: str, key: str | bytes = SECRET_KEY, **options: t.Any) -> str:
    options = {"salt": "flask-session", "key_derivation": "hmac"} | options
    return Signer(key, **options).sign(sid).decode()


def test_signed_cookie_is_tried_with_every_secret_key() -> None:
    keys = ["new", b"old \xff", SECRET_KEY]
    several = LegacyReader(keys, allow_pickle=False)
    for key in keys:
        assert several.sid(signed(SID, key)) == SID
    assert several.sid(signed(SID, "another")) is None


def test_no_secret_key_verifies_no_signature() -> None:
    assert LegacyReader([], allow_pickle=False).sid(signed(SID)) is None


@pytest.mark.parametrize(
    "cookie",
    [
        signed(SID)[:-1],
        signed(SID)[:-1] + ("A" if signed(SID)[-1] != "A" else "Q"),
        signed(SID) + "A",
        "x" + signed(SID),
        signed(SID, salt="another"),
        signed(SID, key_derivation="django-concat"),
        signed("short"),
        signed("x" * 129),
        signed("x" * 20 + "*"),
        signed(f"{SID}.{SID}"),
        signed(signed(SID)),
        f"{SID}.",
        f".{SID}",
        "",
        ".",
        "x" * 15,
        "x" * 129,
        f"{SID}\n",
        f" {SID}",
        f'"{SID}"',
        f"{SID[:-1]}*",
        f"../{SID}",
        f"{SID[:-1]}ë",
        f"{SID}.{'ë' * 27}",
        f"{SID}.{chr(0xD800) * 27}",
        f"{SID}\x00",
        "eyJhIjoxfQ.Zx3b1A.yQ0ZqO2mA3s5dF7gH9jK1lZ3xC5",
        "x" * 100_000,
    ],
)
def test_anything_else_in_a_cookie_is_no_session_id(cookie: str) -> None:
    assert reader.sid(cookie) is None


@pytest.mark.parametrize("sid", ["x" * 16, "_" * 128, str(uuid.UUID(int=7)), SID])
def test_session_id_is_read_signed_or_not(sid: str) -> None:
    assert reader.sid(sid) == sid
    assert reader.sid(signed(sid)) == sid


@quick
@given(st.text(st.characters(), max_size=200) | st.from_regex(r"[\w-]{16}\.[\w-]{27}"))
def test_no_cookie_makes_the_reader_raise(cookie: str) -> None:
    sid = reader.sid(cookie)
    assert sid is None or re.fullmatch("[A-Za-z0-9_-]{16,128}", sid)


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b"{}", {}),
        (b'{"a":[1,2.5,null,true,"\xc3\xab"]}', {"a": [1, 2.5, None, True, "ë"]}),
        (b"\x80", {}),
        (b"\x81\xa1a\x01", {"a": 1}),
        (b"\xde\x00\x01\xa1a\x01", {"a": 1}),
        (b"\xdf\x00\x00\x00\x01\xa1a\x01", {"a": 1}),
        (b"\x80\x02}.", {}),
        (b"\x80\x03}.", {}),
        (b"\x80\x04}.", {}),
        (b"\x80\x05}.", {}),
        (b"(dp0\n.", {}),
        (b"}q\x00.", {}),
    ],
)
def test_first_bytes_decide_the_format(data: bytes, values: dict[str, t.Any]) -> None:
    assert reader.loads(data) == (values, False)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65535, 65536])
def test_messagepack_of_any_number_of_names_is_read(count: int) -> None:
    values = {str(number): None for number in range(count)}
    assert reader.loads(msgspec.msgpack.encode(values)) == (values, False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\n{}",
        b"\xef\xbb\xbf{}",
        b"null",
        b"[]",
        b"[1]",
        b'"a"',
        b"\x90",
        b"\xc0",
        b"\xa1a",
        b"\x80\x00",
        b"\x80\x01}.",
        b"\x80\x06}.",
        b"]q\x00.",
        b"ccollections\nOrderedDict\n.",
        b"v1:{}",
    ],
)
def test_what_begins_otherwise_is_no_session(data: bytes) -> None:
    assert "neither MessagePack nor JSON nor a pickle" in refusal(data)


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b'{"a":1}x',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":"\xff"}',
        b'{\x00"\x00a\x00"\x00:\x001\x00}\x00',
        b'{"a":1' + b"0" * 5000 + b"}",
        b'{"\\ud800":1}',
        b"\x81",
        b"\x81\xa1a",
        b"\x81\xc0\x01",
        b"\x81\x01\x01",
        b"\x81\xa1a\xc1",
        b"\x81\xa1a\xa1\xff",
        b"\x81\xa1a\xd4\x05\x00",
        b"\x81\xa1a\xd4\xff\x00",
        b"\x81\xa1a\xd7\xff" + b"\xff" * 8,
        b"\x81\xa1a\xc7\x0c\xff" + b"\x00" * 4 + b"\x7f" + b"\xff" * 7,
        b"\x81\xa1a\xdd" + b"\xff" * 4,
        b"\x81\xa1a\xdf" + b"\xff" * 4,
        b"\x81\xa1a\xc6" + b"\xff" * 4,
        b"\x80\x02",
        b"\x80\x04.",
        b"\x80\x04}",
        b"\x80\x04]h\x00.",
        b"\x80\x04N.",
        b"\x80\x04]}a.",
        b"\x80\x04}K\x01Ns.",
        b"\x80\x04}X\x03\x00\x00\x00\xed\xa0\x80Ns.",
        b"\x80\x04}\x8c\x01ah\x00s.",
        b"\x80\x04\x80\x06}.",
        b"\x80\x04}J\x01",
        b"(I1\nI1\nd.",
        b"(dVa\n(Vb\nds.",
        b"(dI1\n.",
        b"(Na.",
        b"}S'\\z'\nNs0.",
        b"}(.",
        b"}\xff.",
    ],
)
def test_what_a_decoder_cannot_read_is_no_session(data: bytes) -> None:
    refusal(data)


def test_one_format_is_never_tried_after_another() -> None:
    left = pickle.dumps({"a": 1}, 0)
    assert reader.loads(left) == ({"a": 1}, False)
    refusal(b"{" + left)
    refusal(b"\x81" + left)
    refusal(b"\x80\x04" + json.dumps({"a": 1}).encode())


@pytest.mark.parametrize("permanent", [True, False, 1, 0, None])
def test_permanent_is_a_flag_and_no_name(permanent: object) -> None:
    for data in (
        json.dumps({"_permanent": permanent}).encode(),
        msgspec.msgpack.encode({"_permanent": permanent}),
        pickle.dumps({"_permanent": permanent}),
    ):
        assert reader.loads(data) == ({}, bool(permanent))


def test_refusal_shows_nothing_of_what_was_stored() -> None:
    for data in (
        b"}Va\nIs3cret\ns.",
        b'{"s3cret":s3cret}',
        b"\x82\xa6s3cret\xa6s3cret",
        pickle.dumps(["s3cret"], 1),
        pickle.dumps({"s3cret": complex(1)}),
    ):
        assert "s3cret" not in refusal(data)

"""Pickles are read without running anything."""

from __future__ import annotations

import collections
import collections.abc as cabc
import copyreg
import json
import os
import pathlib
import pickle
import typing as t
import uuid
from datetime import datetime
from datetime import time
from datetime import timedelta
from datetime import timezone
from datetime import UTC

import msgspec
import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from legacy_reading import LEFT
from legacy_reading import packed
from legacy_reading import quick
from legacy_reading import reader
from legacy_reading import refusal
from legacy_reading import VALUES
from markupsafe import Markup

from wsgi_redis_session.errors import Undecodable

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.builds(Markup, st.text()),
    st.uuids(),
    st.decimals(allow_nan=False),
    st.dates(),
    st.times(),
    st.datetimes(timezones=st.none() | st.just(UTC)),
    st.timedeltas(),
    st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
        lambda offset: datetime(2024, 1, 1, tzinfo=timezone(offset))
    ),
)
keys = st.one_of(
    st.text(),
    st.integers(),
    st.uuids(),
    st.dates(),
    st.tuples(st.integers(), st.text()),
)
plain_values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(keys, inner, max_size=5),
        st.sets(keys, max_size=5),
        st.frozensets(keys, max_size=5),
    ),
    max_leaves=15,
)
names = st.text(st.characters(exclude_categories=["Cs"])).filter("_permanent".__ne__)


@quick
@given(st.dictionaries(names, plain_values, max_size=5), st.integers(0, 5))
def test_pickle_of_plain_values_is_read_as_python_reads_it(
    values: dict[str, t.Any], protocol: int
) -> None:
    data = pickle.dumps(values, protocol)
    assert packed(reader.loads(data)[0]) == packed(pickle.loads(data))


@pytest.mark.parametrize("protocol", range(6))
def test_value_that_was_stored_twice_comes_back_twice(protocol: int) -> None:
    shared: dict[str, t.Any] = {"id": uuid.uuid1(), "at": datetime(2024, 1, 1, fold=1)}
    values = {"list": [shared, shared], "key": {shared["id"]: shared}}
    read, _ = reader.loads(pickle.dumps(values, protocol))
    assert read["list"] == [shared, shared]
    assert read["list"][0] is not read["list"][1]
    assert read["key"] == {shared["id"]: shared}


@pytest.mark.parametrize("protocol", range(6))
def test_ordered_dictionary_comes_back_as_a_dictionary(protocol: int) -> None:
    ordered = collections.OrderedDict([("b", 1), ("a", collections.OrderedDict())])
    read, _ = reader.loads(pickle.dumps({"a": ordered}, protocol))
    assert list(read["a"].items()) == [("b", 1), ("a", {})]
    assert type(read["a"]) is type(read["a"]["a"]) is dict


@pytest.mark.parametrize(
    "module", ["markupsafe", "jinja2._markupsafe", "jinja2.utils", "jinja2", "flask"]
)
def test_markup_is_read_under_every_name_it_had(module: str) -> None:
    class_name = module.encode() + b"\nMarkup\n"
    for data in (
        b"\x80\x02}U\x01ac%b\x58\x04\x00\x00\x00<br>\x85\x81s." % class_name,
        b"(dVa\nccopy_reg\n_reconstructor\n(c%bc__builtin__\nunicode\nV<br>\ntRs."
        % class_name,
    ):
        read, _ = reader.loads(data)
        assert read == {"a": Markup("<br>")}
        assert type(read["a"]) is Markup


def test_text_of_python_2_is_utf_8_where_it_can_be() -> None:
    for text in ("", "Zoë", "\N{EURO SIGN}"):
        encoded = text.encode()
        data = b"\x80\x02}U%c%bU%c%bs." % ((len(encoded), encoded) * 2)
        assert reader.loads(data) == ({text: text}, False)
    assert reader.loads(b"\x80\x02}U\x01aU\x01\xebs.") == ({"a": "ë"}, False)


def test_time_of_python_2_is_no_text_even_where_it_could_be() -> None:
    # Its microseconds are an é in UTF-8.
    data = b"\x80\x02}U\x01acdatetime\ntime\nU\x06\x17;\x00\x00\xc3\xa9\x85Rs."
    assert reader.loads(data) == ({"a": time(23, 59, 0, 0xC3A9)}, False)


@pytest.mark.parametrize("depth", [0, 40, 45])
def test_nested_values_are_read(depth: int) -> None:
    value: t.Any = "in"
    for _ in range(depth):
        value = {"a": value}
    read, _ = reader.loads(pickle.dumps({"a": value}))
    assert packed(read) == packed({"a": value})


def mkdir(path: str) -> dict[str, bytes]:
    """Pickles that make a directory when they are loaded as usual."""
    text = f"V{path}\n".encode()
    code = f"V__import__('os').mkdir({path!r})\n".encode()
    module = os.mkdir.__module__.encode()  # posix, or nt
    os_module = b"cbuiltins\n__import__\n(Vos\ntR"
    mapped = b"cbuiltins\nmap\n(cos\nmkdir\n(%bltR" % text
    return {
        "reduce": b"cos\nmkdir\n(%btR" % text,
        "reduce-of-the-real-module": b"c%b\nmkdir\n(%btR" % (module, text),
        "stack-global": b"Vos\nVmkdir\n\x93(%btR" % text,
        "attribute-of-an-allowed-module": b"\x80\x04Vuuid\nVos.mkdir\n\x93(%btR" % text,
        "memo": b"cos\nmkdir\np5\n0g5\n(%btR" % text,
        "inst": b"(%bios\nmkdir\n" % text,
        "obj": b"(cos\nmkdir\n%bo" % text,
        "newobj": b"cbuiltins\nlist\n(%bt\x810cbuiltins\nlist\n(%btR"
        % (mapped, mapped),
        "newobj-ex": b"cbuiltins\nset\n)}\x920cbuiltins\nlist\n(%btR" % mapped,
        "map": b"cbuiltins\nlist\n(%btR" % mapped,
        "partial": b"cfunctools\npartial\n(cos\nmkdir\n%btR)R" % text,
        "eval": b"cbuiltins\neval\n(%btR" % code,
        "exec": b"cbuiltins\nexec\n(%btR" % code,
        "getattr": b"cbuiltins\ngetattr\n(%bVmkdir\ntR(%btR" % (os_module, text),
        "methodcaller": b"coperator\nmethodcaller\n(Vmkdir\n%btR(%btR"
        % (text, os_module),
    }


@pytest.mark.parametrize("trap", mkdir(""))
@pytest.mark.parametrize("frame", [b"(dVa\n%bs.", b"\x80\x04}Va\n%bs."])
def test_pickle_that_runs_code_is_refused_and_runs_none(
    trap: str, frame: bytes, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "made"
    data = frame % mkdir(str(path))[trap]
    refusal(data)
    assert not path.exists()
    pickle.loads(data)
    assert path.exists()  # so it would have


def test_refusal_names_what_a_pickle_must_not_contain() -> None:
    assert "'os.mkdir'" in refusal(b"(dVa\ncos\nmkdir\n(VaatRs.")
    assert "'builtins.complex'" in refusal(pickle.dumps({"a": complex(1)}))
    assert len(refusal(b"(dVa\nc%b\nb\ns." % (b"m" * 10_000))) < 100


@pytest.fixture
def extension(tmp_path: pathlib.Path) -> cabc.Iterator[int]:
    """A number that stands for a function wherever pickles are trusted."""
    copyreg.add_extension("os", "mkdir", 0x7A)
    pickle.loads(b"\x82\x7a.")  # once known, no name is looked up any more
    yield 0x7A
    copyreg.remove_extension("os", "mkdir", 0x7A)


@pytest.mark.parametrize(
    "opcode", [b"\x82%c", b"\x83%c\x00", b"\x84%c\x00\x00\x00"], ids=["1", "2", "4"]
)
def test_extension_is_refused(
    opcode: bytes, extension: int, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "made"
    data = b"(dVa\n%b(V%b\ntRs." % (opcode % extension, str(path).encode())
    refusal(data)
    assert not path.exists()
    pickle.loads(data)
    assert path.exists()


def test_state_of_a_class_is_not_set() -> None:
    data = b"(dVa\ncmarkupsafe\nMarkup\n(N}Vtripped\nI1\nstbs."
    refusal(data)
    assert not hasattr(Markup, "tripped")
    pickle.loads(data)
    assert Markup.tripped == 1  # type: ignore[attr-defined]  # the pickle made it
    del Markup.tripped  # type: ignore[attr-defined]  # the pickle made it


@pytest.mark.parametrize(
    "value",
    [
        # Names that are not called.
        b"cdatetime\ndatetime\n",
        b"c__builtin__\nobject\n",
        b"c__builtin__\nset\n",
        b"ccopy_reg\n_reconstructor\n",
        b"c__builtin__\nobject\n)R",
        b"c__builtin__\nunicode\n(Va\ntR",
        # Other things to call, and other ways to.
        b"Vos.mkdir\n)R",
        b"Vos.mkdir\n)\x81",
        b"N)R",
        b"I1\n)R",
        b"]}R",
        b"c_codecs\ndecode\n(Va\ntR",
        b"ccodecs\nencode\n(Va\nVlatin1\ntR",
        b"c__builtin__\neval\n(V1\ntR",
        b"c__builtin__\ngetattr\n(Va\nV__class__\ntR",
        b"cdatetime\ndatetime\n(Va\ntR)R",
        b"(icollections\nOrderedDict\n",
        b"(ccollections\nOrderedDict\no",
        b"ccollections\nOrderedDict\n)}\x92",
        b"cbuiltins\nobject\n",
        b"cbuiltins\nbytearray\n(I9\ntR",
        b"cdatetime\ndatetime.fromisoformat\n(V2024-01-01\ntR",
        b"cuuid\nUUID.__init__\n)R",
        # Arguments that no pickler writes.
        b"c_codecs\nencode\n(Va\nVrot13\ntR",
        b"c_codecs\nencode\n(Va\nVzlib\ntR",
        b"c_codecs\nencode\n(I1\nVlatin1\ntR",
        b"c_codecs\nencode\n(V\\u20ac\nVlatin1\ntR",
        b"c__builtin__\nbytes\n(I1000000000000\ntR",
        b"c__builtin__\nset\n(I1\ntR",
        b"c__builtin__\nset\n((](atatR",
        b"c__builtin__\nfrozenset\n((l]atR",
        b"ccollections\nOrderedDict\n(I1\ntR",
        b"cmarkupsafe\nMarkup\n(I1\ntR",
        b"cmarkupsafe\nMarkup\n)R",
        b"cdecimal\nDecimal\n(Vx\ntR",
        b"cdecimal\nDecimal\n((I0\n(I1\nI2\ntI3\nttR",
        b"cuuid\nUUID\n)R",
        b"cuuid\nUUID\n)\x81",
        b"cuuid\nUUID\n)\x81Nb",
        b"cuuid\nUUID\n)\x81}b",
        b"cuuid\nUUID\n)\x81}Vint\nF1.5\nsb",
        b"cuuid\nUUID\n)\x81}Vint\nI-1\nsb",
        b"cuuid\nUUID\n)\x81}Vint\n]sb",
        b"cuuid\nUUID\n(V00000000-0000-0000-0000-000000000000\ntR",
        b"cdatetime\ntimedelta\n(F1e400\ntR",
        b"cdatetime\ntimedelta\n(I9999999999\ntR",
        b"cdatetime\ntimezone\n(I1\ntR",
        b"cdatetime\ntimezone\n(cdatetime\ntimedelta\n(I2\ntRtR",
        b"cdatetime\ndate\n(C\x04\x07\xe3\x02\x1ftR",
        b"cdatetime\ntime\n(C\x06\x17\xff\x02\x1f\x00\x00tR",
        b"cdatetime\ndatetime\n(C\x0a\x00\x00\x01\x00\xff\xff\xff\xff\xff\xfftR",
        b"cdatetime\ndatetime\n(C\x0a\x07\xe3\x0c\x1f\x17;:\x03\xd0\x91I1\ntR",
        b"ccopy_reg\n_reconstructor\n)R",
        b"ccopy_reg\n_reconstructor\n(cuuid\nUUID\nc__builtin__\nobject\nNtR",
        b"ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nNtR",
        b"ccopy_reg\n_reconstructor\n(ccopy_reg\n_reconstructor\nN)tR",
        b"ccopy_reg\n_reconstructor\n(Va\nVb\nVc\ntR",
        # State of what has none.
        b"}}b",
        b"]}Va\nNsb",
        b"I1\n}Va\nNsb",
        b"cdatetime\ndatetime\n}Va\nNsb",
        b"cmarkupsafe\nMarkup\n(Va\nt\x81}V__class__\nNsb",
        b"cmarkupsafe\nMarkup\n(Va\nt\x81(N}V__class__\nNstb",
        # Items of what has none.
        b"I1\nI1\na",
        b"Va\n(I1\ne",
        b"cuuid\nUUID\n)\x81Vint\nI1\ns",
        b"cuuid\nUUID\n)\x81(I1\n\x90",
        b"](I1\n\x90",
        b"}]Ns",
        b"\x8f(]\x90",
        b"(]\x91",
        # Things from elsewhere.
        b"Pid\n",
        b"Va\nQ",
        b"\x97",
        b"Va\n\x98",
        b"\x96\x01\x00\x00\x00\x00\x00\x00\x00a",
        b"\x96\xff\xff\xff\xff\xff\xff\xff\x0f",
        b"\x82\x01",
    ],
)
def test_pickle_of_anything_else_is_refused(value: bytes) -> None:
    refusal(b"(dVa\n%bs." % value)


def doublings(first: bytes, count: int) -> bytes:
    """A value that holds twice one that holds twice another, and so on."""
    steps = b"".join(b"p%d\ng%d\n\x86" % (index, index) for index in range(count))
    return first + steps


def colliding_numbers(count: int) -> bytes:
    modulus = (1 << 61) - 1
    numbers = (pickle.encode_long(index * modulus) for index in range(1, count))
    return b"".join(b"\x8a%c%b" % (len(number), number) for number in numbers)


_SHARED = b"(%blp1\n0" % b"".join(
    b"M" + number.to_bytes(2, "little") for number in range(60_000)
)
_SHARED_TEXT = b"V%b\np1\n0" % (b"x" * 300_000)

BOMBS = {
    "a value of 2**60 parts": b"}Va\n%bs." % doublings(b")", 60),
    "a key of 2**60 parts": b"}%bNs." % doublings(b")", 60),
    "a set of 2**60 parts": b"}Va\n(%b\x91s." % doublings(b"(K\x01\x91", 60),
    "a list in itself": b"}Va\n]p1\ng1\nas.",
    "a dictionary in itself": b"}p1\nVa\ng1\ns.",
    "a tuple in a list in itself": b"}Va\n]p1\n(g1\ntas.",
    "arguments in themselves": b"}Va\n]p1\nNac__builtin__\nset\ng1\nRas.",
    "a deep tuple": b"}Va\n)%bs." % (b"\x85" * 1_000_000),
    "a deep key": b"})%bNs." % (b"\x85" * 1_000_000),
    "a deep list": b"}Va\n%bNas." % (b"]" * 500_000 + b"a" * 499_999),
    "one text many times": _SHARED_TEXT + b"}Va\n(%bls." % (b"g1\n" * 100),
    "one text of Python 2 many times": b"(S'%b'\np1\n0}Va\n(%bls."
    % (b"x" * 300_000, b"g1\n" * 100),
    "one number many times": b"(\x8b%b%bp1\n0}Va\n(%bls."
    % ((300_000).to_bytes(4, "little"), b"\x7f" * 300_000, b"g1\n" * 100),
    "one list many times": _SHARED.join([b"", b"}Va\n(%bls." % (b"g1\n" * 100)]),
    "one set made many times": b"(%bc__builtin__\nset\np2\n0}Va\n(%bls."
    % (_SHARED, b"g2\n(g1\ntR" * 50_000),
    "arguments copied many times": b"(%bc__builtin__\nset\np2\n0}Va\n(%bls."
    % (_SHARED, b"g2\ng1\nR" * 50_000),
    "bytes made many times": b"(%bc_codecs\nencode\np2\n0}Va\n(%bls."
    % (_SHARED_TEXT, b"g2\n(g1\nVlatin1\ntR" * 30_000),
    "numbers with one hash": b"}Va\n\x8f(%b\x90s." % colliding_numbers(80_000),
    "names with one hash": b"}Va\n}(%bus." % colliding_numbers(80_001),
    "too many bytes": pickle.dumps({"a": "x" * 1024 * 1024})[2:],
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_small_pickle_of_something_enormous_is_refused(bomb: bytes) -> None:
    refusal(b"\x80\x04" + bomb)


def test_pickle_makes_no_room_for_what_it_only_claims_to_have() -> None:
    # In the unpickler written in C this takes 34 GB.
    assert reader.loads(b"\x80\x04}r\xff\xff\xff\x7f.") == ({}, False)
    refusal(b"\x80\x04}\x8e" + b"\xff" * 7 + b"\x7f.")
    refusal(b"\x80\x04}\x8d" + b"\xff" * 7 + b"\x7f.")
    refusal(b"\x80\x04}\x8b\xff\xff\xff\xff.")


def test_deep_json_and_messagepack_are_refused() -> None:
    for depth in (200, 500_000):
        refusal(b'{"a":' + b"[" * depth + b"]" * depth + b"}")
        refusal(b'{"a":' + b'{"a":' * depth + b"0" + b"}" * (depth + 1))
        refusal(b"\x81\xa1a" + b"\x91" * depth + b"\x01")
        refusal(b"\x81\xa1a" + b"\x81\xa1a" * depth + b"\x01")
        refusal(b"\x81" + b"\x91" * depth + b"\x01\x01")


def test_value_as_large_as_a_session_may_be_is_read() -> None:
    text = "x" * (1024 * 1024 - 100)
    for data in (
        pickle.dumps({"a": text}),
        json.dumps({"a": text}).encode(),
        msgspec.msgpack.encode({"a": text}),
    ):
        assert reader.loads(data) == ({"a": text}, False)
        refusal(data.replace(b"x" * 10, b"x" * 1000, 1))


def check_whatever(data: bytes) -> None:
    """Bytes are refused, or are values that our own serializer can store."""
    try:
        values, permanent = reader.loads(data)
    except Undecodable:
        return
    assert type(values) is dict
    assert type(permanent) is bool
    packed(values)


beginnings = st.sampled_from(
    [
        b"",
        b"{",
        b"\x80",
        b"\x81",
        b"\x82\xa1a",
        b"\xde",
        b"(",
        b"}",
        b"\x80\x02",
        b"\x80\x04}",
    ]
)


@quick
@given(st.builds(bytes.__add__, beginnings, st.binary()))
@example(b"}S'\\z'\nNs.")
def test_arbitrary_bytes_are_a_session_or_are_refused(data: bytes) -> None:
    check_whatever(data)


written = st.sampled_from(
    [left.data for left in LEFT.values()]
    + [
        msgspec.msgpack.encode(VALUES),
        msgspec.json.encode(VALUES),
        *(pickle.dumps(VALUES, protocol) for protocol in range(6)),
    ]
)


@quick
@given(written, st.data())
def test_damaged_session_is_a_session_or_is_refused(
    data: bytes, draw: st.DataObject
) -> None:
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, min(start + 4, len(data))))
    check_whatever(data[:start] + draw.draw(st.binary(max_size=4)) + data[end:])


instructions = st.sampled_from(
    [
        *(b"(", b")", b"]", b"}", b"\x8f", b"0", b"1", b"2", b"N", b"\x88", b"\x94"),
        *(b"R", b"\x81", b"b", b"a", b"e", b"s", b"u", b"\x90", b"\x91", b"\x93"),
        *(b"t", b"l", b"d", b"\x85", b"\x86", b"\x87", b"h\x00", b"h\x01", b"q\x00"),
        *(b"K\x01", b"Va\n", b"S'a'\n", b"C\x01a", b"Vint\n", b"Vlatin1\n"),
        *(b"C\x04\x07\xe3\x0c\x1f", b"C\x0a\x07\xe3\x0c\x1f\x17;:\x03\xd0\x91"),
        *(b"cdatetime\ndate\n", b"cdatetime\ndatetime\n", b"cdatetime\ntimezone\n"),
        *(b"cdatetime\ntimedelta\n", b"cuuid\nUUID\n", b"cdecimal\nDecimal\n"),
        *(
            b"c__builtin__\nset\n",
            b"c__builtin__\nfrozenset\n",
            b"c__builtin__\nbytes\n",
        ),
        *(b"c__builtin__\nobject\n", b"ccopy_reg\n_reconstructor\n"),
        *(
            b"ccollections\nOrderedDict\n",
            b"cmarkupsafe\nMarkup\n",
            b"c_codecs\nencode\n",
        ),
    ]
)


@settings(quick, max_examples=1000)
@given(st.lists(instructions, max_size=25).map(b"".join))
def test_arbitrary_instructions_are_a_session_or_are_refused(steps: bytes) -> None:
    check_whatever(b"}p9\nVa\n%bsg9\n." % steps)
    check_whatever(b"\x80\x04}p9\nVa\n(%bldsg9\n." % steps)

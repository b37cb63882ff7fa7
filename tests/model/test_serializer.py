from __future__ import annotations

import collections
import collections.abc as cabc
import dataclasses
import enum
import math
import typing as t
from datetime import date
from datetime import datetime
from datetime import time
from datetime import timedelta
from datetime import timezone
from datetime import tzinfo
from datetime import UTC
from decimal import Decimal
from zoneinfo import ZoneInfo

import ormsgpack
import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from markupsafe import Markup
from ormsgpack import Ext

from wsgi_redis_session.errors import NotSerializable
from wsgi_redis_session.errors import Undecodable
from wsgi_redis_session.model.messagepack import count_levels
from wsgi_redis_session.model.serializer import MessagePackSerializer

serializer = MessagePackSerializer()
dumps, loads = serializer.dumps, serializer.loads

quick = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)

BERLIN = ZoneInfo("Europe/Berlin")

offsets = st.builds(
    timezone,
    st.timedeltas(min_value=timedelta(hours=-23), max_value=timedelta(hours=23)),
)
zones = st.none() | st.just(UTC) | offsets | st.timezones()
text = st.text() | st.text(st.characters())
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1])
    | st.floats()
    | text
    | st.binary()
    | text.map(Markup)
    | st.uuids()
    | st.decimals()
    | st.dates()
    | st.times(timezones=zones)
    | st.datetimes(timezones=zones, allow_imaginary=True)
    | st.timedeltas()
)
hashables = st.recursive(
    scalars.filter(lambda value: not is_nan(value)),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3)
    ),
    max_leaves=5,
)
values = st.recursive(
    scalars | hashables,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(text, inner, max_size=4)
        | st.dictionaries(hashables, inner, max_size=4)
        | st.sets(hashables, max_size=4)
        | st.frozensets(hashables, max_size=4)
    ),
    max_leaves=20,
)


def is_nan(value: t.Any) -> bool:
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, float) and math.isnan(value)


def same(ours: t.Any, theirs: t.Any) -> bool:
    """Equal and of the same type, all the way down."""
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, dict):
        return same([*ours.items()], [*theirs.items()])
    if isinstance(ours, (set, frozenset)):
        return ours == theirs and all(
            any(same(one, other) for other in theirs) for one in ours
        )
    if isinstance(ours, float):
        # Tells -0.0 from 0.0, and takes one NaN for another.
        return repr(ours) == repr(theirs)
    if isinstance(ours, Decimal):
        return str(ours) == str(theirs)
    if isinstance(ours, (datetime, time)):
        return (
            ours.replace(tzinfo=None) == theirs.replace(tzinfo=None)
            and ours.fold == theirs.fold
            and ours.utcoffset() == theirs.utcoffset()
            and zone_name(ours) == zone_name(theirs)
        )
    return bool(ours == theirs)


def zone_name(moment: datetime | time) -> str | None:
    return moment.tzinfo.key if isinstance(moment.tzinfo, ZoneInfo) else None


@quick
@given(values)
@example(-0.0)
@example("\ud800")
@example({("\ud800",): {1: [Markup("\udfff")]}})
@example({1: "int", "1": "str", (1,): "tuple", None: "None", Markup("1"[:0]): 0})
def test_every_value_comes_back_equal_and_of_the_same_type(value: t.Any) -> None:
    data = dumps(value)
    back = loads(data)
    assert same(value, back), back
    assert dumps(back) == data


@quick
@given(values)
def test_bytes_of_a_value_do_not_depend_on_its_neighbours(value: t.Any) -> None:
    # A lone surrogate takes another way through the serializer.
    assert dumps([value, "\ud800"]).startswith(dumps([value, ""])[:-1])


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2024, 3, 31, 2, 30, tzinfo=BERLIN),
        datetime(2024, 3, 31, 2, 30, tzinfo=BERLIN, fold=1),
        datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
        datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
        datetime(2024, 10, 27, 2, 30, tzinfo=UTC, fold=1),
        datetime(2024, 10, 27, 2, 30, fold=1),
        datetime.min,
        datetime.max,
        datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=timezone(timedelta(0, 1, 1))),
        datetime(1890, 1, 1, tzinfo=BERLIN),
        datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC")),
        time(2, 30, tzinfo=BERLIN),
        time(2, 30, fold=1),
        time(2, 30, tzinfo=timezone(timedelta(hours=-3))),
        time.max,
    ],
)
def test_moment_keeps_its_wall_time_its_offset_and_its_zone(
    moment: datetime | time,
) -> None:
    assert same(moment, loads(dumps(moment)))


def test_moment_in_an_unknown_zone_keeps_its_offset() -> None:
    data = Ext(7, b"2024-07-01T12:00:00+02:00[Europe/Atlantis]")
    moment = loads(ormsgpack.packb(data))
    assert moment == datetime(2024, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))


def test_moment_stays_when_the_rules_of_its_zone_have_changed() -> None:
    # It was stored when Berlin had another offset at this time.
    data = Ext(7, b"2024-07-01T12:00:00+05:00[Europe/Berlin]")
    assert loads(ormsgpack.packb(data)).utcoffset() == timedelta(hours=5)


class OAuth2Token(dict[str, t.Any]):
    def __init__(self, params: dict[str, t.Any]) -> None:
        super().__init__(params, expires_at=1.5)

    def __getattr__(self, name: str) -> t.Any:
        return self[name]


class Color(str, enum.Enum):  # noqa: UP042  # applications have both
    RED = "red"

    def __str__(self) -> str:
        return "something else"


class Level(enum.IntEnum):
    HIGH = 3


class Ratio(float, enum.Enum):
    HALF = 0.5


class Point(t.NamedTuple):
    x: int
    y: tuple[int, ...]


class Items(list[t.Any]):
    pass


class Name(str):
    def __str__(self) -> str:
        return "something else"


class Count(int):
    def __index__(self) -> int:
        return 0


class Price(float):
    def __pos__(self) -> float:
        return 0.0


class Blob(bytes):
    def __getitem__(self, key: t.Any) -> t.Any:
        return b""


class Tags(set[t.Any]):
    pass


class FakeDatetime(datetime):
    """As freezegun's."""

    def isoformat(self, *args: t.Any) -> str:  # type: ignore[override]  # as it is there
        return "something else"


class FakeDate(date):
    def isoformat(self) -> str:
        return "something else"


class Delta(timedelta):
    pass


class Lazy:
    """As Flask-Babel's lazy_gettext() makes them."""

    def __html__(self) -> str:
        return "<b>hello</b>"


TOKEN = {"access_token": "a", "expires_at": 1.5}


@pytest.mark.parametrize(
    ("value", "base"),
    [
        (OAuth2Token({"access_token": "a"}), TOKEN),
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (collections.OrderedDict({1: 2}), {1: 2}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (Color.RED, "red"),
        (Level.HIGH, 3),
        (Ratio.HALF, 0.5),
        (Point(1, (2, 3)), (1, (2, 3))),
        (Items([1, Items()]), [1, []]),
        (Name("name"), "name"),
        (Name("\ud800"), "\ud800"),
        (Count(5), 5),
        (Count(2**70), 2**70),
        (Price(1.5), 1.5),
        (Blob(b"blob"), b"blob"),
        (Tags({1}), {1}),
        (
            FakeDatetime(2024, 1, 2, 3, tzinfo=BERLIN),
            datetime(2024, 1, 2, 3, tzinfo=BERLIN),
        ),
        (FakeDate(2024, 1, 2), date(2024, 1, 2)),
        (Delta(1), timedelta(1)),
        (Lazy(), Markup("<b>hello</b>")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_subclass_comes_back_as_its_base(value: t.Any, base: t.Any) -> None:
    for nested, expected in (
        (value, base),
        ([value], [base]),
        ((value,), (base,)),
        ({"a": value, 1: value}, {"a": base, 1: base}),
        ([value, "\ud800"], [base, "\ud800"]),
    ):
        assert same(loads(dumps(nested)), expected)


@pytest.mark.parametrize("key", [Color.RED, Name("red")])
def test_key_of_a_subclass_of_str_comes_back_as_str(key: str) -> None:
    for value in ({key: 1}, {key: 1, 2: 3}, {key: "\ud800"}):
        [back, *_] = loads(dumps(value))
        assert same(back, "red")


def test_keys_of_enums_and_named_tuples_come_back_as_their_base() -> None:
    assert same(loads(dumps({Level.HIGH: 1, Point(1, ()): 2})), {3: 1, (1, ()): 2})


@dataclasses.dataclass
class Data:
    x: int = 0


class Plain(enum.Enum):
    A = 1


class NoOffset(tzinfo):
    def utcoffset(self, moment: datetime | None) -> None:
        return None


def nested(levels: int, wrap: cabc.Callable[[t.Any], t.Any]) -> t.Any:
    value: t.Any = None
    for _ in range(levels):
        value = wrap(value)
    return value


def containing_itself(kind: type) -> t.Any:
    value = kind()
    if kind is dict:
        value["itself"] = value
    else:
        value.append((value,))
    return value


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (object(), "builtins.object"),
        (test_key_of_a_subclass_of_str_comes_back_as_str, "builtins.function"),
        (lambda: None, "builtins.function"),
        (Plain.A, "test_serializer.Plain"),
        (Data(), "test_serializer.Data"),
        (1j, "builtins.complex"),
        (range(3), "builtins.range"),
        (iter([]), "builtins.list_iterator"),
        (Data, "builtins.type"),
        (Lazy, "builtins.type"),
        (datetime(2024, 1, 1, tzinfo=NoOffset()), "datetime"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_value_that_cannot_be_stored_is_named(value: t.Any, name: str) -> None:
    for container in (value, [1, value], (value,), {"a": [{"b": value}]}, {1: value}):
        with pytest.raises(NotSerializable) as caught:
            dumps(container)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (containing_itself(list), "builtins.list"),
        (containing_itself(dict), "builtins.dict"),
        (nested(300, lambda value: [value]), "builtins.list"),
        (nested(5000, lambda value: [value]), "builtins.list"),
        (nested(5000, lambda value: (value,)), "builtins.tuple"),
        (nested(5000, lambda value: {"a": value}), "builtins.dict"),
        (nested(5000, lambda value: {1: value}), "builtins.dict"),
        (nested(5000, lambda value: frozenset([value])), "builtins.frozenset"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_endless_or_very_deep_value_is_named(value: t.Any, name: str) -> None:
    with pytest.raises(NotSerializable, match=f"^a {name} cannot be stored: "):
        dumps(value)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda value: [value],
        lambda value: (value,),
        lambda value: {"a": value},
        lambda value: {1: value},
        lambda value: frozenset([value]),
        lambda value: [value, "\ud800"],
    ],
)
def test_values_nest_100_levels_however_deep_the_application_calls(
    wrap: cabc.Callable[[t.Any], t.Any],
) -> None:
    value = nested(100, wrap)

    def deep(calls: int) -> t.Any:
        return deep(calls - 1) if calls else loads(dumps(value))

    assert deep(300) == value


def test_error_of_a_lazy_string_is_not_hidden() -> None:
    class Broken:
        def __html__(self) -> str:
            raise RuntimeError("outside of a request")

    with pytest.raises(RuntimeError, match="outside of a request"):
        dumps([Broken()])


def loads_or_refuses(data: bytes) -> None:
    try:
        value = loads(data)
    except Undecodable:
        return
    dumps(value)


@quick
@given(st.binary())
def test_any_bytes_decode_or_are_undecodable(data: bytes) -> None:
    loads_or_refuses(data)


pieces = st.recursive(
    st.binary(max_size=20)
    | st.builds(
        lambda value: ormsgpack.packb(value, option=ormsgpack.OPT_NON_STR_KEYS),
        st.none() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    )
    | st.text("0123456789+-:.T[]|/ Europe").map(str.encode),
    lambda inner: (
        st.lists(inner, max_size=3).map(
            lambda parts: bytes([0x90 + len(parts)]) + b"".join(parts)
        )
        | st.builds(
            lambda code, data: ormsgpack.packb(Ext(code, data)),
            st.integers(0, 15),
            inner,
        )
    ),
    max_leaves=6,
)


@quick
@given(pieces)
@example(ormsgpack.packb(Ext(10, ormsgpack.packb([10**15]))))
@example(ormsgpack.packb(Ext(6, b"nonsense")))
@example(ormsgpack.packb(Ext(2, ormsgpack.packb([[1]]))))
@example(ormsgpack.packb(Ext(12, ormsgpack.packb([1]))))
@example(ormsgpack.packb(Ext(7, b"2024-01-01[Europe]")))
@example(ormsgpack.packb(Ext(7, b"2024-01-01[../../etc/passwd]")))
@example(ormsgpack.packb(Ext(7, b"2024-01-01[\0]")))
@example(ormsgpack.packb(Ext(99, b"")))
def test_any_extension_decodes_or_is_undecodable(data: bytes) -> None:
    loads_or_refuses(data)


@quick
@given(values, st.data())
def test_cut_or_changed_bytes_decode_or_are_undecodable(
    value: t.Any, data: st.DataObject
) -> None:
    packed = dumps(value)
    at = data.draw(st.integers(0, len(packed) - 1))
    loads_or_refuses(packed[:at])
    other = data.draw(st.integers(0, 255))
    loads_or_refuses(packed[:at] + bytes([other]) + packed[at + 1 :])


def test_very_deep_bytes_are_undecodable() -> None:
    extension = b"\x01"
    for _ in range(3000):
        extension = ormsgpack.packb(Ext(1, b"\x91" + extension))
    for data in (b"\x91" * 100_000 + b"\x01", extension):
        with pytest.raises(Undecodable):
            loads(data)


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\xc1\x01abc", b"\x81\x01\x02", b"\xd9"]
)
def test_what_is_no_value_is_undecodable(data: bytes) -> None:
    with pytest.raises(Undecodable):
        loads(data)


@quick
@given(st.lists(hashables, max_size=8), st.randoms(use_true_random=False))
def test_equal_sets_are_equal_bytes(members: list[t.Any], random: t.Any) -> None:
    shuffled = members[:]
    random.shuffle(shuffled)
    # 1, 1.0 and True are one member: the first of them stays.
    members = list(dict.fromkeys(members))
    shuffled = sorted(members, key=shuffled.index)
    for kind in (set, frozenset):
        one, other = kind(members), kind(shuffled)
        assert dumps(one) == dumps(other)
        assert dumps([one, "\ud800"]) == dumps([other, "\ud800"])


def test_order_of_a_dictionary_comes_back() -> None:
    for keys in ("ab", "ba", (1, "a"), ("a", 1)):
        assert list(loads(dumps(dict.fromkeys(keys)))) == list(keys)


def test_sets_of_colliding_members_are_equal_bytes() -> None:
    # These collide in a small table, so that a set keeps the order of insertion.
    up, down = set(range(8, 25, 8)), set(range(24, 7, -8))
    assert list(up) != list(down)
    assert dumps(up) == dumps(down)


def in_extensions(levels: int, times: int) -> bytes:
    """So many lists in each other in a tuple, and all that in itself."""
    data = b"\xc0"
    for _ in range(times):
        inner = b"\x91" * levels + data
        data = b"\xc9" + len(inner).to_bytes(4) + b"\x01" + inner
    return data


@pytest.mark.parametrize(
    ("levels", "times"), [(100, 400), (1000, 60), (1000, 900), (1, 5000), (990, 4)]
)
def test_what_would_fill_the_stack_cannot_be_read(levels: int, times: int) -> None:
    data = in_extensions(levels, times)
    for whole in data, b"\x91" + data, b"\x81\xa1a" + data:
        with pytest.raises(Undecodable):
            loads(whole)


@pytest.mark.parametrize(("levels", "times"), [(1000, 1), (900, 2), (100, 9), (1, 200)])
def test_what_is_only_deep_is_read(levels: int, times: int) -> None:
    value = loads(in_extensions(levels, times))
    depth = 0
    while value is not None:
        (value,) = value
        depth += 1
    assert depth == levels * times


def test_many_values_in_tuples_in_tuples_are_read() -> None:
    value = ((([{"a": (number,), "b": "é"} for number in range(3000)], 1), 2), 3)
    assert same(loads(dumps(value)), value)


@pytest.mark.parametrize("count", [20, 2000])
def test_extensions_that_lie_about_their_length_take_no_time(count: int) -> None:
    lie = b"\x92\xc7\x00\x01" * count + b"\x01" + b"\x90" * 3000
    inner = b"\xc9" + len(lie).to_bytes(4) + b"\x01" + lie
    for _ in range(3):
        inner = b"\x91" + inner + b"\x90" * 1000
        inner = b"\xc9" + len(inner).to_bytes(4) + b"\x01" + inner
    with pytest.raises(Undecodable):
        loads(inner)
    with pytest.raises(LookupError):
        count_levels(lie, {1})

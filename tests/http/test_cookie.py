from __future__ import annotations

import base64
import collections.abc as cabc
import hashlib
import hmac
import itertools
import string
import typing as t

import pytest
import redis
from conftest import Clock
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from itsdangerous import TimestampSigner
from werkzeug.http import parse_cookie

from wsgi_redis_session import SessionConfig
from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session.http.cookie import SessionCookie
from wsgi_redis_session.model.record import digests
from wsgi_redis_session.model.record import Record

MakeManager = cabc.Callable[..., SessionManager]

SID = "dpLDrTVAu4A8Ags67mbNiIcSMjTqDG5xQ8Ct1z_0Me0"
OTHER_SID = "rkSKyGxOjk3sZFcpcI70GHOuecbf-E7_czYJiUh_COU"
CREATED = 1_799_999_000_123
DRAWN = 1_799_999_500_456

#: RFC 6265, section 4.1.1.
COOKIE_OCTETS = {chr(code) for code in range(0x21, 0x7F) if chr(code) not in '",;\\'}


def make_cookie(
    secret_key: str | bytes = "secret",
    fallbacks: cabc.Iterable[str | bytes] = (),
    clock: cabc.Callable[[], float] | None = None,
    **options: t.Any,
) -> SessionCookie:
    return SessionCookie(
        SessionConfig(clock=clock or Clock(), **options), secret_key, fallbacks
    )


def sign(cookie: SessionCookie, sid: str = SID, permanent: bool = False) -> str:
    """The value of a genuine cookie."""
    header = cookie.write(sid, CREATED, permanent, DRAWN, secure=False, max_age=None)
    return header.partition(";")[0].partition("=")[2]


def read(cookie: SessionCookie, *values: str) -> list[str] | None:
    """The session ids in a header with these cookies of our name."""
    tickets = cookie.read("; ".join(f"session={value}" for value in values))
    return None if tickets is None else [ticket.sid for ticket in tickets]


def attributes(header: str) -> dict[str, str]:
    pairs = [part.strip().partition("=") for part in header.split(";")[1:]]
    names = [name for name, _, _ in pairs]
    assert len(names) == len({name.lower() for name in names})
    return {name: value for name, _, value in pairs}


def test_written_cookie_reads_back(clock: Clock) -> None:
    cookie = make_cookie(clock=clock)
    clock.move(0.75)
    for permanent in (True, False):
        [ticket] = cookie.read(f"session={sign(cookie, permanent=permanent)}") or []
        assert ticket == (SID, CREATED, permanent, DRAWN, int(clock.time))


def test_signature_is_an_hmac_sha256_that_itsdangerous_verifies(clock: Clock) -> None:
    value = sign(make_cookie("secret", clock=clock))
    key = hmac.digest(b"secret", b"wsgi-redis-session cookie", "sha256")
    signer = TimestampSigner(key, key_derivation="none", digest_method=hashlib.sha256)
    payload, issued = signer.unsign(value, return_timestamp=True)
    assert payload.decode() == f"{SID}.{CREATED:x}.s.{DRAWN:x}"
    assert issued.timestamp() == clock.time
    signed, _, signature = value.rpartition(".")
    assert base64.urlsafe_b64decode(f"{signature}=") == hmac.digest(
        key, signed.encode(), "sha256"
    )


def test_every_change_of_one_character_is_rejected() -> None:
    cookie = make_cookie()
    value = sign(cookie)
    alphabet = string.ascii_letters + string.digits + "-_.=+/ "
    for at, other in itertools.product(range(len(value)), alphabet):
        changed = value[:at] + other + value[at + 1 :]
        if changed.strip() != value:
            assert read(cookie, changed) is None, changed


def test_every_missing_or_added_character_is_rejected() -> None:
    cookie = make_cookie()
    value = sign(cookie)
    for at in range(len(value)):
        assert read(cookie, value[:at]) is None
        assert read(cookie, value[:at] + value[at + 1 :]) is None
        for added in "A.=*~":
            assert read(cookie, value[:at] + added + value[at:]) is None
    for added in ("A", ".", "=", "==", "*", "\0"):
        assert read(cookie, value + added) is None


def test_signature_for_another_purpose_is_rejected() -> None:
    value = TimestampSigner("secret").sign(f"{SID}.{CREATED:x}.s.{DRAWN:x}").decode()
    assert read(make_cookie("secret"), value) is None


def test_unsigned_session_id_is_rejected() -> None:
    assert read(make_cookie(), SID) is None


def test_cookie_of_an_earlier_secret_key_is_genuine() -> None:
    for earlier in ("older", "oldest"):
        rotated = make_cookie("new", ["older", "oldest"])
        assert read(rotated, sign(make_cookie(earlier))) == [SID]


def test_new_cookie_is_signed_with_the_first_secret_key() -> None:
    value = sign(make_cookie("new", ["older", "oldest"]))
    assert read(make_cookie("new"), value) == [SID]
    assert read(make_cookie("older", ["oldest"]), value) is None


def test_cookie_of_an_unknown_secret_key_is_rejected() -> None:
    cookie = make_cookie("new", ["older"])
    assert read(cookie, sign(make_cookie("unknown"))) is None


def test_secret_key_may_be_text_or_its_bytes() -> None:
    value = sign(make_cookie("schlüssel"))
    assert read(make_cookie("schlüssel".encode()), value) == [SID]
    assert read(make_cookie("new", ["schlüssel".encode()]), value) == [SID]


def test_fallbacks_may_be_any_iterable_or_none() -> None:
    value = sign(make_cookie("older"))
    assert read(make_cookie("new", iter(["older"])), value) == [SID]
    assert make_cookie("new", None).read("") == []  # type: ignore[arg-type]  # Flask has it


def test_other_cookies_are_no_cookie_of_ours() -> None:
    cookie = make_cookie()
    value = sign(cookie)
    for header in ("", ";", "a=b", f"Session={value}", f"xsession={value}"):
        assert cookie.read(header) == []
    assert cookie.read(f"a=session; b={value}; sessions={value}") == []


def test_order_of_several_cookies_means_nothing(clock: Clock) -> None:
    cookie = make_cookie(clock=clock)
    values = [sign(cookie, OTHER_SID), sign(cookie)]
    clock.move(60)
    values += [sign(cookie), sign(cookie, permanent=True), "garbage"]
    answers = {
        tuple(cookie.read("; ".join(f"session={value}" for value in order)) or ())
        for order in itertools.permutations(values)
    }
    assert len(answers) == 1
    assert [ticket.sid for ticket in answers.pop()] == [SID, OTHER_SID]


def test_newest_cookie_comes_first(clock: Clock) -> None:
    cookie = make_cookie(clock=clock)
    old = sign(cookie, OTHER_SID)
    clock.move(1)
    new = sign(cookie)
    assert read(cookie, old, new) == read(cookie, new, old) == [SID, OTHER_SID]


def test_several_cookies_of_one_session_are_one(clock: Clock) -> None:
    cookie = make_cookie(clock=clock)
    values = []
    for permanent in (False, True) * 4:
        values.append(sign(cookie, permanent=permanent))
        clock.move(1)
    [ticket] = cookie.read("; ".join(f"session={value}" for value in values)) or []
    assert ticket == (SID, CREATED, True, DRAWN, clock.time - 1)


@pytest.mark.parametrize("space", ["\xa0", "\x0b", "\x0c", "\x1f", "\u2003", "\x85"])
def test_white_space_that_is_none_in_a_cookie_makes_another_name(space: str) -> None:
    cookie = make_cookie(cookie_name="__Host-session", cookie_secure=True)
    header = f"{space}__Host-session={sign(cookie)}"
    assert cookie.read(header) == []
    assert cookie.read(f"a=b;{header}") == []
    assert cookie.read(f"a=b; \t__Host-session={sign(cookie)}\t")


def test_genuine_cookie_among_garbage_wins() -> None:
    cookie = make_cookie()
    garbage = ["", "=", '"', SID, sign(make_cookie("other")), sign(cookie)[:-1]]
    for at in range(len(garbage) + 1):
        assert read(cookie, *garbage[:at], sign(cookie), *garbage[at:]) == [SID]


def test_genuine_cookie_among_hundreds_of_others_wins() -> None:
    cookie = make_cookie()
    garbage = [f"{number}.{number}.s.x.y" for number in range(500)]
    assert read(cookie, *garbage, sign(cookie)) == [SID]


def test_quoted_cookie_is_read() -> None:
    cookie = make_cookie()
    assert read(cookie, f'"{sign(cookie)}"') == [SID]


def test_white_space_around_a_cookie_is_none_of_its_value() -> None:
    cookie = make_cookie()
    value = sign(cookie)
    for header in (
        f" session = {value} ",
        f"a=b;session={value};c=d",
        f"\tsession={value}\t",
    ):
        assert [ticket.sid for ticket in cookie.read(header) or ()] == [SID]


MALFORMED = [
    "",
    "=",
    "==",
    ".",
    "....",
    '"',
    '""',
    "\0",
    "a\0b",
    "a\r\nSet-Cookie: b=c",
    "ü" * 20,
    "\x80\xff\xa0\x85",
    "\u20ac.\udcff",
    "x" * 10_240,
    "." * 10_240,
    f"{SID}.{CREATED:x}.s.aaaaaa." + "A" * 43,
    f"{SID}.zz.s.aaaaaa." + "A" * 43,
    f"{SID}.-1.q.////." + "A" * 43,
    "٣" * 43 + ".1.s.a." + "A" * 43,
]


@pytest.mark.parametrize("value", MALFORMED)
def test_malformed_cookie_is_rejected(value: str) -> None:
    assert read(make_cookie(), value) is None


@pytest.mark.parametrize("header", ["session", "session;session=", "session ; a=b"])
def test_cookie_without_value_is_rejected(header: str) -> None:
    assert make_cookie().read(header) is None


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(), st.text(max_size=5))
def test_no_header_raises(text: str, around: str) -> None:
    cookie = make_cookie()
    for header in (text, f"session={text}", f"{around}session={text};{around}"):
        assert not cookie.read(header)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(string.printable), st.text(string.printable))
def test_nothing_around_a_genuine_cookie_hides_it(before: str, after: str) -> None:
    cookie = make_cookie()
    header = f"{before};session={sign(cookie)};{after}"
    assert [ticket.sid for ticket in cookie.read(header) or ()] == [SID]


def commands(db: redis.Redis) -> int:
    """How many commands the server has run before this one."""
    return int(db.info("stats")["total_commands_processed"])


@pytest.mark.parametrize("value", [*MALFORMED, "forged", "other"])
def test_malformed_or_forged_cookie_costs_no_command(
    manager: SessionManager, db: redis.Redis, events: list[SessionEvent], value: str
) -> None:
    if value == "forged":
        value = sign(manager.cookie)[:-4] + "AAAA"
    elif value == "other":
        value = sign(make_cookie("other"))
    before = commands(db)
    session = manager.open(f"session={value}")
    assert session.get("name") is None
    assert session.new
    manager.commit(session)
    assert commands(db) == before + 1
    assert [event.name for event in events] == ["rejected"]
    assert events[0].session_id is None


def test_genuine_cookie_costs_one_command(
    manager: SessionManager, db: redis.Redis
) -> None:
    assert not manager.open(f"session={sign(manager.cookie)}")  # connects
    before = commands(db)
    session = manager.open(f"session={sign(manager.cookie)}")
    assert not session
    manager.commit(session)
    assert commands(db) == before + 2


def test_default_attributes() -> None:
    header = make_cookie().write(SID, CREATED, False, DRAWN, secure=False, max_age=None)
    assert attributes(header) == {"HttpOnly": "", "Path": "/", "SameSite": "Lax"}


def test_secure_follows_the_request() -> None:
    cookie = make_cookie()
    for write in (
        lambda **on: cookie.write(SID, 1, False, DRAWN, max_age=None, **on),
        cookie.clear,
    ):
        assert "Secure" in attributes(write(secure=True))
        assert "Secure" not in attributes(write(secure=False))


@pytest.mark.parametrize("https", [True, False])
@pytest.mark.parametrize("secure", [True, False])
def test_secure_is_as_configured(secure: bool, https: bool) -> None:
    cookie = make_cookie(cookie_secure=secure)
    assert ("Secure" in attributes(cookie.clear(secure=https))) is secure


@pytest.mark.parametrize(
    "options",
    [
        {"cookie_samesite": "None"},
        {"cookie_samesite": "none"},
        {"cookie_partitioned": True},
    ],
)
def test_what_needs_secure_has_it_without_https(options: dict[str, t.Any]) -> None:
    assert "Secure" in attributes(make_cookie(**options).clear(secure=False))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cookie_secure": True},
        {"cookie_secure": False},
        {"cookie_domain": "example.com", "cookie_path": "/app"},
        {"cookie_domain": ".example.com:8080"},
        {"cookie_httponly": False, "cookie_samesite": None},
        {"cookie_samesite": "strict"},
        {"cookie_samesite": "None"},
        {"cookie_path": "auto"},
        {"cookie_partitioned": True, "cookie_samesite": "none"},
        {"cookie_partitioned": True, "cookie_secure": True},
        {"cookie_name": "__Host-id", "cookie_secure": True},
        {"cookie_name": "n" * 256, "cookie_path": '/"' + "n" * 1022},
    ],
)
@pytest.mark.parametrize("https", [True, False])
@pytest.mark.parametrize("max_age", [None, 60.0])
def test_clearing_names_the_same_cookie(
    options: dict[str, t.Any], https: bool, max_age: float | None
) -> None:
    cookie = make_cookie(**options)
    request = {"secure": https, "script_name": "/mounted"}
    given = cookie.write(SID, CREATED, False, DRAWN, max_age=max_age, **request)
    cleared = cookie.clear(**request)
    assert given.partition("=")[0] == cleared.partition("=")[0]
    lasting = {"Max-Age", "Expires"}
    kept = [
        {
            name: value
            for name, value in attributes(header).items()
            if name not in lasting
        }
        for header in (given, cleared)
    ]
    assert kept[0] == kept[1]


@pytest.mark.parametrize(
    ("script_name", "path"),
    [
        ("", "/"),
        ("/shop", "/shop"),
        ("/a/b-c~d", "/a/b-c~d"),
        # The bytes of UTF-8, decoded as Latin-1 (PEP 3333).
        ("/caf\u00c3\u00a9", "/caf%C3%A9"),
        ("/100%", "/100%25"),
        ("/a;Domain=evil.test", "/a%3BDomain=evil.test"),
        ("/a\r\nSet-Cookie: b=c", "/a%0D%0ASet-Cookie:%20b=c"),
        # What must not be taken for something else that is filled in.
        ("/-value-/-path-/-expires-", "/-value-/-path-/-expires-"),
        # Browsers would ignore it, and take the path of the page instead.
        ("/" + "a" * 1024, "/"),
    ],
)
def test_path_of_the_cookie_is_where_the_application_is_mounted(
    script_name: str, path: str
) -> None:
    cookie = make_cookie(cookie_path="auto")
    header = cookie.clear(secure=False, script_name=script_name)
    assert header.endswith(f"; Path={path}; SameSite=Lax")


def test_each_attribute_is_as_configured() -> None:
    cookie = make_cookie(
        cookie_name="id",
        cookie_domain="example.com",
        cookie_path="/app",
        cookie_secure=True,
        cookie_samesite="none",
        cookie_partitioned=True,
    )
    header = cookie.write(SID, CREATED, False, DRAWN, secure=False, max_age=60.9)
    assert header.startswith(f"id={SID}.")
    assert attributes(header) == {
        "Domain": "example.com",
        "Expires": "Fri, 15 Jan 2027 08:01:00 GMT",
        "HttpOnly": "",
        "Max-Age": "60",
        "Partitioned": "",
        "Path": "/app",
        "SameSite": "None",
        "Secure": "",
    }


def test_cleared_cookie_is_empty_and_over() -> None:
    header = make_cookie().clear(secure=False)
    assert header.startswith("session=;")
    assert attributes(header)["Max-Age"] == "0"
    assert attributes(header)["Expires"] == "Thu, 01 Jan 1970 00:00:00 GMT"


def test_cookie_of_a_browser_session_has_no_max_age() -> None:
    header = make_cookie().write(SID, CREATED, False, DRAWN, secure=False, max_age=None)
    assert not {"Max-Age", "Expires"} & set(attributes(header))


@pytest.mark.parametrize("days", [400, 400.5, 36_500])
def test_max_age_is_at_most_400_days(clock: Clock, days: float) -> None:
    cookie = make_cookie(clock=clock)
    header = cookie.write(SID, CREATED, True, DRAWN, secure=False, max_age=days * 86400)
    assert attributes(header)["Max-Age"] == "34560000"
    assert attributes(header)["Expires"] == "Sat, 19 Feb 2028 08:00:00 GMT"


def test_cookie_is_small_and_of_cookie_octets(clock: Clock) -> None:
    clock.time = 1e11  # the year 5138
    cookie = make_cookie(cookie_name="n" * 256, clock=clock)
    header = cookie.write(SID, 100 * CREATED, True, DRAWN, secure=True, max_age=1e9)
    pair = header.partition(";")[0]
    assert len(pair) <= 4096
    value = pair.partition("=")[2]
    assert set(value) <= COOKIE_OCTETS
    assert parse_cookie(pair)["n" * 256] == value


def test_cookie_tells_nothing_but_the_session_id_and_its_times(clock: Clock) -> None:
    parts = sign(make_cookie(clock=clock)).split(".")
    sid, created, kind, drawn, issued, signature = parts
    assert (sid, int(created, 16), kind) == (SID, CREATED, "s")
    assert int(drawn, 16) == DRAWN
    assert int.from_bytes(base64.urlsafe_b64decode(f"{issued}==")) == clock.time
    assert len(signature) == 43


def test_session_ids_are_unique_and_256_bits_long() -> None:
    sids = {Record.fresh(0).sid for _ in range(100_000)}
    assert len(sids) == 100_000
    assert {len(sid) for sid in sids} == {43}
    assert set().union(*sids) == set(string.ascii_letters + string.digits + "-_")
    assert {len(base64.urlsafe_b64decode(f"{sid}=")) for sid in sids} == {32}


def test_session_ids_have_no_constant_bit() -> None:
    ids = [
        int.from_bytes(base64.urlsafe_b64decode(f"{Record.fresh(0).sid}="))
        for _ in range(1000)
    ]
    for bit in range(256):
        assert 350 < sum(sid >> bit & 1 for sid in ids) < 650


def test_renamed_session_has_a_session_id_of_its_own() -> None:
    record = Record.fresh(0)
    renamed = {record.renamed(0).sid for _ in range(1000)}
    assert len(renamed) == 1000
    assert record.sid not in renamed
    assert {len(sid) for sid in renamed} == {43}


def test_session_id_is_in_no_repr() -> None:
    sid = "secret-sid"
    packed = {"name": b"secret-value"}
    record = Record(sid, *digests(sid), 0, 0, b"device", packed=packed)
    assert "secret" not in repr(record)
    (ticket,) = make_cookie().read(f"session={sign(make_cookie(), sid)}") or []
    assert ticket.sid == sid
    assert "secret" not in repr(ticket)


def test_cookie_that_an_earlier_version_has_signed_is_rejected() -> None:
    cookie = make_cookie()
    value = sign(cookie)
    signer = TimestampSigner(
        hmac.digest(b"secret", b"wsgi-redis-session cookie", "sha256"),
        key_derivation="none",
        digest_method=hashlib.sha256,
    )
    assert read(cookie, value) == [SID]
    assert signer.unsign(value)
    sid, created, kind, *_ = value.split(".")
    earlier = signer.sign(f"{sid}.{created}.{kind}").decode()
    assert read(cookie, earlier) is None


def test_cookie_longer_than_any_of_ours_is_rejected() -> None:
    cookie = make_cookie()
    assert read(cookie, sign(cookie, "s" * 90)) == ["s" * 90]
    assert read(cookie, sign(cookie, "s" * 200)) is None

"""What a session does to the headers of a response."""

from __future__ import annotations

import pytest

from wsgi_redis_session.http.headers import Headers
from wsgi_redis_session.http.headers import is_shared
from wsgi_redis_session.http.headers import set_cookie
from wsgi_redis_session.http.headers import vary_on_cookie

TEXT = ("Content-Type", "text/plain")
COOKIE = "session=ours; Path=/"


def vary(*values: str) -> Headers:
    return [("Vary", value) for value in values]


@pytest.mark.parametrize(
    ("theirs", "merged"),
    [
        (vary(), vary("Cookie")),
        (vary("Accept"), vary("Accept, Cookie")),
        (vary("Accept", "Origin"), vary("Accept, Origin, Cookie")),
        (vary("Accept,Origin"), vary("Accept,Origin, Cookie")),
        (vary(""), vary("Cookie")),
        (vary("Cookies"), vary("Cookies, Cookie")),
        ([("vary", "Accept")], vary("Accept, Cookie")),
    ],
)
def test_vary_is_one_header_that_names_the_cookie(
    theirs: Headers, merged: Headers
) -> None:
    assert vary_on_cookie([*theirs, TEXT]) == [TEXT, *merged]


@pytest.mark.parametrize(
    "theirs",
    [
        vary("Cookie"),
        vary("Accept, cookie"),
        vary("Accept", "COOKIE"),
        vary("*"),
        vary("Accept", " * "),
        [("VARY", "cookie")],
    ],
)
def test_vary_that_covers_the_cookie_is_left_alone(theirs: Headers) -> None:
    headers = [*theirs, TEXT]
    assert vary_on_cookie(headers) is headers


def test_cookie_is_a_header_of_its_own_and_the_last() -> None:
    theirs = [("Set-Cookie", "theme=dark"), TEXT]
    assert set_cookie(theirs, "session", COOKIE) == [
        *theirs,
        ("Cache-Control", "no-store"),
        ("Set-Cookie", COOKIE),
    ]


@pytest.mark.parametrize(
    "theirs",
    ["session=x", "session=", " session = x; Path=/", "session=a=b", "session"],
)
@pytest.mark.parametrize("field", ["Set-Cookie", "set-cookie"])
def test_cookie_of_the_same_name_is_dropped(field: str, theirs: str) -> None:
    headers = set_cookie([(field, theirs), (field, theirs)], "session", COOKIE)
    assert [pair for pair in headers if pair[0].lower() == "set-cookie"] == [
        ("Set-Cookie", COOKIE)
    ]


@pytest.mark.parametrize(
    "theirs",
    ["Session=x", "sessions=x", "my-session=x", "theme=session=x", "theme=x; session"],
)
def test_cookie_of_another_name_is_kept(theirs: str) -> None:
    headers = set_cookie([("Set-Cookie", theirs)], "session", COOKIE)
    assert ("Set-Cookie", theirs) in headers


@pytest.mark.parametrize(
    ("theirs", "directives"),
    [
        ([], {"no-store"}),
        (["no-store"], {"no-store"}),
        (["no-store, max-age=0"], {"no-store", "max-age=0"}),
        (["public, max-age=60"], {"private", "max-age=60"}),
        (["max-age=60"], {"private", "max-age=60"}),
        (["public", "max-age=60"], {"private", "max-age=60"}),
        (["s-maxage=600, max-age=60"], {"private", "max-age=60"}),
        (["PUBLIC, S-MaxAge=600"], {"private"}),
        (["private"], {"private"}),
        (['private="x-user", max-age=60'], {"private", "max-age=60"}),
        (["no-cache"], {"private", "no-cache"}),
        (["must-revalidate, immutable"], {"private", "must-revalidate", "immutable"}),
        (
            ["max-age=60, stale-if-error=9"],
            {"private", "max-age=60", "stale-if-error=9"},
        ),
        ([""], {"private"}),
    ],
)
@pytest.mark.parametrize("field", ["Cache-Control", "cache-control"])
def test_no_shared_cache_may_store_a_response_with_the_cookie(
    field: str, theirs: list[str], directives: set[str]
) -> None:
    headers = [(field, value) for value in theirs]
    merged = [
        value
        for name, value in set_cookie(headers, "session", COOKIE)
        if name.lower() == "cache-control"
    ]
    assert len(merged) == 1
    assert set(merged[0].split(", ")) == directives


@pytest.mark.parametrize(
    ("status", "control", "shared"),
    [
        ("200 OK", [], False),
        ("200 OK", ["max-age=60"], False),
        ("200 OK", ["private, max-age=60"], False),
        ("200 OK", ["no-store"], False),
        ("200 OK", ["public"], True),
        ("200 OK", ["max-age=60", "Public"], True),
        ("200 OK", ["s-maxage=0"], True),
        ("200 OK", ["immutable"], True),
        ("304 Not Modified", [], True),
        ("304 Not Modified", ["private"], True),
    ],
)
def test_response_for_many_visitors_is_told_from_one_for_a_single_visitor(
    status: str, control: list[str], shared: bool
) -> None:
    headers = [("cache-control", value) for value in control]
    assert is_shared(status, headers) is shared


def test_headers_that_were_given_are_never_changed_in_place() -> None:
    headers = [TEXT, *vary("Accept"), ("Cache-Control", "public")]
    before = list(headers)
    vary_on_cookie(headers)
    set_cookie(headers, "session", COOKIE)
    assert headers == before

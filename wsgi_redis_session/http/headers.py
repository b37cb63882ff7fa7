"""What a session means for the headers of a response: cookie and caches."""

from __future__ import annotations

from werkzeug.datastructures import ResponseCacheControl
from werkzeug.http import parse_dict_header

from ..model.outcome import Outcome

#: The headers of a WSGI response.
Headers = list[tuple[str, str]]


def with_session(
    status: str, headers: Headers, outcome: Outcome, *, name: str, accessed: bool
) -> Headers:
    """The headers of a response whose session was committed.

    ``name`` is the cookie's, ``accessed`` whether the application has looked at the
    session. Headers that need nothing come back as they are.
    """
    if accessed:
        headers = vary_on_cookie(headers)
    if outcome.cookie is None or (outcome.renewal and is_shared(status, headers)):
        return headers
    return set_cookie(headers, name, outcome.cookie)


def vary_on_cookie(headers: Headers) -> Headers:
    """The response depends on the cookie: caches must tell visitors apart (RFC 9110,
    section 12.5.5)."""
    vary = [value for field, value in headers if field.lower() == "vary"]
    if not vary:
        return [*headers, ("Vary", "Cookie")]
    if "Cookie" in vary:
        return headers
    fields = {field.strip().lower() for value in vary for field in value.split(",")}
    if fields & {"cookie", "*"}:
        return headers
    merged = ", ".join([*filter(None, vary), "Cookie"])
    return [*_without(headers, "vary"), ("Vary", merged)]


def set_cookie(headers: Headers, name: str, cookie: str) -> Headers:
    """Add the session's cookie, the only one of its name (RFC 6265bis, section 4.1.1).

    A shared cache that stored it would hand one visitor's session to the next, so the
    response is not stored at all where the application did not say, and by nobody
    but the visitor's browser where it did.
    """
    kept = [
        (field, value)
        for field, value in headers
        if field.lower() != "set-cookie" or value.partition("=")[0].strip() != name
    ]
    control = _values(kept, "cache-control")
    return [
        *_without(kept, "cache-control"),
        ("Cache-Control", _private(", ".join(control)) if control else "no-store"),
        ("Set-Cookie", cookie),
    ]


def is_shared(status: str, headers: Headers) -> bool:
    """Whether a response is meant for many visitors, or renews what a cache holds."""
    if status.startswith("304"):
        return True
    control = _parse(", ".join(_values(headers, "cache-control")))
    return bool(control.public or control.immutable or control.s_maxage is not None)


def _private(value: str) -> str:
    control = _parse(value)
    if control.no_store:
        return value
    control.public = False
    control.s_maxage = None
    control.private = True
    return control.to_header()


def _parse(value: str) -> ResponseCacheControl:
    # Werkzeug keeps the case of directives, which says nothing (RFC 9111, section 5.2).
    directives = parse_dict_header(value)
    return ResponseCacheControl({name.lower(): directives[name] for name in directives})


def _values(headers: Headers, name: str) -> list[str]:
    return [value for field, value in headers if field.lower() == name]


def _without(headers: Headers, name: str) -> Headers:
    return [pair for pair in headers if pair[0].lower() != name]

"""What options demand of one another."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

if t.TYPE_CHECKING:
    from .config import SessionConfig


def _is_cross_site(config: SessionConfig) -> bool:
    return (config.cookie_samesite or "").title() == "None"


def _is_partitioned(config: SessionConfig) -> bool:
    return config.cookie_partitioned


def _is_named(*prefixes: str) -> cabc.Callable[[SessionConfig], bool]:
    # Browsers compare the prefixes without regard to case.
    return lambda config: config.cookie_name.lower().startswith(prefixes)


_SECURE_NAME = _is_named("__secure-", "__host-", "__http-")
_HOST_NAME = _is_named("__host-")
_HTTP_NAME = _is_named("__http-", "__host-http-")

#: What an option must be where others say so, and why. Browsers drop what breaks these
#: rules (RFC 6265bis, sections 4.1.2.7 and 4.1.3).
RULES = (
    ("cookie_secure", (True, "auto"), _is_cross_site, 'SameSite="None" needs Secure'),
    ("cookie_secure", (True, "auto"), _is_partitioned, "a partitioned cookie needs it"),
    ("cookie_secure", (True,), _SECURE_NAME, "the name {name!r} needs Secure"),
    ("cookie_domain", (None,), _HOST_NAME, "the name {name!r} allows no Domain"),
    ("cookie_path", ("/",), _HOST_NAME, "the name {name!r} needs it"),
    ("cookie_httponly", (True,), _HTTP_NAME, "the name {name!r} needs HttpOnly"),
)

#: Which duration must be less than which other, and what happens if it is not.
ORDER = (
    ("touch_interval", "idle_timeout", "sessions end while they are used"),
    ("touch_interval", "permanent_lifetime", "sessions end while they are used"),
)

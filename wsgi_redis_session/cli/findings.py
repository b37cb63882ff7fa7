"""What is right and what is not about a site, by what its server and its options
say."""

from __future__ import annotations

import collections.abc as cabc
import enum
import typing as t

from ..config import SessionConfig
from .output import size

Info = cabc.Mapping[str, str]


class Level(enum.Enum):
    """How bad it is."""

    OK = "ok"
    #: Good to know.
    NOTE = "note"
    #: Works, until something else goes wrong.
    WARNING = "warning"
    #: Must change.
    PROBLEM = "problem"


class Finding(t.NamedTuple):
    """One thing that was looked at."""

    level: Level
    subject: str
    text: str
    #: What to change.
    remedy: str = ""


#: A server may be so full before somebody should look.
_FULL = 0.8

#: What says whether the last writing of a file went well.
_FILES = {"rdb_last_bgsave_status": "snapshot", "aof_last_write_status": "AOF"}

#: Clocks may differ by so many seconds.
_SKEW = 60

#: Shorter secrets can be guessed (RFC 2104, section 3, for a digest of 20 bytes).
_SECRET_BYTES = 16

#: Browsers keep no cookie for longer (RFC 6265bis, section 5.5).
_MAX_AGE = 400 * 86400


def of_memory(info: Info) -> cabc.Iterator[Finding]:
    """By ``INFO memory``."""
    used, limit = _number(info, "used_memory"), _number(info, "maxmemory")
    policy = info.get("maxmemory_policy", "unknown")
    is_limited = limit > 0
    limit = limit or _number(info, "total_system_memory")
    text = f"{size(used)} of {size(limit)} used" if limit else f"{size(used)} used"
    if limit and used > _FULL * limit:
        remedy = "Give the server more memory, or shorten idle_timeout."
        yield Finding(Level.WARNING, "memory", text, remedy)
    else:
        yield Finding(Level.OK, "memory", text)
    if not is_limited:
        remedy = (
            "Set maxmemory, so that Redis refuses writes before the system ends it."
        )
        yield Finding(Level.NOTE, "eviction", "there is no maxmemory", remedy)
    elif policy == "noeviction":
        yield Finding(Level.OK, "eviction", policy)
    else:
        text = f"{policy}: when memory is full, visitors are logged out at random"
        remedy = "Set maxmemory-policy noeviction, on a server for sessions alone."
        yield Finding(Level.WARNING, "eviction", text, remedy)


def of_persistence(info: Info, save: str | None) -> cabc.Iterator[Finding]:
    """By ``INFO persistence`` and the setting ``save``, ``None`` if nobody may know."""
    if info.get("loading") == "1":
        yield Finding(Level.PROBLEM, "persistence", "Redis is still loading", "Wait.")
    for key, what in _FILES.items():
        if info.get(key, "ok") != "ok":
            text = f"the last {what} could not be written"
            remedy = "See Redis' log: is the disk full?"
            yield Finding(Level.PROBLEM, "persistence", text, remedy)
    if info.get("aof_enabled") == "1":
        yield Finding(Level.OK, "persistence", "append-only file")
    elif save:
        text = f"snapshots only ({save}): a crash loses the changes since the last one"
        remedy = "Set appendonly yes, if that matters."
        yield Finding(Level.NOTE, "persistence", text, remedy)
    elif save == "":
        text = "none: a restart of Redis logs everybody out"
        remedy = "Set appendonly yes, if that matters."
        yield Finding(Level.WARNING, "persistence", text, remedy)
    else:
        yield Finding(Level.NOTE, "persistence", "no append-only file")


def of_replication(info: Info, wait_replicas: int) -> cabc.Iterator[Finding]:
    """By ``INFO replication``."""
    count = _number(info, "connected_slaves")
    if info.get("role") != "master":
        text = "this is a replica, which takes no writes"
        remedy = (
            "Name the primary, or its Sentinels: redis+sentinel://host:port/service"
        )
        yield Finding(Level.PROBLEM, "replicas", text, remedy)
    elif count < wait_replicas:
        text = f"{count}, but wait_replicas={wait_replicas}: each save fails"
        remedy = "Connect the replicas, or lower wait_replicas."
        yield Finding(Level.PROBLEM, "replicas", text, remedy)
    elif not count:
        yield Finding(Level.NOTE, "replicas", "none")
    elif not wait_replicas:
        text = f"{count}; a failover may undo what was stored last, a logout, say"
        remedy = "Set wait_replicas=1, if that matters."
        yield Finding(Level.NOTE, "replicas", text, remedy)
    else:
        yield Finding(Level.OK, "replicas", f"{count}")


def of_clock(skew: float) -> Finding:
    """By how many seconds the server's clock is ahead of ours."""
    text = f"{abs(skew):.1f} s {'ahead of' if skew >= 0 else 'behind'} this machine"
    if abs(skew) <= _SKEW:
        return Finding(Level.OK, "clock", text)
    return Finding(Level.WARNING, "clock", text, "Let both machines use NTP.")


def of_protection(protection: str | None) -> Finding:
    """By what keeps others from reading on the way to Redis, ``""`` for nothing."""
    if protection is None:
        text = "not known for a client that you have made"
        return Finding(Level.NOTE, "encryption", text)
    if protection:
        return Finding(Level.OK, "encryption", protection)
    text = "none: whoever is on the way can read and change sessions"
    remedy = "Use rediss://, or a network that nobody else is on."
    return Finding(Level.WARNING, "encryption", text, remedy)


def of_secrets(keys: cabc.Sequence[bytes]) -> cabc.Iterator[Finding]:
    """By the secret keys, the one that signs first."""
    shortest = min(map(len, keys))
    if shortest < _SECRET_BYTES:
        text = f"a key has only {shortest} bytes, and can be guessed"
        remedy = "Make one: python -c 'import secrets; print(secrets.token_hex())'"
        yield Finding(Level.PROBLEM, "secret key", text, remedy)
    else:
        yield Finding(Level.OK, "secret key", f"at least {shortest} bytes")
    if len(keys) > 1:
        text = f"{len(keys) - 1} earlier keys are still accepted"
        remedy = "Remove them when their cookies are over."
        yield Finding(Level.NOTE, "secret key", text, remedy)


def of_cookie(config: SessionConfig) -> cabc.Iterator[Finding]:
    """By the cookie's options, against RFC 6265bis."""
    found = [
        Finding(level, "cookie", text, remedy)
        for level, applies, text, remedy in _COOKIE_RULES
        if applies(config)
    ]
    yield from found
    if not found:
        yield Finding(Level.OK, "cookie", f"{config.cookie_name}, as it should be")


#: How bad it is, when it is so, and what to change.
_COOKIE_RULES: tuple[
    tuple[Level, cabc.Callable[[SessionConfig], bool], str, str], ...
] = (
    (
        Level.WARNING,
        lambda config: config.cookie_secure is False,
        "it is sent over http as well, where others can read it",
        "Set cookie_secure=True.",
    ),
    (
        Level.NOTE,
        lambda config: config.cookie_secure == "auto",
        "it is Secure only where the request came over https",
        "With https only: cookie_secure=True. Behind a proxy that ends TLS, put "
        "ProxyFix around the middleware.",
    ),
    (
        Level.WARNING,
        lambda config: not config.cookie_httponly,
        "JavaScript can read it, so a script of others can take the session",
        "Set cookie_httponly=True.",
    ),
    (
        Level.WARNING,
        lambda config: config.cookie_samesite is None,
        "without SameSite it depends on the browser which other sites can use it",
        'Set cookie_samesite="Lax".',
    ),
    (
        Level.WARNING,
        lambda config: (config.cookie_samesite or "").title() == "None",
        "forms of other sites are sent with it",
        'Set cookie_samesite="Lax", or have each form carry a CSRF token.',
    ),
    (
        Level.WARNING,
        lambda config: config.cookie_domain is not None,
        "every subdomain gets it, and can plant one",
        "Leave cookie_domain out.",
    ),
    (
        Level.NOTE,
        lambda config: (
            config.cookie_secure is True
            and config.cookie_domain is None
            and config.cookie_path == "/"
            and not config.cookie_name.lower().startswith(("__host-", "__http-"))
        ),
        "a subdomain can plant one of this name",
        'Set cookie_name="__Host-session". It logs everybody out once.',
    ),
    (
        Level.WARNING,
        lambda config: config.seconds("permanent_lifetime") > _MAX_AGE,
        "browsers keep it for at most 400 days",
        "Lower permanent_lifetime.",
    ),
)


def _number(info: Info, name: str) -> int:
    text = info.get(name, "0")
    return int(text) if text.isdecimal() else 0

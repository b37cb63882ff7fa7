"""From a URL to what redis-py's connections are made from, or a clear error."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t
from urllib.parse import parse_qsl
from urllib.parse import unquote
from urllib.parse import urlsplit

from redis import ConnectionPool
from redis.connection import AbstractConnection

#: Valkey's schemes mean the same protocol under another name.
_SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "unix": "unix",
    "valkey": "redis",
    "valkeys": "rediss",
}

#: What several servers are together, and the port of each.
_KINDS = {"cluster": 6379, "sentinel": 26379}

#: What query parameters begin with that are for the sentinels.
_SENTINEL = "sentinel_"

DEFAULT_URL = "redis://localhost:6379/0"

Address = tuple[str, int]


class Target(t.NamedTuple):
    """Where a URL leads."""

    kind: t.Literal["server", "cluster", "sentinel"]
    connection_class: type[AbstractConnection]
    #: The arguments of a connection, host and port of a single server among them.
    settings: dict[str, t.Any]
    #: The nodes or sentinels that are asked first.
    addresses: list[Address]
    #: What the sentinels know the server as.
    service: str = ""
    #: The URLs of the sentinels.
    sentinels: cabc.Sequence[str] = ()


def parse(url: str) -> Target:
    """Raises :exc:`ValueError` or :exc:`TypeError` for a URL that cannot work; the
    message shows nothing of it that may be secret."""
    scheme, colon, rest = url.partition("://")
    base, _, kind = scheme.partition("+")
    is_known = base in _SCHEMES and (not kind or kind in _KINDS)
    if not colon or not is_known or (base == "unix" and kind):
        raise ValueError(
            f"its scheme must be one of {', '.join(_SCHEMES)}, or redis+cluster and "
            f"redis+sentinel, as in {DEFAULT_URL!r}; any other server can be given as "
            "a client of redis-py."
        )
    url = f"{_SCHEMES[base]}://{rest}"
    if not kind:
        return _single(url)
    return _several(url, t.cast(t.Literal["cluster", "sentinel"], kind))


def shown(url: str) -> str:
    """A URL as it was given, without what is or may be user, password or query."""
    found = re.match(r"\s*(?:[a-z][a-z\d+.-]*:)?//", url, re.IGNORECASE)
    start = found[0] if found else ""
    rest, *query = re.split("[?#]", url.removeprefix(start), maxsplit=1)
    if "@" in "".join(query):
        return f"{start}..."  # all of it may be a password that has a "?"
    is_socket = start.strip().lower() == "unix://"
    if is_socket and (rest.startswith("/") or "@/" in rest):
        return f"{start}/{rest.rpartition('@/')[2].removeprefix('/')}"
    _, at, place = rest.rpartition("@")
    return start + (place if at else _without_password(place))


def _without_password(place: str) -> str:
    """Where a host was left out, a password stands in the place of the port; only the
    addresses of IPv6 have other colons."""
    colons = r"(?is)(\A\[[\da-f:.]*\]?)|:(?!\d{0,5}(?:[/,]|$)).*"
    return re.sub(colons, lambda found: found[1] or ":...", place)


def _single(url: str) -> Target:
    _check(url)
    pool = ConnectionPool.from_url(url)
    settings = _checked_settings(pool.connection_kwargs)
    return Target("server", pool.connection_class, settings, [])


def _several(url: str, kind: t.Literal["cluster", "sentinel"]) -> Target:
    """``scheme://user:password@host:port,host:port/...``: the first of these addresses
    stands for all of them while the rest is read."""
    scheme, _, rest = url.partition("://")
    place, slash, path_and_query = rest.partition("/")
    place, mark, query = place.partition("?") if not slash else (place, "", "")
    user, at, hosts = place.rpartition("@")
    addresses = [_address(host, _KINDS[kind]) for host in hosts.split(",")]
    path, question, options = path_and_query.partition("?")
    service = ""
    if kind == "sentinel":
        service, _, path = path.partition("/")
        if not service:
            raise ValueError(
                "it names no service; write redis+sentinel://host:port,host:port/"
                "service/0."
            )
    elif path.strip("/") not in ("", "0"):
        raise ValueError("a cluster has only the database 0.")
    # As they were written: what cannot stand in a URL is refused, not mended.
    parts = (query or options).split("&")
    theirs = [p.removeprefix(_SENTINEL) for p in parts if p.startswith(_SENTINEL)]
    ours = [part for part in parts if not part.startswith(_SENTINEL)]
    tail = f"{path}{mark or question}{'&'.join(ours)}"
    single = _single(f"{scheme}://{user}{at}{_place(addresses[0])}/{tail}")
    if kind == "sentinel":
        urls = _sentinels(scheme, addresses, theirs, ours)
        single = single._replace(sentinels=urls)
    elif theirs:
        raise ValueError(f"{_SENTINEL}... is for redis+sentinel:// only.")
    return single._replace(kind=kind, addresses=addresses, service=unquote(service))


def _sentinels(
    scheme: str, addresses: list[Address], theirs: list[str], ours: list[str]
) -> list[str]:
    """The sentinels are reached as the servers are, with TLS or without, and with what
    is given for them by name."""
    words = {"ssl=true": "rediss", "ssl=false": "redis"}
    for part in theirs:
        if part.startswith("ssl="):
            if part.lower() not in words:
                raise ValueError(f"{_SENTINEL}ssl must be true or false.")
            scheme = words[part.lower()]
    # The first of two of the same name counts.
    given = [part for part in theirs if not part.startswith("ssl=")]
    if scheme == "rediss":
        given += [part for part in ours if part.startswith("ssl_")]
    query = "&".join(given)
    urls = [f"{scheme}://{_place(address)}/?{query}" for address in addresses]
    single = _single(urls[0])
    single.connection_class(**single.settings)  # raises for what it does not know
    return urls


def _place(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _address(text: str, default_port: int) -> Address:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port or default_port
    except ValueError:
        host = None
    if not host:
        raise ValueError("its hosts or ports cannot be read.")
    return host, port


def _check(url: str) -> None:
    """What redis-py would silently take for something else."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("its host or port cannot be read.") from None
    is_socket = parts.scheme == "unix"
    if "#" in url or (not is_socket and "@" in parts.path + parts.query):
        raise ValueError(
            "it must have @, /, ? and # in a user name, password or value as %40, %2F, "
            "%3F and %23."
        )
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if is_socket and (parts.hostname or not parts.path.strip("/")):
        raise ValueError("it names no socket; write unix:///path/to/redis.sock.")
    try:
        parts.port  # noqa: B018  # raises for a port that is no number
    except ValueError:
        raise ValueError("its host or port cannot be read.") from None
    path = "" if is_socket else parts.path.strip("/")
    if not query.get("db", path or "0").isdecimal():
        raise ValueError(f"the database must be a number, as in {DEFAULT_URL!r}.")


def _checked_settings(settings: dict[str, t.Any]) -> dict[str, t.Any]:
    """A query parameter that cannot work is found out here, not in a request."""
    for name in ("socket_connect_timeout", "socket_timeout"):
        if name in settings and not 0 < settings[name] < float("inf"):
            raise ValueError(f"{name} must be a number of seconds, more than zero.")
    if settings.get("protocol", 2) not in (2, 3):
        raise ValueError("protocol must be 2 or 3; sessions use 2 in any case.")
    if "retry" in settings:
        raise ValueError("retry is no part of a URL; there is the option retries.")
    return settings

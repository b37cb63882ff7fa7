"""What is kept about who uses a session, for its user to recognise it by."""

from __future__ import annotations

import ipaddress
import typing as t

from ..config import SessionConfig

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: So many characters of a user agent are kept.
_MAX_USER_AGENT = 256

#: What is left of an address of which only the network is kept: what a provider gives
#: to one customer, or to few.
_PREFIX_LENGTHS = {4: 24, 6: 48}


class Visitor(t.NamedTuple):
    """From where and with what a request came; ``None`` where that is not known, or
    not kept."""

    address: str | None = None
    user_agent: str | None = None

    @classmethod
    def of(cls, environ: WSGIEnvironment, config: SessionConfig) -> Visitor:
        """What the options allow to keep of a WSGI environment."""
        address = environ.get("REMOTE_ADDR") if config.keep_address else None
        user_agent = environ.get("HTTP_USER_AGENT") if config.keep_user_agent else None
        is_cut = config.keep_address == "network"
        return cls(
            _address(address, is_cut=is_cut) if address else None,
            _plain(user_agent) if user_agent else None,
        )


def _address(text: str, *, is_cut: bool) -> str | None:
    """An address as it is usually written; what is none, that of a Unix socket, say, is
    not known."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if not is_cut:
        return str(address)
    length = _PREFIX_LENGTHS[address.version]
    return str(ipaddress.ip_network((address, length), strict=False))


def _plain(user_agent: str) -> str:
    """A user agent without what could forge a line in a log, or change the direction
    of a text. Its bytes are in Latin-1 (PEP 3333, "Unicode Issues")."""
    text = user_agent.encode("latin-1", "replace").decode("utf-8", "replace")
    shown = "".join(char for char in text if char.isprintable())
    return shown[:_MAX_USER_AGENT]

"""What a site may show of its sessions."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """A session as a list shows it: to its user, who is to recognise it, or to those
    who run the site."""

    #: The device: random, the same as long as the session goes on in that browser.
    device: str
    #: :attr:`Session.id <wsgi_redis_session.Session.id>`, which changes with the
    #: session id.
    id: str
    #: When the session began, in seconds since the epoch.
    created: float
    #: Whether it outlives the browser.
    permanent: bool
    #: When it was last seen, in seconds since the epoch, to within ``touch_interval``;
    #: ``None`` where that is not known.
    last_seen: float | None = None
    #: From where, see ``keep_address``; ``None`` where that is not known.
    address: str | None = None
    #: With what, see ``keep_user_agent``; ``None`` where that is not known.
    user_agent: str | None = None
    #: Whether it is the one that was asked for as ``current``.
    current: bool = False

"""What a commit means for the response."""

from __future__ import annotations

import typing as t


class Outcome(t.NamedTuple):
    """What the response has to tell the browser."""

    #: The ``Set-Cookie`` value, or ``None`` where the browser's cookie stands.
    cookie: str | None = None
    #: The same cookie is only to live longer: a response that is meant for shared
    #: caches may go without it.
    renewal: bool = False

    def __repr__(self) -> str:
        return f"<Outcome {'with' if self.cookie else 'without'} a cookie>"


#: The browser's cookie stands.
UNCHANGED = Outcome()

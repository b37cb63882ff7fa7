"""What all requests of a site share."""

from __future__ import annotations

import typing as t

from .adoption import Adoption
from .config import SessionConfig
from .cookie import SessionCookie
from .events import EventLog
from .lifetimes import Lifetimes
from .serializer import Serializer
from .session import Session
from .store import RedisStore


class Parts(t.NamedTuple):
    """The parts of a manager, each made once."""

    config: SessionConfig
    cookie: SessionCookie
    events: EventLog
    lifetimes: Lifetimes
    serializer: Serializer
    store: RedisStore
    #: For sessions of another library, if there may be any.
    adoption: Adoption | None
    session_class: type[Session]

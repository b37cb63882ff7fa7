"""Dates with a time, and times, to text and back.

ISO 8601; a ZoneInfo is appended in brackets, as in RFC 9557. The mark ``|1`` says that
a time is the second of two that the clock shows (PEP 495).
"""

from __future__ import annotations

import typing as t
from datetime import datetime
from datetime import time

from ..errors import NotSerializable

if t.TYPE_CHECKING:
    from zoneinfo import ZoneInfo


def to_text(value: datetime | time) -> str:
    """Raises :exc:`~wsgi_redis_session.NotSerializable` for a zone without offset."""
    kind = datetime if isinstance(value, datetime) else time
    text = kind.isoformat(value)  # type: ignore[arg-type]  # not a subclass' own
    key = getattr(value.tzinfo, "key", None)
    if key and isinstance(value.tzinfo, _zone_info()):
        text += f"[{key}]"
    elif value.tzinfo is not None and value.utcoffset() is None:
        raise NotSerializable(f"a {kind.__name__} without an offset cannot be stored")
    if value.fold:
        text += "|1"
    return text


def to_datetime(text: str) -> datetime:
    """Raises :exc:`ValueError`."""
    text, _, fold = text.partition("|")
    text, _, zone = text.partition("[")
    moment = datetime.fromisoformat(text).replace(fold=1 if fold else 0)
    if zone:
        local = moment.replace(tzinfo=_zone(zone[:-1]))
        # The rules of a zone change; the moment in time must not.
        if local.utcoffset() == moment.utcoffset():
            return local
    return moment


def to_time(text: str) -> time:
    """Raises :exc:`ValueError`."""
    text, _, fold = text.partition("|")
    text, _, zone = text.partition("[")
    moment = time.fromisoformat(text).replace(fold=1 if fold else 0)
    return moment.replace(tzinfo=_zone(zone[:-1])) if zone else moment


def _zone_info() -> type[ZoneInfo]:
    from zoneinfo import ZoneInfo  # slow to import, and rarely needed

    return ZoneInfo


def _zone(key: str) -> ZoneInfo | None:
    try:
        return _zone_info()(key)
    except KeyError:  # this machine does not know it
        return None

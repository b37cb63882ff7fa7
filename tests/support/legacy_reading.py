"""How the tests of other libraries' sessions read and compare them."""

from __future__ import annotations

import typing as t
import uuid
from datetime import date
from datetime import datetime
from datetime import timedelta
from datetime import timezone
from datetime import UTC
from decimal import Decimal

import legacy_sessions
import pytest
from conftest import SECRET_KEY
from hypothesis import HealthCheck
from hypothesis import settings
from legacy_sessions import Left

from wsgi_redis_session.errors import Undecodable
from wsgi_redis_session.legacy.reader import LegacyReader
from wsgi_redis_session.model.serializer import MessagePackSerializer

quick = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)

reader = LegacyReader([SECRET_KEY], allow_pickle=True)

LEFT = {name: value for name, value in vars(legacy_sessions).items() if name.isupper()}
LEFT = {name: value for name, value in LEFT.items() if isinstance(value, Left)}

any_left = pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)

VALUES: dict[str, t.Any] = {
    "user_id": "42",
    "name": "Zoë \N{EURO SIGN}",
    "number": -3,
    "large": 2**63,
    "price": 1.5,
    "ok": True,
    "none": None,
    "bytes": b"\x00\xff",
    "list": [1, [2, {"a": {}}]],
    "ids": {1: "one", -2: "two"},
    "pair": (1, 2),
    "seen": {3},
    "aware": datetime(2024, 2, 29, 12, 30, 15, 250001, tzinfo=UTC),
    "early": datetime(1890, 1, 1, tzinfo=timezone(timedelta(hours=2))),
    "naive": datetime(2024, 2, 29),
    "day": date(2024, 2, 29),
    "span": timedelta(1, 2, 3),
    "uuid": uuid.UUID(int=7),
    "exact": Decimal("9.90"),
}


def packed(values: dict[str, t.Any]) -> dict[str, bytes]:
    """Equal for equal values of the same types, and only for what can be stored."""
    return {name: MessagePackSerializer().dumps(it) for name, it in values.items()}


def refusal(data: bytes) -> str:
    with pytest.raises(Undecodable) as caught:
        reader.loads(data)
    return str(caught.value)

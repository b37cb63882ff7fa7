"""Finds the primary that sentinels watch.

After a failover the sentinels learn of the new primary one after the other, and one
that has not heard of it yet may send everybody back to the old one, which was started
again meanwhile, and is empty. So all are asked, and the latest configuration counts
(https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/, Configuration
epochs).
"""

from __future__ import annotations

import collections.abc as cabc
import time
import typing as t

from redis import Redis
from redis.exceptions import RedisError
from redis.sentinel import MasterNotFoundError

from .urls import Address

#: How long one that did not answer is left out where another one has, in seconds.
_SILENCE = 5.0


class _Opinion(t.NamedTuple):
    """What a sentinel says of a primary."""

    #: Counts the failovers; see the configuration epochs.
    epoch: int
    primary: Address
    is_up: bool


class Sentinels:
    """The sentinels that watch the primary of a service."""

    def __init__(
        self,
        addresses: cabc.Sequence[Address],
        service: str,
        settings: dict[str, t.Any],
    ) -> None:
        self._service = service
        self._clients = {
            (host, port): Redis(host, port, **settings) for host, port in addresses
        }
        # When those that did not answer are asked again, by the monotonic clock.
        self._silent: dict[Address, float] = {}

    def primary(self) -> Address:
        """Where the primary is. Raises redis-py's :exc:`MasterNotFoundError`."""
        now = time.monotonic()
        rested = [a for a in self._clients if self._silent.get(a, 0) <= now]
        others = [a for a in self._clients if a not in rested]
        errors: list[RedisError] = []
        found = self._ask(rested, errors) or self._ask(others, errors)
        latest = max((opinion.epoch for opinion in found), default=0)
        for opinion in found:
            if opinion.epoch == latest and opinion.is_up:
                return opinion.primary
        asked = ", ".join(f"{host}:{port}" for host, port in self._clients)
        detail = f" ({errors[-1]})" if errors else ""
        raise MasterNotFoundError(
            f"no Sentinel at {asked} answers and knows a master of that name{detail}"
        )

    def _ask(
        self, addresses: list[Address], errors: list[RedisError]
    ) -> list[_Opinion]:
        """What those of them say who know the service."""
        found = []
        for address in addresses:
            try:
                opinion = self._opinion(self._clients[address])
            except RedisError as error:
                self._silent[address] = time.monotonic() + _SILENCE
                errors.append(error)
            else:
                self._silent.pop(address, None)
                if opinion is not None:
                    found.append(opinion)
        return found

    def _opinion(self, sentinel: Redis) -> _Opinion | None:
        masters: t.Any = sentinel.sentinel_masters()
        state = masters.get(self._service)
        if state is None:
            return None
        # While a failover goes on it is the new one already, and the state the old
        # one's.
        question = ("SENTINEL GET-MASTER-ADDR-BY-NAME", self._service)
        primary: t.Any = sentinel.execute_command(*question)  # type: ignore[no-untyped-call]  # redis-py
        is_up = state["is_master"] and not (state["is_sdown"] or state["is_odown"])
        is_promoted = primary != (state["ip"], state["port"])
        return _Opinion(state["config-epoch"], primary, is_up or is_promoted)

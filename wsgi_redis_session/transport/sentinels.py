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
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError

from .deadline import Deadline
from .urls import Address

#: How long one that did not answer is left out where others have, in seconds.
_SILENCE = 5.0

#: What part of the time that is left one of them may take for a connection, and for
#: each of two replies, and what part all of them together.
_ONE, _ALL = 1 / 6, 1 / 2


class _Opinion(t.NamedTuple):
    """What a sentinel says of a primary."""

    #: Counts the failovers; see the configuration epochs.
    epoch: int
    primary: Address
    is_up: bool


class Sentinels:
    """The sentinels that watch the primary of a service, each by its URL. ``seconds``
    is the longest time that a connection to one of them, or a reply, may take."""

    def __init__(self, urls: cabc.Sequence[str], service: str, seconds: float) -> None:
        self._urls = urls
        self._service = service
        self._seconds = seconds
        # When those that did not answer are asked again, by the monotonic clock.
        self._silent: dict[str, float] = {}
        # The latest configuration that any of them knew.
        self._latest = 0

    def primary(self, deadline: Deadline) -> Address:
        """Where the primary is. Raises redis-py's :exc:`MasterNotFoundError`."""
        now, enough = time.monotonic(), deadline.left * _ALL
        rested = [url for url in self._urls if self._silent.get(url, 0) <= now]
        others = [url for url in self._urls if url not in rested]
        errors: list[Exception] = []
        found: list[_Opinion] = []
        for group in rested, others:
            for url in group:
                if deadline.left > enough:
                    self._ask(url, deadline, found, errors)
            primary = self._agreed(found)
            if primary is not None:
                return primary
        asked = ", ".join(urlsplit(url).netloc for url in self._urls)
        detail = f" ({errors[-1]})" if errors else ""
        raise MasterNotFoundError(
            f"no Sentinel at {asked} answers and knows a master of that name{detail}"
        )

    def _agreed(self, found: list[_Opinion]) -> Address | None:
        """Where the latest of these configurations has the primary, if that is up, and
        if it is none that was replaced before: without most of the sentinels nobody can
        know."""
        latest = max((opinion.epoch for opinion in found), default=0)
        if latest < self._latest and 2 * len(found) <= len(self._urls):
            return None
        for opinion in found:
            if opinion.epoch == latest and opinion.is_up:
                self._latest = latest
                return opinion.primary
        return None

    def _ask(
        self,
        url: str,
        deadline: Deadline,
        found: list[_Opinion],
        errors: list[Exception],
    ) -> None:
        """What one of them says, if it knows the service."""
        seconds = min(self._seconds, deadline.left * _ONE)
        # A new connection: one that was kept may lead nowhere, and whoever finds that
        # out too late believes those that have not heard of a failover.
        sentinel = Redis.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=seconds,
            socket_timeout=seconds,
        )
        try:
            opinion = self._opinion(sentinel)
        except (RedisError, OSError, KeyError, TypeError, ValueError) as error:
            self._silent[url] = time.monotonic() + _SILENCE
            errors.append(error)
        else:
            self._silent.pop(url, None)
            if opinion is not None:
                found.append(opinion)
        finally:
            sentinel.close()

    def _opinion(self, sentinel: Redis) -> _Opinion | None:
        masters: t.Any = sentinel.sentinel_masters()
        state = masters.get(self._service)
        if state is None:
            return None
        # While a failover goes on it is the new one already, and the state the old
        # one's.
        question = ("SENTINEL GET-MASTER-ADDR-BY-NAME", self._service)
        reply: t.Any = sentinel.execute_command(*question)  # type: ignore[no-untyped-call]  # redis-py
        if reply is None:
            return None
        primary = reply[0].decode(), int(reply[1])
        is_up = state["is_master"] and not (state["is_sdown"] or state["is_odown"])
        is_promoted = primary != (state["ip"], int(state["port"]))
        return _Opinion(int(state["config-epoch"]), primary, is_up or is_promoted)

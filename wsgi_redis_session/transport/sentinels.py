"""Finds the primary that sentinels watch.

After a failover the sentinels learn of the new primary one after the other, and one
that has not heard of it yet may send everybody back to the old one, which was started
again meanwhile, and is empty. So all are asked, and the latest configuration counts
(https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/, Configuration
epochs). Where fewer than most answer, the others may know of a later one, until it is
clear that they are dead.
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
from redis.utils import str_if_bytes

from .deadline import Deadline
from .urls import Address

#: How long one that did not answer is left out where others have, in seconds, and how
#: long it has to be silent before it is taken for dead.
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
        # When those that did not answer are asked again, by the monotonic clock, and
        # from when on they are taken for dead.
        self._silent: dict[str, float] = {}
        self._dead: dict[str, float] = {}
        # The latest configuration that any of them knew.
        self._latest = 0

    def primary(self, deadline: Deadline) -> Address:
        """Where the primary is. Raises redis-py's :exc:`MasterNotFoundError`."""
        now, enough = time.monotonic(), deadline.left * _ALL
        rested = [url for url in self._urls if self._silent.get(url, 0) <= now]
        others = [url for url in self._urls if url not in rested]
        errors: list[Exception] = []
        answers: dict[str, _Opinion | None] = {}
        for group in rested, others:
            for url in group:
                if deadline.left > enough:
                    self._ask(url, deadline, answers, errors)
            primary = self._agreed(answers)
            if primary is not None:
                return primary
        asked = ", ".join(urlsplit(url).netloc for url in self._urls)
        detail = f" ({errors[-1]})" if errors else ""
        raise MasterNotFoundError(
            f"the Sentinels at {asked} know of no master of that name that is certain "
            f"to be up; {len(answers)} of {len(self._urls)} answered{detail}"
        )

    def _agreed(self, answers: cabc.Mapping[str, _Opinion | None]) -> Address | None:
        """Where the latest of these configurations has the primary, if that is up, and
        if no later one is to be expected."""
        found = [opinion for opinion in answers.values() if opinion is not None]
        latest = max((opinion.epoch for opinion in found), default=0)
        if 2 * len(found) <= len(self._urls):
            now = time.monotonic()
            others = [url for url in self._urls if url not in answers]
            are_dead = all(self._dead.get(url, now + 1) <= now for url in others)
            if latest < self._latest or not are_dead:
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
        answers: dict[str, _Opinion | None],
        errors: list[Exception],
    ) -> None:
        """What one of them says; ``None`` if it does not know the service."""
        before = deadline.left
        seconds = min(self._seconds, before * _ONE)
        # A new connection: one that was kept may lead nowhere, and whoever finds that
        # out too late believes those that have not heard of a failover.
        sentinel = Redis.from_url(url, protocol=2, retry=Retry(NoBackoff(), 0))
        limits = sentinel.connection_pool.connection_kwargs
        for name in ("socket_connect_timeout", "socket_timeout"):
            limits[name] = min(seconds, limits.get(name) or seconds)
        try:
            answers[url] = self._opinion(sentinel)
        except (RedisError, OSError, KeyError, TypeError, ValueError) as error:
            errors.append(error)
            now = time.monotonic()
            self._silent[url] = now + _SILENCE
            if _is_refused(error):
                self._dead[url] = now
            else:
                self._dead.setdefault(url, now + _SILENCE)
        else:
            self._silent.pop(url, None)
            self._dead.pop(url, None)
            if before - deadline.left > seconds:  # slow: the others come first
                self._silent[url] = time.monotonic() + _SILENCE
        finally:
            sentinel.close()

    def _opinion(self, sentinel: Redis) -> _Opinion | None:
        pipeline: t.Any = sentinel.pipeline(transaction=False)
        pipeline.execute_command("SENTINEL MASTERS")
        # While a failover goes on it is the new one already, and the state the old
        # one's.
        pipeline.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", self._service)
        masters, reply = pipeline.execute()
        state = masters.get(self._service)
        if state is None or reply is None:
            return None
        primary = str_if_bytes(reply[0]), int(reply[1])
        is_up = state["is_master"] and not (state["is_sdown"] or state["is_odown"])
        is_promoted = primary != (state["ip"], int(state["port"]))
        return _Opinion(int(state["config-epoch"]), primary, is_up or is_promoted)


def _is_refused(error: BaseException | None) -> bool:
    """Whether nobody listens at an address, so that nobody there knows anything."""
    while error is not None and not isinstance(error, ConnectionRefusedError):
        error = error.__cause__ or error.__context__
    return error is not None

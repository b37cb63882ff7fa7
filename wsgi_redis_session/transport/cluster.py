"""To a cluster: which node has a key, and what becomes of that when nodes fail."""

from __future__ import annotations

import collections.abc as cabc
import random
import time
import typing as t

from redis.crc import key_slot
from redis.exceptions import AskError
from redis.exceptions import ClusterDownError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.exceptions import TryAgainError

from ..errors import SessionUnavailable
from .deadline import Deadline
from .question import Command
from .question import Question
from .server import NotReplicated
from .server import Server
from .transport import FAILURES
from .transport import ServerTransport
from .transport import Transport
from .transport import unavailable

Address = tuple[str, int]

#: A command is sent on so often, from one node to the next.
_REDIRECTIONS = 8

#: While a node does not answer, the others are asked at most this often who has its
#: keys by now, in seconds.
_REFRESH_INTERVAL = 0.2

#: How long one node may take to tell which node has which keys, in seconds.
_REFRESH_PATIENCE = 0.3


class ClusterTransport:
    """To the nodes of a cluster, each with links and a breaker of its own.

    Nothing is asked before the first command, and as long as one of the ``start`` nodes
    answers, the others are found.
    """

    def __init__(
        self,
        start: cabc.Sequence[Address],
        make: cabc.Callable[[Address], Server],
        protection: str = "",
    ) -> None:
        self.protection = protection
        self.is_doubtful = False
        self._start = start
        nodes = ", ".join(f"{host}:{port}" for host, port in start)
        self.place = f"the cluster at {nodes}"
        self._make = make
        self._servers: dict[Address, Server] = {}
        # The address of the node that has each slot.
        self._slots: dict[int, Address] = {}
        self._refreshed = float("-inf")
        # Why nobody has told which node has which keys.
        self._failure: object = "none was asked"

    def send(self, question: Question) -> t.Any:
        """See :meth:`~wsgi_redis_session.transport.transport.Transport.send`."""
        try:
            return self._send(question)
        except (ClusterDownError, TryAgainError) as error:
            raise unavailable(self.place, error) from error
        except ResponseError:
            raise
        except NotReplicated as error:
            raise SessionUnavailable(str(error)) from error
        except FAILURES as error:
            raise unavailable(self.place, error) from error

    def _send(self, question: Question) -> t.Any:
        slot = _slot(question)
        if slot not in self._slots:
            self._refresh(question.deadline)
        before, address = None, self._slots.get(slot)
        if address is None:
            raise self._unknown
        for _ in range(_REDIRECTIONS):
            try:
                return self._server(address).ask(question, before)
            except MovedError as error:
                before, address = None, self._address(error, address)
                self._slots[slot] = address
            except AskError as error:
                before, address = ("ASKING",), self._address(error, address)
            except (RedisConnectionError, RedisTimeoutError, ClusterDownError):
                address = self._successor(slot, address, question.deadline)
                if address is None:
                    raise
                question, before = question.asked_again(), None
        raise RedisConnectionError("each node sends this command to another one")

    @property
    def _unknown(self) -> RedisConnectionError:
        """Why it is not known which node has a key."""
        if self._slots:
            return RedisConnectionError("no node has the keys of this session")
        return RedisConnectionError(
            f"no node answers and knows which has which keys ({self._failure})"
        )

    def _successor(
        self, slot: int, failed: Address, deadline: Deadline
    ) -> Address | None:
        """The node that has the keys of one that does not answer, by now."""
        if time.monotonic() - self._refreshed >= _REFRESH_INTERVAL:
            self._refresh(deadline)
        found = self._slots.get(slot)
        return None if found == failed or deadline.left <= 0 else found

    def _refresh(self, deadline: Deadline) -> None:
        """Ask one node after the other which node has which keys."""
        self._refreshed = time.monotonic()
        known = [*dict.fromkeys([*self._slots.values(), *self._start])]
        random.shuffle(known)
        for address in known:
            seconds = min(deadline.left, _REFRESH_PATIENCE)
            if seconds <= 0:
                return
            question = Question(Deadline(seconds), ("CLUSTER", "SLOTS"))
            try:
                ranges = self._server(address).ask(question)
            except FAILURES as error:
                self._failure = error
                continue
            if not ranges:
                self._failure = "no node has any"
                continue
            self._slots = {
                slot: _text_address(node, address)
                for first, last, node, *_ in ranges
                for slot in range(first, last + 1)
            }
            self._forget_others()
            return

    def _forget_others(self) -> None:
        """Close the links to nodes that are none of this cluster any more."""
        known = {*self._slots.values(), *self._start}
        for address in [*self._servers]:
            if address not in known:
                server = self._servers.pop(address, None)
                if server is not None:
                    server.drop()

    def _server(self, address: Address) -> Server:
        server = self._servers.get(address)
        if server is None:
            server = self._servers.setdefault(address, self._make(address))
        return server

    @staticmethod
    def _address(error: AskError, asked: Address) -> Address:
        """Where a node sends us; without a host it is the one that was asked."""
        return (error.host or asked[0], error.port)

    def send_all(
        self, deadline: Deadline, commands: cabc.Sequence[Command]
    ) -> list[t.Any]:
        """See :meth:`~wsgi_redis_session.transport.transport.Transport.send_all`."""
        if not self._slots:
            self._refresh(deadline)
        parts: dict[Address | None, list[int]] = {}
        for index, command in enumerate(commands):
            slot = _slot(Question(deadline, command))
            parts.setdefault(self._slots.get(slot), []).append(index)
        replies: list[t.Any] = [None] * len(commands)
        for address, indexes in parts.items():
            words = [commands[index] for index in indexes]
            for index, reply in zip(
                indexes, self._ask_node(address, deadline, words), strict=True
            ):
                if isinstance(reply, (MovedError, AskError)):
                    reply = self._moved(deadline, commands[index])
                replies[index] = reply
        return replies

    def _moved(self, deadline: Deadline, command: Command) -> t.Any:
        """The reply to a command whose key has moved, or the server's error."""
        try:
            return self.send(Question(deadline, command))
        except ResponseError as error:
            return error

    def _ask_node(
        self,
        address: Address | None,
        deadline: Deadline,
        commands: cabc.Sequence[Command],
    ) -> list[t.Any]:
        if address is None:
            raise unavailable(self.place, self._unknown)
        try:
            return _node(address, self._server(address)).send_all(deadline, commands)
        except SessionUnavailable:
            # The next one is to find out who has its keys by now.
            self._refresh(Deadline(_REFRESH_PATIENCE))
            raise

    def nodes(self, deadline: Deadline) -> cabc.Iterator[Transport]:
        """See :meth:`~wsgi_redis_session.transport.transport.Transport.nodes`."""
        self._refresh(deadline)
        if not self._slots:
            raise unavailable(self.place, self._unknown)
        for address in sorted(set(self._slots.values())):
            yield _node(address, self._server(address))

    def scan(self, pattern: str, deadline: Deadline) -> cabc.Iterator[list[bytes]]:
        """See :meth:`~wsgi_redis_session.transport.transport.Transport.scan`."""
        for node in self.nodes(deadline):
            yield from node.scan(pattern, deadline)

    def drop(self) -> None:
        """See :meth:`~wsgi_redis_session.transport.transport.Transport.drop`."""
        for server in [*self._servers.values()]:
            server.drop()


def _slot(question: Question) -> int:
    key = question.key
    return int(key_slot(key.encode() if isinstance(key, str) else key))


def _node(address: Address, server: Server) -> ServerTransport:
    host, port = address
    return ServerTransport(server, f"{host}:{port}")


def _text_address(node: t.Any, asked: Address) -> Address:
    # A node that is to name itself by a host name and has none says "?".
    host = node[0].decode() if node[0] not in (None, b"", b"?") else asked[0]
    return (host, int(node[1]))

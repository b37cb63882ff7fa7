"""Ten minutes of everything at once, and a look at what is left of it.

.. code-block:: console

    $ python -m tests.faults.soak [--seconds N]

Thirty-two visitors enter, read, write and leave, others look at pages without a
session, and every twenty seconds a worker of gunicorn is killed and all connections to
Redis are. At the end: what the oldest worker has gained in memory since the first
minute, the connections of all workers, the keys when all have left, and how many of
them have no TTL.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
import typing as t

_TESTS = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(_TESTS), str(_TESTS / "support")]

import redis  # noqa: E402  # the path had to be set
from topologies import Single  # noqa: E402  # as above

from .crowd import Ask  # noqa: E402  # as above
from .crowd import Crowd  # noqa: E402  # as above
from .crowd import over_http  # noqa: E402  # as above
from .crowd import Visitor  # noqa: E402  # as above
from .served import gunicorn  # noqa: E402  # as above
from .served import Served  # noqa: E402  # as above
from .served import variables  # noqa: E402  # as above

VISITORS, PASSERS, PAUSE = 32, 8, 0.25

#: How often something is killed, and when memory is measured first, in seconds.
KILLING, WARM = 20, 60

#: What the oldest worker may have gained since then, in MB.
GROWTH = 8.0

#: How long an emptied session and what a logout leaves are kept, in seconds.
LEFT = 62


class Leaver(Visitor):
    """Leaves now and then, and enters again."""

    def act(self) -> None:
        if self.cookie and self._luck.random() < 0.02:
            self.leave()
        else:
            super().act()

    def leave(self) -> None:
        if self.visit("/leave") is not None:
            self.cookie = ""


class Soak(Crowd):
    """The visitors of ten minutes."""

    visitor_class = Leaver


def connections(client: redis.Redis) -> int:
    """How many there are but for this one."""
    return len(t.cast("list[object]", client.client_list())) - 1


def soak(place: Single, served: Served, seconds: float) -> tuple[Soak, float]:
    """Let visitors come while workers and connections are killed; they, and what the
    oldest worker has gained."""
    client = place.nodes[0].client

    def ask() -> Ask:
        return over_http(served.port)

    crowd = Soak(ask, VISITORS, PASSERS, PAUSE)
    with crowd:
        began = time.monotonic()
        warm = 0.0
        while time.monotonic() - began < seconds:
            time.sleep(min(KILLING, seconds))
            if not warm and time.monotonic() - began > min(WARM, seconds / 2):
                warm = served.oldest_memory()
            served.kill_youngest_worker()
            client.execute_command("CLIENT KILL SKIPME YES TYPE NORMAL")
        gained = served.oldest_memory() - warm
    return crowd, gained


def report(crowd: Soak, gained: float, open_connections: int, client: t.Any) -> bool:
    """Print what was seen and what is left; whether that is right."""
    seen = [one for v in [*crowd.visitors, *crowd.passers] for one in v.seen]
    failed = [one.status for one in seen if one.status not in (0, 200)]
    killed = sum(one.status == 0 for one in seen)
    print(f"{len(seen)} requests, {killed} broken off by a killed worker, ", end="")
    print(f"{len(failed)} with a status but 200")
    print(f"{crowd.wrong} wrong sessions, {crowd.logged_out} logged out, ", end="")
    print(f"{crowd.lost} acknowledged writes lost, {len(crowd.broken)} broken bodies")
    keys = client.keys()
    eternal = sum(client.pttl(key) == -1 for key in keys)
    print(f"memory of the oldest worker {gained:+.1f} MB, ", end="")
    print(f"{open_connections} connections, {len(keys)} keys, {eternal} without a TTL")
    faults = [failed, crowd.wrong, crowd.logged_out, crowd.lost, crowd.broken, eternal]
    # A worker that was killed may have stored a session whose visitor never knew.
    is_tidy = gained < GROWTH and open_connections <= 100 and len(keys) <= killed
    return is_tidy and not any(faults) and not crowd.failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    arguments = parser.parse_args()
    with Single() as place:
        client = place.nodes[0].client
        app, where = "faults.sites:site()", variables("ours", place.url)
        with gunicorn(app, **where) as served:
            crowd, gained = soak(place, served, arguments.seconds)
            for visitor in crowd.visitors:
                while visitor.cookie:
                    t.cast(Leaver, visitor).leave()
            open_connections = connections(client)
        time.sleep(LEFT)
        return 0 if report(crowd, gained, open_connections, client) else 1


if __name__ == "__main__":
    sys.exit(main())

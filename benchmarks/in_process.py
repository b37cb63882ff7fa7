"""What one request costs, by library and by what it does with its session.

The gateway of ``visits.py`` plays the server, in one thread; Redis is on a unix socket
and has a processor of its own. A cost is what a request takes beyond the same
application without sessions; that of a conflict is what a write takes while another
request stores another name, less what that request takes. All cases have their turn in
each round, in random order, and costs and ratios are those of one round, so that what
slows the machine down slows all of them; the median and the quartiles over the rounds
are shown.
"""

from __future__ import annotations

import itertools
import random
import statistics
import time
import typing as t

import redis
from peers import bare_flask
from peers import FLASK_SESSION
from peers import flask_site
from peers import Peer
from peers import PEERS
from visits import Call
from visits import contents
from visits import cookies_of
from visits import gateway
from visits import ignore
from visits import read
from visits import Use
from visits import write

#: About so many bytes in Redis, by the name of the table.
SIZES = {"300 bytes": 300, "1 KB": 1000, "20 KB": 20_000}

#: Each request is of another visitor.
VISITORS = 200

#: Calls in a row, between two other cases.
IN_A_ROW = 20

WARM_UP = 3

GET, GET_AND_SET = "GET, redis-py", "GET and SET, redis-py"


class Cost(t.NamedTuple):
    """What a request costs, in microseconds, in each round."""

    peer: str
    use: str
    rounds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


def uses_of(peer: Peer) -> dict[str, Use]:
    """What a request does with its session, by name."""
    uses: dict[str, Use] = {"untouched": ignore, "read": read, "write": write}
    if peer.renew is not None:
        uses["login"] = peer.renew
    return uses


def meeting(other: Call) -> Use:
    """A write of a request that another one overtakes, which stores another name."""

    def use(session: t.Any) -> None:
        read(session)
        other()
        session["mine"] = session.get("mine", 0) + 1

    return use


def cases(url: str, size: int) -> dict[tuple[str, str], Call]:
    """A call for each library and use; that of "bare" is the application alone."""
    found: dict[tuple[str, str], Call] = {}
    for peer in PEERS:
        values = contents(size)

        def fill(session: t.Any, values: dict[str, t.Any] = values) -> None:
            for name, value in values.items():
                session[name] = value

        cookies = cookies_of(peer.site(url, fill), VISITORS)
        found[peer.name, "bare"] = gateway(peer.bare(url, ignore), cookies)
        found[peer.name, "anonymous"] = gateway(peer.site(url, ignore))
        for name, use in uses_of(peer).items():
            is_login = name == "login"
            fresh = cookies_of(peer.site(url, fill), 1) if is_login else cookies
            call = gateway(peer.site(url, use), fresh, follows=is_login)
            found[peer.name, name] = call
        both = cookies_of(peer.site(url, fill), 1)
        other = gateway(peer.site(url, write), both)
        found[peer.name, "conflict"] = gateway(peer.site(url, meeting(other)), both)
    client = redis.Redis.from_url(url)
    keys = [f"bare:{size}:{number}" for number in range(VISITORS)]
    value = b"x" * size
    for key in keys:
        client.set(key, value)
    turn = itertools.cycle(keys)

    def get(_: t.Any) -> None:
        client.get(next(turn))

    def get_and_set(_: t.Any) -> None:
        key = next(turn)
        client.get(key)
        client.set(key, value)

    for name, use in ((GET, get), (GET_AND_SET, get_and_set)):
        found[name, "bare"] = gateway(bare_flask(url, ignore))
        found[name, "read" if use is get else "write"] = gateway(
            flask_site(lambda _, use=use: use(None), lambda app: None)
        )
    return found


def measure(calls: dict[tuple[str, str], Call], rounds: int) -> list[Cost]:
    """The cost of each case in each round."""
    times = {case: [0.0] * rounds for case in calls}
    order = list(calls)
    dice = random.Random(1)  # the same order in each run
    for number in range(-WARM_UP, rounds):
        dice.shuffle(order)
        for case in order:
            call = calls[case]
            start = time.perf_counter_ns()
            for _ in range(IN_A_ROW):
                call()
            taken = time.perf_counter_ns() - start
            times[case][max(number, 0)] = taken / IN_A_ROW / 1000
    return [
        Cost(peer, use, _beyond(row, times, peer, use))
        for (peer, use), row in times.items()
        if use != "bare"
    ]


def _beyond(
    row: list[float], times: dict[tuple[str, str], list[float]], peer: str, use: str
) -> list[float]:
    """What a case takes beyond the application alone, and beyond the other request."""
    for other in ("bare", "write") if use == "conflict" else ("bare",):
        row = [a - b for a, b in zip(row, times[peer, other], strict=True)]
    return row


def ratio(costs: list[Cost], use: str, over: str) -> dict[str, tuple[float, ...]]:
    """Each library's cost over another one's: quartiles of the rounds' ratios."""
    found = {cost.peer: cost.rounds for cost in costs if cost.use == use}
    reference = found[over]
    return {
        peer: tuple(
            statistics.quantiles(
                [a / b for a, b in zip(row, reference, strict=True)], n=4
            )
        )
        for peer, row in found.items()
    }


def tables(url: str, rounds: int) -> dict[str, list[Cost]]:
    """The costs for each size."""
    return {name: measure(cases(url, size), rounds) for name, size in SIZES.items()}


def text(title: str, costs: list[Cost]) -> str:
    """A table: ratios to Flask-Session first, then microseconds."""
    names = ["anonymous", "untouched", "read", "write", "login", "conflict"]
    lines = [f"A session of {title}", ""]
    head = "".join(f"{name:>12}" for name in names)
    peers = list(dict.fromkeys(cost.peer for cost in costs))
    lines.append(f"{'cost, of Flask-Session = 1':32}{head}")
    ratios = {
        name: ratio(costs, name, FLASK_SESSION)
        for name in names
        if any(c.use == name and c.peer == FLASK_SESSION for c in costs)
    }
    for peer in peers:
        row = [
            f"{ratios[name][peer][1]:12.2f}" if peer in ratios[name] else " " * 12
            for name in names
        ]
        lines.append(f"{peer:32}{''.join(row)}".rstrip())
    lines += ["", f"{'microseconds (quartile spread)':32}{head}"]
    for peer in peers:
        row = []
        for name in names:
            found = [c for c in costs if (c.peer, c.use) == (peer, name)]
            if not found:
                row.append(" " * 12)
                continue
            low, middle, high = statistics.quantiles(found[0].rounds, n=4)
            row.append(f"{middle:7.0f} ±{(high - low) / 2:3.0f}")
        lines.append(f"{peer:32}{''.join(row)}".rstrip())
    read_ratio = ratio(costs, "read", GET)
    write_ratio = ratio(costs, "write", GET_AND_SET)
    lines += ["", "over the bare commands of redis-py        read       write"]
    lines += [
        f"{peer:36}{read_ratio[peer][1]:10.2f}  {write_ratio[peer][1]:10.2f}"
        for peer in peers
        if peer in read_ratio and peer in write_ratio
    ]
    return "\n".join(lines)

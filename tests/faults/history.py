"""Looks for what must not be in the history of many requests.

.. code-block:: console

    $ python -m tests.faults.history [--requests N] [--worker CLASS] [--topology NAME]

Five browsers with four tabs each use a site on several workers of gunicorn, twenty
requests at a time. Each request adds one to a number of its tab's and one to the sum
of all, through ``on_conflict``; by chance it logs in, logs out, revokes the session or
gives it a new session id, and session ids are rotated every two seconds. Each answer
says what the request had found and whether its changes were dropped, as the event
``lost`` tells.

lost
    a number is less than what was answered
undead
    a number is more than that, or a session is seen after it was logged out or revoked
mixed
    a session is seen by another browser
parted
    a browser did not keep the cookie of a ``regenerate()``, because another one came in
    while it was asked for; what it counts from then on says nothing
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import http.client
import json
import pathlib
import random
import sys
import threading
import time
import typing as t

_TESTS = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(_TESTS), str(_TESTS / "support")]

from topologies import Cluster  # noqa: E402  # the path had to be set
from topologies import SentinelGroup  # noqa: E402  # as above
from topologies import Single  # noqa: E402  # as above

from .served import gunicorn  # noqa: E402  # as above
from .served import variables  # noqa: E402  # as above

BROWSERS, TABS = 5, 4

WORKERS = ("sync", "gthread", "gevent")

TOPOLOGIES = {"server": Single, "cluster": Cluster, "sentinel": SentinelGroup}

#: What a request does, and how often.
ACTIONS = {"add": 88, "login": 4, "regenerate": 3, "logout": 3, "revoke": 2}


class Browser:
    """Several tabs with one cookie."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lock = threading.Lock()
        self.cookie = ""
        #: When the cookie was given.
        self.given = 0.0
        #: The session that was seen last: its digest and what it calls itself.
        self.known: tuple[str, str] | None = None
        #: What was answered for: how often each tab has added, by life.
        self.added: collections.Counter[tuple[str, int]] = collections.Counter()
        #: Since when a life is over.
        self.ended: dict[str, float] = {}
        #: Lives that the browser may have in two sessions, because it did not keep the
        #: cookie of one that shut the old session id out.
        self.parted: set[str] = set()

    def take(self, cookie: str, begun: float) -> bool:
        """Keep a cookie, unless another one has come since this one was asked for: a
        response that is overtaken by a login's is another matter."""
        with self.lock:
            if begun < self.given:
                return False
            value = cookie.partition(";")[0]
            self.cookie = "" if value.endswith("=") else value
            self.given = time.monotonic()
            return True


class Tally(collections.Counter[str]):
    """What was done, and what was found."""


class Tab:
    """Asks one thing after the other."""

    def __init__(self, browser: Browser, number: int, port: int) -> None:
        self._browser = browser
        self._number = number
        self._port = port
        self._luck = random.Random(f"{browser.name} {number}")
        self.tally = Tally()

    def act(self, action: str = "") -> None:
        """One request, by chance or as told, and what is to be said of its answer."""
        browser = self._browser
        names, weights = [*ACTIONS], [*ACTIONS.values()]
        action = action or self._luck.choices(names, weights)[0]
        known = browser.known
        if action == "revoke" and known is None:
            action = "add"
        self.tally[action] += 1
        query = f"browser={browser.name}&tab={self._number}"
        if action == "revoke" and known is not None:
            query += f"&id={known[0]}"
        begun = time.monotonic()
        dropped, found = self._ask(f"/{action}?{query}", begun)
        if found is None:
            self.tally["refused"] += 1
        elif action == "revoke":
            assert known is not None
            browser.ended.setdefault(known[1], time.monotonic())
        elif dropped:
            self.tally["dropped"] += 1
        else:
            self._check(found, begun)
            if action == "logout":
                browser.ended.setdefault(found["life"], time.monotonic())

    def _check(self, found: dict[str, t.Any], begun: float) -> None:
        browser, life = self._browser, found["life"]
        if found["browser"] != browser.name:
            self.tally["mixed"] += 1
        if found["browser"] != browser.name or life in browser.parted:
            return
        if begun > browser.ended.get(life, float("inf")):
            self.tally["undead"] += 1
        expected = browser.added[life, self._number]
        self.tally["lost"] += max(0, expected - found["own"])
        self.tally["undead"] += max(0, found["own"] - expected)
        browser.added[life, self._number] = found["own"] + bool(found.get("added"))
        if "id" in found:
            browser.known = (found["id"], life)

    def check_sum(self) -> None:
        """With nobody else there: whether the sum is that of all tabs."""
        _, found = self._ask(
            f"/look?browser={self._browser.name}&tab={self._number}", time.monotonic()
        )
        assert found is not None
        added = self._browser.added
        if found["life"] in self._browser.parted:
            return
        expected = sum(n for (life, _), n in added.items() if life == found["life"])
        self.tally["lost"] += max(0, expected - found["sum"])
        self.tally["undead"] += max(0, found["sum"] - expected)
        self.tally["sums"] += 1

    def _ask(self, path: str, begun: float) -> tuple[bool, dict[str, t.Any] | None]:
        """Whether the changes were dropped, and what the page says."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        with contextlib.closing(connection):
            cookie = self._browser.cookie
            connection.request("GET", path, headers={"Cookie": cookie})
            response = connection.getresponse()
            body = response.read()
        if response.status != 200:
            return False, None
        found = json.loads(body)
        for value in response.headers.get_all("Set-Cookie", []):
            is_closing = path.startswith(("/login", "/regenerate"))
            if not self._browser.take(value, begun) and is_closing:
                self.tally["parted"] += 1
                self._browser.parted.add(found["life"])
                self._browser.cookie = ""
        return response.headers["X-Dropped"] == "1", found


def play(port: int, requests: int) -> Tally:
    """Let the browsers send so many requests, in rounds at whose ends sums are looked
    at."""
    browsers = [Browser(f"browser-{number}") for number in range(BROWSERS)]
    tabs = [Tab(browser, n, port) for browser in browsers for n in range(TABS)]
    failures: list[BaseException] = []
    rounds = max(1, requests // len(tabs) // 25)
    for _ in range(rounds):
        _at_once(tabs, requests // len(tabs) // rounds, failures)
        assert not failures, failures
        for tab in tabs[::TABS]:
            tab.check_sum()
    total = Tally()
    for tab in tabs:
        total.update(tab.tally)
    return total


def _at_once(tabs: list[Tab], times: int, failures: list[BaseException]) -> None:
    def run(tab: Tab) -> None:
        try:
            for _ in range(times):
                tab.act()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(tab,)) for tab in tabs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def is_right(found: Tally) -> bool:
    """Whether nothing was found that must not be."""
    return not (found["lost"] or found["undead"] or found["mixed"] or found["refused"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--worker", choices=WORKERS, action="append")
    parser.add_argument("--topology", choices=TOPOLOGIES, action="append")
    arguments = parser.parse_args()
    all_right = True
    for topology in arguments.topology or ["server"]:
        for worker in arguments.worker or WORKERS:
            began = time.monotonic()
            with TOPOLOGIES[topology]() as place:
                app, where = "faults.history_site:site()", variables("", place.url)
                with gunicorn(app, worker, **where) as served:
                    found = play(served.port, arguments.requests)
            seconds = time.monotonic() - began
            counts = ", ".join(f"{found[name]} {name}" for name in [*ACTIONS, "sums"])
            print(f"{topology}, {worker}, {seconds:.0f} s: {counts}")
            ends = ("dropped", "refused", "parted", "lost", "undead", "mixed")
            print(
                "   ", ", ".join(f"{found[name]} {name}" for name in ends), flush=True
            )
            all_right = all_right and is_right(found)
    return 0 if all_right else 1


if __name__ == "__main__":
    sys.exit(main())

"""A table of faults: what became of the visitors of a site under gunicorn."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import sys
import time
import typing as t

_TESTS = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(_TESTS), str(_TESTS / "support")]

from .crowd import Crowd  # noqa: E402  # the path had to be set
from .crowd import over_http  # noqa: E402  # as above
from .crowd import Seen  # noqa: E402  # as above
from .faults import Case  # noqa: E402  # as above
from .faults import CASES  # noqa: E402  # as above
from .faults import Watch  # noqa: E402  # as above
from .served import gunicorn  # noqa: E402  # as above
from .served import variables  # noqa: E402  # as above
from .sites import SITES  # noqa: E402  # as above

#: Visitors with a session and without, and how often each comes, in seconds.
VISITORS, PASSERS, PAUSE = 50, 10, 0.5

#: How long all is well before a fault, and afterwards, in seconds.
BEFORE, AFTER = 5, 5

#: How long a session request may take, in a failover or not, and how much later than
#: Redis the site may be back, in seconds.
LONGEST = {False: 2.5, True: 5.0}
RECOVERY = 1.0

#: How many of its usual requests a page without a session serves in a fault.
PLAIN_RATE = 0.8

HEAD = (
    f"{'fault':42} {'site':14} {'longest':>7} {'p50':>6} {'back':>6} {'plain':>6} "
    f"{'200':>6} {'503':>6} {'other':>6} {'wrong':>6} {'out':>6} {'lost':>6}"
)


class Found(t.NamedTuple):
    """What came of one fault."""

    #: The longest session request, and the median while the fault lasted, in seconds.
    longest: float
    median: float
    #: How much later than Redis the site was back, in seconds.
    back: float
    #: Requests without a session while the fault lasted, of as many before.
    plain: float
    good: int
    unavailable: int
    other: int
    wrong: int
    logged_out: int
    lost: int

    def faults(self, case: Case) -> list[str]:
        """What should not be."""
        bounds = {
            "longest": self.longest <= LONGEST[case.is_failover],
            "back": self.back <= RECOVERY,
            "plain": self.plain >= PLAIN_RATE,
            "other": self.other == 0,
            "wrong": self.wrong == 0,
            "out": self.logged_out == 0 or case.may_lose,
            "lost": self.lost == 0 or case.may_lose,
        }
        return [name for name, holds in bounds.items() if not holds]

    def row(self) -> str:
        return (
            f"{self.longest:7.2f} {self.median:6.3f} {self.back:6.2f} "
            f"{self.plain:6.2f} {self.good:6} {self.unavailable:6} {self.other:6} "
            f"{self.wrong:6} {self.logged_out:6} {self.lost:6}"
        )


def play(case: Case, site: str) -> Found:
    """Let visitors use a site while a fault begins, lasts and ends."""
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(case.place())
        options = case.options if site == "ours" else {}
        served = stack.enter_context(
            gunicorn("faults.sites:site()", **variables(site, place.url, **options))
        )
        crowd = Crowd(lambda: over_http(served.port), VISITORS, PASSERS, PAUSE)
        with crowd:
            crowd.let_succeed(2 * VISITORS)
            time.sleep(BEFORE)
            with Watch(place) as watch:
                began = time.monotonic()
                with case.fault(place):
                    time.sleep(case.seconds)
                    if case.is_failover:
                        # Who comes back before that has forgotten everything.
                        watch.until_it_answers()
                ended = time.monotonic()
                # A master of a cluster has one replica, which is its successor.
                place.awaited = options.get("wait_replicas", 0)
                watch.until_it_answers()
                time.sleep(AFTER)
        back = watch.back or (began if case.is_failover else ended)
        return judge(crowd, began, ended, back)


def judge(crowd: Crowd, began: float, ended: float, back: float) -> Found:
    """Count what the visitors have seen."""
    seen = [one for visitor in crowd.visitors for one in visitor.seen]
    passed = [one for passer in crowd.passers for one in passer.seen]
    failed = [one for one in seen if one.status != 200]
    during = sorted(one.seconds for one in _between(seen, began, ended))
    before = _between(passed, began - BEFORE, began)
    meanwhile = _between(passed, began, ended)
    usual = len(before) / BEFORE * (ended - began)
    statuses = [one.status for one in [*seen, *passed]]
    return Found(
        longest=max(one.seconds for one in seen),
        median=during[len(during) // 2] if during else float("nan"),
        back=max([0.0, *(one.begun - back for one in failed)]),
        plain=len(meanwhile) / usual,
        good=statuses.count(200),
        unavailable=statuses.count(503),
        other=len(statuses) - statuses.count(200) - statuses.count(503),
        wrong=crowd.wrong,
        logged_out=crowd.logged_out,
        lost=crowd.lost,
    )


def _between(seen: list[Seen], begin: float, end: float) -> list[Seen]:
    """What was answered well in a time."""
    return [one for one in seen if begin <= one.begun + one.seconds < end]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [case.name for case in CASES]
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(names))
    parser.add_argument("--site", choices=SITES, action="append")
    arguments = parser.parse_args()
    chosen = [case for case in CASES if case.name in (arguments.faults or names)]
    wrong = 0
    print(HEAD, flush=True)
    for case in chosen:
        for site in arguments.site or ["ours"]:
            if site != "ours" and case.options:
                continue
            found = play(case, site)
            bad = found.faults(case)
            mark = f"  <- {', '.join(bad)}" if bad else ""
            print(f"{case.name:42} {site:14} {found.row()}{mark}", flush=True)
            wrong += bool(bad) and site == "ours"
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

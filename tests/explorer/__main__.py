"""Explore, and print what was found."""

from __future__ import annotations

import argparse
import contextlib
import logging
import multiprocessing
import os
import sys
import time

from wsgi_redis_session import SessionConfig
from wsgi_redis_session.local_server import LocalServer

from .choices import follow
from .play import alone_on
from .play import play
from .report import explored
from .report import HEAD
from .report import row
from .report import shown
from .report import Tally
from .scenarios import families
from .scenarios import Family
from .scenarios import Scenario
from .schedule import FAULTS
from .site import World

_worlds: list[World] = []
_resources = contextlib.ExitStack()


def _start_worker(processors: multiprocessing.SimpleQueue[int]) -> None:
    _quiet()
    _resources.enter_context(alone_on(processors.get()))
    server = _resources.enter_context(LocalServer())
    _worlds.append(_resources.enter_context(World(server.socket)))


def _explore(job: tuple[Scenario, bool]) -> Tally:
    scenario, every_order = job
    return explored(_worlds[0], [scenario], every_order=every_order)


def _quiet() -> None:
    # Each event would be a line.
    logging.getLogger("wsgi_redis_session").setLevel(logging.CRITICAL)


def _table(chosen: list[Family], jobs: int, *, every_order: bool) -> Tally:
    """Explore all of it, and print a line for each family."""
    total = Tally()
    began = time.monotonic()
    processors: multiprocessing.SimpleQueue[int] = multiprocessing.SimpleQueue()
    for number in range(jobs):
        processors.put(number)
    print(HEAD, flush=True)
    with multiprocessing.Pool(jobs, _start_worker, (processors,)) as pool:
        for family in chosen:
            tally = Tally()
            started = time.monotonic()
            tasks = [(scenario, every_order) for scenario in family.scenarios]
            for found in pool.imap_unordered(_explore, tasks):
                tally.merge(found)
            seconds = time.monotonic() - started
            print(row(family.name, tally, seconds), flush=True)
            total.merge(tally)
    print(row("all", total, time.monotonic() - began))
    return total


def _faults(total: Tally) -> None:
    """Print the shortest schedule for each kind of fault."""
    with LocalServer() as server, World(server.socket) as world:
        for (promise, _), example in sorted(total.examples.items()):
            number = total.kinds[promise, _]
            print(f"\n{promise}: {example.how}; {number} schedules, the shortest of")
            print(f"  {example.scenario}")
            scenario = Scenario.parse(example.scenario, FAULTS)
            print(shown(play(world, scenario, follow(example.schedule))))


def main() -> int:
    """Run the command line; its exit status says whether all promises were kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.explorer")
    parser.add_argument("--family", action="append", help="only families so called")
    parser.add_argument("--list", action="store_true", help="what there is to explore")
    parser.add_argument("--replay", nargs=2, metavar=("SCENARIO", "SCHEDULE"))
    parser.add_argument("--sealed", action="store_true", help="with encrypt=True")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--every-order", action="store_true", help="leave none out")
    options = parser.parse_args()
    _quiet()
    if options.sealed:
        SessionConfig.__init__.__kwdefaults__["encrypt"] = True
    if options.replay:
        text, schedule = options.replay
        with LocalServer() as server, World(server.socket) as world:
            scenario = Scenario.parse(text, FAULTS)
            print(shown(play(world, scenario, follow(schedule))))
        return 0
    wanted = options.family or [""]
    chosen = [f for f in families() if any(name in f.name for name in wanted)]
    if options.list:
        for family in chosen:
            print(f"{family.name}: {len(family.scenarios)} scenarios")
        return 0
    total = _table(chosen, options.jobs, every_order=options.every_order)
    _faults(total)
    return bool(total.wrong)


if __name__ == "__main__":
    sys.exit(main())

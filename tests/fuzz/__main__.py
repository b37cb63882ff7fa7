"""Fuzz, and print what came of it."""

from __future__ import annotations

import argparse
import logging
import sys
import time

from .cookies import fuzz_cookies
from .cookies import MEMORY
from .programs import fuzz_programs
from .values import fuzz_values

#: How many of each.
COUNTS = {
    "cookies": 1_000_000,
    "plain": 100_000,
    "sealed": 100_000,
    "programs": 100_000,
}


def _cookies(count: int, seed: int) -> bool:
    found = fuzz_cookies(count, seed)
    print(
        f"cookies: {found.headers:,} headers, 0 exceptions; {found.genuine:,} with a "
        f"cookie of ours in it, {found.commands} commands for the others; "
        f"{found.kept:,} bytes kept; the slowest took {found.slowest:.2f} ms for "
        f"{found.length:,} characters"
    )
    return found.commands == 0 and found.kept < MEMORY


def _values(count: int, seed: int, kind: str) -> bool:
    found = fuzz_values(count, seed, sealed=kind == "sealed")
    read = ", ".join(f"{number:,} {how}" for how, number in sorted(found.read.items()))
    print(
        f"{kind} values: {found.values:,} values, 0 exceptions, 0 locked out; read "
        f"{read}; {found.refused:,} saves met one that nobody can merge with"
    )
    return True


def _programs(count: int, seed: int) -> bool:
    found = fuzz_programs(count, seed)
    print(
        f"programs: {found.programs:,} pickles, 0 exceptions, {len(found.executed)} "
        f"executed, {found.read:,} read as sessions; of a sample that is harmless, "
        f"{found.would_have:,} run code where pickles are trusted"
    )
    return not found.executed


def _fuzz(kind: str, count: int, seed: int) -> bool:
    if kind == "cookies":
        return _cookies(count, seed)
    return _programs(count, seed) if kind == "programs" else _values(count, seed, kind)


def _count(text: str) -> tuple[str, int]:
    kind, _, number = text.partition("=")
    if kind not in COUNTS or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"one of {', '.join(COUNTS)}, =, a number")
    return kind, int(number)


def main() -> int:
    """Run the command line; its exit status says whether everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=_count, action="append", metavar="KIND=NUMBER")
    options = parser.parse_args()
    # Each event would be a line.
    logging.getLogger("wsgi_redis_session").setLevel(logging.CRITICAL)
    holds = True
    for kind, count in dict(options.count or COUNTS).items():
        began = time.monotonic()
        holds &= _fuzz(kind, count, options.seed)
        print(f"    {time.monotonic() - began:.0f} s", flush=True)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())

"""All benchmarks, beside the libraries that people use today, in one command.

.. code-block:: console

    $ pip install '.[bench]'
    $ python benchmarks/run.py [--quick] [--results DIRECTORY] [--only PART ...]

It starts a Redis of its own, writes a table for each part and plots into the folder
of results, and prints the tables. ``docs/benchmarks.rst`` says what each
number means.
"""

from __future__ import annotations

import argparse
import collections.abc as cabc
import contextlib
import os
import pathlib
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version

import growth
import in_process
import plots
import served
from visits import keep_apart

from wsgi_redis_session.local_server import LocalServer

PARTS = (
    "calls",
    "in-process",
    "encryption",
    "served",
    "latency",
    "growth",
    "memory",
)

PACKAGES = (
    "wsgi-redis-session",
    "redis",
    "hiredis",
    "Flask",
    "Flask-Session",
    "Beaker",
    "Django",
    "pyramid-session-redis",
    "gunicorn",
    "gevent",
)


def machine(server: LocalServer) -> str:
    """All that the figures depend on."""
    versions = []
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions.append(f"{package} {version(package)}")
    return "\n".join(
        [
            f"Python {platform.python_version()}, {os.cpu_count()} processors, "
            f"{server.describe()}",
            ", ".join(versions),
        ]
    )


@contextlib.contextmanager
def far_away(server: LocalServer, milliseconds: float) -> cabc.Iterator[str]:
    """The URL of a server behind a network."""
    program = str(pathlib.Path(__file__).parent / "delay.py")
    command = [sys.executable, program, server.socket, str(milliseconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"redis://127.0.0.1:{process.stdout.readline().strip()}/0"
        finally:
            process.terminate()


def parts(
    server: LocalServer, results: pathlib.Path, *, quick: bool
) -> dict[str, cabc.Callable[[], str]]:
    """What each part prints, by its name."""
    url = server.url

    def output_of(program: str) -> str:
        command = [sys.executable, str(pathlib.Path(__file__).parent / program)]
        return subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout

    def calls() -> str:
        return output_of("calls.py")

    def encryption() -> str:
        return output_of("packing.py")

    def costs() -> str:
        found = in_process.tables(url, 10 if quick else 60)
        if plots.can_draw:
            for title, costs in found.items():
                file = results / f"costs-{title.replace(' ', '-')}.svg"
                plots.costs(f"A session of {title}", costs, file)
        return "\n\n".join(in_process.text(*pair) for pair in found.items())

    def under_load(url: str, title: str, connections: list[int]) -> str:
        rounds, seconds = (1, 1.0) if quick else (5, 2.0)
        loads = served.measure(url, served.WORKERS, connections, rounds, seconds)
        if plots.can_draw and len(connections) > 1:
            plots.loads(title, loads, results / "served.svg")
        return served.text(title, loads)

    def near() -> str:
        connections = [16] if quick else [1, 16, 64]
        return under_load(url, "gunicorn, one worker, sessions of 1 KB", connections)

    def far() -> str:
        with far_away(server, 1) as distant:
            return under_load(distant, "The same, with 1 ms to Redis", [16])

    def growing() -> str:
        numbers = [1_000, 10_000] if quick else [1_000, 100_000, 1_000_000]
        uses, libraries = ("read", "write"), ("ours", "Flask-Session")
        logins = ("login", "of_user()")
        writers = "Writes a second on one session, in one process"
        losers = "Writers whose last write is lost"
        sizes, (rates, lost) = growth.by_size(url), growth.by_writers(url)
        if plots.can_draw:
            plots.growth("What larger sessions cost", sizes, results / "growth.svg")
        tables = [
            ("Microseconds by a session's size", uses, sizes),
            ("Microseconds by its names", uses, growth.by_names(url)),
            ("Microseconds by all sessions", uses, growth.by_sessions(url, numbers)),
            ("Microseconds by a user's sessions", logins, growth.by_user(url)),
            (writers, libraries, rates),
            (losers, libraries, lost),
            ("Microseconds in Redis", ("save", "merge"), growth.in_redis(url)),
        ]
        return "\n\n".join(growth.text(*table) for table in tables)

    def memory() -> str:
        rows = growth.memory(2_000 if quick else 100_000)
        return growth.text("What a session takes", ("ours", "Flask-Session"), rows)

    functions = calls, costs, encryption, near, far, growing, memory
    return dict(zip(PARTS, functions, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description="What sessions cost, side by side.")
    parser.add_argument("--quick", action="store_true", help="some minutes, more noise")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--results", type=pathlib.Path, default=pathlib.Path("benchmark-results")
    )
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    with LocalServer() as server:
        head = machine(server)
        print(head, flush=True)
        affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        for name, part in parts(server, options.results, quick=options.quick).items():
            if name not in options.only:
                continue
            if name == "in-process":
                keep_apart(server)
            table = part()
            if affinity is not None:
                os.sched_setaffinity(0, affinity)
                os.sched_setaffinity(server.pid, affinity)
            (options.results / f"{name}.txt").write_text(f"{head}\n\n{table}\n")
            print(f"\n== {name}\n\n{table}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

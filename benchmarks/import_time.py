"""What importing the package costs a process that has redis and werkzeug already.

.. code-block:: console

    $ python benchmarks/import_time.py [--rounds N]

Each round is an interpreter of its own, because a module is imported only once. All are
compiled before the first round that counts, as an installed package is. The process
ends with 1 if the limit does not hold; ``python -X importtime -c "import redis,
werkzeug, wsgi_redis_session"`` then says which module it is.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version

#: Milliseconds.
LIMIT = 15

PROGRAM = """
import time
import redis, werkzeug
start = time.perf_counter_ns()
import wsgi_redis_session
print(time.perf_counter_ns() - start)
"""


def measure(rounds: int) -> list[float]:
    """The time of each round, in milliseconds."""
    with tempfile.TemporaryDirectory() as compiled:
        env = os.environ | {"PYTHONPYCACHEPREFIX": compiled}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, "-P", "-c", PROGRAM]
        printed = [
            subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE).stdout
            for _ in range(1 + rounds)
        ]
    return [int(nanoseconds) / 1e6 for nanoseconds in printed[1:]]


def main() -> int:
    parser = argparse.ArgumentParser(description="What importing the package costs.")
    parser.add_argument("--rounds", type=int, default=41, help="default: 41")
    times = measure(parser.parse_args().rounds)
    median = statistics.median(times)
    is_kept = median <= LIMIT
    packages = ("redis", "werkzeug")
    print(*(f"{name} {version(name)}," for name in packages), end=" ")
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors")
    print(
        f"import wsgi_redis_session: {median:.1f} ms, median of {len(times)} rounds,"
        f" {min(times):.1f} to {max(times):.1f};"
        f" limit {LIMIT} {'holds' if is_kept else 'EXCEEDED'}"
    )
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())

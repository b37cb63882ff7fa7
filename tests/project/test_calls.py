"""A request costs no more Python than it did: calls, which no busy machine changes.

``benchmarks/calls.py`` counts them and says what they are.
"""

from __future__ import annotations

import importlib.util
import pathlib
import subprocess
import sys

import pytest

CALLS = pathlib.Path(__file__).parents[2] / "benchmarks" / "calls.py"

#: Calls per request over the same application without sessions, at most. Whoever makes
#: requests cheaper lowers them.
WITH_HIREDIS = """
                          untouched       read      write
middleware, URL                  20          94        194
middleware, client               20          94        194
Flask, URL                       19        124        234
Flask, client, permanent         19        124        234
"""

WITHOUT_HIREDIS = """
                          untouched       read      write
middleware, URL                  21        183        392
middleware, client               21        187        392
Flask, URL                       20        214        433
Flask, client, permanent         20        214        433
"""


def rows(table: str) -> dict[str, list[float]]:
    """What a table says, by the name of the row."""
    _, lines = table.split("write\n")
    return {
        line[:26].strip(): [float(word) for word in line[26:].split()]
        for line in lines.rstrip("\n").split("\n")
    }


@pytest.fixture(scope="module")
def counted() -> dict[str, list[float]]:
    # In processes of their own, in which pytest has not imported anything; the fewest
    # calls of three, because a link that was not in use for a moment is looked after.
    command = [sys.executable, str(CALLS)]
    tables = [
        rows(
            subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True
            ).stdout
        )
        for _ in range(3)
    ]
    return {
        name: [min(counts) for counts in zip(*(t[name] for t in tables), strict=True)]
        for name in tables[0]
    }


HAS_HIREDIS = importlib.util.find_spec("hiredis") is not None
LIMITS = rows(WITH_HIREDIS if HAS_HIREDIS else WITHOUT_HIREDIS)


@pytest.mark.parametrize("row", LIMITS)
def test_request_takes_no_more_calls_than_it_may(
    counted: dict[str, list[float]], row: str
) -> None:
    for count, limit in zip(counted[row], LIMITS[row], strict=True):
        assert count <= limit

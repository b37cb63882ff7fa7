"""The part of the fuzzing that takes seconds; ``python -m tests.fuzz`` is all of it."""

from __future__ import annotations

import collections.abc as cabc
import logging

import pytest
from fuzz.cookies import fuzz_cookies
from fuzz.cookies import MEMORY
from fuzz.programs import fuzz_programs
from fuzz.values import fuzz_values

SEED = 11


@pytest.fixture(autouse=True)
def _quiet() -> cabc.Iterator[None]:
    logger = logging.getLogger("wsgi_redis_session")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


def test_no_cookie_header_raises_or_makes_redis_work_or_stays_in_memory() -> None:
    found = fuzz_cookies(4000, SEED)
    assert found.genuine > 20
    assert found.commands == 0
    assert found.kept < MEMORY


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_no_stored_value_raises_or_locks_anybody_out(sealed: bool) -> None:
    found = fuzz_values(600, SEED, sealed=sealed)
    assert found.read["whole"]
    assert found.read["none"]
    assert found.events["undecodable"]


def test_no_pickle_is_executed() -> None:
    found = fuzz_programs(4000, SEED)
    assert found.executed == []
    assert found.read
    assert found.would_have

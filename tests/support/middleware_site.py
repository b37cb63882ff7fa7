"""What the tests of the middleware have in common."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
from gateway import Site
from wsgi_apps import Environ
from wsgi_apps import SHAPES

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager

EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


class Boom(Exception):
    """What goes wrong in an application."""


class Body:
    """A body that runs a step for each part, and notes that it was closed."""

    def __init__(self, environ: Environ, *steps: cabc.Callable[[], t.Any]) -> None:
        self.journal = environ["test.journal"]
        self.steps = steps

    def __iter__(self) -> cabc.Iterator[bytes]:
        for step in self.steps:
            yield step() or b"."

    def close(self) -> None:
        self.journal.append("closed")


def count(environ: Environ) -> bytes:
    session = get_session(environ)
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"]).encode()


# A fixture, for test modules that give it its name.


@pytest.fixture
def site(manager: SessionManager) -> Site:
    return Site(manager)

"""Pyramid applications whose sessions are ours, in each of the two ways of use."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
from pyramid.config import Configurator
from pyramid.response import Response
from werkzeug.test import Client
from werkzeug.test import TestResponse

from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.pyramid import SessionFactory

View = cabc.Callable[[t.Any], t.Any]
Configure = cabc.Callable[[Configurator], object]


def run(request: t.Any) -> t.Any:
    """The view of a test, or an empty page after it."""
    answer = request.environ["test.view"](request)
    return answer if isinstance(answer, Response) else Response("done")


class Site:
    """A Pyramid application that does what a test wants, and its visitor."""

    def __init__(
        self,
        way: str,
        sessions: SessionManager,
        configure: Configure = lambda config: None,
    ) -> None:
        with Configurator(session_factory=SessionFactory(sessions)) as config:
            config.add_view(run)
            configure(config)
            self.app = config.make_wsgi_app()
        if way == "middleware":
            self.app = SessionMiddleware(self.app, sessions)
        self.client = Client(self.app)

    def get(self, view: View, **environ: t.Any) -> TestResponse:
        environ["test.view"] = view
        return self.client.get("/", environ_overrides=environ)

    def store(self, **values: t.Any) -> TestResponse:
        return self.get(lambda request: request.session.update(values))

    def look(self, what: View = lambda request: request.session.copy()) -> t.Any:
        """What the visitor's next request finds."""
        found = []
        self.get(lambda request: found.append(what(request)))
        return found[0]

    @property
    def cookie(self) -> str | None:
        cookie = self.client.get_cookie("session")
        return cookie and cookie.value


@pytest.fixture(params=["middleware", "factory"])
def way(request: pytest.FixtureRequest) -> str:
    return t.cast(str, request.param)


@pytest.fixture
def site(way: str, manager: SessionManager) -> Site:
    return Site(way, manager)
